"""What a model of sequences costs, measured: operations, memory and depth by the length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from preceptor.catalogue._inspection import Inspection, Picture
from preceptor.catalogue._registry import registered
from preceptor.errors import DataError, ModelError

__all__ = ["sequence_growth"]


@registered(
    kind="inspection",
    name="sequence-growth",
    aliases=("measured-sequence-costs", "cost-by-length"),
    formula="for each length T one forward pass: multiply-adds (two flops each), numbers that are kept for "
    "the "
    "backward pass, and the longest chain of operations; their slopes on logarithmic axes",
    shapes="run: T → output, with gradients; lengths → by length, and slopes: 1 grows with T, 2 with T²",
    when="to see what a model will cost on longer sequences, and to check a table of costs",
    pitfalls="fused kernels (torch.nn.LSTM, GRU, RNN) hide their operations and steps: measure the cells; "
    "slopes are of the lengths given, where lower powers still count",
    source="Vaswani et al., Attention Is All You Need, 2017, table 1",
    differs="torch.utils.flop_counter counts operations alone",
    example="""
        >>> W = torch.randn(8, 8, requires_grad=True)
        >>> def recurrence(T):
        ...     h = torch.ones(1, 8)
        ...     for _ in range(T):
        ...         h = (h @ W).tanh()
        ...     return h
        >>> seen = get('sequence-growth', recurrence, lengths=(8, 16, 32))
        >>> seen['operations'], {name: round(s, 1) for name, s in seen['slopes'].items()}
        ([512, 1024, 2048], {'operations': 1.0, 'memory': 1.0, 'sequential': 1.0})
        """,
)
def sequence_growth(run: Callable[[int], Tensor], lengths: Sequence[int] = (16, 32, 64, 128)) -> Inspection:
    """Growth of a model's cost with the length of its sequences."""
    if len(lengths) < 2 or any(not isinstance(T, int) or T < 1 for T in lengths):
        raise DataError(
            "no lengths to compare", expected="two or more of at least 1", received=f"{lengths!r}"
        )
    rows = [_measure(run, T) for T in lengths]
    series = {
        name: [row[at] for row in rows] for at, name in enumerate(("operations", "memory", "sequential"))
    }
    slopes = {name: _slope(lengths, values) for name, values in series.items()}
    said = ", ".join(f"{name} ∝ T^{slope:.2g}" for name, slope in slopes.items())
    return Inspection(
        "Growth with the length",
        said,
        {"lengths": list(lengths), **series, "slopes": slopes},
        (Picture("lines", series, list(lengths), x_label="length", log="xy"),),
    )


def _measure(run: Callable[[int], Tensor], T: int) -> tuple[int, int, int]:
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if (tensor if tensor._base is None else tensor._base).is_leaf:
            return tensor  # weights and inputs are there anyway
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes() // tensor.element_size()
        return tensor

    counter = FlopCounterMode(display=False)
    with torch.enable_grad(), counter, saved_tensors_hooks(keep, lambda tensor: tensor):
        output = run(T)
    if not isinstance(output, Tensor) or output.grad_fn is None:
        raise ModelError(
            "the output has no graph",
            expected="a tensor that depends on weights with gradients",
            received=type(output).__name__,
        )
    return counter.get_total_flops() // 2, sum(kept.values()), _depth(output.grad_fn)


def _depth(node: Any) -> int:
    """Return the number of operations on the longest chain that ends here."""
    depth: dict[Any, int] = {}
    waiting = [node]
    while waiting:
        at = waiting[-1]
        inputs = [n for n, _ in at.next_functions if n is not None and "AccumulateGrad" not in n.name()]
        missing = [n for n in inputs if n not in depth]
        if missing:
            waiting += missing
            continue
        depth[at] = 1 + max((depth[n] for n in inputs), default=0)
        waiting.pop()
    return depth[node]


def _slope(lengths: Sequence[int], values: Sequence[int]) -> float:
    logs = torch.tensor([list(lengths), list(values)], dtype=torch.float64).clamp_min(1e-9).log()
    centred = logs - logs.mean(1, keepdim=True)
    return float((centred[0] * centred[1]).sum() / centred[0].square().sum())
