"""What a `Run` can do, before and after it was loaded again; the ledger of looks at the test set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import preceptor
from preceptor.errors import CheckpointError, ConfigError, DataError

from .conftest import LEARNS, QUICK, Points, assert_equal, net, weights

NAMES = np.array(["ant", "bee", "cow"])


def folder(tmp_path: Path) -> dict[str, Any]:
    return {"out": tmp_path / "run"}


LABELS = {
    "text": (lambda y: NAMES[y], ["ant", "bee", "cow"]),
    "integers from 0": (lambda y: y, [0, 1, 2]),
    "integers from 7": (lambda y: y + 7, [7, 8, 9]),
    "negative integers": (lambda y: -y, [-2, -1, 0]),
    "floats that are whole": (lambda y: y * 1.0, [0, 1, 2]),
    "truth values": (lambda y: y > 0, ["False", "True"]),
    "text that looks like numbers": (lambda y: np.array(["10", "9", "8"])[y], [8, 9, 10]),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", LABELS)
def test_labels_come_back_as_they_were_called(points: Points, tmp_path: Path, kind: str) -> None:
    called, names = LABELS[kind]
    run = preceptor.train("mlp", (points.x, called(points.y)), **{**LEARNS, **folder(tmp_path)})
    loaded = preceptor.load(tmp_path / "run")
    for each in (run, loaded):
        predicted = each.predict(points.x)
        assert set(predicted.tolist()) == set(names)
        truth = [str(int(v)) if isinstance(v, float) else str(v) for v in called(points.y).tolist()]
        assert np.mean([str(p) == t for p, t in zip(predicted.tolist(), truth, strict=True)]) > 0.9
        probabilities = each.predict_proba(points.x)
        assert probabilities.shape == (210, len(names))
        assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-6)
        classes = each.preprocessor.classes
        assert [str(p) for p in predicted] == [classes[i] for i in probabilities.argmax(axis=1)]


def test_numbers_come_back_in_their_own_units(points: Points, tmp_path: Path) -> None:
    run = preceptor.train("linear", (points.x, points.value), optimizer="l-bfgs", **folder(tmp_path))
    for each in (run, preceptor.load(tmp_path / "run")):
        predicted = each.predict(points.x)
        assert predicted.shape == (210,)
        assert np.abs(predicted - points.value).max() < 1
        with pytest.raises(ConfigError, match="no class probabilities"):
            each.predict_proba(points.x)
        measured = each.evaluate((points.x, points.value)).metrics
        residuals = predicted - points.value
        assert measured["rmse"] == pytest.approx(np.sqrt(np.mean(residuals**2)), rel=1e-6)
        assert measured["mae"] == pytest.approx(np.mean(np.abs(residuals)), rel=1e-6)


def test_arrays_are_given_again_to_a_run_that_was_loaded(points: Points, tmp_path: Path) -> None:
    run = preceptor.train("mlp", (points.x, points.y), **LEARNS | folder(tmp_path))
    loaded = preceptor.load(tmp_path / "run")
    with pytest.raises(DataError, match=r"the run's data were given in code[\s\S]*run.evaluate"):
        loaded.evaluate("val")
    again = loaded.evaluate((points.x, points.y))
    assert again.metrics == run.evaluate((points.x, points.y)).metrics


def test_several_numbers(points: Points, tmp_path: Path) -> None:
    both = np.stack([points.value, 1000 - 2 * points.value], axis=1)
    run = preceptor.train("linear", (points.x, both), optimizer="l-bfgs", **folder(tmp_path))
    for each in (run, preceptor.load(tmp_path / "run")):
        assert np.abs(each.predict(points.x) - both).max() < 2


def test_what_is_loaded_is_what_was_trained(points: Points, tmp_path: Path) -> None:
    run = preceptor.train("mlp", "iris", epochs=8, lr=0.03, **folder(tmp_path))
    loaded = preceptor.load(str(tmp_path / "run"))
    assert_equal(weights(run), weights(loaded))
    assert loaded.history == run.history
    assert (loaded.status, loaded.best_epoch, loaded.chosen) == (run.status, run.best_epoch, run.chosen)
    assert loaded.experiment.to_toml() == run.experiment.to_toml()
    assert type(loaded.task) is type(run.task)
    x = np.array([[5.1, 3.5, 1.4, 0.2], [6.2, 2.8, 4.8, 1.8]])
    assert np.array_equal(loaded.predict_proba(x), run.predict_proba(x))
    for part in ("train", "val"):
        assert loaded.evaluate(part) == run.evaluate(part)
    assert "in " + str(tmp_path / "run") in repr(loaded)


@pytest.mark.parametrize("give", [net, net()], ids=["a callable", "an object"])
def test_your_own_model_is_given_again(points: Points, tmp_path: Path, give: Any) -> None:
    run = preceptor.train(net, (points.x, points.y), **QUICK | folder(tmp_path))
    with pytest.raises(ConfigError, match=r"your own code[\s\S]*model="):
        preceptor.load(tmp_path / "run")
    loaded = preceptor.load(tmp_path / "run", model=give)
    assert_equal(weights(run), weights(loaded))
    assert np.array_equal(loaded.predict(points.x), run.predict(points.x))
    with pytest.raises(CheckpointError, match="the weights do not fit the model"):
        preceptor.load(tmp_path / "run", model=nn.Linear(6, 3))


def test_evaluate_on_new_data(points: Points) -> None:
    run = preceptor.train("mlp", (points.x, NAMES[points.y]), **LEARNS)
    new = run.evaluate((points.x[:50], NAMES[points.y[:50]]))
    assert (new.part, new.n, new.looks) == ("data", 50, 0)
    assert new.metrics["accuracy"] == np.mean(run.predict(points.x[:50]) == NAMES[points.y[:50]])
    probabilities = run.predict_proba(points.x[:50])
    assert new.loss == pytest.approx(-np.log(probabilities[np.arange(50), points.y[:50]]).mean(), rel=1e-5)
    low, high = new.interval
    assert low < new.metrics["accuracy"] <= high
    with pytest.raises(DataError, match="a class is unknown"):
        run.evaluate((points.x[:2], ["ant", "dog"]))
    with pytest.raises(DataError, match="the targets are missing"):
        run.evaluate((points.x[:2],))
    with pytest.raises(DataError, match="expected"):
        run.predict(points.x[:, :5])


def test_predicting_in_parts_is_predicting_at_once(points: Points) -> None:
    run = preceptor.train("mlp", (points.x, points.y), **LEARNS)
    whole = run.predict_proba(points.x)
    parts = np.concatenate([run.predict_proba(part) for part in np.array_split(points.x, 7)])
    assert np.allclose(whole, parts, atol=1e-6)


def test_the_model_keeps_its_mode(points: Points) -> None:
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3))
    run = preceptor.train(model, (points.x, points.y), **QUICK)
    model.train()
    model[1].eval()
    before = weights(run)
    first = run.predict_proba(points.x)
    assert np.array_equal(first, run.predict_proba(points.x)), "dropout is off in prediction"
    run.evaluate("train")
    assert [m.training for m in model] == [True, False, True, True]
    assert_equal(before, weights(run))


def ledger(path: Path) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads((path / "manifest.json").read_text())["ledger"]
    return entries


def test_every_look_at_the_test_set_is_counted(points: Points, tmp_path: Path) -> None:
    run = preceptor.train("mlp", "iris", epochs=5, **folder(tmp_path))
    assert ledger(tmp_path / "run") == []
    first, second = run.test(), run.evaluate("test", again="a test of the ledger")
    assert (first.looks, second.looks) == (1, 2)
    assert "first look at the test set" in str(first)
    assert "no longer tested" not in str(first)
    assert (
        str(second).splitlines()[1]
        == "what is chosen after looking at the test set is no longer tested by it"
    )
    loaded = preceptor.load(tmp_path / "run")
    assert loaded.test(again="loaded").looks == 3
    assert preceptor.load(tmp_path / "run").test(again="loaded anew").looks == 4
    assert [entry["look"] for entry in ledger(tmp_path / "run")] == [1, 2, 3, 4]
    assert {(entry["n"], entry["metrics"]["accuracy"]) for entry in ledger(tmp_path / "run")} == {
        (23, first.metrics["accuracy"])
    }
    for part in ("train", "val"):
        assert run.evaluate(part).looks == 0
    assert len(ledger(tmp_path / "run")) == 4


def test_looks_are_counted_without_a_folder_too(points: Points) -> None:
    run = preceptor.train("mlp", "iris", **QUICK)
    assert [run.test(again="to count").looks for _ in range(3)] == [1, 2, 3]
    assert "3rd" not in str(run.test(again="to read it"))
    assert "5th look" in str(run.test(again="to read it"))


def test_looks_survive_a_resume(tmp_path: Path) -> None:
    run = preceptor.train("mlp", "iris", epochs=2, **folder(tmp_path))
    run.test()
    again = preceptor.train(resume=tmp_path / "run", epochs=3)
    assert again.test(again="trained for longer").looks == 2


def test_the_report(tmp_path: Path) -> None:
    run = preceptor.train("mlp", "iris", epochs=3, **folder(tmp_path))
    assert ledger(tmp_path / "run") == []
    assert run.report() == tmp_path / "run" / "report.html"
    assert ledger(tmp_path / "run") == [], "a report is no look at the test set"
    text = (tmp_path / "run" / "report.html").read_text()
    assert text.lower().startswith("<!doctype html>")
    assert len(text.encode()) < 500_000
    assert run.report(tmp_path / "elsewhere.html").is_file()
    loaded = preceptor.load(tmp_path / "run")
    assert loaded.report(tmp_path / "loaded.html").is_file()
    with pytest.raises(ConfigError, match="no folder"):
        preceptor.train("mlp", "iris", **QUICK).report()


def test_a_report_of_loaders(points: Points, tmp_path: Path) -> None:
    loader = DataLoader(TensorDataset(*points.tensors), batch_size=30)
    run = preceptor.train(net, loader, val=loader, epochs=2, **folder(tmp_path))
    assert run.report().is_file()
    loaded = preceptor.load(tmp_path / "run", model=net)
    x = points.tensors[0]
    assert np.array_equal(loaded.predict(x), run.predict(x))
    assert loaded.predict_proba(x).shape == (210, 3)
    with pytest.raises(DataError, match="the run's data were given in code"):
        loaded.evaluate("val")
    with pytest.raises(DataError, match="predicts for tensors"):
        run.predict("new.csv")
    with pytest.raises(DataError, match="on its own parts"):
        run.evaluate((points.x, points.y))


def test_out_false_writes_nothing(points: Points, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = preceptor.train("mlp", (points.x, points.y), **QUICK)
    run.test()
    run.predict(points.x)
    assert run.folder is None
    assert list(tmp_path.iterdir()) == []


def test_without_out_the_next_number_is_taken(
    points: Points, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runs = [preceptor.train("mlp", (points.x, points.y), epochs=1, name="mine") for _ in range(2)]
    assert [str(run.folder.path) for run in runs if run.folder] == ["runs/mine-1", "runs/mine-2"]
    with pytest.raises(ConfigError, match="is not empty"):
        preceptor.train("mlp", (points.x, points.y), epochs=1, out="runs/mine-1")
