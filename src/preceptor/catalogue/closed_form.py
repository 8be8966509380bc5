"""The closed form as an optimizer: one step to the minimum of a linear model's squared error."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from preceptor.catalogue._checks import check_choice, check_number
from preceptor.catalogue._registry import entry, find, registered
from preceptor.errors import ConfigError, ModelError

__all__ = ["ClosedForm"]

_ROUNDING = 1e-3  # how far a squared error's gradient may be from linear in float32


class _Pass:
    """What went into and out of the linear layer during one evaluation of the loss."""

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight
        self.layer: nn.Linear | None = None
        self.inputs: list[Tensor] = []
        self.outputs: list[Tensor] = []
        self.gradients: dict[int, Tensor] = {}

    def look(self, layer: nn.Module, inputs: Any, output: Any) -> None:
        if not isinstance(layer, nn.Linear) or layer.weight is not self.weight:
            return
        self.layer, index = layer, len(self.outputs)
        self.inputs.append(inputs[0].detach().reshape(-1, layer.in_features))
        self.outputs.append(output.detach().reshape(-1, layer.out_features))
        output.register_hook(lambda gradient: self.gradients.__setitem__(index, gradient))

    def collected(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return inputs (N, D), outputs (N, K) and the loss's gradient with respect to the outputs."""
        z = torch.cat(self.outputs).double()
        slopes = [self.gradients.get(i, torch.zeros_like(o)) for i, o in enumerate(self.outputs)]
        g = torch.cat([s.reshape(o.shape) for s, o in zip(slopes, self.outputs, strict=True)]).double()
        return torch.cat(self.inputs).double(), z, g


@registered(
    kind="optimizer",
    name="closed-form",
    aliases=("linear-solver", "exact-least-squares"),
    formula="W ← W + lr · (W* − W), W* = argmin of the mean squared error of z = X W + b, plus ½ "
    "weight_decay ‖W‖²; found by the named solver from [X 1] (qr, normal-equations, …) or its normal "
    "equations (lu, cholesky, conjugate-gradient, …)",
    shapes="weights (K, D) and bias (K,) of one linear layer, updated in place",
    when="linear and polynomial regression, ridge regression: exact after one epoch",
    pitfalls="only for squared errors of one linear layer, with the whole training set as one batch; "
    "refuses what is not, and a solver that would not converge",
    source="Legendre, 1805; Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, 2009, "
    "chapter 3",
    differs="the bias is not penalised; torch has no such optimizer, and scikit-learn's Ridge sums the "
    "errors: alpha = weight_decay · N · K / 2",
    example="""
        >>> layer, x = torch.nn.Linear(1, 1), torch.tensor([[0.0], [1.0], [2.0]])
        >>> optimizer = get('closed-form')(layer.parameters())
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = torch.nn.functional.mse_loss(layer(x), 1 + 2 * x)
        ...     loss.backward()
        ...     return loss
        >>> _ = optimizer.step(closure)
        >>> round(layer.weight.item(), 4), round(layer.bias.item(), 4)
        (2.0, 1.0)
        """,
    traits={"closure": "gradient", "batch": "full", "second_order": True, "objective": "least-squares"},
)
class ClosedForm(torch.optim.Optimizer):
    """Closed form of least squares: the exact weights of a linear model in one step."""

    def __init__(
        self, params: Iterable[Tensor], solver: str = "qr", lr: float = 1.0, weight_decay: float = 0.0
    ) -> None:
        usable = tuple(e.name for e in find(kind="solver") if "system" in e.traits)
        chosen = entry(solver, "solver").name if isinstance(solver, str) else solver
        check_choice("closed-form", "solver", chosen, usable)
        check_number("closed-form", "lr", lr, 0.0, 1.0)
        check_number("closed-form", "weight_decay", weight_decay, 0.0)
        super().__init__(params, {"solver": chosen, "lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor]) -> Tensor:  # type: ignore[override]  # never without a closure
        """Go to the minimum; return the loss from before.

        Raises:
            ConfigError: the loss is not a squared error of the outputs.
            ModelError: the model is more than one linear layer.
            DataError: the solver does not suit the data.
        """
        group = self.param_groups[0]
        weight, bias = self._layer()
        # First the weights as they are: whoever looks on takes the first loss of a step for the step's.
        loss, here = self._evaluate(closure, weight)
        X, z, g = here.collected()
        scale = self._curvature(closure, (weight, bias), z, g)
        targets = z - g / scale
        ones = X.new_ones(len(X), 1 if bias is not None else 0)
        W = _solve(
            group["solver"], torch.cat([X, ones], 1), targets, X.shape[1], group["weight_decay"] / scale
        )
        weight += group["lr"] * (W[: X.shape[1]].T.to(weight) - weight)
        if bias is not None:
            bias += group["lr"] * (W[-1].to(bias) - bias)
        return loss

    def _curvature(
        self, closure: Callable[[], Tensor], held: tuple[Tensor, Tensor | None], z: Tensor, g: Tensor
    ) -> float:
        """Return c of the loss ½ c ‖z − y‖², from its gradient here and aside; refuse another loss."""
        norm, size = torch.linalg.vector_norm, 1.0
        for _ in range(2):
            z1, g1 = self._aside(closure, held, size)
            moved, turned = z1 - z, g1 - g
            c = float((moved * turned).sum() / moved.square().sum().clamp_min(1e-300))
            if c > 0 and float(norm(turned - c * moved)) <= _ROUNDING * float(norm(turned)):
                return c
            if not c > 0:
                break
            # Beside large residuals the change may have drowned in rounding: move as far as they are.
            size *= max(1.0, float(norm(g) / (c * norm(moved))))
        raise ConfigError(
            "the closed form needs a squared error",
            expected="a loss ½ c ‖z − y‖² of the linear layer's outputs z, as mse is",
            received="a loss whose gradient is not linear in the outputs",
            hint='loss="mse" for numbers; "l-bfgs" finds the minimum of other convex losses',
        )

    def _aside(
        self, closure: Callable[[], Tensor], held: tuple[Tensor, Tensor | None], size: float
    ) -> tuple[Tensor, Tensor]:
        """Return outputs and gradient with all weights moved by one amount; put the weights back."""
        moved = [p for p in held if p is not None]
        before = [p.clone() for p in moved]
        try:
            for p in moved:
                p += size * (1 + p.abs().max()) / held[0].shape[1] ** 0.5
            _, z, g = self._evaluate(closure, held[0])[1].collected()
        finally:
            for p, old in zip(moved, before, strict=True):
                p.copy_(old)
        return z, g

    def _layer(self) -> tuple[Tensor, Tensor | None]:
        held = [p for group in self.param_groups for p in group["params"]]
        matrices = [p for p in held if p.ndim == 2]
        biases = [p for p in held if p.ndim == 1]
        if len(matrices) == 1 and len(biases) <= 1 and len(held) == len(matrices) + len(biases):
            return matrices[0], biases[0] if biases else None
        raise ModelError(
            "the closed form needs a linear model",
            expected="the weights of one nn.Linear, with or without its bias",
            received="parameters of shapes " + ", ".join(str(tuple(p.shape)) for p in held[:6]),
            hint='model="linear", or an optimizer such as "l-bfgs"',
        )

    @staticmethod
    def _evaluate(closure: Callable[[], Tensor], weight: Tensor) -> tuple[Tensor, _Pass]:
        seen = _Pass(weight)
        handle = register_module_forward_hook(seen.look)
        try:
            with torch.enable_grad():
                loss = closure().detach()
        finally:
            handle.remove()
        if seen.layer is None or not seen.gradients:
            raise ModelError(
                "the closed form needs a linear model",
                expected="a loss that is computed from the outputs of one nn.Linear",
                received="no call of an nn.Linear with these weights",
                hint='model="linear"',
            )
        return loss, seen


def _solve(name: str, X: Tensor, Y: Tensor, features: int, penalty: float) -> Tensor:
    solver = entry(name, "solver")
    weights = torch.zeros(X.shape[1], dtype=X.dtype, device=X.device)
    weights[:features] = penalty
    if solver.traits["system"] == "square":
        gram = X.T @ X
        found = solver.build(gram + weights.diag(), X.T @ Y)
    else:
        rows = weights.sqrt().diag()[:features] if penalty > 0 else X[:0]
        found = solver.build(torch.cat([X, rows]), torch.cat([Y, Y.new_zeros(len(rows), Y.shape[1])]))
    x: Tensor = found.x
    return x
