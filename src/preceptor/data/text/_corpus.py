"""One text as a row of ids: read line by line, kept in few bytes, in memory or in a file, cut by position."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preceptor.data.text._vocabulary import TextCoder
from preceptor.errors import ConfigError, DataError
from preceptor.files import atomic, open_text

__all__ = ["TextIds", "encode_file", "read_lines"]

_CHUNK = 1 << 20  # ids that are hashed or written at once


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


@dataclass(frozen=True, eq=False)
class TextIds:
    """A text, or a part of one, as ids.

    Attributes:
        ids: (T,) integers of as few bytes as the vocabulary allows; may lie in a file (`numpy.memmap`).
        name: what it is called.
        start: where the part begins in its text.

    Example:
        >>> text = TextIds(np.arange(100, dtype=np.uint16), "counting")
        >>> [len(part) for part in text.split(val=0.1, test=0.1)], text.split(val=0.1)[1].ids[0]
        ([80, 10, 10], np.uint16(90))
    """

    ids: NDArray[Any]
    name: str = "text"
    start: int = 0

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
        return tuple(  # type: ignore[return-value]
            replace(self, ids=self.ids[low:high], start=self.start + low) for low, high in cuts
        )

    def chunks(self, size: int = _CHUNK) -> Iterator[NDArray[np.int64]]:
        """Yield the ids piece by piece, as int64."""
        for low in range(0, len(self), size):
            yield np.asarray(self.ids[low : low + size], dtype=np.int64)


def encode_file(
    path: Path | str, coder: TextCoder, *, ends: bool | None = None, store: Path | str | None = None
) -> TextIds:
    """Encode a text file line by line.

    Arguments:
        path: the text (.txt, .gz, .xz).
        coder: the vocabulary.
        ends: put the end symbol in place of each line's end; default: where the vocabulary has one. Without
            it line ends are encoded as they are, as a vocabulary of characters knows them.
        store: a file that the ids are written to as they come, and then mapped from; None: kept in memory.

    Raises:
        DataError: no such file, or nothing in it.

    Example:
        >>> import tempfile
        >>> from preceptor.data.text import Vocabulary
        >>> file = Path(tempfile.mkdtemp()) / "a.txt"
        >>> _ = file.write_text("a b\\nb a b\\n")
        >>> words = Vocabulary.build(read_lines(file), specials=("end",))
        >>> encode_file(file, words).ids
        array([2, 1, 0, 1, 2, 1, 0], dtype=uint16)
    """
    source = Path(path)
    end = (coder.id_of("end") is not None) if ends is None else ends
    dtype = np.uint16 if len(coder) <= 1 << 16 else np.uint32
    parts = _encoded(source, coder, end, dtype)
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
    return TextIds(ids, name)


def _encoded(path: Path, coder: TextCoder, end: bool, dtype: Any) -> Iterator[NDArray[Any]]:
    gathered: list[NDArray[np.int32]] = []
    held = 0
    for line in read_lines(path, keep_ends=not end):
        gathered.append(coder.encode(line, end=end))
        held += len(gathered[-1])
        if held >= _CHUNK:
            yield np.concatenate(gathered).astype(dtype)
            gathered, held = [], 0
    if gathered:
        yield np.concatenate(gathered).astype(dtype)
