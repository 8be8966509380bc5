"""A recurrent network that reads both ways, and scores of neighbouring tags on top of it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from preceptor.catalogue._registry import registered
from preceptor.catalogue.architectures._common import check_sizes
from preceptor.catalogue.architectures.recurrent import bidirectional_steps
from preceptor.catalogue.tagging import pairwise

__all__ = ["RecurrentCRF"]


@registered(
    kind="architecture",
    name="bilstm-crf",
    aliases=("lstm-crf", "recurrent-crf", "neural-crf"),
    formula="ψ_t(i, j) = z_t(j) + A(i, j), z_t the outputs of a bidirectional LSTM of hidden units for "
    "each step, A a "
    "learned matrix; ψ_1(i, j) = z_1(j) + begin(j)",
    shapes="(N, T, D), or with vocabulary=V integers (N, T), 0 behind the end → scores (N, T, outputs, "
    "outputs)",
    when="tags for words: the loss linear-chain-crf, decoded by crf-viterbi",
    pitfalls="outputs² numbers a step: for tens of tags, not for thousands",
    source="Huang, Xu and Yu, Bidirectional LSTM-CRF Models for Sequence Tagging, 2015",
    example=">>> get('bilstm-crf', (9,), 5, vocabulary=20)(torch.ones(2, 9, dtype=torch.int64)).shape\n"
    "torch.Size([2, 9, 5, 5])",
    traits={"steps": True, "tokens": True, "tiny": {"hidden": 8}},
)
class RecurrentCRF(nn.Module):
    """Bidirectional LSTM with a conditional random field on its outputs."""

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        vocabulary: int | None = None,
        embedding: int | None = None,
        hidden: int = 64,
        layers: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_sizes("bilstm-crf", inputs, outputs)
        self.words = vocabulary is not None
        self.steps = bidirectional_steps(inputs, outputs, vocabulary, embedding, hidden, layers, dropout)
        self.begin = nn.Parameter(torch.zeros(outputs))
        self.follows = nn.Parameter(torch.zeros(outputs, outputs))
        self.sizes: tuple[int, ...] = (hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores of neighbouring tags, (N, T, outputs, outputs)."""
        each: Tensor = self.steps(x)
        first = (each[:, :1] + self.begin)[:, :, None].expand(-1, -1, each.shape[2], -1)
        scores = torch.cat([first, each[:, 1:, None] + self.follows], 1)
        return pairwise(scores, x == 0) if self.words else scores
