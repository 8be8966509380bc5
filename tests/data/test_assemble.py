from __future__ import annotations

import numpy as np
import pytest

from preceptor.data import Dataset
from preceptor.data._assemble import assemble, named_targets
from preceptor.errors import DataError

X = np.zeros((4, 2))


def made(targets: object, **options: object) -> Dataset:
    return assemble(name="n", origin="o", kind="vectors", inputs=X, targets=targets, **options)


def test_names_replace_indices_and_give_the_order() -> None:
    data = made([1, 0, 1, 1], names=("zebra", "ant"))
    assert data.targets.tolist() == ["ant", "zebra", "ant", "ant"]
    assert data.classes == ("zebra", "ant")


def test_a_class_may_have_no_example() -> None:
    assert made([1, 0, 1, 1], names=("a", "b", "c")).classes == ("a", "b", "c")


def test_names_are_for_indices_only() -> None:
    values = np.array([0.5, 1.5])
    assert named_targets(values, ("a", "b")) is values
    assert named_targets(np.array([0, 1]), ()).tolist() == [0, 1]
    with pytest.raises(DataError, match="class is unknown"):
        named_targets(np.array([0, 2]), ("a", "b"))


def test_lengths_must_agree() -> None:
    with pytest.raises(DataError, match=r"differ in length(.|\n)*4 inputs, 3 targets"):
        made([0, 1, 1])


def test_notes_end_with_what_was_inferred() -> None:
    notes = made([0.5, 1, 2, 3], notes=("first",)).notes
    assert notes == ("first", "target: numbers with fractions, to be predicted as numbers")
