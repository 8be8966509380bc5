"""`Ensemble`: several runs as one, which predicts, is measured and is reported on as a run is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from preceptor import tasks
from preceptor.data.batches import Batches
from preceptor.errors import ConfigError
from preceptor.run._run import Run
from preceptor.run.many.comparison import (
    EnsembleEvaluation,
    Gain,
    correlation_of,
    disagreement_of,
    gain_of,
    gain_of_loss,
    sign_of,
)
from preceptor.run.many.members import Members
from preceptor.run.many.together import Together, choose_rule, predictor_of, shares_for
from preceptor.run.shown.dense import is_dense
from preceptor.training.evaluate import evaluate, evaluation
from preceptor.training.history import History

__all__ = ["COMBINED", "Ensemble", "combine"]

COMBINED = "ensemble.json"


@dataclass(kw_only=True)
class Ensemble(Run):
    """Several runs whose predictions are combined; it is used as a `Run` is.

    `predict`, `predict_proba`, `evaluate`, `test`, `report` and `look` take the combined prediction; the
    members are ordinary runs, each in a folder of its own within the ensemble's.

    Attributes:
        members: the runs, those without a measured epoch left out.
        how: what was asked for.
        training: of snapshots, the one run that they were taken of.
        ended: how it ended: finished, interrupted, or diverged, where no member can be used.
    """

    members: list[Run] = field(default_factory=list)
    how: Members = field(default_factory=Members)
    training: Run | None = None
    ended: str = "finished"

    @property
    def together(self) -> Together:
        """The members as one network."""
        assert isinstance(self.predictor.model, Together)  # noqa: S101 - `combine` made it so
        return self.predictor.model

    @property
    def shares(self) -> list[float]:
        """The weight of each member in the mean."""
        return [float(share) for share in self.together.shares]

    @property
    def status(self) -> str:
        """How it ended: finished, interrupted, or diverged."""
        return self.ended

    @property
    def history(self) -> History:
        """The rows of the training that snapshots were taken of; else none."""
        return self.training.history if self.training is not None else History()

    @property
    def best_epoch(self) -> int | None:
        """None: each member has its own."""
        return None

    def _measured(self, part: str, batches: Batches) -> EnsembleEvaluation:
        plain = isinstance(self.task, tasks.Classification | tasks.Regression)
        return self._plain(part, batches) if plain else self._dense(part, batches)

    def _plain(self, part: str, batches: Batches) -> EnsembleEvaluation:
        """Measure in one pass, in which everything that the members say is kept."""
        said, target = self._said(batches)
        task, combined = self.task, self.together.combined(said)
        losses = torch.stack([task.example_losses(one, target) for one in (combined, *said)])
        every = [_scores(self, one, target) for one in (combined, *said)]
        metrics = {k: v for k, v in every[0].items() if k != "loss"}
        return EnsembleEvaluation(
            part,
            len(target),
            every[0]["loss"],
            metrics,
            task.interval(*task.compact(combined, target)),
            members=tuple(every[1:]),
            gain=gain_of(task, combined, said, target),
            loss_gain=gain_of_loss(losses[0], losses[1:]),
            correlation=correlation_of(task, said, target),
            disagreement=disagreement_of(task, said),
        )

    def _dense(self, part: str, batches: Batches) -> EnsembleEvaluation:
        """Measure what predicts images or masks, a batch at a time: all of it would be large."""
        found = super()._measured(part, batches)
        every = [evaluate(member.predictor, batches) for member in self.members]
        losses = self._losses(batches)
        name = self.task.metrics[0]
        mean = sum(one[name] for one in every) / len(every)
        better = sign_of(name)
        return EnsembleEvaluation(
            part,
            found.n,
            found.loss,
            found.metrics,
            found.interval,
            by_class=found.by_class,
            before=found.before,
            members=tuple(every),
            gain=Gain(name, mean, better * (found.metrics[name] - mean)),
            loss_gain=gain_of_loss(losses[0], losses[1:]),
            correlation=torch.corrcoef(losses[1:].double()).reshape(len(every), -1),
        )

    def _said(self, batches: Batches) -> tuple[Tensor, Tensor]:
        """Return what each member says of a pass, K × N × …, and the targets."""
        said, targets = [], []
        with evaluation(self.model):
            for x, y in batches.epoch():
                said.append(self.together.each(x).float().cpu())
                targets.append(y.cpu())
        return torch.cat(said, dim=1), torch.cat(targets)

    def _losses(self, batches: Batches) -> Tensor:
        """Return the loss of each example, of the ensemble and then of each member."""
        losses = []
        with evaluation(self.model):
            for x, y in batches.epoch():
                said = self.together.each(x)
                every = (self.together.combined(said), *said)
                losses.append(torch.stack([self.task.example_losses(one, y) for one in every]).cpu())
        return torch.cat(losses, dim=1)

    def finish(self) -> None:
        """Write how the members are combined into the folder."""
        if self.folder is None:
            return
        names = [member.folder.path.name for member in self.members if member.folder is not None]
        self.folder.write_json(
            COMBINED, {"members": names, "rule": self.together.rule, "shares": self.shares}
        )
        self.folder.seal(status=self.status)

    def report(self, path: Path | str | None = None) -> Path:
        """Write the report as one HTML file; default: ``report.html`` in the folder. Return its path.

        Raises:
            ConfigError: neither a path nor a folder.
        """
        from preceptor.report import write
        from preceptor.run.many.summary import summarize_ensemble

        if path is None:
            if self.folder is None:
                raise ConfigError("the ensemble has no folder", expected="run.report('report.html')")
            path = self.folder.path / "report.html"
        return write(summarize_ensemble(self), Path(path))

    def __repr__(self) -> str:
        where = f" in {self.folder.path}" if self.folder else ""
        return f"<Ensemble {self.experiment.name}: {self.status}, {len(self.members)} members{where}>"


def combine(
    members: Sequence[Run], how: Members, shares: Sequence[float] | None = None, **rest: Any
) -> Ensemble:
    """Return an ensemble of runs; weights that are not given are found on the validation examples.

    Arguments:
        members: runs of the same data, split alike, whose inputs are prepared alike.
        how: how they are combined.
        shares: their weights.
        rest: further fields of the `Ensemble`.

    Raises:
        ConfigError: members of different tasks, or weights that need validation examples where there are
        none.
    """
    first = members[0]
    rule = choose_rule(how.combine, first.task)
    predictors = [member.predictor for member in members]
    rest.setdefault("reference", first.reference)
    equal = torch.full((len(members),), 1 / len(members), dtype=torch.float64)
    given = equal if shares is None else torch.tensor(list(shares), dtype=torch.float64)
    ensemble = Ensemble(
        predictor=predictor_of(predictors, given, rule), members=list(members), how=how, **rest
    )
    if shares is None and len(members) > 1 and how.combine in ("inverse-variance", "validation"):
        _weigh(ensemble)
    return ensemble


def _weigh(ensemble: Ensemble) -> None:
    """Weigh the members by what they do on the validation examples."""
    how = ensemble.how.combine
    if ensemble.feeds is None or ensemble.feeds.val is None or is_dense(ensemble):
        raise ConfigError(
            f"{how} weighs members by what they do on validation examples",
            expected="classes or numbers, and some examples held out: val=0.15",
            received="predictions on a grid" if is_dense(ensemble) else "no validation examples",
            hint="combine='outputs' and 'probabilities' weigh all alike",
        )
    said, target = ensemble._said(ensemble.feeds.val)
    ensemble.together.shares.copy_(shares_for(how, ensemble.together, ensemble.task, said, target))


def _scores(ensemble: Ensemble, output: Tensor, target: Tensor) -> dict[str, float]:
    """Return loss and metrics of outputs that are all there."""
    found = {"loss": float(ensemble.predictor.judge(output, target))}
    for name, meter in ensemble.task.meters().items():
        meter.update(output, target)
        found[name] = meter.compute()
    return found
