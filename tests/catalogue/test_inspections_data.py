"""Inspections of data and of functions, and the record that they give back."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, load_wine
from torch import nn

from preceptor.catalogue import get
from preceptor.catalogue.inspections import Inspection, Picture
from preceptor.errors import ConfigError, DataError


def inspect(name: str, *arguments, **options):
    return get(name, *arguments, kind="inspection", **options)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# The record


@pytest.mark.slow
@pytest.mark.parametrize(
    "picture",
    [
        Picture("lines", {"a": [1, 2, 4], "b": torch.tensor([3.0, 2, 1])}, log="y", marks={"best": 1}),
        Picture("bars", {"a": [1.0, 2.0]}, ["first", "second"]),
        Picture("points", {"x": np.arange(4), "y": np.arange(4), "labels": [0, 0, 1, 1]}),
        Picture("points", {"x": [1.0, 2.0], "y": [0.0, 1.0]}),
        Picture("image", {"w": torch.eye(3)}, title="t", x_label="x", y_label="y"),
        Picture("tiles", {"filters": torch.rand(70, 3, 3)}),
        Picture("tiles", {"filters": torch.zeros(2, 3, 3, 3)}),
        Picture("graph", {"labels": ["a", "b"], "x": [0, 1], "y": [0, 0], "edges": [(0, 1)]}),
    ],
    ids=lambda p: p.kind,
)
def test_every_kind_of_picture_is_drawn_and_saved(picture: Picture, tmp_path):
    seen = Inspection("A title", "a finding", {"n": 1}, (picture, picture))
    assert len([a for a in seen.figure().axes if a.get_label() != "<colorbar>"]) == 2
    assert seen.save(tmp_path / "seen.png").read_bytes()[:4] == b"\x89PNG"
    assert repr(seen) == "A title: a finding"


def test_a_record_says_what_it_has():
    seen = Inspection("A title", "a finding", {"n": 1})
    assert seen["n"] == 1
    with pytest.raises(ConfigError, match="has no 'm'"):
        seen["m"]
    with pytest.raises(DataError, match="has no picture"):
        seen.figure()


# Data


def test_shift_is_found_and_a_fresh_draw_is_not_flagged():
    train = draw(400, 8)
    false_alarms = sum(
        inspect("covariate-shift", train, draw(400, 8, seed=s))["shifted"] for s in range(1, 21)
    )
    assert false_alarms <= 1
    moved = draw(400, 8, seed=30)
    moved[:, 3] += 0.5
    seen = inspect("covariate-shift", train, moved)
    assert seen["features"] == [3]
    assert seen["p_values"][3] < 1e-3
    assert seen.figure().axes
    with pytest.raises(DataError, match="different features"):
        inspect("covariate-shift", train, draw(4, 3))
    with pytest.raises(DataError, match="finite"):
        inspect("covariate-shift", torch.full((3, 2), math.nan), train)


def test_the_condition_number_of_wine_falls_when_it_is_standardised():
    x = torch.as_tensor(load_wine().data)
    raw = inspect("condition-number", x)
    better = inspect("condition-number", x, standardize=True)
    assert raw["of_gram"] == pytest.approx(8.0e7, rel=0.01)
    assert better["of_gram"] == pytest.approx(45.5, rel=0.01)
    assert inspect("condition-number", x, center=True)["of_gram"] < raw["of_gram"]
    assert inspect("condition-number", torch.ones(3, 2))["condition_number"] > 1e15
    assert raw.figure().axes


def test_the_smallest_singular_value_dips_where_features_meet_examples():
    smallest = {}
    for p in (50, 100, 200):
        features = torch.relu(draw(100, 20) @ draw(20, p, seed=1)) / math.sqrt(p)
        seen = inspect("singular-values", features)
        smallest[p] = seen["min"]
        torch.testing.assert_close(seen["singular_values"], torch.linalg.svdvals(features.double()))
    assert smallest[100] < 0.1 * min(smallest[50], smallest[200])
    low = inspect("singular-values", draw(50, 3) @ draw(3, 20, seed=1))
    assert low["rank_99"] <= 3
    assert low["effective_rank"] < 4


CORNERS = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])


def test_separability_of_and_xor_and_of_xor_with_products():
    xor, both = torch.tensor([0, 1, 1, 0]), torch.tensor([0, 0, 0, 1])
    assert not inspect("linear-separability", CORNERS, xor)["separable"]
    seen = inspect("linear-separability", CORNERS, both)
    w = torch.as_tensor(seen["weights"]["1"])
    assert ((2 * both - 1) * (CORNERS.double() @ w[:2] + w[2]) >= 1 - 1e-9).all()
    features = get("xor-map")(CORNERS)
    assert inspect("linear-separability", features, xor)["separable"]
    with pytest.raises(DataError, match="needs classes"):
        inspect("linear-separability", CORNERS, torch.zeros(4))


def test_translated_patterns_are_not_separable():
    patterns = [torch.tensor([1, 1, 0, 1, 1] + [0] * 11), torch.tensor([1, 0, 1, 0, 1, 0, 1] + [0] * 9)]
    x = torch.stack([p.roll(k) for p in patterns for k in range(16)]).float()
    y = torch.arange(2).repeat_interleave(16)
    assert torch.equal(x[:16].mean(0), x[16:].mean(0))
    assert not inspect("linear-separability", x, y)["separable"]


def test_three_classes_each_against_the_rest():
    angles = torch.arange(3) * 2 * math.pi / 3
    x = torch.stack([angles.cos(), angles.sin()], 1).repeat_interleave(5, 0) * 5 + 0.3 * draw(15, 2)
    y = torch.arange(3).repeat_interleave(5)
    assert inspect("linear-separability", x, y)["classes"] == {"0": True, "1": True, "2": True}


def test_planted_copies_are_found_and_nothing_else():
    x = torch.as_tensor(load_digits().data).float()[:600]
    assert inspect("duplicates", x)["pairs"] == []
    planted = torch.cat([x, x[5:8], x[100:102] + 1e-3])
    seen = inspect("duplicates", planted)
    assert [(i, j) for i, j, _ in seen["exact"]] == [(5, 600), (6, 601), (7, 602)]
    assert {(i, j) for i, j, _ in seen["pairs"]} == {(5, 600), (6, 601), (7, 602), (100, 603), (101, 604)}
    across = inspect("duplicates", x[:300], other=torch.cat([x[300:], x[:2]]))
    assert [(i, j) for i, j, _ in across["across"]] == [(0, 600), (1, 601)]
    with pytest.raises(ConfigError, match="too many rows"):
        inspect("duplicates", torch.zeros(20_001, 1))


def test_copies_are_found_across_the_chunks(monkeypatch: pytest.MonkeyPatch):
    from preceptor.catalogue.inspections import data

    monkeypatch.setattr(data, "_CHUNK", 7)
    x = draw(30, 4)
    assert [(i, j) for i, j, _ in inspect("duplicates", torch.cat([x, x[3:5]]))["pairs"]] == [
        (3, 30),
        (4, 31),
    ]


# Functions


def test_the_gradient_stands_at_right_angles_to_the_level_lines():
    def rosenbrock(p: torch.Tensor) -> torch.Tensor:
        return (1 - p[0]) ** 2 + 5 * (p[1] - p[0] ** 2) ** 2

    start = torch.tensor([-0.5, 1.0])
    seen = inspect("level-line", rosenbrock, start, count=200)
    assert seen["cosine"] < 1e-8
    values = torch.stack([rosenbrock(p) for p in seen["points"]])
    torch.testing.assert_close(values, torch.full_like(values, seen["value"]))
    assert (seen["points"][-1] - seen["points"][0]).norm() > 0.1
    with pytest.raises(DataError, match="no line"):
        inspect("level-line", lambda p: (p * p).sum(), torch.zeros(2))


def test_level_lines_lie_as_far_apart_as_the_gradient_says():
    for x in (0.5, 1.0, 2.0):
        p = torch.tensor([x, 0.3], dtype=torch.float64)
        g = get("gradient", lambda p: (p * p).sum(), p, kind="derivative")
        step = 1e-4 * g / g.square().sum()  # to the line that lies 1e-4 higher
        distance = step.norm()
        assert float(((p + step) ** 2).sum() - (p**2).sum()) == pytest.approx(1e-4, rel=1e-3)
        assert float(distance * g.norm()) == pytest.approx(1e-4)


def test_the_contour_map_holds_values_and_gradients():
    seen = inspect("contour", lambda p: p[0] ** 2 + 3 * p[1], points=5)
    torch.testing.assert_close(seen["dx"], 2 * seen["x"])
    torch.testing.assert_close(seen["dy"], torch.full_like(seen["y"], 3.0))
    torch.testing.assert_close(seen["z"], seen["x"] ** 2 + 3 * seen["y"])
    assert seen.figure().axes


def test_linear_models_have_convex_losses_and_deeper_ones_have_not():
    torch.manual_seed(0)
    x, y = draw(40, 3), draw(40, 1, seed=1)
    labels = (y > 0).float()
    linear = nn.Linear(3, 1)
    losses = (
        lambda z: nn.functional.mse_loss(z, y),
        lambda z: nn.functional.binary_cross_entropy_with_logits(z, labels),
    )
    for loss in losses:
        f, theta = get("parameter-function", linear, loss, x)
        assert inspect("convexity-test", f, theta)["violations"] == 0
    deep = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    f, theta = get("parameter-function", deep, losses[0], x)
    seen = inspect("convexity-test", f, theta)
    assert seen["violations"] > 0
    a, b, t = seen["segment"]
    with torch.no_grad():
        assert f((1 - t) * a + t * b) > (1 - t) * f(a) + t * f(b)


def test_convex_combinations_need_weights_that_are_not_negative():
    points = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]])
    assert inspect("convex-combination", points, torch.tensor([0.5, 0.25, 0.25])).tolist() == [0.5, 0.5]
    for weights in ([1.5, -0.5, 0.0], [0.5, 0.5, 0.5]):
        with pytest.raises(ConfigError, match="no convex combination"):
            inspect("convex-combination", points, torch.tensor(weights))
    with pytest.raises(ConfigError, match="one weight a point"):
        inspect("convex-combination", points, torch.ones(2) / 2)


def test_the_loss_surface_has_the_weights_in_its_middle():
    torch.manual_seed(0)
    net, x = nn.Linear(3, 1), draw(20, 3)
    before = net.weight.clone()
    seen = inspect("loss-surface", net, lambda z: z.square().mean(), x, points=5)
    assert seen["values"][2, 2].item() == pytest.approx(seen["centre"])
    assert torch.equal(net.weight, before)
    assert seen.figure().axes


# Representations


@pytest.mark.parametrize("method", ["pca", "t-sne"])
def test_an_embedding_parts_what_is_apart(method: str):
    x = torch.cat([draw(20, 6), draw(20, 6, seed=1) + 6])
    seen = inspect("embedding", x, labels=torch.arange(2).repeat_interleave(20), method=method, perplexity=8)
    assert seen["points"].shape == (40, 2)
    assert seen["silhouette"] > 0.5
    assert seen.figure().axes
    with pytest.raises(ConfigError, match="method"):
        inspect("embedding", x, method="umap")
    with pytest.raises(DataError, match="no map"):
        inspect("embedding", x, labels=torch.zeros(3))
