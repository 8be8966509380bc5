"""Measure a model: in evaluation mode, without gradients, leaving every module's mode as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from preceptor.data.batches import Batches
from preceptor.errors import DataError
from preceptor.training.problem import Predictor

__all__ = ["evaluate", "outputs"]


@contextmanager
def evaluation(model: nn.Module) -> Iterator[None]:
    """Switch a model to evaluation without gradients; afterwards each module has the mode it had."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def evaluate(predictor: Predictor, batches: Batches) -> dict[str, float]:
    """Return the mean loss and the task's metrics over a pass, each example with equal weight.

    The loss comes under ``"loss"``, the metrics under their names.

    Raises:
        DataError: the pass has no batches.
    """
    meters = predictor.task.meters(batches)
    losses: list[Tensor] = []
    sizes: list[int] = []
    with evaluation(predictor.model), predictor.afresh():
        for x, y in batches.epoch():
            output = predictor.forward(x)
            if size := predictor.task.counted(y):
                losses.append(predictor.judge(output, y))
                sizes.append(size)
            for meter in meters.values():
                meter.update(output, y)
    _require(losses)
    values = torch.stack(losses).tolist()
    loss = sum(value * size for value, size in zip(values, sizes, strict=True)) / sum(sizes)
    return {"loss": loss, **{name: meter.compute() for name, meter in meters.items()}}


def outputs(
    predictor: Predictor,
    batches: Batches,
    keep: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the model's outputs and the targets of a whole pass, on the CPU, outputs as float32.

    Arguments:
        predictor: with the model.
        batches: of the pass.
        keep: what of each batch's outputs and targets is kept; default: all.

    Raises:
        DataError: the pass has no batches.
    """
    collected: list[tuple[Tensor, Tensor]] = []
    with evaluation(predictor.model), predictor.afresh():
        for x, y in batches.epoch():
            output = predictor.forward(x).float()
            kept, target = keep(output, y) if keep else (output, y)
            collected.append((kept.cpu(), target.cpu()))
    _require(collected)
    return torch.cat([kept for kept, _ in collected]), torch.cat([target for _, target in collected])


def _require(batches: list[Any]) -> None:
    if not batches:
        raise DataError("there is nothing to measure", expected="at least one batch", received="none")
