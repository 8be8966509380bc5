"""What both twins are judged by: accuracy, explained variance, or the loss itself."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from preceptor.diagnosis.structure import LOSSES
from preceptor.observation.rerun import Rerun

__all__ = ["Yardstick", "yardstick_of"]

_LOGITS = frozenset({"binary_cross_entropy_with_logits", "multilabel_soft_margin_loss"})


@dataclass(frozen=True)
class Yardstick:
    """How predictions are compared with targets.

    Arguments:
        measure: "accuracy", "explained" (explained variance) or "loss".
        prediction, target: the cells of both; −1 where they are not known.
        threshold: between two classes, for a single output.
    """

    measure: str
    prediction: int = -1
    target: int = -1
    threshold: float = 0.5

    def read(self, pairs: Iterable[tuple[Tensor, Tensor]], losses: Iterable[float]) -> float:
        """Return the value over several batches: of (prediction, target) each, and their losses."""
        if self.measure == "loss":
            values = list(losses)
            mean = math.fsum(values) / len(values) if values else math.inf
            return mean if math.isfinite(mean) else math.inf
        held = [(p.detach().double(), t.detach()) for p, t in pairs]
        if self.measure == "accuracy":
            right = [_right(p, t, self.threshold) for p, t in held]
            return float(torch.cat(right).double().mean())
        predicted = torch.cat([p.reshape(-1) for p, _ in held])
        wanted = torch.cat([t.double().reshape(-1) for _, t in held])
        return _explained(predicted, wanted)


def yardstick_of(rerun: Rerun, environment: dict[int, Tensor]) -> Yardstick:
    """Return what fits a step: accuracy for classes, explained variance for numbers, else the loss.

    Arguments:
        rerun: the step.
        environment: its tensors by cell, once run.
    """
    calls = [node for node in rerun.nodes if node.op in LOSSES and len(node.inputs) >= 2]
    if not calls:
        return _by_hand(rerun, environment)
    if len(calls) > 1:
        return Yardstick("loss")
    prediction, target = (environment.get(value.cell) for value in calls[0].inputs[:2])
    cells = [value.cell for value in calls[0].inputs[:2]]
    if prediction is None or target is None or prediction.requires_grad == target.requires_grad:
        return Yardstick("loss")
    if target.requires_grad:  # given the wrong way round
        prediction, target, cells = target, prediction, cells[::-1]
    threshold = 0.0 if calls[0].op in _LOGITS else 0.5
    measure = _measure(prediction, target)
    return Yardstick(measure, cells[0], cells[1], threshold) if measure != "loss" else Yardstick("loss")


def _by_hand(rerun: Rerun, environment: dict[int, Tensor]) -> Yardstick:
    """For a loss written by hand: what the modules returned, and the one tensor that could be its target."""
    inside = {v.cell for node in rerun.nodes if node.module_type for v in node.outputs}
    outside = [node for node in rerun.nodes if not node.module_type]
    returned = {v.cell for node in outside for v in node.inputs if v.cell in inside}
    within = {v.cell for node in rerun.nodes if node.module_type for v in node.inputs}
    targets = [c for c in rerun.batch if c in {v.cell for n in outside for v in n.inputs} - within]
    if len(returned) != 1:
        return Yardstick("loss")
    (prediction,) = returned
    targets = [cell for cell in targets if not _counts_up(environment[cell])]
    fitting = [(c, _measure(environment[prediction], environment[c])) for c in targets]
    fitting = [(cell, measure) for cell, measure in fitting if measure != "loss"]
    if len(fitting) != 1:
        return Yardstick("loss", prediction)
    return Yardstick(fitting[0][1], prediction, fitting[0][0])


def _counts_up(tensor: Tensor) -> bool:
    """Whether it is 0, 1, 2, …: places to pick from, not targets."""
    flat = tensor.detach().reshape(-1)
    return not flat.is_floating_point() and torch.equal(flat, torch.arange(len(flat), device=flat.device))


def _measure(prediction: Tensor, target: Tensor) -> str:
    if not target.is_floating_point() and prediction.ndim == target.ndim + 1:
        fits = prediction.shape[:1] + prediction.shape[2:] == target.shape
        return "accuracy" if fits else "loss"
    if _in_a_column(prediction, target):
        return "accuracy"
    if prediction.numel() != target.numel() or not prediction.numel():
        return "loss"
    values = target.detach().double()
    if bool(((values == 0) | (values == 1)).all()) and _is_classes(values):
        return "accuracy"
    return "explained"


def _in_a_column(prediction: Tensor, target: Tensor) -> bool:
    """Whether targets are class numbers in a column (N, 1) beside scores (N, C)."""
    column = prediction.ndim == 2 and prediction.shape[1] > 1 and target.shape == (len(prediction), 1)
    return column and not target.is_floating_point()


def _is_classes(values: Tensor) -> bool:
    """Whether zeros and ones are one label an example, or one of several: not a black and white picture."""
    wide = values.ndim > 1 and values.shape[-1] > 1
    return not wide or bool((values.sum(-1) == 1).all())


def _right(prediction: Tensor, target: Tensor, threshold: float) -> Tensor:
    if _in_a_column(prediction, target):
        target = target[:, 0]
    if prediction.ndim == target.ndim + 1 and not target.is_floating_point():
        finite = torch.isfinite(prediction).all(1)
        return ((prediction.argmax(1) == target) & finite).reshape(-1)
    if target.ndim > 1 and target.shape[-1] > 1:
        finite = torch.isfinite(prediction).all(-1)
        return ((prediction.argmax(-1) == target.argmax(-1)) & finite).reshape(-1)
    flat = prediction.reshape(-1)
    return ((flat > threshold) == (target.reshape(-1) > 0.5)) & torch.isfinite(flat)


def _explained(predicted: Tensor, wanted: Tensor) -> float:
    """1 − Σ(p − t)² / Σ(t − t̄)², no lower than −1."""
    total = float(((wanted - wanted.mean()) ** 2).sum())
    error = float(((predicted - wanted) ** 2).sum())
    if not math.isfinite(error) or total <= 0:
        return -1.0
    return max(-1.0, 1 - error / total)
