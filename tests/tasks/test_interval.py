"""Intervals against scipy, closed forms and their own coverage."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from preceptor.catalogue import entry
from preceptor.errors import ConfigError, DataError
from preceptor.tasks import bootstrap, wilson

MAE, R2 = entry("mae", "metric").factory, entry("r2", "metric").factory


@pytest.mark.slow
@settings(deadline=None, max_examples=100)
@given(n=st.integers(1, 5000), share=st.floats(0, 1), level=st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_wilson_equals_scipy(n: int, share: float, level: float):
    correct = round(share * n)
    expected = binomtest(correct, n).proportion_ci(level, method="wilson")
    low, high = wilson(correct, n, level)
    assert low == pytest.approx(expected.low, abs=1e-9)
    assert high == pytest.approx(expected.high, abs=1e-9)
    assert 0 <= low <= correct / n <= high <= 1


def test_wilson_at_the_ends_has_the_closed_form():
    z2 = 1.959963984540054**2
    assert wilson(0, 10) == (0.0, pytest.approx(z2 / (10 + z2)))
    assert wilson(10, 10) == (pytest.approx(10 / (10 + z2)), 1.0)


@pytest.mark.parametrize(("correct", "n"), [(0, 0), (3, 2), (-1, 5)])
def test_wilson_refuses_what_is_no_share(correct: int, n: int):
    with pytest.raises(DataError, match=f"correct={correct}, n={n}"):
        wilson(correct, n)


@pytest.mark.parametrize("level", [0.0, 1.0, 95, math.nan])
def test_a_level_lies_between_zero_and_one(level: float):
    with pytest.raises(ConfigError, match="between 0 and 1"):
        wilson(1, 2, level)
    with pytest.raises(ConfigError, match="between 0 and 1"):
        bootstrap(MAE, torch.zeros(2), torch.ones(2), level=level)


@pytest.mark.slow
def test_bootstrap_of_a_mean_is_near_the_normal_interval():
    torch.manual_seed(0)
    target = torch.randn(400).abs()
    low, high = bootstrap(MAE, torch.zeros(400), target, draws=2000)
    half = 1.96 * target.std().item() / 20
    assert low == pytest.approx(target.mean().item() - half, abs=0.15 * half)
    assert high == pytest.approx(target.mean().item() + half, abs=0.15 * half)


def test_bootstrap_is_seeded_and_leaves_the_global_generator_alone():
    torch.manual_seed(1)
    target = torch.randn(30, 1)
    output = target + 0.5 * torch.randn(30, 1)
    before = torch.get_rng_state()
    first = bootstrap(R2, output, target, draws=100)
    assert torch.equal(torch.get_rng_state(), before)
    assert bootstrap(R2, output, target, draws=100) == first
    assert bootstrap(R2, output, target, draws=100, seed=1) != first


def test_a_higher_level_gives_a_wider_interval():
    target = torch.arange(20.0)
    inner = bootstrap(MAE, torch.zeros(20), target, level=0.5, draws=200)
    outer = bootstrap(MAE, torch.zeros(20), target, level=0.99, draws=200)
    assert outer[0] < inner[0] < inner[1] < outer[1]


def test_resamples_of_one_example_alone_have_a_value_and_a_measure_without_one_has_no_interval():
    output, target = torch.tensor([1.0, 2.0, 4.0]), torch.tensor([1.0, 2.0, 3.0])
    assert all(math.isfinite(end) for end in bootstrap(R2, output, target, draws=200))
    assert all(math.isnan(end) for end in bootstrap(R2, output[:1], target[:1], draws=5))
    output[1] = math.nan
    assert all(math.isnan(end) for end in bootstrap(MAE, output, target, draws=200))


def test_nothing_to_resample_is_said():
    with pytest.raises(DataError, match="0 outputs, 0 targets"):
        bootstrap(MAE, torch.zeros(0), torch.zeros(0))
    with pytest.raises(DataError, match="3 outputs, 2 targets"):
        bootstrap(MAE, torch.zeros(3), torch.zeros(2))
    with pytest.raises(ConfigError, match="draws"):
        bootstrap(MAE, torch.zeros(2), torch.zeros(2), draws=0)


@pytest.mark.slow
def test_wilson_covers_the_true_share_as_often_as_it_says():
    generator = torch.Generator().manual_seed(2)
    for p in (0.5, 0.9, 0.97):
        draws = (torch.rand(4000, 270, generator=generator) < p).sum(1).tolist()
        covered = sum(low <= p <= high for low, high in (wilson(c, 270) for c in draws)) / 4000
        assert 0.93 < covered < 0.97
