"""Word vectors: structure that is recovered from counts, and a word with two meanings."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from preceptor.catalogue import get
from preceptor.catalogue.word_vectors.cooccurrence import Cooccurrences
from preceptor.labs import Claim, Evidence, Figure, Setup, above, lab, more, near

_WORDS, _RANK = 60, 4
_PENNINGTON = "Pennington, Socher and Manning, GloVe: Global Vectors for Word Representation, 2014"


@lab(
    "sequences",
    {
        "planted-vectors": Claim(
            "GloVe recovers the vectors behind counts whose logarithms are their inner products.",
            source=_PENNINGTON,
        ),
        "logarithms-of-counts": Claim(
            "The logarithm tames high counts: factorised as they are, the few largest counts take all of "
            "the rank, and the vectors behind are recovered worse.",
            source=_PENNINGTON,
        ),
    },
    data="60 words with planted vectors of 4 numbers and biases; counts drawn from Poisson distributions "
    "whose log means are inner products plus biases",
    rule="over five seeds, the correlation of fitted with planted inner products, both centred by row and "
    "column: GloVe's above 0.95; that of the factorised logarithms above that of the factorised counts by "
    "more than 0.05",
)
def planted_log_counts(setup: Setup) -> Evidence:
    """Plant vectors, draw counts from them, and fit vectors to the counts."""
    found: dict[str, list[float]] = {"glove": [], "log counts": [], "counts": []}
    for seed in setup.seeds(5, 20):
        draw = np.random.default_rng(seed)
        R = draw.normal(size=(_WORDS, _RANK)) * 0.8
        bias = 2.5 + 0.7 * draw.normal(size=_WORDS)
        counts = draw.poisson(np.exp(R @ R.T + bias[:, None] + bias))
        X = np.triu(counts) + np.triu(counts, 1).T
        rows, columns = np.nonzero(np.triu(X))
        cells = Cooccurrences(
            rows.astype(np.int32), columns.astype(np.int32), X[rows, columns].astype(np.float32), _WORDS
        )
        model = get("glove", cells, dim=_RANK, epochs=setup.size(1000, 3000), lr=0.5, seed=seed % 1000)
        found["glove"].append(_agree(model.log_counts(), R))
        for name, matrix in (("log counts", np.log1p(X)), ("counts", X)):
            F = get("low-rank-factorization", matrix, rank=_RANK + 2)
            found[name].append(_agree(F @ F.T, R))
    checks = {
        "planted-vectors": [above("correlation with what was planted, GloVe", found["glove"], 0.95)],
        "logarithms-of-counts": [
            more("correlation, logarithms and counts", found["log counts"], found["counts"], by=0.05)
        ],
    }
    figure = Figure(
        "Planted inner products, recovered",
        "",
        "correlation",
        {"": np.array(list(found.values())).T.tolist()},
        ["GloVe", "factorised logarithms", "factorised counts"],
        kind="bars",
    )
    return Evidence(checks, figure)


def _agree(fitted: Tensor, R: np.ndarray) -> float:
    """Return the correlation of two tables whose rows' and columns' means, the biases, are taken out."""
    tables = []
    for table in (np.asarray(fitted, dtype=float), R @ R.T):
        centred = table - table.mean(0) - table.mean(1)[:, None] + table.mean()
        tables.append(centred[~np.eye(_WORDS, dtype=bool)])
    return float(np.corrcoef(*tables)[0, 1])


@lab(
    "sequences",
    {
        "one-vector-a-word": Claim(
            "A static vector serves all meanings of a word: that of a word with two lies between the "
            "clusters of both.",
            source="Reisinger and Mooney, Multi-Prototype Vector-Space Models of Word Meaning, 2010",
        ),
    },
    data="6,000 sentences of eight words, each about one of two topics with 20 words of its own; one word "
    "occurs in both, equally often; GloVe vectors of 8 numbers",
    rule="over fifteen seeds, places on the line from the mean of one topic's words, 0, to that of the "
    "other's, 1: the word lies at 0.5 ± 0.15, and every other word within 0.15 of its topic",
    quick=True,
)
def a_word_with_two_meanings(setup: Setup) -> Evidence:
    """Give one word two meanings, and look where its vector lies."""
    places, spread, shown = [], [], None
    for seed in setup.seeds(15, 30):
        vectors = _topics(seed, setup.size(40, 100))
        first, second = vectors[:20].mean(0), vectors[20:40].mean(0)
        along = (vectors - first) @ (second - first) / (second - first).square().sum()
        places.append(float(along[40]))
        spread.append(float((along[:40] - torch.arange(40).div(20, rounding_mode="floor")).abs().max()))
        shown = shown or along.tolist()
    checks = [
        near("the word's place between the topics", places, 0.5, 0.15),
        more("0.15 and the farthest of the other words from its topic", [0.15] * len(spread), spread),
    ]
    figure = Figure(
        "From the mean of one topic to that of the other",
        "word",
        "place between the topics",
        {"words": shown or []},
        list(range(1, 42)),
        kind="points",
        levels={"one topic": 0.0, "the other": 1.0},
    )
    return Evidence({"one-vector-a-word": checks}, figure, note="The last word is the one with two meanings.")


def _topics(seed: int, epochs: int) -> Tensor:
    draw = np.random.default_rng(seed)
    topic = draw.integers(2, size=6000)
    text = topic[:, None] * 20 + draw.integers(20, size=(6000, 8))
    text[np.arange(6000), draw.integers(8, size=6000)] = 40
    lines = np.concatenate([text, np.full((6000, 1), -1)], 1).reshape(-1)
    counts = get("co-occurrence-matrix", lines, 41, window=8, weighting="uniform")
    found: Tensor = get("glove", counts, dim=8, epochs=epochs, lr=0.1, seed=seed % 1000).vectors
    return found
