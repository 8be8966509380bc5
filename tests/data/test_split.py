from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from preceptor.data import Dataset, load, split
from preceptor.errors import ConfigError, DataError


def labelled(labels: list[int]) -> Dataset:
    return replace(
        load((np.zeros((2, 1)), [0, 1])),
        inputs=np.zeros((len(labels), 1)),
        targets=np.array(labels),
        classes=tuple(str(v) for v in sorted(set(labels))),
    )


fractions = st.sampled_from([0.0, 0.1, 0.15, 0.25, 0.4])


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(st.lists(st.integers(0, 4), min_size=2, max_size=120), fractions, fractions, st.integers(0, 2**32 - 1))
def test_a_partition_in_proportion(labels: list[int], val: float, test: float, seed: int) -> None:
    n = len(labels)
    n_val, n_test = (int(f * n + 0.5) for f in (val, test))
    assume(n_val > 0 or val == 0)
    assume(n_test > 0 or test == 0)
    assume(n_val + n_test < n)
    found = split(labelled(labels), val=val, test=test, seed=seed)
    assert sorted(np.concatenate([found.train, found.val, found.test]).tolist()) == list(range(n))
    assert (len(found.val), len(found.test)) == (n_val, n_test)
    if found.stratified:
        y = np.array(labels)
        rest = np.concatenate([found.train, found.val])
        for whole, cut in ((np.arange(n), found.test), (rest, found.val), (rest, found.train)):
            for label in set(labels):
                share = (y[whole] == label).sum() * len(cut) / len(whole)
                assert abs((y[cut] == label).sum() - share) <= 1


@pytest.mark.parametrize("per_class", [3, 7, 20])
def test_stratified_where_every_class_allows_it(per_class: int) -> None:
    found = split(labelled(list(range(5)) * per_class), val=0.34, test=0.33)
    assert found.stratified
    assert found.text.endswith("(stratified, seed 0)")


def test_digits() -> None:
    assert split(load("digits")).text == "1,257/270/270 (stratified, seed 0)"


def test_seed_and_fingerprint() -> None:
    iris = load("iris")
    first, again, other = split(iris, seed=3), split(iris, seed=3), split(iris, seed=4)
    np.testing.assert_array_equal(first.train, again.train)
    assert first.fingerprint == again.fingerprint
    assert len({first.fingerprint, other.fingerprint, split(iris, seed=3, val=0.2).fingerprint}) == 3
    assert first.fingerprint != split(replace(iris, fingerprint="0" * 64), seed=3).fingerprint


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        ([0] * 20 + [1], "not stratified: class '1' is too small"),
        (list(range(10)) * 3, "not stratified: 5 rows for 10 classes"),
    ],
)
def test_plain_where_it_must_be(labels: list[int], why: str) -> None:
    found = split(labelled(labels))
    assert not found.stratified
    assert f"({why}, seed 0)" in found.text


def test_numbers_are_split_at_random() -> None:
    found = split(load("diabetes"))
    assert not found.stratified
    assert found.text == "310/66/66 (random, seed 0)"


def test_empty_parts_on_request() -> None:
    found = split(load("iris"), val=0, test=0)
    assert (len(found.train), len(found.val), len(found.test)) == (150, 0, 0)
    assert found.text == "150/0/0"
    assert split(load("iris"), test=0).text == "127/23/0 (stratified, seed 0)"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (("val", "test"), "110/20/20 (val and test as given)"),
        (("test",), "106/24/20 (test as given, stratified, seed 0)"),
        (("val",), "106/20/24 (val as given, stratified, seed 0)"),
    ],
)
def test_given_parts_are_kept(given: tuple[str, ...], text: str) -> None:
    part = np.full(150, "train")
    for i, name in enumerate(given):
        part[i::15][:10] = name
        part[i + 7 :: 15][:10] = name
    found = split(replace(load("iris"), part=part), val=0.185, test=0.185)
    assert found.text == text
    for name in given:
        np.testing.assert_array_equal(getattr(found, name), np.flatnonzero(part == name))


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"val": 1.0}, ConfigError, "val is not usable"),
        ({"test": -0.1}, ConfigError, "test is not usable"),
        ({"val": 0.5, "test": 0.5}, ConfigError, "nothing is left"),
        ({"seed": -1}, ConfigError, "seed is not usable"),
        ({"val": 0.001}, DataError, r"val part would be empty(.|\n)*val ≥ 0.0033 for 150 rows(.|\n)*val=0"),
        ({"val": float("nan")}, ConfigError, "val is not usable"),
    ],
)
def test_unusable(options: dict[str, float], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        split(load("iris"), **options)


def test_no_training_rows() -> None:
    data = labelled([0, 1])
    with pytest.raises(DataError, match="training part is empty"):
        split(data, val=0.45, test=0.5)
    with pytest.raises(DataError, match="would be empty"):
        split(replace(data, part=np.array(["test", "test"])))
    with pytest.raises(DataError, match="training part is empty"):
        split(replace(data, part=np.array(["test", "test"])), val=0, test=0)
