"""One signal of one subject over the steps, bounded in length: old points merge, new ones stay."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

__all__ = ["Columns", "Floats", "Ints", "Series"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Columns = tuple[
    Ints, Floats, Floats, Floats, Ints
]  # steps, values, low, high, how many points each stands for

CAP = 4096
SMALLEST_CAP = 16
_FIRST_ROOM = 32


class Series:
    """Values by step. Beyond ``cap`` points the older ones merge, the newest quarter stays as measured.

    A merged point stands for w neighbouring measurements (w = 2, 4, 8, …, equal over the whole run): its
    step is the first one's, its value their mean v̄ = Σᵢ vᵢ / w, low and high their finite extremes. The
    mean of anything with a NaN is NaN, so that a NaN is never thinned away.

    Arguments:
        name: of the signal.
        subject: whose values these are: a parameter, a layer, a phase, or "".
        cap: most points that are kept, at least 16.

    Example:
        >>> series = Series("loss", "train")
        >>> for step in range(4):
        ...     series.append(step, 1.0 / (step + 1))
        >>> series.values
        array([1.        , 0.5       , 0.33333333, 0.25      ])
        >>> series[-2:].steps, series.between(1, 2).values, series.last
        (array([2, 3]), array([0.5       , 0.33333333]), 0.25)
    """

    __slots__ = (
        "_fresh_steps",
        "_fresh_values",
        "_merged",
        "_room",
        "cap",
        "grew",
        "name",
        "stride",
        "subject",
    )

    def __init__(self, name: str, subject: str = "", *, cap: int = CAP) -> None:
        self.name, self.subject = name, subject
        self.cap = max(int(cap), SMALLEST_CAP)
        self.stride = 1
        self._merged = _NOTHING
        self._fresh_steps, self._fresh_values = array("q"), array("d")
        self._room = min(_FIRST_ROOM, self.cap)
        self.grew: Callable[[int], None] | None = None  # told by how much nbytes has changed

    def append(self, step: int, value: float) -> None:
        """Add a measurement."""
        steps, values = self._fresh_steps, self._fresh_values
        if len(values) >= self._room:
            self._make_room()
            steps, values = self._fresh_steps, self._fresh_values
        steps.append(step)
        try:
            values.append(value)
        except BaseException:
            del steps[len(values) :]  # a value that is no number must leave both columns equally long
            raise

    def __len__(self) -> int:
        return len(self._merged[0]) + len(self._fresh_values)

    def __bool__(self) -> bool:
        return len(self) > 0

    def __iter__(self) -> Iterator[tuple[int, float]]:
        return zip(self.steps.tolist(), self.values.tolist(), strict=True)

    @overload
    def __getitem__(self, where: int) -> tuple[int, float]: ...
    @overload
    def __getitem__(self, where: slice) -> Series: ...

    def __getitem__(self, where: int | slice) -> tuple[int, float] | Series:
        if isinstance(where, slice):
            return self._chosen(where)
        return int(self.steps[where]), float(self.values[where])

    def __repr__(self) -> str:
        whose = f" of {self.subject!r}" if self.subject else ""
        span = f", steps {self.steps[0]} to {self.steps[-1]}" if len(self) else ""
        return f"Series({self.name!r}{whose}: {len(self)} points{span})"

    @property
    def steps(self) -> Ints:
        """The step of each point; of a merged one, the first of its steps."""
        return self.columns()[0]

    @property
    def values(self) -> Floats:
        """The value of each point; of a merged one, the mean."""
        return self.columns()[1]

    @property
    def low(self) -> Floats:
        """The least value within each point: ``values`` unless merged."""
        return self.columns()[2]

    @property
    def high(self) -> Floats:
        """The greatest value within each point: ``values`` unless merged."""
        return self.columns()[3]

    @property
    def counts(self) -> Ints:
        """How many measurements each point stands for."""
        return self.columns()[4]

    @property
    def thinned(self) -> bool:
        """Whether some points stand for several measurements."""
        return bool((self._merged[4] > 1).any())

    @property
    def last(self) -> float:
        """The newest value; NaN where there is none."""
        if self._fresh_values:
            return self._fresh_values[-1]
        return float(self._merged[1][-1]) if len(self) else float("nan")

    @property
    def finite(self) -> Series:
        """The points whose value is neither NaN nor infinite."""
        return self._chosen(np.isfinite(self.values))

    def between(self, first: int, last: int) -> Series:
        """Return the points whose step lies in ``[first, last]``."""
        steps = self.steps
        return self._chosen((steps >= first) & (steps <= last))

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the points take or have been promised, containers included."""
        return OVERHEAD + 40 * len(self._merged[0]) + 16 * self._room

    def columns(self) -> Columns:
        """Return steps, values, low, high and counts, read-only."""
        if not self._fresh_values:
            return self._merged
        if not len(self._merged[0]):
            return _locked(_raw(self._fresh_steps, self._fresh_values))
        return _locked(_joined(self._merged, _raw(self._fresh_steps, self._fresh_values)))

    def copy(self) -> Series:
        """Return what is there now; it stays as it is while this series grows."""
        return Series.of(self.name, self.subject, self.columns(), cap=self.cap, stride=self.stride)

    @classmethod
    def of(
        cls, name: str, subject: str, columns: Columns, *, cap: int = CAP, stride: int = 1, fresh: int = 0
    ) -> Series:
        """Make a series out of its columns, of which the last ``fresh`` points are still to be merged."""
        series = cls(name, subject, cap=cap)
        series.stride = stride
        cut = len(columns[0]) - fresh
        series._merged = _locked(_part(columns, slice(0, cut)))
        series._fresh_steps = array("q", columns[0][cut:].tobytes())
        series._fresh_values = array("d", columns[1][cut:].tobytes())
        series._room = max(min(series.cap - cut, max(fresh, _FIRST_ROOM)), 0)
        return series

    @property
    def fresh(self) -> int:
        """How many of the newest points have never been merged."""
        return len(self._fresh_values)

    def shrink(self, cap: int) -> None:
        """Keep at most ``cap`` points from now on."""
        self.cap = max(int(cap), SMALLEST_CAP)
        if len(self) > self.cap:
            self._merge()
        self._room = min(self._room, self.cap - len(self._merged[0]))

    def _chosen(self, where: Any) -> Series:
        return Series.of(self.name, self.subject, _part(self.columns(), where), cap=self.cap)

    def _make_room(self) -> None:
        before, most = self.nbytes, self.cap - len(self._merged[0])
        if self._room < most:
            self._room = min(2 * max(self._room, 1), most)
        else:
            self._merge()
            self._room = self.cap - len(self._merged[0])
        if self.grew is not None:
            self.grew(self.nbytes - before)

    def _merge(self) -> None:
        # Buckets of `stride` measurements, counted from the first one: as the stride only ever doubles, a
        # bucket is always a union of whole older ones, and every part of the run is thinned alike.
        moved = max(len(self._fresh_values) - self.cap // 4, 0)
        points = _joined(self._merged, _raw(self._fresh_steps[:moved], self._fresh_values[:moved]))
        ends = np.cumsum(points[4])
        total = int(ends[-1]) if len(ends) else 0
        while -(-total // self.stride) > self.cap // 2:
            self.stride *= 2
        buckets = (ends - points[4]) // self.stride
        starts = np.flatnonzero(np.diff(buckets, prepend=-1))
        self._merged = _locked(_merged(points, starts))
        del self._fresh_steps[:moved], self._fresh_values[:moved]


_NO_VALUES: Floats = np.empty(0)
_NO_STEPS: Ints = np.empty(0, np.int64)
_NOTHING: Columns = (_NO_STEPS, _NO_VALUES, _NO_VALUES, _NO_VALUES, _NO_STEPS)

# Bytes of a series without points, rounded up: itself, its containers, its name and place in a dict.
OVERHEAD = 640


def _raw(steps: array[int], values: array[float]) -> Columns:
    # Copies: an array that lends its memory to NumPy can no longer grow.
    v = np.array(values, dtype=np.float64)
    return np.array(steps, dtype=np.int64), v, v, v, np.ones(len(v), np.int64)


def _joined(a: Columns, b: Columns) -> Columns:
    steps, values, low, high, counts = (np.concatenate(pair) for pair in zip(a, b, strict=True))
    return steps, values, low, high, counts


def _part(columns: Columns, where: Any) -> Columns:
    steps, values, low, high, counts = (column[where] for column in columns)
    return steps, values, low, high, counts


def _locked(columns: Columns) -> Columns:
    for column in columns:
        column.flags.writeable = False
    return columns


def _merged(points: Columns, starts: NDArray[np.intp]) -> Columns:
    steps, values, low, high, counts = points
    if len(starts) == len(steps):
        return points
    sums = np.add.reduceat(counts, starts)
    lows, highs = np.fmin.reduceat(low, starts), np.fmax.reduceat(high, starts)
    share = counts / np.repeat(sums, np.diff(starts, append=len(steps)))
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        # Weighted before they are added, a mean of huge values cannot overflow; held within the extremes,
        # a mean of equal values is that value.
        means = np.add.reduceat(values * share, starts)
        means = np.maximum(np.minimum(means, highs), lows)
    return steps[starts], means, lows, highs, sums
