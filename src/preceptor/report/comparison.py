"""Runs side by side as one HTML file: what differs, what came of it, and whether that is more than noise."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from preceptor.report._canvas import TOKENS, Drawing, page, style, svg
from preceptor.report._curves import FIGURES_SHOWN
from preceptor.report._format import as_float, clean, count, label, number, short, title
from preceptor.report._lines import DRAWABLE, Line, draw_lines
from preceptor.report._page import save, template
from preceptor.report._plot import Trace, packed
from preceptor.report._table import Table
from preceptor.report._view import cut, text
from preceptor.report._words import Words
from preceptor.report.compare import Comparison, Difference, Group, compare
from preceptor.training import RunFolder

__all__ = ["render", "write"]

_LOOKS = [
    (colour, dashes) for dashes in ("-", "--") for colour in ("train", "val", "rate", "mark", "ink", "muted")
]
_PARTS = ("val_", "train_")
_DIFFERENCES = 24


def render(folders: Sequence[RunFolder]) -> str:
    """Return the page as an HTML document; the same runs give the same text.

    Arguments:
        folders: two or more runs.
    """
    found, words = compare(folders), Words()
    names = _names(found.runs)
    return template("compare.html.j2").render(
        words=words,
        name=label(" and ".join(names) if len(names) < 4 else f"{len(names)} runs", 120),
        verdict=_verdict(found, folders, names),
        tiles=_tiles(folders, names),
        curves=_curves(folders, names),
        results=_results(found, folders, names),
        differences=_differences(found.differences),
        groups=_groups(found.groups),
        settings=_settings(found, names, words),
        notes=cut(tuple(note[:1].upper() + note[1:] + "." for note in found.notes)),
        runs=[(name, label(run, 300)) for name, run in zip(names, found.runs, strict=True)],
    )


def write(folders: Sequence[RunFolder], path: str | os.PathLike[str]) -> Path:
    """Write the page to ``path``, whole or not at all, and return where it is.

    Raises:
        StorageError: the file cannot be written.
    """
    return save(render(folders), path)


def _names(runs: Sequence[str]) -> list[str]:
    """Return the folders' last parts, or the whole paths where those are not different."""
    lasts = [Path(run).name for run in runs]
    return [label(run, 60) for run in (lasts if len(set(lasts)) == len(lasts) else runs)]


def _verdict(found: Comparison, folders: Sequence[RunFolder], names: list[str]) -> list[str]:
    differing = [key for key in found.settings if key != "seed"]
    listed = ", ".join(label(key, 40) for key in differing[:4]) + (", …" if len(differing) > 4 else "")
    said = [
        f"{count(len(names))} runs differ in {listed}." if differing else "No setting but the seed differs."
    ]
    said += [f"{clean(str(difference), 400)}." for difference in found.differences[:2]]
    if not found.differences and (best := _best(folders, names)):
        said.append(best)
    return said


def _monitored(folder: RunFolder) -> tuple[str, float]:
    settings, epoch = folder.experiment.training, folder.manifest.get("best_epoch")
    row: Any = folder.history[epoch - 1] if epoch else {}
    return settings.monitor, as_float(row.get(settings.monitor))


def _best(folders: Sequence[RunFolder], names: list[str]) -> str:
    """Say which run has the best value of what all of them monitored; nothing where they did not."""
    monitored = [_monitored(folder) for folder in folders]
    key, values = monitored[0][0], np.array([value for _, value in monitored])
    if len({name for name, _ in monitored}) > 1 or np.isnan(values).all():
        return ""
    mode = folders[0].experiment.training.mode
    smaller = mode == "min" or (mode != "max" and key.endswith("loss"))
    k = int(np.nanargmin(values) if smaller else np.nanargmax(values))
    others = ", ".join(f"{names[i]} {number(v)}" for i, v in enumerate(values[:8]) if i != k)
    return f"By {label(key, 60)} at its best epoch {names[k]} is best: {number(values[k])} beside {others}."


def _tiles(folders: Sequence[RunFolder], names: list[str]) -> list[tuple[str, str, str]]:
    found = []
    for name, folder in list(zip(names, folders, strict=True))[:8]:
        key, value = _monitored(folder)
        found.append((short(name, 24), number(value), f"{label(key, 30)}, {folder.manifest['status']}"))
    return found


def _curves(folders: Sequence[RunFolder], names: list[str]) -> list[Drawing]:
    """Draw each history key over the epochs, a line a run."""
    histories = [folder.history.rows for folder in folders[: len(_LOOKS)]]
    keys = dict.fromkeys(key for rows in histories for row in rows for key in row if key.startswith(_PARTS))
    chosen = sorted(keys, key=lambda key: (not key.endswith("_loss"), not key.startswith("val_")))
    left_out = len(folders) - len(histories)
    caption = f"The first {len(histories)} of {count(len(folders))} runs." if left_out else ""
    drawings = []
    for i, key in enumerate([key for key in chosen if key != "train_loss_running"][:FIGURES_SHOWN]):
        shown = zip(histories, names, _LOOKS, strict=False)
        lines = [_line(rows, key, name, look) for rows, name, look in shown]
        if there := [line for line in lines if line is not None]:
            drawings.append(draw_lines(f"compared-{i}", _heading(key), there, unit="epoch", caption=caption))
    return drawings


def _heading(key: str) -> str:
    part, _, name = key.partition("_")
    return f"{title(name)}, {'validation' if part == 'val' else 'training'}"


def _line(rows: Sequence[Any], key: str, name: str, look: tuple[str, str]) -> Line | None:
    values = np.array([as_float(row.get(key)) for row in rows])
    values[np.abs(values) > DRAWABLE] = np.nan
    epochs = np.array([as_float(row.get("epoch")) for row in rows])
    if not len(values) or np.isnan(values).all() or np.isnan(epochs).any():
        return None
    return Line(name, short(name, 11), look[0], 1.6, look[1], epochs, values)


def _results(found: Comparison, folders: Sequence[RunFolder], names: list[str]) -> Table:
    rows = [(label(key, 60), *map(number, values)) for key, values in found.metrics.items()]
    judged = [folder.findings for folder in folders]
    if any(one is not None for one in judged):
        rows.append(("findings", *(_causes(one) for one in judged)))
    rows.append(("ended", *(label(folder.manifest["status"], 40) for folder in folders)))
    return Table("Results at the best epoch of each run", ("measure", *names), tuple(rows))


def _causes(findings: Sequence[Any] | None) -> str:
    if findings is None:
        return "–"
    causes = [str(one.get("cause")) for one in findings if one.get("severity") != "info"]
    return label(", ".join(causes), 200) or "none"


def _settings(found: Comparison, names: list[str], words: Words) -> Table | None:
    rows = tuple(
        (label(key, 60), *(words.setting(key, text(value, 60)) for value in values))
        for key, values in found.settings.items()
    )
    places = frozenset(range(len(names) + 1))
    return Table("Settings that differ", ("setting", *names), rows, text=places) if rows else None


def _groups(groups: Sequence[Group]) -> Table | None:
    """Return the mean over the seeds of each group of runs; None where each has one seed."""
    if all(len(group.seeds) < 2 for group in groups):
        return None
    keys = list(dict.fromkeys(key for group in groups for key in group.metrics))
    head = (
        "mean ± standard deviation",
        *(f"{short(Path(g.name).name, 24)} ({len(g.seeds)} seeds)" for g in groups),
    )
    rows = tuple((label(key, 60), *(_mean(group.metrics.get(key, ())) for group in groups)) for key in keys)
    return Table("Runs that differ by their seed alone, together", head, rows)


def _mean(values: Sequence[float]) -> str:
    if not values:
        return "–"
    spread = f" ± {number(np.std(values, ddof=1))}" if len(values) > 1 else ""
    return number(float(np.mean(values))) + spread


def _difference_table(differences: Sequence[Difference]) -> Table:
    rows = tuple(
        (
            label(one.metric, 40),
            label(one.group, 120),
            f"{one.mean:+.4g}",
            f"{one.low:+.4g} to {one.high:+.4g}",
            count(one.pairs) if one.pairs else "–",
            "within the noise of seeds" if one.noise else "more than the noise of seeds",
        )
        for one in differences
    )
    head = ("measure", "of", "difference", "95 % interval", "pairs of seeds", "verdict")
    return Table("Differences of the means", head, rows, text=frozenset({0, 1, 5}))


def _differences(differences: Sequence[Difference]) -> Drawing | None:
    """Draw each difference with its interval, in units of its own width, so that all fit on one axis."""
    shown = differences[:_DIFFERENCES]
    if not shown:
        return None
    told = [f"{one.metric}: {one.mean:+.3g} ({one.low:+.3g} to {one.high:+.3g})" for one in shown]
    halves = np.array([(one.high - one.low) / 2 for one in shown])
    middles = np.array([one.mean for one in shown]) / halves
    places = np.arange(len(shown))[::-1].astype(np.float64)
    with style():
        figure, axes = page(460.0, 54.0 + 26.0 * len(shown), left=170, right=20, bottom=44, top=10)
        axes.axvline(0, color=TOKENS["muted"], linewidth=1, linestyle="--")
        for one, middle, place in zip(shown, middles, places, strict=True):
            colour = TOKENS["muted" if one.noise else "train"]
            axes.plot([middle - 1, middle + 1], [place, place], color=colour, linewidth=2)
            axes.plot(middle, place, color=colour, marker="o", markersize=6)
        axes.set_yticks(places, [short(one.metric, 26) for one in shown])
        axes.set_ylim(-0.6, len(shown) - 0.4)
        axes.grid(visible=False)
        axes.set_xticks([0])
        axes.set_xlabel("less ← difference → more")
        alt = f"Differences of the means with their 95 % intervals: {'; '.join(told)}."
        picture = svg(figure, "differences", alt)
        trace = Trace("differences", "train", middles, places, texts=told)
        plot = packed(axes, [trace], unit="", kind="points", zoom=False)
    caption = "Bars: 95 % intervals, all drawn equally wide. What crosses the dashed line is noise."
    table = _difference_table(differences)
    return Drawing("differences", "How sure they are", clean(alt), picture, caption, table, plot)
