"""``preceptor check``, and ``train --check``, ``--goal``: what they print, write and refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Cli


@pytest.mark.slow
def test_some_checks_are_printed_and_written(cli: Cli, nets: str) -> None:
    done = cli(
        "check", "iris", "--model", nets, "--only", "shapes", "--only", "seeds", "--json", "found.json"
    )
    assert done.code == 0, done.err
    assert done.lines[0] == "✓ outputs (104, 3), targets (104,)   ✓ same seed, same first loss"
    assert done.lines[1].endswith("/found.json")
    found = json.loads(Path("found.json").read_text())
    assert [one["check"] for one in found["checks"]] == ["shapes", "seeds"]
    alone = cli("check", "iris", "--model", nets, "--only", "seeds", "--json", "-")
    assert json.loads(alone.out)["checks"][0]["status"] == "passed"


@pytest.mark.slow
def test_a_training_that_cannot_work_is_told_of_and_refused(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(
        "from torch import nn\n\n\nclass Net(nn.Sequential):\n    def __init__(self):\n"
        "        super().__init__(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3), nn.Softmax(1))\n"
    )
    done = cli("check", "iris", "--model", "nets.py:Net", "--only", "outputs-suit-loss")
    assert done.code == 1
    assert done.lines[0] == "! a softmax at the end keeps the loss above 0.551"
    assert done.lines[1].startswith("    remedy  leave out the last unit")
    done = cli("train", "iris", "--model", "nets.py:Net", "--check")
    assert done.code == 2
    assert "error: the checks before training failed" in done.err
    assert "without check=True (--check) it is trained all the same" in done.err
    assert not Path("runs").exists()


def test_a_training_says_what_was_checked_and_what_is_next(cli: Cli) -> None:
    done = cli("train", "iris", "--epochs", 2, "--check", "--goal", 0.99, "--no-test")
    heads = [line.split()[0] for line in done.lines if line.split()]
    assert heads[0] == "checks"
    assert [line for line in done.lines if line.strip().startswith("time    ") and "· 2 epochs ≈" in line]
    assert heads[-2:] == ["next", "report"]
    assert next(line for line in done.lines if line.startswith("next")).startswith("next     training error ")
    assert Path("runs/iris-1/checks.json").exists()


def test_an_experiment_is_checked(cli: Cli) -> None:
    Path("experiment.toml").write_text('[data]\nsource = "iris"\n[model]\nname = "linear"\n')
    assert cli("check", "experiment.toml", "--only", "loss-mean").lines == ["✓ the loss is a mean"]


def test_what_is_refused(cli: Cli) -> None:
    assert "did you mean 'shapes'?" in cli("check", "iris", "--only", "shape").err
    assert "cannot be written" in cli("check", "iris", "--json", "nowhere/x.json").err
    assert cli("check", "nowhere.csv").code == 2
