"""What ``preceptor train --members`` does and prints: a row a member, then what combining them brought."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from preceptor.diagnosis.show import ALARMS, as_text
from preceptor.errors import ConfigError
from preceptor.report.terminal import EpochTable, describe_data, describe_model, line, terminal
from preceptor.run import Ensemble, Members, Run, train
from preceptor.run.many.loading import members_of
from preceptor.run.many.members import read_variation
from preceptor.run.many.summary import combined, described
from preceptor.training import Callback, Experiment, Problem, RunFolder

if TYPE_CHECKING:
    from preceptor.cli._training import Request

__all__ = ["asked", "goes_on", "perform_members"]

_INTERRUPTED = 130  # what a shell expects of a program that Ctrl-C ended


def asked(
    members: int | None,
    *,
    bag: bool,
    vary: Sequence[str],
    snapshots: int | None,
    combine: str | None,
    together: bool | None,
) -> Members | None:
    """Return what the options ask for; None for one run.

    Raises:
        ConfigError: options that do not go together.
    """
    if members is None and snapshots is None:
        idle = [name for name, given in (("--bag", bag), ("--vary", vary), ("--combine", combine)) if given]
        if idle:
            raise ConfigError(
                f"{idle[0]} is for an ensemble", expected="--members 5 beside it", received=f"{idle[0]} alone"
            )
        return None
    if members is not None and snapshots is not None:
        raise ConfigError(
            "members of their own trainings, or snapshots of one",
            expected="--members or --snapshots",
            received=f"--members {members} --snapshots {snapshots}",
        )
    count = snapshots if members is None else members
    assert count is not None  # noqa: S101 - one of them was given
    return Members(count, bag, read_variation(vary), snapshots is not None, combine or "auto", together)


def goes_on(folder: Path | None) -> bool:
    """Say whether the run that is to go on is an ensemble."""
    return folder is not None and members_of(RunFolder(folder)) is not None


def row(run: Run, keys: Sequence[str]) -> str:
    """Return in a line how a member's training went, and what is its own among these settings."""
    name = run.folder.path.name if run.folder else "member"
    shown = f"{name:<12}{len(run.history):>4} epochs"
    if run.best_epoch is not None:
        best = run.history[run.best_epoch - 1]
        part = "val" if "val_loss" in best else "train"
        names = (run.experiment.training.monitor, f"{part}_{next(iter(run.task.metrics), '')}")
        values = {key: best[key] for key in names if best.get(key) is not None}
        shown += f"  best {run.best_epoch}: " + "  ".join(f"{key} {v:.3f}" for key, v in values.items())
    engine = run.folder.manifest.get("engine") if run.folder else None
    together = f", {engine['name']}" if engine and engine["name"] != "sequential" else ""
    return f"{shown}  {described(run.experiment, keys)}{together}"


class Telling:
    """Says what is trained when the first member begins, and what is found wrong with it."""

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self.console, self.quiet, self.started = console, quiet, quiet

    def __call__(self, run: Run) -> Sequence[Callback]:
        """Return what prints the epochs of the training of snapshots; members have a row when they end."""
        name = run.folder.path.name if run.folder else "member"
        if not self.started:
            self.started = True
            self._begin(run)
        run.tell = lambda finding: self.console.print(
            f"{name}: {as_text(finding)}", markup=False, soft_wrap=True
        )
        return [EpochTable(self.console)] if name == "training" and not self.quiet else []

    def _begin(self, run: Run) -> None:
        if run.prepared is not None:
            self.say("data", describe_data(run.prepared))
        if isinstance(run.predictor, Problem):
            self.say("model", describe_model(run.predictor, run.experiment.model.name))
            self.say("device", str(run.predictor.speed))

    def say(self, label: str, text: str) -> None:
        """Print a labelled line."""
        self.console.print(line(label, text), markup=False, soft_wrap=True)


def perform_members(
    request: Request, experiment: Experiment | None, data: str | None, settings: dict[str, Any]
) -> int:
    """Train the members as requested, print what happens, and return the exit code."""
    if request.attend or request.apply is not None:
        raise ConfigError(
            "an ensemble is not attended",
            expected="--members or --snapshots without --attend and --apply",
            received="--attend" if request.attend else f"--apply {request.apply}",
        )
    if request.log:
        raise ConfigError(
            "--log is for one training", expected="--log without --members", received=" ".join(request.log)
        )
    console = terminal()
    telling = Telling(console, quiet=request.quiet)
    how = request.members or members_of(RunFolder(request.resume or "."))
    assert how is not None  # noqa: S101 - members were asked for, or an ensemble goes on
    keys = list(how.changes(0, 0)) if not how.snapshots else []
    if not request.quiet:
        how = replace(how, tell=lambda run: console.print(row(run, keys), markup=False, soft_wrap=True))
    ensemble = train(
        data=data,
        experiment=experiment,
        settings=settings,
        out=request.out,
        resume=request.resume or False,
        on_start=telling,
        from_=request.origin,
        members=how,
        **{k: v for k, v in request.chosen.items() if v is not None},
    )
    assert isinstance(ensemble, Ensemble)  # noqa: S101 - members were asked for
    return _conclude(ensemble, telling, test=request.test)


def _conclude(ensemble: Ensemble, telling: Telling, *, test: bool) -> int:
    assert ensemble.folder is not None  # noqa: S101 - the command line always writes a run
    path = ensemble.folder.path
    if ensemble.status == "interrupted":
        telling.say("saved", f"{path}; go on with: preceptor train --resume {path}")
        return _INTERRUPTED
    telling.say("ensemble", combined(ensemble))
    if ensemble.feeds and ensemble.feeds.val is not None:
        telling.say("val", str(ensemble.evaluate("val")))
    if test and ensemble.feeds and ensemble.feeds.test is not None and not ensemble.ledger:
        telling.say("test", str(ensemble.test()))
    watched = [member for member in ensemble.members if member.diagnosis is not None]
    causes = sorted({f.cause for member in watched for f in member.findings if f.severity in ALARMS})
    if watched:
        found = f"found: {', '.join(causes)}" if causes else "nothing wrong was found"
        telling.say("verdict", f"{found}; {len(watched)} of {len(ensemble.members)} members were watched")
    telling.say("report", str(ensemble.report()))
    return 0
