"""Labels, densities, anomalies, gaps and texts from data to predictions, saved, loaded, resumed, reported."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer
from typer.testing import CliRunner

import preceptor
from preceptor.cli import app
from preceptor.errors import ConfigError, ModelError

QUIET = {"training.watch": False}


@pytest.fixture(scope="module")
def labelled() -> tuple[NDArray[Any], NDArray[Any]]:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(240, 5))
    return x, (x @ draw.normal(size=(5, 3)) > 0.7).astype(int)


def two_moons_of_gauss(n: int, seed: int) -> NDArray[np.float64]:
    draw = np.random.default_rng(seed)
    first = draw.random(n) < 0.5
    return np.where(first[:, None], draw.normal(0, (1, 0.3), (n, 2)), draw.normal(4, (0.5, 2), (n, 2)))


def true_log_density(x: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.stats import norm

    parts = [norm(m, s).logpdf(x).sum(1) for m, s in ((0, (1, 0.3)), (4, (0.5, 2)))]
    return np.logaddexp(*parts) - np.log(2)


@pytest.mark.slow
def test_labels_end_to_end_and_their_thresholds_return(labelled: tuple[Any, Any], tmp_path: Path):
    x, y = labelled
    run = preceptor.train("mlp", (x, y), epochs=25, lr=1e-2, out=tmp_path / "r", settings=QUIET)
    assert run.experiment.task == "multi-label"
    assert run.task.thresholds != (0.5,) * 3
    found = run.test()
    assert found.metrics["micro_f1"] > 0.85
    assert set(found.by_class) == {"0", "1", "2"}
    again = preceptor.load(tmp_path / "r")
    assert again.task == run.task
    np.testing.assert_array_equal(again.predict(x), run.predict(x))
    assert set(np.unique(run.predict(x))) == {0, 1}
    assert run.predict_proba(x).shape == (240, 3)
    page = run.report().read_text(encoding="utf-8")
    assert "Worst predictions, validation" in page
    assert "any of 3 labels" in page


def test_labels_go_on_exactly_where_they_were(labelled: tuple[Any, Any], tmp_path: Path):
    whole = preceptor.train("mlp", labelled, epochs=4, patience=None, out=tmp_path / "a", settings=QUIET)
    preceptor.train("mlp", labelled, epochs=2, patience=None, out=tmp_path / "b", settings=QUIET)
    on = preceptor.train("mlp", labelled, epochs=4, out=tmp_path / "b", resume=True)
    for a, b in zip(whole.model.parameters(), on.model.parameters(), strict=True):
        assert torch.equal(a, b)
    assert on.task == whole.task


def test_a_csv_of_labels_on_the_command_line(tmp_path: Path):
    draw = np.random.default_rng(1)
    a = draw.normal(size=80)
    tags = ["high;far" if v > 1 else "high" if v > 0 else "low" for v in a]
    (tmp_path / "t.csv").write_text(
        "a,tags\n" + "\n".join(f"{v},{t}" for v, t in zip(a, tags, strict=True)), "utf-8"
    )
    command = ["train", str(tmp_path / "t.csv"), "--target", "tags", "--task", "multi-label", "--epochs", "2"]
    shown = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "r"), "--set", "training.watch=false"])
    assert shown.exit_code == 0, shown.output
    shown = CliRunner().invoke(app, ["predict", str(tmp_path / "r"), str(tmp_path / "t.csv")])
    assert shown.output.splitlines()[0] == "row,prediction,far,high,low"
    shown = CliRunner().invoke(app, ["evaluate", str(tmp_path / "r"), "--on", "val"])
    assert "threshold" in shown.output


def test_a_mixture_comes_near_the_true_density_and_beats_one_gaussian():
    x, held = two_moons_of_gauss(1500, 0), two_moons_of_gauss(2000, 1)
    options = {"name": "gaussian-mixture", "components": 4}
    run = preceptor.train(
        options, x, task="density-estimation", epochs=60, lr=2e-2, batch_size=128, out=False, settings=QUIET
    )
    got, true = run.predict(held).mean(), true_log_density(held).mean()
    assert true - 0.08 < got < true + 0.02
    one = np.cov(x.T)
    assert got > -0.5 * np.log(np.linalg.det(2 * np.pi * np.e * one)) + 0.5
    drawn = run.sample(2000, seed=0)
    np.testing.assert_allclose(drawn.mean(0), held.mean(0), atol=0.25)
    np.testing.assert_allclose(drawn.std(0), held.std(0), rtol=0.1)


def test_samples_cannot_be_told_from_the_data_by_a_classifier():
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import cross_val_score

    run = preceptor.train(
        "masked-autoregressive", two_moons_of_gauss(1500, 0), task="density-estimation", epochs=40, lr=5e-3,
        out=False, settings=QUIET,
    )  # fmt: skip
    both = np.concatenate([two_moons_of_gauss(500, 2), run.sample(500, seed=1)])
    judge = RandomForestClassifier(50, min_samples_leaf=5, random_state=0)
    assert cross_val_score(judge, both, np.repeat([0, 1], 500), cv=5).mean() <= 0.65


def test_a_table_without_a_target_is_learned_drawn_and_scored_on_the_command_line(tmp_path: Path):
    rows = "\n".join(f"{a:.3f},{b:.3f}" for a, b in two_moons_of_gauss(120, 0))
    (tmp_path / "t.csv").write_text(f"a,b\n{rows}\n", encoding="utf-8")
    run, data = str(tmp_path / "r"), str(tmp_path / "t.csv")
    call = CliRunner().invoke
    shown = call(app, ["train", data, "--task", "density-estimation", "--epochs", "2", "--out", run])
    assert shown.exit_code == 0, shown.output
    assert "Log-density, nats an example" in (tmp_path / "r" / "report.html").read_text(encoding="utf-8")
    lines = call(app, ["sample", run, "--count", "3", "--seed", "0"]).output.splitlines()
    assert lines[0] == "a,b"
    assert len(lines) == 4
    assert lines == call(app, ["sample", run, "--count", "3", "--seed", "0"]).output.splitlines()
    assert call(app, ["predict", run, data]).output.splitlines()[0] == "row,log_density"
    assert "log_density" in call(app, ["evaluate", run, data]).output


def test_images_are_drawn_in_the_shades_of_the_data(tmp_path: Path):
    run = preceptor.train(
        {"name": "vae", "hidden": 16}, "digits", task="density-estimation", epochs=1, out=tmp_path / "r",
        settings=QUIET,
    )  # fmt: skip
    made = run.sample(300, seed=0)
    assert made.shape == (300, 1, 8, 8)
    assert made.mean() == pytest.approx(run.prepared.dataset.inputs.mean(), abs=1.0)
    assert "New examples, drawn from the density" in run.report().read_text(encoding="utf-8")
    out = tmp_path / "new.npz"
    assert CliRunner().invoke(app, ["sample", str(tmp_path / "r"), "--out", str(out)]).exit_code == 0
    assert np.load(out)["image"].shape == (16, 1, 8, 8)


def test_anomalies_end_to_end(tmp_path: Path):
    settings = {**QUIET, "data.anomalies": 4, "data.contamination": 0.1}
    run = preceptor.train(
        "reconstruction-error",
        "digits",
        task="anomaly-detection",
        epochs=15,
        out=tmp_path / "r",
        settings=settings,
    )
    found = run.test()
    assert found.metrics["roc_auc"] >= 0.9
    assert run.evaluate("val").by_class["usual"]["flagged"] == pytest.approx(0.1, abs=0.01)
    again = preceptor.load(tmp_path / "r")
    x = run.prepared.dataset.inputs[:20]
    np.testing.assert_array_equal(again.predict(x), run.predict(x))
    np.testing.assert_array_equal(again.predict(x), (again.scores(x) > 0).astype(int))
    assert "Most unusual examples, validation" in run.report().read_text(encoding="utf-8")
    with pytest.raises(ModelError, match="cannot draw"):
        run.sample(1)


def test_what_a_run_cannot_answer_it_refuses(labelled: tuple[Any, Any]):
    run = preceptor.train("mlp", labelled, epochs=1, out=False, settings=QUIET)
    with pytest.raises(ConfigError, match="does not tell what is unusual"):
        run.scores(labelled[0])
    with pytest.raises(ConfigError, match="cannot draw examples"):
        run.sample(1)
    with pytest.raises(ConfigError, match="which classes are anomalies"):
        preceptor.train(data="digits", task="anomaly-detection", out=False)


def test_gaps_are_filled_better_than_by_the_mean_and_known_values_stay(tmp_path: Path):
    x = load_breast_cancer().data
    run = preceptor.train("autoencoder", x, task="imputation", epochs=25, out=tmp_path / "r", settings=QUIET)
    assert run.test().metrics["rmse"] < 0.75  # in standard deviations, which is what the mean is off by
    holes = x[:30].copy()
    hidden = np.random.default_rng(0).random(holes.shape) < 0.3
    holes[hidden] = np.nan
    filled = preceptor.load(tmp_path / "r").predict(holes)
    np.testing.assert_array_equal(filled[~hidden], x[:30][~hidden])
    scale = x.std(0)
    error = np.sqrt(np.mean(((filled - x[:30]) / scale)[hidden] ** 2))
    by_mean = np.sqrt(np.mean(((x.mean(0) - x[:30]) / scale)[hidden] ** 2))
    assert error < 0.7 * by_mean
    page = run.report().read_text(encoding="utf-8")
    assert "chained ridge regressions" in page


def test_a_table_with_gaps_is_filled_on_the_command_line(tmp_path: Path):
    draw = np.random.default_rng(0)
    a = draw.normal(size=100)
    rows = "\n".join(f"{v:.4f},{2 * v + 1:.4f}" if i % 10 else f",{2 * v + 1:.4f}" for i, v in enumerate(a))
    (tmp_path / "t.csv").write_text(f"a,b\n{rows}\n", encoding="utf-8")
    run, data = str(tmp_path / "r"), str(tmp_path / "t.csv")
    command = ["train", data, "--task", "imputation", "--epochs", "2", "--out", run]
    shown = CliRunner().invoke(app, command)
    assert shown.exit_code == 0, shown.output
    lines = CliRunner().invoke(app, ["predict", run, data]).output.splitlines()
    assert lines[0] == "row,a,b"
    assert "nan" not in "".join(lines)
    assert float(lines[2].split(",")[1]) == pytest.approx(a[1], abs=1e-4)


def test_pixels_are_imputed_and_shown(tmp_path: Path):
    model = {"name": "u-net", "base": 2, "depth": 1}
    run = preceptor.train(model, "digits", task="imputation", epochs=1, out=tmp_path / "r", settings=QUIET)
    assert run.experiment.augmentations[0].name == "missing-inputs"
    assert "Filled gaps" in run.report().read_text(encoding="utf-8")
    on = preceptor.train(model, "digits", task="imputation", epochs=2, out=tmp_path / "r", resume=True)
    assert len(on.history) == 2
    assert len(on.experiment.augmentations) == 1


def test_a_network_for_missing_inputs_beats_one_that_is_given_means():
    data = load_breast_cancer()
    run = preceptor.train(
        "mlp",
        (data.data, data.target),
        augmentations=["missing-inputs"],
        epochs=40,
        out=False,
        settings=QUIET,
    )
    plain = preceptor.train("mlp", (data.data, data.target), epochs=40, out=False, settings=QUIET)
    rows = run.prepared.split.test
    x, y = data.data[rows], data.target[rows]
    mean = data.data[run.prepared.split.train].mean(0)
    right = {"mask": 0.0, "mean": 0.0}
    for seed in range(10):
        hidden = np.random.default_rng(seed).random(x.shape) < 0.7
        right["mask"] += (run.predict(np.where(hidden, np.nan, x)) == y).mean() / 10
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of inputs that are not distributed as in training
            right["mean"] += (plain.predict(np.where(hidden, mean, x)) == y).mean() / 10
    assert right["mask"] > right["mean"]
    nothing = run.predict_proba(np.full((1, 30), np.nan))[0]
    share = np.bincount(data.target[run.prepared.split.train]) / len(run.prepared.split.train)
    np.testing.assert_allclose(nothing, share, atol=0.15)


def test_strips_end_to_end(tmp_path: Path):
    model = {"name": "crnn", "base": 2, "hidden": 4}
    run = preceptor.train(
        model,
        "digit-strips",
        epochs=1,
        batch_size=256,
        out=tmp_path / "r",
        settings={**QUIET, "data.beam": 2},
    )
    assert (run.experiment.task, run.task.beam) == ("transcription", 2)
    said = preceptor.load(tmp_path / "r").predict(run.prepared.dataset.inputs[:3])
    assert said.dtype.kind == "U"
    assert set(run.test().metrics) == {"sequence_accuracy", "character_error_rate"}
    assert "Worst transcriptions, validation" in run.report().read_text(encoding="utf-8")
