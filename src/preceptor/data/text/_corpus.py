"""One text as a row of ids: read line by line, kept in few bytes, in memory or in a file, cut by position."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preceptor.catalogue.language import OutOfVocabulary
from preceptor.data.text._vocabulary import TextCoder
from preceptor.errors import ConfigError, DataError
from preceptor.files import atomic, open_text

__all__ = ["TextIds", "encode_file", "read_lines", "read_pieces"]

_CHUNK = 1 << 20  # ids that are hashed, or characters that are read, at once


def read_lines(path: Path | str, *, keep_ends: bool = False) -> Iterator[str]:
    """Yield the lines of a text file (.txt, .gz, .xz), without holding more than one of them.

    Raises:
        DataError: no such file, not UTF-8, or damaged.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "a.txt"
        >>> _ = file.write_text("one\\ntwo\\n")
        >>> list(read_lines(file))
        ['one', 'two']
    """
    with open_text(Path(path)) as file:
        for line in file:
            yield line if keep_ends else line.rstrip("\r\n")


def read_pieces(path: Path | str, low: int = 0, high: int | None = None) -> Iterator[str]:
    """Yield a text file in pieces of about a million characters, none of which ends within a word.

    Arguments:
        path: the text (.txt, .gz, .xz).
        low: the first character that is wanted.
        high: the one behind the last; None: to the end.

    Raises:
        DataError: no such file, not UTF-8, or damaged.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "a.txt"
        >>> _ = file.write_text("one\\ntwo\\n")
        >>> list(read_pieces(file)), list(read_pieces(file, 2, 5))
        (['one\\ntwo\\n'], ['e\\n', 't'])
    """
    held = ""
    for block in _blocks(Path(path), low, high):
        held += block
        cut = held.rfind("\n") + 1 or held.rfind(" ") + 1
        if cut:
            yield held[:cut]
            held = held[cut:]
    if held:
        yield held


def _blocks(path: Path, low: int, high: int | None) -> Iterator[str]:
    left = -1 if high is None else high - low
    with open_text(path) as file:
        while low and (skipped := file.read(min(low, _CHUNK))):
            low -= len(skipped)
        while left and (block := file.read(_CHUNK if left < 0 else min(left, _CHUNK))):
            left -= len(block) if left > 0 else 0
            yield block


@dataclass(frozen=True, eq=False)
class TextIds:
    """A text, or a part of one, as ids.

    Attributes:
        ids: (T,) integers of as few bytes as the vocabulary allows; may lie in a file (`numpy.memmap`).
        name: what it is called.
        start: where the part begins in its text.
        characters: of the text that it stands for; 0 where that is not known.
        unknown: what of the text the vocabulary does not have; None where that was not counted.

    Example:
        >>> text = TextIds(np.arange(100, dtype=np.uint16), "counting")
        >>> [len(part) for part in text.split(val=0.1, test=0.1)], text.split(val=0.1)[1].ids[0]
        ([80, 10, 10], np.uint16(90))
    """

    ids: NDArray[Any]
    name: str = "text"
    start: int = 0
    characters: int = 0
    unknown: OutOfVocabulary | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over position and ids, whatever their bytes."""
        digest = hashlib.sha256(f"{self.start}:{len(self)}".encode())
        for low in range(0, len(self), _CHUNK):
            digest.update(np.asarray(self.ids[low : low + _CHUNK], dtype="<u4").tobytes())
        return digest.hexdigest()

    def split(self, *, val: float = 0.1, test: float = 0.0) -> tuple[TextIds, TextIds, TextIds]:
        """Cut by position into training, validation and test: the last shares, never shuffled.

        Text that is near is alike, so that a random cut would train on what it is tested by.

        Raises:
            ConfigError: shares outside [0, 1), or that leave nothing to train on.
        """
        if not (0 <= val < 1 and 0 <= test < 1 and val + test < 1):
            raise ConfigError(
                "the text cannot be cut so", expected="val + test < 1", received=f"val={val!r}, test={test!r}"
            )
        last = len(self) - round(len(self) * test)
        middle = last - round(len(self) * val)
        if not middle:
            raise DataError(
                "nothing is left to train on", expected="a longer text", received=f"{len(self)} ids"
            )
        cuts = ((0, middle), (middle, last), (last, len(self)))
        return tuple(  # type: ignore[return-value]  # one for each part
            replace(self, ids=self.ids[low:high], start=self.start + low, characters=0, unknown=None)
            for low, high in cuts
        )

    def chunks(self, size: int = _CHUNK) -> Iterator[NDArray[np.int64]]:
        """Yield the ids piece by piece, as int64."""
        for low in range(0, len(self), size):
            yield np.asarray(self.ids[low : low + size], dtype=np.int64)


def encode_file(
    path: Path | str,
    coder: TextCoder,
    *,
    ends: bool | None = None,
    store: Path | str | None = None,
    span: tuple[int, int | None] = (0, None),
) -> TextIds:
    """Encode a text file, or a part of it, piece by piece.

    Arguments:
        path: the text (.txt, .gz, .xz).
        coder: the vocabulary.
        ends: put the end symbol in place of each line's end; default: where the vocabulary has one. Without
            it line ends are encoded as they are, as a vocabulary of characters knows them.
        store: a file that the ids are written to as they come, and then mapped from; None: kept in memory.
        span: the first character, and the one behind the last; default: all.

    Raises:
        DataError: no such file, or nothing in it.

    Example:
        >>> import tempfile
        >>> from preceptor.data.text import Vocabulary
        >>> file = Path(tempfile.mkdtemp()) / "a.txt"
        >>> _ = file.write_text("a b\\nb a b\\n")
        >>> words = Vocabulary.build(read_lines(file), specials=("end",))
        >>> text = encode_file(file, words)
        >>> text.ids, text.characters
        (array([2, 1, 0, 1, 2, 1, 0], dtype=uint16), 10)
    """
    source = Path(path)
    end = coder.id_of("end") if ends is None or ends else None
    if ends and end is None:
        coder.encode("", end=True)  # says that there is no end symbol
    dtype = np.uint16 if len(coder) <= 1 << 16 else np.uint32
    pieces = _Counted(read_pieces(source, *span))
    parts = _encoded(pieces, coder, end, dtype)
    name = source.name.partition(".")[0] or "text"
    if store is None:
        kept = list(parts)
        ids = np.concatenate(kept) if kept else np.empty(0, dtype)
    else:
        with atomic(Path(store)) as temporary, temporary.open("wb") as file:
            for part in parts:
                file.write(part.tobytes())
        empty = not Path(store).stat().st_size
        ids = np.empty(0, dtype) if empty else np.memmap(store, dtype=dtype, mode="r")
    if not len(ids):
        raise DataError(f"{str(path)!r} is empty", expected="text", received="no tokens")
    return TextIds(ids, name, span[0], pieces.characters)


class _Counted:
    """Pieces of text, and how many characters they have together."""

    def __init__(self, pieces: Iterator[str]) -> None:
        self.pieces, self.characters = pieces, 0

    def __iter__(self) -> Iterator[str]:
        for piece in self.pieces:
            self.characters += len(piece)
            yield piece


def _encoded(pieces: Iterable[str], coder: TextCoder, end: int | None, dtype: Any) -> Iterator[NDArray[Any]]:
    open_line = False
    for piece in pieces:
        if end is None:
            yield coder.encode(piece).astype(dtype)
            continue
        *lines, rest = piece.split("\n")
        rows = [coder.encode(line, end=True) for line in lines]
        yield np.concatenate([*rows, coder.encode(rest)]).astype(dtype)
        open_line = bool(rest)
    if open_line:
        yield np.array([end], dtype)
