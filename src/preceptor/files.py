"""Files that are either wholly there or not there at all."""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from preceptor.errors import StorageError

__all__ = ["atomic", "write_json", "write_text"]

_INTACT = ", then resume or try again: what stood there before is intact"
_HINTS = {
    errno.ENOSPC: f"free some space on that disk{_INTACT}",
    errno.EDQUOT: f"free some of your quota{_INTACT}",
    errno.EFBIG: f"raise the file-size limit (ulimit -f){_INTACT}",
    errno.EACCES: "choose a folder that you may write to, with --out",
    errno.EROFS: "choose a folder on a disk that is not read-only, with --out",
}


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
    write_text(path, json.dumps(_strict(value), indent=1, default=str) + "\n")


def _strict(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
