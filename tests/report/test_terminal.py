"""Progress: what a terminal, a pipe and CI see of a training, and what onlookers find in its folder."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from preceptor.report import terminal
from preceptor.report.sparkline import sparkline
from preceptor.report.terminal import EpochTable
from preceptor.run import _keeping
from preceptor.run._keeping import KeepHistory
from preceptor.training.folder import RunFolder
from preceptor.training.history import History


def state(**given: Any) -> Any:
    """A training of ten epochs of four batches, as far as progress is concerned."""
    problem = SimpleNamespace(
        task=SimpleNamespace(metrics={"accuracy": None}), val=(), probe=(), train=range(4)
    )
    plain = {"problem": problem, "epochs": 10, "epoch": 0, "batch": 0, "step": 0, "history": History()}
    return SimpleNamespace(**{**plain, "finished": False, "stop": None, "best_epoch": 1, **given})


def drive(console: Console, clock: Any) -> None:
    """Two epochs, a batch every 25 seconds of a clock that is set by hand."""
    table, at = EpochTable(console), state()
    table.on_train_begin(at)
    for epoch in range(2):
        for batch in range(4):
            clock.now += 25
            at.epoch, at.batch = epoch, batch + 1
            table.on_batch_end(at)
        at.epoch, at.batch = epoch + 1, 0
        row = {"epoch": epoch + 1, "train_loss": 2.0 - epoch, "val_loss": 2.5 - epoch, "val_accuracy": 0.5}
        at.history.rows.append({**row, "lr": 0.1, "seconds": 100.0})
        table.on_epoch_end(at)
    at.stop = "interrupted"
    table.on_train_end(at)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    made = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(terminal, "perf_counter", lambda: made.now)
    return made


def test_a_pipe_hears_once_a_minute(clock: Any) -> None:
    out = io.StringIO()
    drive(Console(file=out, width=200), clock)
    lines = out.getvalue().splitlines()
    assert [line.split()[0] for line in lines] == ["epoch", "epoch", "1", "epoch", "2"]
    assert lines[1] == "       epoch 1/10, 75 % of it · 0.0400 batches/s · 15 min 25 s left at most"
    assert "\x1b" not in out.getvalue()


def test_a_terminal_has_a_bar_with_rate_time_and_curve(clock: Any) -> None:
    out = io.StringIO()
    drive(Console(file=out, width=200, force_terminal=True, legacy_windows=False), clock)
    text = out.getvalue()
    assert "0.0400 batches/s" in text
    assert "val_loss █▁ 1.500" in text
    assert "left" in text
    assert "% of it" not in text


def test_what_a_command_prints_to(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("CI", "true")
    assert not terminal.terminal().is_interactive
    terminal.terminal().print("x", style="red")
    assert capsys.readouterr().out == "x\n"
    monkeypatch.setenv("CI", "false")
    assert terminal.terminal().is_terminal
    terminal.terminal(quiet=True).print("x")
    assert capsys.readouterr().out == ""


def test_onlookers_find_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(_keeping, "monotonic", lambda: clock.now)
    (tmp_path / "manifest.json").write_text("{}")
    (tmp_path / "state").mkdir()
    folder = RunFolder(tmp_path)
    keep, at = KeepHistory(folder), state(epoch=2)
    keep.on_train_begin(at)
    at.batch, clock.now = 1, 1.0
    keep.on_batch_end(at)
    assert folder.progress is None
    at.batch, clock.now = 2, 4.0
    keep.on_batch_end(at)
    assert folder.progress == {
        "epoch": 3, "epochs": 10, "batch": 2, "batches": 4, "batches_per_second": 0.5, "seconds_left": 60.0,
    }  # fmt: skip
    assert json.loads(folder.progress_file.read_text()) == folder.progress
    keep.on_train_end(at)
    assert folder.progress is None
    assert list((tmp_path / "state").iterdir()) == []
    folder.progress_file.write_text("[")
    assert folder.progress is None


@pytest.mark.parametrize(
    ("values", "width", "line"),
    [
        ([], 5, ""),
        ([1.0], 5, "▁"),
        ([None, math.nan], 5, "  "),
        ([1, 2, math.inf, 3], 5, "▁▅ █"),
        (range(100), 4, "▁▃▆█"),
        ([5, 5, 5], 5, "▁▁▁"),
    ],
)
def test_sparklines(values: Any, width: int, line: str) -> None:
    assert sparkline(values, width) == line
