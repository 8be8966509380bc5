"""`prepare`: split, fit on the training rows, and turn every part into tensors once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from preceptor.data._dataset import Array, Dataset, Table, take
from preceptor.data._pixels import Pixels, as_pixels
from preceptor.data._preprocess import Preprocessor
from preceptor.data._split import Split, split
from preceptor.data._targets import retarget

__all__ = ["Part", "Prepared", "prepare"]


@dataclass(frozen=True, eq=False)
class Part:
    """Training, validation or test examples as tensors.

    Attributes:
        x: inputs, (N, …); of many images `Pixels`, which are kept as bytes until examples are taken.
        y: targets, int64 (N,), float32 (N, D), masks uint8 (N, H, W), or inputs float32 (N, …).
        rows: which rows of the data set they are.
    """

    x: torch.Tensor | Pixels
    y: torch.Tensor
    rows: Array


@dataclass(frozen=True, eq=False)
class Prepared:
    """Data ready to train on; ``val`` and ``test`` are None where their part is empty."""

    dataset: Dataset
    split: Split
    preprocessor: Preprocessor
    train: Part
    val: Part | None
    test: Part | None


def prepare(
    dataset: Dataset,
    *,
    val: float = 0.15,
    test: float = 0.15,
    seed: int = 0,
    scale: str = "standard",
    target_kind: str | None = None,
    scale_targets: bool = True,
    adapt: Callable[[Preprocessor], Preprocessor] | None = None,
    order: str = "auto",
    ignore: str | int = "auto",
    gaps: bool = False,
) -> Prepared:
    """Split a data set, fit the preprocessing on its training rows, and encode each part.

    Arguments:
        dataset: what `load` returned.
        val: fraction for validation; 0 for none.
        test: fraction for the test; 0 for none.
        seed: of the split.
        scale: ``"standard"`` or ``"none"``, for the inputs.
        target_kind: ``"categories"``, ``"numbers"``, or ``"inputs"``: the inputs themselves, to override what
            was inferred.
        scale_targets: standardise numbers that are to be predicted.
        order: ``"random"`` or ``"blocks"``, of the split; ``"auto"``: blocks for images with masks.
        ignore: the class of pixels that does not count, for masks; ``"auto"``: void and the like.
        adapt: makes another preprocessing of what was fitted on the training rows.
        gaps: NaN in the inputs stands for a missing value, and stays.

    Raises:
        DataError: a part would be empty, or the data do not suit ``target_kind``.
        ConfigError: a fraction, scale, seed or kind that cannot be used.

    Example:
        >>> from preceptor.data import load
        >>> ready = prepare(load("digits"))
        >>> ready.train.x.shape, ready.train.y.dtype, ready.split.text
        (torch.Size([1257, 1, 8, 8]), torch.int64, '1,257/270/270 (stratified, seed 0)')
    """
    dataset = retarget(dataset, target_kind)
    parts = split(dataset, val=val, test=test, seed=seed, order=order)
    preprocessor = Preprocessor.fit(
        dataset, parts.train, scale=scale, scale_targets=scale_targets, ignore=ignore, gaps=gaps
    )
    if adapt is not None:
        preprocessor = adapt(preprocessor)
    for name, rows in (("validation", parts.val), ("test", parts.test)):
        table = isinstance(dataset.inputs, Table)
        unseen = preprocessor.unseen(take(dataset.inputs, rows)) if table else {}
        if unseen:
            shown = "; ".join(f"{column}: {', '.join(values[:6])}" for column, values in unseen.items())
            note = f"categories of the {name} rows that are not in training, encoded as all 0: {shown}"
            dataset = replace(dataset, notes=(*dataset.notes, note))

    pixels = as_pixels(dataset, preprocessor)

    def part(rows: Array) -> Part:
        if pixels is not None:
            return Part(
                pixels.subset(torch.from_numpy(rows)), preprocessor.targets(dataset.targets[rows]), rows
            )
        x = preprocessor.inputs(take(dataset.inputs, rows))
        return Part(x, preprocessor.targets(dataset.targets[rows]), rows)

    return Prepared(
        dataset=dataset,
        split=parts,
        preprocessor=preprocessor,
        train=part(parts.train),
        val=part(parts.val) if len(parts.val) else None,
        test=part(parts.test) if len(parts.test) else None,
    )
