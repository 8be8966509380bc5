"""Which series a person means, and how the parameters of one layer make one series."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from preceptor.errors import ConfigError, UnknownName
from preceptor.observation.series import Columns, Floats, Ints, Series
from preceptor.observation.signals import SIGNALS

__all__ = ["select"]

Measured = Mapping[str, Mapping[str, Series]]

_SELECTORS = {
    "parameter": ("parameter", "layer"),
    "layer": ("layer",),
    "phase": ("phase",),
    "batch": ("phase",),
}


def select(measured: Measured, name: str, given: Mapping[str, str | None]) -> Series:
    """Return a copy of the series that a name and at most one selector mean; see `Record.signal`."""
    if name not in SIGNALS and name not in measured:
        raise UnknownName("signal", name, {*SIGNALS, *measured})
    of = SIGNALS[name].of if name in SIGNALS else "subject"
    selector, wanted = _selector(name, of, given)
    known = measured.get(name) or {}
    if not known:
        return Series(name, wanted or "")
    if wanted is None:
        wanted = _usual(name, known)
    elif selector == "phase" and wanted not in known:
        wanted = _only([s for s in known if s.startswith(f"{wanted}:")]) or wanted
    if wanted in known:
        return known[wanted].copy()
    if selector == "layer" and of == "parameter":
        return _of_layer(measured, name, wanted)
    raise UnknownName(of, wanted, known)


def _selector(name: str, of: str, given: Mapping[str, str | None]) -> tuple[str | None, str | None]:
    chosen = [(selector, value) for selector, value in given.items() if value is not None]
    allowed = (*_SELECTORS.get(of, ()), "subject")
    if len(chosen) > 1 or any(selector not in allowed for selector, _ in chosen):
        raise ConfigError(
            f"{name!r} is measured once a {of}",
            expected="at most one of " + ", ".join(f"{a}=" for a in allowed),
            received=", ".join(f"{selector}={value!r}" for selector, value in chosen),
        )
    return chosen[0] if chosen else (None, None)


def _usual(name: str, known: Mapping[str, Series]) -> str:
    for subject in ("", "train"):
        if subject in known:
            return subject
    only = _only(list(known))
    if only is None:
        shown = ", ".join(map(repr, list(known)[:8])) + (", …" if len(known) > 8 else "")
        raise ConfigError(
            f"{name!r} is measured of {len(known)} subjects", expected="one of them", received=shown,
            hint=f"signal({name!r}, subject={next(iter(known))!r})",
        )  # fmt: skip
    return only


def _only(subjects: list[str]) -> str | None:
    return subjects[0] if len(subjects) == 1 else None


def _of_layer(measured: Measured, name: str, layer: str) -> Series:
    known = measured[name]
    parts = _parameters(known, layer)
    if not parts:
        layers = {p[:i] for p in known for i, letter in enumerate(p) if letter == "."}
        raise UnknownName("layer", layer, {*layers, *known})
    combine = SIGNALS[name].combine if name in SIGNALS else None
    if combine != "ratio":
        return Series.of(name, layer, _combined(_grid(parts), parts, squared=combine == "norm"))
    above = _parameters(measured.get("update_norm", {}), layer)
    below = _parameters(measured.get("weight_norm", {}), layer)
    if not above or not below:
        return Series(name, layer)
    grid = _grid([*above, *below])
    return Series.of(
        name, layer, _ratio(_combined(grid, above, squared=True), _combined(grid, below, squared=True))
    )


def _parameters(known: Mapping[str, Series], layer: str) -> list[Series]:
    start = f"{layer}." if layer else ""
    return [series for name, series in known.items() if name.startswith(start)]


def _grid(parts: Iterable[Series]) -> Ints:
    """Return the steps at which series are put together: all of them, or those of the most thinned one."""
    parts = [part for part in parts if len(part)]
    thinned = [part for part in parts if part.thinned]
    every = [part.steps for part in parts]
    if not thinned or not every:
        return np.unique(np.concatenate([np.empty(0, np.int64), *every]))
    coarsest = max(thinned, key=lambda part: (part.stride, -len(part)))
    return np.unique(np.append(coarsest.steps, min(int(steps.min()) for steps in every)))


def _combined(grid: Ints, parts: Iterable[Series], *, squared: bool) -> Columns:
    sums, lows, highs = (np.zeros(len(grid)) for _ in range(3))
    present, counts = np.zeros(len(grid), np.int64), np.zeros(len(grid), np.int64)
    for part in parts:
        if not len(part):
            continue
        value, low, high, count = _spread(part, grid)
        there = count > 0
        for total, column in ((sums, value), (lows, low), (highs, high)):
            total[there] += column[there] ** 2 if squared else column[there]
        present += there
        counts = np.maximum(counts, count)
    some = present > 0
    norm: Any = np.sqrt if squared else lambda total: total / present[some]
    return grid[some], norm(sums[some]), norm(lows[some]), norm(highs[some]), counts[some]


def _spread(part: Series, grid: Ints) -> tuple[Floats, Floats, Floats, Ints]:
    steps, values, low, high, counts = part.columns()
    at = np.searchsorted(grid, steps, side="right") - 1
    count = np.bincount(at, weights=counts, minlength=len(grid)).astype(np.int64)
    with np.errstate(invalid="ignore", over="ignore"):
        mean = np.bincount(at, weights=values * (counts / np.maximum(count, 1)[at]), minlength=len(grid))
    lows, highs = np.full(len(grid), np.nan), np.full(len(grid), np.nan)
    np.fmin.at(lows, at, low)
    np.fmax.at(highs, at, high)
    return mean.astype(np.float64), lows, highs, count


def _ratio(above: Columns, below: Columns) -> Columns:
    steps, i, j = np.intersect1d(above[0], below[0], assume_unique=True, return_indices=True)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        value, low, high = above[1][i] / below[1][j], above[2][i] / below[3][j], above[3][i] / below[2][j]
    return steps, value, low, high, np.minimum(above[4][i], below[4][j])
