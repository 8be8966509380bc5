"""The task that suits the targets."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from preceptor import tasks
from preceptor.errors import ConfigError, DataError, UnknownName


def test_the_kind_of_target_decides():
    assert tasks.make(None, "categories", ("a", "b", "c")) == tasks.Classification(("a", "b", "c"))
    assert tasks.make(None, "numbers", dims=2) == tasks.Regression(2)
    assert tasks.make("classification", "categories", ["a", "b"], loss="ce").outputs == 2
    assert tasks.make("regression", "numbers", loss="l1").loss == "mae"


def test_the_units_are_those_of_the_preprocessor():
    from preceptor import data

    rng = np.random.default_rng(0)
    y = 1e6 + 5 * rng.normal(size=(40, 2))
    prepared = data.prepare(data.load((rng.normal(size=(40, 3)), y)))
    task = tasks.make(None, "numbers", dims=2, preprocessor=prepared.preprocessor)
    assert isinstance(task, tasks.Regression)
    rows = prepared.train.rows
    assert task.offset == pytest.approx(y[rows].mean(0), rel=1e-12)
    assert task.scale == pytest.approx(y[rows].std(0), rel=1e-9)
    torch.testing.assert_close(
        task.predict(prepared.train.y), torch.from_numpy(y[rows]), rtol=0, atol=5 * 1e-6
    )
    for meter in task.meters().values():
        meter.update(prepared.train.y, prepared.train.y)
        assert meter.compute() in (0.0, 1.0)


@pytest.mark.parametrize(
    ("name", "kind", "hint"),
    [
        ("regression", "categories", 'task="classification"'),
        ("classification", "numbers", 'task="regression"'),
    ],
)
def test_a_task_that_does_not_suit_is_refused(name: str, kind: str, hint: str):
    with pytest.raises(ConfigError) as caught:
        tasks.make(name, kind, ("a", "b"))
    assert hint in str(caught.value)


def test_unknown_names_are_refused():
    with pytest.raises(UnknownName, match="did you mean 'classification'"):
        tasks.make("clasification", "categories", ("a", "b"))
    with pytest.raises(UnknownName, match="kind of target"):
        tasks.make(None, "words")
    with pytest.raises(UnknownName, match="unknown loss"):
        tasks.make(None, "numbers", loss="msse")
    with pytest.raises(DataError, match="at least two classes"):
        tasks.make(None, "categories", ("only",))
