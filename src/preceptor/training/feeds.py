"""Feeds: what a training draws its batches from, whether the data lie in memory or behind a DataLoader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from preceptor.data import Part, Prepared, Preprocessor
from preceptor.data._pixels import subset
from preceptor.data.batches import Batch, Batches, LoaderBatches, TensorBatches, rows_of
from preceptor.data.text import TextParts
from preceptor.data.windows import WindowBatches
from preceptor.errors import DataError
from preceptor.training.dense import Disturbance, disturbed, maps_in_a_batch

__all__ = ["Feeds", "Signature", "feeds_from_loaders", "feeds_from_prepared", "in_order"]

_EVALUATION_BATCH = 1024  # examples; a quarter for images, whose activations outgrow the cache
_EVALUATION_BYTES = 8 << 20  # inputs in one evaluation batch: larger ones gain nothing and cost memory
_UNDISTURBED = Disturbance()
_PROBE = 1000  # training examples on which the training is measured, unless validation has more


@dataclass(frozen=True)
class Signature:
    """What is known of the examples before a model exists, and enough to build the model again.

    Attributes:
        input_shape: of one example, without the batch axis; None where inputs are not one tensor.
        target_kind: ``"categories"``, ``"numbers"``, ``"masks"``, ``"inputs"`` or ``"next-symbols"``.
        classes: the names of the categories; empty where only the model knows how many there are.
        dims: how many numbers a target holds, or how many channels, where the input is the target; symbols
            that there are, where they come next.
    """

    input_shape: tuple[int, ...] | None
    target_kind: str
    classes: tuple[str, ...]
    dims: int


@dataclass
class Feeds:
    """Batches for each purpose.

    Attributes:
        train: to learn from, in a new order each pass.
        probe: a fixed part of the training examples, to measure on.
        val: to validate on.
        test: to test on, once.
        sample: a small batch, to try a model on.
        signature: what the model must take in and put out.
        examples: how many there are in ``train``; None where a loader does not tell.
        preprocessor: what was fitted on the training examples; None for a user's own loaders.
        data: the fingerprints of examples and split; empty for a user's own loaders.
        text: the text, where that is what the batches are cut from.
        carries: whether a batch goes on where the one before it ended: the model's state is handed on.
    """

    train: Batches
    probe: Batches | None
    val: Batches | None
    test: Batches | None
    sample: Batch
    signature: Signature
    examples: int | None
    preprocessor: Preprocessor | None = None
    data: Mapping[str, str] = field(default_factory=dict)
    text: TextParts | None = None
    carries: bool = False

    @property
    def every(self) -> Batches | None:
        """The training examples in order: all, where they lie in memory, else those to measure on."""
        if not isinstance(self.train, TensorBatches):
            return self.probe
        x, y = self.train.x, self.train.y
        return TensorBatches(x, y, batch_size=max(self.train.batch_size, 256), shuffle=False)


def in_order(part: Part | None, *, batch_size: int, device: torch.device) -> Batches | None:
    """Return a part's examples as batches for evaluation: in order, larger than in training."""
    if part is None or not len(part.y):
        return None
    largest = _EVALUATION_BATCH if part.x.ndim <= 2 else _EVALUATION_BATCH // 4
    row = max(part.x[0].numel() * part.x.element_size(), 1)
    size = max(batch_size, min(largest, _EVALUATION_BYTES // row))
    if part.y.ndim > 2:  # outputs as large as the inputs or larger, from maps that are many times larger
        size = maps_in_a_batch(part.x.shape[1:]) if part.x.ndim > 2 else batch_size
    return TensorBatches(part.x.to(device), part.y.to(device), batch_size=size, shuffle=False)


def feeds_from_prepared(
    data: Prepared,
    *,
    batch_size: int,
    train_examples: int | str,
    device: torch.device,
    seed: int,
    crop: int | None = None,
    noise: Disturbance = _UNDISTURBED,
) -> Feeds:
    """Make feeds from data in memory; the tensors are moved to ``device`` once.

    Arguments:
        data: the parts.
        batch_size: examples a batch in training.
        train_examples: how many of them are measured on.
        device: where they lie.
        seed: of their order.
        crop: learn from random windows of this size.
        noise: what is done to the inputs that are measured on, in units of the inputs.
    """
    x, y = data.train.x.to(device), data.train.y.to(device)
    val = in_order(disturbed(data.val, noise), batch_size=batch_size, device=device)
    wanted = (
        max(_PROBE, len(data.val.y) if data.val else 0) if train_examples == "auto" else int(train_examples)
    )
    probe = None
    if wanted:
        # Evenly spread, so that data which lie sorted by class are not measured on one class alone.
        rows = torch.linspace(0, len(y) - 1, min(wanted, len(y))).round().long()
        probe = in_order(
            disturbed(Part(subset(x, rows), y[rows], data.train.rows[rows.numpy()]), noise),
            batch_size=batch_size,
            device=device,
        )
    train = TensorBatches(x, y, batch_size=batch_size, seed=seed)
    few = min(4, maps_in_a_batch(x.shape[1:])) if x.ndim > 2 and y.ndim > 2 else 4
    sample = (x[:few], y[:few])
    if crop:
        train = WindowBatches(x, y, size=crop, batch_size=batch_size, seed=seed)
        sample = (sample[0][..., :crop, :crop], sample[1][..., :crop, :crop])
    return Feeds(
        train=train,
        probe=probe,
        val=val,
        test=in_order(disturbed(data.test, noise), batch_size=batch_size, device=device),
        sample=sample,
        signature=_signature(sample, data.preprocessor.target_kind, tuple(data.preprocessor.classes)),
        examples=len(y),
        preprocessor=data.preprocessor,
        data={"examples": data.dataset.fingerprint, "split": data.split.fingerprint},
    )


def feeds_from_loaders(
    train: DataLoader[Any],
    val: DataLoader[Any] | None,
    test: DataLoader[Any] | None,
    *,
    train_examples: int | str,
    device: torch.device,
) -> Feeds:
    """Make feeds from a user's own DataLoaders, which are used as they are.

    Raises:
        DataError: the training loader yields nothing, or something else than pairs.
    """
    batches = LoaderBatches(train, device=device)
    sample = next(_peek(train, device), None)
    if sample is None:
        raise DataError("the training DataLoader is empty", expected="at least one batch", received="none")
    if not isinstance(sample[1], Tensor):
        raise DataError(
            "the targets are not a tensor",
            expected="one tensor of targets for a batch",
            received=type(sample[1]).__name__,
            hint="a data set of (inputs, target) pairs, or a collate_fn that makes one tensor of the targets",
        )
    return Feeds(
        train=batches,
        probe=_probe(train, train_examples, device),
        val=_held_out("validation", val, device),
        test=_held_out("test", test, device),
        sample=sample,
        signature=_signature(sample, _target_kind(sample[1]), ()),
        examples=None if (rows := rows_of(train)) is None else len(rows),
    )


def _signature(sample: Batch, target_kind: str, classes: tuple[str, ...]) -> Signature:
    x, y = sample
    shape = tuple(x.shape[1:]) if isinstance(x, Tensor) else None
    dims = 1 if y.ndim < 2 else int(y.shape[1] if target_kind == "inputs" else y[0].numel())
    return Signature(shape, target_kind, classes, dims)


def _target_kind(y: Tensor) -> str:
    if y.ndim > 2:
        return "inputs" if y.is_floating_point() else "masks"
    return "numbers" if y.is_floating_point() else "categories"


def _held_out(part: str, loader: DataLoader[Any] | None, device: torch.device) -> Batches | None:
    rows = None if loader is None else rows_of(loader)
    if rows is not None and not len(rows):
        raise DataError(
            f"there are no {part} examples",
            expected=f"a {part} DataLoader with at least one batch, or none at all",
            received="an empty one",
        )
    return None if loader is None else LoaderBatches(loader, device=device)


def _probe(loader: DataLoader[Any], train_examples: int | str, device: torch.device) -> Batches | None:
    """Return evenly spread examples of a loader's data set; None for a stream, which cannot be indexed."""
    known = rows_of(loader)
    wanted = _PROBE if train_examples == "auto" else int(train_examples)
    if not known or not wanted:
        return None
    spread = torch.linspace(0, len(known) - 1, min(wanted, len(known))).round().long().tolist()
    rows = [int(known[i]) for i in spread]
    size = None if loader.batch_sampler is None else loader.batch_size or 64  # None: its items are batches
    fixed: DataLoader[Any] = DataLoader(
        Subset(loader.dataset, rows), batch_size=size, collate_fn=loader.collate_fn
    )
    return LoaderBatches(fixed, device=device)


def _peek(loader: DataLoader[Any], device: torch.device) -> Any:
    """Yield a loader's batches without disturbing the generators that it draws its order from."""
    batches = LoaderBatches(loader, device=device)
    before = batches.state_dict()
    try:
        yield from batches.epoch()
    finally:
        batches.load_state_dict(before, again=True)
