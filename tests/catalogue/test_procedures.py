"""Procedures, against scikit-learn, SciPy and counts done by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.model_selection import ParameterGrid, StratifiedKFold

from preceptor.catalogue import get
from preceptor.errors import ConfigError, PreceptorError


def test_grid_search_is_the_parameter_grid_of_scikit_learn() -> None:
    values = {"a": [1, 2, 3], "b": ["x", "y"], "c": [0.1, 0.2]}
    ours, theirs = get("grid-search")(values), list(ParameterGrid(values))
    assert len(ours) == 3 * 2 * 2
    assert sorted(map(repr, (sorted(p.items()) for p in ours))) == sorted(
        map(repr, (sorted(p.items()) for p in theirs))
    )


def test_random_search_sees_a_new_value_in_each_trial() -> None:
    ranges = {"lr": get("log-uniform", low=1e-4, high=1e-1), "dropout": lambda u: u / 2}
    points = get("random-search", trials=50, seed=1)(ranges)
    assert all(len({point[key] for point in points}) == 50 for key in ranges)
    assert get("random-search", trials=9, seed=1)(ranges) == points[:9]


def test_log_uniform_is_that_of_scipy() -> None:
    places = np.linspace(0, 1, 31)
    expected = stats.loguniform(1e-6, 1e-3).ppf(places)
    np.testing.assert_allclose(get("log-uniform", low=1e-6, high=1e-3)(places), expected, rtol=1e-12)
    np.testing.assert_allclose(get("log-uniform", low=1e-3, high=1e-6)(places), expected, rtol=1e-12)
    drawn = get("log-uniform", low=1e-6, high=1e-3)(np.random.default_rng(0).random(30_000))
    shares = np.histogram(np.log10(drawn), bins=[-6, -5, -4, -3])[0] / len(drawn)
    assert np.abs(shares - 1 / 3).max() < 0.01  # a third in each decade
    with pytest.raises(ValueError, match="high"):  # bounds reversed, as they are often printed
        np.random.default_rng(0).uniform(-3, -6)
    for low, high in ((0, 1), (-1, 1), (1, 1), (1, math.inf)):
        with pytest.raises(ConfigError, match="two bounds above 0"):
            get("log-uniform", low=low, high=high)


def test_stages_leave_the_named_for_last() -> None:
    keys = ["optimizer.lr", "model.hidden", "training.batch_size", "model.dropout"]
    assert get("staged-search")(keys) == [
        ("model.hidden", "model.dropout"),
        ("optimizer.lr", "training.batch_size"),
    ]
    assert get("staged-search", then=[["model.dropout"], ["optimizer.lr"]])(keys[:2]) == [
        ("model.hidden",),
        ("optimizer.lr",),
    ]


def test_halving_spends_alike_on_each_rung() -> None:
    rungs = get("successive-halving", eta=2)(64, 64)
    assert [epochs * trials for epochs, trials in rungs] == [64] * 7
    assert get("successive-halving")(2, 100) == ((100, 2),)
    with pytest.raises(ConfigError, match="eta"):
        get("successive-halving", eta=1)


def test_folds_hold_out_everything_once() -> None:
    cut = get("k-fold", folds=4, seed=2)
    held = np.concatenate([rows for _, rows in cut(23)])
    assert sorted(held.tolist()) == list(range(23))
    labels = np.arange(40) % 4
    expected = StratifiedKFold(4, shuffle=True, random_state=2).split(labels, labels)
    for (_, ours), (_, theirs) in zip(cut(40, labels), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    groups = np.arange(40) // 5
    assert all(not set(groups[a]) & set(groups[b]) for a, b in cut(40, None, groups))
    with pytest.raises(PreceptorError):
        cut(3)


def test_the_inventory_has_every_setting_once() -> None:
    settings = {
        "model.hidden": 64,
        "training.epochs": 3,
        "optimizer.lr": 0.1,
        "training.batch_size": 8,
        "seed": 0,
    }
    found = get("hyperparameter-inventory")({**settings, "regularizers": ()})
    assert {group: list(part) for group, part in found.items()} == {
        "architecture": ["model.hidden"],
        "iterations": ["training.epochs"],
        "learning rate": ["optimizer.lr"],
        "regularisation": ["regularizers"],
        "batch size": ["training.batch_size"],
        "others": ["seed"],
    }


def test_folds_are_not_independent() -> None:
    values = [0.9, 0.93, 0.95, 0.92, 0.9]
    low, high = get("nadeau-bengio")(values, 20, 80)
    half = stats.t.ppf(0.975, 4) * np.std(values, ddof=1) * math.sqrt(1 / 5 + 20 / 80)
    assert (low, high) == pytest.approx((np.mean(values) - half, np.mean(values) + half))
    assert get("nadeau-bengio")([0.9], 20, 80) == (-math.inf, math.inf)


def test_manual_search_names_what_a_person_changed() -> None:
    changed = get("manual-search")
    assert changed({"lr": 0.1, "hidden": 64}, {"lr": 0.2, "hidden": 64}) == {"lr": (0.1, 0.2)}
    assert changed({"lr": 0.1}, {"lr": 0.1, "seed": 1}) == {"seed": (None, 1)}
    assert changed({"lr": 1}, {"lr": 1}) == {}
