"""What drops more than units: single connections, or whole layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from preceptor.catalogue._checks import check_choice, check_count, check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.activations import make_activation
from preceptor.catalogue.layers.skip import Residual
from preceptor.catalogue.regularizers.moments import Regularizer
from preceptor.errors import ModelError

__all__ = ["DropConnect", "DropConnectLayer", "StochasticDepth"]

_WAN = "Wan et al., Regularization of Neural Networks using DropConnect, 2013"


def _masked(weight: Tensor, p: float) -> Tensor:
    return functional.dropout(weight, p, training=True)


class _Mask:
    """Hooks of a layer: its weights are masked for the length of a forward pass in training."""

    def __init__(self, p: float) -> None:
        self.p = p

    def before(self, layer: nn.Module, inputs: object) -> None:
        if layer.training:
            self.whole = layer._parameters["weight"]
            assert self.whole is not None  # noqa: S101 - a linear layer has weights
            layer._parameters["weight"] = _masked(self.whole, self.p)  # type: ignore[assignment]  # not a leaf, for a while

    def after(self, layer: nn.Module, inputs: object, output: object) -> None:
        if layer.training:
            layer._parameters["weight"] = self.whole


@registered(
    kind="regularizer",
    name="dropconnect",
    aliases=("drop-connect",),
    formula="training: y = ((m ∘ W) / (1 − p)) x + b, m of the shape of W, 0 with probability p, anew for "
    "each "
    "batch; test: y = W x + b, the mean over all masks",
    shapes="acts on every fully connected layer of a model but the last",
    when="as dropout, on networks with few fully connected layers",
    pitfalls="a mask for each example, as in the paper, would take as many matrices as examples: here a "
    "batch "
    "shares one; the mean of the outputs is not the output of the mean behind a non-linearity, for which the "
    "layer dropconnect-layer has Gaussian moments",
    source=_WAN,
    example=">>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))\n"
    ">>> _ = get('dropconnect').attach(model)\n>>> model(torch.ones(1, 2)).shape\ntorch.Size([1, 1])",
    traits={"moment": "attach", "random": True, "model": True},
)
class DropConnect(Regularizer):
    """DropConnect: random weights, not units, are silenced in training."""

    def __init__(self, p: float = 0.5) -> None:
        self.p = check_number("dropconnect", "p", p, 0.0, 0.999)

    def attach(self, model: nn.Module) -> DropConnect:
        """Hook the mask into the layers."""
        layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
        if len(layers) < 2:
            raise ModelError(
                "dropconnect finds no hidden layer",
                expected="at least one fully connected layer before the last",
                received=f"{len(layers)} fully connected layers",
            )
        for layer in layers[:-1]:
            mask = _Mask(self.p)
            layer.register_forward_pre_hook(mask.before)
            layer.register_forward_hook(mask.after, always_call=True)
        return self


@registered(
    kind="layer",
    name="dropconnect-layer",
    formula="training: y = f(((m ∘ W) / (1 − p)) x + b); test: inference='mean': f(W x + b); 'moments': "
    "E[f(u)], u ~ N(W x + b, p / (1 − p) · W² x²) with the squares taken element by element, by "
    "Gauss–Hermite "
    "quadrature",
    shapes="(N, in_features) → (N, out_features)",
    when="to see what Gaussian-moment inference changes",
    pitfalls="the outputs are only nearly normal where few inputs count",
    source=_WAN,
    differs="the paper draws samples of u; the quadrature has no noise",
    example=">>> layer = get('dropconnect-layer', 4, 3, inference='moments').eval()\n"
    ">>> layer(torch.zeros(2, 4)).shape\ntorch.Size([2, 3])",
    traits={"arguments": (4, 3), "takes": (5, 4), "gives": (5, 3)},
)
class DropConnectLayer(nn.Linear):
    """DropConnect layer: a fully connected layer with masked weights and an activation."""

    nodes: Tensor
    shares: Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        p: float = 0.5,
        activation: str | nn.Module | Callable[[], nn.Module] = "relu",
        inference: str = "mean",
        bias: bool = True,
    ) -> None:
        owner = "dropconnect-layer"
        super().__init__(in_features, check_count(owner, "out_features", out_features), bias=bias)
        self.p = check_number(owner, "p", p, 0.0, 0.999)
        self.activation = make_activation(activation)
        self.moments = check_choice(owner, "inference", inference, ("mean", "moments")) == "moments"
        nodes, shares = np.polynomial.hermite_e.hermegauss(32)
        self.register_buffer("nodes", torch.from_numpy(nodes), persistent=False)
        self.register_buffer("shares", torch.from_numpy(shares / shares.sum()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Mask the weights in training; in evaluation take the mean, or the Gaussian's expectation."""
        if self.training:
            return self._activated(functional.linear(x, _masked(self.weight, self.p), self.bias))
        mean = functional.linear(x, self.weight, self.bias)
        if not self.moments:
            return self._activated(mean)
        deviation = (self.p / (1 - self.p) * functional.linear(x.square(), self.weight.square())).sqrt()
        values = mean + deviation * self.nodes.to(x.dtype).reshape(-1, *[1] * mean.ndim)
        expected: Tensor = torch.tensordot(self.shares.to(x.dtype), self._activated(values), dims=1)
        return expected

    def _activated(self, u: Tensor) -> Tensor:
        result: Tensor = self.activation(u)
        return result


@registered(
    kind="regularizer",
    name="stochastic-depth",
    aliases=("stoch-depth", "drop-path", "droppath"),
    formula="residual block l of L survives a batch with probability p_l = 1 − l / L · (1 − last) "
    "(rule='linear') "
    "or last ('uniform'); training: y = x + b · f(x), b = 1 with probability p_l, else 0 and f is not "
    "computed; test: y = x + p_l · f(x). Expected depth Σ p_l",
    shapes="acts on the residual connections and blocks of a model",
    when="very deep residual networks: trains faster, and as an ensemble of shallower ones",
    pitfalls="needs residual blocks; the test output has the factors p_l, so that a network trained with "
    "it is "
    "another one without",
    source="Huang et al., Deep Networks with Stochastic Depth, 2016",
    differs="timm's DropPath drops single examples and divides by p_l in training: no factor at test, no "
    "time "
    "saved",
    example=">>> model = torch.nn.Sequential(*[get('residual-connection', torch.nn.Tanh()) for _ in "
    "range(4)])\n"
    ">>> get('stochastic-depth', last=0.6).attach(model).survivals\n[0.9, 0.8, 0.7, 0.6]",
    traits={"moment": "attach", "random": True, "model": True},
)
class StochasticDepth(Regularizer):
    """Stochastic depth: whole residual blocks are left out in training, late ones more often."""

    def __init__(self, last: float = 0.5, rule: str = "linear") -> None:
        self.last = check_number("stochastic-depth", "last", last, 1e-3, 1.0)
        self.rule = check_choice("stochastic-depth", "rule", rule, ("linear", "uniform"))

    def attach(self, model: nn.Module) -> StochasticDepth:
        """Tell each residual block how likely it survives."""
        blocks: list[Any] = [module for module in model.modules() if isinstance(module, Residual)]
        if not blocks:
            raise ModelError(
                "stochastic-depth finds no residual blocks",
                expected="residual connections or blocks of the catalogue",
                received=type(model).__name__,
                hint="get('residual-connection', branch) makes one",
            )
        count = len(blocks)
        self.survivals = [
            round(self.last if self.rule == "uniform" else 1 - l / count * (1 - self.last), 12)
            for l in range(1, count + 1)  # noqa: E741 - the layer's index
        ]
        for block, survival in zip(blocks, self.survivals, strict=True):
            block.survival = survival
        return self
