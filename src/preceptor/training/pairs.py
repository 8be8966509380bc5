"""Feeds of pairs of sentences: ((source, target so far), target), those of like length together."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from numpy.typing import NDArray

from preceptor.catalogue.calculators import length_schedule
from preceptor.data import Dataset
from preceptor.data._parallel import load_pairs
from preceptor.data._prepare_pairs import PreparedPairs, pair_of, prepare_pairs
from preceptor.data.text import LengthBatches, ParallelText
from preceptor.errors import ConfigError
from preceptor.training.build import batch_size_for
from preceptor.training.experiment import Experiment
from preceptor.training.feeds import Feeds, Signature

__all__ = ["TextPairs", "feeds_of_pairs", "is_pairs"]

_LOGITS = 1 << 25  # numbers in the outputs of one evaluation batch
_LARGEST = 256  # pairs in one evaluation batch
_PROBE = 1000  # training pairs on which the training is measured, unless validation has more


def is_pairs(experiment: Experiment, data: Any) -> bool:
    """Say whether a training is to translate.

    Example:
        >>> is_pairs(Experiment.of({"task": "translation"}), "pairs.tsv"), is_pairs(Experiment(), "digits")
        (True, False)
    """
    return experiment.task == "translation" or (isinstance(data, Dataset) and data.kind == "pairs")


def feeds_of_pairs(
    experiment: Experiment, data: Any, val: Any, test: Any, device: torch.device
) -> tuple[Feeds, PreparedPairs, Experiment]:
    """Return feeds, the prepared pairs, and the experiment with what was decided.

    Arguments:
        experiment: says how texts become symbols, and how they are split.
        data: pairs, in any form that `load_pairs` takes.
        val: pairs to validate on; None: as the settings say.
        test: pairs to test on; None: as the settings say.
        device: where batches are used.

    Raises:
        DataError: the pairs cannot be read, or none is left.
        ConfigError: settings that pairs do not have.
    """
    settings, text = experiment.data, experiment.text
    _refuse_others(experiment)
    dataset = load_pairs(
        data,
        target=settings.target,
        val=text.val_file if val is None else val,
        test=text.test_file if test is None else test,
    )
    prepared = prepare_pairs(
        dataset,
        val=settings.val,
        test=settings.test,
        seed=settings.seed,
        order=settings.order,
        longest=text.longest,
        level=text.level,
        lower=text.lower,
        size=text.vocabulary_size,
        min_count=text.min_count,
    )
    level = "punctuated" if text.level == "auto" else text.level
    rare = 1 if level == "char" else 2
    decided = {
        "task": "translation",
        "name": dataset.name.lstrip(".") or "pairs" if experiment.name == "auto" else experiment.name,
        "data.scale": "none",
        "data.order": "random" if settings.order == "auto" else settings.order,
        "text.level": level,
        "text.min_count": rare if text.min_count == "auto" else text.min_count,
    }
    return _feeds(prepared, experiment, device), prepared, experiment.changed(decided)


def _refuse_others(experiment: Experiment) -> None:
    usual, chosen = Experiment().flat(), experiment.flat()
    idle = ("data.bag", "data.crop", "data.image_size", "text.steps")
    for key in idle:
        if chosen.get(key) != usual.get(key):
            raise ConfigError(
                f"{key} has no effect on pairs of sentences",
                expected=f"{key}={usual.get(key)!r}",
                received=f"{key}={chosen[key]!r}",
            )


def _feeds(prepared: PreparedPairs, experiment: Experiment, device: torch.device) -> Feeds:
    pairs, settings = prepared.pairs, experiment.training
    encoder, coder = pair_of(prepared.preprocessor)
    size = batch_size_for(experiment, len(pairs["train"]))
    padding = coder.special("padding")
    train = LengthBatches(
        pairs["train"].targets,
        pairs["train"].sources,
        padding=padding,
        batch_size=size,
        seed=experiment.seed,
        device=device,
        longest=_growing(experiment, max(encoder.longest, coder.longest)),
    )
    measured = partial(length_batches, padding=padding, symbols=len(coder.coder), device=device)
    held = {name: measured(pairs[name]) for name in ("val", "test") if name in pairs}
    wanted = settings.train_examples
    if wanted == "auto":
        wanted = max(_PROBE, len(pairs["val"]) if "val" in pairs else 0)
    sample = next(measured(_some(pairs["train"], size)).epoch())
    return Feeds(
        train=train,
        probe=measured(_some(pairs["train"], int(wanted))) if wanted else None,
        val=held.get("val"),
        test=held.get("test"),
        sample=sample,
        signature=Signature((encoder.longest,), "sequences", (), len(coder.coder)),
        examples=len(pairs["train"]),
        preprocessor=prepared.preprocessor,
        data={"examples": prepared.dataset.fingerprint, "split": prepared.split.fingerprint},
    )


def _growing(experiment: Experiment, last: int) -> Callable[[int], int] | None:
    """Return the most symbols of a sentence by the number of the pass; None where all are taken at once."""
    first, epochs = experiment.text.first_longest, experiment.training.epochs
    if first is None:
        return None
    return partial(length_schedule, total=epochs, first=first, last=max(first, last))


def _some(pairs: ParallelText, wanted: int) -> ParallelText:
    """Return so many pairs, evenly spread."""
    rows = torch.linspace(0, len(pairs) - 1, min(wanted, len(pairs))).round().long().tolist()
    return ParallelText(pairs.sources.take(rows), pairs.targets.take(rows))


def length_batches(pairs: ParallelText, *, padding: int, symbols: int, device: torch.device) -> LengthBatches:
    """Return pairs in batches to measure on, as large as outputs of so many symbols allow."""
    return LengthBatches(
        pairs.targets,
        pairs.sources,
        padding=padding,
        batch_size=_size(pairs, symbols),
        shuffle=False,
        device=device,
    )


def _size(pairs: ParallelText, symbols: int) -> int:
    largest = int(pairs.targets.lengths.max())
    return max(1, min(_LARGEST, _LOGITS // (largest * symbols)))


class TextPairs(LengthBatches):
    """Pairs to measure on, with their texts.

    Attributes:
        part: what they are called.
        places: where each pair stands in the data, (N,).
        texts: sources and references.
    """

    def __init__(
        self,
        pairs: ParallelText,
        *,
        part: str,
        rows: NDArray[Any],
        texts: tuple[list[str], list[str]],
        padding: int,
        symbols: int,
        device: torch.device,
    ) -> None:
        size = _size(pairs, symbols)
        super().__init__(
            pairs.targets, pairs.sources, padding=padding, batch_size=size, shuffle=False, device=device
        )
        self.part, self.places, self.texts = part, rows, texts
