"""Runs that are missing, damaged or of another kind, and models of the user's own that fail."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import preceptor

from .conftest import Cli
from .test_bad_input import check, check_nothing_left

OWN = """
import torch
from torch import nn

number = 7


class Net(nn.Sequential):
    def __init__(self, width=5):
        super().__init__(nn.Linear(4, width), nn.Tanh(), nn.Linear(width, 3))


class Narrow(nn.Linear):
    def __init__(self):
        super().__init__(4, 2)


class Short(nn.Linear):
    def __init__(self):
        super().__init__(7, 3)


class Pair(nn.Linear):
    def __init__(self):
        super().__init__(4, 3)

    def forward(self, x):
        return super().forward(x), x


class Summed(nn.Linear):
    def __init__(self):
        super().__init__(4, 3)

    def forward(self, x):
        return super().forward(x).sum(0)


class Whole(nn.Linear):
    def __init__(self):
        super().__init__(4, 3)

    def forward(self, x):
        return super().forward(x).argmax(1)


class Frozen(nn.Linear):
    def __init__(self):
        super().__init__(4, 3)
        self.requires_grad_(False)


class Fussy(nn.Module):
    def __init__(self, depth, width):
        super().__init__()


class Raising(nn.Module):
    def __init__(self):
        super().__init__()
        raise ZeroDivisionError("as it always does")


class Huge(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(10**9, 10**9))


def three():
    return 3
"""

MODELS = {
    "own.py:Missing": ["cannot import the model 'own.py:Missing'", "path/to/file.py:Name", "'Missing'"],
    "own.py:Nett": ["cannot import the model", "own.py has no 'Nett'", "did you mean 'Net'"],
    "onw.py:Net": ["cannot import the model", "no file 'onw.py'", "did you mean 'own.py'"],
    "absent.py:Net": ["cannot import the model", "absent.py"],
    "own.py": ["cannot import the model 'own.py'", "path/to/file.py:Name"],
    "own.py:": ["cannot import the model"],
    ":": ["cannot import the model"],
    "no_such_module:Net": ["cannot import the model", "No module named 'no_such_module'"],
    "broken.py:Net": ["cannot import the model", "SyntaxError", "broken.py, line 1"],
    "raising.py:Net": ["cannot import the model", "RuntimeError: at import", "raising.py, line 2"],
    "own.py:number": ["the model cannot be made", "'int' object is not callable"],
    "own.py:three": ["not a torch.nn.Module", "3"],
    "own.py:Fussy": ["the model cannot be made", "missing 2 required positional arguments"],
    "own.py:Raising": ["the model cannot be made", "ZeroDivisionError: as it always does (own.py, line"],
    "own.py:Huge": ["the model cannot be made: out of memory", "allocate memory"],
    "own.py:Narrow": ["the model's last layer has the wrong width", "width 2", "a last layer of width 3"],
    "own.py:Short": ["the model cannot take the inputs", "(4, 4) torch.float32", "cannot be multiplied"],
    "own.py:Pair": ["the model's output is not a tensor", "tuple of 2"],
    "own.py:Summed": ["the model's output has a wrong batch size"],
    "own.py:Whole": ["the model's output has no floating-point dtype"],
    "own.py:Frozen": ["the model has nothing to learn"],
}  # fmt: skip


@pytest.fixture
def own(tmp_path: Path) -> str:
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "broken.py").write_text("import\n")
    (tmp_path / "raising.py").write_text("\nraise RuntimeError('at import')\n")
    return "own.py:Net"


@pytest.mark.parametrize("model", MODELS)
def test_models(cli: Cli, own: str, tmp_path: Path, model: str) -> None:
    check(cli("train", "iris", "--epochs", 1, "--model", model), *MODELS[model])
    check_nothing_left(tmp_path)


@pytest.mark.slow
def test_your_own_model_is_not_run_without_leave(cli: Cli, own: str, tmp_path: Path) -> None:
    assert (
        cli("train", "iris", "--epochs", 1, "--model", own, "--set", "model.width=6", "--out", "run").code
        == 0
    )
    (tmp_path / "own.py").write_text("open('was run', 'w')\n" + OWN)
    (tmp_path / "x.csv").write_text("a\n1\n")
    for verb in (
        ["evaluate", "run"],
        ["predict", "run", "x.csv"],
        ["eject", "run"],
        ["train", "--resume", "run"],
    ):
        check(cli(*verb), f"this run's model is your own code, {own}", f"--model {own}")
    assert not (tmp_path / "was run").exists()


def test_another_model_than_the_runs(cli: Cli, own: str, tmp_path: Path) -> None:
    cli("train", "iris", "--epochs", 1, "--model", own, "--set", "model.width=6", "--out", "run")
    before = {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()}
    check(cli("evaluate", "run", "--model", "own.py:Narrow"), "the model cannot be made", "'width'")
    resume = ("train", "--resume", "run", "--model", own, "--epochs", 2)
    check(cli(*resume, "--set", "model.width=5"), "model.width cannot change", "model.width=6")
    (tmp_path / "own.py").write_text(OWN.replace("nn.Linear(width, 3)", "nn.Linear(width, 3, bias=False)"))
    done = cli(*resume)
    assert done.code == 2
    assert "the checkpoint does not fit this model and optimizer" in done.err
    assert "Traceback" not in done.err
    assert {p: p.read_bytes() for p in before} == before, "a resume that is refused leaves the run as it was"


ROWS = "\n".join(f"{i % 11},{i * i % 7},{'x' if i % 3 else 'y'}" for i in range(60))


@pytest.fixture
def run(cli: Cli, tmp_path: Path) -> Path:
    """A run on a table of numbers."""
    (tmp_path / "d.csv").write_text(f"a,b,t\n{ROWS}\n")
    assert cli("train", "d.csv", "--target", "t", "--epochs", 1, "--out", "run").code == 0
    return tmp_path / "run"


@pytest.mark.parametrize("verb", ["evaluate", "eject", "compare", "predict", "resume"])
@pytest.mark.parametrize("folder", ["absent", "plain"])
def test_no_run(cli: Cli, run: Path, verb: str, folder: str) -> None:
    (run.parent / "plain").mkdir()
    arguments = {"compare": ["compare", run, folder], "predict": ["predict", folder, "d.csv"]}
    done = cli(*arguments.get(verb, ["train", "--resume", folder] if verb == "resume" else [verb, folder]))
    check(done, f"no run in {folder}", "manifest.json", "runs there: run")


def test_one_run_to_compare(cli: Cli, run: Path) -> None:
    check(cli("compare", "run"), "one run cannot be compared")


NEW = {
    "a missing column": ("a,c\n1,2\n", ["a column is missing", "'b'", "columns a, c"]),
    "a misspelt column": ("a,B\n1,2\n", ["a column is missing", "'b'"]),
    "text among numbers": ("a,b\n1,two\n", ["column 'b' has text", "'two' in line 2"]),
    "no rows": ("a,b\n", ["has no rows"]),
    "nothing": ("", ["is empty"]),
}


@pytest.mark.parametrize("case", NEW)
def test_predict(cli: Cli, run: Path, case: str) -> None:
    text, said = NEW[case]
    (run.parent / "new.csv").write_text(text)
    check(cli("predict", "run", "new.csv", "--out", "answers.csv"), *said)
    assert not (run.parent / "answers.csv").exists()


def test_predict_for_other_data_and_into_nowhere(cli: Cli, run: Path) -> None:
    check(cli("predict", "run", "absent.csv"), "no file 'absent.csv'")
    check(cli("predict", "run", "digits"), "table")
    done = cli("predict", "run", "d.csv", "--out", "nowhere/answers.csv")
    assert done.code == 2
    assert "cannot write nowhere/answers.csv" in done.err


def test_evaluate(cli: Cli, run: Path) -> None:
    (run.parent / "blind.csv").write_text("a,b\n1,2\n")
    check(cli("evaluate", "run", "blind.csv"), "the targets are missing", "blind.csv")
    (run.parent / "new.csv").write_text("a,b,t\n1,2,x\n3,4,z\n")
    check(cli("evaluate", "run", "new.csv"), "a class is unknown", "one of x, y", "'z'")
    check(cli("evaluate", "run", "--on", "tset"), "unknown part", "test, val or train", "'tset'")
    assert len(preceptor.load("run").ledger) == 1


def test_no_test_examples(cli: Cli) -> None:
    cli("train", "iris", "--epochs", 1, "--set", "data.test=0", "--out", "all")
    check(cli("evaluate", "all"), "there are no test examples", "test=0.15", "127/23/0")


def test_changed_data(cli: Cli, run: Path) -> None:
    (run.parent / "d.csv").write_text(f"a,b,t\n{ROWS}\n".replace("5", "6"))
    check(cli("evaluate", "run", "--on", "val"), "the data have changed since the run", "fingerprint")
    check(
        cli("train", "--resume", "run", "--epochs", 2), "not those that the run was begun with", "fingerprint"
    )
    check(cli("eject", "run"), "not those that the run was begun with")
    (run.parent / "d.csv").unlink()
    for arguments in (
        ["evaluate", "run", "--on", "val"],
        ["train", "--resume", "run", "--epochs", "2"],
        ["eject", "run"],
    ):
        check(cli(*arguments), "no file 'd.csv'")
    (run.parent / "new.csv").write_text("a,b\n1,2\n")
    assert cli("predict", "run", "new.csv").code == 0, "to predict, the old data are not needed"
    assert preceptor.load("run").status == "finished"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def garble(path: Path) -> None:
    path.write_bytes(b"\x00garbage" * 50)


def empty(path: Path) -> None:
    path.write_text("{}")


def listed(path: Path) -> None:
    path.write_text("[1]")


DAMAGE: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "weights cut short": ("weights/best.safetensors", cut, "no weights in run/weights/best.safetensors"),
    "weights garbled": ("weights/best.safetensors", garble, "no weights in run/weights/best.safetensors"),
    "no weights": ("weights/best.safetensors", Path.unlink, "no weights in run/weights/best.safetensors"),
    "manifest cut short": ("manifest.json", cut, "cannot read run/manifest.json"),
    "manifest garbled": ("manifest.json", garble, "cannot read run/manifest.json"),
    "another manifest": ("manifest.json", empty, "not a run's manifest"),
    "a list as manifest": ("manifest.json", listed, "cannot read run/manifest.json"),
    "no experiment": ("experiment.toml", Path.unlink, "no such experiment"),
    "experiment garbled": ("experiment.toml", garble, "run/experiment.toml has changed since"),
    "preprocessing garbled": ("preprocessing.json", garble, "run/preprocessing.json has changed since"),
    "another preprocessing": ("preprocessing.json", empty, "run/preprocessing.json has changed since"),
    "no history": ("history.csv", Path.unlink, "no history in run"),
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGE)
def test_damage(cli: Cli, run: Path, case: str) -> None:
    name, harm, said = DAMAGE[case]
    harm(run / name)
    check(cli("evaluate", "run"), said)
    check(cli("predict", "run", "d.csv"), said)


@pytest.mark.parametrize("harm", [cut, garble])
def test_a_damaged_checkpoint(cli: Cli, run: Path, harm: Callable[[Path], None]) -> None:
    harm(run / "state/checkpoint.safetensors")
    shutil.copytree(run, run.parent / "both")
    done = cli("train", "--resume", "run", "--epochs", 2)
    assert done.code == 0, done.err
    assert "note     cannot read run/state/checkpoint.safetensors" in done.out
    assert "goes on from the checkpoint before it" in done.out
    harm(run.parent / "both/state/previous.safetensors")
    done = cli("train", "--resume", "both", "--epochs", 2)
    assert done.code == 2
    assert "cannot read both/state/checkpoint.safetensors" in done.err
    assert "Traceback" not in done.err
    assert json.loads((run.parent / "both/manifest.json").read_text())["status"] == "finished"
    assert cli("evaluate", "both", "--on", "val").code == 0, "the weights are still good"


def test_a_run_under_way_cannot_be_compared_yet(cli: Cli, run: Path) -> None:
    shutil.copytree(run, run.parent / "other")
    (run.parent / "other/history.csv").unlink()
    check(cli("compare", "run", "other"), "no history in other", "--resume other")


def test_a_step_that_does_not_fit_into_memory(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "import torch\nfrom torch import nn\n\n\nclass Greedy(nn.Linear):\n    def __init__(self):\n"
        "        super().__init__(4, 3)\n\n    def forward(self, x):\n"
        "        if self.training and len(x) > 8:\n            torch.empty(10**15)\n"
        "        return super().forward(x)\n"
    )
    asked = ("train", "iris", "--model", "own.py:Greedy", "--batch-size", "full", "--epochs", 1)
    done = cli(*asked, "--out", "run")
    assert done.code == 0, done.err
    assert "a batch of 104 did not fit into memory: from step 1 on it is taken in parts of 7" in done.out
    own = tmp_path / "own.py"
    own.write_text(own.read_text().replace("len(x) > 8", "len(x) > 0"))
    done = cli(*asked, "--out", "none")
    assert done.code == 2
    assert done.err.startswith("error: a training step ran out of memory")
    assert "Traceback" not in done.err
