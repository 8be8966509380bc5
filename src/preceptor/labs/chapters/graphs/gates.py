"""What the gates of a computational graph cost, and what a graph of the gradient costs."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, above, beyond, exact, lab, told

_SIZES = (16, 32, 64, 128)


def _chained(z: Any) -> Any:
    return 1 / (1 + (-z).exp())


@lab(
    "graphs",
    {
        "one-gate-is-cheaper-than-a-chain": Claim(
            "A sigmoid as one gate has fewer nodes, keeps less memory and takes less time than the chain of "
            "−, exp, + and 1/x, and gives the same gradient.",
            source="Karpathy, CS231n: Backpropagation, Intuitions, 2016",
        )
    },
    data="(x + y) · z as Scalars; 500,000 random numbers as a tensor in float32, forward and backward",
    rule="the graph has fewer nodes, fewer bytes are kept for the backward pass, the mean ratio of seconds "
    "over 30 pairs lies above 1 (Student's t), and gradients agree within 1e-12 (float64) and 1e-6",
)
def fused_sigmoid(setup: Setup) -> Evidence:
    """Count nodes and bytes, and time a sigmoid in one piece and in four."""
    inputs = {"x": 1.0, "y": -3.0, "z": 0.4}
    graphs = {
        "one gate": get("computational-graph", lambda x, y, z: ((x + y) * z).sigmoid(), inputs),
        "chain": get("computational-graph", lambda x, y, z: _chained((x + y) * z), inputs),
    }
    nodes = {name: len(graph["nodes"]) for name, graph in graphs.items()}
    slopes = [graph["gradients"] for graph in graphs.values()]
    generator = torch.Generator().manual_seed(setup.seeds(1)[0])
    z = torch.randn(500_000, generator=generator)
    kept = {name: _kept(f, z) for name, f in (("one gate", torch.sigmoid), ("chain", _chained))}
    one, four = (get("gradient", lambda z, f=f: f(z).sum(), z) for f in (torch.sigmoid, _chained))
    ratios = [_seconds(_chained, z) / _seconds(torch.sigmoid, z) for _ in range(setup.size(30, 200))]
    return Evidence(
        {
            "one-gate-is-cheaper-than-a-chain": [
                beyond("nodes that the chain has more", nodes["chain"] - nodes["one gate"], 0),
                beyond("memory kept by the chain over that by one gate", kept["chain"] / kept["one gate"], 1),
                above("ratio of the seconds, chain over one gate,", ratios, 1.0),
                exact(
                    "gradients of the Scalars", max(abs(slopes[0][n] - slopes[1][n]) for n in inputs), 1e-12
                ),
                exact("gradients of the tensors", float((one - four).abs().max()), 1e-6),
                told("nodes with one gate", nodes["one gate"]),
                told("megabytes kept by one gate", kept["one gate"] / 1e6),
            ]
        },
        Figure(
            "A sigmoid as one gate and as a chain",
            "",
            "count",
            {"nodes of the graph": list(nodes.values()), "megabytes kept": [b / 1e6 for b in kept.values()]},
            list(nodes),
            kind="bars",
        ),
    )


def _kept(f: Callable[[Tensor], Tensor], z: Tensor) -> int:
    """Return the bytes that are kept for the backward pass."""
    bytes_by_place: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        bytes_by_place[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        f(z.clone().requires_grad_())
    return sum(bytes_by_place.values())


def _seconds(f: Callable[[Tensor], Tensor], z: Tensor) -> float:
    began = perf_counter()
    get("gradient", lambda z: f(z).sum(), z)
    return perf_counter() - began


@lab(
    "graphs",
    {
        "graph-of-the-gradient-costs": Claim(
            "A gradient that can be differentiated again costs memory: its own computation is kept too.",
            source="Griewank and Walther, Evaluating Derivatives, 2nd edition, 2008",
        )
    },
    data="tanh networks of three layers, 16 to 128 wide, a batch of 64; gradients with and without a graph",
    rule="at every width the numbers kept with create_graph are more than 1.5 times those without, and the "
    "gradients are the same",
    quick=True,
)
def graph_of_the_gradient(setup: Setup) -> Evidence:
    """Take the gradient of a network with and without create_graph, and count what is kept."""
    seed = setup.seeds(1)[0]
    seen = {
        name: get("sequence-growth", lambda width, g=graph: _stepped(width, g, seed)[0], lengths=_SIZES)
        for name, graph in (("without", False), ("with create_graph", True))
    }
    kept = {name: [int(n) for n in found["memory"]] for name, found in seen.items()}
    ratios = [b / a for a, b in zip(kept["without"], kept["with create_graph"], strict=True)]
    same = max(float((_stepped(w, True, seed)[1] - _stepped(w, False, seed)[1]).abs().max()) for w in _SIZES)
    return Evidence(
        {
            "graph-of-the-gradient-costs": [
                beyond("the least ratio of the numbers kept", min(ratios), 1.5),
                exact("gradients with and without a graph", same),
                told("the largest ratio", max(ratios)),
            ]
        },
        Figure("Numbers kept for a backward pass", "width", "numbers", kept, _SIZES, log="xy"),
    )


def _stepped(width: int, create_graph: bool, seed: int) -> tuple[Tensor, Tensor]:
    """Return what can be differentiated (the loss, or the gradient's norm) and the first layer's gradient."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = nn.Sequential(*(layer for _ in range(3) for layer in (nn.Linear(width, width), nn.Tanh())))
        x = torch.randn(64, width)
    loss = net(x).square().mean()
    slopes = torch.autograd.grad(loss, list(net.parameters()), create_graph=create_graph, retain_graph=True)
    out = torch.stack([s.square().sum() for s in slopes]).sum() if create_graph else loss
    return out, slopes[0].detach()
