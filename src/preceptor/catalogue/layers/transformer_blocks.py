"""Blocks of the transformer, normalised before each part: encoder, decoder, and stacks of them."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from preceptor.catalogue._checks import check_count, check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.activations import make_activation
from preceptor.catalogue.layers.attention import MultiHeadAttention

__all__ = ["DecoderBlock", "EncoderBlock", "TransformerStack"]

_SOURCE = (
    "Vaswani et al., Attention Is All You Need, 2017; normalised before: Xiong et al., On Layer "
    "Normalization "
    "in the Transformer Architecture, 2020"
)


@registered(
    kind="layer",
    name="transformer-encoder-block",
    aliases=("encoder-block", "transformer-block", "transformer-encoder-layer"),
    formula="u = x + attention(norm x); y = u + W₂ f(W₁ norm u + b₁) + b₂, norm = layer normalisation, W₁ to "
    "expansion · width; dropout on what is added",
    shapes="x (N, T, width), mask (N, 1, T) or (N, T, T) or None, state or None → (N, T, width), the new "
    "state",
    when="sequences that are there as a whole (causal=False), or models of what comes next (causal=True)",
    pitfalls="order is unknown without positions at the input; a stack needs a last normalisation",
    source=_SOURCE,
    differs="torch.nn.TransformerEncoderLayer(norm_first=True, activation='gelu', batch_first=True)",
    example=">>> y, state = get('transformer-encoder-block', 8)(torch.zeros(1, 5, 8))\n>>> y.shape\n"
    "torch.Size([1, 5, 8])",
    traits={"arguments": (4,), "takes": (2, 5, 4), "gives": (2, 5, 4)},
)
class EncoderBlock(nn.Module):
    """Transformer block: attention among the steps, then a small network at each step."""

    def __init__(
        self,
        width: int,
        heads: int = 2,
        expansion: int = 4,
        dropout: float = 0.0,
        activation: str = "gelu",
        causal: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__()
        check_count("transformer block", "expansion", expansion)
        rate = check_number("transformer block", "dropout", dropout, 0.0, 0.999)
        self.attention = MultiHeadAttention(width, heads, causal=causal, dropout=rate, bias=bias)
        self.attention_norm = nn.LayerNorm(width, bias=bias)
        self.network = nn.Sequential(
            nn.LayerNorm(width, bias=bias),
            nn.Linear(width, expansion * width, bias=bias),
            make_activation(activation),
            nn.Linear(expansion * width, width, bias=bias),
            nn.Dropout(rate),
        )
        self.drop = nn.Dropout(rate)

    def forward(self, x: Tensor, mask: Tensor | None = None, state: Any = None) -> tuple[Tensor, Any]:
        """Return the outputs, and the keys and values for steps to come."""
        y, state = self.attention(self.attention_norm(x), mask=mask, state=state)
        x = x + self.drop(y)
        return x + self.network(x), state


@registered(
    kind="layer",
    name="transformer-decoder-block",
    aliases=("decoder-block", "transformer-decoder-layer"),
    formula="u = x + attention(norm x), causal; v = u + attention(norm u to the memory); y = v + W₂ f(W₁ "
    "norm v "
    "+ b₁) + b₂",
    shapes="x (N, T, width), memory (N, S, width), memory_mask (N, 1, S) or None, state or None "
    "→ (N, T, width), the new state",
    when="an output sequence that is written while an input sequence is read",
    pitfalls="the memory is what the encoder's last normalisation gives; padding of the memory needs its "
    "mask",
    source=_SOURCE,
    differs="torch.nn.TransformerDecoderLayer(norm_first=True, activation='gelu', batch_first=True) with a "
    "causal mask",
    example=">>> block = get('transformer-decoder-block', 8)\n"
    ">>> block(torch.zeros(1, 3, 8), torch.zeros(1, 7, 8))[0].shape\ntorch.Size([1, 3, 8])",
    traits={"arguments": (4,), "takes": (2, 5, 4), "beside": (2, 3, 4), "gives": (2, 5, 4)},
)
class DecoderBlock(EncoderBlock):
    """Transformer decoder block: attention to what is written, attention to what is read, a network."""

    def __init__(
        self,
        width: int,
        heads: int = 2,
        expansion: int = 4,
        dropout: float = 0.0,
        activation: str = "gelu",
        bias: bool = True,
    ) -> None:
        super().__init__(width, heads, expansion, dropout, activation, causal=True, bias=bias)
        self.reading = MultiHeadAttention(width, heads, dropout=dropout, bias=bias)
        self.reading_norm = nn.LayerNorm(width, bias=bias)

    def forward(  # type: ignore[override]  # it reads a memory too
        self,
        x: Tensor,
        memory: Tensor,
        memory_mask: Tensor | None = None,
        state: Any = None,
    ) -> tuple[Tensor, Any]:
        """Return the outputs; the state holds the keys and values of both attentions."""
        written, read = (None, None) if state is None else state
        y, written = self.attention(self.attention_norm(x), state=written)
        x = x + self.drop(y)
        y, read = self.reading(self.reading_norm(x), memory, memory_mask, read)
        x = x + self.drop(y)
        return x + self.network(x), (written, read)


@registered(
    kind="layer",
    name="transformer-stack",
    aliases=("transformer-encoder", "transformer-decoder"),
    formula="blocks one after the other, then layer normalisation; with decoder=True each reads the memory",
    shapes="x (N, T, width), mask, state as the blocks'; decoder: x, memory, memory_mask, state → (N, T, "
    "width), "
    "the new state",
    when="an encoder, a causal language model (causal=True), or the decoder of a translation (decoder=True)",
    pitfalls="embeddings and positions are added before it",
    source=_SOURCE,
    differs="weights start as in GPT-2: what is added to the residual stream is smaller the more blocks add",
    example=">>> get('transformer-stack', 8, layers=2)(torch.zeros(1, 5, 8))[0].shape\ntorch.Size([1, 5, 8])",
    traits={"arguments": (4,), "takes": (2, 5, 4), "gives": (2, 5, 4)},
)
class TransformerStack(nn.Module):
    """Stack of transformer blocks with a normalisation at its end."""

    def __init__(
        self,
        width: int,
        layers: int = 2,
        heads: int = 2,
        expansion: int = 4,
        dropout: float = 0.0,
        activation: str = "gelu",
        causal: bool = False,
        decoder: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__()
        check_count("transformer-stack", "layers", layers)
        options: dict[str, Any] = {"activation": activation, "bias": bias}
        self.blocks = nn.ModuleList(
            DecoderBlock(width, heads, expansion, dropout, **options)
            if decoder
            else EncoderBlock(width, heads, expansion, dropout, causal=causal, **options)
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width, bias=bias)
        self.decoder = decoder
        self._start(width, layers * (3 if decoder else 2))

    def _start(self, width: int, additions: int) -> None:
        std = width**-0.5 / 2
        for name, p in self.named_parameters():
            if p.ndim == 2:
                last = name.endswith(("output.weight", "network.3.weight"))
                nn.init.normal_(p, std=std / additions**0.5 if last else std)
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def forward(self, x: Tensor, *given: Tensor | None, state: Any = None) -> tuple[Tensor, Any]:
        """Run the blocks; ``given`` is their mask, or the memory and its mask."""
        before = [None] * len(self.blocks) if state is None else state
        after = []
        for block, own in zip(self.blocks, before, strict=True):
            x, own = block(x, *given, state=own)
            after.append(own)
        return self.norm(x), tuple(after)
