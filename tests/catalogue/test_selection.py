"""Choosing the next symbol: distributions held against their definitions, and draws against distributions."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from preceptor.catalogue import get
from preceptor.catalogue.language import Selection, draw, greedy, nucleus, temperature, top_k
from preceptor.errors import ConfigError, ModelError

LOGITS = torch.tensor([[2.0, 1.0, 0.0, -1.0], [0.0, 0.0, 3.0, -2.0]])

rows = st.lists(st.floats(-8, 8, width=32), min_size=2, max_size=12)


def test_temperature_is_the_softmax_of_what_was_divided():
    torch.testing.assert_close(temperature(LOGITS, 0.5), torch.log_softmax(LOGITS / 0.5, -1))
    assert torch.equal(temperature(LOGITS, 0.0), greedy(LOGITS))
    flat = temperature(LOGITS, 1e6).exp()
    torch.testing.assert_close(flat, torch.full_like(flat, 0.25), atol=1e-4, rtol=0)


def test_greedy_takes_the_first_of_equal_ones():
    assert greedy(torch.tensor([1.0, 3.0, 3.0])).exp().tolist() == [0, 1, 0]


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(row=rows, k=st.integers(1, 14))
def test_top_k_keeps_the_k_largest_in_proportion(row: list[float], k: int):
    z = torch.tensor(row)
    p, kept = z.softmax(-1), top_k(z, k).exp()
    least = sorted(row, reverse=True)[min(k, len(row)) - 1]
    inside = z >= least
    torch.testing.assert_close(kept, torch.where(inside, p, 0.0) / p[inside].sum(), atol=1e-5, rtol=1e-4)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(row=rows, p=st.floats(0.0, 1.0))
def test_nucleus_is_the_smallest_set_with_that_share(row: list[float], p: float):
    z = torch.tensor(row)
    share = z.double().softmax(-1)
    kept = nucleus(z, p).exp()
    inside = kept > 0
    assert bool(inside.any())
    assert float(kept.sum()) == pytest.approx(1, abs=1e-5)
    assert float(share[inside].sum()) >= p - 1e-5  # together they hold the share
    rest = share[inside].sort().values[1:]  # and without the least of them they do not
    assert not len(rest) or float(rest.sum()) < p + 1e-5
    assert float(share[inside].min()) >= float(share[~inside].max() if bool((~inside).any()) else 0) - 1e-7


def test_rows_are_chosen_apart_from_each_other():
    for name, options in (("greedy", {}), ("top-k", {"k": 2}), ("nucleus", {"p": 0.8}), ("temperature", {})):
        both = get(name, LOGITS, kind="decoding", **options)
        for i in (0, 1):
            torch.testing.assert_close(both[i], get(name, LOGITS[i], kind="decoding", **options))


def test_draws_have_the_frequencies_of_the_distribution():
    chosen = Selection(temperature=1.3, top_k=3, top_p=0.95)
    logs = chosen.distribution(LOGITS[0])
    drawn = draw(logs.expand(40_000, -1), torch.Generator().manual_seed(0))
    found = torch.bincount(drawn, minlength=4) / 40_000
    for p, share in zip(logs.exp().tolist(), found.tolist(), strict=True):
        assert abs(share - p) <= 4 * math.sqrt(p * (1 - p) / 40_000)


def test_a_seed_decides_the_draws_and_greedy_draws_nothing():
    generators = [torch.Generator().manual_seed(3) for _ in range(2)]
    first, second = ([int(Selection()(LOGITS[:1], g)) for _ in range(20)] for g in generators)
    assert first == second
    before = generators[0].get_state()
    assert Selection(temperature=0.0)(LOGITS, generators[0]).tolist() == [0, 2]
    assert torch.equal(generators[0].get_state(), before)


@pytest.mark.parametrize("wrong", [{"temperature": -1.0}, {"top_k": 0}, {"top_p": 1.5}, {"top_p": "much"}])
def test_wrong_options_are_refused(wrong: dict[str, object]):
    with pytest.raises(ConfigError, match="decoding"):
        Selection(**wrong)  # type: ignore[arg-type]


def test_outputs_that_are_no_numbers_are_refused():
    with pytest.raises(ModelError, match="diverge"):
        Selection()(torch.tensor([[math.nan, 1.0]]))
