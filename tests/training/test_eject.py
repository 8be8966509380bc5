"""A run's plain script gives the run's weights, to the last bit; or an error says what has no plain form."""

from __future__ import annotations

import ast
import gzip
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import preceptor
from preceptor import catalogue
from preceptor.data import generators
from preceptor.errors import ConfigError
from preceptor.training import eject

Run = preceptor.Run
Eject = Callable[..., tuple[Run, str]]


def names(kind: str) -> list[str]:
    return [e.name for e in catalogue.find(kind=kind)]


def ejected(model: Any = "mlp", data: Any = "iris", **settings: Any) -> tuple[Run, str]:
    """Train, and return the run with its script."""
    run = preceptor.train(model, data, **{"epochs": 3, "batch_size": 32, "out": False, **settings})
    assert run.feeds is not None
    return run, eject.eject(run.experiment, run.predictor, run.feeds, run.prepared)  # type: ignore[arg-type]


def assert_same_weights(run: Run, folder: Path) -> None:
    weights = torch.load(folder / "weights.pt", weights_only=True)
    assert weights.keys() == run.model.state_dict().keys()
    for key, value in run.model.state_dict().items():
        assert torch.equal(value, weights[key]), key


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run the script in an empty folder, and compare; return its text."""
    (tmp_path / "elsewhere").mkdir()

    def run_both(*arguments: Any, **settings: Any) -> str:
        run, text = ejected(*arguments, **settings)
        tree = ast.parse(text, feature_version=(3, 10))
        imported = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
        imported |= {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        roots = {str(name).partition(".")[0] for name in imported}
        assert roots <= {"torch", "numpy", "sklearn", "csv", "gzip", "math", "functools"}
        assert "preceptor" not in text
        monkeypatch.chdir(tmp_path / "elsewhere")
        with generators.seeded(99):
            exec(compile(tree, "plain.py", "exec"), {"__name__": "__main__"})
        assert_same_weights(run, tmp_path / "elsewhere")
        return text

    return run_both


class TestBlocks:
    @pytest.mark.slow
    @pytest.mark.parametrize(
        "name", [e.name for e in catalogue.find(kind="optimizer") if "torch" in e.traits]
    )
    def test_every_optimizer(self, check: Callable[..., str], name: str) -> None:
        has_own = catalogue.entry(name).traits.get("batch")
        text = check(optimizer=name, batch_size=None if has_own else 32)
        assert f"torch.optim.{catalogue.entry(name).traits['torch']}(" in text

    def test_every_option_of_an_optimizer(self, check: Callable[..., str]) -> None:
        check(
            optimizer={
                "name": "adamw",
                "betas": [0.8, 0.9],
                "eps": 1e-6,
                "weight_decay": 0.1,
                "amsgrad": True,
            }
        )
        check(optimizer={"name": "rmsprop", "alpha": 0.5, "momentum": 0.5, "centered": True})
        check(optimizer={"name": "l-bfgs", "max_iter": 3, "line_search_fn": "none"}, batch_size=None)

    def test_a_controller_has_no_plain_form(self) -> None:
        with pytest.raises(ConfigError, match="schedule Controller"):
            ejected("linear", "iris", schedule="controller", epochs=1)

    @pytest.mark.parametrize("name", [name for name in names("schedule") if name != "controller"])
    def test_every_schedule(self, check: Callable[..., str], name: str) -> None:
        check(optimizer="momentum", schedule=name, epochs=12)

    def test_options_of_schedules(self, check: Callable[..., str]) -> None:
        check(schedule={"name": "cosine", "warmup_epochs": 1.5, "end_ratio": 0.1})
        text = check(
            schedule={"name": "plateau", "patience": 0, "cooldown": 1, "factor": 0.3}, lr=0.3, epochs=9
        )
        assert "patience=0" in text

    def test_a_schedule_of_a_line_search(self, check: Callable[..., str]) -> None:
        check(optimizer="l-bfgs", schedule="cosine", batch_size=None)

    @pytest.mark.filterwarnings("ignore:no gradient passes")
    @pytest.mark.parametrize("name", names("activation"))
    def test_every_activation(self, check: Callable[..., str], name: str) -> None:
        settings = {"model.activation": name, "model.dropout": 0.2, "model.hidden": [9, 8]}
        if type(catalogue.get(name, kind="activation")).__module__.startswith("torch.nn."):
            check(settings=settings)
        else:
            with pytest.raises(ConfigError, match="not among torch's layers"):
                ejected(settings=settings)

    @pytest.mark.parametrize("name", names("initializer"))
    def test_every_initializer_or_why_not(self, check: Callable[..., str], name: str) -> None:
        settings = {"model.init": name, "training.watch": False}  # which would name what zeros do
        if name not in eject._INITIALIZERS:
            with pytest.raises(ConfigError, match=f"init='{name}'[\\s\\S]*he-normal"):
                ejected(settings=settings)
        else:
            check(settings=settings)

    @pytest.mark.parametrize(
        ("name", "data"),
        [
            ("cross-entropy", "wine"),
            ("cross-entropy", "breast-cancer"),
            ("binary-cross-entropy", "breast-cancer"),
            ("mse", "diabetes"),
            ("mae", "diabetes"),
            ("huber", "diabetes"),
            ("smoothed-cross-entropy", "wine"),
        ],
    )
    def test_every_loss(self, check: Callable[..., str], name: str, data: str) -> None:
        check(data=data, loss=name)

    @pytest.mark.parametrize(("name", "data"), [("hinge", "wine"), ("half-mse", "diabetes")])
    def test_other_losses_are_refused(self, name: str, data: str) -> None:
        assert set(eject._LOSSES) < set(names("loss"))
        with pytest.raises(ConfigError, match=f"the loss {name}[\\s\\S]*one of cross-entropy"):
            ejected(data=data, loss=name)

    def test_options_of_losses(self, check: Callable[..., str]) -> None:
        assert "label_smoothing=0.1" in check(loss={"name": "cross-entropy", "label_smoothing": 0.1})
        assert "delta=0.3" in check(data="diabetes", loss={"name": "huber", "delta": 0.3})

    @pytest.mark.parametrize("init", [None, "he-normal"])
    def test_the_linear_model(self, check: Callable[..., str], init: str | None) -> None:
        check("linear", optimizer="l-bfgs", batch_size=None)
        check("linear", "digits", settings={"model.bias": False, "model.init": init or "none"})

    @pytest.mark.parametrize("layout", ["contiguous", "channels-last"])
    @pytest.mark.parametrize("init", [None, "xavier-uniform"])
    def test_lenet_5(
        self,
        check: Callable[..., str],
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        layout: str,
        init: str | None,
    ) -> None:
        """No built-in set has images that are large enough; the script reads the examples from a file."""
        images = np.random.default_rng(0).integers(0, 256, (60, 28, 28), dtype=np.uint8)
        made = {}

        def lines(experiment: Any, prepared: Any, parts: list[str]) -> tuple[str, set[str]]:
            for part in parts:
                made[f"x_{part}"], made[f"y_{part}"] = (
                    t.numpy() for t in (getattr(prepared, part).x, getattr(prepared, part).y)
                )
            np.savez(tmp_path / "examples.npz", **made)
            text = [f"with np.load({str(tmp_path / 'examples.npz')!r}) as file:", "    examples = dict(file)"]
            text += [f"{key} = torch.from_numpy(examples[{key!r}])" for key in made]
            return "\n".join(text), {"import numpy as np"}

        monkeypatch.setattr(eject, "data_lines", lines)
        settings = {
            "training.memory_format": layout,
            "model.init": init or "none",
            "model.pooling": "average",
        }
        text = check("lenet-5", (images, np.arange(60) % 3), batch_size=16, settings=settings)
        assert ("channels_last" in text) == (layout == "channels-last")


class TestLoop:
    @pytest.mark.parametrize("precision", ["bf16", "fp16"])
    @pytest.mark.parametrize("data", ["iris", "breast-cancer", "diabetes"])
    def test_half_precision(self, check: Callable[..., str], precision: str, data: str) -> None:
        text = check(data=data, precision=precision)
        assert ("GradScaler" in text) == (precision == "fp16")

    @pytest.mark.parametrize("precision", ["fp32", "fp16"])
    def test_accumulation_and_clipping(self, check: Callable[..., str], precision: str) -> None:
        check(grad_accumulation=3, max_grad_norm=0.1, batch_size=7, precision=precision)
        check(grad_accumulation=2, batch_size=7, precision=precision)
        check(max_grad_norm=0.1, precision=precision)

    def test_a_closure_with_all_of_it(self, check: Callable[..., str]) -> None:
        check(optimizer="l-bfgs", max_grad_norm=0.1, grad_accumulation=2, batch_size=60)

    @pytest.mark.parametrize(
        "changes",
        [
            {"val": 0},
            {"test": 0},
            {"val": 0.3, "test": 0.2, "settings": {"data.seed": 5}},
            {"seed": 7},
            {"patience": 1, "lr": 0.5, "epochs": 12},
            {"min_delta": 0.2, "epochs": 12, "patience": 4},
            {"monitor": "train_loss"},
            {"monitor": "train_loss_running"},
            {"val": 0, "settings": {"training.train_examples": 0}},
            {"monitor": "train_loss", "settings": {"training.train_examples": 20}},
            {"lr": 0.5, "settings": {"training.restore_best": False}},
            {"lr": 0.5, "epochs": 12, "settings": {"training.patience": "none"}},
            {"deterministic": True},
            {"metrics": ["macro_f1"]},
        ],
    )
    def test_settings(self, check: Callable[..., str], changes: dict[str, Any]) -> None:
        check(**changes)

    def test_a_run_that_diverged_after_its_best_epoch(self, check: Callable[..., str]) -> None:
        rising = {"name": "one-cycle", "pct_start": 1.0, "div_factor": 1e4}
        settings = {"data": "diabetes", "optimizer": "sgd", "schedule": rising, "lr": 100.0, "epochs": 30}
        run, _ = ejected(**settings)
        assert run.status == "diverged"
        assert run.best_epoch
        assert all(p.isfinite().all() for p in run.model.parameters())
        check(**settings)


def table(i: int, luck: random.Random) -> list[str]:
    return [
        luck.choice(["", "NA", f"{luck.gauss(0, 1):.3f}"]),
        f"{luck.gauss(5, 9):.2f}",
        luck.choice(["u", "v", " w ", "?", '"x, y"', '"say ""z"""']),
        luck.choice(["yes", "no", " yes"]),
        luck.choice(["3", "1", "2.0"]),
        f"{luck.gauss(0, 100):.1f}",
    ]


HEADER = ["gaps", " number", "größe", "word", "digit", "real"]


def written(
    path: Path,
    delimiter: str = ",",
    comma: str = ".",
    bom: bool = False,
    blank: str = "",
    index: bool = False,
) -> str:
    luck = random.Random(0)
    rows = [[cell.replace(".", comma) for cell in table(i, luck)] for i in range(60)]
    rows = [HEADER, *rows]
    if index:
        rows = [[("" if i == 0 else str(i)), *row] for i, row in enumerate(rows)]
    text = blank + "\n".join(delimiter.join(row) for row in rows) + "\n\n"
    content = text.encode("utf-8-sig" if bom else "utf-8")
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return str(path)


class TestData:
    @pytest.mark.parametrize("name", ["iris", "wine", "breast-cancer", "digits", "diabetes"])
    @pytest.mark.parametrize("scale", ["standard", "none"])
    def test_every_built_in_set(self, check: Callable[..., str], name: str, scale: str) -> None:
        check(data=name, epochs=1, settings={"data.scale": scale})

    @pytest.mark.parametrize(
        ("name", "form"),
        [
            ("t.csv", {}),
            ("t.csv.gz", {"bom": True}),
            ("t.tsv", {"delimiter": "\t"}),
            ("t.csv", {"delimiter": ";", "comma": ","}),
            ("t.tsv.gz", {"delimiter": "\t", "comma": ","}),
            ("it's t.csv", {"bom": True, "blank": "\n\n"}),
            ("t.csv", {"index": True}),
        ],
    )
    @pytest.mark.parametrize("target", ["word", "digit", "real"])
    def test_tables_of_text(
        self, check: Callable[..., str], tmp_path: Path, name: str, form: dict[str, Any], target: str
    ) -> None:
        path = written(tmp_path / name, **form)
        check(data=path, target=target, epochs=1, task=None if target != "digit" else "classification")

    def test_tables_that_are_not_scaled(self, check: Callable[..., str], tmp_path: Path) -> None:
        check(data=written(tmp_path / "t.csv"), target="word", epochs=1, settings={"data.scale": "none"})

    def test_a_header_that_holds_other_delimiters(self, check: Callable[..., str], tmp_path: Path) -> None:
        luck = random.Random(0)
        rows = "\n".join(f"{luck.random()},{luck.random()},{luck.choice('pq')}" for _ in range(50))
        (tmp_path / "t.csv").write_text(f'a,"b;c;d;e",y\n{rows}\n')
        check(data=str(tmp_path / "t.csv"), target="y", epochs=1)

    def test_a_file_that_has_changed_meanwhile(self, tmp_path: Path) -> None:
        run, _ = ejected(data=written(tmp_path / "t.csv"), target="word", epochs=1)
        (tmp_path / "t.csv").write_text("other,columns\n1,2\n")
        assert run.feeds is not None
        with pytest.raises(ConfigError, match="not the one that was read"):
            eject.eject(run.experiment, run.predictor, run.feeds, run.prepared)  # type: ignore[arg-type]


LOADER = torch.utils.data.DataLoader([(torch.zeros(3), 1)] * 9, batch_size=32)  # type: ignore[arg-type,var-annotated]
FRAME = pd.DataFrame({"a": np.arange(60.0), "b": list("xyz") * 20, "y": list("pq") * 30})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": nn.Linear(4, 3)}, r"model torch\S* is your own code[\s\S]*import it"),
        ({"optimizer": torch.optim.NAdam}, r"optimizer \S*NAdam is your own code"),
        ({"optimizer": "adam-uncorrected"}, "torch has no optimizer adam-uncorrected"),
        ({"schedule": lambda o: torch.optim.lr_scheduler.StepLR(o, 1)}, "schedule StepLR"),
        ({"schedule": lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda e: 0.9**e)}, "schedule LambdaLR"),
        ({"loss": nn.CrossEntropyLoss()}, r"loss \S*CrossEntropyLoss[\s\S]*one of cross-entropy"),
        ({"monitor": "val_accuracy"}, r"maximum of val_accuracy[\s\S]*training.monitor=val_loss"),
        ({"mode": "max"}, "maximum of val_loss"),
        ({"data": (np.random.default_rng(0).normal(size=(50, 3)), np.arange(50) % 2)}, "vectors from arrays"),
        ({"data": FRAME, "target": "y"}, "table from arrays"),
        ({"model": nn.Linear(3, 2), "data": LOADER}, "loaders of your own"),
    ],
)  # fmt: skip
def test_what_has_no_plain_form_says_why(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=rf"cannot be written as a plain script[\s\S]*{message}"):
        ejected(**settings)


def test_scripts_are_clean(tmp_path: Path) -> None:
    """No name that is not defined, none that is not used."""
    path = written(tmp_path / "t.csv.gz", delimiter=";", comma=",")
    every = {"max_grad_norm": 1.0, "grad_accumulation": 2, "precision": "fp16"}
    variants: list[dict[str, Any]] = [
        {},
        every,
        {
            "optimizer": "l-bfgs",
            "schedule": "cosine",
            "batch_size": "full",
            "settings": {"model.init": "he-normal"},
        },
        {"schedule": "plateau", "val": 0, "settings": {"training.patience": "none"}},
        {"monitor": "train_loss_running", "settings": {"training.restore_best": False}},
        {"data": path, "target": "word"},
        {"data": path, "target": "real"},
        {"data": "diabetes"},
        {"data": "digits", "schedule": "step"},
    ]
    folder = tmp_path / "scripts"
    folder.mkdir()
    for i, settings in enumerate(variants):
        (folder / f"plain_{i}.py").write_text(ejected(**{"epochs": 1, **settings})[1], encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--isolated",
        "--select",
        "F,E7,E9",
        "--target-version",
        "py310",
    ]
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"data": "digits", "schedule": "cosine", "settings": {"model.dropout": 0.3}, "epochs": 4},
        {"data": "diabetes", "optimizer": "l-bfgs", "batch_size": None},
        {"data": "t.csv", "target": "word", "precision": "bf16", "grad_accumulation": 2},
    ],
)
def test_in_a_process_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    written(tmp_path / "t.csv")
    monkeypatch.chdir(tmp_path)
    run, text = ejected(**settings)
    (tmp_path / "plain.py").write_text(text, encoding="utf-8")
    threads = str(torch.get_num_threads())
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "PYTHONWARNINGS": "error",
    }
    done = subprocess.run(
        [sys.executable, "plain.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert_same_weights(run, tmp_path)
    assert len(done.stdout.splitlines()) == len(run.history)
