"""Truncated back-propagation through time: a long sequence in chunks, the state carried and cut."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from preceptor.catalogue._checks import check_count
from preceptor.catalogue._registry import registered

__all__ = ["detached", "truncated_bptt"]


@registered(
    kind="derivative",
    name="truncated-bptt",
    aliases=("truncated-backpropagation-through-time", "stateful-bptt", "trunc-bptt", "tbptt"),
    formula="for each chunk of `length` steps: (y, s) = rnn(x_chunk, s₀); loss(y) is back-propagated "
    "through the chunk; then s₀ ← s, cut from the graph",
    shapes="rnn, x (N, T, D) with batch_first, (T, N, D) without → pairs (y, state) of ⌈T/length⌉ chunks",
    when="sequences too long for memory: its use grows with the chunk, not with the sequence",
    pitfalls="no gradient reaches beyond a chunk: what depends on longer lags is not learned from it; the "
    "state's values still pass",
    source="Williams and Peng, An Efficient Gradient-Based Algorithm for On-Line Training of Recurrent "
    "Network Trajectories, 1990",
    example="""
        >>> rnn, x = torch.nn.RNN(3, 4, batch_first=True), torch.randn(2, 10, 3)
        >>> [tuple(y.shape) for y, state in get('truncated-bptt', rnn, x, length=4)]
        [(2, 4, 4), (2, 4, 4), (2, 2, 4)]
        """,
)
def truncated_bptt(
    rnn: nn.Module, x: Tensor, state: Any = None, length: int = 35
) -> Iterator[tuple[Tensor, Any]]:
    """Truncated back-propagation through time: chunks with a carried state that is cut between them."""
    check_count("truncated-bptt", "length", length)
    return _chunks(rnn, x, state, length)


def _chunks(rnn: nn.Module, x: Tensor, state: Any, length: int) -> Iterator[tuple[Tensor, Any]]:
    time = 1 if getattr(rnn, "batch_first", False) else 0
    for chunk in torch.split(x, length, time):
        y, state = rnn(chunk, state)
        state = detached(state)
        yield y, state


def detached(state: Any) -> Any:
    """Return a state, of one tensor or several, cut from the graph that made it.

    Example:
        >>> import torch
        >>> h, c = detached((torch.ones(1, requires_grad=True), torch.zeros(1)))
        >>> h.requires_grad
        False
    """
    if isinstance(state, Tensor):
        return state.detach()
    return None if state is None else type(state)(detached(part) for part in state)
