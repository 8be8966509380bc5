"""What decides a verdict: measured values against what a claim says of them, by rules that are stated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from preceptor.errors import ConfigError
from preceptor.tasks import mean_interval, wilson

__all__ = [
    "Check",
    "Verdict",
    "above",
    "beyond",
    "exact",
    "more",
    "near",
    "rising",
    "share",
    "slope",
    "told",
    "verdict",
]

Verdict: TypeAlias = Literal["confirmed", "refuted", "inconclusive"]


@dataclass(frozen=True)
class Check:
    """One comparison of what was measured with what a claim says.

    Arguments:
        text: what was compared, with the numbers.
        holds: whether it is as claimed; None where the values do not tell.
        counts: False for a number that is told and decides nothing.
    """

    text: str
    holds: bool | None
    counts: bool = True

    def __str__(self) -> str:
        mark = "·" if not self.counts else {True: "✓", False: "✗", None: "?"}[self.holds]
        return f"{mark} {self.text}"


def verdict(checks: Sequence[Check]) -> Verdict:
    """Return refuted where one check fails, inconclusive where one does not tell, else confirmed.

    Raises:
        ConfigError: nothing decides.

    Example:
        >>> verdict([exact("0.1 ** 400", 0.1**400), told("log", -921.03)])
        'confirmed'
        >>> verdict([above("gain", [1.0, 1.1, 0.9]), above("gain", [-1.0, 1.0, 0.2])])
        'inconclusive'
    """
    deciding = [check.holds for check in checks if check.counts]
    if not deciding:
        raise ConfigError("a claim has nothing that decides it", expected="a check that counts")
    if False in deciding:
        return "refuted"
    return "inconclusive" if None in deciding else "confirmed"


def above(what: str, values: ArrayLike, bound: float = 0.0) -> Check:
    """Return whether a mean over seeds lies above a bound: its 95 % interval by Student's t does.

    Arguments:
        what: what was measured.
        values: one value a seed.
        bound: what the mean is to exceed.

    Example:
        >>> print(above("accuracy", [0.95, 0.96, 0.97], 0.9))
        ✓ accuracy 0.96 (0.9352 – 0.9848) above 0.9
        >>> above("accuracy", [0.7, 0.96, 0.97], 0.9).holds is None
        True
    """
    each = _each(values)
    low, high = mean_interval(each)
    holds = True if low > bound else False if high < bound else None
    return Check(f"{what} {_mean(each)} above {_number(bound)}", holds)


def beyond(what: str, value: float, bound: float) -> Check:
    """Return whether a number that chance has no part in lies above a bound.

    Example:
        >>> print(beyond("distance after 1,000 steps", 1.3e8, 1.0))
        ✓ distance after 1,000 steps 130,000,000, above 1
    """
    return Check(f"{what} {_number(float(value))}, above {_number(bound)}", bool(value > bound))


def more(what: str, larger: ArrayLike, smaller: ArrayLike, by: float = 0.0) -> Check:
    """Return whether one way gives more than another: the mean difference, seed by seed, is above ``by``.

    Arguments:
        what: what was measured.
        larger: a value a seed, of the way that is to give more.
        smaller: the other's, in the same order of seeds.
        by: by how much at least.

    Example:
        >>> print(more("accuracy with batch norm", [0.98, 0.97, 0.98], [0.11, 0.10, 0.12], by=0.5))
        ✓ accuracy with batch norm: 0.9767 against 0.11; difference 0.8667 (0.8523 – 0.881) above 0.5
    """
    a, b = _each(larger), _each(smaller)
    if len(a) != len(b):
        raise ConfigError("pairs need as many values", expected=f"{len(a)} values", received=f"{len(b)}")
    differences = [x - y for x, y in zip(a, b, strict=True)]
    inner = above("difference", differences, by)
    means = f"{_number(float(np.mean(a)))} against {_number(float(np.mean(b)))}"
    return Check(f"{what}: {means}; {inner.text}", inner.holds)


def near(what: str, values: ArrayLike, expected: float, within: float) -> Check:
    """Return whether the mean lies within a stated distance of what is expected.

    Example:
        >>> print(near("mean of ReLU", [0.3986, 0.3991], 0.3989, within=0.005))
        ✓ mean of ReLU 0.3989 (0.3957 – 0.402), expected 0.3989 ± 0.005
    """
    each = _each(values)
    return Check(
        f"{what} {_mean(each)}, expected {_number(expected)} ± {_number(within)}",
        bool(abs(float(np.mean(each)) - expected) <= within),
    )


def exact(what: str, error: float, most: float = 0.0) -> Check:
    """Return whether an error that should be none is at most ``most``.

    Example:
        >>> print(exact("outputs of the permuted net", 0.0), exact("sum", 0.5, 1e-6), sep="; ")
        ✓ outputs of the permuted net: error 0, at most 0; ✗ sum: error 0.5, at most 1e-06
    """
    return Check(f"{what}: error {_number(float(error))}, at most {_number(most)}", bool(error <= most))


def rising(what: str, x: ArrayLike, y: ArrayLike, least: float = 0.9, falling: bool = False) -> Check:
    """Return whether y rises with x: Spearman's rank correlation, the mean over seeds, is at least ``least``.

    Arguments:
        what: what was measured.
        x: where was measured, (M,).
        y: what was measured, (M,), or (seeds, M).
        least: the least correlation that counts as rising.
        falling: it is to fall.

    Example:
        >>> print(rising("entropy", [0.1, 1, 10], [0.0, 0.8, 1.1]))
        ✓ entropy rises: rank correlation 1, at least 0.9
    """
    from scipy.stats import spearmanr

    rows = np.atleast_2d(np.asarray(y, dtype=float))
    found = float(np.mean([spearmanr(np.asarray(x, dtype=float), row).statistic for row in rows]))
    sign, word = (-1, "falls") if falling else (1, "rises")
    return Check(
        f"{what} {word}: rank correlation {_number(found)}, {'at most' if falling else 'at least'} "
        f"{_number(sign * least)}",
        bool(sign * found >= least - 1e-9),
    )


def slope(what: str, x: ArrayLike, y: ArrayLike, expected: float, within: float) -> Check:
    """Return whether y grows as x to the power ``expected``: the slope of log y over log x, least squares.

    Example:
        >>> print(slope("time", [1, 2, 4, 8], [1, 4, 16, 64], 2, within=0.1))
        ✓ time grows as the power 2, expected 2 ± 0.1
    """
    mean = np.atleast_2d(np.asarray(y, dtype=float)).mean(0)
    found = float(np.polyfit(np.log(np.asarray(x, dtype=float)), np.log(mean), 1)[0])
    return Check(
        f"{what} grows as the power {_number(found)}, expected {_number(expected)} ± {_number(within)}",
        bool(abs(found - expected) <= within),
    )


def share(what: str, hits: int, of: int, above: float) -> Check:
    """Return whether a share of independent trials lies above a bound: its Wilson interval does.

    Example:
        >>> print(share("random search finds more", 670, 1000, above=0.5))
        ✓ random search finds more: 670 of 1,000, 0.67 (0.6403 – 0.6984) above 0.5
    """
    low, high = wilson(hits, of)
    holds = True if low > above else False if high < above else None
    interval = f"({_number(low)} – {_number(high)})"
    text = f"{what}: {hits:,} of {of:,}, {_number(hits / of)} {interval} above {_number(above)}"
    return Check(text, holds)


def told(what: str, value: float | str) -> Check:
    """Return a number that is told beside those that decide.

    Example:
        >>> print(told("seconds of the direct solution", 0.25))
        · seconds of the direct solution: 0.25
    """
    return Check(f"{what}: {value if isinstance(value, str) else _number(value)}", None, counts=False)


def _each(values: ArrayLike) -> list[float]:
    each: list[float] = np.asarray(values, dtype=float).reshape(-1).tolist()
    if not each:
        raise ConfigError("nothing was measured", expected="a value a seed", received="none")
    return each


def _mean(each: Sequence[float]) -> str:
    if len(each) == 1:
        return _number(each[0])
    low, high = mean_interval(each)
    return f"{_number(float(np.mean(each)))} ({_number(low)} – {_number(high)})"


def _number(value: float) -> str:
    if not math.isfinite(value):
        return {math.inf: "∞", -math.inf: "−∞"}.get(value, "NaN")
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e12 else f"{value:.4g}"
