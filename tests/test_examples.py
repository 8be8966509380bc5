"""Every script of ``examples/`` runs, and says what it promises."""

from __future__ import annotations

import runpy
import warnings
from pathlib import Path
from typing import Any

import pytest

import preceptor

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"

# What stands in the output, for each script.
SAID = {
    "check_notebook": "! a softmax at the end keeps the loss above",
    "diagnose_logs": "overfitting (warning)",
    "export_model": "torch.Size([2, 3])",
    "huggingface_trainer": "18 steps",
    "keras_model": "58 steps",
    "language_model": "perplexity 1.",
    "lightning_trainer": "nothing wrong was found",
    "own_callback": "good enough after",
    "own_lab": "{'means-beat-medians-here': 'confirmed'}",
    "own_model_and_data": "loss on validation",
    "plain_loop": "110 steps",
    "population": "best: {'optimizer.lr': 0.01",
    "search_settings": "best: ",
    "sklearn_pipeline": "{'preceptorclassifier__lr': 0.01}",
    "train_by_name": "finished: best epoch",
    "transfer": "of 4 tensors from data",
    "unmodified_script": "epoch 3: loss",
}
NEEDS = {"lightning_trainer": "lightning", "huggingface_trainer": "accelerate", "keras_model": "keras"}
QUICK = ("diagnose_logs", "own_callback", "plain_loop", "unmodified_script")


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own, and no arguments."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["example.py"])
    monkeypatch.setenv("KERAS_BACKEND", "torch")


def run(name: str) -> dict[str, Any]:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name], reason=f"the example needs the package {NEEDS[name]}")
    with warnings.catch_warnings():
        if name in NEEDS:  # what others warn of is theirs
            warnings.simplefilter("ignore")
        return runpy.run_path(str(EXAMPLES / f"{name}.py"))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in SAID]
)
def test_it_runs(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    if name == "own_lab":  # what it registers is gone afterwards
        from preceptor.labs import labs

        monkeypatch.setattr("preceptor.labs._lab._LABS", {one.name: one for one in labs()})
    run(name)
    assert SAID[name] in capsys.readouterr().out


@pytest.mark.slow
def test_the_unmodified_script_gets_its_verdict(tmp_path: Path) -> None:
    with preceptor.watch() as watch:
        run("unmodified_script")
    (finding, *_) = watch.findings()
    assert (finding.cause, finding.severity) == ("missing-zero-grad", "critical")
    assert watch.report(tmp_path / "seen.html").stat().st_size > 10_000


@pytest.mark.slow
def test_the_tests_pass_that_the_example_shows() -> None:
    names = run("test_own_training")
    names["test_the_network_can_learn"](preceptor.assert_learns)
    with preceptor.watch("full") as watch:
        names["test_the_training_is_sound"]()
    preceptor.assert_healthy(watch, ignore=["too-few-epochs"])


def test_every_script_is_run_short_and_listed() -> None:
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    scripts = sorted(EXAMPLES.glob("*.py"))
    assert {path.stem for path in scripts} == {*SAID, "test_own_training"}
    for path in scripts:
        assert f"`{path.name}`" in listed
        assert len(path.read_text(encoding="utf-8").splitlines()) < 60
