"""Parameters that stand apart: frozen, held by no optimizer, or reached by no gradient."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from preceptor.observation._graph_leaves import version_of
from preceptor.observation.look import Look
from preceptor.observation.probes._tensors import dense_sample, floating, single

__all__ = ["Apart", "drawn"]

_PARAMETERS, _TOLD, _MEASURED = 4000, 300, 64
_FEW, _SIDE, _LEAST, _ENOUGH, _MOST = 16, 64, 16, 256, 4096


@dataclass
class _Parameter:
    """A parameter of which something is open still."""

    ref: weakref.ref[Tensor]
    row: dict[str, Any]
    version: int
    few: list[float] = field(default_factory=list)
    told: bool = False
    asked: bool = False


class Apart:
    """Rows about parameters that are frozen, that no optimizer has held, or that no gradient has reached.

    ``name``, ``module`` and its ``class``, ``shape``, ``trainable`` = at some look, ``held`` = number of the
    first optimizer that was seen to hold it, None without one, ``reached`` = had a gradient at some look,
    ``changed`` = has other values than when first looked at, ``drawn`` = see `drawn`, None where it was not
    measured. What is trainable, held and reached has no row, or one that says so if that came later.
    """

    def __init__(self) -> None:
        self._open: dict[int, _Parameter] = {}
        self._met: dict[int, weakref.ref[Tensor]] = {}
        self._held: dict[int, tuple[weakref.ref[Any], int, frozenset[int]]] = {}
        self._left, self._told = _MEASURED, 0

    def meet(self, parameter: Tensor, name: str, module: dict[str, Any]) -> None:
        """Keep an eye on a parameter."""
        known = self._met.get(id(parameter))
        if (known is not None and known() is parameter) or len(self._open) >= _PARAMETERS:
            return
        row: dict[str, Any] = {"name": name, "module": module["name"], "class": module["class"]}
        row |= {"shape": [] if nn.parameter.is_lazy(parameter) else list(parameter.shape)}
        row |= {"trainable": False, "held": None, "reached": False, "changed": False, "drawn": None}
        ref = self._met[id(parameter)] = weakref.ref(parameter)
        self._open[id(parameter)] = _Parameter(ref, row, version_of(parameter))

    def look(self, look: Look, facts: dict[str, Any]) -> None:
        """See how things stand at the end of a training step."""
        if not self._open:
            return
        held, looks = self._in_optimizers(look), facts["looks"]
        closely = looks & (looks - 1) == 0  # at looks 1, 2, 4, 8, …
        for key, one in list(self._open.items()):
            parameter, row = one.ref(), one.row
            if parameter is None:
                del self._open[key]
                continue
            row["trainable"] = row["trainable"] or parameter.requires_grad
            if row["held"] is None:
                row["held"] = next((number for number, ids in held if key in ids), None)
            row["reached"] = row["reached"] or parameter.grad is not None
            row["changed"] = row["changed"] or version_of(parameter) != one.version
            if row["trainable"] and row["held"] is not None and row["reached"]:
                del self._open[key]
            elif self._tell(one, facts) and closely:
                self._measure(look, one, parameter)

    def _tell(self, one: _Parameter, facts: dict[str, Any]) -> bool:
        if not one.told and self._told < _TOLD:
            one.told = True
            self._told += 1
            facts["parameters"].append(one.row)
        return one.told

    def _in_optimizers(self, look: Look) -> list[tuple[int, frozenset[int]]]:
        """Number of each optimizer that lives, and identities of its parameters."""
        found: list[tuple[int, frozenset[int]]] = []
        for optimizer, number in look.optimizers():
            count = sum(len(group["params"]) for group in optimizer.param_groups)
            known = self._held.get(number)
            if known is None or known[0]() is not optimizer or known[1] != count:
                ids = frozenset(id(p) for group in optimizer.param_groups for p in group["params"])
                known = self._held[number] = weakref.ref(optimizer), count, ids
            found.append((number, known[2]))
        return found

    def _measure(self, look: Look, one: _Parameter, parameter: Tensor) -> None:
        """Compare a few elements with what they were, and once see whether they look drawn at random."""
        if not floating(parameter):
            return
        look.later(single(dense_sample(parameter.detach(), _FEW)).clone(), _comparing(one))
        # at the second look at the earliest: at the first one an optimizer may not have been seen yet
        if one.few and not one.asked and self._left > 0 and parameter.numel() >= _LEAST:
            one.asked = True
            self._left -= 1
            rows, columns, measured = _spread(parameter.detach())
            look.later(measured, _drawing(one.row, rows, columns))


def _comparing(one: _Parameter) -> Callable[[list[float]], None]:
    def compare(values: list[float]) -> None:
        one.row["changed"] = one.row["changed"] or bool(one.few and one.few != values)
        one.few = one.few or values

    return compare


def _spread(parameter: Tensor) -> tuple[int, int, Tensor]:
    """At most 4,096 elements as rows × columns: extremes, moments, and how unequal rows and columns are."""
    matrix = parameter.reshape(parameter.shape[0], -1) if parameter.dim() > 1 else parameter.reshape(1, -1)
    width = min(matrix.shape[1], _SIDE)
    values = single(matrix[: _MOST // width, :width]).double()
    squares = values * values
    moments = torch.stack([values.min(), values.max(), values.mean(), squares.mean(), (squares**2).mean()])
    energies = torch.stack([squares.mean(side).var(correction=0) for side in (1, 0)])
    return values.shape[0], values.shape[1], torch.cat([moments, energies])


def _drawing(row: dict[str, Any], rows: int, columns: int) -> Callable[[list[float]], None]:
    def tell(values: list[float]) -> None:
        found = drawn(rows, columns, *values)
        if rows * columns >= _ENOUGH:
            row["drawn"] = found
        elif len(row["shape"]) > 1:  # few numbers prove little, unless they end where torch's default does
            bound = 1 / math.sqrt(math.prod(row["shape"][1:]))
            usual = 0.9 * bound <= max(-values[0], values[1]) <= bound * (1 + 1e-6)
            row["drawn"] = "uniform" if found == "uniform" and usual else None

    return tell


def drawn(
    rows: int,
    columns: int,
    low: float,
    high: float,
    mean: float,
    square: float,
    fourth: float,
    by_row: float,
    by_column: float,
) -> str:
    """Return "uniform" or "normal" where numbers look as if drawn so, each for itself; else "".

    Of n = rows · columns numbers x with second moment s and kurtosis κ = mean x⁴ / s²: |mean| ≤ 4 √(s/n);
    uniform: κ = 1.8 ± 4 √(1.31/n) and no |x| above √(3 s) (1 + 3/√n); normal: κ = 3 ± 4 √(24/n). And no row
    or column stands out: the variance of their mean squares is at most (κ − 1) s² / length, times
    1 + 4 √(2/number) (for rows, then for columns). What has been trained fails one of these: its tails are
    longer, and its rows unequal.

    Example:
        >>> drawn(40, 50, -0.1, 0.1, 0.0, 1 / 300, 1 / 50000, 0.0, 0.0)
        'uniform'
    """
    n = rows * columns
    if not (square > 0 and math.isfinite(square) and n > 0):
        return ""
    kurtosis = fourth / square**2
    if abs(mean) > 4 * math.sqrt(square / n):
        return ""
    for number, length, variance in ((rows, columns, by_row), (columns, rows, by_column)):
        even = max(kurtosis - 1, 0.0) * square**2 / length
        if number > 1 and variance > even * (1 + 4 * math.sqrt(2 / number)):
            return ""
    reach = max(-low, high)
    if abs(kurtosis - 1.8) <= 4 * math.sqrt(1.31 / n) and reach <= math.sqrt(3 * square) * (
        1 + 3 / math.sqrt(n)
    ):
        return "uniform"
    return "normal" if abs(kurtosis - 3) <= 4 * math.sqrt(24 / n) else ""
