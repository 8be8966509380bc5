"""A search as one HTML file: what was tried, what it came to, what mattered, what to do next."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from preceptor.report._format import clean, count, duration, evenly, label, number
from preceptor.report._page import save, template
from preceptor.report._search_figures import against_time, importances, parallel, progress, scatters, written
from preceptor.report._table import Table
from preceptor.report._words import Words

__all__ = ["Axis", "Bar", "SearchPage", "Tried", "render", "write"]

ROWS_SHOWN = 200


@dataclass(frozen=True)
class Axis:
    """One hyperparameter, as it is drawn.

    Attributes:
        key: its dotted key.
        text: the values that it may take.
        log: whether its axis is logarithmic.
        values: what it may be, where that is a list; else empty.
    """

    key: str
    text: str
    log: bool = False
    values: tuple[object, ...] = ()


@dataclass(frozen=True)
class Tried:
    """One trial.

    Attributes:
        number: of the trial.
        settings: its hyperparameters.
        value: what decides; None where it came to nothing.
        changed: what is other than in the trial that it came from.
        note: what a person wrote.
        epochs, seconds: how long it was trained.
        status: how it ended.
    """

    number: int
    settings: dict[str, object]
    value: float | None
    changed: str = ""
    note: str = ""
    epochs: int = 0
    seconds: float = 0.0
    status: str = ""


@dataclass(frozen=True)
class Bar:
    """The share of one hyperparameter, or of two together, with its interval."""

    name: str
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class SearchPage:
    """All that a search's page shows.

    Attributes:
        name: of the search.
        folder: where it lies.
        verdict: sentences.
        objective: the history key that decides.
        mode: "min" or "max".
        axes: the hyperparameters.
        tried: the trials that were compared, in their order; repetitions are in ``finalists``.
        best: the number of the winner; None where there is none.
        bars: what each hyperparameter counts for; empty where that is not known.
        doubt: why it is not known, or how well it is.
        finalists: rows of trial, first value, mean over new seeds, interval, how far behind.
        advice: sentences.
        plan: what the search set out to do.
        settings: all settings of the experiment, beside what was searched.
    """

    name: str
    folder: str
    verdict: tuple[str, ...]
    objective: str
    mode: str
    axes: tuple[Axis, ...]
    tried: tuple[Tried, ...]
    best: int | None = None
    bars: tuple[Bar, ...] = ()
    doubt: str = ""
    finalists: tuple[tuple[str, ...], ...] = ()
    advice: tuple[str, ...] = ()
    plan: tuple[tuple[str, str], ...] = ()
    settings: tuple[tuple[str, str], ...] = field(default=())


def render(page: SearchPage) -> str:
    """Return the page as an HTML document; the same search gives the same text.

    Example:
        >>> one = SearchPage("digits", "searches/digits-1", ("nothing yet",), "val_loss", "min", (), ())
        >>> "<h1>digits</h1>" in render(one)
        True
    """
    there = [trial for trial in page.tried if trial.value is not None]
    return template("search.html.j2").render(
        words=Words(),
        name=label(page.name, 120) or "search",
        folder=label(page.folder, 300),
        verdict=[clean(sentence, 600) for sentence in page.verdict],
        tiles=_tiles(page),
        advice=[clean(sentence, 600) for sentence in page.advice],
        progress=progress(page.objective, page.mode, there),
        parallel=parallel(page.objective, page.mode, page.axes, there, page.best),
        scatters=scatters(page.objective, page.mode, page.axes, there, page.best),
        against_time=against_time(page.objective, page.mode, there, page.best),
        importances=importances(page.bars),
        doubt=clean(page.doubt, 600),
        finalists=_finalists(page),
        trials=_trials(page),
        plan=[(label(k, 60), clean(v, 300)) for k, v in page.plan],
        settings=[(label(k, 60), clean(v, 2000)) for k, v in page.settings],
    )


def write(page: SearchPage, path: str | os.PathLike[str]) -> Path:
    """Write the page to ``path``, whole or not at all, and return where it is.

    Raises:
        StorageError: the file cannot be written.
    """
    return save(render(page), path)


def _tiles(page: SearchPage) -> list[tuple[str, str, str]]:
    best = next((trial for trial in page.tried if trial.number == page.best), None)
    failed = sum(trial.status == "failed" for trial in page.tried)
    diverged = sum(trial.status == "diverged" for trial in page.tried)
    lost = ", ".join(f"{n} {word}" for n, word in ((failed, "failed"), (diverged, "diverged")) if n)
    tiles = [("Trials", count(len(page.tried)), lost)]
    if best is not None:
        tiles.append((f"Best {page.objective}", number(best.value), f"trial {best.number}, chosen by it"))
    tiles.append(("Training time", duration(sum(trial.seconds for trial in page.tried)), ""))
    return tiles


def _finalists(page: SearchPage) -> Table | None:
    if not page.finalists:
        return None
    head = ("trial", "chosen by", "mean of new seeds", "95 % interval", "behind the winner")
    note = "What a trial was chosen by is the best of many values, and so better than it will be again."
    return Table("The best trials, trained anew", head, page.finalists, note, text=frozenset({3, 4}))


def _trials(page: SearchPage) -> Table:
    keys = [axis.key for axis in page.axes] or _keys(page.tried)
    picked = evenly(len(page.tried), ROWS_SHOWN, keep=() if page.best is None else (page.best,))
    rows = tuple(_row(page.tried[i], keys) for i in picked)
    noted = any(trial.note for trial in page.tried)
    head = ("trial", *keys, page.objective, "epochs", "s", "ended", "changed", *(["note"] if noted else []))
    words = frozenset(range(len(keys) + 4, len(head)))
    if not noted:
        rows = tuple(row[:-1] for row in rows)
    left_out = "" if len(rows) == len(page.tried) else f"{len(rows)} of {count(len(page.tried))} trials."
    return Table("Trials", head, rows, left_out, text=words)


def _row(trial: Tried, keys: Sequence[str]) -> tuple[str, ...]:
    return (
        str(trial.number),
        *(written(trial.settings.get(key)) for key in keys),
        number(trial.value),
        str(trial.epochs),
        f"{trial.seconds:.1f}",
        trial.status,
        label(trial.changed, 200),
        label(trial.note, 200),
    )


def _keys(tried: Sequence[Tried]) -> list[str]:
    return list(dict.fromkeys(key for trial in tried for key in trial.settings))
