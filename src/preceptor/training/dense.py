"""What a training does where the targets lie on a grid: masks, or the inputs themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from preceptor.catalogue.augmentations import (
    Affine,
    FixedCrops,
    HorizontalFlip,
    LensDistortion,
    RandomCrop,
    RandomResizedCrop,
    Standard,
)
from preceptor.catalogue.pixels import VOID
from preceptor.catalogue.regularizers import Regularizer
from preceptor.data import Part
from preceptor.errors import ConfigError
from preceptor.training.experiment import Experiment
from preceptor.training.settings import Block

__all__ = [
    "DENSE",
    "Disturbance",
    "Together",
    "balanced",
    "disturbed",
    "maps_in_a_batch",
    "model_penalty",
    "on_a_grid",
    "own_parts",
    "simplest",
    "stays",
    "with_noise",
]

DENSE = {"masks": "segmentation", "inputs": "reconstruction"}
"""Kinds of targets that lie on a grid, and the task that suits them."""

_PIXELS = 1 << 18  # in a batch: what a network makes of more outgrows the memory of small machines
_MOVING = (Affine, FixedCrops, HorizontalFlip, LensDistortion, RandomCrop, RandomResizedCrop)


def on_a_grid(target_kind: str, shape: Sequence[int] | None) -> bool:
    """Say whether targets belong to places of an image (C, H, W).

    Example:
        >>> on_a_grid("masks", (1, 8, 8)), on_a_grid("inputs", (64,)), on_a_grid("numbers", (1, 8, 8))
        (True, False, False)
    """
    return target_kind in DENSE and shape is not None and len(shape) == 3


def maps_in_a_batch(shape: Sequence[int]) -> int:
    """Return how many images (C, H, W) a batch holds by default: 2¹⁸ pixels, 1 to 32 images.

    Example:
        >>> maps_in_a_batch((1, 512, 512)), maps_in_a_batch((3, 128, 128)), maps_in_a_batch((1, 8, 8))
        (1, 16, 32)
    """
    return max(1, min(32, _PIXELS // (shape[-1] * shape[-2])))


def simplest(task: str, shape: Sequence[int]) -> Block:
    """Return a network that suits a task on a grid, small enough for a CPU.

    Example:
        >>> simplest("segmentation", (1, 64, 64)).options, simplest("denoising", (30,)).name
        ({'base': 16, 'depth': 4}, 'autoencoder')
    """
    if len(shape) != 3:
        return Block(name="autoencoder")
    if task == "reconstruction":
        return Block(
            name="convolutional-autoencoder" if all(s % 4 == 0 for s in shape[1:]) else "autoencoder"
        )
    depth = max(1, min(4, (min(shape[1:]) // 4).bit_length() - 1))
    return Block.model_validate({"name": "u-net", "base": 16, "depth": depth})


@dataclass(frozen=True)
class Disturbance:
    """What is done to inputs that are their own targets.

    Attributes:
        noise: the standard deviation of what is added.
        missing: the share of the values that is hidden: NaN in the inputs, and alone asked for.

    Example:
        >>> bool(Disturbance()), bool(Disturbance(noise=0.5))
        (False, True)
    """

    noise: float = 0.0
    missing: float = 0.0

    def __bool__(self) -> bool:
        return self.noise > 0 or self.missing > 0

    def __call__(self, x: Tensor, y: Tensor, generator: torch.Generator | None = None) -> tuple[Any, Tensor]:
        """Return disturbed inputs and what is asked for: all targets, or those that are hidden."""
        if not self.missing:
            fresh = torch.randn_like if generator is None else _drawn(torch.randn, generator)
            return x + self.noise * fresh(x), y
        hidden = (torch.rand_like if generator is None else _drawn(torch.rand, generator))(x) < self.missing
        if not bool((hidden & ~y.isnan()).any()):
            return x, y
        return x.masked_fill(hidden, torch.nan), y.masked_fill(~hidden, torch.nan)


def _drawn(draw: Callable[..., Tensor], generator: torch.Generator) -> Callable[[Tensor], Tensor]:
    """Return what draws numbers for a tensor from a generator on the CPU."""
    return lambda x: draw(x.shape, generator=generator).to(x)


def disturbed(part: Part | None, how: Disturbance) -> Part | None:
    """Return examples whose inputs are disturbed, always in the same way."""
    if part is None or not how or not len(part.y):
        return part
    x = part.x if isinstance(part.x, Tensor) else part.x[torch.arange(len(part.x))]
    return Part(*how(x, part.y, torch.Generator().manual_seed(len(x))), part.rows)


def with_noise(experiment: Experiment) -> Disturbance:
    """Return what denoising removes, or imputation fills in; nothing for other tasks."""
    data = experiment.data
    return Disturbance(
        noise=data.noise if experiment.task == "denoising" else 0.0,
        missing=data.missing if experiment.task == "imputation" else 0.0,
    )


def balanced(target: Tensor, classes: int) -> list[float]:
    """Return a weight for each class by which all have the same share of the pixels: n / (K n_k).

    Example:
        >>> balanced(torch.tensor([[[0, 0, 0, 1, 255]]]), 2)
        [0.6666666666666666, 2.0]
    """
    counts = torch.bincount(target[target != VOID].reshape(-1).long(), minlength=classes)[:classes]
    total = int(counts.sum())
    return [total / (classes * count) if count else 0.0 for count in counts.tolist()]


class Together(Regularizer):
    """An augmentation that moves pixels, done to images and to what belongs to them alike.

    The places that pixels come from travel along as two further channels, and a third of ones says how much
    of a pixel lies within the image. A mask takes the class of the nearest place, and does not count where
    there is none; images as targets are interpolated as the inputs are.

    Example:
        >>> x = torch.arange(4.0).reshape(1, 1, 1, 4)
        >>> flipped, mask = Together(HorizontalFlip(p=1.0)).examples(x, torch.tensor([[[0, 1, 1, 2]]]))
        >>> flipped.squeeze().tolist(), mask.squeeze().tolist()
        ([3.0, 2.0, 1.0, 0.0], [2, 1, 1, 0])
    """

    def __init__(self, augmentation: Any) -> None:
        self.augmentation = augmentation

    def examples(self, x: Any, y: Tensor) -> tuple[Any, Tensor]:
        """Return the batch with its pixels moved."""
        channels = x.shape[1]
        if y.ndim == 4:
            moved = self.augmentation.vary(torch.cat([x, y], 1))
            return moved[:, :channels], moved[:, channels:]
        n, (height, width) = len(x), x.shape[2:]
        rows = torch.arange(height, dtype=x.dtype, device=x.device).reshape(-1, 1).expand(height, width)
        columns = torch.arange(width, dtype=x.dtype, device=x.device).expand(height, width)
        places = torch.stack([rows, columns, torch.ones_like(rows)]).expand(n, 3, height, width)
        moved = self.augmentation.vary(torch.cat([x, places], 1))
        within = moved[:, -1]
        row, column = (
            (moved[:, at] / within.clamp(min=1e-6)).round().long().clamp(0, side - 1)
            for at, side in ((-3, height), (-2, width))
        )
        found = y[torch.arange(n, device=y.device).reshape(-1, 1, 1), row, column]
        return moved[:, :channels], torch.where(within >= 0.5, found, found.new_full((), VOID))


class _Disturbed(Regularizer):
    """The inputs of every batch, disturbed anew."""

    def __init__(self, how: Disturbance) -> None:
        self.how = how

    def examples(self, x: Any, y: Tensor) -> tuple[Any, Tensor]:
        return self.how(x, y)


class _Own(Regularizer):
    """The penalty that a model brings itself, such as a ladder network's cost of each layer."""

    def attach(self, model: nn.Module) -> _Own:
        self.model: Any = model
        return self

    def penalty(self) -> Tensor:
        made: Tensor = self.model.penalty()
        return made


def own_parts(
    made: Sequence[tuple[Any, Block]], experiment: Experiment, target_kind: str, shape: Sequence[int] | None
) -> tuple[list[tuple[Any, Block]], list[tuple[Any, Block]]]:
    """Return the augmentations, those that move pixels as parts that move targets too, and further parts.

    Arguments:
        made: augmentations as they were made, with their names.
        experiment: says how much noise denoising removes.
        target_kind: of the targets.
        shape: of one example.

    Raises:
        ConfigError: a function of one's own, of which nobody knows whether it moves pixels.
    """
    parts: list[tuple[Any, Block]] = []
    if with_noise(experiment):
        parts.append((_Disturbed(with_noise(experiment)), Block(name=f"disturbance:{experiment.task}")))
    if not on_a_grid(target_kind, shape):
        return list(made), parts
    kept: list[tuple[Any, Block]] = []
    for product, block in made:
        if not isinstance(product, (nn.Module, Regularizer)):
            raise ConfigError(
                "an augmentation does not suit targets that lie on a grid",
                expected="augmentations of the catalogue, which move images and masks alike",
                received=repr(product)[:80],
            )
        if isinstance(product, Standard):
            product = Standard(product.mirror, colour=False)
        moves = isinstance(product, (*_MOVING, Standard))
        kept.append((Together(product) if moves else product, block))
    return kept, parts


def model_penalty(model: nn.Module) -> list[tuple[Any, Block]]:
    """Return the part that adds a model's own penalty to the loss, where it has one."""
    return [(_Own(), Block(name="model:penalty"))] if callable(getattr(model, "penalty", None)) else []


def stays(product: Any) -> bool:
    """Say whether an augmentation leaves pixels where they are, so that it may act on a whole image."""
    return not isinstance(product, (*_MOVING, Standard))
