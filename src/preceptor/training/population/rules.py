"""Update rules over the weights of all members at once, each with its own numbers.

Weights θ, gradients g and what a rule remembers are lists with a tensor (M, n) for each parameter: a row a
member. A member's numbers are columns, (M, 1), so that every line below is the formula of one training,
written once for all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

import torch
from torch import Tensor
from torch.optim import Optimizer

__all__ = ["RULES", "Columns", "Rule", "rule_for"]

Columns: TypeAlias = dict[str, Tensor]
Tensors: TypeAlias = list[Tensor]

_SMALLEST = 1e-30  # a rate of zero, by which nothing can be divided


class Rule(ABC):
    """One optimizer for M members.

    Arguments:
        groups: of each member the numbers, as torch's ``param_groups[0]`` holds them.
        weights: (M, n) each.
    """

    numbers: ClassVar[tuple[str, ...]]  # what members may have of their own, beside lr

    def __init__(self, groups: Sequence[Mapping[str, Any]], weights: Tensors) -> None:
        self.steps = 0
        self.own = {
            name: torch.tensor([_number(group, name) for group in groups], dtype=torch.float64)
            for name in self.numbers
        }
        self.flags = {name: value for name, value in groups[0].items() if isinstance(value, bool)}
        self.state = {name: [torch.zeros_like(w) for w in weights] for name in self.kept()}

    @abstractmethod
    def kept(self) -> tuple[str, ...]:
        """Return the names of what is remembered of each weight."""

    @abstractmethod
    def prepare(self, rates: Tensor, first: int) -> Columns:
        """Return what each of the next steps needs, (S, M), given lr of the same shape; t counts from 1."""

    @abstractmethod
    def update(self, weights: Tensors, grads: Tensors, now: Columns) -> None:
        """Take one step; ``grads`` may be overwritten."""

    def plan(self, rates: Tensor, like: Tensor) -> list[Columns]:
        """Return the columns of each of the next S steps, from their rates (S, M) in float64."""
        tables = {
            name: values.to(like).unsqueeze(-1).unbind()
            for name, values in self.prepare(rates, self.steps + 1).items()
        }
        self.steps += len(rates)
        return [dict(zip(tables, values, strict=True)) for values in zip(*tables.values(), strict=True)]

    def keep(self, rows: Tensor) -> None:
        """Go on with some of the members."""
        self.own = {name: values[rows.cpu()] for name, values in self.own.items()}
        self.state = {name: [value[rows] for value in values] for name, values in self.state.items()}

    def has(self, name: str) -> bool:
        """Say whether some member has this number, other than zero."""
        return bool(self.own[name].any())

    def _where_used(self, rates: Tensor, *names: str) -> Columns:
        return {name: self.own[name].expand_as(rates) for name in names if self.has(name)}


def _number(group: Mapping[str, Any], name: str) -> float:
    return float(group["betas"][name == "beta2"] if name.startswith("beta") else group[name])


def _decay(weights: Tensors, grads: Tensors, now: Columns) -> None:
    """Add weight_decay · θ to the gradient."""
    if "weight_decay" in now:
        for weight, grad in zip(weights, grads, strict=True):
            grad.addcmul_(weight, now["weight_decay"])


class SGD(Rule):
    """v ← μ v + g; θ ← θ − lr · v, or with nesterov θ ← θ − lr · (g + μ v); g includes weight_decay · θ."""

    numbers = ("weight_decay", "momentum")

    def kept(self) -> tuple[str, ...]:
        """Return the velocity, where there is momentum."""
        return ("velocity",) if self.has("momentum") else ()

    def prepare(self, rates: Tensor, first: int) -> Columns:
        """Return −lr, and what members have of momentum and decay."""
        return {"rate": -rates, **self._where_used(rates, "weight_decay", "momentum")}

    def update(self, weights: Tensors, grads: Tensors, now: Columns) -> None:
        """Take one step."""
        _decay(weights, grads, now)
        if "momentum" in now:
            for velocity, grad in zip(self.state["velocity"], grads, strict=True):
                velocity.mul_(now["momentum"]).add_(grad)
                if self.flags["nesterov"]:
                    grad.addcmul_(velocity, now["momentum"])
            grads = grads if self.flags["nesterov"] else self.state["velocity"]
        for weight, step in zip(weights, grads, strict=True):
            weight.addcmul_(step, now["rate"])


class Adam(Rule):
    """m ← β₁ m + (1 − β₁) g; v ← β₂ v + (1 − β₂) g²; θ ← θ − lr · m̂ / (√v̂ + eps).

    m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ). The quotient is computed as m / (c √v + d), which is the same with
    c = −(1 − β₁ᵗ) / (lr √(1 − β₂ᵗ)), d = −eps (1 − β₁ᵗ) / lr. Where members differ in lr and decay alone,
    torch's fused kernel finds the quotient: a step of rate 1 and decay 1, which forgets the step before.
    """

    numbers = ("weight_decay", "beta1", "beta2", "eps")
    decoupled: ClassVar[bool] = False

    def __init__(self, groups: Sequence[Mapping[str, Any]], weights: Tensors) -> None:
        super().__init__(groups, weights)
        alike = all(len(self.own[name].unique()) == 1 for name in ("beta1", "beta2", "eps"))
        self._fused: dict[str, Any] | None = None
        if alike and not self.flags["amsgrad"]:
            shared = {name: float(self.own[name][0]) for name in ("beta1", "beta2", "eps")}
            self._fused = {"lr": 1.0, "weight_decay": 1.0, "amsgrad": False, "maximize": False, **shared}
            self._step = torch.zeros((), device=weights[0].device)
            self._moves = [torch.zeros_like(weight) for weight in weights]

    def kept(self) -> tuple[str, ...]:
        """Return mean and square, with amsgrad the largest square."""
        return ("mean", "square", "largest") if self.flags["amsgrad"] else ("mean", "square")

    def prepare(self, rates: Tensor, first: int) -> Columns:
        """Return the weights of the new values, c and d, or lr itself, and what members have of decay."""
        decay = self._where_used(rates, "weight_decay")
        if decay and self.decoupled:
            decay = {"shrink": 1 - rates * decay["weight_decay"]}
        if self._fused is not None:
            return {"rate": rates, **decay}
        t = torch.arange(first, first + len(rates), dtype=torch.float64)[:, None]
        own = self.own
        scale = -(1 - own["beta1"] ** t) / rates.clamp(min=_SMALLEST)
        return {
            "new_mean": (1 - own["beta1"]).expand_as(rates),
            "new_square": (1 - own["beta2"]).expand_as(rates),
            "root": scale / (1 - own["beta2"] ** t).sqrt(),
            "eps": scale * own["eps"],
            **decay,
        }

    def update(self, weights: Tensors, grads: Tensors, now: Columns) -> None:
        """Take one step."""
        _decay(weights, grads, now)
        if "shrink" in now:
            for weight in weights:
                weight.mul_(now["shrink"])
        if self._fused is not None:
            self._update_fused(weights, grads, now, self._fused)
            return
        for at, (weight, grad) in enumerate(zip(weights, grads, strict=True)):
            mean = self.state["mean"][at].lerp_(grad, now["new_mean"])
            square = self.state["square"][at].lerp_(grad.square(), now["new_square"])
            if self.flags["amsgrad"]:
                largest = self.state["largest"][at]
                square = torch.maximum(largest, square, out=largest)
            divisor = torch.sqrt(square, out=grad).mul_(now["root"]).add_(now["eps"])
            weight.addcdiv_(mean, divisor)

    def _update_fused(self, weights: Tensors, grads: Tensors, now: Columns, shared: dict[str, Any]) -> None:
        self._step.add_(1)
        steps = [self._step] * len(weights)
        mean, square, moves = self.state["mean"], self.state["square"], self._moves
        torch._fused_adamw_(moves, grads, mean, square, [], steps, **shared)
        for weight, move in zip(weights, moves, strict=True):
            weight.addcmul_(move, now["rate"])

    def keep(self, rows: Tensor) -> None:
        """Go on with some of the members."""
        super().keep(rows)
        if self._fused is not None:
            self._moves = [move[rows] for move in self._moves]


class AdamW(Adam):
    """Adam, with θ ← θ − lr · weight_decay · θ apart from the gradient."""

    decoupled = True


class RMSprop(Rule):
    """r ← α r + (1 − α) g²; θ ← θ − lr · g / (√r + eps), centred and with momentum where so asked."""

    numbers = ("weight_decay", "alpha", "eps", "momentum")

    def kept(self) -> tuple[str, ...]:
        """Return the square, and what centring and momentum need."""
        own = ("mean",) if self.flags["centered"] else ()
        return ("square", *own, *(("velocity",) if self.has("momentum") else ()))

    def prepare(self, rates: Tensor, first: int) -> Columns:
        """Return −lr, 1 − α and eps, and what members have of momentum and decay."""
        return {
            "rate": -rates,
            "new_square": (1 - self.own["alpha"]).expand_as(rates),
            "eps": self.own["eps"].expand_as(rates),
            **self._where_used(rates, "weight_decay", "momentum"),
        }

    def update(self, weights: Tensors, grads: Tensors, now: Columns) -> None:
        """Take one step."""
        _decay(weights, grads, now)
        for at, (weight, grad) in enumerate(zip(weights, grads, strict=True)):
            spread = self.state["square"][at].lerp_(grad.square(), now["new_square"])
            if self.flags["centered"]:
                mean = self.state["mean"][at].lerp_(grad, now["new_square"])
                spread = spread - mean.square()
            step = grad.div_(spread.sqrt().add_(now["eps"]))
            if "momentum" in now:
                step = self.state["velocity"][at].mul_(now["momentum"]).add_(step)
            weight.addcmul_(step, now["rate"])


RULES: Mapping[type[Optimizer], type[Rule]] = {
    torch.optim.SGD: SGD,
    torch.optim.Adam: Adam,
    torch.optim.AdamW: AdamW,
    torch.optim.RMSprop: RMSprop,
}
"""The optimizers of torch whose rule is written for many members."""


def rule_for(optimizers: Sequence[Optimizer], weights: Tensors) -> Rule:
    """Return the rule of some optimizers of one class, each with its own numbers."""
    return RULES[type(optimizers[0])]([o.param_groups[0] for o in optimizers], weights)
