"""What a training looks at before its first step, what it keeps of its inputs, and the warning in use."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import preceptor
from preceptor.errors import CheckpointError, ConfigError, DataError

from ..conftest import LEARNS, QUICK, Points


def copies(points: Points) -> tuple[Any, Any]:
    return np.concatenate([points.x, points.x[:30]]), np.concatenate([points.y, points.y[:30]])


def said(call: Any) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return [str(one.message) for one in caught]


@pytest.mark.slow
def test_every_training_looks_its_data_over(points: Points, tmp_path: Path) -> None:
    run = preceptor.train("mlp", copies(points), epochs=2, out=tmp_path / "run")
    assert run.audit is not None
    assert {check for check, _ in run.audit.flaws} == {"exact-duplicates", "shared-examples"}
    assert "label-noise" not in run.audit.remarks
    loaded = preceptor.load(tmp_path / "run")
    assert str(loaded.audit) == str(run.audit)
    text = run.report().read_text()
    assert 'id="audit"' in text
    assert "equal to one of training" in text
    resumed = preceptor.train(resume=tmp_path / "run", data=copies(points), epochs=3)
    assert str(resumed.audit) == str(run.audit)


def test_how_much_is_looked_at_is_a_setting(points: Points) -> None:
    given = {"data": (points.x, points.y), **QUICK}
    full = preceptor.train("mlp", settings={"data.audit": "full"}, **given)
    assert full.audit is not None
    assert "label-noise" in full.audit.remarks
    assert preceptor.train("mlp", settings={"data.audit": "none"}, **given).audit is None
    with pytest.raises(ConfigError, match=r"data\.audit"):
        preceptor.train("mlp", settings={"data.audit": "some"}, **given)


def test_the_report_without_an_audit(points: Points, tmp_path: Path) -> None:
    settings = {"data.audit": "none"}
    run = preceptor.train("mlp", (points.x, points.y), epochs=1, out=tmp_path / "run", settings=settings)
    assert 'id="audit"' not in run.report().read_text()
    assert not (tmp_path / "run" / "audit.json").exists()
    assert preceptor.load(tmp_path / "run").audit is None


def test_a_damaged_audit(points: Points, tmp_path: Path) -> None:
    preceptor.train("mlp", (points.x, points.y), epochs=1, out=tmp_path / "run")
    (tmp_path / "run" / "audit.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"audit.json has changed since"):
        preceptor.load(tmp_path / "run")


def test_audit_by_itself(points: Points) -> None:
    assert preceptor.audit((points.x, points.y)).clean
    assert not preceptor.audit(copies(points), val=0.3, test=0.3, seed=1).clean
    assert preceptor.audit("diabetes", settings={"data.order": "blocks"}, quick=True).about.endswith(
        "(in blocks)"
    )
    with pytest.raises(ConfigError, match=r"no such setting[\s\S]*model.name"):
        preceptor.audit("iris", settings={"model.name": "mlp"})
    with pytest.raises(ConfigError, match="unknown task"):
        preceptor.audit("iris", task="sorting")
    with pytest.raises(DataError, match="no file"):
        preceptor.audit("absent.csv", target="x")


def test_inputs_in_use_are_compared_with_those_of_training(points: Points, tmp_path: Path) -> None:
    run = preceptor.train("mlp", (points.x, points.y), **{**LEARNS, "out": tmp_path / "run"})
    for each in (run, preceptor.load(tmp_path / "run")):
        assert said(lambda each=each: each.predict(points.x)) == []
        (told,) = said(lambda each=each: each.predict(points.x / 100))
        assert told.startswith("these 210 inputs are not distributed as those trained on")
        assert "divided by 100" in told
        (told,) = said(lambda each=each: each.predict_proba(points.x[:, ::-1].copy()))
        assert "columns in another order" in told
        (told,) = said(lambda each=each: each.evaluate((points.x * 1000, points.y)))
        assert "multiplied by 1000" in told


def test_a_shift_does_not_change_what_is_predicted(points: Points) -> None:
    run = preceptor.train("mlp", (points.x, points.y), **LEARNS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = run.predict_proba(points.x / 100)
        run.reference = None
        assert np.array_equal(before, run.predict_proba(points.x / 100))


def test_a_run_without_statistics_predicts_without_a_word(points: Points, tmp_path: Path) -> None:
    preceptor.train("mlp", (points.x, points.y), epochs=2, out=tmp_path / "run")
    (tmp_path / "run" / "reference.safetensors").unlink()
    loaded = preceptor.load(tmp_path / "run")
    assert loaded.reference is None
    assert said(lambda: loaded.predict(points.x / 100)) == []
    (tmp_path / "run" / "reference.safetensors").write_bytes(b"no tensors")
    with pytest.raises(CheckpointError, match=r"cannot read .*reference.safetensors"):
        preceptor.load(tmp_path / "run")


def test_examples_that_were_trained_on_are_no_test(points: Points) -> None:
    run = preceptor.train("mlp", (points.x, points.y), **QUICK)
    assert run.prepared is not None
    seen, new = run.prepared.split.train[:9], run.prepared.split.val
    assert run.evaluate((points.x[seen], points.y[seen])).trained_on == 9
    assert run.evaluate((points.x[new], points.y[new])).trained_on == 0
    assert run.evaluate("val").trained_on == run.evaluate("train").trained_on == 0
