"""The records of a run: what they check, and which predictions count as the worst."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preceptor.errors import DataError
from preceptor.report import Predictions, Setting, worst


def predictions(**changes):
    columns = {name: np.zeros(3) for name in ("target", "predicted", "losses", "rows")}
    return Predictions(**{"kind": "regression", "part": "val", **columns, **changes})


def test_the_length_is_the_number_of_examples():
    assert len(predictions()) == 3


def test_an_unknown_kind_is_named():
    with pytest.raises(DataError, match="kind='ranking'"):
        predictions(kind="ranking")


@pytest.mark.parametrize("column", ["predicted", "losses", "rows", "probabilities"])
def test_lengths_that_differ_are_listed(column):
    with pytest.raises(DataError, match=f"{column}: 4"):
        predictions(**{column: np.zeros(4)})


def test_records_cannot_be_changed():
    setting = Setting("lr", 0.1, 0.01, True)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setting.value = 1.0


@given(st.lists(st.floats(), max_size=40), st.integers(0, 50))
def test_nothing_left_out_is_worse_than_what_is_shown(losses, n):
    values = np.array(losses)
    shown = worst(values, n)
    rest = np.setdiff1d(np.arange(len(values)), shown)
    assert len(shown) == min(n, len(values))
    assert len(set(shown.tolist())) == len(shown)
    badness = np.where(np.isnan(values), np.inf, values)
    assert badness[shown].tolist() == sorted(badness[shown], reverse=True)
    if len(rest) and len(shown):
        assert badness[rest].max() <= badness[shown].min()
