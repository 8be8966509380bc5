"""Pieces of words by byte-pair encoding, through the `tokenizers` library."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preceptor.data.text._vocabulary import SPECIALS
from preceptor.errors import CheckpointError, import_extra

__all__ = ["BytePairs"]

_VERSION = 1


def _library() -> Any:
    return import_extra("tokenizers", extra="text", purpose="byte-pair encoding")


class BytePairs:
    """Ids for pieces of words: frequent words are one piece, rare ones several; nothing is unknown.

    Bytes are the smallest pieces, so that every text can be encoded and comes back as it was.

    Arguments:
        tokenizer: a `tokenizers.Tokenizer`.
        specials: which of its symbols stand for ``"padding"``, ``"begin"`` and ``"end"``.

    Source: Sennrich, Haddow and Birch, Neural Machine Translation of Rare Words with Subword Units, 2016.
    """

    def __init__(self, tokenizer: Any, specials: Mapping[str, str]) -> None:
        self.tokenizer, self.specials = tokenizer, dict(specials)

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        *,
        size: int = 8000,
        min_count: int = 2,
        specials: Sequence[str] = ("padding", "begin", "end"),
    ) -> BytePairs:
        """Join the most frequent pair of pieces, again and again, until there are ``size`` pieces.

        Raises:
            ExtraMissing: the library is not installed.
        """
        library = _library()
        made = library.Tokenizer(library.models.BPE())
        made.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = library.decoders.ByteLevel()
        chosen = {kind: SPECIALS[kind] for kind in specials}
        trainer = library.trainers.BpeTrainer(
            vocab_size=size,
            min_frequency=min_count,
            special_tokens=list(chosen.values()),
            initial_alphabet=library.pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        made.train_from_iterator(iter(texts), trainer)
        return cls(made, chosen)

    def __len__(self) -> int:
        return int(self.tokenizer.get_vocab_size())

    def id_of(self, special: str) -> int | None:
        """Return the id of the padding, begin or end symbol; None where there is none."""
        symbol = self.specials.get(special)
        found = None if symbol is None else self.tokenizer.token_to_id(symbol)
        return None if found is None else int(found)

    def encode(self, text: str, *, begin: bool = False, end: bool = False) -> NDArray[np.int32]:
        """Return the ids of a text's pieces, between the symbols for begin and end where asked."""
        ids = list(self.tokenizer.encode(text, add_special_tokens=False).ids)
        first = [self.id_of("begin")] if begin else []
        last = [self.id_of("end")] if end else []
        return np.array([*first, *ids, *last], dtype=np.int32)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of some ids, without symbols that have a purpose."""
        return str(self.tokenizer.decode([int(i) for i in ids], skip_special_tokens=True))

    def to_json(self) -> dict[str, Any]:
        """Return all that is needed to make it again."""
        return {
            "version": _VERSION,
            "kind": "byte-pairs",
            "specials": self.specials,
            "tokenizer": self.tokenizer.to_str(),
        }

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> BytePairs:
        """Make it again.

        Raises:
            CheckpointError: it is not what `to_json` returned.
            ExtraMissing: the library is not installed.
        """
        if state.get("version") != _VERSION or not isinstance(state.get("tokenizer"), str):
            raise CheckpointError(
                "these are no stored pieces",
                expected="what BytePairs.to_json returned",
                received=str(state)[:60],
            )
        return cls(_library().Tokenizer.from_str(state["tokenizer"]), dict(state["specials"]))
