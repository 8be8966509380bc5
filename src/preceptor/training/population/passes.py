"""Forward and backward over all members at once: by torch.func.vmap, or by kernels made for it."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from preceptor.training.evaluate import evaluation
from preceptor.training.population.heads import Head
from preceptor.training.population.layers import ELEMENTWISE, Layer
from preceptor.training.population.stack import Stack

__all__ = ["DensePass", "Differentiated", "Pass", "VmappedPass", "is_dense"]


class Pass(ABC):
    """Computes the outputs and the gradients of all members.

    Arguments:
        stack: their weights; gradients are written into ``stack.grads``.
        head: their losses.
        rates: of each dropout layer by name, the rate of each member, (M,).
    """

    engine: ClassVar[str]

    def __init__(self, stack: Stack, head: Head, rates: dict[str, Tensor]) -> None:
        self.stack, self.head, self.rates = stack, head, rates
        self.begin()

    @abstractmethod
    def begin(self) -> None:
        """Take hold of the stack, at first and whenever it has lost members."""

    @abstractmethod
    def gradient(self, x: Tensor, y: Tensor) -> Tensor:
        """Leave the gradients in the stack, on batches x (M, B, …), y (M, B, …); return losses (M,)."""

    @abstractmethod
    def outputs(self, x: Tensor) -> Tensor:
        """Return the outputs (M, N, …) of all members for the same inputs (N, …), as in evaluation."""

    def keep(self, rows: Tensor) -> None:
        """Go on with some of the members; the stack has only those."""
        self.head.keep(rows)
        self.rates = {name: rate[rows] for name, rate in self.rates.items()}
        self.begin()


class Differentiated(Pass):
    """A pass whose backward is autograd's, over leaves that share the stack's memory."""

    def begin(self) -> None:
        """Make the leaves."""
        self.leaves = {name: weight.detach().requires_grad_() for name, weight in self.stack.weights.items()}

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs for batches of each member's own, as in training."""

    def gradient(self, x: Tensor, y: Tensor) -> Tensor:
        """Leave the gradients; return the losses."""
        with torch.enable_grad():
            losses = self.head.losses(self.forward(x), y)
            found = torch.autograd.grad(
                losses.sum(), list(self.leaves.values()), allow_unused=True, materialize_grads=True
            )
        torch._foreach_copy_(list(self.stack.grads.values()), list(found))
        return losses.detach()


class Rated(nn.Module):
    """Dropout whose rate is a buffer, so that every member can have its own."""

    rate: Tensor

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.register_buffer("rate", torch.tensor(rate), persistent=False)

    def forward(self, h: Tensor) -> Tensor:
        """Drop units in training."""
        if not self.training:
            return h
        kept = 1 - self.rate
        return torch.where(torch.rand_like(h) < kept, h / kept, 0.0)


class VmappedPass(Differentiated):
    """Any network that torch.func.vmap can follow.

    Arguments:
        stack, head, rates: as of a `Pass`.
        model: one of the members' models; it is copied.
    """

    engine = "vmapped"

    def __init__(self, stack: Stack, head: Head, rates: dict[str, Tensor], model: nn.Module) -> None:
        self.model = copy.deepcopy(model)
        for name in rates:
            self.model.set_submodule(name, Rated(0.0).to(stack.device))
        self.model.train()
        super().__init__(stack, head, rates)

    def begin(self) -> None:
        """Make the leaves, and the mapped calls."""
        super().begin()
        self.stack.buffers |= {f"{name}.rate": rate for name, rate in self.rates.items()}

    def _call(self, weights: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor) -> Any:
        return torch.func.functional_call(self.model, (weights, buffers), (x,))

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs in training."""
        mapped = torch.func.vmap(self._call, randomness="different")
        made: Tensor = mapped(self.leaves, self.stack.buffers, x)
        return made

    def outputs(self, x: Tensor) -> Tensor:
        """Return the outputs in evaluation."""
        with evaluation(self.model):
            mapped = torch.func.vmap(self._call, in_dims=(0, 0, None), randomness="different")
            made: Tensor = mapped(self.leaves, self.stack.buffers, x)
        return made


def is_dense(chain: Sequence[Layer], shape: tuple[int, ...] | None) -> bool:
    """Say whether a chain is a multilayer perceptron over inputs of a shape: linear layers all through.

    An activation overwrites what it is given, which must then be a linear layer's or dropout's own result.
    """
    modules = [layer.module for layer in chain if not isinstance(layer.module, nn.Identity)]
    if modules and isinstance(modules[0], nn.Flatten):
        modules, shape = modules[1:], (1,)
    if shape is None or len(shape) != 1 or not modules or type(modules[0]) is not nn.Linear:
        return False
    plain = (nn.Linear, nn.Dropout)
    return all(
        isinstance(now, plain) or (isinstance(now, ELEMENTWISE) and isinstance(before, plain))
        for before, now in pairwise(modules)
    )


class DensePass(Pass):
    """A multilayer perceptron by batched matrix products, forward and backward written out.

    Hidden units h (M, B, H): z = h Wᵀ + b, ∂L/∂W = (∂L/∂z)ᵀ h, ∂L/∂h = ∂L/∂z W, for all members at once.
    Activations other than the usual three are differentiated by autograd, each by itself.
    """

    engine = "batched"

    def __init__(self, stack: Stack, head: Head, rates: dict[str, Tensor], chain: Sequence[Layer]) -> None:
        self.chain = [layer for layer in chain if not isinstance(layer.module, nn.Flatten | nn.Identity)]
        super().__init__(stack, head, rates)

    def begin(self) -> None:
        """Take hold of the weights and where their gradients go."""
        weights, grads = self.stack.weights, self.stack.grads
        self._parts: list[_Part] = []
        first = True
        for layer in self.chain:
            if isinstance(layer.module, nn.Linear):
                own = [f"{layer.name}.{part}" if layer.name else part for part in ("weight", "bias")]
                held = [(weights[name], grads[name]) for name in own if name in weights]
                self._parts.append(_Linear(held, inner=not first))
                first = False
            elif isinstance(layer.module, nn.Dropout):
                self._parts.append(_Dropout(self.rates[layer.name]))
            else:
                self._parts.append(_KNOWN.get(type(layer.module), _Elementwise)(layer.module))

    def gradient(self, x: Tensor, y: Tensor) -> Tensor:
        """Leave the gradients; return the losses."""
        h = x.flatten(2)
        for part in self._parts:
            h = part.forward(h)
        losses, by_h = self.head.gradient(h, y)
        for part in reversed(self._parts):
            by_h = part.backward(by_h)
        return losses

    def outputs(self, x: Tensor) -> Tensor:
        """Return the outputs in evaluation."""
        h = x.flatten(1).expand(len(self.stack), -1, -1)
        for part in self._parts:
            h = part.evaluate(h)
        return h


class _Part:
    """One layer of all members: forward keeps what backward needs."""

    def forward(self, h: Tensor) -> Tensor:
        raise NotImplementedError

    def backward(self, by_out: Tensor) -> Tensor:
        raise NotImplementedError

    def evaluate(self, h: Tensor) -> Tensor:
        return self.forward(h)


class _Linear(_Part):
    """z = h Wᵀ + b. Units come before examples in memory, which long rows of few classes gain by."""

    def __init__(self, held: list[tuple[Tensor, Tensor]], *, inner: bool) -> None:
        (self.weight, self.by_weight), *bias = held
        self.bias: Tensor | None = None
        self.by_bias: Tensor | None = None
        if bias:
            self.bias, self.by_bias = bias[0]
        self.inner = inner  # a layer before it learns, and asks for ∂L/∂h

    def forward(self, h: Tensor) -> Tensor:
        self.h = h
        if self.bias is None:
            return torch.bmm(self.weight, h.mT).mT
        return torch.baddbmm(self.bias.unsqueeze(2), self.weight, h.mT).mT

    def backward(self, by_out: Tensor) -> Tensor:
        across = by_out.mT
        torch.bmm(across, self.h, out=self.by_weight)
        if self.by_bias is not None:
            torch.sum(across, 2, out=self.by_bias)
        return torch.bmm(self.weight.mT, across).mT if self.inner else by_out


class _Dropout(_Part):
    def __init__(self, rate: Tensor) -> None:
        self.kept = (1 - rate)[:, None, None]

    def forward(self, h: Tensor) -> Tensor:
        self.factor = torch.rand_like(h).lt_(self.kept).div_(self.kept)
        return h * self.factor

    def backward(self, by_out: Tensor) -> Tensor:
        return by_out * self.factor

    def evaluate(self, h: Tensor) -> Tensor:
        return h


class _ReLU(_Part):
    def __init__(self, module: nn.Module) -> None:
        pass

    def forward(self, h: Tensor) -> Tensor:
        self.h = h.relu_()
        return self.h

    def backward(self, by_out: Tensor) -> Tensor:
        made: Tensor = torch.ops.aten.threshold_backward(by_out, self.h, 0)
        return made


class _Tanh(_Part):
    def __init__(self, module: nn.Module) -> None:
        pass

    def forward(self, h: Tensor) -> Tensor:
        self.h = h.tanh_()
        return self.h

    def backward(self, by_out: Tensor) -> Tensor:
        made: Tensor = torch.ops.aten.tanh_backward(by_out, self.h)
        return made


class _Sigmoid(_Part):
    def __init__(self, module: nn.Module) -> None:
        pass

    def forward(self, h: Tensor) -> Tensor:
        self.h = h.sigmoid_()
        return self.h

    def backward(self, by_out: Tensor) -> Tensor:
        made: Tensor = torch.ops.aten.sigmoid_backward(by_out, self.h)
        return made


class _Elementwise(_Part):
    def __init__(self, module: Callable[[Tensor], Tensor]) -> None:
        self.function = module

    def forward(self, h: Tensor) -> Tensor:
        self.leaf = h.detach().requires_grad_()
        with torch.enable_grad():
            self.out = self.function(self.leaf)
        return self.out.detach()

    def backward(self, by_out: Tensor) -> Tensor:
        return torch.autograd.grad(self.out, self.leaf, by_out)[0]

    def evaluate(self, h: Tensor) -> Tensor:
        return self.function(h)


_KNOWN: dict[type[nn.Module], Callable[[nn.Module], _Part]] = {
    nn.ReLU: _ReLU,
    nn.Tanh: _Tanh,
    nn.Sigmoid: _Sigmoid,
}
