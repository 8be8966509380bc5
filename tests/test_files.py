"""Files appear whole or not at all, and what stands in the way is named."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from preceptor.errors import StorageError
from preceptor.files import atomic, write_text


def test_a_failure_leaves_the_old_file_and_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fails() -> None:
        with atomic(path) as temporary:
            temporary.write_text("half of the n")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(StorageError, match=r"No space left on device[\s\S]*free some space"):
        fails()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_missing_folder_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="check that the folder exists"):
        write_text(tmp_path / "no" / "a.txt", "x")


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("precious")
    with pytest.raises(StorageError, match="Not a directory"):
        write_text(tmp_path / "taken" / "a.txt", "x")
    assert (tmp_path / "taken").read_text() == "precious"
