"""Likelihoods and language: the printed form fails, the right one holds."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import torch

from preceptor.catalogue import get

TEXT = "the fat cat saw the cat and the cat saw the fat dog and the fat cat"
X = torch.tensor([1.0, 2.0, 6.0], dtype=torch.float64)


def density(x: torch.Tensor, mean: float) -> torch.Tensor:
    return get("log-likelihood", x.reshape(-1), torch.tensor([mean, 1.0]))


def test_likelihood_index():
    grid = [m / 10 for m in range(71)]
    right = max(grid, key=lambda m: sum(density(X[i], m) for i in range(3)))
    printed = max(grid, key=lambda m: sum(density(X[0], m) for _ in range(3)))
    assert right == 3.0 == get("mle", X)[0]
    assert printed == 1.0


def test_joint_called_likelihood():
    def likelihood(theta: torch.Tensor) -> torch.Tensor:
        return -(X - theta).square().sum() / 2

    start = torch.zeros(1)
    joint = get("map", likelihood, start, prior="gaussian").item()
    assert abs(get("map", likelihood, start, prior="uniform").item() - 3.0) < 1e-9
    assert abs(joint - 9 / 4) < 1e-9


def test_markov_context_repeats():
    def seen(sentence: str, back: tuple[int, ...]) -> tuple[str, ...]:
        words = sentence.split()
        return tuple(words[-1 - b] for b in back)

    one, other = "a fat cat sat", "the fat cat sat"
    assert seen(one, (2, 1, 2)) == seen(other, (2, 1, 2))
    assert seen(one, (3, 2, 1)) != seen(other, (3, 2, 1))


def test_trigram_count_ratio():
    words = TEXT.split()
    two = Counter(pairwise(words))
    three = Counter(zip(words, words[1:], words[2:], strict=False))
    assert two["the", "cat"] / two["the", "fat"] == 2 / 3
    assert three["the", "fat", "cat"] / two["the", "fat"] == 2 / 3
    followers = {w for a, b, w in three if (a, b) == ("the", "fat")}
    assert sum(three["the", "fat", w] for w in followers) == two["the", "fat"]
    words += ["the", "cat"] * 4
    two = Counter(pairwise(words))
    assert two["the", "cat"] / two["the", "fat"] > 1


def test_glove_exponent():
    weight = {power: (50 / 100) ** power for power in (2, 0.75)}
    assert weight[2] == 0.25
    assert round(weight[0.75], 4) == 0.5946


def test_glove_raw_counts():
    torch.manual_seed(0)
    r, b = torch.randn(12, 2, dtype=torch.float64), torch.randn(12, dtype=torch.float64)
    log_counts = r @ r.T + b[:, None] + b
    spread = [torch.linalg.svdvals(m) for m in (log_counts, log_counts.exp())]
    assert (spread[0] / spread[0][0])[4:].max() < 1e-12  # two factors, and one for each bias
    assert (spread[1] / spread[1][0])[4] > 1e-6
