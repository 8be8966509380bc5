"""A small transformer for sequences: encoder, or causal model of what comes next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from preceptor.catalogue._checks import check_choice, check_count
from preceptor.catalogue._registry import registered
from preceptor.catalogue.architectures._sequences import SequenceModel, with_options_of_parents
from preceptor.catalogue.layers.attention import padding_mask
from preceptor.catalogue.layers.positions import LearnedPositions, SinusoidalPositions
from preceptor.catalogue.layers.transformer_blocks import TransformerStack
from preceptor.errors import ConfigError

__all__ = ["Transformer"]


class _Body(nn.Module):
    """Features to the width of the blocks, positions, blocks."""

    def __init__(
        self, enter: nn.Module, positions: nn.Module, drop: nn.Module, stack: TransformerStack
    ) -> None:
        super().__init__()
        self.enter, self.positions, self.drop, self.stack = enter, positions, drop, stack

    def forward(self, x: Tensor, state: Any, lengths: Tensor | None) -> tuple[Tensor, Any]:
        before = 0 if state is None else state[0][0].shape[2]
        x = self.drop(self.positions(self.enter(x), before))
        mask = None
        if lengths is not None:
            mask = padding_mask(lengths.to(x.device), x.shape[1])
            mask = nn.functional.pad(mask, (before, 0), value=True)
        outputs: tuple[Tensor, Any] = self.stack(x, mask, state=state)
        return outputs


@registered(
    kind="architecture",
    name="transformer",
    aliases=("transformer-network", "small-transformer", "transformer-lm"),
    formula="blocks of multi-head attention and networks of expansion · hidden units, each x + f(norm x), "
    "over "
    "embeddings and positions; causal: a step sees itself and what came before",
    shapes="(N, T, D), series (N, T), images by rows, or with vocabulary=K integers (N, T) → (N, outputs), "
    "or "
    "(N, T, outputs) with per_step=True; model(x, state) → outputs and the state that goes on",
    when="sequences in parallel over time, and far dependencies; causal=None: causal where per_step=True",
    pitfalls="operations and scores grow with T²; the state of a causal model grows with every step; needs "
    "warm-up or small learning rates",
    source="Vaswani et al., Attention Is All You Need, 2017; Radford et al., Language Models are "
    "Unsupervised "
    "Multitask Learners, 2019",
    differs="normalised before each part, not behind it as in 2017",
    example=">>> net = get('transformer', (9,), 30, vocabulary=30, per_step=True, hidden=16)\n"
    ">>> net(torch.zeros(2, 9, dtype=torch.int64)).shape\ntorch.Size([2, 9, 30])",
)
@with_options_of_parents
class Transformer(SequenceModel):
    """Transformer: every step looks at the others, layer by layer."""

    grows = True  # its state holds the keys and values of every step so far

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        hidden: int = 128,
        layers: int = 2,
        heads: int = 4,
        expansion: int = 4,
        activation: str = "gelu",
        causal: bool | None = None,
        positions: str = "sinusoidal",
        max_length: int | None = None,
        pooling: str = "mean",
        **options: Any,
    ) -> None:
        owner = "transformer"
        super().__init__(owner, inputs, outputs, pooling=pooling, **options)
        self._refuse_static()
        check_count(owner, "hidden", hidden)
        if causal not in (None, True, False):
            raise ConfigError(
                f"{owner}: causal is not usable",
                expected="true, false, or nothing: as per_step",
                received=f"causal={causal!r}",
            )
        self.carries = self.per_step if causal is None else bool(causal)
        width = self._open(hidden)
        check_choice(owner, "positions", positions, ("sinusoidal", "learned", "none"))
        if positions == "learned":
            longest = self._steps_of_one() if max_length is None else max_length
            where: nn.Module = LearnedPositions(hidden, longest)
        else:
            where = SinusoidalPositions() if positions == "sinusoidal" else _NoPositions()
        enter = nn.Identity() if self.vocabulary is not None and width == hidden else nn.Linear(width, hidden)
        stack = TransformerStack(
            hidden, layers, heads, expansion, self.rate, activation=activation, causal=self.carries
        )
        self.body = _Body(enter, where, nn.Dropout(self.rate), stack)
        self.sizes = (width, *[hidden] * layers, outputs)
        self._close(hidden)


class _NoPositions(nn.Module):
    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        return x
