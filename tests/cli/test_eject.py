"""``preceptor eject``: the plain script ends with the weights of the run, to the last bit."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

import preceptor
from preceptor.run import script

from .conftest import Cli


@dataclass(frozen=True)
class Case:
    """A run to be written as a script."""

    data: str
    model: str | None = None
    target: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)


CASES = {
    "defaults": Case("digits"),
    "schedule": Case("digits", settings={"schedule.name": "cosine", "schedule.warmup_epochs": 0.5}),
    "step schedule": Case("iris", settings={"schedule.name": "step", "schedule.step_size": 1}),
    "plateau": Case("iris", settings={"schedule.name": "plateau", "schedule.patience": 1}),
    "dropout": Case("digits", settings={"model.dropout": 0.3, "model.hidden": [32, 16]}),
    "accumulation and clipping": Case(
        "digits",
        settings={"training.grad_accumulation": 3, "training.max_grad_norm": 0.1, "training.batch_size": 50},
    ),
    "l-bfgs": Case("diabetes", "linear", settings={"optimizer.name": "l-bfgs"}),
    "l-bfgs with clipping": Case(
        "iris", "linear", settings={"optimizer.name": "l-bfgs", "training.max_grad_norm": 0.5}
    ),
    "bf16": Case("digits", settings={"training.precision": "bf16"}),
    "fp16": Case("digits", settings={"training.precision": "fp16", "training.max_grad_norm": 0.5}),
    "regression": Case("diabetes", settings={"loss.name": "huber", "loss.delta": 0.5}),
    "two classes": Case("breast-cancer", settings={"optimizer.name": "nesterov"}),
    "label smoothing and init": Case(
        "wine",
        settings={"loss.label_smoothing": 0.1, "model.init": "he-normal", "model.activation": "gelu"},
    ),
    "no validation": Case("iris", settings={"data.val": 0, "optimizer.name": "adamw"}),
    "unscaled": Case("iris", settings={"data.scale": "none", "data.seed": 4, "seed": 9}),
    "last weights": Case("iris", settings={"training.restore_best": False, "optimizer.name": "rmsprop"}),
    "early stopping": Case("iris", settings={"training.patience": 1, "optimizer.lr": 0.3}),
    "table": Case("flowers.csv", target="kind"),
    "table of numbers": Case("prices.csv", target="price", settings={"training.monitor": "train_loss"}),
    "zipped table of whole classes": Case("grades.tsv.gz", target="grade"),
    "full batch": Case("wine", settings={"optimizer.name": "gradient-descent"}),
    "one by one": Case("iris", settings={"optimizer.name": "online-sgd", "training.epochs": 2}),
}  # fmt: skip

RUN_ALL = """
import os, runpy, sys
for folder in sys.argv[1:]:
    os.chdir(folder)
    runpy.run_path("plain.py", run_name="__main__")
"""


@pytest.fixture(scope="module")
def ejected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each case, with the run and the weights that its script ended with."""
    root = tmp_path_factory.mktemp("ejected")
    here = Path.cwd()
    folders = []
    for name, case in CASES.items():
        folder = root / name.replace(" ", "-")
        folder.mkdir()
        folders.append(str(folder))
        write_tables(folder)
        os.chdir(folder)
        try:
            settings = {"training.epochs": 4, **case.settings}
            preceptor.train(case.model, case.data, target=case.target, settings=settings, out="run")
            Path("plain.py").write_text(script("run"))
        finally:
            os.chdir(here)
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUN_ALL, *folders],
        env={**os.environ, **threads}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return root


def write_tables(folder: Path) -> None:
    lines = ["size, weight,colour,kind"]
    for i in range(90):
        size = ("", "?", "NA")[i % 3] if i % 17 == 3 else f"{(i * 37) % 100 / 10}"
        colour = "" if i % 23 == 5 else ("red", '"dark, blue"', "white")[i % 3]
        kind = "" if i == 44 else "rose" if (i * 37) % 100 > 50 else "lily"
        lines.append(f"{size},{(i * 53) % 71},{colour},{kind}")
    (folder / "flowers.csv").write_text("\n".join(lines) + "\n")
    rows = (
        f"{40 + (i * 29) % 90};{1 + i % 5};{1.5 * ((i * 29) % 90) + 7 * (i % 5) + 0.25}" for i in range(90)
    )
    grades = (f"{i % 7 + 0.5}\t{'yes' if i % 4 else 'no'}\t{i % 3 + 1}.0\t" for i in range(90))
    with gzip.open(folder / "grades.tsv.gz", "wt", encoding="utf-8-sig") as file:
        file.write("\n".join(["hours\tdone twice\tgrade\tempty", *grades]) + "\n")
    (folder / "prices.csv").write_text("\n".join(["area;rooms;price", *rows]) + "\n")


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_the_same_weights(ejected: Path, name: str) -> None:
    folder = ejected / name.replace(" ", "-")
    plain = torch.load(folder / "weights.pt", weights_only=True)
    kept = preceptor.load(folder / "run").model.state_dict()
    assert len(plain) == len(kept) > 0
    for (key, value), other in zip(plain.items(), kept.values(), strict=True):
        assert value.shape == other.shape
        assert (value - other).abs().max() == 0.0, key


@pytest.mark.slow
def test_the_command_prints_the_script(cli: Cli) -> None:
    cli("train", "iris", "--epochs", 1)
    done = cli("eject", "runs/iris-1")
    assert (done.code, done.err) == (0, "")
    assert done.out == script("runs/iris-1")
    compile(done.out, "plain.py", "exec")
    imported = {
        line.split()[1].partition(".")[0] for line in done.lines if line.startswith(("import", "from"))
    }
    assert imported <= {"torch", "numpy", "sklearn", "csv", "gzip", "math", "functools"}
    assert max(map(len, done.lines)) <= 120


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("training.monitor=val_accuracy", "val_accuracy"),
        ("model.init=orthogonal", None),
        ("model.init=normal", "init='normal'"),
    ],
)
def test_what_has_no_plain_form(cli: Cli, change: str, said: str | None) -> None:
    cli("train", "iris", "--epochs", 1, "--set", change)
    done = cli("eject", "runs/iris-1")
    assert done.code == (2 if said else 0)
    if said:
        assert "this run cannot be written as a plain script" in done.err
        assert said in done.err


def test_changed_data_are_refused(cli: Cli, flowers: Path) -> None:
    cli("train", flowers, "--target", "kind", "--epochs", 1, "--out", "run")
    flowers.write_text(flowers.read_text().replace("3.7", "3.8"))
    done = cli("eject", "run")
    assert done.code == 2
    assert "the data are not those that the run was begun with" in done.err
