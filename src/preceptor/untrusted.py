"""Files that somebody else made: damaged by accident, or made to do harm."""

from __future__ import annotations

import csv
import io
import lzma
import os
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from preceptor.errors import DataError, OutOfMemory, PreceptorError, StorageError

__all__ = ["Unpacked", "check_room", "check_unpacked", "harmless_cell", "refuse_pickle", "understood"]

_OF_PYTHON = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError, SyntaxError)
_OF_FILES = (OSError, EOFError, csv.Error, lzma.LZMAError, zlib.error, struct.error, SafetensorError)
_MALFORMED = (*_OF_PYTHON, *_OF_FILES)
_LARGE, _MOST = 1 << 28, 250  # bytes from which on a packed file is looked at, and how far data ever shrink
_SHARE = 0.8  # of the machine's memory that one array may take
_PICKLED = (".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".joblib")
_BEGINS = re.compile(rb"\x80[\x02-\x05]")  # a pickle of protocol 2 to 5
_FORMULA = re.compile(r"[=@\t\r]|[+\-](?![\d.]+(?:[eE][+\-]?\d+)?\Z|\Z|inf\Z|nan\Z)")


@contextmanager
def understood(
    what: Path | str, expected: str, kind: type[PreceptorError] = StorageError, *, hint: str | None = None
) -> Iterator[None]:
    """Turn whatever Python raises over a file of another form into one error that names the file.

    Arguments:
        what: the file, or what else is read.
        expected: what should have been there.
        kind: the error's class.
        hint: what to try.

    Example:
        >>> with understood("a.json", "a list of numbers", DataError):
        ...     sum({"not": "a list"}.values())
        Traceback (most recent call last):
            ...
        preceptor.errors.DataError: cannot read a.json
          expected  a list of numbers
          received  TypeError: unsupported operand type(s) for +: 'int' and 'str'
    """
    try:
        yield
    except PreceptorError:
        raise
    except _MALFORMED as error:
        received = f"{type(error).__name__}: {error}"[:400]
        raise kind(f"cannot read {what}", expected=expected, received=received, hint=hint) from error


def refuse_pickle(path: Path) -> None:
    """Refuse a file of pickled objects, told by its ending or its first bytes: to read it is to run code.

    Raises:
        DataError: it is one.

    Example:
        >>> refuse_pickle(Path("model.pt"))
        Traceback (most recent call last):
            ...
        preceptor.errors.DataError: 'model.pt' is not read: it holds pickled Python objects
          expected  data without code: .csv, .npz, .safetensors, …
          received  a pickle, which can run any program when it is read
          try       read it where you trust it, and save numbers: safetensors.torch.save_file, np.savez
    """
    if path.suffix.lower() not in _PICKLED:
        try:
            with path.open("rb") as file:
                begins = file.read(2)
        except OSError:
            return
        if not _BEGINS.match(begins):
            return
    raise DataError(
        f"{str(path)!r} is not read: it holds pickled Python objects",
        expected="data without code: .csv, .npz, .safetensors, …",
        received="a pickle, which can run any program when it is read",
        hint="read it where you trust it, and save numbers: safetensors.torch.save_file, np.savez",
    )


def check_room(needed: int, what: str, *, hint: str | None = None) -> None:
    """Refuse, before it is made, an array that the machine cannot hold.

    Raises:
        OutOfMemory: ``needed`` bytes are more than 80 % of its memory.
    """
    names = getattr(os, "sysconf_names", {})
    if not {"SC_PHYS_PAGES", "SC_PAGE_SIZE"} <= set(names):
        return
    room = int(_SHARE * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    if needed > room:
        raise OutOfMemory(
            f"{what} does not fit into memory",
            expected=f"at most {room / 1e9:.1f} GB",
            received=f"{needed / 1e9:,.1f} GB",
            hint=hint,
        )


def check_unpacked(what: str, packed: int, unpacked: int) -> None:
    """Refuse a packed file that grows beyond all measure: data never shrink to a 250th.

    Raises:
        DataError: over 256 MiB come out, and over 250 times what is there.
    """
    if unpacked > _LARGE and unpacked > _MOST * packed:
        raise DataError(
            f"{what} unpacks to more than it can mean",
            expected=f"at most {_MOST} bytes for each that is packed",
            received=f"{packed:,} bytes, from which {unpacked:,} or more come",
            hint="a decompression bomb? If it is meant to be so, unpack it yourself first",
        )


class Unpacked(io.BufferedIOBase):
    """A packed file, read as it is unpacked, as long as it grows like data.

    Arguments:
        path: the file.
        opened: opens it for its unpacked bytes, such as `gzip.open`.
    """

    def __init__(self, path: Path, opened: Callable[..., Any]) -> None:
        self._path, self._packed, self._seen = path, path.stat().st_size, 0
        self._file: Any = opened(path, "rb")

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Return so many bytes, or all."""
        if size is not None and size >= 0:
            return self._counted(self._file.read(size))
        parts = list(iter(lambda: self.read1(1 << 20), b""))
        return b"".join(parts)

    def read1(self, size: int = -1, /) -> bytes:
        """Return at most so many bytes."""
        return self._counted(self._file.read1(size if size >= 0 else 1 << 20))

    def _counted(self, data: bytes) -> bytes:
        self._seen += len(data)
        check_unpacked(repr(str(self._path)), self._packed, self._seen)
        return data

    def close(self) -> None:
        """Close both."""
        self._file.close()
        super().close()


def harmless_cell(value: Any) -> Any:
    """Return a cell for a CSV file; text that a spreadsheet would take for a formula has a quote before it.

    Numbers, also as text, and lone signs stay as they are.

    Example:
        >>> [harmless_cell(cell) for cell in ("cat", "=1+1", "-0.5", "+", "@SUM(A1)", -2.0)]
        ['cat', "'=1+1", '-0.5', '+', "'@SUM(A1)", -2.0]

    Source: OWASP, CSV injection.
    """
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value
