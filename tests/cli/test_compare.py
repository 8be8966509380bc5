"""``preceptor compare``: which settings differ, and the results beside each other."""

from __future__ import annotations

from pathlib import Path

import pytest

import preceptor

from .conftest import Cli


def cells(line: str) -> list[str]:
    return [cell for cell in line.split("  ") if cell.strip()]


@pytest.mark.slow
def test_settings_and_results(cli: Cli) -> None:
    cli("train", "iris", "--epochs", 2, "--out", "a")
    cli("train", "iris", "--epochs", 3, "--lr", 0.02, "--out", "b", "--set", "schedule.name=step")
    done = cli("compare", "a", "b")
    assert (done.code, done.err) == (0, "")
    settings, results = (block.splitlines() for block in done.out.split("\n\n"))
    assert settings[0].split() == ["setting", "a", "b"]
    found = {line.split()[0]: line.split()[1:] for line in settings[1:]}
    assert found["optimizer.lr"] == ["0.001", "0.02"]
    assert found["training.epochs"] == ["2", "3"]
    assert found["schedule.name"] == ["constant", "step"]
    assert found["schedule.gamma"] == ["–", "0.5"]
    assert "name" not in found
    assert results[0].split() == ["at", "the", "best", "epoch", "a", "b"]
    shown = {line.split()[0]: line.split()[1:] for line in results[1:] if not line.startswith("note")}
    for i, name in enumerate("ab"):
        run = preceptor.load(name)
        best = run.history[run.best_epoch - 1]
        assert shown["epoch"][i] == str(run.best_epoch)
        assert shown["val_loss"][i] == f"{best['val_loss']:.4f}"
        assert shown["test_accuracy"][i] == f"{run.ledger[-1]['metrics']['accuracy']:.4f}"
    assert shown["test_looks"] == ["1", "1"]
    assert results[-2].startswith("note: one seed of a run")
    told = cli("compare", "a", "b", "--report", "page.html")
    assert told.out == done.out + "report   page.html\n"
    assert "<h1>a and b</h1>" in Path("page.html").read_text(encoding="utf-8")
    assert results[-1] == "note: 3 settings differ: which one made the difference cannot be told"


def test_the_same_settings(cli: Cli) -> None:
    for name in "ab":
        cli("train", "iris", "--epochs", 2, "--out", name)
    done = cli("compare", "a", "b")
    assert "(none differ)" in done.out
    assert "note" not in done.out


def test_one_change_has_no_note(cli: Cli) -> None:
    cli("train", "iris", "--epochs", 2, "--out", "a")
    cli("train", "iris", "--epochs", 2, "--seed", 1, "--out", "b")
    done = cli("compare", "a", "b")
    assert done.lines[1].split() == ["seed", "0", "1"]
    assert "note" not in done.out


def test_other_examples_are_noted(cli: Cli) -> None:
    cli("train", "iris", "--epochs", 2, "--out", "a")
    cli("train", "iris", "--epochs", 2, "--out", "b", "--set", "data.seed=5")
    assert "note: the runs did not see the same examples" in cli("compare", "a", "b").out


@pytest.mark.slow
def test_three_runs_and_one_without_a_test(cli: Cli) -> None:
    for name in "abc":
        cli("train", "iris", "--epochs", 2, "--out", name, *(["--no-test"] if name == "b" else []))
    done = cli("compare", "a", "b", "c")
    accuracy = next(line for line in done.lines if line.startswith("test_accuracy"))
    assert accuracy.split()[2] == "–"
    assert len(accuracy.split()) == 4


def test_the_best_epoch_is_the_one_whose_weights_were_kept(cli: Cli, tmp_path: Path) -> None:
    """With min_delta a later epoch may be a little better than the one that was kept."""
    cli(
        "train",
        "iris",
        "--epochs",
        30,
        "--set",
        "training.min_delta=0.2",
        "--set",
        "training.patience=25",
        "--out",
        "a",
    )
    run = preceptor.load("a")
    best = run.best_epoch
    assert best is not None
    assert best < len(run.history)
    assert run.history[-1, "val_loss"] < run.history[best - 1, "val_loss"]
    assert run.evaluate("val").loss == pytest.approx(run.history[best - 1, "val_loss"], rel=1e-6)
    shown = {line.split()[0]: line.split()[1:] for line in cli("compare", "a", "a").lines if line}
    assert shown["epoch"] == [str(best)] * 2


def seeds(cli: Cli, name: str, *options: object) -> list[str]:
    for seed in range(3):
        cli("train", "iris", "--epochs", 12, "--seed", seed, "--no-test", "--out", f"{name}{seed}", *options)
    return [f"{name}{seed}" for seed in range(3)]


@pytest.mark.slow
def test_seeds_make_an_interval(cli: Cli) -> None:
    a, b = seeds(cli, "a", "--lr", 0.0003), seeds(cli, "b", "--lr", 0.03)
    done = cli("compare", *a, *b)
    assert done.code == 0, done.err
    assert "note" not in done.out
    (head,) = [line for line in done.lines if line.startswith("mean ± deviation")]
    assert head.split()[-4:] == ["a0", "(3)", "b0", "(3)"]
    (told,) = [line for line in done.lines if line.startswith("b0 beside a0: val_loss")]
    assert "3 pairs of seeds" in told
    assert told.endswith("more than the noise of seeds")
    assert "within the noise" not in told


@pytest.mark.slow
def test_the_same_training_is_within_the_noise(cli: Cli) -> None:
    a = seeds(cli, "a")
    for seed in range(3, 6):
        cli(
            "train",
            "iris",
            "--epochs",
            12,
            "--seed",
            seed,
            "--no-test",
            "--out",
            f"b{seed}",
            "--set=data.crop=none",
        )
    done = cli("compare", *a, "b3", "b4", "b5")
    (head,) = [line for line in done.lines if line.startswith("mean ± deviation")]
    assert head.split()[-2:] == ["a0", "(6)"], "one group: nothing but seeds differs"
