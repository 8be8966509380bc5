"""Attending a training: what is wrong with it is found, changes are tried, what helps is applied."""

from __future__ import annotations

import copy
import statistics
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data import Dataset as TorchDataset

from preceptor.diagnosis.causes import CAUSES
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.show import ALARMS
from preceptor.errors import ConfigError
from preceptor.files import write_json
from preceptor.run._advice import advise, reaches_goal
from preceptor.run._diagnosis import warn
from preceptor.training.build import Objects
from preceptor.training.callbacks import Callback
from preceptor.training.experiment import Experiment
from preceptor.training.inputs import Inputs
from preceptor.training.own_code import name_of
from preceptor.trials.change import Change
from preceptor.trials.own import candidates, settings_of
from preceptor.trials.paired import Paired, outcome
from preceptor.trials.trial import MEASURES, Trial

if TYPE_CHECKING:
    from preceptor.run._run import Run

__all__ = ["Attend", "Job", "Round", "attended", "note_origin"]

LEDGER = "changes.json"
_SHARE, _LEAST = 0.2, 10.0  # of the run's time, and seconds: what the trials of a round may take
_ROOM = 6  # changes that the recipe may come to
_FEWEST_STEPS = 50  # less than that shows the start of a training alone


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
        _try(current, job, how, alarms)


def _try(current: Round, job: Job, how: Attend, alarms: Sequence[Finding]) -> None:
    """Try the remedies of what was found; where none helps, those of causes that look alike."""
    run, fixed = current.run, _fixed(job)
    named = _plan([(finding.cause, finding.cause) for finding in alarms], run, fixed)
    alike = _plan([(f.cause, other) for f in alarms for other in CAUSES[f.cause].confused], run, fixed)
    further = _Further(run, fixed)
    rerun = _twins(run, job, how, len(named) or len(alike) or _ROOM)
    helpful: list[Trial] = []
    try:
        for plan in (named, alike):
            if not helpful:
                new = plan if plan is named else [step for step in plan if step not in named]
                current.trials.extend(_compared(rerun, new))
            helpful = [trial for _, trial in current.trials if trial.improved]
        while not helpful and not rerun.over and (plan := further.next()):
            new = [step for step in plan if all(step[1] != t.changes[0] for _, t in current.trials)]
            current.trials.extend(_compared(rerun, new))
            helpful = [trial for _, trial in current.trials if trial.improved]
    except KeyboardInterrupt:
        current.ended = "interrupted"
        return
    finally:
        _verify(run, current.trials)
    if helpful:
        current.applied = _best(helpful)
    elif current.trials:
        current.ended = "nothing that was tried helped" + (", as far as time went" if rerun.over else "")
        current.ended += further.said
    else:
        current.ended = "no setting removes what was found" if alarms else "the goal is not reached"
        current.ended += further.said


def _plan(causes: Sequence[tuple[str, str]], run: Run, fixed: Collection[str]) -> list[tuple[str, Change]]:
    """Return the changes to try, each once for a cause that was found, from pairs of it and one like it."""
    plan = [(found, change) for found, cause in causes for change in candidates(cause, run.experiment, fixed)]
    return [step for i, step in enumerate(plan) if step not in plan[:i]]


class _Further:
    """The recipe's next steps, one after the other, for a run that is not good enough yet."""

    def __init__(self, run: Run, fixed: Collection[str]) -> None:
        self.run, self.fixed = run, fixed
        self.said = ""
        self._tried: frozenset[str] = frozenset()

    def next(self) -> list[tuple[str, Change]]:
        """Return the changes of the next action that has any; none where it is a person's to do."""
        if self.run.experiment.training.goal is None:
            return []
        while True:
            advice = advise(self.run, self._tried)
            if advice is None or advice.action.name in self._tried:
                return []
            if not advice.action.causes:
                self.said = "" if advice.done else f"; what is left to do: {advice.action.text}"
                return []
            self._tried |= {advice.action.name}
            plan = _plan([(cause, cause) for cause in advice.action.causes], self.run, self.fixed)
            if plan:
                return plan


def _compared(rerun: Paired, plan: Sequence[tuple[str, Change]]) -> Iterator[tuple[str, Trial]]:
    for cause, change in plan:
        trial = rerun.compare(change, cause=cause)
        if trial is not None:
            yield cause, trial


def _twins(run: Run, job: Job, how: Attend, changes: int) -> Paired:
    """Return the bench on which changes are tried, with twins as long as the time allows."""
    clock = run.state.clock.summary() if run.state else {}
    taken = sum(row["seconds"] for row in run.history)
    epochs = len(run.history) or 1
    seconds = how.seconds if how.seconds is not None else max(_LEAST, _SHARE * taken)
    most = float(run.experiment.training.epochs if run.status == "diverged" else epochs)
    affordable = seconds / (taken / epochs * how.pairs * (1 + changes)) if taken else most
    fewest = _FEWEST_STEPS * epochs / clock["steps"] if clock.get("steps") else most
    passes = max(affordable, fewest)
    inputs = (
        replace(job.inputs, data=run.prepared.dataset, val=None, test=None) if run.prepared else job.inputs
    )
    return Paired(
        run.experiment,
        inputs,
        job.objects,
        passes=min(most, float(int(passes)) if passes > 1 else passes),
        pairs=how.pairs,
        seconds=seconds,
        prepared=run.prepared,
    )


def _best(helpful: Sequence[Trial]) -> Trial:
    """Return the first trial that leads as far as the best one does, up to what does not matter.

    Trials come in order of least intrusion; those of one round share the unchanged twins.
    """
    measure = MEASURES[helpful[0].measure]
    alike = [trial for trial in helpful if trial.measure == helpful[0].measure]
    reached = [statistics.fmean(trial.changed) for trial in alike]
    best = max(reached) if measure.higher else min(reached)
    least = measure.least * (abs(best) if measure.relative else 1.0)
    return next(trial for trial, value in zip(alike, reached, strict=True) if abs(value - best) <= least)


def _verify(run: Run, trials: Sequence[tuple[str, Trial]]) -> None:
    """Give each finding what was tried against it, the trial that counts first."""
    assert run.diagnosis is not None  # noqa: S101 - a run with findings was watched
    findings = []
    for finding in run.findings:
        own = [trial for cause, trial in trials if cause == finding.cause]
        helpful = [trial for trial in own if trial.improved]
        if own:
            first = _best(helpful) if helpful else max(own, key=lambda trial: trial.effect)
            others = [trial.to_plain() for trial in own if trial is not first]
            plain = first.to_plain()
            finding = finding.but(verification={**plain, "others": others} if others else plain)
        findings.append(finding)
    run.diagnosis.findings = findings
    run.keep_findings()


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
        write_json(run.folder.path / LEDGER, {"rounds": run.changes})


def _folder(run: Run) -> str | None:
    return str(run.folder.path) if run.folder else None


def _fixed(job: Job) -> set[str]:
    """Return the settings that cannot be changed, because what they are about was given in code."""
    objects, data = job.objects, job.inputs.data
    fixed = {kind for kind in ("loss", "schedule") if getattr(objects, kind) is not None}
    if isinstance(objects.model, nn.Module):
        fixed.add("model")
    if objects.optimizer is not None:
        fixed.add("optimizer.name")
    if isinstance(data, DataLoader):
        fixed |= {"training.batch_size", "data.scale"}
    elif isinstance(data, TorchDataset) and not isinstance(data, TensorDataset):
        fixed.add("data.scale")
    return fixed


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
