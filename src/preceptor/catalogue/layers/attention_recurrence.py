"""A recurrence that looks back at an encoder's annotations at every step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from preceptor.catalogue._checks import check_choice
from preceptor.catalogue._registry import registered
from preceptor.catalogue.layers.attention import AdditiveAttention
from preceptor.catalogue.layers.cells import Cell, ElmanCell, GRUCell, LSTMCell

__all__ = ["AttentionRecurrence"]

_CELLS: dict[str, Callable[[int, int], Cell]] = {"gru": GRUCell, "lstm": LSTMCell, "rnn": ElmanCell}


@registered(
    kind="layer",
    name="attention-rnn",
    aliases=("attention", "attention-decoder", "attentional-rnn"),
    formula="c_i = Σ_j a_ij h⁽ʲ⁾, a_ij = softmax_j(vᵀ tanh(W s_{i−1} + U h⁽ʲ⁾)); s_i = cell([x_i, c_i], "
    "s_{i−1}); "
    "output [s_i, c_i]",
    shapes="x (N, T, input_size), annotations (N, S, memory_size), mask (N, 1, S) or None, state or None → "
    "outputs (N, T, hidden_size + memory_size), weights (N, T, S), the last state",
    when="the decoder of a translation, summary or transcription: every step reads where it needs to, over a "
    "path of constant length",
    pitfalls="padding of the source needs its mask; the weights show what was read, not why an output was "
    "chosen",
    source="Bahdanau, Cho and Bengio, Neural Machine Translation by Jointly Learning to Align and Translate, "
    "2015",
    differs="the paper's readout, a maxout over state, context and previous word, is left to what follows",
    example=">>> layer = get('attention-rnn', 3, 4, memory_size=6)\n"
    ">>> outputs, weights, state = layer(torch.zeros(2, 5, 3), torch.randn(2, 7, 6))\n"
    ">>> outputs.shape, weights.shape\n(torch.Size([2, 5, 10]), torch.Size([2, 5, 7]))",
    traits={"arguments": (3, 4), "takes": (2, 5, 3), "beside": (2, 3, 4), "gives": (2, 5, 8)},
)
class AttentionRecurrence(nn.Module):
    """Attention RNN: at every step a context, the weighted mean of annotations, joins the input."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        memory_size: int | None = None,
        attention: int = 32,
        cell: str = "gru",
    ) -> None:
        super().__init__()
        memory = hidden_size if memory_size is None else memory_size
        make = _CELLS[check_choice("attention-rnn", "cell", cell, tuple(_CELLS))]
        self.attention = AdditiveAttention(hidden_size, memory, attention)
        self.cell = make(input_size + memory, hidden_size)
        self.output_size = hidden_size + memory

    def forward(
        self, x: Tensor, annotations: Tensor, mask: Tensor | None = None, state: Any = None
    ) -> tuple[Tensor, Tensor, Any]:
        """Run over the inputs; the state of a step is its query."""
        prepared = self.attention.key(annotations)  # once for all steps
        state = self.cell.start(x[:, 0]) if state is None else state
        outputs, looks = [], []
        for step in x.unbind(1):
            query = state if isinstance(state, Tensor) else state[0]
            context, weights = self.attention.read(query[:, None], prepared, annotations, mask)
            state = self.cell(torch.cat([step, context[:, 0]], -1), state)
            shown = state if isinstance(state, Tensor) else state[0]
            outputs.append(torch.cat([shown, context[:, 0]], -1))
            looks.append(weights[:, 0])
        return torch.stack(outputs, 1), torch.stack(looks, 1), state
