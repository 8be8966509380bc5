"""The journal: whole lines, one writer, and the same trials after a crash."""

from __future__ import annotations

from pathlib import Path

import pytest

from preceptor.errors import CheckpointError, StorageError
from preceptor.search.journal import Journal, Result, Trial
from preceptor.trials.change import Change


def written(path: Path) -> list[Trial]:
    with Journal(path) as journal:
        change = Change("lr", 0.1, 0.01)
        journal.begin(Trial(0, "random", {"optimizer.lr": 0.1, "model.hidden": (64, 32)}))
        journal.end(0, Result(0.5, {"val_loss": 0.5}, 3, 30, 1.5, 2, notes=("odd",)), elapsed=2.0)
        journal.begin(Trial(1, "random", {"optimizer.lr": 0.01}, 0, (change,), note="slower", epochs=4))
        journal.end(1, Result(float("inf"), status="paused"), elapsed=3.0)
        journal.go_on(1, 9)
        return journal.trials


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    trials = written(path)
    read = Journal(path)
    trials[1].results[0] = Result(None, status="paused")  # JSON has no infinity
    assert read.trials == trials
    assert read.trials[1].open
    assert read.trials[1].epochs == 9
    assert read.elapsed == 3.0
    assert read.trials[1].changed == "lr 0.1 → 0.01, from trial 0"


def test_a_line_that_was_cut_off_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    written(path)
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for cut in range(len(whole) - len(lines[-1]) + 1, len(whole)):
        path.write_bytes(whole[:cut])
        assert not Journal(path).trials[1].open
    path.write_bytes(whole[: len(whole) - 4])
    with Journal(path) as journal:
        journal.go_on(1, 9)
    assert path.read_bytes() == whole


def test_every_beginning_can_be_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    written(path)
    whole = path.read_bytes()
    for cut in range(0, len(whole), 41):
        path.write_bytes(whole[:cut])
        begun = whole[:cut].count(b'{"event": "begun"')
        assert len(Journal(path).trials) in (begun, begun - 1)


def test_one_writer(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path), pytest.raises(StorageError, match="in use"), Journal(path):
        pass
    with Journal(path) as journal:
        journal.say("verdict", winner=0)
    with pytest.raises(StorageError, match="not open"):
        journal.say("verdict")


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    for text in ("no JSON\n", '{"event": "ended", "number": 3}\n', "[]\n", '{"event": "begun"}\n'):
        path.write_text(text)
        with pytest.raises(CheckpointError, match="cannot read"):
            Journal(path)


def test_a_changed_line_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    written(path)
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"value": 0.5', b'"value": 0.4'))
    with pytest.raises(CheckpointError, match="has changed since it was written"):
        Journal(path)
    lines = whole.splitlines(keepends=True)
    for at, line in enumerate(lines):
        path.write_bytes(b"".join([*lines[:at], line.replace(b'"crc32"', b'"crc31"'), *lines[at + 1 :]]))
        with pytest.raises(CheckpointError, match="a line without a checksum"):
            Journal(path)
