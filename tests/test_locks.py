"""One process at a time holds a place; the next one is told who, and gets it when that one dies."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from preceptor.errors import StorageError
from preceptor.locks import hold


def keep(folder: Path, ready: Any) -> None:
    with hold(folder, folder / "lock", doing="training"):
        ready.set()
        signal.pause()


def test_another_process_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    process = context.Process(target=keep, args=(tmp_path, ready))
    process.start()
    assert ready.wait(30)
    told = (
        rf"is in use\n  expected  one process at a time\n  received  process {process.pid} on \S+, training\n"
    )
    with pytest.raises(StorageError, match=told), hold(tmp_path, tmp_path / "lock", doing="it", patience=0):
        pass
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with hold(tmp_path, tmp_path / "lock", doing="it"):
        pass
    assert (tmp_path / "lock").read_bytes() == b""


def test_a_block_within_a_block(tmp_path: Path) -> None:
    lock, said = tmp_path / "lock", []

    def elsewhere() -> None:
        try:
            with hold(tmp_path, lock, doing="it", again=True):
                pass
        except StorageError as error:
            said.append(str(error))

    with hold(tmp_path, lock, doing="one"):
        with hold(tmp_path, lock, doing="two", again=True):
            pass
        with pytest.raises(StorageError, match="this very process"), hold(tmp_path, lock, doing="two"):
            pass
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert "this very process" in said[0]
    with hold(tmp_path, lock, doing="again"):
        pass


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(StorageError, match=r"cannot write to[\s\S]*Not a directory"),
        hold(tmp_path, tmp_path / "file" / "lock", doing="it"),
    ):
        pass
