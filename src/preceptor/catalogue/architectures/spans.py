"""A recurrent network that reads both ways, and scores of all spans of a sentence on top of it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from preceptor.catalogue._registry import registered
from preceptor.catalogue.architectures._common import check_sizes
from preceptor.catalogue.architectures.recurrent import bidirectional_steps
from preceptor.catalogue.parsing import closed

__all__ = ["SpanParser"]


@registered(
    kind="architecture",
    name="span-parser",
    aliases=("bilstm-span-parser", "constituency-parser", "chart-parser"),
    formula="ψ(a, b, l) = w_l · relu(A z_a + B z_b + c) + d_l for labels l > 0, ψ(a, b, 0) = 0; z_t the "
    "outputs of a bidirectional LSTM of hidden units for each step",
    shapes="(N, T, D), or with vocabulary=V integers (N, T), 0 behind the end → span scores (N, T, T, "
    "outputs)",
    when="trees over sentences: the loss tree-crf, decoded by best-tree",
    pitfalls="T² · outputs numbers a sentence: for sentences, not for texts",
    source="Stern, Andreas and Klein, A Minimal Span-Based Neural Constituency Parser, 2017: there spans are "
    "differences of the states at their ends",
    example=">>> get('span-parser', (9,), 5, vocabulary=20)(torch.ones(2, 9, dtype=torch.int64)).shape\n"
    "torch.Size([2, 9, 9, 5])",
    traits={"steps": True, "tokens": True, "tiny": {"hidden": 8}},
)
class SpanParser(nn.Module):
    """Bidirectional LSTM with a score for every label of every span."""

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
        check_sizes("span-parser", inputs, outputs)
        self.words = vocabulary is not None
        self.steps = bidirectional_steps(inputs, 2 * hidden, vocabulary, embedding, hidden, layers, dropout)
        self.labels = nn.Linear(hidden, outputs - 1)
        self.sizes: tuple[int, ...] = (hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores of spans, (N, first word, last word, outputs)."""
        begin, end = self.steps(x).chunk(2, -1)
        scores = self.labels((begin[:, :, None] + end[:, None]).relu())
        scores = nn.functional.pad(scores, (1, 0))
        return closed(scores, (x != 0).sum(1)) if self.words else scores
