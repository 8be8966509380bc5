"""Intervals that say how far a measured value can be from the true one, given how few examples were seen."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from statistics import NormalDist

import torch
from torch import Tensor

from preceptor.catalogue.metrics import Metric
from preceptor.errors import ConfigError, DataError

__all__ = ["bootstrap", "mean_interval", "wilson"]


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ConfigError(
            "the level of an interval is not usable", expected="between 0 and 1", received=f"level={level!r}"
        )


def mean_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """Return the interval of the mean of independent values by Student's t: mean ± t₍n−1₎ s / √n.

    One value alone, or one that is not finite, says nothing: the interval is infinite.

    Example:
        >>> low, high = mean_interval([1.0, 2.0, 3.0])
        >>> round(low, 3), round(high, 3)
        (-0.484, 4.484)
    """
    from scipy.stats import t

    if len(values) < 2 or not all(map(math.isfinite, values)):
        return -math.inf, math.inf
    mean, error = statistics.fmean(values), statistics.stdev(values) / math.sqrt(len(values))
    half = float(t.ppf((1 + level) / 2, len(values) - 1)) * error
    return mean - half, mean + half


def wilson(correct: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return the Wilson score interval of a share ``correct / n``.

    With p = correct/n and z the normal quantile of (1 + level)/2:
    (p + z²/2n ± z √(p(1 − p)/n + z²/4n²)) / (1 + z²/n).

    Arguments:
        correct: number of successes, 0 to n.
        n: number of examples, at least 1.
        level: probability that such intervals cover the true share.

    Raises:
        DataError: no examples, or more successes than examples.
        ConfigError: the level is not between 0 and 1.

    Source:
        Wilson, Probable Inference, the Law of Succession, and Statistical Inference, 1927.

    Example:
        >>> low, high = wilson(262, 270)
        >>> f"{low:.3f} to {high:.3f}"
        '0.943 to 0.985'
    """
    _check_level(level)
    if not 0 <= correct <= n or n < 1:
        raise DataError(
            "there is no share to give an interval for",
            expected="0 ≤ correct ≤ n, and n of at least 1",
            received=f"correct={correct}, n={n}",
        )
    z = NormalDist().inv_cdf((1 + level) / 2)
    p, shrink = correct / n, 1 + z * z / n
    centre = (p + z * z / (2 * n)) / shrink
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / shrink
    # At the ends the formula gives 0 and 1 up to rounding.
    return (0.0 if correct == 0 else centre - half), (1.0 if correct == n else centre + half)


def bootstrap(
    metric: Callable[[], Metric],
    output: Tensor,
    target: Tensor,
    *,
    level: float = 0.95,
    draws: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of a metric; NaN where the metric can be NaN.

    The examples are drawn again with replacement ``draws`` times; the interval holds the middle ``level`` of
    the metric's values.

    Arguments:
        metric: makes an empty metric.
        output: raw outputs, one row for each example.
        target: targets, one row for each example.
        level: share of the resampled values within the interval.
        draws: number of resamples.
        seed: of a generator of its own; the global generators stay as they are.

    Raises:
        DataError: no examples, or outputs and targets of different number.
        ConfigError: the level is not between 0 and 1, or there are no draws.

    Source:
        Efron, Bootstrap Methods: Another Look at the Jackknife, 1979.

    Example:
        >>> from preceptor.catalogue.metrics import mae
        >>> bootstrap(mae, torch.zeros(3), torch.ones(3))
        (1.0, 1.0)
    """
    _check_level(level)
    if draws < 1:
        raise ConfigError("draws is not usable", expected="at least 1", received=f"draws={draws!r}")
    n = len(target)
    if n == 0 or len(output) != n:
        raise DataError(
            "there is nothing to resample",
            expected="as many outputs as targets, at least one",
            received=f"{len(output)} outputs, {n} targets",
        )
    output, target = output.detach().cpu(), target.detach().cpu()
    generator = torch.Generator().manual_seed(seed)
    values = torch.empty(draws, dtype=torch.float64)
    for i in range(draws):
        rows = torch.randint(n, (n,), generator=generator)
        meter = metric()
        meter.update(output[rows], target[rows])
        values[i] = meter.compute()
    ends = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)
    low, high = values.quantile(ends).tolist()
    return low, high
