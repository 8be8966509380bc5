import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preceptor.observation.series import Series


def filled(values: Any, *, cap: int = 4096) -> Series:
    series = Series("loss", "train", cap=cap)
    for step, value in enumerate(values):
        series.append(step, value)
    return series


def test_points_come_back_as_they_were() -> None:
    series = filled([1.5, -2.0, math.inf])
    assert series.steps.tolist() == [0, 1, 2]
    assert series.steps.dtype == np.int64
    assert series.values.tolist() == series.low.tolist() == series.high.tolist() == [1.5, -2.0, math.inf]
    assert series.values.dtype == np.float64
    assert series.counts.tolist() == [1, 1, 1]
    assert not series.thinned
    assert list(series) == [(0, 1.5), (1, -2.0), (2, math.inf)]
    assert series[-1] == (2, math.inf)
    assert repr(series) == "Series('loss' of 'train': 3 points, steps 0 to 2)"


def test_empty() -> None:
    series = Series("loss")
    assert not series
    assert math.isnan(series.last)
    assert len(series[:]) == len(series.finite) == len(series.between(0, 9)) == 0
    assert series.steps.dtype == np.int64
    assert repr(series) == "Series('loss': 0 points)"


def test_slices() -> None:
    series = filled([0.0, math.nan, 2.0, math.inf, 4.0])
    assert series[1:4].steps.tolist() == [1, 2, 3]
    assert series.between(2, 3).steps.tolist() == [2, 3]
    assert series.finite.steps.tolist() == [0, 2, 4]
    assert series[::2].last == 4.0


def test_a_slice_does_not_grow_nor_change_its_source() -> None:
    series = filled([1.0, 2.0])
    part = series[:]
    series.append(2, 3.0)
    assert len(part) == 2
    part.append(7, 9.0)
    assert part.last == 9.0
    assert series.steps.tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="read-only"):
        series.values[0] = 5.0


def test_what_is_no_number_leaves_nothing_behind() -> None:
    series = filled([1.0])
    with pytest.raises(TypeError):
        series.append(1, "a")  # type: ignore[arg-type]
    with pytest.raises(OverflowError):
        series.append(1, 10**400)
    with pytest.raises(TypeError):
        series.append(1.5, 2.0)  # type: ignore[arg-type]
    series.append(1, True)
    assert list(series) == [(0, 1.0), (1, 1.0)]


@pytest.mark.slow
def test_a_million_points_stay_within_the_cap() -> None:
    series = filled(range(1_000_000))
    assert len(series) <= 4096
    assert series.thinned
    assert series.nbytes < 128 << 10
    assert int(series.counts.sum()) == 1_000_000
    assert (series.steps == series.low).all()
    assert (series.steps + series.counts - 1 == series.high).all()
    assert series.values == pytest.approx((series.low + series.high) / 2, rel=1e-15)
    assert (np.diff(series.steps) == series.counts[:-1]).all()
    merged = series.counts[series.counts > 1]
    assert set(merged[:-1]) == {series.stride}, "every part of the run is thinned alike"
    assert (series.counts[-1000:] == 1).all(), "the newest points stay as measured"
    assert series.last == 999_999.0


def test_nan_and_infinity_survive_thinning() -> None:
    values = np.ones(100_000)
    values[40_000], values[60_000], values[80_000:80_002] = np.nan, np.inf, (np.inf, -np.inf)
    series = filled(values)
    assert len(series) <= 4096
    (bad,) = np.flatnonzero(np.isnan(series.values[series.steps < 50_000]))
    assert series.steps[bad] <= 40_000 < series.steps[bad] + series.counts[bad]
    assert series.low[bad] == series.high[bad] == 1.0, "what else was in the bucket is still known"
    assert np.isinf(series.high[series.steps <= 60_000][-1])
    assert np.isnan(series.values[series.steps <= 80_000][-1])
    assert (series.finite.values == 1.0).all()


def test_all_nan_is_nan_throughout() -> None:
    series = filled([math.nan] * 1000, cap=16)
    assert np.isnan(series.values).all()
    assert np.isnan(series.low).all()


@pytest.mark.parametrize("value", [0.1, 1e308, -1e308, 5e-324, -0.3])
def test_a_constant_stays_that_constant(value: float) -> None:
    series = filled([value] * 1237, cap=16)
    assert set(series.values) == set(series.low) == set(series.high) == {value}


@pytest.mark.slow
@given(st.lists(st.floats(-1e6, 1e6), max_size=400), st.integers(16, 40))
def test_merging_keeps_count_mean_and_extremes(values: list[float], cap: int) -> None:
    series = filled(values, cap=cap)
    steps, means, low, high, counts = series.columns()
    assert len(series) <= cap
    assert int(counts.sum()) == len(values)
    starts = np.cumsum(counts) - counts
    assert steps.tolist() == starts.tolist()
    for i, (start, count) in enumerate(zip(starts, counts, strict=True)):
        part = values[start : start + count]
        assert low[i] == min(part)
        assert high[i] == max(part)
        assert means[i] == pytest.approx(math.fsum(part) / len(part), rel=1e-12, abs=1e-6)


def test_shrinking_and_growing_on() -> None:
    series = filled(range(3000))
    series.shrink(100)
    assert len(series) <= 100
    for step in range(3000, 5000):
        series.append(step, step)
    assert len(series) <= 100
    assert int(series.counts.sum()) == 5000
    assert series.values[0] == (series.low[0] + series.high[0]) / 2


def test_a_copy_of_a_thinned_series_goes_on() -> None:
    series = filled(range(5000), cap=64)
    copy = series.copy()
    for step in range(5000, 9000):
        copy.append(step, step)
    assert len(copy) <= 64
    assert int(copy.counts.sum()) == 9000
    assert int(series.counts.sum()) == 5000
