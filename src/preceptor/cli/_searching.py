"""What ``preceptor search`` does, apart from the parsing of its options, so that ``--help`` stays quick."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from preceptor.errors import ConfigError
from preceptor.report._format import number
from preceptor.report.terminal import Plain, line
from preceptor.search import Search
from preceptor.search.journal import Trial
from preceptor.search.space import setting_of, written
from preceptor.search.tuning import planned
from preceptor.training import Experiment
from preceptor.training.experiment import parse_assignments

__all__ = ["Request", "perform"]

_INTERRUPTED = 130


@dataclass(frozen=True)
class Request:
    """The command line of a search, parsed."""

    data: str | None
    space: list[str]
    plan: dict[str, Any]
    staged: bool | list[list[str]]
    workers: int
    on: str
    together: int
    training: dict[str, Any]
    settings: list[str]
    note: str | None
    parent: int | None
    out: Path | None


def perform(request: Request) -> int:
    """Search as requested, print what happens, and return the exit code."""
    console = Plain(highlight=False)
    settings = {_key(key): value for key, value in parse_assignments(request.settings).items()}
    by_hand = request.note is not None or request.parent is not None
    found = _existing(request)
    if found is None:
        found = _planned(request, {} if by_hand and request.parent is not None else settings, by_hand)
        settings = {}
    elif settings and not by_hand:
        by_hand = True  # a search that goes on has its settings; another one is a trial
    _describe(found, console)
    rows = _Rows(found, console)
    try:
        if by_hand or found.plan.method == "manual":
            found.add(settings, parent=request.parent, note=request.note or "", tell=rows.show)
        else:
            found.run(workers=request.workers, on=request.on, together=request.together, tell=rows.show)
    except KeyboardInterrupt:
        _say(console, "saved", f"{found.folder}; go on with: preceptor search {found.folder}")
        return _INTERRUPTED
    return _conclude(found, console)


def _key(key: str) -> str:
    """Return a setting by its full name; what is no hyperparameter may still be set for all trials."""
    return key if "." in key or key in Experiment().flat() else setting_of(key)


def _existing(request: Request) -> Search | None:
    """Return the search to go on with, where a folder of one was named; its budget may be another."""
    folder = next(
        (
            Path(place)
            for place in (request.data, request.out)
            if place and (Path(place) / "search.json").is_file()
        ),
        None,
    )
    if folder is None or request.space:
        return None
    found = Search(folder)
    if request.plan["trials"] or request.plan["budget"]:
        found.extend(trials=request.plan["trials"], budget=request.plan["budget"])
    return found


def _planned(request: Request, settings: dict[str, Any], by_hand: bool) -> Search:
    if request.data is None:
        raise ConfigError(
            "nothing to train on",
            expected="a built-in set, a file, a folder, an experiment.toml or a search's folder",
            received="no data",
            hint="preceptor search digits --space lr=log:1e-4..1e-1",
        )
    plan = {key: value for key, value in request.plan.items() if value is not None}
    if by_hand and not request.space:
        plan["method"] = "manual"
    experiment = Experiment.read(Path(request.data)) if request.data.endswith(".toml") else None
    training = {key: value for key, value in request.training.items() if value is not None}
    return planned(
        training.pop("model", None),
        None if experiment is not None else request.data,
        space=request.space,
        staged=request.staged,
        experiment=experiment,
        out=request.out,
        settings=settings,
        **plan,
        **training,
    )


class _Rows:
    """Prints a row a trial."""

    def __init__(self, search: Search, console: Console) -> None:
        self.search, self.console, self._headed = search, console, False

    def show(self, trial: Trial) -> None:
        """Print what came of a trial."""
        plan, result = self.search.plan, trial.result
        if result is None:
            return
        if not self._headed:
            self._headed = True
            self.console.print(f"trial  {plan.objective:>12}  epochs      s  changed", markup=False)
        ended = "" if result.status in ("finished", "early stopping", "paused") else f" ({result.status})"
        why = f": {result.error.splitlines()[0]}" if result.error else f": {trial.note}" if trial.note else ""
        text = f"{trial.number:>5}  {number(result.value):>12}  {result.epochs:>6}  {result.seconds:5.1f}  "
        self.console.print(text + trial.changed + ended + why, markup=False, soft_wrap=True)


def _describe(search: Search, console: Console) -> None:
    plan = search.plan
    parts = [f"{key} {text}" for key, text in plan.space.items()]
    _say(console, "search", " · ".join([plan.method, *parts]))
    better = "lower" if plan.mode == "min" else "higher"
    _say(console, "decides", f"{plan.objective} on validation, {better} is better; the test set is sealed")
    for sentence in plan.whole.advice():
        _say(console, "note", sentence)
    begun = len(search.trials)
    if begun:
        _say(console, "goes on", f"{search.folder}, after {begun} trials")


def _conclude(search: Search, console: Console) -> int:
    best, verdict = search.best, search.verdict
    if best is None or verdict is None:
        _say(console, "best", "no trial came to a value")
        _say(console, "report", str(search.report()))
        return 1
    shown = ", ".join(f"{key} {_short(value)}" for key, value in best.settings.items())
    _say(console, "best", f"trial {best.number}: {shown or 'the experiment as it is'}")
    for one in verdict.candidates if verdict.seeds else ():
        low, high = one.interval
        _say(
            console,
            "",
            f"trial {one.number}: {number(one.mean)} over {verdict.seeds} new seeds "
            f"(95 % interval {low:.4g} … {high:.4g}; chosen by {number(one.first)})",
        )
    _say(console, "verdict", str(verdict))
    importances = search.importance()
    if importances is not None:
        _say(console, "matters", str(importances))
    for sentence in search.advice():
        _say(console, "note", sentence)
    finer = search.finer()
    if finer is not None:
        _say(console, "finer", " ".join(f"--space '{key}={text}'" for key, text in finer.to_plain().items()))
    _say(console, "report", str(search.report()))
    _say(console, "next", f"preceptor train {search.folder / 'best.toml'}")
    return 0


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else written(value)


def _say(console: Console, label: str, text: str) -> None:
    console.print(line(label, text), markup=False, soft_wrap=True)
