"""What recurrence, attention and convolution cost as sequences grow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, exact, lab, slope, told

_WIDTH = 16


@lab(
    "sequences",
    {
        "sequential-operations": Claim(
            "A recurrent net takes as many operations one after the other as there are steps; attention and "
            "causal convolutions a number that does not depend on the length.",
            source="Vaswani et al., Attention Is All You Need, 2017, table 1",
        ),
        "attention-is-quadratic": Claim(
            "The operations of recurrence and convolution grow with the length, those of attention among "
            "all pairs of steps with its square.",
            source="Vaswani et al., Attention Is All You Need, 2017, table 1",
            instead_of="Every model takes k² d t operations, attention k² d t²: the quadratic part does not "
            "multiply the weights.",
        ),
    },
    data="one layer of 16 units each: an Elman cell, self-attention of scores and contexts, a causal "
    "convolution of width 3; multiply-adds and the longest chain of the graph are counted",
    rule="the exponents of the length over 64 to 512 steps are 1 for the recurrence's chain and 0 for the "
    "others', 1 for the operations of recurrence and convolution and 2 for attention's, within 0.1",
    quick=True,
)
def cost_by_length(setup: Setup) -> Evidence:
    """Count operations, and chains of them, at several lengths."""
    torch.manual_seed(setup.seed)
    lengths = setup.size((64, 128, 256, 512), (64, 128, 256, 512, 1024))
    seen = {name: get("sequence-growth", run, lengths=lengths) for name, run in _runs().items()}
    chains = {name: one["sequential"] for name, one in seen.items()}
    counts = {name: one["operations"] for name, one in seen.items()}
    flat = max(max(chains[name]) - min(chains[name]) for name in ("attention", "convolution"))
    table = [
        {"model": name, "length": T, "operations": counts[name][i], "sequential": chains[name][i]}
        for name in seen
        for i, T in enumerate(lengths)
    ]
    said = get("sequence-costs", t=512, k=_WIDTH)
    checks = {
        "sequential-operations": [
            slope("longest chain of the recurrence", lengths, chains["recurrence"], 1, 0.1),
            exact("change of the others' longest chain", flat),
            told(
                "steps between the ends, recurrence and attention",
                f"{said['rnn'].path}, {said['self-attention'].path}",
            ),
        ],
        "attention-is-quadratic": [
            slope("operations of the recurrence", lengths, counts["recurrence"], 1, 0.1),
            slope("operations of the convolution", lengths, counts["convolution"], 1, 0.1),
            slope("operations of attention", lengths, counts["attention"], 2, 0.1),
        ],
    }
    figure = Figure("Multiply-adds by length", "steps", "multiply-adds", counts, list(lengths), log="xy")
    return Evidence(checks, figure, table)


def _runs() -> dict[str, Callable[[int], Tensor]]:
    cell: Any = get("rnn-cell", _WIDTH, _WIDTH)
    convolution: Any = get("causal-convolution", _WIDTH, _WIDTH, kernel=3)
    attention: Any = get("dot-product-attention")

    def recurrence(T: int) -> Tensor:
        h = torch.zeros(1, _WIDTH)
        for x in torch.randn(T, 1, _WIDTH):
            h = cell(x, h)
        return h

    def attended(T: int) -> Tensor:
        x = torch.randn(1, T, _WIDTH, requires_grad=True)
        context: Tensor = attention(x, x)[0]
        return context

    return {
        "recurrence": recurrence,
        "attention": attended,
        "convolution": lambda T: convolution(torch.randn(1, _WIDTH, T)),
    }
