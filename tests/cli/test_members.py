"""``preceptor train --members``: rows, what combining brought, and the folder as a run's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Cli

QUICK = ("--epochs", "4", "--set", "model.hidden=[8]", "--set", "training.watch=false", "--lr", "0.05")


@pytest.mark.slow
def test_members_are_trained_combined_measured_and_used(cli: Cli, tmp_path: Path) -> None:
    done = cli(
        "train", "iris", "--members", "2", "--bag", "--vary", "optimizer=adam|sgd", *QUICK, "--out", "e"
    )
    assert done.code == 0, done.err
    assert [line.split()[0] for line in done.lines if line.startswith("member-")] == ["member-1", "member-2"]
    assert any("optimizer sgd" in line for line in done.lines)
    for said in ("mean of the members' probabilities", "over the mean member", "errors correlate"):
        assert said in done.out
    assert (tmp_path / "e" / "report.html").is_file()
    assert len(json.loads((tmp_path / "e" / "manifest.json").read_text())["ledger"]) == 1
    measured = cli("evaluate", "e", "--on", "val")
    assert measured.code == 0, measured.err
    assert "over the mean member" in measured.out
    assert cli("compare", "e", "e/member-1").code == 0


def test_snapshots_and_averages(cli: Cli) -> None:
    done = cli("train", "iris", "--snapshots", "2", *QUICK, "--out", "s", "--no-test")
    assert done.code == 0, done.err
    assert "2 members" in done.out
    assert cli("train", "iris", "--average", "ema=0.9", *QUICK, "--out", "a", "--no-test").code == 0
    assert "exponential-moving-average" in Path("a/experiment.toml").read_text()


def test_options_that_do_not_go_together(cli: Cli) -> None:
    alone = cli("train", "iris", "--bag")
    assert alone.code == 2
    assert "--members 5 beside it" in alone.err
    both = cli("train", "iris", "--members", "2", "--snapshots", "2")
    assert both.code == 2
    assert "or snapshots of one" in both.err
    attended = cli("train", "iris", "--members", "2", "--attend")
    assert attended.code == 2
    assert "not attended" in attended.err
    assert not Path("runs").exists()


def test_a_tables_new_rows_are_predicted_together(cli: Cli, flowers: Path) -> None:
    assert (
        cli("train", flowers, "--target", "kind", "--members", "2", *QUICK, "--out", "f", "--no-test").code
        == 0
    )
    done = cli("predict", "f", flowers)
    assert done.code == 0, done.err
    assert done.lines[0] == "row,prediction,probability"
    assert {line.split(",")[1] for line in done.lines[1:]} <= {"rose", "lily"}
