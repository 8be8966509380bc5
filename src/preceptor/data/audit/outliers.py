"""Checks of values far from all others: in one column, and as whole examples."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from preceptor.data._dataset import Array
from preceptor.data.audit._remark import Check, Remark, listed
from preceptor.data.audit._subject import Subject

__all__ = ["CHECKS", "beyond_gap"]

_GAP = 10.0  # between a value and the rest, in units of the rest's reach from its median
_CODE_GAP = 3.0  # of one value that occurs again and again, as −999 for "unknown" does
_DISTINCT = 8  # values of the rest: fewer are codes, of which none lies out
_PART = 0.1  # of the values may lie out; more are a second kind


def beyond_gap(values: NDArray[np.float64], gap: float = _GAP, code_gap: float = _CODE_GAP) -> Array:
    """Return where values lie beyond a gap that is many times wider than all the rest reaches.

    Of the sorted values on one side of the median m, x_(i+1) − x_(i) > gap·(x_(i) − m); for a single value
    that recurs, ``code_gap``. Long tails have no such gap.

    Example:
        >>> ages = np.array([*range(20, 80), 999.0])
        >>> beyond_gap(ages), beyond_gap(np.exp(np.linspace(0, 9, 60)))
        (array([60]), array([], dtype=int64))
    """
    present = np.flatnonzero(~np.isnan(values))
    middle = float(np.median(values[present])) if len(present) else 0.0
    far = [
        present[_upper(sign * (values[present] - middle), gap, code_gap, len(present))]
        for sign in (1.0, -1.0)
    ]
    return np.sort(np.concatenate(far))


def _upper(x: NDArray[np.float64], gap: float, code_gap: float, n: int) -> Array:
    distinct, counts = np.unique(x[x > 0], return_counts=True)
    if len(distinct) <= _DISTINCT:
        return np.empty(0, dtype=np.int64)
    ratio = np.diff(distinct)[_DISTINCT - 1 :] / distinct[_DISTINCT - 1 : -1]
    beyond = np.cumsum(counts[::-1])[::-1][_DISTINCT:]
    code = (np.arange(len(ratio)) == len(ratio) - 1) & (counts[-1] > 1)
    wide = np.flatnonzero((ratio > np.where(code, code_gap, gap)) & (beyond <= _PART * n))
    if not len(wide):
        return np.empty(0, dtype=np.int64)
    return np.flatnonzero(x >= distinct[_DISTINCT + wide[0]])


def far_values(subject: Subject) -> Iterator[Remark]:
    """Values of one column, or targets, beyond a gap ten times as wide as all the rest reaches."""
    named = dict(zip(subject.numbers.names, subject.numbers.values.T, strict=True))
    if subject.amounts is not None:
        named[subject.dataset.target_name or "the target"] = subject.amounts[subject.sample]
    found = {name: far for name, column in named.items() if len(far := beyond_gap(column))}
    if found:
        shown = [_shown(name, named[name][far]) for name, far in found.items()]
        yield Remark(
            "warning",
            f"values far from all others: {listed(shown, 4)}",
            "find out whether they are slips or stand for 'unknown'; correct them, or leave the cell empty",
            rows=tuple(np.unique(subject.sample[np.concatenate(list(found.values()))])),
            columns=tuple(found),
            evidence={name: len(far) for name, far in found.items()},
        )


def _shown(name: str, values: NDArray[np.float64]) -> str:
    distinct = np.unique(values)
    what = f"{distinct[0]:.6g}" if len(distinct) == 1 else f"{distinct[0]:.6g} … {distinct[-1]:.6g}"
    return f"{name} = {what}" + (f" ({len(values):,} times)" if len(values) > 1 else "")


def far_examples(subject: Subject) -> Iterator[Remark]:
    """Examples whose ten nearest others are all much farther than is usual."""
    near = subject.neighbours
    if near is None:
        return
    reach = near.distance[:, -1]
    far = beyond_gap(reach, gap=3.0, code_gap=3.0)
    far = far[reach[far] > np.median(reach)]
    if len(far):
        order = far[np.argsort(-reach[far])]
        yield Remark(
            "warning",
            f"{len(far):,} examples are far from all others, such as row {near.rows[order[0]]}: "
            f"{reach[order[0]]:.3g} deviations to its neighbours, usual are {np.median(reach):.3g}",
            "look at them; drop those that do not belong, since they pull a squared loss their way",
            rows=tuple(near.rows[order]),
        )


CHECKS = (
    Check("far-values", "no value is far from all others", far_values, kinds=("table", "vectors")),
    Check("far-examples", "no example is far from all others", far_examples, quick=False),
)
