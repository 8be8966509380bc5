"""``preceptor evaluate``: the run's own parts, new data, and the ledger of looks at the test set."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

import preceptor
from preceptor.training.own_code import import_model

from .conftest import Cli

VALUES = [
    r"         loss            \d+\.\d{4}",
    r"         accuracy        \d\.\d{4}",
    r"         macro_f1        \d\.\d{4}",
]


def test_the_lines_and_the_ledger(cli: Cli, tmp_path: Path) -> None:
    cli("train", "iris", "--epochs", 3)
    for look, name in ((2, "second"), (3, "third"), (4, "4th")):
        done = cli("evaluate", "runs/iris-1", "--again", f"for the {name} time")
        assert (done.code, done.err) == (0, "")
        first, warning, *values = done.lines
        assert re.fullmatch(
            rf"test     accuracy \d\.\d{{3}} \({name} look at the test set; "
            r"95 % interval \d\.\d{3}–\d\.\d{3}, n = 23\)",
            first,
        )
        assert warning == "         what is chosen after looking at the test set is no longer tested by it"
        for line, shape in zip(values, VALUES, strict=True):
            assert re.fullmatch(shape, line), line
        ledger = json.loads((tmp_path / "runs/iris-1/manifest.json").read_text())["ledger"]
        assert [entry["look"] for entry in ledger] == list(range(1, look + 1))
        assert {json.dumps(entry["metrics"]) for entry in ledger} == {json.dumps(ledger[0]["metrics"])}
        assert ledger[-1]["reason"] == f"for the {name} time"


def test_another_look_needs_a_reason(cli: Cli) -> None:
    cli("train", "iris", "--epochs", 2)
    done = cli("evaluate", "runs/iris-1")
    assert done.code == 2
    assert "the test set has been looked at already" in done.err
    assert '--again "REASON"' in done.err
    assert len(preceptor.load("runs/iris-1").ledger) == 1
    assert "a few words" in cli("evaluate", "runs/iris-1", "--again", " ").err
    assert cli("evaluate", "runs/iris-1", "--on", "val").code == 0


@pytest.mark.parametrize(("part", "n"), [("train", 104), ("val", 23)])
def test_other_parts_are_no_looks(cli: Cli, part: str, n: int) -> None:
    cli("train", "iris", "--epochs", 3, "--no-test")
    done = cli("evaluate", "runs/iris-1", "--on", part)
    assert re.fullmatch(
        rf"{part:<9}accuracy \d\.\d{{3}} \(95 % interval \d\.\d{{3}}–\d\.\d{{3}}, n = {n}\)", done.lines[0]
    )
    run = preceptor.load("runs/iris-1")
    assert run.ledger == []
    shown = {line.split()[0]: float(line.split()[1]) for line in done.lines[1:]}
    best = run.history[run.best_epoch - 1]
    assert shown["accuracy"] == pytest.approx(best[f"{part}_accuracy"], abs=5e-5)
    assert shown["loss"] == pytest.approx(best[f"{part}_loss"], abs=6e-5)


def test_new_data(cli: Cli, flowers: Path, tmp_path: Path) -> None:
    cli("train", flowers, "--target", "kind", "--epochs", 3, "--out", "run")
    head, *rows = flowers.read_text().splitlines()
    (tmp_path / "new.csv").write_text("\n".join([head, *rows[:7]]))
    done = cli("evaluate", "run", "new.csv")
    assert done.code == 0, done.err
    assert done.lines[0].startswith("new.csv  accuracy ")
    assert done.lines[0].endswith("n = 7)")
    assert done.lines[1].strip() == "4 of these examples were trained on: that is no test"
    predicted = [line.split(",")[1] for line in cli("predict", "run", "new.csv").lines[1:]]
    right = np.mean([p == row.split(",")[-1] for p, row in zip(predicted, rows[:7], strict=True)])
    assert float(done.lines[3].split()[1]) == pytest.approx(right, abs=5e-5)
    assert len(preceptor.load("run").ledger) == 1


def test_your_own_model_is_run_with_leave(cli: Cli, nets: str) -> None:
    cli("train", "iris", "--model", nets, "--set", "model.width=6", "--epochs", 2, "--out", "run")
    done = cli("evaluate", "run", "--on", "val", "--model", nets)
    assert done.code == 0, done.err
    run = preceptor.load("run", model=import_model(nets))
    assert run.history[-1, "val_accuracy"] == pytest.approx(float(done.lines[2].split()[1]), abs=5e-5)
