"""First-order recipes that torch does not have; each reads as its update rule, over all tensors at once.

`Velocity` and `Adaptive` are given a gradient; `LookAhead` asks for it at another point than the one that the
parameters hold, and so needs a closure.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from preceptor.catalogue.optimizers._make import Params

__all__ = ["Adaptive", "LookAhead", "Velocity"]

Tensors = list[Tensor]


class _Recipe(torch.optim.Optimizer):
    """Gathers the parameters that have a gradient, and their state, into lists; a recipe updates those."""

    kept: tuple[str, ...] = ()  # names of the state, one tensor of zeros for each parameter to begin with

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; return what the closure returned."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if params:
                gradients = [p.grad for p in params]
                if group["weight_decay"]:
                    gradients = list(torch._foreach_add(gradients, params, alpha=group["weight_decay"]))
                self._update(group, params, gradients, *self._state(params))
        return loss

    @abstractmethod
    def _update(self, group: dict[str, Any], params: Tensors, gradients: Tensors, *state: Any) -> None: ...

    def _state(self, params: Tensors) -> list[Any]:
        states = [self.state[p] for p in params]
        for parameter, state in zip(params, states, strict=True):
            if not state:
                state["step"] = 0
                state.update((name, torch.zeros_like(parameter)) for name in self.kept)
            state["step"] += 1
        return [[state[name] for state in states] for name in ("step", *self.kept)]


class Velocity(_Recipe):
    """Momentum with the learning rate inside the velocity: v ← β v − lr · g; θ ← θ + v.

    Arguments:
        params: what to optimise, or groups of it.
        lr: learning rate.
        momentum: β.
        weight_decay: added to the gradient as weight_decay · θ.

    Example:
        >>> w = torch.tensor([1.0], requires_grad=True)
        >>> w.grad = torch.tensor([2.0])
        >>> _ = Velocity([w], lr=0.25, momentum=0.9).step()
        >>> w
        tensor([0.5000], requires_grad=True)

    Source: Sutskever, Martens, Dahl and Hinton, On the Importance of Initialization and Momentum in Deep
    Learning (2013).
    """

    kept = ("velocity",)

    def __init__(self, params: Params, lr: float, momentum: float, weight_decay: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    def _update(self, group: dict[str, Any], params: Tensors, gradients: Tensors, *state: Any) -> None:
        _, velocity = state
        torch._foreach_mul_(velocity, group["momentum"])
        torch._foreach_add_(velocity, gradients, alpha=-group["lr"])
        torch._foreach_add_(params, velocity)


class Adaptive(_Recipe):
    """A step for every parameter of its own: θ ← θ − lr · m / (√r + eps), or / √(r + eps).

    r ← keep · r + add · g²; m ← beta · m + (1 − beta) · g. keep = add = 1 is AdaGrad, add = 1 − keep RMSProp,
    with beta > 0 Adam. With ``corrected``, m and r are divided by 1 − betaᵗ and 1 − keepᵗ, t from 1.

    Arguments:
        params: what to optimise, or groups of it.
        lr: learning rate.
        keep: how much of r is kept at a step.
        add: the weight of the new square.
        beta: how much of m is kept; 0: m is the gradient.
        corrected: whether the start at zero is corrected.
        eps: keeps the divisor from zero.
        eps_inside: whether eps stands under the root.
        weight_decay: added to the gradient as weight_decay · θ.

    Example:
        >>> w = torch.tensor([0.0], requires_grad=True)
        >>> w.grad = torch.tensor([5.0])
        >>> _ = Adaptive([w], lr=0.001, keep=0.999, add=0.001, beta=0.9, eps=0.0).step()
        >>> round(w.item(), 6)
        -0.003162

    Source: Duchi, Hazan and Singer, Adaptive Subgradient Methods (2011); Kingma and Ba, Adam (2015).
    """

    kept = ("mean", "square")

    def __init__(
        self,
        params: Params,
        lr: float,
        keep: float,
        add: float,
        beta: float = 0.0,
        corrected: bool = False,
        eps: float = 1e-8,
        eps_inside: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "keep": keep,
                "add": add,
                "beta": beta,
                "corrected": corrected,
                "eps": eps,
                "eps_inside": eps_inside,
                "weight_decay": weight_decay,
            },
        )

    def _update(self, group: dict[str, Any], params: Tensors, gradients: Tensors, *state: Any) -> None:
        steps, mean, square = state
        if group["keep"] != 1.0:
            torch._foreach_mul_(square, group["keep"])
        torch._foreach_addcmul_(square, gradients, gradients, group["add"])
        if group["beta"]:
            torch._foreach_lerp_(mean, gradients, 1 - group["beta"])
        else:
            mean = gradients
        rates = [-group["lr"]] * len(steps)
        if group["corrected"]:
            square = list(torch._foreach_div(square, [1 - group["keep"] ** t for t in steps]))
            rates = [-group["lr"] / (1 - group["beta"] ** t) for t in steps]
        if group["eps_inside"]:
            divisor = list(torch._foreach_add(square, group["eps"]))
            torch._foreach_sqrt_(divisor)
        else:
            divisor = list(torch._foreach_sqrt(square))
            torch._foreach_add_(divisor, group["eps"])
        torch._foreach_addcdiv_(params, mean, divisor, rates)


class LookAhead(torch.optim.Optimizer):
    """Nesterov's momentum as it is defined: v ← β v − lr · g, g = ∇f(θ + β v); θ ← θ + v.

    From the look-ahead point, where the parameters are at the time, the last line is a step of −lr · g.

    Arguments:
        params: what to optimise, or groups of it.
        lr: learning rate.
        momentum: β.
        weight_decay: adds weight_decay times the look-ahead point to the gradient.

    Example:
        >>> w = torch.tensor([1.0], requires_grad=True)
        >>> optimizer = LookAhead([w], lr=0.1, momentum=0.9)
        >>> def closure():
        ...     w.grad = w.detach().clone()
        >>> optimizer.step(closure)
        >>> optimizer.step(closure)
        >>> round(w.item(), 4)
        0.729

    Source: Nesterov (1983), in the form of Sutskever, Martens, Dahl and Hinton (2013).
    """

    def __init__(self, params: Params, lr: float, momentum: float, weight_decay: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]  # never without a closure
        """Evaluate the closure, which leaves gradients, at the look-ahead point, and update the parameters.

        Returns:
            what the closure returned: the loss at that point.
        """
        lists = []
        for group in self.param_groups:
            params = [p for p in group["params"] if p.requires_grad]
            lists.append((group, params, self._velocity(params)))
            torch._foreach_add_(params, lists[-1][2], alpha=group["momentum"])
        loss = torch.enable_grad()(closure)()
        for group, params, velocity in lists:
            gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in params]
            if group["weight_decay"]:
                gradients = list(torch._foreach_add(gradients, params, alpha=group["weight_decay"]))
            torch._foreach_mul_(velocity, group["momentum"])
            torch._foreach_add_(velocity, gradients, alpha=-group["lr"])
            torch._foreach_add_(params, gradients, alpha=-group["lr"])
        return loss

    def _velocity(self, params: Tensors) -> Tensors:
        for p in params:
            if not self.state[p]:
                self.state[p]["velocity"] = torch.zeros_like(p)
        return [self.state[p]["velocity"] for p in params]
