"""Slicing, CSV round trip, and the best row."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from preceptor.errors import UnknownName
from preceptor.training import History

ROWS = [{"epoch": 1, "val_loss": 0.5, "lr": 0.1}, {"epoch": 2, "val_loss": 0.25, "val_accuracy": 0.9}]


def test_slices() -> None:
    history = History(ROWS)
    assert history[0] == ROWS[0]
    assert history[-1, "val_loss"] == 0.25
    assert history[:, "val_accuracy"] == [None, 0.9]
    assert history["lr"] == [0.1, None]
    assert history[1:] == [ROWS[1]]
    assert len(history) == 2
    assert list(history) == ROWS
    assert history.keys() == ["epoch", "val_loss", "lr", "val_accuracy"]


def test_an_unknown_key_suggests_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'val_loss'"):
        History(ROWS)[-1, "val_los"]


@pytest.mark.slow
@given(values=st.lists(st.floats() | st.none() | st.integers(), min_size=1, max_size=5))
def test_csv_round_trip_is_exact(values: list[float | int | None]) -> None:
    history = History([{"epoch": i, "v": v} for i, v in enumerate(values)])
    back = History.from_csv(history.to_csv())
    for value, read in zip(values, back[:, "v"], strict=True):
        if isinstance(value, float) and math.isnan(value):
            assert math.isnan(read)
        else:
            assert read == value
            assert type(read) is type(value)


@pytest.mark.parametrize(("mode", "best"), [("min", 1), ("max", 0)])
def test_best_passes_over_what_is_not_finite(mode: str, best: int) -> None:
    history = History([{"v": 3.0}, {"v": 1.0}, {"v": math.nan}, {"v": -math.inf}, {"v": None}, {}])
    assert history.best("v", mode) == best
    assert history.best("absent", mode) is None


def test_without_leaves_out_keys() -> None:
    assert History([{"epoch": 1, "seconds": 3.0}]).without("seconds") == [{"epoch": 1}]
