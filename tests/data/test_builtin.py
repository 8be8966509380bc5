from __future__ import annotations

import numpy as np
import pytest

from preceptor.data import load
from preceptor.data._builtin import BUILT_IN


@pytest.mark.parametrize(
    ("name", "kind", "shape", "rows", "classes"),
    [
        ("digits", "images", (1, 8, 8), 1797, tuple("0123456789")),
        ("iris", "vectors", (4,), 150, ("setosa", "versicolor", "virginica")),
        ("wine", "vectors", (13,), 178, ("class_0", "class_1", "class_2")),
        ("breast-cancer", "vectors", (30,), 569, ("malignant", "benign")),
        ("diabetes", "vectors", (10,), 442, ()),
    ],
)
def test_sets(name: str, kind: str, shape: tuple[int, ...], rows: int, classes: tuple[str, ...]) -> None:
    data = load(name)
    assert (data.name, data.kind, data.shape, len(data), data.classes) == (name, kind, shape, rows, classes)
    assert data.origin == f"sklearn:{name}"
    assert data.fingerprint == load(name).fingerprint
    assert data.part is None
    assert len(data.feature_names) == (shape[0] if kind == "vectors" else 0)


@pytest.mark.slow
def test_every_set_is_tested() -> None:
    assert {load(name).name for name in BUILT_IN} == set(BUILT_IN)


def test_digits_stay_small() -> None:
    assert load("digits").inputs.dtype == np.uint8


def test_class_indices_are_those_of_scikit_learn() -> None:
    from sklearn.datasets import load_breast_cancer

    from preceptor.data import Preprocessor

    data = load("breast-cancer")
    codes = Preprocessor.fit(data, np.arange(569)).targets(data.targets)
    np.testing.assert_array_equal(codes.numpy(), load_breast_cancer().target)


def test_diabetes_is_in_its_own_units() -> None:
    data = load("diabetes")
    age = data.inputs[:, data.feature_names.index("age")]
    assert 18 <= age.min() < age.max() <= 80


def test_names_are_forgiving() -> None:
    assert load(" Breast_Cancer ").name == "breast-cancer"
    assert load("iris", name="flowers").name == "flowers"
