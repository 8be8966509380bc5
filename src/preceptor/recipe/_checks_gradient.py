"""The check of the gradient: backward passes against finite differences."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from preceptor.recipe import _trees as trees
from preceptor.recipe.check import Found, check, failed, passed, skipped
from preceptor.recipe.subject import Subject

__all__ = ["gradient_check"]

_FEW = 4  # examples
_MOST = 24  # parameters that are looked at, evenly spread
_STEP = 1e-6
_JITTER = 1e-3  # of a parameter's size: weights of exactly 0 stand on the kinks of ReLU
_TOLERANCE = 1e-3
_NOISE = 1e-7  # slopes below this share of the largest one are rounding


@check(
    "gradient-check",
    decides="whether backward passes give the slope of the loss, parameter by parameter",
    remedy="mend backward() of your autograd.Function; leave out .detach(), .data or a rounding on the way "
    "(a straight-through estimator differs on purpose)",
    source="Bengio, Practical Recommendations for Gradient-Based Training of Deep Architectures, 2012, "
    "section 4.1",
    stops=True,
)
def gradient_check(subject: Subject) -> Found:
    """Compare slopes along random directions with central differences, in float64 and evaluation mode."""
    model = subject.copy().eval().double()
    x, y = (trees.mapped(_doubled, part) for part in subject.some(_FEW))
    learned = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    if not learned:
        return skipped("nothing is learned")
    loss_of = _in_double(subject)
    _off_the_kinks([p for _, p in learned])

    def value() -> Tensor:
        return loss_of(model(x), y)

    with _double_by_default(), torch.enable_grad():
        try:
            loss = value()
        except (RuntimeError, TypeError) as error:
            return skipped(f"gradient not checked: no float64 ({str(error).partition(chr(10))[0][:80]})")
        found = (
            torch.autograd.grad(loss, [p for _, p in learned], allow_unused=True)
            if loss.requires_grad
            else None
        )
        slopes = [None] * len(learned) if found is None else list(found)
        errors = _errors(value, learned, slopes)
    worst = max(errors, key=errors.__getitem__)
    if errors[worst] > _TOLERANCE:
        return failed(
            f"gradient of {worst} is off by {min(errors[worst], 1.0):.0%}",
            errors={name: error for name, error in errors.items() if error > _TOLERANCE},
        )
    return passed("gradient check", worst=errors[worst], parameters=len(errors))


def _doubled(t: Tensor) -> Tensor:
    return t.double() if t.is_floating_point() else t


def _in_double(subject: Subject) -> Callable[[Any, Any], Tensor]:
    """Return the loss; of a module that holds weights, one that holds them in float64."""
    if isinstance(subject.criterion, nn.Module):
        return copy.deepcopy(subject.criterion).double()
    return subject.loss


@contextmanager
def _double_by_default() -> Iterator[None]:
    """Let tensors that a model makes for itself be float64 too."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@torch.no_grad()
def _off_the_kinks(parameters: list[nn.Parameter]) -> None:
    for p in parameters:
        spread = float(p.std()) if p.numel() > 1 else 0.0
        p.add_(torch.randn_like(p), alpha=_JITTER * (spread or 1.0))


def _errors(
    value: Callable[[], Tensor], learned: list[tuple[str, nn.Parameter]], slopes: Sequence[Tensor | None]
) -> dict[str, float]:
    """Return the relative error of each parameter's slope; a kink is told from a fault by another look."""
    every = max(1, -(-len(learned) // _MOST))
    chosen = [(name, p, g) for (name, p), g in zip(learned, slopes, strict=True)][::every]
    directions = {name: torch.randn_like(p) for name, p, _ in chosen}
    given = {n: 0.0 if g is None else float((g * directions[n]).sum()) for n, _, g in chosen}
    numeric = {name: _slope(value, p, directions[name], _STEP) for name, p, _ in chosen}
    largest = max(abs(v) for v in (*given.values(), *numeric.values()))
    errors = {}
    for name, p, _ in chosen:
        error = _relative(given[name], numeric[name], largest)
        if error > _TOLERANCE:
            error = min(
                error, _relative(given[name], _slope(value, p, directions[name], _STEP / 30), largest)
            )
        errors[name] = error
    return errors


def _relative(a: float, b: float, largest: float) -> float:
    return abs(a - b) / max(abs(a), abs(b), _NOISE * largest * 1e3, 1e-12)


@torch.no_grad()
def _slope(value: Callable[[], Tensor], p: nn.Parameter, direction: Tensor, step: float) -> float:
    """Return (L(p + h d) − L(p − h d)) / 2h."""
    before = p.detach().clone()
    p.add_(direction, alpha=step)
    up = float(value())
    p.copy_(before).add_(direction, alpha=-step)
    down = float(value())
    p.copy_(before)
    return (up - down) / (2 * step)
