from __future__ import annotations

import numpy as np
import pytest

from preceptor.observation.probes._relation import Specimens, directions, distance_correlation, relation

_REJECTS = 3.84


def _statistic(found: dict[str, float]) -> float:
    return found["rows"] * found["correlation"] + 1


def _plain_correlation(x: np.ndarray, y: np.ndarray) -> float:
    """The bias-corrected squared distance correlation, element by element as it is defined."""
    n = len(x)
    matrices = []
    for values in (x, y):
        d = np.array([[np.linalg.norm(values[i] - values[j]) for j in range(n)] for i in range(n)])
        u = np.zeros((n, n))
        for i in range(n):
            for j in range(n):
                if i != j:
                    u[i, j] = (
                        d[i, j]
                        - d[i].sum() / (n - 2)
                        - d[:, j].sum() / (n - 2)
                        + d.sum() / ((n - 1) * (n - 2))
                    )
        matrices.append(u)
    a, b = matrices
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def test_distance_correlation_is_as_defined() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 3)), rng.normal(size=(12, 2))
    y[:, 0] += x[:, 0]
    a, b = (np.linalg.norm(v[:, None] - v[None], axis=-1) for v in (x, y))
    assert distance_correlation(a, b) == pytest.approx(_plain_correlation(x, y), abs=1e-12)
    assert distance_correlation(np.zeros((5, 5)), np.zeros((5, 5))) == 0.0


def test_the_test_of_independence_holds_its_level_and_sees_dependence() -> None:
    rng = np.random.default_rng(1)
    rejected = 0
    for _ in range(200):
        found = relation(rng.normal(size=(60, 5)), rng.integers(0, 3, (60, 1)).astype(float), labels=True)
        rejected += _statistic(found) > _REJECTS
    assert rejected <= 20  # of 200 at a level of 0.05
    x = rng.normal(size=(100, 5))
    linear = (x[:, :1] + 0.5 * rng.normal(size=(100, 1)) > 0).astype(float)
    circle = (np.square(x[:, :2]).sum(1, keepdims=True) > 1.4).astype(float)
    for y, labels in ((linear, True), (circle, True), (x[:, :1] ** 2, False)):
        assert _statistic(relation(x, y, labels=labels)) > _REJECTS


def test_neighbours_see_what_distance_correlation_hardly_does() -> None:
    rng = np.random.default_rng(2)
    x = rng.uniform(-1, 1, (200, 2))
    found = relation(x, ((x[:, :1] > 0) ^ (x[:, 1:] > 0)).astype(float), labels=True)
    assert found["near"] < found["apart"] - 4 * found["spread"]
    strangers = relation(x, rng.integers(0, 2, (200, 1)).astype(float), labels=True)
    assert strangers["near"] > strangers["apart"] - 3 * strangers["spread"]


def test_columns_of_any_size_count_alike() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(80, 2))
    y = x[:, :1] + 0.1 * rng.normal(size=(80, 1))
    scaled = relation(x * np.array([1e-6, 1e6]), y * 1e5, labels=False)
    plain = relation(x, y, labels=False)
    assert scaled["correlation"] == pytest.approx(plain["correlation"], rel=1e-9)
    assert plain["distinct"] == [80, 80]


def test_odd_pairs() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(20, 3)), np.zeros((20, 1))
    assert "correlation" not in relation(x, y, labels=True)  # one class
    assert "correlation" not in relation(np.ones((20, 3)), rng.normal(size=(20, 1)), labels=False)
    assert relation(np.full((20, 3), np.nan), y, labels=True)["rows"] == 0
    x[3, 1] = np.inf
    assert relation(x, np.arange(20.0)[:, None] % 2, labels=True)["rows"] == 19
    assert directions(rng.normal(size=(500, 4))) == pytest.approx(4, rel=0.05)
    same = rng.normal(size=(500, 1)) * np.ones((1, 4))
    assert directions(same) == pytest.approx(1)


def test_specimens_are_kept_once_and_told_as_more_come() -> None:
    rng, specimens, told = np.random.default_rng(5), Specimens(), []
    for start in range(0, 400, 20):
        rows, aims = rng.normal(size=(20, 3)), np.arange(20.0)[:, None] % 2
        specimens.add([*range(start, start + 20)], rows, aims, True)
        specimens.add([start], np.zeros((1, 3)), np.ones((1, 1)), True)
        found = specimens.tell()
        told += [found["rows"]] if found is not None else []
        assert (specimens.inputs[min(start, 255)] != 0).all()
    assert told == [20, 40, 80, 140, 256]
    assert specimens.full
    specimens.add([999], np.ones((1, 3)), np.ones((1, 1)), True)
    assert specimens.count == 256


def test_specimens_of_another_width_are_left_out() -> None:
    specimens = Specimens()
    specimens.add([1], np.ones((1, 3)), np.ones((1, 1)), True)
    specimens.add([2], np.ones((1, 4)), np.ones((1, 1)), True)
    specimens.add([3], np.ones((1, 3)), np.ones((1, 2)), True)
    assert specimens.count == 1
