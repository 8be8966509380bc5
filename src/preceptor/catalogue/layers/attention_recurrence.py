"""A recurrence that looks back at an encoder's annotations at every step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from preceptor.catalogue._checks import check_choice
from preceptor.catalogue._registry import registered
from preceptor.catalogue.layers.attention import AdditiveAttention, DotProductAttention
from preceptor.catalogue.layers.cells import Cell, ElmanCell, GRUCell, LSTMCell

__all__ = ["AttentionRecurrence"]

_CELLS: dict[str, Callable[[int, int], Cell]] = {"gru": GRUCell, "lstm": LSTMCell, "rnn": ElmanCell}


class _General(nn.Module):
    """Dot products of a state with keys of its own width, made from the annotations."""

    def __init__(self, query_size: int, key_size: int) -> None:
        super().__init__()
        self.key = nn.Linear(key_size, query_size, bias=False)
        self.compare = DotProductAttention()

    def forward(
        self, query: Tensor, annotations: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        return self.read(query, self.key(annotations), annotations, mask)

    def read(
        self, query: Tensor, prepared: Tensor, values: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        read: tuple[Tensor, Tensor] = self.compare(query, prepared, values, mask)
        return read


@registered(
    kind="layer",
    name="attention-rnn",
    aliases=("attention", "attention-decoder", "attentional-rnn"),
    formula="c_i = Σ_j a_ij h⁽ʲ⁾, a_ij = softmax_j(e_ij), e_ij = vᵀ tanh(W s_{i−1} + U h⁽ʲ⁾) for "
    "score='additive', s_{i−1} · U h⁽ʲ⁾ / √hidden_size for 'dot-product'; s_i = cell([x_i, c_i], s_{i−1}); "
    "output [s_i, c_i]",
    shapes="x (N, T, input_size), annotations (N, S, memory_size), mask (N, 1, S) or None, state or None → "
    "outputs (N, T, hidden_size + memory_size), weights (N, T, S), the last state",
    when="the decoder of a translation, summary or transcription: every step reads where it needs to, over a "
    "path of constant length",
    pitfalls="padding of the source needs its mask; the weights show what was read, not why an output was "
    "chosen",
    source="Bahdanau, Cho and Bengio, Neural Machine Translation by Jointly Learning to Align and Translate, "
    "2015; dot products: Luong, Pham and Manning, Effective Approaches to Attention-based Neural Machine "
    "Translation, 2015",
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
        score: str = "additive",
    ) -> None:
        super().__init__()
        owner, memory = "attention-rnn", hidden_size if memory_size is None else memory_size
        make = _CELLS[check_choice(owner, "cell", cell, tuple(_CELLS))]
        additive = check_choice(owner, "score", score, ("additive", "dot-product")) == "additive"
        self.attention: AdditiveAttention | _General = (
            AdditiveAttention(hidden_size, memory, attention) if additive else _General(hidden_size, memory)
        )
        self.cell = make(input_size + memory, hidden_size)
        self.input_size, self.output_size = input_size, hidden_size + memory

    def prepare(self, annotations: Tensor) -> tuple[Tensor, Tensor]:
        """Return what every step needs of the annotations: their keys, and what each adds to the gates.

        A context adds to the gates the weighted mean of what its annotations add, which are computed once.
        """
        keys: Tensor = self.attention.key(annotations)
        return keys, functional.linear(annotations, self.cell.weight_ih[:, self.input_size :])

    def forward(
        self,
        x: Tensor,
        annotations: Tensor,
        mask: Tensor | None = None,
        state: Any = None,
        prepared: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor, Any]:
        """Run over the inputs; the state of a step is its query."""
        keys, adds = self.prepare(annotations) if prepared is None else prepared
        inputs = functional.linear(x, self.cell.weight_ih[:, : self.input_size], self.cell.bias)
        state = self.cell.start(x[:, 0]) if state is None else state
        states, looks = [], []
        for step in inputs.unbind(1):
            query = state if isinstance(state, Tensor) else state[0]
            added, weights = self.attention.read(query[:, None], keys, adds, mask)
            state = self.cell.advance(step + added[:, 0], state)
            states.append(state if isinstance(state, Tensor) else state[0])
            looks.append(weights[:, 0])
        seen = torch.stack(looks, 1)
        return torch.cat([torch.stack(states, 1), seen @ annotations], -1), seen, state
