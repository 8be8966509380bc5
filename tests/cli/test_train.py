"""``preceptor train``: the lines that it prints, the folder that it leaves, and what it takes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import preceptor

from .conftest import Cli

EPOCH = r" +\d+ +\d+\.\d{3} +\d+\.\d{3} +-?\d\.\d{3}   \d\.\de[-+]\d\d +\d+\.\d( +← .*)?"


UNWATCHED = ("--set", "training.watch=false")  # what a verdict adds is another test's affair


def test_the_lines_of_a_training(cli: Cli) -> None:
    done = cli("train", "digits", "--epochs", 3)
    assert (done.code, done.err) == (0, "")
    data, model, device, head, *epochs, test, verdict, report = done.lines
    assert data == "data     1,797 images 8×8 · 10 classes · split 1,257/270/270 (stratified, seed 0)"
    assert model == "model    mlp 64-128-10 · 9,610 parameters"
    assert device.startswith("device   ")
    assert device.endswith(" · fp32")
    assert head == "epoch  train_loss  val_loss  val_accuracy        lr      s"
    assert len(epochs) == 3
    for number, row in enumerate(epochs, 1):
        assert re.fullmatch(EPOCH, row), row
        assert int(row.split()[0]) == number
    assert re.fullmatch(
        r"test     accuracy 0\.\d{3} \(first look at the test set; "
        r"95 % interval 0\.\d{3}–0\.\d{3}, n = 270\)",
        test,
    )
    assert verdict == "verdict  nothing wrong was found"
    assert report == "report   runs/digits-1/report.html"


def test_the_row_that_early_stopping_ends_with(cli: Cli) -> None:
    done = cli("train", "iris", "--set", "training.patience=1", "--lr", 0.3, "--epochs", 50, *UNWATCHED)
    stopped = [line for line in done.lines if "←" in line]
    best = preceptor.load("runs/iris-1").best_epoch
    assert stopped == [done.lines[-3]]
    assert stopped[0].endswith(f"← stopped; best = {best}")
    assert int(stopped[0].split()[0]) == best + 1


def test_the_folder(cli: Cli, tmp_path: Path) -> None:
    cli("train", "iris", "--epochs", 2)
    run = tmp_path / "runs" / "iris-1"
    found = {str(p.relative_to(run)) for p in run.rglob("*") if p.is_file()}
    seen = {file for file in found if file.startswith("record/")}
    assert {"record/observed.json", "record/record.json"} < seen
    found -= seen
    assert found == {
        "audit.json",
        "experiment.toml",
        "findings.json",
        "history.csv",
        "manifest.json",
        "preprocessing.json",
        "reference.safetensors",
        "report.html",
        "state/checkpoint.safetensors",
        "state/lock",
        "state/previous.safetensors",
        "weights/best.safetensors",
        "weights/last.safetensors",
    }
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["status"] == "finished"
    assert manifest["chosen"] == ["data.source", "training.epochs"]
    assert [look["look"] for look in manifest["ledger"]] == [1]
    assert set(manifest["data"]) == {"examples", "split"}
    assert manifest["versions"]["torch"]


@pytest.mark.slow
def test_folders_are_numbered(cli: Cli, tmp_path: Path) -> None:
    for _ in range(2):
        cli("train", "iris", "--epochs", 1)
    cli("train", "iris", "--epochs", 1, "--set", "name=flowers")
    cli("train", "iris", "--epochs", 1, "--out", "here")
    assert sorted(p.name for p in (tmp_path / "runs").iterdir()) == ["flowers-1", "iris-1", "iris-2"]
    assert (tmp_path / "here" / "report.html").is_file()


def test_a_table_with_gaps_and_categories(cli: Cli, flowers: Path) -> None:
    done = cli(
        "train",
        flowers,
        "--target",
        "kind",
        "--epochs",
        2,
        "--set",
        "optimizer.lr=3e-3",
        "--set",
        "model.hidden=[8,8]",
    )
    assert done.code == 0, done.err
    assert done.lines[0].startswith(
        "data     90 rows · 3 features · 2 classes · split 62/14/14 (stratified, seed 0)"
    )
    assert "missing" in done.out
    model = next(line for line in done.lines if line.startswith("model"))
    assert re.fullmatch(r"model    mlp \d+-8-8-1 · \d+ parameters", model)
    settings = preceptor.load("runs/flowers-1").experiment
    assert settings.optimizer.options["lr"] == 3e-3
    assert list(settings.model.options["hidden"]) == [8, 8]


def test_a_number_to_predict(cli: Cli, prices: Path) -> None:
    done = cli("train", prices, "--target", "price", "--epochs", 2, *UNWATCHED)
    assert done.code == 0, done.err
    head = next(line for line in done.lines if line.startswith("epoch"))
    assert head.split() == ["epoch", "train_loss", "val_loss", "val_r2", "lr", "s"]
    assert done.lines[-2].startswith("test     r2 ")


def test_without_validation_and_test(cli: Cli) -> None:
    done = cli("train", "iris", "--epochs", 1, "--set", "data.val=0", "--set", "data.test=0", *UNWATCHED)
    assert done.code == 0
    assert [line.split()[0] for line in done.lines] == ["data", "model", "device", "epoch", "1", "report"]
    assert done.lines[3].split() == ["epoch", "train_loss", "train_accuracy", "lr", "s"]


def test_no_test_leaves_the_test_set_alone(cli: Cli) -> None:
    done = cli("train", "iris", "--epochs", 1, "--no-test")
    assert not any(line.startswith("test") for line in done.lines)
    assert preceptor.load("runs/iris-1").ledger == []


def test_every_option(cli: Cli) -> None:
    done = cli(
        *("train", "digits", "--model", "linear", "--task", "classification", "--epochs", 1, "--lr", 0.02),
        *("--batch-size", 50, "--seed", 7, "--device", "cpu", "--out", "run"),
        *("--set", "schedule.name=cosine"),
    )  # fmt: skip
    assert done.code == 0, done.err
    made = preceptor.load("run").experiment
    assert (made.model.name, made.task, made.seed, made.schedule.name) == (
        "linear",
        "classification",
        7,
        "cosine",
    )
    assert (made.training.epochs, made.training.batch_size, made.training.device) == (1, 50, "cpu")
    assert made.optimizer.options["lr"] == 0.02
    assert cli("train", "iris", "--batch-size", "full", "--epochs", 1).code == 0
    assert preceptor.load("runs/iris-1").experiment.training.batch_size == 104


def test_your_own_model(cli: Cli, nets: str) -> None:
    done = cli("train", "iris", "--model", nets, "--set", "model.width=7", "--epochs", 1)
    assert done.code == 0, done.err
    assert done.lines[1] == "model    Net · 59 parameters"


def test_an_experiment_gives_the_run_again_to_the_last_bit(cli: Cli, tmp_path: Path, flowers: Path) -> None:
    cli(
        *("train", flowers, "--target", "kind", "--epochs", 4, "--seed", 3, "--out", "first"),
        *("--set", "model.dropout=0.2", "--set", "schedule.name=cosine"),
        *("--set", "training.max_grad_norm=0.5"),
    )  # fmt: skip
    done = cli("train", "first/experiment.toml", "--out", "again")
    assert done.code == 0, done.err
    first, again = tmp_path / "first", tmp_path / "again"
    for name in (
        "weights/best.safetensors",
        "weights/last.safetensors",
        "experiment.toml",
        "preprocessing.json",
    ):
        assert (first / name).read_bytes() == (again / name).read_bytes(), name
    a, b = preceptor.load(first), preceptor.load(again)
    assert a.history.without("seconds") == b.history.without("seconds")
    assert a.ledger[0]["metrics"] == b.ledger[0]["metrics"]


def test_an_experiment_with_a_change(cli: Cli) -> None:
    cli("train", "iris", "--epochs", 1, "--lr", 0.02, "--out", "first")
    done = cli("train", "first/experiment.toml", "--set", "optimizer.weight_decay=0.1", "--out", "second")
    assert done.code == 0, done.err
    options = preceptor.load("second").experiment.optimizer.options
    assert (options["lr"], options["weight_decay"]) == (0.02, 0.1)


@pytest.mark.slow
def test_a_divergence_is_said_and_is_a_failure(cli: Cli) -> None:
    done = cli("train", "digits", "--set", "optimizer.name=sgd", "--lr", 1e30, "--epochs", 3)
    assert done.code == 1
    assert "the loss is no longer a finite number; no epoch came to its end" in done.out
    assert "try a smaller learning rate" in done.out
    assert not any(line.startswith("test") for line in done.lines)
    assert preceptor.load("runs/digits-1").status == "diverged"
    later = cli(
        "train", "diabetes", "--model", "linear", "--set", "optimizer.name=sgd", "--lr", 1.5, "--epochs", 60
    )
    assert later.code == 1
    assert "the best weights are kept" in later.out
    assert later.lines[-1] == "report   runs/diabetes-1/report.html"


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision(cli: Cli, precision: str) -> None:
    done = cli("train", "digits", "--epochs", 2, "--set", f"training.precision={precision}")
    assert done.code == 0, done.err
    assert preceptor.load("runs/digits-1").history[-1, "val_accuracy"] > 0.85
