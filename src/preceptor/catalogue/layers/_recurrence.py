"""Recurrences over whole sequences: torch's kernels, or cells step after step; padded, stacked, both ways."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from preceptor.catalogue._checks import check_count, check_number
from preceptor.catalogue.layers.cells import Cell
from preceptor.catalogue.layers.sequences import checked_lengths, within
from preceptor.errors import ConfigError

__all__ = ["RECURRENT", "RecurrentLayer", "Unrolled"]

RECURRENT = "weight_hh"  # how the names of recurrent matrices begin, in torch's layers and in our cells


class Unrolled(nn.Module):
    """Cells of one's own, step after step, with the interface of torch's recurrent layers.

    What the inputs contribute is one matrix product for all steps; only the recurrence is a loop.

    Example:
        >>> from preceptor.catalogue.layers import ElmanCell
        >>> layer = Unrolled(ElmanCell, 3, 4, num_layers=2, bidirectional=True)
        >>> y, state = layer(torch.zeros(2, 5, 3))
        >>> y.shape, state.shape
        (torch.Size([2, 5, 8]), torch.Size([4, 2, 4]))
    """

    def __init__(
        self,
        make: Callable[[int, int], Cell],
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        batch_first: bool = True,
    ) -> None:
        super().__init__()
        if not batch_first:
            raise ConfigError(
                "cells go over rows of sequences", expected="batch_first=True", received="False"
            )
        self.directions, self.dropout = 1 + bidirectional, dropout
        wide = self.directions * hidden_size
        self.cells = nn.ModuleList(
            make(wide if layer else input_size, hidden_size)
            for layer in range(num_layers)
            for _ in range(self.directions)
        )

    def forward(self, x: Tensor, state: Any = None, lengths: Tensor | None = None) -> tuple[Tensor, Any]:
        """Run every layer over the sequences; what lies behind an end neither moves a state nor is shown."""
        inside = None if lengths is None else within(lengths.to(x.device), x.shape[1])[..., None]
        ends = []
        for at in range(0, len(self.cells), self.directions):
            if at:
                x = functional.dropout(x, self.dropout, self.training)
            outputs = []
            for d in range(self.directions):
                before = None if state is None else _each(lambda s, i=at + d: s[i], state)
                y, after = _unroll(self.cells[at + d], x, before, inside, backwards=d == 1)
                outputs.append(y)
                ends.append(after)
            x = torch.cat(outputs, -1) if self.directions == 2 else outputs[0]
        if isinstance(ends[0], tuple):
            return x, tuple(torch.stack(parts) for parts in zip(*ends, strict=True))
        return x, torch.stack(ends)


def _each(f: Callable[..., Tensor], *states: Any) -> Any:
    """Apply a function to a state, or to each part of one that has several."""
    if isinstance(states[0], Tensor):
        return f(*states)
    return tuple(f(*parts) for parts in zip(*states, strict=True))


def _unroll(
    cell: Any, x: Tensor, state: Any, inside: Tensor | None, *, backwards: bool
) -> tuple[Tensor, Any]:
    projected = cell.project(x).unbind(1)
    state = cell.start(x[:, 0]) if state is None else state
    T = x.shape[1]
    outputs: list[Any] = [None] * T
    for t in reversed(range(T)) if backwards else range(T):
        after = cell.advance(projected[t], state)
        if inside is not None:
            now = inside[:, t]
            after = _each(lambda new, old, now=now: torch.where(now, new, old), after, state)
        state = after
        outputs[t] = state if isinstance(state, Tensor) else state[0]
    y = torch.stack(outputs, 1)
    return y if inside is None else y * inside, state


class RecurrentLayer(nn.Module):
    """A recurrence over padded sequences, by torch's kernel where it has one, else step by step.

    Attributes:
        recurrence: an `nn.RNN`, `nn.GRU`, `nn.LSTM`, or `Unrolled` cells.
        output_size: width of the outputs.

    Example:
        >>> layer = RecurrentLayer("gru-layer", nn.GRU, 3, 4, bidirectional=True)
        >>> y, state = layer(torch.zeros(2, 5, 3), lengths=torch.tensor([5, 2]))
        >>> y.shape, bool((y[1, 2:] == 0).all())
        (torch.Size([2, 5, 8]), True)
    """

    batch_first = True

    def __init__(
        self,
        owner: str,
        make: Callable[..., nn.Module],
        input_size: int,
        hidden_size: int,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        weight_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        for option, value in (("input_size", input_size), ("hidden_size", hidden_size), ("layers", layers)):
            check_count(owner, option, value)
        between = check_number(owner, "dropout", dropout, 0.0, 1.0) if layers > 1 else 0.0
        self.weight_dropout = check_number(owner, "weight_dropout", weight_dropout, 0.0, 0.999)
        self.recurrence = make(
            input_size,
            hidden_size,
            num_layers=layers,
            batch_first=True,
            bidirectional=bidirectional,
            dropout=between,
        )
        self.directions = 1 + bidirectional
        self.output_size = self.directions * hidden_size

    def forward(self, x: Tensor, state: Any = None, lengths: Tensor | None = None) -> tuple[Tensor, Any]:
        """Return the outputs of all steps, and the state behind each sequence's last.

        Raises:
            DataError: lengths that do not suit the sequences.
        """
        lengths = checked_lengths(lengths, x)
        if self.training and self.weight_dropout:
            with _weights_dropped(self.recurrence, self.weight_dropout):
                return self._run(x, state, lengths)
        return self._run(x, state, lengths)

    def _run(self, x: Tensor, state: Any, lengths: Tensor | None) -> tuple[Tensor, Any]:
        if isinstance(self.recurrence, Unrolled):
            unrolled: tuple[Tensor, Any] = self.recurrence(x, state, lengths)
            return unrolled
        if lengths is None:
            whole: tuple[Tensor, Any] = self.recurrence(x, state)
            return whole
        packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
        y, state = self.recurrence(packed, state)
        return pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])[0], state


@contextmanager
def _weights_dropped(recurrence: nn.Module, p: float) -> Iterator[None]:
    """Silence random recurrent weights for the length of a block: the same ones at every step."""
    whole = [
        (module, name, weight)
        for module in recurrence.modules()
        for name, weight in module._parameters.items()
        if name.startswith(RECURRENT) and weight is not None
    ]
    try:
        for module, name, weight in whole:
            module._parameters[name] = functional.dropout(weight, p)  # type: ignore[assignment]  # not a leaf, for a while
        _flatten(recurrence)
        yield
    finally:
        for module, name, weight in whole:
            module._parameters[name] = weight
        _flatten(recurrence)


def _flatten(recurrence: nn.Module) -> None:
    """Have torch's layers, which keep a list of their weights, look them up again."""
    if isinstance(recurrence, nn.RNNBase):
        recurrence._flat_weights = [getattr(recurrence, name) for name in recurrence._flat_weights_names]
