"""`prepare_pairs`: split, fit both vocabularies on the training pairs, and encode every part once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from preceptor.data._dataset import Array, Dataset
from preceptor.data._prepare import Part, Prepared
from preceptor.data._preprocess import Preprocessor
from preceptor.data._sentences import SequenceCoder, SourceEncoder, fit_sentences
from preceptor.data._split import split
from preceptor.data.text import ParallelText, Vocabulary
from preceptor.errors import ConfigError, DataError

__all__ = ["PreparedPairs", "pair_of", "prepare_pairs"]


@dataclass(frozen=True, eq=False)
class PreparedPairs(Prepared):
    """Pairs of sentences ready to train on; the x and y of a part are the lengths of its sides, in ids.

    Attributes:
        pairs: the ids of ``"train"``, and of ``"val"`` and ``"test"`` where there are such parts.
    """

    pairs: Mapping[str, ParallelText] = field(default_factory=dict)


def pair_of(preprocessor: Preprocessor) -> tuple[SourceEncoder, SequenceCoder]:
    """Return what turns the sentences of both languages into ids.

    Raises:
        ConfigError: it was fitted on something else than pairs.
    """
    encoder, coder = preprocessor.encoder, preprocessor.coder
    if isinstance(encoder, SourceEncoder) and isinstance(coder, SequenceCoder):
        return encoder, coder
    raise ConfigError(
        "there is nothing to translate",
        expected="a run of the task translation",
        received=f"{preprocessor.kind} to {preprocessor.target_kind}",
    )


def prepare_pairs(
    dataset: Dataset,
    *,
    val: float = 0.15,
    test: float = 0.15,
    seed: int = 0,
    order: str = "auto",
    longest: int | None = None,
    **vocabulary: Any,
) -> PreparedPairs:
    """Split pairs, fit a vocabulary for each side on the training pairs alone, and encode all parts.

    Arguments:
        dataset: what `load_pairs` returned.
        val: fraction for validation, where the data bring none of their own; 0 for none.
        test: the same for the test.
        seed: of the split.
        order: of the split: ``"random"`` or ``"blocks"``.
        longest: training pairs with more ids on a side are left out; None: none are.
        vocabulary: as `fit_vocabulary` has it.

    Raises:
        DataError: nothing is left to train on.

    Example:
        >>> from preceptor.data._parallel import load_pairs
        >>> data = load_pairs((["a b", "b a", "a a"] * 10, ["x y", "y x", "x x"] * 10))
        >>> ready = prepare_pairs(data, val=0.2, test=0.2)
        >>> ready.split.text, len(ready.pairs["val"]), ready.train.x[0].item()
        ('18/6/6 (random, seed 0)', 6, 3)
    """
    parts = split(dataset, val=val, test=test, seed=seed, order=order)
    encoder, coder = fit_sentences(dataset, parts.train, vocabulary)
    made, pairs, notes = {}, {}, list(dataset.notes)
    for name in ("train", "val", "test"):
        rows = getattr(parts, name)
        if not len(rows):
            continue
        limit = longest if name == "train" else None
        pairs[name], kept = _encoded(dataset, rows, encoder, coder, limit)
        if len(kept) < len(rows):
            notes.append(
                f"{len(rows) - len(kept):,} training pairs of more than {longest} symbols are left out"
            )
        x, y = (torch.from_numpy(side.lengths) for side in (pairs[name].sources, pairs[name].targets))
        made[name] = Part(x, y, kept)
        if name != "train":
            notes += _unknown(name, dataset, rows, encoder, coder)
    return PreparedPairs(
        dataset=replace(dataset, notes=tuple(notes)),
        split=parts,
        preprocessor=Preprocessor(encoder, coder, dataset.target_name),
        train=made["train"],
        val=made.get("val"),
        test=made.get("test"),
        pairs=pairs,
    )


def _encoded(
    dataset: Dataset, rows: Array, encoder: SourceEncoder, coder: SequenceCoder, longest: int | None
) -> tuple[ParallelText, Array]:
    sources, targets = encoder.ids(_texts(dataset.inputs, rows)), coder.ids(_texts(dataset.targets, rows))
    if longest is None:
        return ParallelText(sources, targets), rows
    kept = np.flatnonzero(np.maximum(sources.lengths, targets.lengths) <= longest)
    if not len(kept):
        raise DataError(
            "no training pairs are left",
            expected=f"sentences of at most {longest} symbols",
            received=f"the shortest pair has {int(np.maximum(sources.lengths, targets.lengths).min())}",
            hint="a larger text.longest",
        )
    return ParallelText(sources.take(kept), targets.take(kept), len(rows) - len(kept)), rows[kept]


def _texts(side: Any, rows: Array) -> list[str]:
    return [str(text) for text in np.asarray(side, dtype=object)[rows]]


def _unknown(
    name: str, dataset: Dataset, rows: Array, encoder: SourceEncoder, coder: SequenceCoder
) -> list[str]:
    sides = (("sources", encoder.coder, dataset.inputs), ("targets", coder.coder, dataset.targets))
    found = [
        (side, vocabulary.out_of_vocabulary(_texts(texts, rows)))
        for side, vocabulary, texts in sides
        if isinstance(vocabulary, Vocabulary)
    ]
    return [f"{name}, {side}: {unknown}" for side, unknown in found if unknown.unknown]
