"""Attention: a weighted mean of values, with weights that say how well each key answers a query."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from preceptor.catalogue._checks import check_count, check_number
from preceptor.catalogue._registry import registered
from preceptor.errors import ConfigError, ModelError

__all__ = ["AdditiveAttention", "DotProductAttention", "MultiHeadAttention", "causal_mask", "padding_mask"]

_SHAPES = (
    "query (N, T, query_size), keys (N, S, key_size), values (N, S, …; None: the keys), mask (N, T, S) or "
    "(N, 1, S), True where attention may go → context (N, T, …), weights (N, T, S)"
)
_BAHDANAU = (
    "Bahdanau, Cho and Bengio, Neural Machine Translation by Jointly Learning to Align and Translate, 2015"
)
_VASWANI = "Vaswani et al., Attention Is All You Need, 2017"


def causal_mask(T: int, S: int, device: torch.device | None = None) -> Tensor:
    """Return which of S steps the last T of them may attend to: themselves and what came before, (T, S).

    Example:
        >>> causal_mask(2, 3).int().tolist()
        [[1, 1, 0], [1, 1, 1]]
    """
    return torch.ones(T, S, dtype=torch.bool, device=device).tril(S - T)


def padding_mask(lengths: Tensor, S: int) -> Tensor:
    """Return which keys of padded sequences may be attended to, (N, 1, S).

    Example:
        >>> padding_mask(torch.tensor([1, 2]), 2).int().tolist()
        [[[1, 0]], [[1, 1]]]
    """
    return (torch.arange(S, device=lengths.device) < lengths[:, None])[:, None]


def attend(scores: Tensor, values: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the mean of values (N, S, …) under the softmax of scores (N, T, S), and the weights.

    Raises:
        ModelError: the mask does not suit the scores.
    """
    if mask is not None:
        try:
            scores = scores.masked_fill(~mask, -math.inf)
        except (RuntimeError, TypeError) as error:
            raise ModelError(
                "the mask does not suit the attention",
                expected=f"booleans that spread to {tuple(scores.shape)}: batch, queries, keys",
                received=f"{tuple(mask.shape)} {mask.dtype}",
            ) from error
    weights = scores.softmax(-1)
    return weights @ values, weights


_SHORT = 256  # steps up to which bfloat16's three plain products beat torch's fused kernel on a CPU


def _scaled(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout: float, causal: bool) -> Tensor:
    """Return scaled dot-product attention, (N, heads, T, d), by the kernel that trains faster."""
    T, S = q.shape[2], k.shape[2]
    plain = q.device.type == "cpu" and q.dtype == torch.bfloat16 and q.requires_grad and T * S <= _SHORT**2
    if not plain:
        return functional.scaled_dot_product_attention(q, k, v, mask, dropout, is_causal=causal)
    scores = (q @ k.transpose(-1, -2)).float() / math.sqrt(q.shape[-1])
    if causal:
        mask = causal_mask(T, S, q.device)
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return functional.dropout(scores.softmax(-1), dropout).to(v.dtype) @ v


@registered(
    kind="layer",
    name="additive-attention",
    aliases=("content-based-attention", "bahdanau-attention", "mlp-attention"),
    formula="e_ij = vᵀ tanh(W s_i + U h_j), a_ij = exp e_ij / Σ_j′ exp e_ij′ over the keys that the mask "
    "leaves, c_i = Σ_j a_ij h_j",
    shapes=_SHAPES,
    when="a decoder that is to look back at an encoder's annotations; queries and keys of different widths",
    pitfalls="T · S · hidden numbers in memory, where dot products take T · S; content alone decides: "
    "where a "
    "key stands does not count unless the key says it",
    source=_BAHDANAU,
    differs="torch.nn.MultiheadAttention scores by dot products",
    example=">>> context, weights = get('additive-attention', 3, 3)(torch.randn(1, 4, 3))\n"
    ">>> context.shape, weights.sum(-1).round(decimals=4).tolist()\n"
    "(torch.Size([1, 4, 3]), [[1.0, 1.0, 1.0, 1.0]])",
    traits={"arguments": (3, 3), "takes": (2, 4, 3), "gives": (2, 4, 3)},
)
class AdditiveAttention(nn.Module):
    """Additive attention: a small network compares query and key."""

    def __init__(self, query_size: int, key_size: int, hidden: int = 32) -> None:
        super().__init__()
        owner = "additive-attention"
        for option, value in (("query_size", query_size), ("key_size", key_size), ("hidden", hidden)):
            check_count(owner, option, value)
        self.query = nn.Linear(query_size, hidden, bias=False)
        self.key = nn.Linear(key_size, hidden, bias=False)
        self.score = nn.Linear(hidden, 1, bias=False)

    def forward(
        self,
        query: Tensor,
        keys: Tensor | None = None,
        values: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return contexts and weights; without keys the queries attend to themselves."""
        keys = query if keys is None else keys
        return self.read(query, self.key(keys), keys if values is None else values, mask)

    def read(
        self, query: Tensor, prepared: Tensor, values: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return contexts and weights for keys that went through `key` already, once for many queries."""
        e = self.score((self.query(query)[..., :, None, :] + prepared[..., None, :, :]).tanh())[..., 0]
        return attend(e, values, mask)


@registered(
    kind="layer",
    name="dot-product-attention",
    aliases=("scaled-dot-product-attention", "luong-attention", "multiplicative-attention"),
    formula="e_ij = scale · q_i · k_j, a = softmax_j(e), c_i = Σ_j a_ij v_j; scale = 1/√d by default, "
    "d the width of the keys",
    shapes=_SHAPES.replace("query_size", "d").replace("key_size", "d"),
    when="queries and keys of the same width; long sequences",
    pitfalls="without the scale, products of width d have deviation √d, and the softmax saturates",
    source=f"{_VASWANI}; Luong, Pham and Manning, Effective Approaches to Attention-based Neural Machine "
    "Translation, 2015",
    differs="torch.nn.functional.scaled_dot_product_attention is faster, and keeps its weights to itself",
    example=">>> q, keys = torch.tensor([[[1.0, 0.0]]]), torch.tensor([[[9.0, 0.0], [0.0, 1.0]]])\n"
    ">>> get('dot-product-attention', scale=1.0)(q, keys)[1]\n"
    "tensor([[[9.9988e-01, 1.2339e-04]]])",
    traits={"takes": (2, 4, 3), "gives": (2, 4, 3)},
)
class DotProductAttention(nn.Module):
    """Dot-product attention: a key answers a query as far as they point the same way."""

    def __init__(self, scale: float | None = None) -> None:
        super().__init__()
        self.scale = scale if scale is None else check_number("dot-product-attention", "scale", scale, 0.0)

    def forward(
        self,
        query: Tensor,
        keys: Tensor | None = None,
        values: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return contexts and weights; without keys the queries attend to themselves."""
        keys = query if keys is None else keys
        scale = query.shape[-1] ** -0.5 if self.scale is None else self.scale
        scores = (scale * query) @ keys.transpose(-1, -2)
        return attend(scores, keys if values is None else values, mask)


@registered(
    kind="layer",
    name="multi-head-attention",
    aliases=("multihead-attention", "self-attention", "mha", "cross-attention"),
    formula="head_h = softmax(Q_h K_hᵀ / √d + mask) V_h, Q, K, V = W x + b in heads of width d = width / "
    "heads; "
    "y = W_o [head_1, …] + b_o. causal=True: no step sees those behind it",
    shapes="x (N, T, width), memory (N, S, width; None: x), mask (N, 1, S) or (N, T, S), True where "
    "attention "
    "may go, state (keys and values so far, each (N, heads, S₀, d), or None) → (N, T, width), the new state",
    when="transformers; each head can look elsewhere",
    pitfalls="T · S scores a head: twice the length takes four times the work; without positions the order "
    "of keys is unknown",
    source=_VASWANI,
    differs="torch.nn.MultiheadAttention: the same numbers with in_proj and out_proj copied, but True masks "
    "out there, and steps cannot be carried on from a state",
    example=">>> y, state = get('multi-head-attention', 8, heads=2, causal=True)(torch.zeros(1, 5, 8))\n"
    ">>> y.shape, state[0].shape\n(torch.Size([1, 5, 8]), torch.Size([1, 2, 5, 4]))",
    traits={"arguments": (4,), "takes": (2, 5, 4), "gives": (2, 5, 4)},
)
class MultiHeadAttention(nn.Module):
    """Multi-head attention: several dot-product attentions side by side, by torch's fused kernel."""

    def __init__(
        self, width: int, heads: int = 2, causal: bool = False, dropout: float = 0.0, bias: bool = True
    ) -> None:
        super().__init__()
        owner = "multi-head-attention"
        check_count(owner, "width", width)
        if width % check_count(owner, "heads", heads):
            raise ConfigError(
                f"{owner}: the heads do not divide the width",
                expected=f"a number that {width} is a multiple of",
                received=f"heads={heads!r}",
            )
        self.heads, self.causal = heads, causal
        self.dropout = check_number(owner, "dropout", dropout, 0.0, 0.999)
        self.input = nn.Linear(width, 3 * width, bias=bias)  # queries, keys and values in one product
        self.output = nn.Linear(width, width, bias=bias)

    def forward(
        self,
        x: Tensor,
        memory: Tensor | None = None,
        mask: Tensor | None = None,
        state: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Attend to the memory or, without one, to x itself behind the steps that the state holds."""
        q, k, v = self._projected(x, memory, state)
        if state is not None and memory is None:
            k, v = torch.cat([state[0], k], 2), torch.cat([state[1], v], 2)
        T, S = q.shape[2], k.shape[2]
        square = self.causal and T > 1 and T == S and mask is None
        if self.causal and T > 1 and not square:
            seen = causal_mask(T, S, x.device)
            mask = seen if mask is None else mask & seen
        if mask is not None and mask.ndim == 3:
            mask = mask[:, None]
        y = _scaled(q, k, v, mask, self.dropout if self.training else 0.0, square)
        return self.output(y.transpose(1, 2).flatten(2)), (k, v)

    def _projected(
        self, x: Tensor, memory: Tensor | None, state: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values, each (N, heads, steps, d); a memory's from the state, if there."""
        if memory is None:
            q, k, v = (self._split(part) for part in self.input(x).chunk(3, -1))
            return q, k, v
        width, weight, bias = self.output.in_features, self.input.weight, self.input.bias
        parts = (bias[:width], bias[width:]) if bias is not None else (None, None)
        q = self._split(functional.linear(x, weight[:width], parts[0]))
        if state is not None:
            return q, *state
        k, v = functional.linear(memory, weight[width:], parts[1]).chunk(2, -1)
        return q, self._split(k), self._split(v)

    def _split(self, part: Tensor) -> Tensor:
        return part.reshape(*part.shape[:2], self.heads, -1).transpose(1, 2)

    def weights(self, x: Tensor, memory: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """Return the attention weights, (N, heads, T, S), which the fused kernel does not show."""
        q, k, v = self._projected(x, memory, None)
        T, S = q.shape[2], k.shape[2]
        if self.causal:
            seen = causal_mask(T, S, x.device)
            mask = seen if mask is None else mask & seen
        if mask is not None and mask.ndim == 3:
            mask = mask[:, None]
        return attend(q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]), v, mask)[1]
