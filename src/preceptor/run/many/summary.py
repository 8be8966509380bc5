"""From an ensemble to the plain records that its report is made from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from preceptor.report.ensemble import EnsembleSummary, MemberSummary
from preceptor.report.summary import Summary
from preceptor.run._run import Run
from preceptor.run.many.comparison import EnsembleEvaluation
from preceptor.run.many.ensemble import Ensemble
from preceptor.run.shown.summary import summarize
from preceptor.training.experiment import Experiment

__all__ = ["combined", "described", "differences", "summarize_ensemble"]

_RULES = {
    "probabilities": "the mean of the members' probabilities",
    "outputs": "the mean of the members' outputs",
    "votes": "the class that most members name",
}
_WEIGHTS = {
    "inverse-variance": "weighted by the inverse variance of their errors on the validation examples",
    "validation": "with weights that make the loss on the validation examples smallest",
}
_STATUS = {
    "finished": "finished: all members are trained",
    "interrupted": "interrupted: go on with preceptor train --resume",
}


def summarize_ensemble(ensemble: Ensemble) -> Summary:
    """Return what the report shows of an ensemble; the test set is not looked at for it."""
    part = "val" if ensemble.part("val") is not None or _has_val(ensemble) else "train"
    found: Any = ensemble.evaluate(part)
    differ = differences([member.experiment for member in ensemble.members])
    members = tuple(
        MemberSummary(
            _name(member, i), differ[i], member.status, member.best_epoch, share, scores, _curve(member)
        )
        for i, (member, share, scores) in enumerate(
            zip(ensemble.members, ensemble.shares, found.members, strict=True)
        )
    )
    summary = EnsembleSummary(
        combined=combined(ensemble),
        members=members,
        part=part,
        scores={"loss": found.loss, **found.metrics},
        said=_said(found),
        correlation=[[float(value) for value in row] for row in found.correlation],
        monitor=ensemble.experiment.training.monitor,
    )
    return replace(
        summarize(ensemble),
        status=_STATUS.get(ensemble.status, ensemble.status),
        measure=f"{ensemble.task.metrics[0]}; each member's epoch is chosen by {summary.monitor}",
        experience=_experience(ensemble),
        ensemble=summary,
    )


def combined(ensemble: Ensemble) -> str:
    """Return in words how the predictions of the members are combined."""
    rule = _RULES[ensemble.together.rule]
    weights = _WEIGHTS.get(ensemble.how.combine)
    return (
        f"{len(ensemble.members)} members; the prediction is {rule}"
        + (f", {weights}" if weights else "")
        + "."
    )


def differences(experiments: Sequence[Experiment]) -> list[str]:
    """Return for each experiment the settings in which it differs from others, in words.

    Example:
        >>> differences([Experiment(seed=1), Experiment(seed=2)])
        ['seed 1', 'seed 2']
    """
    flats = [experiment.flat() for experiment in experiments]
    keys = list(dict.fromkeys(key for flat in flats for key in flat))
    differing = [key for key in keys if len({repr(flat.get(key)) for flat in flats}) > 1]
    return [described(experiment, differing) for experiment in experiments]


def described(experiment: Experiment, keys: Iterable[str]) -> str:
    """Return some settings in words; a bag goes without saying which."""
    flat = experiment.flat()
    return ", ".join(
        f"{key.removesuffix('.name').rpartition('.')[2]} {flat[key]}"
        for key in keys
        if key in flat and key != "data.bag"
    )


def _name(member: Run, index: int) -> str:
    return member.folder.path.name if member.folder else f"member-{index + 1}"


def _has_val(ensemble: Ensemble) -> bool:
    return ensemble.feeds is not None and ensemble.feeds.val is not None


def _curve(member: Run) -> tuple[tuple[int, float], ...]:
    key = member.experiment.training.monitor
    return tuple((row["epoch"], row[key]) for row in member.history if row.get(key) is not None)


def _said(found: EnsembleEvaluation) -> tuple[str, ...]:
    if found.gain is None or len(found.members) < 2:
        return ()
    gain = f"Gain: {found.gain}; {found.loss_gain}. The intervals are over examples, with these members."
    return (gain, f"The {found.alike()}.")


def _experience(ensemble: Ensemble) -> str:
    how, prepared = ensemble.how, ensemble.prepared
    source = f"{prepared.dataset.text}; split {prepared.split.text}" if prepared else "the user's own batches"
    if how.snapshots:
        return f"{source}; one training, whose learning rate runs in {how.count} cycles"
    bags = ", each on a bag of its own" if how.bag else ""
    return f"{source}; {len(ensemble.members)} trainings{bags}"
