"""The augmentations of a training: one pipeline before the model, and what the model then sees."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from preceptor.catalogue.augmentations import Augmentation, Pipeline
from preceptor.catalogue.regularizers import Regularizer
from preceptor.data import Pixels, generators
from preceptor.data.batches import TensorBatches
from preceptor.errors import ConfigError
from preceptor.tasks import KIND_OF_TASK
from preceptor.training.dense import DENSE, stays
from preceptor.training.experiment import Experiment
from preceptor.training.feeds import Feeds, Signature
from preceptor.training.named import AUGMENTATIONS, REGULARIZERS, entry_of, make_all, trait_of
from preceptor.training.own_code import guarded
from preceptor.training.settings import Block

__all__ = ["acts_in_evaluation", "behind", "for_prediction", "make_pipeline", "some", "suited"]

_SHOWN = 200  # large images that an augmentation looks at before training


def make_pipeline(
    made: Sequence[tuple[Any, Block]], regularizers: Sequence[tuple[Any, Block]]
) -> tuple[Pipeline | None, list[tuple[Any, Block]]]:
    """Return the augmentations, and noise on the inputs, as one pipeline; and those that are regularizers.

    Raises:
        ConfigError: something that is no augmentation.
    """
    steps: list[nn.Module] = []
    others = []
    for product, block in made:
        if isinstance(product, Regularizer):
            others.append((product, block))
        elif isinstance(product, nn.Module):
            steps.append(product)
        elif callable(product):
            steps.append(_Called(product))
        else:
            raise ConfigError(
                "an augmentation is not usable",
                expected="a name, an nn.Module, or a function from inputs to inputs",
                received=repr(product)[:80],
            )
    for product, block in regularizers:
        if isinstance(product, nn.Module) and trait_of(block, "place", "") == "inputs":
            steps.append(product)
    return (Pipeline(*steps) if steps else None), others


class _Called(Augmentation):
    """A user's function of a batch of inputs, called in training alone."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.function = function

    def vary(self, x: Tensor) -> Tensor:
        changed: Tensor = self.function(x)
        return changed


def for_prediction(experiment: Experiment) -> tuple[Pipeline | None, list[tuple[Any, Block]]]:
    """Return the augmentations of a run by name, and those of its regularizers that changed the model."""
    augmentations = make_all([b for b in experiment.augmentations if ":" not in b.name], {}, AUGMENTATIONS)
    if KIND_OF_TASK.get(experiment.task) in DENSE:
        augmentations = [(product, block) for product, block in augmentations if stays(product)]
    placed = [b for b in experiment.regularizers if ":" not in b.name and trait_of(b, "model", False)]
    return make_pipeline(augmentations, [])[0], make_all(placed, {}, REGULARIZERS)


def acts_in_evaluation(blocks: Sequence[Block]) -> list[str]:
    """Return the names of those augmentations that change the inputs in evaluation too, such as crops."""
    found = []
    for block in blocks:
        factory = None if ":" in block.name else entry_of(block.name, AUGMENTATIONS).factory
        if isinstance(factory, type) and issubclass(factory, Augmentation):
            found += [block.name] if factory.fixed is not Augmentation.fixed else []
    return found


def behind(feeds: Feeds, pipeline: Pipeline | None, experiment: Experiment) -> Feeds:
    """Return the feeds as the model sees them: the sample and the shape behind the augmentations.

    Raises:
        ConfigError: an augmentation varies in evaluation.
        ModelError: the inputs do not suit an augmentation.
    """
    if pipeline is None:
        return feeds
    x, y = feeds.sample
    _refuse_chance(pipeline, x)
    if any(isinstance(step, Augmentation) and type(step).fit is not Augmentation.fit for step in pipeline):
        pipeline.fit(some(feeds.train.x) if isinstance(feeds.train, TensorBatches) else x)
    _warn_of_mirrors(feeds, experiment)
    with torch.no_grad(), guarded("the inputs cannot be augmented", expected="inputs that suit it"):
        seen = pipeline.eval().forward(x)[: len(y)]
    shape = feeds.signature.input_shape
    shape = None if shape is None else tuple(seen.shape[1:])
    return replace(feeds, sample=(seen, y), signature=replace(feeds.signature, input_shape=shape))


def some(x: Tensor | Pixels) -> Tensor:
    """Return the training examples, or an even choice of those that are kept as bytes."""
    return x if isinstance(x, Tensor) else x[torch.linspace(0, len(x) - 1, min(len(x), _SHOWN)).long()]


def _refuse_chance(pipeline: Pipeline, x: Any) -> None:
    before = generators.capture()
    try:
        for step in pipeline.eval():
            if isinstance(step, Augmentation) and type(step).fixed is Augmentation.fixed:
                continue
            first, second = step(x), step(x)
            if isinstance(first, Tensor) and not torch.equal(first, second):
                raise ConfigError(
                    "an augmentation varies in evaluation, where nothing may",
                    expected="chance in training mode alone: if self.training",
                    received=type(step).__name__,
                    hint="give a function of the inputs, which is called in training alone",
                )
            x = first
    finally:
        generators.restore(before)


def suited(blocks: Sequence[Block], signature: Signature) -> tuple[Block, ...]:
    """Return the augmentations with what follows from the classes: digits and letters are not mirrored."""
    if not _are_signs(signature):
        return tuple(blocks)
    return tuple(
        Block(name=block.name, **{"mirror": False, **block.options}) if _may_mirror(block) else block
        for block in blocks
    )


def _may_mirror(block: Block) -> bool:
    return ":" not in block.name and "mirror" in entry_of(block.name, AUGMENTATIONS).defaults


def _are_signs(signature: Signature) -> bool:
    """Tell whether the classes are digits or letters."""
    shape, classes = signature.input_shape or (), signature.classes
    grey = len(shape) == 3 and shape[0] == 1  # numbered classes of coloured images are seldom digits
    return grey and bool(classes) and all(n.isdigit() or (len(n) == 1 and n.isalpha()) for n in classes)


def _warn_of_mirrors(feeds: Feeds, experiment: Experiment) -> None:
    signs = _are_signs(feeds.signature)
    for block in experiment.augmentations:
        mirrors = ":" not in block.name and entry_of(block.name, AUGMENTATIONS).traits.get("mirrors")
        if signs and mirrors and block.options.get("mirror", True):
            warnings.warn(
                f"{block.name} mirrors digits or letters, which makes other signs of them", stacklevel=2
            )
