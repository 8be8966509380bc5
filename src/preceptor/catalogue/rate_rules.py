"""Rules about learning rates: how they scale with the batch, what they amount to, whether they converge."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from preceptor.catalogue._checks import check_count
from preceptor.catalogue._registry import entry, registered
from preceptor.errors import ConfigError

__all__ = [
    "StepSizes",
    "effective_rate",
    "epsilon_placement",
    "linear_scaling",
    "robbins_monro",
    "square_root_scaling",
]

_KIND = "rate-rule"
_Scaled = Callable[[float, int], float]
_NORMS = (
    nn.modules.batchnorm._BatchNorm,
    nn.modules.instancenorm._InstanceNorm,
    nn.LayerNorm,
    nn.GroupNorm,
)
_WEIGHTED = (nn.Linear, nn.modules.conv._ConvNd)
_BLOCKS = 40  # dyadic blocks of epochs whose sums are compared
_SAMPLES = 256  # rates looked at in each
_CLOSE = 1e-3  # ratios this near to one count as one


def _scaled(owner: str, base_batch: int, power: float) -> _Scaled:
    check_count(owner, "base_batch", base_batch)

    def scaled(lr: float, batch: int) -> float:
        return float(lr * (check_count(owner, "batch", batch) / base_batch) ** power)

    return scaled


@registered(
    kind=_KIND,
    name="linear-scaling",
    aliases=("linear-scaling-rule", "batch-scaling", "sch-batch"),
    formula="lr(S) = lr · S / base_batch",
    shapes="(lr, batch size S) → lr",
    when="SGD with a larger or smaller batch than lr was found for",
    pitfalls="holds while lr(S) · λ < 2, λ the largest curvature: beyond that it diverges; large batches "
    "need a warm-up",
    source="Goyal et al., Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour, 2017",
    example=">>> get('linear-scaling', base_batch=32)(0.1, 128)\n0.4",
)
def linear_scaling(base_batch: int = 32) -> _Scaled:
    """The learning rate grows in proportion to the batch."""
    return _scaled("linear-scaling", base_batch, 1.0)


@registered(
    kind=_KIND,
    name="square-root-scaling",
    aliases=("sqrt-scaling",),
    formula="lr(S) = lr · √(S / base_batch)",
    shapes="(lr, batch size S) → lr",
    when="Adam and its kin with a larger or smaller batch than lr was found for",
    pitfalls="holds while the noise of the gradient outweighs its mean",
    source="Malladi, Lyu, Panigrahi and Arora, On the SDEs and Scaling Rules for Adaptive Gradient "
    "Algorithms, 2022",
    example=">>> get('square-root-scaling', base_batch=32)(0.001, 128)\n0.002",
)
def square_root_scaling(base_batch: int = 32) -> _Scaled:
    """The learning rate grows with the root of the batch."""
    return _scaled("square-root-scaling", base_batch, 0.5)


@registered(
    kind=_KIND,
    name="effective-rate",
    aliases=("effective-learning-rate", "implicit-decay", "bn-implicit"),
    formula="lr / ‖w‖² for weights w that a normalisation follows: their scale does not matter, so a step "
    "turns them by that much, and growing weights are a falling rate",
    shapes="(model, lr) → {name of the weight: effective rate}",
    when="networks with batch normalisation: to see the decay that no schedule shows",
    pitfalls="a normalisation counts where it stands right after the layer; weight decay keeps ‖w‖ from "
    "growing, and so the effective rate up",
    source="van Laarhoven, L2 Regularization versus Batch and Weight Normalization, 2017",
    example="""
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 1))
        >>> _ = torch.nn.init.constant_(model[0].weight, 0.5)
        >>> {name: round(rate, 4) for name, rate in get('effective-rate')(model, 0.3).items()}
        {'0.weight': 0.2}
        """,
)
def effective_rate() -> Callable[[nn.Module, float], dict[str, float]]:
    """The learning rate that normalised weights are really trained with."""

    def rates(model: nn.Module, lr: float) -> dict[str, float]:
        leaves = [(name, m) for name, m in model.named_modules() if not any(m.children())]
        found = {}
        for (name, layer), (_, after) in pairwise(leaves):
            if isinstance(layer, _WEIGHTED) and isinstance(after, _NORMS):
                norm = float(layer.weight.detach().square().sum())
                found[f"{name}.weight" if name else "weight"] = lr / norm if norm else math.inf
        return found

    return rates


@registered(
    kind=_KIND,
    name="epsilon-placement",
    aliases=("eps-place", "eps-inside"),
    formula="√r + eps; with inside: √(r + eps); the two agree for r ≫ eps and differ for r ≈ eps²",
    shapes="(mean square r of any shape, eps) → divisor of the same shape",
    when="to carry over a recipe: adagrad, rmsprop and adam take eps_inside",
    pitfalls="eps = 1e-8 inside the root acts as 1e-4 outside: small gradients move much less",
    source="Kingma and Ba, Adam, 2015 (outside); Tieleman and Hinton, lecture 6.5, 2012",
    example="""
        >>> r = torch.tensor([1e-16, 1.0])
        >>> [f'{d:.1e}' for d in get('epsilon-placement')(r, 1e-8).tolist()]
        ['2.0e-08', '1.0e+00']
        >>> [f'{d:.1e}' for d in get('epsilon-placement', inside=True)(r, 1e-8).tolist()]
        ['1.0e-04', '1.0e+00']
        """,
)
def epsilon_placement(inside: bool = False) -> Callable[[Tensor, float], Tensor]:
    """Where the constant stands that keeps an adaptive step's divisor from zero."""
    return (lambda r, eps: (r + eps).sqrt()) if inside else (lambda r, eps: r.sqrt() + eps)


@dataclass(frozen=True)
class StepSizes:
    """What the rates α_n of a run without end add up to.

    Attributes:
        sum_diverges: Σ α_n = ∞, so that any distance can be covered.
        squares_converge: Σ α_n² < ∞, so that the noise dies down.
    """

    sum_diverges: bool
    squares_converge: bool

    @property
    def converges(self) -> bool:
        """Whether both hold: stochastic gradient descent then reaches the minimum of a convex function."""
        return self.sum_diverges and self.squares_converge

    def __str__(self) -> str:
        if self.converges:
            return (
                "Σα = ∞ and Σα² < ∞: converges on convex problems (to the global minimum if strictly convex)"
            )
        if not self.sum_diverges:
            return "Σα < ∞: may stop before it has arrived"
        return "Σα² = ∞: the noise does not die down for certain"


@registered(
    kind=_KIND,
    name="robbins-monro",
    aliases=("robbins", "robbins-monro-conditions", "step-size-conditions"),
    formula="α_n > 0, Σ α_n = ∞ and Σ α_n² < ∞; decided by Cauchy's blocks B_k = Σ α_n over epochs 2ᵏ…2ᵏ⁺¹: "
    "the sum is infinite where B_(k+1)/B_k does not stay below 1",
    shapes="(schedule's name or a function of the epoch, the schedule's options) → StepSizes",
    when="to know what a schedule promises on a convex problem with noisy gradients",
    pitfalls="a condition on a run without end: within one, a constant rate may well be the best; the "
    "minimum is the global one for strictly convex functions, elsewhere a critical point",
    source="Robbins and Monro, A Stochastic Approximation Method, 1951",
    example="""
        >>> audit = get('robbins-monro')
        >>> print(audit('inverse-time'))
        Σα = ∞ and Σα² < ∞: converges on convex problems (to the global minimum if strictly convex)
        >>> print(audit('exponential'))
        Σα < ∞: may stop before it has arrived
        """,
)
def robbins_monro() -> Callable[..., StepSizes]:
    """The conditions on step sizes under which stochastic gradient descent converges."""

    def audit(schedule: str | Callable[[int], float], **options: Any) -> StepSizes:
        rate = _by_name(schedule, options) if isinstance(schedule, str) else schedule
        return StepSizes(_ratio(rate, 1) >= 1 - _CLOSE, _ratio(rate, 2) <= 1 - _CLOSE)

    return audit


def _by_name(name: str, options: dict[str, Any]) -> Callable[[int], float]:
    """Return the rate over epochs of a schedule of the catalogue, for an lr of one."""
    found = entry(name, "schedule")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    made = found.factory(optimizer, total_steps=100, steps_per_epoch=1, **found.options(**options))
    if not isinstance(made, LambdaLR):
        raise ConfigError(
            f"what {name} adds up to is not known beforehand",
            expected="a schedule that is a function of the epoch",
            received=f"{name}, which follows a measured value",
        )
    rate: Callable[[int], float] = made.lr_lambdas[0]
    return rate


def _ratio(rate: Callable[[int], float], power: int) -> float:
    """Return the ratio of the last two dyadic blocks of Σ rateᵖ; 0 where nothing is left to add."""
    before, last = (_block(rate, k, power) for k in (_BLOCKS - 2, _BLOCKS - 1))
    return last / before if before > 0 else 0.0


def _block(rate: Callable[[int], float], k: int, power: int) -> float:
    size = 1 << k
    # Multiples of the golden section, which no cycle of the schedule can keep step with.
    at = [size + int(size * ((j * 0.6180339887498949) % 1)) for j in range(_SAMPLES)]
    return size * math.fsum(rate(n) ** power for n in at) / _SAMPLES
