"""A learning curve with noise: its level, slope and shape, each with the uncertainty that noise leaves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Curve", "Forecast", "Slope", "Trend", "in_errors"]

Floats = NDArray[np.float64]

_BLOCKS = 40
_ROUNDING = 1e-12
_MOST_ERRORS = 1e6
_HUGE = 1e100  # counts as infinite: squares must not overflow


def in_errors(size: float, error: float) -> float:
    """Return ``size / error``, held within ±10⁶, where curves without noise would lead beyond."""
    if error > 0:
        return max(-_MOST_ERRORS, min(_MOST_ERRORS, size / error))
    return math.copysign(_MOST_ERRORS, size) if size else 0.0


class Slope(NamedTuple):
    """A line fitted to a stretch of a curve.

    Attributes:
        change: how much the line falls (negative) or rises from one end of the stretch to the other.
        error: standard error of ``change``, from the residuals of block means.
        level: the line's middle.
    """

    change: float
    error: float
    level: float

    @property
    def t(self) -> float:
        """``change`` in standard errors: below −2 the curve falls, above 2 it rises."""
        return in_errors(self.change, self.error)


class Trend(NamedTuple):
    """Whether a stretch rises or falls, whatever its shape: the test of Mann and Kendall on block means.

    Attributes:
        tau: share of pairs (earlier, later) that rise − share of those that fall; −1 … 1. z: S / √(n (n −
        1) (2n + 5) / 18), S moved by one towards 0; n = number of blocks; |z| > 3 is no chance.
    """

    tau: float
    z: float


class Forecast(NamedTuple):
    """What as much training again would bring, if the curve went on as it has gone.

    L₁, L₂, L₃ = mean levels from T/8 to T/4, T/4 to T/2, T/2 to T, T = steps so far; r = (L₂ − L₃) / (L₁ −
    L₂), held within 0 … 2: 2 for a straight line, 2⁻ᵇ for a + c·t⁻ᵇ, about 0 for a curve that has settled.
    As a power law is expected to gain r (L₂ − L₃), at most what the line through the second half falls in T
    steps; as an exponential, d₄ (q + q² + q³ + q⁴), d₃, d₄ = falls of the last two quarters (d₄ less its
    standard error), q = d₄/d₃ ≤ 1. Expected gain = the geometric mean of both, at most what is left above 0
    for a loss that is never negative.

    Attributes:
        level: where the line through the second half ends.
        gain: the expected gain.
        ratio: r.
        falling: by how many standard errors the line through the second half falls; above 3 is no chance.
    """

    level: float
    gain: float
    ratio: float
    falling: float


class Curve:
    """Values by step; what is not finite is kept apart.

    Arguments:
        steps: ascending.
        values: one for each step.

    Example:
        >>> curve = Curve(range(100), [1 / (1 + step) for step in range(100)])
        >>> round(curve.start, 2), round(curve.end, 2), curve.diverged
        (0.5, 0.01, False)
        >>> curve.slope(0.5, 1).t < -2
        True
    """

    def __init__(
        self, steps: ArrayLike | Sequence[int] = (), values: ArrayLike | Sequence[float] = ()
    ) -> None:
        self.all_steps = np.asarray(list(steps) if isinstance(steps, range) else steps, dtype=np.int64)
        given = np.asarray(values, dtype=np.float64)
        self.all_values = np.where(np.abs(given) < _HUGE, given, np.where(np.isnan(given), given, np.inf))
        finite = np.isfinite(self.all_values)
        self.steps, self.values = self.all_steps[finite], self.all_values[finite]

    def __len__(self) -> int:
        return len(self.values)

    def __bool__(self) -> bool:
        return len(self.values) > 0

    def __repr__(self) -> str:
        return f"Curve({len(self)} points, {self.start:.4g} … {self.end:.4g})"

    @property
    def first(self) -> float:
        """The very first value; NaN where there is none."""
        return float(self.all_values[0]) if len(self.all_values) else math.nan

    @property
    def last(self) -> float:
        """The very last value, finite or not."""
        return float(self.all_values[-1]) if len(self.all_values) else math.nan

    @cached_property
    def start(self) -> float:
        """The level at the beginning: median of the first 3 values or 2 %, whichever is more."""
        return _level(self.values[: self._few])

    @cached_property
    def end(self) -> float:
        """The level at the end: mean of the last 3 values or 5 %; NaN where the end is not finite."""
        if not len(self.all_values) or not np.isfinite(self.all_values[-1]):
            return math.nan
        return float(np.mean(self.values[-max(3, len(self.values) // 20) :]))

    @cached_property
    def best(self) -> float:
        """The lowest level: the smallest mean over 3 values or 5 % in a row."""
        width = min(len(self.values), max(3, len(self.values) // 20))
        if width == 0:
            return math.nan
        sums = np.cumsum(np.concatenate([[0.0], self.values]))
        return float(np.min(sums[width:] - sums[:-width]) / width)

    @property
    def _few(self) -> int:
        return max(3, len(self.values) // 50)

    @cached_property
    def noise(self) -> float:
        """The standard deviation of a value around the curve: of differences of neighbours, ÷ √2."""
        if len(self.values) < 4:
            return 0.0
        return float(np.median(np.abs(np.diff(self.values)))) / 0.6745 / math.sqrt(2)

    @cached_property
    def first_not_finite(self) -> int | None:
        """The first step at which the value was NaN or infinite."""
        bad = np.flatnonzero(~np.isfinite(self.all_values))
        return int(self.all_steps[bad[0]]) if len(bad) else None

    @cached_property
    def diverged(self) -> bool:
        """Whether it ends not finite, or at over twice its start, ten deviations of its noise above it."""
        if not len(self.all_values):
            return False
        if not np.isfinite(self.all_values[-1]):
            return True
        return self.end > 2 * abs(self.start) and self.end - self.start > 10 * self.noise

    def part(self, begin: float, end: float = 1.0) -> Curve:
        """Return the stretch between two shares of the steps."""
        if not len(self.steps):
            return Curve()
        first, span = self.steps[0], self.steps[-1] - self.steps[0] + 1
        low, high = np.searchsorted(self.steps, [first + begin * span, first + end * span])
        return Curve(self.steps[low:high], self.values[low:high])

    def blocks(self, count: int = _BLOCKS) -> tuple[Floats, Floats]:
        """Return steps and means of at most ``count`` blocks of neighbours, equally many points each."""
        parts = np.array_split(np.arange(len(self.values)), min(count, max(1, len(self.values))))
        return (
            np.array([self.steps[p].mean() for p in parts if len(p)]),
            np.array([self.values[p].mean() for p in parts if len(p)]),
        )

    def slope(self, begin: float = 0.0, end: float = 1.0) -> Slope:
        """Fit a line to a stretch.

        Ordinary least squares over at most 40 block means, whose residuals give the error; so neighbouring
        values that go together do not make it look surer than it is.
        """
        part = self.part(begin, end)
        x, y = part.blocks(max(8, min(_BLOCKS, len(part) // 3)))
        if len(y) < 3:
            return Slope(0.0, math.inf, float(np.mean(y)) if len(y) else math.nan)
        span = float(part.steps[-1] - part.steps[0])
        centred = x - x.mean()
        spread = float((centred**2).sum())
        if span == 0 or spread == 0:
            return Slope(0.0, math.inf, float(y.mean()))
        rate = float((centred * y).sum() / spread)
        if abs(rate * span) <= _ROUNDING * float(np.abs(y).max()):
            return Slope(0.0, 0.0, float(y.mean()))
        residuals = y - y.mean() - rate * centred
        error = math.sqrt(float((residuals**2).sum()) / max(1, len(y) - 2) / spread)
        return Slope(rate * span, error * span, float(y.mean()))

    def trend(self, begin: float = 0.0, end: float = 1.0) -> Trend:
        """Test a stretch for rising or falling, with no regard to its shape.

        Source: Mann (1945), Kendall (1975).
        """
        part = self.part(begin, end)
        _, y = part.blocks(max(8, min(_BLOCKS, len(part) // 3)))
        n = len(y)
        if n < 4:
            return Trend(0.0, 0.0)
        signs = np.sign(y[None, :] - y[:, None])[np.triu_indices(n, 1)]
        total = float(signs.sum())
        moved = total - math.copysign(1.0, total) if total else 0.0
        return Trend(total / len(signs), moved / math.sqrt(n * (n - 1) * (2 * n + 5) / 18))

    @cached_property
    def forecast(self) -> Forecast:
        """What as much training again would bring; no gain where there are fewer than 8 points."""
        windows = [self.part(share / 2, share).values for share in (0.25, 0.5, 1.0)]
        if len(self.values) < 8 or not all(len(window) for window in windows):
            return Forecast(self.end, 0.0, 0.0, 0.0)
        first, second, third = (float(window.mean()) for window in windows)
        line = self.slope(0.5, 1.0)
        level = float(line.level + line.change / 2)
        before, late = first - second, second - third
        ratio = min(2.0, max(0.0, late / before)) if before > 0 else 2.0 if late > 0 else 0.0
        gain = math.sqrt(max(0.0, min(ratio * late, -2 * line.change)) * self._geometric_gain())
        if float(self.values.min()) >= 0:
            level = max(level, 0.0)
            gain = min(gain, level)
        return Forecast(level, float(gain), ratio, float(-line.t))

    def _geometric_gain(self) -> float:
        """What as many quarters (halves of under 16 points) would bring, each less by the same factor."""
        parts = 4 if len(self.values) >= 16 else 2
        before, last = self.slope(1 - 2 / parts, 1 - 1 / parts), self.slope(1 - 1 / parts, 1.0)
        late = -last.change - last.error  # less one standard error: of noise alone nothing is expected
        if not late > 0:
            return 0.0
        factor = min(1.0, late / -before.change) if before.change < 0 else 1.0
        return float(late * sum(factor**power for power in range(1, parts + 1)))


def _level(values: Floats) -> float:
    return float(np.median(values)) if len(values) else math.nan
