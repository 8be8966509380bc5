"""What a loss is to reach: the targets of one term, over all steps that were recorded."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from preceptor.diagnosis._terms import Term, terms
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.structure import REARRANGING, Structure
from preceptor.observation.graph import Node, Statistics, Value

__all__ = ["Aim", "Compared", "compared", "labels_over_classes"]

_CONVERTING = REARRANGING | frozenset({"long", "int", "one_hot", "float", "double", "tensor"})
_CLOSE = 1e-5
_FEW = 12


@dataclass(frozen=True)
class Aim:
    """Targets, as far as minimum, maximum, mean and deviation of each recorded batch tell.

    Attributes:
        shape, dtype: of the first batch.
        low, high: over all batches, those of the table of loss calls included.
        mean, std: the mean over batches.
        binary: every element is 0 or 1: they lie in [0, 1] and σ² = μ (1 − μ).
        one_hot: binary, several columns, and one 1 a row: μ · C = 1.
        constant: each batch holds one number only, as in the losses of adversarial nets.
        counted: they were whole numbers by type (labels) before they were converted.
    """

    shape: tuple[int, ...]
    dtype: str
    low: float
    high: float
    mean: float
    std: float
    binary: bool
    one_hot: bool
    constant: bool
    counted: bool

    @property
    def integer(self) -> bool:
        """Whether their type is a whole number's."""
        return self.dtype.startswith(("int", "uint", "bool"))


@dataclass(frozen=True)
class Compared:
    """One term of the loss over the whole run.

    Attributes:
        term: as first recorded.
        structure: the step that it was recorded in.
        aim: its targets; None where there are none.
        rows: its rows in the table of loss calls, training only; empty where it is written by hand.
        steps: the steps at which it was recorded.
    """

    term: Term
    structure: Structure
    aim: Aim | None
    rows: tuple[dict[str, Any], ...] = ()
    steps: tuple[int, ...] = ()

    @property
    def classes(self) -> int:
        """The length of the axis of the classes: axis 1, or the only one; 0 of a number."""
        shape = self.term.prediction.shape
        return shape[1] if len(shape) > 1 else shape[0] if shape else 0

    def worst(self, key: str) -> float:
        """Return the largest finite value of a measured number over the rows; NaN without any."""
        found = [row[key] for row in self.rows if isinstance(row.get(key), (int, float))]
        return max((float(value) for value in found if math.isfinite(value)), default=math.nan)

    def least(self, key: str) -> float:
        """Return the smallest finite value of a measured number over the rows; NaN without any."""
        found = [row[key] for row in self.rows if isinstance(row.get(key), (int, float))]
        return min((float(value) for value in found if math.isfinite(value)), default=math.nan)


def compared(case: Case) -> list[Compared]:
    """Return every term of the training loss, once, with what is known of its targets."""
    found: dict[tuple[str, str, str], list[tuple[int, Structure, Term]]] = {}
    for step, structure in case.structures.items():
        for term in terms(structure):
            key = (term.where, term.node.op, term.form)
            group = found.setdefault(key, [])
            if len(group) < _FEW:
                group.append((step, structure, term))
    return [_compared(case, group) for group in found.values()]


def labels_over_classes(one: Compared) -> bool:
    """Return whether one class number a sample weighs the logarithms of all classes.

    Counts of each class (a bag of words), which have the shape of the classes, do not.
    """
    term, aim, shape = one.term, one.aim, one.term.prediction.shape
    if term.form != "likelihood" or term.picked or term.target is None or aim is None:
        return False
    classes = shape[-1] if len(shape) > 1 else 1
    column = term.target.shape[-1:] == (1,) or len(term.target.shape) < len(shape)
    return classes > 1 and column and aim.high > 1 and (aim.integer or aim.counted)


def _compared(case: Case, group: list[tuple[int, Structure, Term]]) -> Compared:
    _, structure, term = group[0]
    rows = tuple(
        call.row
        for call in case.loss_calls
        if call.phase == "train" and call.function == term.function and call.where == term.where
    )
    targets = [(one, one.target) for _, _, one in group if one.target is not None]
    steps = tuple(dict.fromkeys(step for step, _, _ in group))
    return Compared(term, structure, _aim([target for _, target in targets], rows), rows, steps)


def _aim(targets: list[Value], rows: tuple[dict[str, Any], ...]) -> Aim | None:
    measured = [(v, s) for v in targets if (s := v.statistics) is not None and s.finite]
    if not measured:
        return None
    first = measured[0][0]
    statistics = [s for _, s in measured]
    lows = [s.minimum for s in statistics] + _column(rows, "target_min")
    highs = [s.maximum for s in statistics] + _column(rows, "target_max")
    low, high = min(lows), max(highs)
    binary = low >= 0 and high <= 1 and all(map(_is_binary, statistics))
    columns = first.shape[-1] if len(first.shape) > 1 else 1
    return Aim(
        first.shape,
        first.dtype,
        low,
        high,
        math.fsum(s.mean for s in statistics) / len(statistics),
        math.fsum(s.std for s in statistics) / len(statistics),
        binary,
        binary and columns > 1 and all(abs(s.mean * _classes(v) - 1) < _CLOSE for v, s in measured),
        _is_constant(measured, rows) and (math.prod(first.shape) > 1 or low == high),
        _counted(first),
    )


def _classes(value: Value) -> int:
    """How many columns a row of a one-hot target has: axis 1 of images, else the last axis."""
    return value.shape[1] if len(value.shape) == 4 else value.shape[-1]


def _is_binary(s: Statistics) -> bool:
    return s.minimum >= 0 and s.maximum <= 1 and abs(s.std * s.std - s.mean * (1 - s.mean)) < _CLOSE


def _column(rows: tuple[dict[str, Any], ...], key: str) -> list[float]:
    found = [row[key] for row in rows if isinstance(row.get(key), (int, float))]
    return [float(value) for value in found if math.isfinite(value)]


def _is_constant(measured: list[tuple[Value, Statistics]], rows: tuple[dict[str, Any], ...]) -> bool:
    if any(s.std > _CLOSE * max(1.0, abs(s.mean)) for _, s in measured):
        return False
    return all(row.get("target_min") == row.get("target_max") for row in rows)


def _counted(value: Value) -> bool:
    """Whether the numbers were of a whole type before they were converted to floating ones."""
    node: Node | None = value.producer
    while node is not None and node.op in _CONVERTING and node.inputs:
        value, node = node.inputs[0], node.inputs[0].producer
    return value.dtype.startswith(("int", "uint"))
