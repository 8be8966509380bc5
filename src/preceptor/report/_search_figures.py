"""What a search's page draws: progress, each hyperparameter against the result, all together, importances."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from preceptor.report._canvas import TOKENS, Drawing, page, style, svg
from preceptor.report._format import label, number, percent, tick
from preceptor.report._lines import Line, draw_lines
from preceptor.report._plot import Trace, packed
from preceptor.report._table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["against_time", "importances", "parallel", "progress", "scatters", "written"]

_WIDTH, _HEIGHT = 460.0, 250.0
_DRAWN = 300  # trials
_CLIP = 3.0  # interquartile ranges beyond which a value is drawn at the edge
_AXES = 12


class _Axis(Protocol):
    @property
    def key(self) -> str: ...
    @property
    def log(self) -> bool: ...
    @property
    def values(self) -> tuple[object, ...]: ...


class _Trial(Protocol):
    @property
    def number(self) -> int: ...
    @property
    def settings(self) -> dict[str, object]: ...
    @property
    def value(self) -> float | None: ...
    @property
    def seconds(self) -> float: ...


@dataclass(frozen=True)
class _Seconds:
    key: str = "seconds"
    log: bool = False
    values: tuple[object, ...] = ()


@dataclass(frozen=True)
class _Timed:
    number: int
    settings: dict[str, object]
    value: float | None
    seconds: float = 0.0


class _Bar(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def share(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


def progress(objective: str, mode: str, trials: Sequence[_Trial]) -> Drawing | None:
    """Draw each trial's value and the best so far; None without two trials."""
    if len(trials) < 2:
        return None
    values = _values(trials)
    best = np.minimum.accumulate(values) if mode == "min" else np.maximum.accumulate(values)
    x = np.array([float(trial.number) for trial in trials])
    lines = [
        Line(objective, "trials", "muted", 1.0, "", x, _clipped(values, mode)),
        Line("best so far", "best", "val", 2.0, "-", x, best),
    ]
    caption = "Values that are far worse than most are drawn at the edge."
    return draw_lines("progress", "Progress", lines, unit="trial", caption=caption)


def scatters(
    objective: str, mode: str, axes: Sequence[_Axis], trials: Sequence[_Trial], best: int | None
) -> list[Drawing]:
    """Draw the result against each hyperparameter; none without two trials."""
    shown = [trial for trial in trials if all(axis.key in trial.settings for axis in axes)]
    if len(shown) < 2:
        return []
    return [_scatter(i, objective, mode, axis, shown, best) for i, axis in enumerate(axes[:_AXES])]


def against_time(objective: str, mode: str, trials: Sequence[_Trial], best: int | None) -> Drawing | None:
    """Draw the result against the seconds that it took to train; None without two trials."""
    timed = [_Timed(t.number, {"seconds": t.seconds}, t.value) for t in trials if t.seconds > 0]
    if len(timed) < 2:
        return None
    drawing = _scatter(_AXES, objective, mode, _Seconds(), timed, best)
    return replace(drawing, key="time", title="Against training time")


def _scatter(
    i: int, objective: str, mode: str, axis: _Axis, trials: Sequence[_Trial], best: int | None
) -> Drawing:
    values = _clipped(_values(trials), mode)
    places, names = _places(axis, trials)
    key, heading = f"scatter-{i}", label(axis.key, 40)
    top = next((k for k, trial in enumerate(trials) if trial.number == best), int(_order(values, mode)[0]))
    shown = written(trials[top].settings[axis.key])
    alt = f"{objective} against {heading}: {len(trials)} trials, the best at {shown}."
    with style():
        figure, drawn = page(_WIDTH, _HEIGHT, left=60, right=16, bottom=40, top=12)
        if axis.log:
            drawn.set_xscale("log")
        drawn.plot(
            places, values, linestyle="none", marker="o", markersize=4, color=TOKENS["train"], alpha=0.6
        )
        drawn.plot(places[top], values[top], marker="o", markersize=8, color=TOKENS["val"], fillstyle="none")
        _ticks(drawn, axis, names)
        drawn.set_xlabel(heading)
        picture = svg(figure, key, alt)
        said = [f"trial {t.number}: {heading} {written(t.settings[axis.key])}" for t in trials]
        texts = [f"{text}, {objective} {number(t.value)}" for text, t in zip(said, trials, strict=True)]
        points = Trace("trials", "train", places, values, texts=texts)
        plot = packed(drawn, [points], unit=heading, kind="points", zoom=not names)
    rows = tuple(
        (written(t.settings[axis.key]), number(t.value))
        for t in [trials[k] for k in _order(_values(trials), mode)[:60]]
    )
    table = Table(f"{objective} by {heading}, the best first", (heading, objective), rows)
    return Drawing(key, f"{heading}", alt, picture, "The circle is the trial that wins.", table, plot)


def _ticks(drawn: Axes, axis: _Axis, names: Sequence[str]) -> None:
    from matplotlib import ticker

    if names:
        drawn.set_xticks(range(len(names)), [label(name, 12) for name in names])
        drawn.set_xlim(-0.5, len(names) - 0.5)
        return
    if axis.log:
        drawn.xaxis.set_major_locator(ticker.LogLocator(numticks=6))
        drawn.xaxis.set_minor_locator(ticker.NullLocator())
    drawn.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: tick(value)))


def parallel(
    objective: str, mode: str, axes: Sequence[_Axis], trials: Sequence[_Trial], best: int | None
) -> Drawing | None:
    """Draw each trial as a line over all hyperparameters; None with fewer than two of either."""
    shown = [t for t in trials if all(axis.key in t.settings for axis in axes)][-_DRAWN:]
    if len(axes) < 2 or len(shown) < 2:
        return None
    axes = axes[:_AXES]
    heights = np.stack([_height(axis, shown) for axis in axes] + [_scaled(_clipped(_values(shown), mode))])
    good = {int(k) for k in _order(_values(shown), mode)[: max(1, len(shown) // 5)]}
    names = [label(axis.key.rpartition(".")[2], 16) for axis in axes] + [label(objective, 16)]
    alt = (
        f"Parallel coordinates of {len(shown)} trials over {', '.join(names[:-1])} and {objective}; "
        "the best fifth is drawn in colour."
    )
    with style():
        figure, drawn = page(2 * _WIDTH, _HEIGHT, left=30, right=30, bottom=34, top=12)
        drawn.grid(visible=False)
        drawn.set_yticks([])
        for k in sorted(range(len(shown)), key=lambda k: (k in good, shown[k].number == best)):
            colour = "val" if shown[k].number == best else "train" if k in good else "muted"
            drawn.plot(
                range(len(names)),
                heights[:, k],
                color=TOKENS[colour],
                linewidth=2.0 if colour == "val" else 1.0,
                alpha=0.25 if colour == "muted" else 0.8,
            )
        for x in range(len(names)):
            drawn.axvline(x, color=TOKENS["rule"], linewidth=0.8)
        drawn.set_xticks(range(len(names)), names)
        drawn.set_xlim(-0.05, len(names) - 0.95)
        picture = svg(figure, "parallel", alt)
        along = np.arange(len(names), dtype=np.float64)
        rows = [
            Trace(
                f"trial {trial.number}",
                "val",
                along,
                heights[:, k],
                1.0,
                texts=(_said(trial, axes, objective),),
            )
            for k, trial in enumerate(shown)
        ]
        plot = packed(drawn, rows, unit="", kind="rows", zoom=False)
    ends = [_ends(axis, shown) for axis in axes]
    values = _values(shown)
    ends.append((number(float(values.min())), number(float(values.max()))))
    table = Table(
        "The axes, from bottom to top",
        ("axis", "bottom", "top"),
        tuple((name, *pair) for name, pair in zip(names, ends, strict=True)),
    )
    caption = "One line a trial. In colour: the best fifth, and the one that wins."
    return Drawing("parallel", "All hyperparameters together", alt, picture, caption, table, plot)


def _said(trial: _Trial, axes: Sequence[_Axis], objective: str) -> str:
    settings = ", ".join(f"{label(axis.key, 40)} {written(trial.settings[axis.key])}" for axis in axes)
    return f"trial {trial.number}: {settings}, {label(objective, 40)} {number(trial.value)}"


def importances(bars: Sequence[_Bar]) -> Drawing | None:
    """Draw shares of the variance with their intervals; None where there are none."""
    if not bars:
        return None
    alt = "Importance: " + "; ".join(f"{bar.name} {percent(bar.share)}" for bar in bars) + "."
    height = 50.0 + 26.0 * len(bars)
    with style():
        figure, drawn = page(_WIDTH, height, left=170, right=20, bottom=30, top=10)
        places = np.arange(len(bars))[::-1]
        drawn.barh(places, [bar.share for bar in bars], height=0.6, color=TOKENS["hit"])
        for place, bar in zip(places, bars, strict=True):
            drawn.plot([bar.low, bar.high], [place, place], color=TOKENS["ink"], linewidth=1.2)
        drawn.set_yticks(places, [label(bar.name, 26) for bar in bars])
        drawn.grid(visible=False)
        drawn.set_xlim(0, 1)
        drawn.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"])
        picture = svg(figure, "importance", alt)
    rows = tuple((bar.name, percent(bar.share), f"{percent(bar.low)} … {percent(bar.high)}") for bar in bars)
    table = Table("Shares of the variance", ("hyperparameter", "share", "95 % interval"), rows)
    caption = "How much of the difference between trials each makes, by a random forest over their ranks."
    return Drawing("importance", "Importance", alt, picture, caption, table)


def _values(trials: Sequence[_Trial]) -> NDArray[np.float64]:
    return np.array([math.nan if t.value is None else t.value for t in trials], dtype=np.float64)


def _clipped(values: NDArray[np.float64], mode: str) -> NDArray[np.float64]:
    """Bring what is far worse than most to the edge, so that the others can be told apart."""
    low, high = np.quantile(values, (0.25, 0.75))
    reach = _CLIP * (high - low)
    if reach == 0:
        return values
    clipped: NDArray[np.float64] = (
        np.minimum(values, high + reach) if mode == "min" else np.maximum(values, low - reach)
    )
    return clipped


def _order(values: NDArray[np.float64], mode: str) -> NDArray[np.intp]:
    return np.argsort(values if mode == "min" else -values, kind="stable")


def _places(axis: _Axis, trials: Sequence[_Trial]) -> tuple[NDArray[np.float64], list[str]]:
    """Return where trials lie on an axis, and the names of its places where they are no numbers."""
    given = [trial.settings[axis.key] for trial in trials]
    if not axis.values:
        return np.array([float(value) for value in given], dtype=np.float64), []  # type: ignore[arg-type]  # an axis without listed values is of numbers
    names = list(dict.fromkeys(written(value) for value in [*axis.values, *given]))
    return np.array([float(names.index(written(value))) for value in given]), names


def _height(axis: _Axis, trials: Sequence[_Trial]) -> NDArray[np.float64]:
    places, _ = _places(axis, trials)
    return _scaled(np.log(places) if axis.log else places)


def _scaled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else np.full_like(values, 0.5)


def _ends(axis: _Axis, trials: Sequence[_Trial]) -> tuple[str, str]:
    places, _ = _places(axis, trials)
    lowest, highest = (trials[int(pick(places))].settings[axis.key] for pick in (np.argmin, np.argmax))
    return written(lowest), written(highest)


def written(value: object) -> str:
    """Return a value of a hyperparameter as it is shown.

    Example:
        >>> written(0.012345), written((64, 32)), written(None)
        ('0.0123', '[64, 32]', '–')
    """
    if isinstance(value, tuple | list):
        return label("[" + ", ".join(map(written, value)) + "]", 40)
    if value is None:
        return "–"
    return f"{value:.3g}" if isinstance(value, float) else label(value, 40)
