from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preceptor.data import load
from preceptor.data._targets import class_name, clean, codes, infer, retarget
from preceptor.errors import ConfigError, DataError

MANY = np.arange(300) % 60


@pytest.mark.parametrize(
    ("targets", "table", "kind"),
    [
        (np.array(["a", "b"]), True, "categories"),
        (np.array([True, False]), True, "categories"),
        (np.array([0, 1, 1, 0]), True, "categories"),
        (np.array([0, 1]), False, "categories"),
        (np.array([3, 4, 5] * 4), True, "categories"),
        (np.array([3.0, 4.0, 5.0] * 4), True, "categories"),
        (np.array([-1, 1] * 3), False, "categories"),
        (np.array([1.5, 2.0] * 50), True, "numbers"),
        (np.array([1, 2, 3, 4]), True, "numbers"),
        (MANY, True, "numbers"),
        (MANY, False, "categories"),
        (MANY.astype(float), False, "numbers"),
        (MANY + 5, False, "numbers"),
        (np.arange(10), False, "numbers"),
        (np.array([0, 1, 2, 2]), False, "categories"),
        (np.zeros((4, 2)), False, "numbers"),
    ],
)
def test_infer(targets: np.ndarray, table: bool, kind: str) -> None:
    found, note = infer(targets, table=table)
    assert found == kind
    assert note.startswith("target: ")


@pytest.mark.parametrize(
    ("given", "dtype", "shape"),
    [
        ([1, 2], "i", (2,)),
        (np.array([1, 2], np.uint8), "i", (2,)),
        ([1.0, 2.0], "f", (2,)),
        (np.array([1, 2], np.float16), "f", (2,)),
        ([[1.0], [2.0]], "f", (2,)),
        ([[1.0, 2.0]], "f", (1, 2)),
        (["a", "b"], "U", (2,)),
        (np.array(["a", "b"], object), "U", (2,)),
        (np.array([True, False], object), "b", (2,)),
        (np.array([1, 2.5], object), "f", (2,)),
    ],
)
def test_clean(given: object, dtype: str, shape: tuple[int, ...]) -> None:
    values = clean(given)
    assert (values.dtype.kind, values.shape) == (dtype, shape)
    assert values.dtype.itemsize == 8 or dtype in "Ub"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([1.0, np.nan, np.inf], r"2 values that are NaN(.|\n)*row 1"),
        (np.array(["a", None, None], object), r"2 missing values(.|\n)*row 1"),
        (np.array(["a", 3], object), r"Python objects(.|\n)*int, str"),
        (np.zeros((2, 3, 4)), r"unusable shape(.|\n)*\(2, 3, 4\)"),
        (np.float64(3), "unusable shape"),
        (np.zeros((3, 0)), "unusable shape"),
        (np.array([1j]), "unusable type"),
        (np.array(["2020-01-01"], "M8[D]"), "unusable type"),
        ([[1], [1, 2]], "do not form an array"),
    ],
)
def test_clean_refuses(given: object, says: str) -> None:
    with pytest.raises(DataError, match=says):
        clean(given)


def test_class_names_do_not_depend_on_the_type() -> None:
    assert {class_name(v) for v in (3, 3.0, "3", np.int64(3), np.float32(3))} == {"3"}
    assert class_name(np.True_) == "True"
    assert class_name(-0.0) == "0"
    with pytest.raises(DataError, match="not classes"):
        class_name(2.5)


@given(st.lists(st.integers(-5, 5), min_size=1))
def test_codes_index_the_classes(values: list[int]) -> None:
    classes = tuple(str(v) for v in sorted(set(values)))
    found = codes(np.array(values), classes)
    assert [classes[code] for code in found] == [str(v) for v in values]
    np.testing.assert_array_equal(found, codes(np.array(values, float), classes))


def test_integers_stand_for_named_classes() -> None:
    assert codes(np.array([2, 0]), ("ant", "bee", "cat")).tolist() == [2, 0]
    with pytest.raises(DataError, match="unknown"):
        codes(np.array([3]), ("ant", "bee", "cat"))


def test_unknown_class_is_named() -> None:
    with pytest.raises(DataError, match=r"2 classes are unknown(.|\n)*ant, bee(.|\n)*'cat', 'dog'"):
        codes(np.array(["ant", "dog", "cat"]), ("ant", "bee"))


@pytest.fixture
def numbers():
    return load((np.arange(8.0)[:, None], np.array([1, 2, 3, 4, 5, 6, 7, 7])))


def test_retarget_both_ways(numbers) -> None:
    assert numbers.target_kind == "numbers"
    classes = retarget(numbers, "categories")
    assert (classes.target_kind, classes.classes) == ("categories", tuple("1234567"))
    assert classes.notes == ("target: read as categories, as asked",)
    back = retarget(classes, "numbers")
    assert (back.target_kind, back.classes) == ("numbers", ())
    assert retarget(numbers, None) is numbers
    assert retarget(numbers, "numbers") is numbers


def test_retarget_refuses(numbers) -> None:
    with pytest.raises(ConfigError, match="target_kind"):
        retarget(numbers, "text")
    with pytest.raises(DataError, match=r"not classes(.|\n)*the value 0.5"):
        retarget(replace(numbers, targets=np.linspace(0.5, 4, 8)), "categories")
    with pytest.raises(DataError, match=r"not classes(.|\n)*\(8, 2\)"):
        retarget(replace(numbers, targets=np.zeros((8, 2))), "categories")
    with pytest.raises(DataError, match="only one class"):
        retarget(replace(numbers, targets=np.full(8, 2)), "categories")
    with pytest.raises(DataError, match=r"not numbers(.|\n)*text"):
        retarget(load("iris"), "numbers")
