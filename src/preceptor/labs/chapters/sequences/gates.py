"""What the gates of an LSTM do, and where attention looks."""

from __future__ import annotations

import torch
from torch import Tensor

from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, above, exact, lab

_SETTINGS = {"keep": (0, 1), "add": (1, 1), "erase": (0, 0), "overwrite": (1, 0)}


@lab(
    "sequences",
    {
        "gate-settings": Claim(
            "The gates of a long short-term memory are a memory's four operations: input and forget gate "
            "(0, 1) keep, (1, 1) add, (0, 0) erase, (1, 0) overwrite.",
            source="Hochreiter and Schmidhuber, Long Short-Term Memory, 1997; Gers, Schmidhuber and "
            "Cummins, Learning to Forget, 2000",
        ),
    },
    data="an LSTM cell of 8 units in double precision, whose gates' biases are forced to ±1,000",
    rule="the new memory is C, C + g, 0 and g with an error of at most 1e-12",
    quick=True,
)
def memory_gates(setup: Setup) -> Evidence:
    """Force the gates open and shut, and look at the memory."""
    torch.manual_seed(setup.seed)
    cell = get("lstm-cell", 3, 8).double()
    x, h, C = torch.randn(5, 3).double(), torch.randn(5, 8).double(), torch.randn(5, 8).double()
    errors, after = {}, {}
    for name, (write, keep) in _SETTINGS.items():
        with torch.no_grad():
            cell.bias[:8], cell.bias[8:16] = 2000.0 * write - 1000, 2000.0 * keep - 1000
            _, found = cell(x, (h, C))
            g = (cell.project(x) + h @ cell.weight_hh.T)[:, 16:24].tanh()
        errors[name] = float((found - (keep * C + write * g)).abs().max())
        after[name] = found[0].tolist()
    checks = [exact(f"{name}", error, 1e-12) for name, error in errors.items()]
    figure = Figure(
        "One memory after one step",
        "unit",
        "memory",
        {"before": C[0].tolist(), **after},
        range(1, 9),
        kind="points",
    )
    return Evidence({"gate-settings": checks}, figure)


@lab(
    "sequences",
    {
        "content-addressing": Claim(
            "Attention addresses by content, not by position: where the annotations change places, the "
            "weights change places with them, and the context stays.",
            source="Bahdanau, Cho and Bengio, Neural Machine Translation by Jointly Learning to Align and "
            "Translate, 2015",
        ),
    },
    data="additive and dot-product attention over 12 random annotations in random orders; beside them "
    "annotations with sinusoidal positions added after the reordering",
    rule="weights are permuted as the annotations are, contexts are equal, with an error of at most 1e-12; "
    "with positions added they differ by more than 0.001",
    quick=True,
)
def addressing_by_content(setup: Setup) -> Evidence:
    """Reorder what attention reads."""
    apart, moved, differ, shown = 0.0, 0.0, [], ([0.0], [0.0])
    positions = get("sinusoidal-positions")
    for seed in setup.seeds(10, 100):
        torch.manual_seed(seed)
        query, keys, order = torch.randn(1, 1, 8).double(), torch.randn(1, 12, 8).double(), torch.randperm(12)
        for attention in (get("additive-attention", 8, 8, hidden=16).double(), get("dot-product-attention")):
            context, weights = attention(query, keys)
            other, permuted = attention(query, keys[:, order])
            moved = max(moved, _apart(weights[..., order], permuted))
            apart = max(apart, _apart(context, other))
            shown = (weights.flatten().tolist(), permuted.flatten().tolist())
        _, placed = attention(query, positions(keys))
        _, elsewhere = attention(query, positions(keys[:, order]))
        differ.append(_apart(placed[..., order], elsewhere))
    checks = [
        exact("weights beside the permuted ones", moved, 1e-12),
        exact("contexts", apart, 1e-12),
        above("change of the weights once positions are added", differ, 0.001),
    ]
    figure = Figure(
        "Weights of the same annotations in two orders",
        "place",
        "weight",
        {"before": shown[0], "reordered": shown[1]},
        range(1, 13),
        kind="bars",
    )
    return Evidence({"content-addressing": checks}, figure)


def _apart(a: Tensor, b: Tensor) -> float:
    return float((a - b).detach().abs().max())
