"""Runs as they are now, read from their folders: a list of them, and a page for each that follows it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.notebook import findings_html
from preceptor.errors import CheckpointError, PreceptorError
from preceptor.report import _view
from preceptor.report._canvas import Drawing
from preceptor.report._curves import curves
from preceptor.report._format import clean, count, duration, label, number
from preceptor.report._page import template
from preceptor.report._runs import find_run, find_runs, latest, members, written
from preceptor.report._table import Table
from preceptor.report._words import Words
from preceptor.report.sparkline import sparkline
from preceptor.report.summary import Summary, TestLook
from preceptor.training.experiment import Experiment
from preceptor.training.folder import RunFolder
from preceptor.training.history import History
from preceptor.untrusted import understood

__all__ = ["Seen", "find_run", "find_runs", "list_page", "look_at", "run_page"]

_FILES = ("manifest.json", "experiment.toml", "history.csv", "findings.json", "report.html",
          "state/progress.json", "state/checkpoint.safetensors")  # fmt: skip
_SILENT = 120.0  # seconds after which a running training that wrote nothing is said to be silent
_MOST = 100  # runs on a page of the list
_KEPT = 1000  # runs that are kept as they were read, until they change


@dataclass(frozen=True)
class Seen:
    """A run as its folder shows it.

    Attributes:
        name: its path below the folder of runs.
        summary: how it goes.
        progress: epoch, batch, rate and time left while it trains; None where nothing is written.
        findings: what is wrong with it; None where nobody has judged.
        written: when it last wrote something, in seconds since 1970.
        chosen: the settings that were given.
        report: whether its report is written.
    """

    name: str
    summary: Summary
    progress: dict[str, Any] | None
    findings: list[Finding] | None
    written: float
    chosen: tuple[tuple[str, Any], ...]
    report: bool

    @property
    def running(self) -> bool:
        """Whether its training has not ended, as far as its folder tells."""
        return self.summary.status == "running"


def look_at(name: str, path: Path) -> Seen:
    """Return a run as it is now.

    Raises:
        PreceptorError: its folder cannot be read.
    """
    with understood(path, "a run's folder, as a training leaves it", CheckpointError):
        files = (path / name for name in _FILES)
        return _looked(name, path, tuple(_stamp(file) for file in files))


def _stamp(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


@lru_cache(maxsize=_KEPT)
def _looked(name: str, path: Path, stamps: tuple[tuple[int, int], ...]) -> Seen:
    """Read a run; as long as its files are as they were, it is not read again."""
    folder = RunFolder(path)
    manifest, experiment, history = folder.manifest, folder.experiment, _history(folder)
    flat = experiment.flat()
    files = [path / "manifest.json", path / "history.csv", folder.state, folder.progress_file]
    return Seen(
        name,
        _summary(path, manifest, experiment, history),
        folder.progress,
        None if folder.findings is None else [Finding.from_plain(row) for row in folder.findings],
        written(*files),
        tuple((key, flat[key]) for key in manifest["chosen"] if key in flat),
        (path / "report.html").is_file(),
    )


def _history(folder: RunFolder) -> History:
    try:
        return folder.history
    except CheckpointError:  # no epoch has been written yet
        return History()


def _summary(path: Path, manifest: dict[str, Any], experiment: Experiment, history: History) -> Summary:
    monitor, mode = experiment.training.monitor, experiment.training.mode
    best = manifest.get("best_epoch")
    if best is None:
        mode = mode if mode != "auto" else "min" if "loss" in monitor else "max"
        row = history.best(monitor, mode)
        best = None if row is None else history[row].get("epoch", row + 1)
    return Summary(
        name=experiment.name,
        folder=str(path),
        task=str(experiment.task),
        measure=monitor,
        experience=experiment.data.source,
        status=str(manifest["status"]),
        history=history.rows,
        best_epoch=best,
        monitor=monitor,
        test=_test(manifest["ledger"]),
    )


def _test(ledger: list[dict[str, Any]]) -> TestLook | None:
    if not ledger:
        return None
    last, interval = ledger[-1], ledger[-1].get("interval")
    return TestLook(last["metrics"], last["n"], len(ledger), tuple(interval) if interval else None)


def list_page(folder: Path, now: float | None = None, *, start: int = 0) -> str:
    """Return the page that lists the runs of a folder, the latest first, a hundred of them.

    Arguments:
        folder: of runs.
        now: seconds since 1970; default: the clock's.
        start: how many of the latest are left out.
    """
    moment = time.time() if now is None else now
    every = latest(folder)
    shown, seen, rows, unread = every[start : start + _MOST], [], [], []
    for name, path in [one for run in shown for one in (run, *members(*run).items())]:
        try:
            one = look_at(name, path)
            rows.append((one.written, _row(one, moment)))
            seen.append(one)
        except PreceptorError as error:
            unread.append(f"{name}: {error.problem}")
    rows.sort(key=lambda row: -row[0])
    head = ("run", "status", "epochs", "monitored", "best", "course", "last written")
    table = Table("Runs", head, tuple(row for _, row in rows), text=frozenset({0, 1, 3, 5, 6}))
    running = count(sum(one.running for one in seen))
    cut = len(every) > len(shown)
    whole = f"{count(len(every) if cut else len(seen))} runs"
    whole += f", of which {count(len(shown))} are listed" if cut else ""
    return _page(
        name=label(folder.resolve().name, 120) or "runs",
        kind="runs",
        verdict=[f"{whole}, {running} of them in training."],
        runs=table if seen else None,
        notes=[*_view.cut(tuple(unread)), *_others(len(every), start)],
    )


def _others(runs: int, start: int) -> list[str]:
    """Return where the runs are that a page leaves out."""
    link = Markup('<a href="/from/{}">{}</a>')
    found: list[str] = []
    if start:
        found.append(link.format(max(0, start - _MOST), "later ones"))
    if start + _MOST < runs:
        found.append(link.format(start + _MOST, "earlier ones"))
    return found


def _row(seen: Seen, now: float) -> tuple[str, ...]:
    with understood(
        seen.summary.folder or seen.name, "a run's folder, as a training leaves it", CheckpointError
    ):
        return _cells(seen, now)


def _cells(seen: Seen, now: float) -> tuple[str, ...]:
    summary, progress = seen.summary, seen.progress or {}
    values = [row.get(summary.monitor) for row in summary.history]
    at_best = (row for row in summary.history if row.get("epoch") == summary.best_epoch)
    best = next(at_best, {}).get(summary.monitor)
    of = f" of {progress['epochs']}" if seen.running and progress.get("epochs") else ""
    link = Markup('<a href="/run/{}">{}</a>').format(quote(seen.name), clean(seen.name, 80))
    return (
        link,
        label(_status(seen, now), 60),
        f"{count(len(summary.history))}{of}",
        label(summary.monitor, 30),
        number(best),
        sparkline([v if isinstance(v, int | float) else None for v in values], 16),
        f"{duration(max(0.0, now - seen.written))} ago",
    )


def _status(seen: Seen, now: float) -> str:
    silent = now - seen.written
    if seen.running and silent > _SILENT:
        return f"running, silent for {duration(silent)}"
    return seen.summary.status


def run_page(seen: Seen, now: float | None = None) -> str:
    """Return the page of one run: how far it is, its numbers, its curves, what is wrong with it.

    Arguments:
        seen: the run.
        now: seconds since 1970; default: the clock's.

    Raises:
        CheckpointError: what its folder holds is of another kind than a training writes.
    """
    with understood(
        seen.summary.folder or seen.name, "a run's folder, as a training leaves it", CheckpointError
    ):
        return _shown(seen, time.time() if now is None else now)


def _shown(seen: Seen, moment: float) -> str:
    found = findings_html(seen.findings) if seen.findings is not None else ""
    return _page(
        name=label(seen.summary.name, 120) or "run",
        kind="run",
        folder=label(seen.summary.folder, 300),
        verdict=[_status(seen, moment) + ".", *_view.verdict(seen.summary)[1:]],
        progress=_progress(seen.progress) if seen.running else [],
        share=_share(seen.progress) if seen.running else None,
        tiles=_view.tiles(seen.summary),
        figures=_figures(seen.summary),
        findings=Markup(found),  # noqa: S704 - escaped by those who wrote it
        chosen=[(label(key, 60), _view.text(value)) for key, value in seen.chosen[:100]],
        running=seen.running,
        report=f"/run/{quote(seen.name)}/report" if seen.report else "",
    )


def _share(progress: dict[str, Any] | None) -> float | None:
    """Return how much of a training is done, between 0 and 1."""
    try:
        shown = progress or {}
        done = shown["epoch"] - 1 + shown["batch"] / shown["batches"]
        return max(0.0, min(1.0, float(done) / float(shown["epochs"])))
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None


def _progress(progress: dict[str, Any] | None) -> list[tuple[str, str]]:
    if not progress:
        return []
    rate, left = progress.get("batches_per_second"), progress.get("seconds_left")
    return [
        ("epoch", f"{progress.get('epoch', '–')} of {progress.get('epochs', '–')}"),
        ("batch", f"{progress.get('batch', '–')} of {progress.get('batches', '–')}"),
        ("rate", f"{number(rate, 3)} batches a second"),
        ("time left", f"{duration(left)} at most"),
    ]


def _figures(summary: Summary) -> tuple[Drawing, ...]:
    rows = tuple(tuple(row.items()) for row in summary.history)
    return _drawn(rows, summary.best_epoch, summary.monitor)


@lru_cache(maxsize=16)
def _drawn(rows: tuple[Any, ...], best: int | None, monitor: str) -> tuple[Drawing, ...]:
    """Draw the curves; while nothing new was measured they are not drawn again."""
    history = [dict(row) for row in rows]
    return tuple(curves(Summary("", None, "", "", "", "", history, best, monitor)))


def _page(**given: Any) -> str:
    empty: dict[str, Any] = {
        "folder": "", "progress": [], "share": None, "tiles": [], "figures": (), "findings": "", "chosen": [],
        "running": False, "report": "", "runs": None, "notes": [],
    }  # fmt: skip
    return template("live.html.j2").render(words=Words(), **{**empty, **given})
