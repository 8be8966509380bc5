"""Trying what may help a training that is attended: which changes, on which twins, and what came of it."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data import Dataset as TorchDataset

from preceptor.diagnosis.causes import CAUSES
from preceptor.diagnosis.finding import Finding
from preceptor.run.examined.advice import advise
from preceptor.trials.change import Change
from preceptor.trials.own import candidates
from preceptor.trials.paired import Paired
from preceptor.trials.trial import MEASURES, Trial

if TYPE_CHECKING:
    from preceptor.run._run import Run
    from preceptor.run.examined.attend import Attend, Job, Round

__all__ = ["try_remedies"]

_SHARE, _LEAST = 0.2, 10.0  # of the run's time, and seconds: what the trials of a round may take
_ROOM = 6  # changes that the recipe may come to
_FEWEST_STEPS = 50  # less than that shows the start of a training alone


def try_remedies(current: Round, job: Job, how: Attend, alarms: Sequence[Finding]) -> None:
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
