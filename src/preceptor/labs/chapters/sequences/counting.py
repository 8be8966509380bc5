"""Models of language that count: what was never seen, and what smoothing makes of it."""

from __future__ import annotations

import re
from pydoc_data.topics import topics
from typing import Any

import numpy as np

from preceptor.catalogue import get
from preceptor.data.text import Vocabulary
from preceptor.labs import Check, Claim, Evidence, Figure, Setup, above, exact, lab, more, rising, told

_ORDERS = range(1, 6)
_CHEN = "Chen and Goodman, An Empirical Study of Smoothing Techniques for Language Modeling, 1999"


@lab(
    "sequences",
    {
        "n-gram-sparsity": Claim(
            "The number of possible n-grams grows exponentially with n, and most of those that a new text "
            "has were never seen.",
            source=_CHEN,
        ),
        "zero-probabilities": Claim(
            "Relative frequencies give new texts the probability zero; imaginary counts and mixtures of "
            "several orders do not, and a mixture is at least as good as the best single order in it.",
            source="Jelinek and Mercer, Interpolated Estimation of Markov Source Parameters, 1980; " + _CHEN,
        ),
    },
    data="the help texts of Python (pydoc topics), each line once, in small letters, words that occur twice "
    "in training; blocks of 100 lines are held out, a tenth of them to fit on and a tenth to test",
    rule="over three draws of the blocks: the unseen share rises with n, to above one half at n = 5; "
    "the perplexity of relative frequencies is infinite, that of the others finite, and the interpolated "
    "one at most that of every single order with additive smoothing",
)
def counting_words(setup: Setup) -> Evidence:
    """Count n-grams of one part of a text, and look for those of another."""
    unseen, plain, added, mixed = [], [], [], []
    for seed in setup.seeds(3, 10):
        (train, fit, test), size = _parts(seed)
        unseen.append(get("unseen-n-grams", train, test, size, order=5))
        plain.append([get("n-gram", train, size, order=3).perplexity(test)])
        smooth = [get("additive-smoothing", train, size, order=n, k=0.01).perplexity(test) for n in _ORDERS]
        added.append(smooth)
        mixed.append(get("linear-interpolation", train, size, fit, order=5).perplexity(test))
    finite = bool(np.isfinite([*np.ravel(added), *mixed]).all())
    checks = {
        "n-gram-sparsity": [
            rising("unseen share", list(_ORDERS), unseen, least=0.99),
            above("the share of unseen 5-grams", [u[4] for u in unseen], 0.5),
            told("possible 5-grams", f"{float(size) ** 5:.1e}"),
        ],
        "zero-probabilities": [
            Check("relative frequencies: infinite perplexity", bool(np.isinf(plain).all())),
            Check("additive and interpolated: finite perplexity", finite),
            more("perplexity, best smoothed order and mixture", [min(a) for a in added], mixed),
            exact(
                "draws with a single order below the mixture",
                sum(min(a) < m for a, m in zip(added, mixed, strict=True)),
            ),
        ],
    }
    table = [
        {"order": n, "unseen": unseen[0][n - 1], "perplexity, k = 0.01": added[0][n - 1]} for n in _ORDERS
    ]
    figure = Figure(
        "n-grams that were never seen", "n", "share of the test text", {"unseen": unseen}, list(_ORDERS)
    )
    return Evidence(checks, figure, table)


def _parts(seed: int) -> tuple[list[Any], int]:
    """Return ids of the words to count, to fit on and to test on, and how many words there are."""
    text = re.sub(r"([^\w\s])", r" \1 ", "\n".join(topics.values()))
    lines = list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
    blocks = [lines[i : i + 100] for i in range(0, len(lines), 100)]
    order, tenth = np.random.default_rng(seed).permutation(len(blocks)), len(blocks) // 10
    cuts = (order[2 * tenth :], order[:tenth], order[tenth : 2 * tenth])
    parts = [[line for i in cut for line in blocks[i]] for cut in cuts]
    words = Vocabulary.build(parts[0], lower=True, min_count=2, specials=("unknown",))
    return [np.concatenate([words.encode(line) for line in part]) for part in parts], len(words)
