"""Curves: levels, slopes, trends and forecasts, with the noise that they carry."""

from __future__ import annotations

import math

import numpy as np
import pytest

from preceptor.diagnosis.curve import Curve


def _noise(size: int, deviation: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, deviation, size)


def test_parts_are_shares_of_the_steps_however_dense_the_points() -> None:
    curve = Curve([0, 4, 8, 12, 13, 14, 15], range(7))
    assert curve.part(0.5).steps.tolist() == [8, 12, 13, 14, 15]
    assert curve.part(0.0, 0.5).steps.tolist() == [0, 4]
    assert len(Curve().part(0.5)) == 0


@pytest.mark.parametrize("seed", range(20))
def test_noise_alone_has_neither_slope_nor_trend(seed: int) -> None:
    curve = Curve(range(400), 1 + _noise(400, 0.1, seed))
    assert abs(curve.slope().t) < 4
    assert abs(curve.trend().z) < 4
    assert curve.noise == pytest.approx(0.1, rel=0.25)


def test_a_trend_is_found_whatever_its_shape() -> None:
    values = np.r_[np.full(50, 1.0), np.full(50, 0.9)] + _noise(100, 0.02)
    assert Curve(range(100), values).trend().z < -3
    assert Curve(range(100), -values).trend().z > 3
    assert Curve(range(3), [1, 2, 3]).trend().z == 0


@pytest.mark.parametrize("power", [0.2, 0.5, 1.0])
def test_the_forecast_of_a_power_law(power: float) -> None:
    steps = np.arange(1000)
    curve = Curve(steps, (1.0 + steps) ** -power)
    truth = 1000.0**-power - 2000.0**-power
    assert curve.forecast.ratio == pytest.approx(2**-power, rel=0.05)
    assert curve.forecast.gain == pytest.approx(truth, rel=0.35)
    assert curve.forecast.falling > 10


def test_the_forecast_of_a_line_and_of_one_that_has_settled() -> None:
    steps = np.arange(400)
    line = Curve(steps, 2.0 - steps / 400)
    assert line.forecast.gain == pytest.approx(1.0, rel=0.15)
    assert line.forecast.ratio == pytest.approx(2.0)
    settled = Curve(steps, np.exp(-steps / 20) + 0.5 + _noise(400, 0.01))
    assert settled.forecast.gain < 0.01
    assert Curve(range(5), [5, 4, 3, 2, 1]).forecast.gain == 0


def test_no_more_is_expected_than_is_left() -> None:
    steps = np.arange(100)
    assert Curve(steps, 1.01 - steps / 100).forecast.gain <= 0.02


def test_an_end_that_is_not_finite() -> None:
    curve = Curve(range(20), [*range(19), math.nan])
    assert curve.diverged
    assert curve.first_not_finite == 19
    assert math.isnan(curve.end)
    assert len(curve) == 19
