"""A disk that fails at a chosen call: each that changes a file is counted, before it and in its middle."""

from __future__ import annotations

import errno
import os
import pathlib
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from preceptor.training import storage

_WRITES = ("write_text", "write_bytes", "mkdir", "save_file", "write", "open", "link", "fsync")
_REMOVES = ("replace", "rename", "unlink", "ftruncate")


class Disk:
    """Fails from the call number ``at`` on, each call counting twice where it can end half-way.

    Arguments:
        fault: ``"kill"``: the process is killed there; ``"full"``: nothing more can be written;
            ``"read-only"``: nothing can be changed any more; ``"count"``: nothing happens.
        at: the number of the call, from 0.
    """

    def __init__(self, fault: str, at: int) -> None:
        self.fault, self.at, self.calls = fault, at, 0

    def point(self, name: str) -> None:
        """Count a call, and fail if it is time."""
        here, self.calls = self.calls, self.calls + 1
        if here < self.at or self.fault == "count":
            return
        if self.fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fault == "full" and name in _REMOVES:
            return
        number = errno.ENOSPC if self.fault == "full" else errno.EROFS
        raise OSError(number, os.strerror(number))

    def whole(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return a call that may fail before it is made."""

        def made(*args: Any, **kwargs: Any) -> Any:
            if name == "open" and not (len(args) > 1 and args[1] & os.O_CREAT):
                return call(*args, **kwargs)
            self.point(name)
            return call(*args, **kwargs)

        return made

    def content(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return a call of a path and its content that may fail half-way too."""

        def made(path: Path, content: Any, *args: Any, **kwargs: Any) -> Any:
            self.point(name)
            try:
                self.point(name)
            except OSError:
                with suppress(OSError):
                    call(path, content[: len(content) // 2], *args, **kwargs)
                raise
            return call(path, content, *args, **kwargs)

        return made

    def tensors(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return a writing of tensors that may fail half-way too."""

        def made(tensors: Any, path: Path, **kwargs: Any) -> None:
            self.point(name)
            call(tensors, path, **kwargs)
            data = path.read_bytes()
            with path.open("wb") as file:
                file.write(data[: len(data) // 2])
                file.flush()
                self.point(name)
                file.write(data[len(data) // 2 :])

        return made


@contextmanager
def failing(fault: str, at: int) -> Iterator[Disk]:
    """Let the disk fail within a block."""
    disk = Disk(fault, at)
    kinds: list[tuple[Any, str, Callable[..., Any]]] = [
        *((pathlib.Path, name, disk.content) for name in ("write_text", "write_bytes")),
        *((pathlib.Path, name, disk.whole) for name in ("replace", "rename", "unlink", "mkdir")),
        *((os, name, disk.whole) for name in ("fsync", "link", "write", "ftruncate", "open")),
        (storage, "save_file", disk.tensors),
    ]
    before = [(where, name, getattr(where, name)) for where, name, _ in kinds]
    for where, name, wrap in kinds:
        setattr(where, name, wrap(name, getattr(where, name)))
    try:
        yield disk
    finally:
        for where, name, call in before:
            setattr(where, name, call)
