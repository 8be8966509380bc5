"""Cross-validation: folds that hold everything out once, preparation within them, and an honest interval."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.model_selection import StratifiedKFold
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import preceptor
from preceptor.data import Preprocessor, load
from preceptor.errors import ConfigError, DataError
from preceptor.search import cross_validate
from preceptor.search.cross_validation import CrossValidation, FoldResult
from preceptor.search.folds import folds, manner

IRIS = load("iris")


def parts(**arguments: Any) -> list[Any]:
    return [fold.parts for fold in folds(arguments.pop("dataset", IRIS), **arguments)]


def test_everything_is_held_out_once_a_repeat() -> None:
    cut = parts(count=5, repeats=2)
    held = np.array([one == "test" for one in cut])
    assert (held[:5].sum(axis=0) == 1).all()
    assert (held[5:].sum(axis=0) == 1).all()
    assert not np.array_equal(held[:5], held[5:])
    assert set(np.unique(cut)) == {"train", "test"}


def test_folds_are_those_of_scikit_learn() -> None:
    codes = np.searchsorted(IRIS.classes, IRIS.targets)
    expected = StratifiedKFold(5, shuffle=True, random_state=3).split(np.zeros(150), codes)
    for one, (_, held) in zip(parts(count=5, seed=3), expected, strict=True):
        np.testing.assert_array_equal(np.flatnonzero(one == "test"), held)
        assert np.bincount(codes[held]).tolist() == [10, 10, 10]


def test_groups_are_not_torn_apart() -> None:
    groups = np.arange(150) // 7
    for one in parts(count=4, groups=groups, val=0.2):
        sides = {group: set(one[groups == group]) for group in np.unique(groups)}
        assert all(len(side) == 1 for side in sides.values())
        assert {"train", "val", "test"} == set(one)


def test_what_cannot_be_cut() -> None:
    for arguments, word in (
        ({"count": 1}, "folds"),
        ({"repeats": 0}, "repeats"),
        ({"count": 151}, "fewer examples"),
        ({"groups": [1, 2]}, "do not belong"),
        ({"groups": np.arange(150) % 3}, "fewer groups"),
    ):
        with pytest.raises((ConfigError, DataError), match=word):
            parts(**arguments)
    few = load((np.random.default_rng(0).normal(size=(12, 2)), ["a"] * 10 + ["b"] * 2))
    assert "class 'b' has 2 examples for 5 folds" in manner(few, 5, None)
    assert len(parts(dataset=few, count=5)) == 5


def test_preparation_is_fitted_within_the_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = []
    fit = Preprocessor.fit.__func__  # type: ignore[attr-defined]

    def noted(cls: Any, dataset: Any, rows: Any, **options: Any) -> Any:
        fitted.append((np.asarray(rows), dataset.part))
        return fit(cls, dataset, rows, **options)

    monkeypatch.setattr(Preprocessor, "fit", classmethod(noted))
    result = cross_validate("linear", "iris", folds=3, epochs=1)
    assert len(result.folds) == 3
    held = np.zeros(150, dtype=int)
    for rows, part in fitted:
        assert set(part[rows]) == {"train"}
        assert not np.intersect1d(rows, np.flatnonzero(part == "test")).size
        held += part == "test"
    assert (held == 1).all()


def test_a_fold_does_not_decide_when_to_stop() -> None:
    """Validation examples are cut from the others: what decides is never what is measured."""
    seen: list[FoldResult] = []
    result = cross_validate("linear", "iris", folds=5, repeats=2, epochs=2, lr=0.05, tell=seen.append)
    assert seen == result.folds
    assert {(one.n, one.trained_on) for one in seen} == {(30, 120)}
    assert [(one.repeat, one.fold) for one in seen] == [(r, k) for r in range(2) for k in range(5)]
    assert result.settings["data.val"] == 0.15
    assert result.metric == "accuracy"
    assert result.repeats == 2


def test_a_fold_is_what_training_alone_gives() -> None:
    from dataclasses import replace

    result = cross_validate("linear", "iris", folds=3, epochs=3, lr=0.05)
    cut = parts(count=3)[1]
    run = preceptor.train(
        "linear", replace(IRIS, part=cut), epochs=3, lr=0.05, out=False, settings={"training.watch": False}
    )
    assert run.evaluate("test").loss == result.folds[1].loss


def test_the_interval_is_corrected() -> None:
    values = [0.9, 0.93, 0.95, 0.92, 0.9]
    results = [
        FoldResult(0, k, 20, 80, 0.1, {"accuracy": v}, 1, "finished", 0.1) for k, v in enumerate(values)
    ]
    made = CrossValidation("x", "accuracy", "", 100, {}, results)
    half = stats.t.ppf(0.975, 4) * np.std(values, ddof=1) * math.sqrt(1 / 5 + 20 / 80)
    assert made.interval() == pytest.approx((np.mean(values) - half, np.mean(values) + half))
    assert made.mean("loss") == pytest.approx(0.1)
    assert "accuracy 0.920 ± 0.021 over 5 folds" in str(made)


def test_regression_and_blocks_of_ones_own() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(60, 3)).astype(np.float32)
    net = nn.Linear(3, 1)
    before = net.weight.detach().clone()
    result = cross_validate(
        net, (x, x[:, 0] * 2 + 0.1 * generator.normal(size=60)), folds=3, epochs=30, lr=0.1
    )
    assert result.metric == "r2"
    assert result.mean() > 0.9
    assert torch.equal(net.weight, before)


def test_groups_of_a_column_leave_the_inputs() -> None:
    import pandas as pd

    generator = np.random.default_rng(0)
    frame = pd.DataFrame({"size": generator.normal(size=60), "patient": np.arange(60) // 4})
    frame["ill"] = np.where(frame["size"] > 0, "yes", "no")
    result = cross_validate("linear", frame, target="ill", groups="patient", folds=3, epochs=1)
    assert "in groups" in result.manner
    assert sum(one.n for one in result.folds) == 60
    with pytest.raises(ConfigError, match="only a table"):
        cross_validate("linear", "iris", groups="patient", epochs=1)
    with pytest.raises(ConfigError, match="not cut by groups"):
        cross_validate("linear", frame, target="ill", groups="patient", test=0.2, epochs=1)


def test_a_test_set_may_stay_out_of_it() -> None:
    result = cross_validate("linear", "iris", folds=3, epochs=1, test=0.2)
    assert result.examples == sum(one.n for one in result.folds) == 120


def test_refusals() -> None:
    loader = DataLoader(TensorDataset(torch.zeros(8, 2), torch.zeros(8)))
    for arguments, word in (
        ({"data": loader}, "lie in memory"),
        ({"data": None}, "no data"),
        ({"data": "iris", "out": "x"}, "'out' is no argument"),
        ({"data": "iris", "val": (torch.zeros(2, 4), torch.zeros(2))}, "cuts the data itself"),
    ):
        with pytest.raises((ConfigError, DataError), match=word):
            cross_validate("linear", **arguments)
