"""Paths: what a missing file is told, and the bytes of a file that may be gzipped."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from preceptor.errors import DataError, StorageError
from preceptor.files import similar
from preceptor.untrusted import Unpacked, check_room, refuse_pickle

__all__ = ["missing_file", "plain_name", "read_bytes"]

_GZIP_MAGIC = b"\x1f\x8b"
_SUFFIXES = (".gz", ".csv", ".tsv", ".parquet", ".pq", ".npz")


def plain_name(path: Path) -> str:
    """Return the file's name without what only says how it is stored.

    Example:
        >>> plain_name(Path("tables/houses.csv.gz"))
        'houses'
    """
    name = path.name or path.resolve().name
    for suffix in _SUFFIXES:
        if len(name) > len(suffix) and name.lower().endswith(suffix):
            name = name[: -len(suffix)]
    return name


def missing_file(path: Path) -> DataError:
    """Make the error for a path that does not exist, with the nearest names that do."""
    folder = path.parent
    if not folder.is_dir():
        return DataError(
            f"no file {str(path)!r}",
            expected="a file or folder that exists",
            received=f"the folder {str(folder)!r} does not exist either",
        )
    return DataError(
        f"no file {str(path)!r}",
        expected="a file or folder that exists",
        received=f"nothing of that name in {str(folder.resolve())!r}",
        hint=similar(path),
    )


def read_bytes(path: Path) -> bytes:
    """Return the file's content, unpacked if it is gzipped (by its first bytes, not its name).

    Raises:
        DataError: there is no such file, it is empty, its gzip stream is damaged or grows beyond all measure.
        OutOfMemory: it is larger than the machine's memory.
        StorageError: the operating system will not let it be read.
    """
    if not path.is_file():
        raise missing_file(path)
    refuse_pickle(path)
    check_room(path.stat().st_size, repr(str(path)), hint="a part of it, or a DataLoader of your own")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StorageError(f"{str(path)!r} cannot be read", received=str(error)) from error
    if content.startswith(_GZIP_MAGIC):
        try:
            with Unpacked(path, gzip.open) as unpacked:
                content = unpacked.read()
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(
                f"{str(path)!r} is a damaged gzip file",
                received=str(error),
                hint="fetch or pack the file again",
            ) from error
    elif path.suffix.lower() == ".gz" and content:
        raise DataError(
            f"{str(path)!r} is no gzip file",
            expected="a file that starts with the bytes 1f 8b",
            received=f"{content[:8]!r}",
            hint="fetch or pack the file again, or drop the ending .gz if it is not packed",
        )
    if not content:
        raise DataError(f"{str(path)!r} is empty", expected="data", received="0 bytes")
    return content
