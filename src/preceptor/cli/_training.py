"""What ``preceptor train`` does, apart from the parsing of its options, so that ``--help`` stays quick."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from preceptor.cli._embedding import perform_embedding
from preceptor.cli._members import goes_on, perform_members
from preceptor.cli._reinforcement import perform_reinforcement
from preceptor.cli._structure import perform_structure
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.show import ALARMS, as_text, counts
from preceptor.errors import ConfigError
from preceptor.report.terminal import EpochTable, describe_data, describe_model, line, terminal
from preceptor.run import Attend, Members, Run, train
from preceptor.run._apply import repaired
from preceptor.run.apart.reinforcement import is_reinforcement
from preceptor.run.apart.structure import is_structure
from preceptor.run.examined.attend import Round, note_origin
from preceptor.run.text.embed import is_embedding
from preceptor.tasks import Translation
from preceptor.training import Callback, Experiment, Problem
from preceptor.training.distribution import rank
from preceptor.training.experiment import parse_assignments
from preceptor.trials.change import Change

__all__ = ["Request", "perform"]

_INTERRUPTED = 130  # what a shell expects of a program that Ctrl-C ended


@dataclass(frozen=True)
class Request:
    """The command line of a training, parsed."""

    data: str | None
    chosen: dict[str, Any]
    settings: list[str]
    out: Path | None
    resume: Path | None
    test: bool
    attend: bool = False
    origin: Path | None = None
    apply: str | None = None
    members: Members | None = None
    quiet: bool = False
    log: tuple[str, ...] = ()


def perform(request: Request) -> int:
    """Train as requested, print what happens, and return the exit code."""
    console = terminal(quiet=rank() > 0)  # the first of several processes speaks
    settings = parse_assignments(request.settings)
    experiment, data, changes = _start(request)
    if is_embedding(request.chosen.get("task"), experiment):
        return perform_embedding(request, experiment, data)
    if is_structure(request.chosen.get("task"), experiment):
        return perform_structure(request, experiment, data)
    if is_reinforcement(request.chosen.get("task"), experiment, request.resume):
        return perform_reinforcement(request, experiment, data)
    if request.members is not None or goes_on(request.resume):
        return perform_members(request, experiment, data, settings)

    def on_start(run: Run) -> list[Callback]:
        if request.apply is not None and not run.changes:  # an attended training goes on from itself
            note_origin(run, str(request.origin), changes)
        if request.quiet:
            return _hearing(run, console, quiet=request.attend)
        return _begin(run, console, quiet=request.attend)

    for change in () if request.quiet else changes:
        _say(console, "applied", f"{change}, to the settings of {request.origin}")
    run = train(
        data=data,
        experiment=experiment,
        settings=settings,
        out=request.out,
        resume=request.resume or False,
        on_start=on_start,
        from_=request.origin if request.apply is None else None,
        callbacks=request.log,
        attend=request.attend and Attend(tell=lambda one: _tell(one, console)),
        **{k: v for k, v in request.chosen.items() if v is not None},
    )
    return _conclude(run, console, test=request.test, told=request.attend)


def _start(request: Request) -> tuple[Experiment | None, str | None, list[Change]]:
    """Return the settings and the data to begin with, and the changes that were made to the settings."""
    if request.apply is not None or (request.origin is not None and request.data is None):
        return _anew(request)
    return *_new(request), []


def _anew(request: Request) -> tuple[Experiment, str | None, list[Change]]:
    if request.origin is None or request.apply is None or request.resume is not None:
        given = {"--from": request.origin, "--apply": request.apply, "--resume": request.resume}
        raise ConfigError(
            "--from goes with new data, or with --apply",
            expected="DATA --from RUN, to start from its weights, or --from RUN --apply N, from its settings",
            received=" ".join(f"{option} {value}" for option, value in given.items() if value is not None),
            hint=f"preceptor train {request.origin or 'RUN'}/experiment.toml trains with the same settings",
        )
    experiment, changes = repaired(request.origin, request.apply)
    return experiment, request.data, changes


def _new(request: Request) -> tuple[Experiment | None, str | None]:
    if request.data is not None and request.data.endswith(".toml"):
        return Experiment.read(Path(request.data)), None
    if request.data is not None and request.data.endswith(".py"):
        raise ConfigError(
            "a Python file is not data",
            expected="a built-in set, a file of data, a folder or an experiment.toml",
            received=request.data,
            hint=f"a model of your own goes with the data: preceptor train DATA --model {request.data}:Name",
        )
    if request.data is None and request.resume is None:
        raise ConfigError(
            "nothing to train on",
            expected="a built-in set, a file, a folder or an experiment.toml",
            received="no data",
            hint="preceptor train digits",
        )
    return None, request.data


def _begin(run: Run, console: Console, *, quiet: bool = False) -> list[Callback]:
    """Say what is trained; ``quiet``: findings are told of later, with what was tried."""
    if run.checks is not None and not run.changes:
        _say(console, "checks", str(run.checks))
    if run.prepared is not None:
        _say(console, "data", describe_data(run.prepared))
        built_in = run.prepared.dataset.origin.startswith("sklearn:")
        for note in () if built_in else run.prepared.dataset.notes:
            _say(console, "", note)
    text = run.feeds.text if run.feeds else None
    if text is not None:
        _say(console, "data", "\n".join([text.describe(), *text.notes()]))
    for _, flaw in run.audit.flaws if run.audit else ():
        _say(console, "audit", f"! {flaw.text}" + (f"\n  try: {flaw.remedy}" if flaw.remedy else ""))
    _hearing(run, console, quiet=quiet)
    if isinstance(run.predictor, Problem):
        _say(console, "model", describe_model(run.predictor, run.experiment.model.name))
        _say(console, "device", str(run.predictor.speed))
        if run.predictor.distribution is not None:
            _say(console, "together", _together(run.predictor, run.experiment))
    if run.transfer is not None:
        _say(console, "transfer", "\n".join(run.transfer["lines"]))
    return [EpochTable(console)]


def _hearing(run: Run, console: Console, *, quiet: bool) -> list[Callback]:
    """Let findings be told of as they come, unless that is done later."""
    run.say = lambda text: _say(console, "note", text)
    if not quiet:
        run.tell = lambda finding: _show(finding, console)
    return []


def _together(problem: Problem, experiment: Experiment) -> str:
    assert problem.distribution is not None  # noqa: S101 - asked for only then
    return problem.distribution.describe(
        problem.train.batch_size * problem.grad_accumulation, problem.model, experiment.training.shard
    )


def _tell(one: Round, console: Console) -> None:
    """Say what was found in one training of an attended one, what was tried, and what comes of that."""
    for finding in one.run.findings:
        if finding.severity in ALARMS:
            _show(finding, console)
    if one.change is not None:
        _say(console, "applied", f"{one.change}; training again")
    elif one.origin or one.trials:
        _say(console, "attended", one.ended)


def _show(finding: Finding, console: Console) -> None:
    console.print(as_text(finding), markup=False, soft_wrap=True)


def _conclude(run: Run, console: Console, *, test: bool, told: bool = False) -> int:
    if rank() > 0:
        return _INTERRUPTED if run.status == "interrupted" else int(run.status == "diverged")
    assert run.folder is not None  # noqa: S101 - the command line always writes a run
    if run.status == "interrupted":
        _say(console, "saved", f"{run.folder.path}; go on with: preceptor train --resume {run.folder.path}")
        return _INTERRUPTED
    measured = run.best_epoch is not None
    if run.status == "diverged":
        lower = run.experiment.optimizer.options.get("lr", 1e-3) / 10
        left = "the best weights are kept" if measured else "no epoch came to its end"
        _say(
            console,
            "diverged",
            f"the loss is no longer a finite number; {left}\n"
            f"try a smaller learning rate, --lr {lower:g}, or --set training.max_grad_norm=1",
        )
    if measured and isinstance(run.task, Translation) and run.part("val") is not None:
        _say(console, "val", str(run.evaluate("val")))
    if test and measured and run.feeds and run.feeds.test is not None:
        _test(run, console)
    _judge(run, console, told=told)
    if run.experiment.training.goal is not None and run.advice is not None:
        _say(console, "next", str(run.advice))
    _say(console, "report", str(run.report()))
    return 1 if run.status == "diverged" else 0


def _test(run: Run, console: Console) -> None:
    if not run.ledger:
        _say(console, "test", str(run.test()))
    elif run.ledger[-1]["best_epoch"] != run.best_epoch:
        again = (
            f'preceptor evaluate {run.folder.path} --again "REASON"' if run.folder else "run.test(again=…)"
        )
        _say(console, "test", f"looked at before the training went on; once more: {again}")


def _judge(run: Run, console: Console, *, told: bool) -> None:
    if run.diagnosis is None:
        return
    for finding in run.findings:
        if finding.severity in ALARMS and not told and finding.cause not in run.diagnosis.told:
            _show(finding, console)
    _say(console, "verdict", counts(run.findings))


def _say(console: Console, label: str, text: str) -> None:
    console.print(line(label, text), markup=False, soft_wrap=True)
