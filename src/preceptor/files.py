"""Files that are either wholly there or not there at all."""

from __future__ import annotations

import errno
import gzip
import io
import json
import lzma
import math
import os
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, cast

from safetensors import SafetensorError

from preceptor.errors import DataError, StorageError, nearest
from preceptor.untrusted import Unpacked

__all__ = ["atomic", "open_text", "own_file", "similar", "strict", "write_json", "write_text"]

_INTACT = ", then resume or try again: what stood there before is intact"
_HINTS = {
    errno.ENOSPC: f"free some space on that disk{_INTACT}",
    errno.EDQUOT: f"free some of your quota{_INTACT}",
    errno.EFBIG: f"raise the file-size limit (ulimit -f){_INTACT}",
    errno.EACCES: "choose a folder that you may write to, with --out",
    errno.EROFS: "choose a folder on a disk that is not read-only, with --out",
}
_PACKED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"\xfd7zXZ\x00": lzma.open}


def similar(path: Path) -> str | None:
    """Return a hint with what is there under nearly the same name; None where nothing is.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> (folder / "houses.csv").touch()
        >>> similar(folder / "housse.csv").endswith("houses.csv'?")
        True
    """
    try:
        close = nearest(path.name, (each.name for each in path.parent.iterdir()))
    except OSError:
        return None
    return (
        "did you mean " + " or ".join(repr(str(path.parent / name)) for name in close) + "?"
        if close
        else None
    )


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; on success flush it to disk and rename it over ``path``.

    Raises:
        StorageError: the disk is full or not writable; what stood at ``path`` before stands there still.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "a.txt"
        >>> with atomic(target) as temporary:
        ...     _ = temporary.write_text("whole")
        >>> target.read_text()
        'whole'
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        _flush(temporary)
        temporary.replace(path)
        _flush(path.parent)
    except (OSError, SafetensorError) as error:
        raise _storage_error(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _storage_error(path: Path, error: Exception) -> StorageError:
    number = getattr(error, "errno", None)
    if number is None and "os error" in str(error):  # safetensors hands the number on in its text only
        digits = str(error).partition("os error")[2]
        number = int("".join(c for c in digits.partition(")")[0] if c.isdigit()) or 0)
    reason = os.strerror(number) if number else str(error)
    return StorageError(
        f"cannot write {path}",
        received=reason,
        hint=_HINTS.get(number or 0, "check that the folder exists and can be written to"),
    )


@contextmanager
def open_text(path: Path) -> Iterator[IO[str]]:
    """Open a text file in UTF-8 to be read line by line; gzip and xz, told by the first bytes, are unpacked.

    Raises:
        DataError: no such file, not UTF-8, a damaged archive, or one that grows beyond all measure.
        StorageError: the operating system will not let it be read.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "words.txt.gz"
        >>> _ = file.write_bytes(gzip.compress(b"one\\ntwo\\n"))
        >>> with open_text(file) as lines:
        ...     [line.strip() for line in lines]
        ['one', 'two']
    """
    if not path.is_file():
        raise DataError(f"no file {str(path)!r}", expected="a text file", received="no such file")
    try:
        with path.open("rb") as raw:
            head = raw.read(6)
        unpack = next((read for magic, read in _PACKED.items() if head.startswith(magic)), None)
        binary: IO[bytes] = path.open("rb") if unpack is None else cast("IO[bytes]", Unpacked(path, unpack))
        with io.TextIOWrapper(binary, encoding="utf-8", newline="\n") as file:
            yield file
    except UnicodeDecodeError as error:
        raise DataError(
            f"{str(path)!r} is not UTF-8 text",
            received=str(error),
            hint="save it as UTF-8 (iconv -f latin1 -t utf-8)",
        ) from error
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise DataError(
            f"{str(path)!r} is damaged", received=str(error), hint="fetch or pack the file again"
        ) from error
    except OSError as error:
        raise StorageError(f"{str(path)!r} cannot be read", received=str(error)) from error


def own_file(file: str, program: str, root: Path) -> Path | None:
    """Return the path of a file of the user's, that is loaded or is the program itself, by its name.

    Libraries have files of the same names: what lies neither under ``root`` nor beside the program is theirs.

    Arguments:
        file: its name, without folders.
        program: what was started, relative to ``root``; "" where that is not known.
        root: where it was started.
    """
    own = Path(os.path.normpath(root / program))
    loaded = [Path(getattr(module, "__file__", None) or "") for module in list(sys.modules.values())]
    for path in (own, *loaded):
        theirs = "site-packages" in path.parts or not {root, own.parent} & {*path.parents}
        if path.name == file and not theirs and path.is_file():
            return path
    return None


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, in UTF-8."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically: NaN and infinities, which it does not know, become null; other objects text.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "a.json"
        >>> write_json(target, {"loss": float("nan"), "steps": (1, 2)})
        >>> json.loads(target.read_text())
        {'loss': None, 'steps': [1, 2]}
    """
    write_text(path, json.dumps(strict(value), indent=1, default=str) + "\n")


def strict(value: Any) -> Any:
    """Return nested values as JSON can hold them: NaN and infinities become None."""
    if isinstance(value, dict):
        return {str(key): strict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [strict(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
