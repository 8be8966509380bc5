"""Several members as one network: their predictions on one scale, and the weights of their mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from preceptor import catalogue, tasks
from preceptor.catalogue.averaging import RULES, average_outputs, fitted_shares, inverse_variance
from preceptor.errors import ConfigError
from preceptor.training.problem import Predictor

__all__ = ["Together", "choose_rule", "errors_of", "predictor_of", "said_by", "shares_for"]


def said_by(member: Predictor, output: Tensor) -> Tensor:
    """Return a member's raw outputs in the form that all share: of classes log-probabilities (N, C)."""
    if not isinstance(member.task, tasks.Classification):
        return output
    if member.task.binary:
        z = output.reshape(-1).float()
        return torch.stack([nn.functional.logsigmoid(-z), nn.functional.logsigmoid(z)], dim=1)
    return output.float().log_softmax(1)


class Together(nn.Module):
    """The members of an ensemble as one network, whose raw outputs are the combination of theirs.

    Arguments:
        members: each with its own model, precision and augmentation in evaluation.
        shares: the weight of each; they sum to 1.
        rule: what is averaged, one of `RULES`.
    """

    shares: Tensor

    def __init__(self, members: Sequence[Predictor], shares: Tensor, rule: str) -> None:
        super().__init__()
        self.predictors, self.rule = list(members), rule
        self.members = nn.ModuleList(member.model for member in members)
        self.register_buffer("shares", shares)

    def each(self, x: Any) -> Tensor:
        """Return what each member says of a batch, K × N × …, in the form that they share."""
        return torch.stack([said_by(member, member.forward(x)) for member in self.predictors])

    def combined(self, said: Tensor) -> Tensor:
        """Return the combination of what the members say; one member is itself."""
        if len(said) == 1:
            return said[0]
        return average_outputs(said, self.shares.to(said.device), self.rule)

    def forward(self, x: Any) -> Tensor:
        """Return the combined raw outputs of a batch."""
        return self.combined(self.each(x))


def predictor_of(members: Sequence[Predictor], shares: Tensor, rule: str) -> Predictor:
    """Return the ensemble as what predicts; classes are judged by the log-loss of what is combined."""
    first = members[0]
    task: Any = first.task
    criterion = first.criterion
    if isinstance(task, tasks.Classification):
        task = tasks.Classification(task.classes, loss="cross-entropy", metrics=task.metrics)
        criterion = catalogue.get("cross-entropy", kind="loss")
    model = Together(members, shares.float(), rule).to(first.device)
    return Predictor(model=model, task=task, criterion=criterion, device=first.device)


def choose_rule(combine: str, task: tasks.Task) -> str:
    """Return what is averaged: probabilities for classes, outputs for numbers, or what was asked for.

    Raises:
        ConfigError: votes or probabilities of numbers.
    """
    classes = isinstance(task, tasks.Classification | tasks.Segmentation)
    if combine in ("auto", "inverse-variance", "validation"):
        return "probabilities" if classes else "outputs"
    if combine != "outputs" and not classes:
        raise ConfigError(
            f"numbers have no {combine}",
            expected="combine='outputs'",
            received=f"{combine!r} for {task.name}",
        )
    return combine if combine in RULES else "outputs"


def errors_of(task: tasks.Task, said: Tensor, target: Tensor) -> Tensor:
    """Return by how much each member errs, K × errors: of probabilities for classes, of numbers.

    Where predictions lie on a grid these are the losses of the examples.
    """
    if isinstance(task, tasks.Classification):
        hot = nn.functional.one_hot(target.reshape(-1).long(), len(task.classes))
        return (said.exp() - hot).reshape(len(said), -1)
    if isinstance(task, tasks.Regression):
        return torch.stack([torch.sub(*task.align(one, target)).reshape(-1) for one in said])
    return torch.stack([task.example_losses(one, target) for one in said])


def shares_for(combine: str, together: Together, task: Any, said: Tensor, target: Tensor) -> Tensor:
    """Return the weights of the members from what they say of the validation examples.

    Arguments:
        combine: ``"inverse-variance"``, ``"validation"``; else all weigh the same.
        together: the members.
        task: the ensemble's.
        said: K × N × …, in the form that they share.
        target: of those examples.
    """
    k = len(said)
    if combine == "inverse-variance":
        variances = errors_of(task, said, target).double().var(1).clamp_min(1e-12)
        return inverse_variance(torch.eye(k, dtype=torch.float64), variances)[0]
    if combine == "validation":
        loss = catalogue.get(task.loss, kind="loss")
        return fitted_shares(said, lambda mean: loss(*task.align(mean, target)), of=together.rule)
    return torch.full((k,), 1 / k, dtype=torch.float64)
