"""`compare`: new inputs beside what was kept of the training inputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preceptor.data._dataset import Table
from preceptor.data._two_samples import compare_counts, quantile_distance
from preceptor.data.shift._causes import Cause, causes_of, spelled_otherwise
from preceptor.data.shift._column import cause_of_column, filled_in
from preceptor.data.shift._reference import Reference, single
from preceptor.data.shift._summaries import summarize

__all__ = ["Moved", "Shift", "compare"]

_LEVEL = 1e-3  # of all tests of one call together
_DISTANCE = 0.1
_SHOWN = 4
_JUDGED = 8  # values by which a cause can be told
_ENOUGH = 0.5  # of the distance gone: a cause explains what is seen
_LEFT = 0.2  # distance that may be left


@dataclass(frozen=True)
class Moved:
    """One thing that is distributed otherwise than in training.

    Attributes:
        name: which.
        distance: between the distributions, 0 to 1.
        p: the chance of such a distance among examples like those of training.
        text: how it differs.
        column: the place of a column of numbers among those followed; None for what is none.
        cause: what was done to it, as far as that is known; "" where nothing explains it.
    """

    name: str
    distance: float
    p: float
    text: str
    column: int | None = None
    cause: str = ""

    def __str__(self) -> str:
        return f"{self.text}: {self.cause}" if self.cause else self.text


@dataclass(frozen=True)
class Shift:
    """How inputs differ from those trained on.

    Attributes:
        moved: what is distributed otherwise, the farthest first.
        followed: of how many.
        overall: the largest distance along random combinations of all columns, which sees dependences too.
        p: its chance, corrected for their number.
        cause: what would explain it, with the distance before and after it is undone; None: nothing does.
        examples: how many were compared.
    """

    moved: tuple[Moved, ...]
    followed: int
    overall: float
    p: float
    cause: Cause | None
    examples: int

    def __str__(self) -> str:
        what = f"{len(self.moved)} of {self.followed} followed values" if self.moved else "their dependences"
        lines = [
            f"these {self.examples:,} inputs are not distributed as those trained on: {what} differ, "
            f"overall distance {self.overall:.2f}"
        ]
        lines += [f"  {one} (distance {one.distance:.2f})" for one in self.moved[:_SHOWN]]
        if len(self.moved) > _SHOWN:
            lines.append(f"  … and {len(self.moved) - _SHOWN} more")
        if self.cause is not None:
            lines.append(f"  likely cause: {self.cause}")
        return "\n".join(lines)


def compare(reference: Reference, raw: Any, names: tuple[str, ...] = ()) -> Shift | None:
    """Compare new raw inputs with the training inputs; None where they are alike.

    Each followed value is tested by Kolmogorov and Smirnov's distance, each category column by χ², missing
    values by Fisher's test, and 16 random combinations of all columns as a whole; each at 0.001 divided by
    the number of tests, and named from a distance of 0.1 on. Rabanser, Günnemann and Lipton, Failing Loudly,
    2019.

    Example:
        >>> from preceptor.data import load
        >>> iris = load("iris")
        >>> kept = Reference.fit(iris, np.arange(0, 150, 2))
        >>> compare(kept, iris.inputs[1::2]) is None
        True
        >>> print(str(compare(kept, iris.inputs[1::2] / 100)).splitlines()[-1])
          likely cause: divided by 100: undone, the distance falls from 0.92 to 0.08
    """
    if not len(raw) or not _comparable(reference, raw, names):
        return None
    tests = len(reference.names) + len(reference.directions.T) + len(reference.counts)
    level = _LEVEL / max(1, 2 * tests)
    found = [
        one
        for one in (*_numbers(reference, raw, names), *_categories(reference, raw), *_gaps(reference, raw))
        if one.p < level and one.distance >= _DISTANCE
    ]
    overall, p = _overall(reference, raw, names)
    if not found and not (p < level and overall >= _DISTANCE):
        return None
    found.sort(key=lambda one: (-one.distance, one.p))
    cause = _cause(reference, raw, names)
    if cause is None or len(found) < _SHOWN:
        values = single(summarize(raw, reference.kind, names).values)
        found[:_SHOWN] = [_explained(reference, values, one) for one in found[:_SHOWN]]
    return Shift(
        moved=tuple(found),
        followed=len(reference.names) + len(reference.counts),
        overall=overall,
        p=min(1.0, p * reference.directions.shape[1]),
        cause=cause,
        examples=len(raw),
    )


def _comparable(reference: Reference, raw: Any, names: tuple[str, ...]) -> bool:
    """Whether the same can be followed in these inputs; images of another size may have fewer blocks."""
    found = summarize(raw, reference.kind, names)
    same = bool(found.values.shape[1] == len(reference.names))
    return same and found.bulk.shape[1] == len(reference.bulk_mean)


def _numbers(reference: Reference, raw: Any, names: tuple[str, ...]) -> Iterator[Moved]:
    values = single(summarize(raw, reference.kind, names).values)
    for j, name in enumerate(reference.names):
        present = values[:, j][~np.isnan(values[:, j])]
        if not len(present) or reference.missing[j] == 1:
            continue
        distance, p = quantile_distance(reference.quantiles[j], reference.n, present)
        yield Moved(name, distance, p, _how(name, present, reference.mean[j], reference.deviation[j]), j)


def _how(name: str, present: NDArray[np.float64], mean: float, deviation: float) -> str:
    here, spread = float(present.mean()), float(present.std())
    if spread == 0 and deviation > 0 and len(present) > 1:
        return (
            f"{name} is {here:.4g} throughout, in training {mean:.4g} ± {deviation:.4g}: is the column empty?"
        )
    return f"{name}: {here:.4g} ± {spread:.4g}, in training {mean:.4g} ± {deviation:.4g}"


def _explained(reference: Reference, values: NDArray[np.float64], one: Moved) -> Moved:
    """Return what moved with its cause, where it is a column of numbers of which one is known."""
    j = one.column
    present = np.empty(0) if j is None else values[:, j][~np.isnan(values[:, j])]
    if j is None or reference.kind not in ("table", "vectors") or len(present) < _JUDGED or not present.std():
        return one
    code = filled_in(reference.quantiles[j], present)
    if code is not None:
        cause = f"{code[1]:.0%} are {code[0]:g}, which training did not have: does it stand for gaps?"
    else:
        mean, deviation = float(reference.mean[j]), float(reference.deviation[j])
        cause = cause_of_column(reference.quantiles[j], reference.n, mean, deviation, present, one.distance)
    return replace(one, cause=cause)


def _categories(reference: Reference, raw: Any) -> Iterator[Moved]:
    if not isinstance(raw, Table):
        return
    for name, known in reference.counts.items():
        values = ["" if value is None else value for value in raw.column(name).values.tolist()]
        kept = list(known)
        place = {value: i for i, value in enumerate(kept)}
        here = np.bincount([place.get(value, len(kept)) for value in values], minlength=len(kept) + 1)
        there = np.array([*known.values(), max(0, reference.n - sum(known.values()))])
        distance, p = compare_counts(np.stack([there, here]))
        change = here / max(1, len(values)) - there / max(1, reference.n)
        most = int(np.abs(change).argmax())
        value = _unseen(values, place) if most == len(kept) else repr(kept[most] or "missing")
        now, then = here[most] / max(1, len(values)), there[most] / reference.n
        text = f"{name}: {value} are {now:.0%}, in training {then:.0%}"
        other = spelled_otherwise(set(values), set(kept))
        yield Moved(
            name, distance, p, text + (f"; {other[0]!r} is spelled {other[1]!r} there" if other else "")
        )


def _unseen(values: list[str], known: Mapping[str, int]) -> str:
    """Name the commonest values that training did not have."""
    new = Counter(value for value in values if value not in known).most_common()
    named = ", ".join(repr(value or "missing") for value, _ in new[:_SHOWN])
    return f"values not seen in training ({named}{', …' if len(new) > _SHOWN else ''})"


def _gaps(reference: Reference, raw: Any) -> Iterator[Moved]:
    from scipy.stats import fisher_exact

    if not isinstance(raw, Table):
        return
    for j, name in enumerate(reference.names):
        m, here = len(raw), int(raw.column(name).missing.sum())
        there = round(reference.missing[j] * reference.n)
        p = float(fisher_exact([[here, m - here], [there, reference.n - there]])[1])
        distance = abs(here / m - there / reference.n)
        yield Moved(
            name,
            distance,
            p,
            f"{name} is missing in {here / m:.0%}, in training in {reference.missing[j]:.0%}",
        )


def _overall(reference: Reference, raw: Any, names: tuple[str, ...]) -> tuple[float, float]:
    combined = reference.combinations(summarize(raw, reference.kind, names))
    if not combined.any():
        return 0.0, 1.0
    found = [
        quantile_distance(kept, reference.n, own)
        for kept, own in zip(reference.combined, combined.T, strict=True)
    ]
    return max(distance for distance, _ in found), min(p for _, p in found)


def _cause(reference: Reference, raw: Any, names: tuple[str, ...]) -> Cause | None:
    """Return the known cause that leaves the least distance once it is undone."""
    before = _mean_distance(reference, raw, names)
    tried = []
    plain = summarize(raw, reference.kind, names).values if isinstance(raw, Table) else np.asarray(raw)
    if not plain.size:
        return None
    for text, undone in causes_of(reference, plain, names):
        if undone.shape == plain.shape:
            other = _with_numbers(raw, undone) if isinstance(raw, Table) else undone
            tried.append(Cause(text, before, _mean_distance(reference, other, names)))
    best = min(tried, key=lambda cause: cause.after, default=None)
    if best is None or best.after > _ENOUGH * before or best.after > _LEFT + 1 / np.sqrt(len(raw)):
        return None
    return best


def _with_numbers(table: Table, values: NDArray[np.float64]) -> Table:
    """Return a table with other values in its columns of numbers."""
    new = iter(values.T)
    columns = (replace(c, values=next(new)) if c.kind == "number" else c for c in table.columns)
    return Table(tuple(columns))


def _mean_distance(reference: Reference, raw: Any, names: tuple[str, ...]) -> float:
    found = summarize(raw, reference.kind, names)
    kept = np.concatenate([reference.quantiles, reference.combined])
    own = np.concatenate([single(found.values), reference.combinations(found)], axis=1)
    return float(np.mean([quantile_distance(q, reference.n, x)[0] for q, x in zip(kept, own.T, strict=True)]))
