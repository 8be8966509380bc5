"""Signals of parameters and layers over the steps, as strips of colour beside their numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from preceptor.errors import UnknownName
from preceptor.report._format import clean, count, evenly, percent, short, tick
from preceptor.report._table import Table
from preceptor.report._watch_tables import written

if TYPE_CHECKING:
    from preceptor.observation.record import Record
    from preceptor.observation.series import Series

__all__ = ["Key", "Strips", "layer_strips", "parameter_strips", "reading"]

ROWS_SHOWN = 120
_COLUMNS = 64
_LEVELS = 9
_ZERO, _BAD, _NONE = _LEVELS, _LEVELS + 1, -1
_HALF = 0.5  # from this share on a cell is marked

Levels = NDArray[np.int64]


@dataclass(frozen=True)
class Key:
    """What the colours of one column of strips mean: a name, both ends in words, nine swatches between."""

    name: str
    low: str
    high: str
    swatches: Markup


@dataclass(frozen=True)
class Strips:
    """A table with strips in it, what their colours mean, what to notice first, and the steps they span."""

    table: Table
    keys: tuple[Key, ...]
    notices: tuple[str, ...] = ()
    first: int = 0
    last: int = 0


class _Scale(NamedTuple):
    """Nine levels between eight edges, of log₁₀ unless they are linear.

    ``family`` is the first letter of their CSS classes.
    """

    family: str
    edges: NDArray[np.float64]
    low: str
    high: str
    log: bool = True


# A step that changes a weight by a thousandth of its size is usual; below 1e-4 little is learned.
_RATIO = _Scale("d", np.array([-6, -5, -4, -10 / 3, -8 / 3, -2, -1, 0.0]), "< 1e-6", "> 1")
_SHARE = _Scale("h", np.linspace(0, 1, _LEVELS + 1)[1:-1], "0 %", "100 %", log=False)
_CHANGE = _Scale("d", np.log10([0.1, 1 / 3, 2 / 3, 0.9, 1 / 0.9, 1.5, 3, 10]), "÷ 10", "× 10")


def parameter_strips(record: Record, most: int = ROWS_SHOWN) -> Strips | None:
    """Return gradient norm, weight norm and update ratio of each parameter; by module in a large model."""
    names = _subjects(record, ("grad_norm", "weight_norm", "update_ratio"))
    if not names:
        return None
    shown, note = _rows(names, most)
    gradients, weights, ratios = (
        [_series(record, signal, name) for name in shown]
        for signal in ("grad_norm", "weight_norm", "update_ratio")
    )
    grid = _span([*gradients, *weights, *ratios])
    scale = _sequential(gradients)
    rows = []
    for name, gradient, weight, ratio in zip(shown, gradients, weights, ratios, strict=True):
        rows.append(
            (
                _name(name),
                _strip(gradient, grid, scale, "gradient norm"),
                reading(gradient),
                _strip(weight, grid, _CHANGE, "weight norm", relative=True),
                reading(weight),
                _strip(ratio, grid, _RATIO, "update ratio"),
                reading(ratio),
                _share(_series(record, "zero_grad_share", name)),
                _share(_series(record, "lost_update_share", name)),
            )
        )
    head = ("parameter", "gradient norm", "last", "weight norm", "last", "update ÷ weight", "last",
            "zero gradients", "updates lost")  # fmt: skip
    table = Table("Parameters over the steps", head, tuple(rows), note, text=frozenset({0, 1, 3, 5}))
    keys = (
        _key("gradient norm", scale),
        _key("weight norm, against its first value", _CHANGE),
        _key("update ÷ weight, 1e-3 in the middle", _RATIO),
    )
    return Strips(table, keys, tuple(_notices(record)), *grid)


def layer_strips(record: Record, most: int = ROWS_SHOWN) -> Strips | None:
    """Return each layer's activations: mean, spread, and the shares of units that carry nothing."""
    signals = (
        "act_mean",
        "act_std",
        "inactive_units",
        "saturated_share",
        "constant_output",
        "nonfinite_share",
    )
    names = _subjects(record, signals)
    if not names:
        return None
    shown = [names[i] for i in evenly(len(names), most)]
    note = "" if len(shown) == len(names) else f"{len(shown)} of {count(len(names))} layers, evenly spaced."
    means, spreads, idle = (
        [_series(record, s, name) for name in shown] for s in ("act_mean", "act_std", "inactive_units")
    )
    grid, scale = _span([*spreads, *idle]), _sequential(spreads)
    rows = []
    for name, mean, spread, inactive in zip(shown, means, spreads, idle, strict=True):
        rows.append(
            (
                _name(name or "(model)"),
                _first(mean),
                reading(mean),
                _strip(spread, grid, scale, "standard deviation"),
                _first(spread),
                reading(spread),
                reading(_series(record, "act_min", name)),
                reading(_series(record, "act_max", name)),
                _strip(inactive, grid, _SHARE, "inactive units"),
                *(_share(_series(record, signal, name)) for signal in signals[2:5]),
                _share(_series(record, signals[5], name), mark=0.0),
            )
        )
    head = ("layer", "mean, first", "last", "standard deviation", "first", "last", "min", "max",
            "inactive", "last", "saturated", "constant", "not finite")  # fmt: skip
    table = Table("Activations of each layer", head, tuple(rows), note, text=frozenset({0, 3, 8}))
    keys = (_key("standard deviation of the activations", scale), _key("inactive units", _SHARE))
    return Strips(table, keys, (), *grid)


def reading(series: Series) -> str:
    """Return a series' last value as text; what is not finite is named."""
    return written(series.last, 3) if len(series) else "–"


def _first(series: Series) -> str:
    return written(float(series.values[0]), 3) if len(series) else "–"


def _share(series: Series, mark: float = _HALF) -> str:
    """Return the last share as a percentage, marked from ``mark`` on (0: as soon as there is any)."""
    if not len(series):
        return "–"
    marked = series.last >= mark if mark else series.last > 0
    return Markup('<b class="hot">{}</b>').format(percent(series.last)) if marked else percent(series.last)


def _subjects(record: Record, signals: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(name for signal in signals for name in record.subjects(signal)))


def _series(record: Record, signal: str, name: str) -> Series:
    try:
        return record.signal(signal, layer=name)
    except UnknownName:
        return record.signal(signal, layer=record.subjects(signal)[0])[:0]


def _rows(names: Sequence[str], most: int) -> tuple[list[str], str]:
    """Return the parameters, or modules that hold them: as deep as the page has room for."""
    if len(names) <= most:
        return list(names), ""
    deepest = max(name.count(".") for name in names)
    for depth in range(deepest, 0, -1):
        groups = list(dict.fromkeys(".".join(name.split(".")[:depth]) for name in names))
        if len(groups) <= most:
            note = f"The {count(len(names))} parameters are put together into {count(len(groups))} modules: "
            return groups, note + "norms as the root of the sum of squares, shares as means."
    picked = [names[i] for i in evenly(len(names), most)]
    return picked, f"{len(picked)} of {count(len(names))} parameters, evenly spaced."


def _span(all_series: Iterable[Series]) -> tuple[int, int]:
    steps = [s.steps for s in all_series if len(s)]
    return (min(int(s[0]) for s in steps), max(int(s[-1]) for s in steps)) if steps else (0, 0)


def _sequential(all_series: Sequence[Series]) -> _Scale:
    """Return a scale over what was measured: at least three decades, most values within it."""
    found = [s.values[(s.values > 0) & (s.values < math.inf)] for s in all_series]
    logs = np.log10(np.concatenate([*found, np.empty(0)]))
    low, high = np.quantile(logs, [0.01, 0.99]) if len(logs) else (-3.0, 0.0)
    high = math.ceil(high)
    low = min(math.floor(low), high - 3)
    return _Scale("h", np.linspace(low, high, _LEVELS + 1)[1:-1], tick(10.0**low), tick(10.0**high))


def _strip(
    series: Series, grid: tuple[int, int], scale: _Scale, what: str, *, relative: bool = False
) -> Markup:
    if not len(series):
        return Markup("")
    levels, values = _levels(series, grid, scale, relative=relative)
    alt = f"{what} from {_first(series)} to {reading(series)}"
    paths = Markup().join(
        Markup('<path class="{}" d="{}"/>').format(_colour(scale, int(level)), _runs(levels == level))
        for level in np.unique(levels[levels != _NONE])
    )
    head = Markup(
        '<svg class="strip" viewBox="0 0 {} 1" preserveAspectRatio="none" role="img" aria-label="{}" '
        'data-values="{}">'
    )
    return head.format(_COLUMNS, alt, ",".join(_brief(values))) + paths + Markup("</svg>")


def _levels(
    series: Series, grid: tuple[int, int], scale: _Scale, *, relative: bool
) -> tuple[Levels, list[str]]:
    """Return one level a column, and its value as text.

    A column is the mean of its looks, or the look before it where it has none.
    """
    steps, values = series.steps, series.values
    at = (steps - grid[0]) * _COLUMNS // (grid[1] - grid[0] + 1)
    finite = np.isfinite(values)
    counted = finite & (values > 0) if scale.log else finite
    logs = np.log10(np.where(counted, values, 1.0)) if scale.log else np.where(counted, values, 0.0)
    ones, sums = (
        np.bincount(at, weights=w, minlength=_COLUMNS) for w in (counted.astype(float), logs * counted)
    )
    means = sums / np.maximum(ones, 1)
    base = logs[counted][0] if relative and counted.any() else 0.0
    columns, said = np.full(_COLUMNS, _NONE), np.full(_COLUMNS, "-", dtype=object)
    columns[at[finite]], said[at[finite]] = _ZERO, "0"
    columns[ones > 0] = np.searchsorted(scale.edges, means[ones > 0] - base)
    for k in np.flatnonzero(ones):
        said[k] = tick(float(f"{10 ** means[k]:.3g}")) if scale.log else percent(means[k])
    columns[at[~finite]], said[at[~finite]] = _BAD, "not finite"
    there = np.flatnonzero(columns != _NONE)
    # Between looks the last one holds; after the final one as long as the longest pause before it.
    pause = int(np.diff(there).max(initial=1)) if len(there) > 1 else _COLUMNS
    filled: Levels = columns.copy()
    texts = list(said)
    for start, stop in zip(there, [*there[1:], min(_COLUMNS, there[-1] + pause)], strict=True):
        filled[start:stop] = columns[start]
        texts[start:stop] = [said[start]] * (stop - start)
    return filled, texts


def _brief(texts: Sequence[str]) -> list[str]:
    """Leave out what is the same as before it."""
    return ["" if i and text == texts[i - 1] else text for i, text in enumerate(texts)]


def _runs(cells: NDArray[np.bool_]) -> str:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], cells, [False]])))
    return "".join(f"M{a} 0h{b - a}v1h-{b - a}z" for a, b in zip(edges[::2], edges[1::2], strict=True))


def _colour(scale: _Scale, level: int) -> str:
    return {_ZERO: "zero", _BAD: "bad"}.get(level, f"{scale.family}{level}")


def _key(name: str, scale: _Scale) -> Key:
    paths = "".join(f'<path class="{scale.family}{i}" d="M{i} 0h1v1h-1z"/>' for i in range(_LEVELS))
    head = f'<svg class="key" viewBox="0 0 {_LEVELS} 1" preserveAspectRatio="none" aria-hidden="true">'
    return Key(name, scale.low, scale.high, Markup(f"{head}{paths}</svg>"))  # noqa: S704  (made here, of numbers only)


def _name(name: str) -> Markup:
    """Return a dotted name that may break after its dots."""
    return Markup(".<wbr>").join(clean(part) for part in short(name, 64).split("."))


_TROUBLES: Mapping[str, tuple[str, Callable[[float], bool]]] = {
    "No gradient at all (exactly 0) at the last look": ("grad_norm", lambda v: v == 0),
    "Unchanged by the last step that was looked at": ("update_norm", lambda v: v == 0),
    "A gradient that is not finite at the last look": ("grad_norm", lambda v: not math.isfinite(v)),
    "A weight that is not finite at the last look": ("weight_norm", lambda v: not math.isfinite(v)),
}


def _notices(record: Record) -> Iterable[str]:
    for said, (signal, wrong) in _TROUBLES.items():
        names = record.subjects(signal)
        found = [name for name in names if wrong(record.signal(signal, subject=name).last)]
        if found:
            more = f" and {count(len(found) - 6)} more" if len(found) > 6 else ""
            listed = ", ".join(short(name, 64) for name in found[:6])
            yield f"{said}: {count(len(found))} of {count(len(names))} parameters ({listed}{more})."
