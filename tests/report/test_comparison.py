"""Runs side by side on a page: what differs, how sure that is, a curve a run, whatever they are called."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from preceptor.report.comparison import render, write

from .conftest import run_folder as run


def test_seeds_make_differences_sure_or_not(tmp_path: Path) -> None:
    text = render([run(tmp_path / f"{lr}-{seed}", lr, seed) for lr in (0.1, 0.5) for seed in (0, 1)])
    assert "4 runs differ in optimizer.lr." in text
    assert 'id="figure-differences"' in text
    assert "more than the noise of seeds" in text or "within the noise of seeds" in text
    assert re.search(r"0\.\d+ ± 0\.0\d+", text)
    assert text.count('<td class="w">0.5</td>') == 2
    assert ">overfitting<" in text


def test_single_seeds_are_called_that(tmp_path: Path) -> None:
    text = render([run(tmp_path / "a", 0.1, 0), run(tmp_path / "b", 0.2, 0)])
    assert "By val_loss at its best epoch a is best: 0.3500 beside b 0.4500." in text
    assert "One seed of a run" in text
    assert 'id="figure-differences"' not in text
    assert 'id="figure-compared-0"' in text


def test_runs_without_an_epoch_and_hostile_names(tmp_path: Path) -> None:
    hostile = tmp_path / "<img src=x onerror=alert(1)>"
    text = render([run(hostile, 0.1, 0, epochs=0), run(tmp_path / "b", 0.1, 0, epochs=0)])
    assert "No epoch left a number to draw." in text
    assert "<img" not in text
    assert "&lt;img src=x" in text


def test_a_page_is_written_whole_and_the_same_each_time(tmp_path: Path) -> None:
    runs = [run(tmp_path / "a", 0.1, 0), run(tmp_path / "b", 0.2, 1)]
    first = write(runs, tmp_path / "new" / "c.html").read_bytes()
    assert write(runs, tmp_path / "d.html").read_bytes() == first
    assert len(first) < 1_000_000


@pytest.mark.parametrize("count", [13])
def test_more_runs_than_can_be_told_apart_are_said(tmp_path: Path, count: int) -> None:
    text = render([run(tmp_path / f"r{i}", 0.1, i) for i in range(count)])
    assert f"The first 12 of {count} runs." in text
    assert "No setting but the seed differs." in text
