"""Options for other tools and for logs: --quiet, --log, --github, and export."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Cli
from .test_diagnose import LAUNCHER, folder, start

__all__ = ["folder"]  # a fixture

CURVES = [f"{e},{2 * 0.8**e},{2 * 0.8**e + 0.1 + 0.02 * max(0, e - 10)}" for e in range(40)]


@pytest.mark.slow
def test_quiet_and_export(cli: Cli) -> None:
    done = cli("train", "iris", "--epochs", 2, "-q", "--set", "training.watch=false")
    assert done.code == 0, done.err
    assert [line.split()[0] for line in done.lines] == ["test", "report"]
    assert "did you mean 'torch-export'?" in cli("export", "runs/iris-1", "--to", "torch-exprt").err
    done = cli("export", "runs/iris-1", "--out", "net.safetensors")
    assert done.code == 0, done.err
    assert done.lines[0] == "export   net.safetensors"
    assert done.lines[1].startswith("equal    safetensors, batches of any size; equal on ")
    assert "--out cannot be written" in cli("export", "runs/iris-1", "--out", "nowhere/net.onnx").err


def test_quiet_of_another_kind(cli: Cli) -> None:
    done = cli("train", "iris", "--task", "clustering", "--quiet")
    assert done.code == 0, done.err
    assert {line.split()[0] for line in done.lines} <= {"train", "test", "report"}


@pytest.mark.parametrize("options", [["--members", 2], ["--task", "clustering"], ["--task", "reinforcement"]])
def test_what_writes_nowhere_else(cli: Cli, options: list[str]) -> None:
    done = cli("train", "iris", "--log", "mlflow", *options)
    assert done.code == 2
    assert "--log" in done.err


def test_a_misspelt_log(cli: Cli) -> None:
    assert "did you mean 'mlflow'?" in cli("train", "iris", "--log", "mlfow").err
    assert not Path("runs").exists()


def test_annotations_of_curves(cli: Cli) -> None:
    Path("log.csv").write_text("\n".join(["epoch,loss,val_loss", *CURVES]))
    lines = cli("diagnose", "log.csv", "--github").lines
    assert [line.partition("::")[0] for line in lines if "title=" in line] == [""]
    assert any(line.startswith("::warning title=overfitting::") for line in lines)
    cli("diagnose", "log.csv", "--write-baseline", "known.json")
    assert "::" not in cli("diagnose", "log.csv", "--github", "--baseline", "known.json").out


def test_annotations_of_a_program(folder: Path) -> None:
    done = start(folder, LAUNCHER, "run", "--github", "ok.py", "critical")
    assert done.stdout == "done\n"
    assert done.stderr.splitlines()[-1].startswith("::error file=ok.py,line=2,title=missing-backward::")
