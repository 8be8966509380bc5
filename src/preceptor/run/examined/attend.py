"""Attending a training: what is wrong with it is found, changes are tried, what helps is applied."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader

from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.show import ALARMS
from preceptor.errors import ConfigError
from preceptor.run.examined.advice import reaches_goal
from preceptor.run.examined.diagnosis import warn
from preceptor.run.examined.trying import try_remedies
from preceptor.training.build import Objects
from preceptor.training.callbacks import Callback
from preceptor.training.experiment import Experiment
from preceptor.training.inputs import Inputs
from preceptor.training.own_code import name_of
from preceptor.trials.change import Change
from preceptor.trials.own import settings_of
from preceptor.trials.paired import outcome
from preceptor.trials.trial import MEASURES, Trial

if TYPE_CHECKING:
    from preceptor.run._run import Run

__all__ = ["Attend", "Job", "Round", "attended", "note_origin"]

LEDGER = "changes.json"


@dataclass
class Round:
    """One training of an attended one: what was tried after it, and what came of that.

    Arguments:
        run: the training.
        trials: what was tried, each with the cause that it was to remove.
        applied: the trial whose change the next training was given; None where there was none.
        ended: why no change was applied, in words; "" where one was.
        origin: the folder of the run that this one came from; None for the first.
    """

    run: Run
    trials: list[tuple[str, Trial]] = field(default_factory=list)
    applied: Trial | None = None
    ended: str = ""
    origin: str | None = None

    @property
    def change(self) -> Change | None:
        """What the next training does otherwise; None where there is none."""
        return self.applied.changes[0] if self.applied else None

    def to_plain(self) -> dict[str, Any]:
        """Return it as the ledger holds it."""
        return {
            "run": _folder(self.run),
            "from": self.origin,
            "best_epoch": self.run.best_epoch,
            "findings": [finding.cause for finding in self.run.findings if finding.severity in ALARMS],
            "trials": [{"cause": cause, **trial.to_plain()} for cause, trial in self.trials],
            "applied": None if self.change is None else {**self.change.to_plain(), "text": str(self.change)},
            "ended": self.ended,
        }


@dataclass(frozen=True)
class Attend:
    """How a training is attended.

    Arguments:
        rounds: changes that are applied at most, one at a time, each followed by a whole training.
        pairs: pairs of twins that a change must win; with fewer than three nothing is verified.
        seconds: what the trials of one round may take; default: 20 % of the run's time, at least 10 s.
        tell: hears of each round when its trials are over, before the next training begins.

    Raises:
        ConfigError: rounds or pairs below one, or no time.

    Example:
        >>> import preceptor
        >>> run = preceptor.train(data="iris", epochs=15, lr=0.02, out=False, attend=Attend(rounds=1))
        >>> run.changes[0]["trials"], run.changes[0]["ended"]
        ([], 'nothing wrong was found')
    """

    rounds: int = 3
    pairs: int = 4
    seconds: float | None = None
    tell: Callable[[Round], None] | None = None

    def __post_init__(self) -> None:
        for name in ("rounds", "pairs", "seconds"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(
                    f"attend: {name} is not usable", expected="a number above 0", received=f"{name}={value!r}"
                )


@dataclass(frozen=True)
class Job:
    """What a training is made from, so that it can be made again."""

    experiment: Experiment
    inputs: Inputs
    objects: Objects
    chosen: set[str]
    out: Path | str | bool | None
    callbacks: Sequence[Callback]
    on_start: Callable[[Run], Sequence[Callback]] | None


def attended(job: Job, once: Callable[[Job], Run], how: Attend) -> Run:
    """Train; while a change is verified to help, make it and train again. Return the last run, or the better.

    Raises:
        ConfigError: nothing can be judged, or a block given in code cannot be made again.
    """
    _refuse_what_cannot_be_tried(job)
    own = job.objects.model if isinstance(job.objects.model, nn.Module) else None
    fresh = replace(
        job, objects=replace(job.objects, model=copy.deepcopy(own) if own is not None else job.objects.model)
    )
    rounds = [Round(once(_noting(job, [])))]
    while True:
        current = rounds[-1]
        _judge(current, fresh, how, left=how.rounds - len(rounds) + 1)
        _keep(rounds)
        if how.tell:
            how.tell(current)
        if current.applied is None:
            break
        rounds.append(Round(once(_next(fresh, current, rounds)), origin=_folder(current.run)))
        if not _is_better(rounds[-1].run, current.run, current.applied):
            rounds[-1].ended = f"in full length not better than before: {current.change} is taken back"
            _keep(rounds)
            _keep(rounds, current.run)
            if how.tell:
                how.tell(rounds[-1])
            rounds.append(current)
            break
    run = rounds[-1].run
    for finding in run.findings if how.tell is None else ():
        if finding.severity == "critical":  # what is left in the end, and nobody has heard of
            warn(finding)
    if own is not None and run.model is not own:  # a module that was given is trained in place
        own.load_state_dict(run.model.state_dict())
    return run


def _judge(current: Round, job: Job, how: Attend, *, left: int) -> None:
    """Try what may help against what was found, and decide on one change, or on none."""
    run = current.run
    alarms = [finding for finding in run.findings if finding.severity in ALARMS]
    if run.status == "interrupted":
        current.ended = "interrupted"
    elif not alarms and reaches_goal(run):
        current.ended = "nothing wrong was found"
    elif left < 1:
        current.ended = f"rounds = {how.rounds}: no more changes are made"
    else:
        try_remedies(current, job, how, alarms)


def _is_better(new: Run, old: Run, trial: Trial) -> bool:
    """Whether a training is better in full, by what its change was judged by."""
    if new.status == "interrupted":
        return True
    before, after = (outcome(run.history, run.experiment, trial.measure) for run in (old, new))
    return after > before if MEASURES[trial.measure].higher else after < before


def _next(job: Job, current: Round, rounds: Sequence[Round]) -> Job:
    """Return the training that has one change more."""
    assert current.change is not None  # noqa: S101 - asked for only then
    settings = settings_of(current.change, current.run.experiment)
    model = job.objects.model
    objects = replace(job.objects, model=copy.deepcopy(model) if isinstance(model, nn.Module) else model)
    return _noting(
        replace(
            job,
            experiment=current.run.experiment.changed(settings),
            chosen={*current.run.chosen, *settings},
            objects=objects,
            out=_beside(job.out, len(rounds)),
        ),
        rounds,
    )


def _beside(out: Path | str | bool | None, rounds: int) -> Path | str | bool | None:
    """Return the folder of a further training: the next number after the first one's folder."""
    if isinstance(out, bool) or out is None:
        return out
    first = Path(out)
    number = rounds + 1
    while (place := first.with_name(f"{first.name}-{number}")).exists():
        number += 1
    return place


def _noting(job: Job, rounds: Sequence[Round]) -> Job:
    """Return a training that writes down where it came from before its first step."""
    given = job.on_start

    def on_start(run: Run) -> Sequence[Callback]:
        run.tell = _hear_nothing  # something will be done about it first
        run.changes = [one.to_plain() for one in rounds]
        if rounds:
            note_origin(
                run, _folder(rounds[-1].run), rounds[-1].applied.changes if rounds[-1].applied else ()
            )
        return given(run) if given else ()

    return replace(job, on_start=on_start)


def _hear_nothing(finding: Finding) -> None:
    """Leave a finding to its trials."""


def note_origin(run: Run, origin: str | None, changes: Sequence[Change]) -> None:
    """Write into a run's folder which run it came from, and by which changes."""
    if run.folder:
        texts = [{**change.to_plain(), "text": str(change)} for change in changes]
        run.folder.update_manifest(**{"from": {"run": origin, "changes": texts}})


def _keep(rounds: Sequence[Round], run: Run | None = None) -> None:
    """Write the ledger into the folder of a run, by default the latest one."""
    run = run or rounds[-1].run
    run.changes = [one.to_plain() for one in rounds]
    if run.folder:
        run.folder.write_json(LEDGER, {"rounds": run.changes})
        run.folder.seal()


def _folder(run: Run) -> str | None:
    return str(run.folder.path) if run.folder else None


def _refuse_what_cannot_be_tried(job: Job) -> None:
    if not job.experiment.training.watch:
        raise ConfigError(
            "attending needs the watch",
            expected="training.watch = true",
            received="training.watch = false",
        )
    streamed = isinstance(job.inputs.data, DataLoader)
    if job.inputs.val is None and (streamed or not job.experiment.data.val):
        raise ConfigError(
            "attending judges changes on validation examples",
            expected="some that are held out: val=0.15, or data of their own",
            received="a loader without val=" if streamed else "data.val = 0",
        )
    for kind, made in (("optimizer", Optimizer), ("schedule", LRScheduler)):
        given = getattr(job.objects, kind)
        if isinstance(given, made):
            raise ConfigError(
                f"attending trains several times, each time with a new {kind}",
                expected=f"the {kind}'s name, its class, or a function that makes it",
                received=name_of(given),
            )
