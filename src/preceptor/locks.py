"""Places that one process at a time may write to."""

from __future__ import annotations

import importlib
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from preceptor.errors import StorageError

__all__ = ["hold"]

_MINE: dict[str, int] = {}  # the threads of this process that hold a place
os.register_at_fork(after_in_child=_MINE.clear)


@contextmanager
def hold(
    place: Path, file: Path, *, doing: str, again: bool = False, patience: float = 0.5
) -> Iterator[None]:
    """Hold a place for the length of a block; the operating system lets go of it when the process dies.

    Systems and disks without locks hold nothing.

    Arguments:
        place: what is held, as the message names it.
        file: says who holds it; made where there is none, and left there.
        doing: what for, as others are told.
        again: whether a block around this one, of the same thread, may hold it already.
        patience: seconds to wait for a process that is about to end.

    Raises:
        StorageError: another process or thread has it, or nothing can be written there.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with hold(folder, folder / "lock", doing="training"):
        ...     (folder / "lock").read_text().split()[2:]
        ['training']
    """
    key, me = str(file.resolve()), threading.get_ident()
    if key in _MINE:
        if not again or _MINE[key] != me:
            raise _in_use(place, "this very process")
        yield
        return
    descriptor = _open(place, file)
    try:
        _wait(descriptor, place, patience)
        _MINE[key] = me
        with suppress(OSError):  # a full disk: then nobody can be told who it is
            os.truncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()} {socket.gethostname()} {doing}\n".encode())
        yield
    finally:
        if _MINE.pop(key, None) is not None:
            with suppress(OSError):
                os.truncate(descriptor, 0)
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Take an open file for this process, not for those that it forks; False where another one has it."""
    try:
        fcntl: Any = importlib.import_module("fcntl")
    except ImportError:
        return True
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # both are what systems say of a lock that is taken
        return False
    except OSError:  # a disk of a network without locks
        return True
    return True


def _open(place: Path, file: Path) -> int:
    try:
        return os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StorageError(
            f"cannot write to {place}",
            expected="a folder that can be written to",
            received=error.strerror,
            hint="copy it to where you may write",
        ) from error


def _wait(descriptor: int, place: Path, patience: float) -> None:
    until = monotonic() + patience
    while not _lock(descriptor):
        if monotonic() > until:
            words = os.pread(descriptor, 200, 0).decode(errors="replace").split(maxsplit=2)
            number, host, doing = words if len(words) == 3 else ("", "", "")
            raise _in_use(place, f"process {number} on {host}, {doing.strip()}" if number else "another one")
        sleep(0.05)


def _in_use(place: Path, who: str) -> StorageError:
    return StorageError(
        f"{place} is in use",
        expected="one process at a time",
        received=who,
        hint="wait for it to end, or stop it",
    )
