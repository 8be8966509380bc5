"""Spaces: what may be written, and what is drawn from it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from preceptor.errors import ConfigError, UnknownName
from preceptor.search.space import Dimension, Space, setting_of


def test_forms() -> None:
    space = Space.parse(
        [
            "lr=log:1e-5..1e-1:3",
            "model.dropout=0..0.5",
            "batch_size=32..256",
            "hidden=64|[64, 32]",
            "activation=relu|tanh",
        ]
    )
    rate, dropout, batch, hidden, activation = space
    assert (rate.key, rate.low, rate.high, rate.log, rate.points) == ("optimizer.lr", 1e-5, 1e-1, True, 3)
    assert (dropout.low, dropout.high, dropout.whole, dropout.log) == (0.0, 0.5, False, False)
    assert (batch.key, batch.whole, batch.size) == ("training.batch_size", True, 225)
    assert hidden.values == (64, (64, 32))
    assert activation.values == ("relu", "tanh")
    assert Space.parse(space.to_plain()) == space


def test_the_same_from_python() -> None:
    given = {"lr": "log:1e-5..1e-1", "model.hidden": [64, [64, 32]], "batch_size": np.array([32, 64])}
    assert Space.parse(given)[1:] == Space.parse(["hidden=64|[64, 32]", "batch_size=32|64"])


def test_bounds_may_stand_either_way_round() -> None:
    forward, back = (Dimension.parse("lr", text) for text in ("log:1e-6..1e-3", "log:1e-3..1e-6"))
    assert forward == back
    assert Dimension.parse("dropout", "0.5..0") == Dimension.parse("dropout", "0..0.5")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("lr", "no values"),
        ("lr=", "no values"),
        ("lr=0.1", "cannot be read"),
        ("lr=log:0..1", "no logarithmic scale"),
        ("lr=log:-1..1", "no logarithmic scale"),
        ("lr=1..1", "bounds of optimizer.lr"),
        ("lr=1..inf", "bounds of optimizer.lr"),
        ("lr=a..b", "cannot be read"),
        ("lr=1..2..3", "cannot be read"),
        ("lr=0..1:0", "no grid points"),
        ("lr=0.1|0.1", "nothing to choose from"),
        ("seed=1|2", "no hyperparameter"),
        ("data.test=0.1|0.2", "no hyperparameter"),
        ("training.monitor=val_loss|val_accuracy", "no hyperparameter"),
    ],
)
def test_what_cannot_be_used(text: str, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        Space.parse([text])


def test_unknown_names_are_corrected() -> None:
    with pytest.raises(UnknownName, match="batch_size"):
        setting_of("batch_sise")
    with pytest.raises(ConfigError, match="given twice"):
        Space.parse(["lr=1..2", "optimizer.lr=1..2"])


def test_log_uniform_has_as_many_in_each_decade() -> None:
    space = Space.parse(["lr=log:1e-6..1e-3"])
    drawn = np.array([space.sample(np.random.default_rng(k))["optimizer.lr"] for k in range(3000)])
    assert stats.kstest(drawn, stats.loguniform(1e-6, 1e-3).cdf).pvalue > 1e-3
    shares = np.histogram(np.log10(drawn), bins=[-6, -5, -4, -3])[0] / len(drawn)
    assert np.abs(shares - 1 / 3).max() < 0.03
    linear = Space.parse(["lr=1e-6..1e-3"])
    drawn = np.array([linear.sample(np.random.default_rng(k))["optimizer.lr"] for k in range(3000)])
    assert (drawn > 1e-4).mean() > 0.87  # the top decade takes nine of ten


@pytest.mark.parametrize("text", ["1..4", "log:1..4"])
def test_whole_numbers_stay_whole_and_all_occur(text: str) -> None:
    space = Space.parse({"training.patience": text})
    drawn = [space.sample(np.random.default_rng(k))["training.patience"] for k in range(2000)]
    assert {type(value) for value in drawn} == {int}
    shares = np.bincount(drawn, minlength=5)[1:] / len(drawn)
    if text == "1..4":
        assert np.abs(shares - 0.25).max() < 0.04
    else:  # a logarithmic scale from a half to four and a half
        ends = np.log([0.5, 1.5, 2.5, 3.5, 4.5])
        assert np.abs(shares - np.diff(ends) / math.log(9)).max() < 0.04


@pytest.mark.parametrize("text", ["lr=log:1e-5..1e-1", "lr=0.1..0.9", "batch_size=8..512", "hidden=16|32|64"])
def test_a_place_leads_back_to_its_value(text: str) -> None:
    (dimension,) = Space.parse([text])
    for unit in (0.01, 0.3, 0.77, 0.99):
        value = dimension.at(unit)
        again = dimension.at(dimension.place(value))
        assert again == pytest.approx(value)


def test_grid_is_the_product() -> None:
    space = Space.parse(["lr=log:1e-3..1e-1:3", "hidden=16|32", "dropout=0..0.4"])
    points = list(space.grid(5))
    assert len(points) == 3 * 2 * 5
    assert sorted({point["optimizer.lr"] for point in points}) == pytest.approx([1e-3, 1e-2, 1e-1])
    assert sorted({point["model.dropout"] for point in points}) == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert space.points_for(30) == 5
    assert len(list(Space.parse(["patience=1..3"]).grid(9))) == 3


def test_linear_scales_over_decades_are_advised_against() -> None:
    (said,) = Space.parse(["lr=1e-5..1e-1"]).advice()
    assert "log:1e-05..0.1" in said
    assert Space.parse(["lr=log:1e-5..1e-1", "dropout=0..0.5", "batch_size=32..256"]).advice() == []
