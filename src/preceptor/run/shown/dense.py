"""What the report shows where predictions lie on a grid: scores by class, the worst images and the best."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from preceptor import tasks
from preceptor.data import Part
from preceptor.report._format import count, number, part_name
from preceptor.report._images import pixels
from preceptor.report.looks import Look
from preceptor.report.overlays import denoised, segmented
from preceptor.tasks.segmentation import centre
from preceptor.training.dense import disturbed, with_noise
from preceptor.training.evaluate import outputs
from preceptor.training.feeds import in_order

if TYPE_CHECKING:
    from preceptor.run._run import Run

__all__ = ["is_dense", "overlaid"]

_WORST, _BEST = 3, 2


def is_dense(run: Run) -> bool:
    """Say whether a run predicts images or masks."""
    task = run.task
    if isinstance(task, tasks.Imputation):  # whose inputs have gaps
        return False
    return isinstance(task, tasks.Segmentation) or (isinstance(task, tasks.Reconstruction) and task.images)


def overlaid(run: Run) -> tuple[Look | None, Mapping[str, Mapping[str, float]]]:
    """Return the worst and best images of validation, or else of training, and the scores of each class.

    The test set is left alone.
    """
    name = "val" if run.part("val") is not None else "train"
    part = disturbed(run.part(name), with_noise(run.experiment))
    batches = in_order(part, batch_size=1, device=run.predictor.device)
    if part is None or batches is None or run.prepared is None:
        return None, {}
    kept, losses = outputs(run.predictor, batches, lambda z, y: (_kept(run.task, z, y), _losses(run, z, y)))
    by_class = run.task.by_class(kept.sum(0)) if isinstance(run.task, tasks.Segmentation) else {}
    order = np.argsort(-np.nan_to_num(losses.numpy(), nan=np.inf), kind="stable")
    best = [int(i) for i in order[_WORST:][::-1][:_BEST]]
    shown = [(int(i), "the largest losses") for i in order[:_WORST]] + [(i, "the smallest") for i in best]
    examples = [
        (f"{_told(run, part, name, i, float(losses[i]))}, among {which}", *_views(run, part, i))
        for i, which in shown
    ]
    if isinstance(run.task, tasks.Segmentation):
        return segmented(examples, run.task.classes), by_class
    return denoised(examples), by_class


def _kept(task: tasks.Task, output: Tensor, target: Tensor) -> Tensor:
    return task.compact(output, target)[0]


def _losses(run: Run, output: Tensor, target: Tensor) -> Tensor:
    return run.task.example_losses(output, target)


def _told(run: Run, part: Part, name: str, index: int, loss: float) -> str:
    return f"{part_name(name)}, row {count(part.rows[index])}, loss {number(loss)}"


def _views(run: Run, part: Part, index: int) -> tuple[Any, Any, Any]:
    """Return image, target and prediction of a segmentation; input, prediction and target of an image."""
    one = Part(part.x[index : index + 1], part.y[index : index + 1], part.rows[index : index + 1])
    batches = in_order(one, batch_size=1, device=run.predictor.device)
    assert batches is not None  # noqa: S101 - there is one example
    output, target = outputs(run.predictor, batches)
    made = run.task.predict(output)[0]
    if isinstance(run.task, tasks.Segmentation):
        assert run.prepared is not None  # noqa: S101 - there is a part
        raw = centre(np.asarray(run.prepared.dataset.inputs[part.rows[index]]), made.shape)  # type: ignore[index]  # images lie in an array
        return _bytes(raw), centre(target[0], made.shape).numpy(), made.numpy()
    noisy, clean = (run.task.predict(torch.as_tensor(t))[0] for t in (one.x, target))
    images = _alike(*(centre(image, made.shape[-2:]).cpu().numpy() for image in (clean, noisy, made)))
    return (images[1] if with_noise(run.experiment) else None), images[2], images[0]


def _bytes(image: Any) -> Any:
    shown = pixels([image], [0])[0]
    return np.zeros(image.shape[-2:], np.uint8) if shown is None else shown


def _alike(*images: Any) -> list[Any]:
    """Return images in the shades of the first, what lies beyond them cut off."""
    low, high = float(images[0].min()), float(images[0].max())
    made = []
    for image in images:
        shades = (image[:3] if len(image) >= 3 else image[:1]) - low
        shades = (shades * (255 / ((high - low) or 1.0))).round().clip(0, 255).astype(np.uint8)
        made.append(shades[0] if len(shades) == 1 else shades.transpose(1, 2, 0))
    return made
