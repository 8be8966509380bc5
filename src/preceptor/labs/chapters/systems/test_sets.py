"""What a test set tells once it was trained on, or looked at again and again."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, above, lab, more, near, rising
from preceptor.tasks import wilson

_SOURCE = "Goodfellow, Bengio and Courville, Deep Learning, 2016, section 5.3"


@lab(
    "systems",
    {
        "leaked-test-set": Claim(
            "Test examples in the training set inflate the score, the more of them the more.",
            source="Kaufman, Rosset and Perlich, Leakage in Data Mining, 2011",
        ),
    },
    data="300 training and 200 test examples of 100 random numbers with coin-flip labels; 0 to 100 % of the "
    "test examples are in the training set as well; an mlp of 128 hidden units learns all by heart",
    rule="over five seeds the score rises with the share, rank correlation at least 0.95; without a leak it "
    "is 0.5 ± 0.05, with all of them above 0.95",
)
def leaked_examples(setup: Setup) -> Evidence:
    """Put test examples with random labels into the training set."""
    shares = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    scores = [[_score(share, seed) for share in shares] for seed in setup.seeds(5, 20)]
    checks = [
        rising("score with the share of leaked examples", shares, scores, least=0.95),
        near("score without a leak", [row[0] for row in scores], 0.5, 0.05),
        above("score with all leaked", [row[-1] for row in scores], 0.95),
    ]
    figure = Figure(
        "Scores on labels that mean nothing",
        "share of the test set in training",
        "test accuracy",
        {"mlp": scores},
        shares,
        levels={"what is true": 0.5},
    )
    return Evidence({"leaked-test-set": checks}, figure)


def _score(share: float, seed: int) -> float:
    torch.manual_seed(seed)
    x, y = torch.randn(500, 100), torch.randint(2, (500,))
    leaked = round(share * 200)
    rows = torch.cat([torch.arange(200, 500), torch.arange(leaked)])
    net = get("mlp", (100,), 2, kind="architecture", hidden=[128])
    optimizer = get("adam", net.parameters(), kind="optimizer", lr=1e-2)
    for _ in range(30):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
        optimizer.step()
    with torch.no_grad():
        return float((net(x[:200]).argmax(1) == y[:200]).float().mean())


@lab(
    "systems",
    {
        "test-set-used-again": Claim(
            "Who chooses by the test set is no longer told the truth by it: the best of many models that "
            "know nothing looks good there, and is at chance on fresh examples.",
            source=_SOURCE,
        ),
    },
    data="1,000 random linear classifiers, coin-flip labels, 100 test points and 10,000 fresh ones",
    rule="over ten seeds the best score on the test points exceeds 0.6, what is expected of the best of so "
    "many; the same models score 0.5 ± 0.02 on fresh points; the choice shows more than 0.1 too much",
    quick=True,
)
def best_of_a_thousand(setup: Setup) -> Evidence:
    """Choose the best of a thousand random models on one test set."""
    counts = [1, 3, 10, 30, 100, 300, 1000]
    best, fresh = [], []
    for seed in setup.seeds(10, 50):
        draw = np.random.default_rng(seed)
        weights, x, y = draw.normal(size=(1000, 20)), draw.normal(size=(100, 20)), draw.integers(2, size=100)
        scores = ((x @ weights.T > 0) == y[:, None]).mean(0)
        best.append([float(scores[:count].max()) for count in counts])
        new, truth = draw.normal(size=(10_000, 20)), draw.integers(2, size=10_000)
        fresh.append(
            [float(((new @ weights[scores[:count].argmax()] > 0) == truth).mean()) for count in counts]
        )
    low, high = wilson(round(100 * float(np.mean([row[-1] for row in best]))), 100)
    checks = [
        above("best score on the test points", [row[-1] for row in best], 0.6),
        near("the same models' score on fresh points", [row[-1] for row in fresh], 0.5, 0.02),
        more(
            "score of the best, test and fresh", [row[-1] for row in best], [row[-1] for row in fresh], by=0.1
        ),
    ]
    figure = Figure(
        "The best of so many random models",
        "models tried",
        "accuracy",
        {"test": best, "fresh": fresh},
        counts,
        log="x",
        levels={"what is true": 0.5},
    )
    note = f"An interval that knows nothing of the choice would say {low:.2f} to {high:.2f} of the best."
    return Evidence({"test-set-used-again": checks}, figure, note=note)
