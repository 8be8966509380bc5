"""Sequence to sequence: one network reads, another writes; between them a vector, or attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from preceptor.catalogue._checks import check_choice, check_count
from preceptor.catalogue._registry import registered
from preceptor.catalogue.architectures._sequences import with_options_of_parents
from preceptor.catalogue.architectures._writers import Writer
from preceptor.catalogue.layers.attention import padding_mask
from preceptor.catalogue.layers.attention_recurrence import AttentionRecurrence
from preceptor.catalogue.layers.positions import SinusoidalPositions
from preceptor.catalogue.layers.recurrent import LAYERS, bidirectional_encoder
from preceptor.catalogue.layers.transformer_blocks import TransformerStack
from preceptor.errors import ConfigError

__all__ = ["Seq2Seq", "Seq2SeqAttention", "Seq2SeqTransformer"]

_SHAPES = (
    "(source (N, S), target so far (N, T)), integers → (N, T, outputs) behind each given symbol; "
    "begin(source), step(symbols, memory, state) to write one symbol after the other"
)
_TRAITS = {"pairs": True, "inputs": ((9,),), "tiny": {"hidden": 8}}


def _turned(state: Any) -> Any:
    """Bring states (layers, N, H) to (N, layers, H), or back."""
    if isinstance(state, Tensor):
        return state.transpose(0, 1).contiguous()
    return tuple(part.transpose(0, 1).contiguous() for part in state)


@registered(
    kind="architecture",
    name="seq2seq",
    aliases=("encoder-decoder", "sequence-to-sequence", "seq2seq-rnn"),
    formula="the code of the source is the encoder's last state; the decoder begins with it: s_0 = code, "
    "s_t = cell(y_{t−1}, s_{t−1}), P(y_t | y_1 … y_{t−1}, x) = softmax(E tanh(W s_t) + b); encoder and "
    "decoder have weights of their own",
    shapes=_SHAPES,
    when="short sequences; what attention is worth is seen beside it",
    pitfalls="one vector holds the whole source: long sentences lose most; reverse=True brings the first "
    "words of both near each other",
    source="Sutskever, Vinyals and Le, Sequence to Sequence Learning with Neural Networks, 2014; Cho et al., "
    "Learning Phrase Representations using RNN Encoder–Decoder, 2014",
    differs="the head reads through a layer of the embedding's width, so that its weight can be tied",
    example=">>> net = get('seq2seq', (9,), 30, hidden=16)\n"
    ">>> net((torch.ones(2, 9).long(), torch.ones(2, 4).long())).shape\ntorch.Size([2, 4, 30])",
    traits=_TRAITS,
)
@with_options_of_parents
class Seq2Seq(Writer):
    """Encoder–decoder: two recurrent networks, and between them the last state of the first."""

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        hidden: int = 256,
        layers: int = 1,
        cell: str = "gru",
        **options: Any,
    ) -> None:
        owner = "seq2seq"
        super().__init__(owner, inputs, outputs, **options)
        check_count(owner, "hidden", hidden)
        check_count(owner, "layers", layers)
        make = LAYERS[check_choice(owner, "cell", cell, tuple(LAYERS))]
        size = self._open(hidden)
        self.encoder = make(size, hidden, layers=layers, dropout=self.rate)
        self.decoder = make(size, hidden, layers=layers, dropout=self.rate)
        self._close(hidden)
        self.sizes = (self.vocabulary, size, *[hidden] * (2 * layers), outputs)

    def encode(self, embedded: Tensor, lengths: Tensor) -> tuple[Any, Any]:
        """Return nothing to look back at, and the code as the first state."""
        _, state = self.encoder(embedded, None, lengths)
        return (), _turned(state)

    def decode(self, embedded: Tensor, memory: Any, state: Any) -> tuple[Tensor, Any]:
        """Run the decoder over the given symbols."""
        features, state = self.decoder(embedded, _turned(state))
        return features, _turned(state)


@registered(
    kind="architecture",
    name="seq2seq-attention",
    aliases=("attention-seq2seq", "bahdanau-seq2seq", "rnn-search", "encoder-decoder-with-attention"),
    formula="annotations h⁽ʲ⁾ = [h→⁽ʲ⁾, h←⁽ʲ⁾]; c_i = Σ_j a_ij h⁽ʲ⁾ by the layer attention-rnn (score="
    "'additive' or 'dot-product'); s_0 = tanh(W h←⁽¹⁾), s_i = cell([y_{i−1}, c_i], s_{i−1}); "
    "P(y_i | …) = softmax(E tanh(V [s_i, c_i, y_{i−1}]) + b)",
    shapes=_SHAPES + "; align(source, given) → (N, T, S)",
    when="translation with some ten thousand pairs or more, also of long sentences",
    pitfalls="the decoder is a loop over steps: slower than its parameters suggest; clip gradients "
    "(max_grad_norm=1)",
    source="Bahdanau, Cho and Bengio, Neural Machine Translation by Jointly Learning to Align and Translate, "
    "2015; dot products: Luong, Pham and Manning, Effective Approaches to Attention-based Neural Machine "
    "Translation, 2015",
    differs="tanh in place of the paper's maxout before the head",
    example=">>> net = get('seq2seq-attention', (9,), 30, hidden=16).eval()\n"
    ">>> source, given = torch.ones(2, 9).long(), torch.ones(2, 4).long()\n"
    ">>> net((source, given)).shape, net.align(source, given).shape\n"
    "(torch.Size([2, 4, 30]), torch.Size([2, 4, 9]))",
    traits=_TRAITS,
)
@with_options_of_parents
class Seq2SeqAttention(Writer):
    """Encoder–decoder with attention: every symbol that is written looks back at the whole source."""

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        hidden: int = 256,
        layers: int = 1,
        cell: str = "gru",
        attention: int = 128,
        score: str = "additive",
        **options: Any,
    ) -> None:
        owner = "seq2seq-attention"
        super().__init__(owner, inputs, outputs, **options)
        for option, value in (("hidden", hidden), ("layers", layers), ("attention", attention)):
            check_count(owner, option, value)
        check_choice(owner, "cell", cell, ("gru", "lstm", "rnn"))
        size = self._open(hidden)
        self.encoder = bidirectional_encoder(size, hidden, cell, layers=layers, dropout=self.rate)
        self.decoder = AttentionRecurrence(size, hidden, 2 * hidden, attention, cell, score)
        self.bridge = nn.Linear(hidden, hidden)
        self.gated = cell == "lstm"
        self._close(3 * hidden + size)
        self.sizes = (self.vocabulary, size, *[2 * hidden] * layers, hidden, outputs)

    def encode(self, embedded: Tensor, lengths: Tensor) -> tuple[Any, Any]:
        """Return the annotations, which of them are no padding, and what steps need of them; the state."""
        annotations, _ = self.encoder(embedded, None, lengths)
        annotations = self.drop(annotations)
        state: Any = self.bridge(annotations[:, 0, annotations.shape[-1] // 2 :]).tanh()
        if self.gated:
            state = (state, torch.zeros_like(state))
        mask = padding_mask(lengths, embedded.shape[1])
        return (annotations, mask, self.decoder.prepare(annotations)), state

    def decode(self, embedded: Tensor, memory: Any, state: Any) -> tuple[Tensor, Any]:
        """Run the decoder over the given symbols, with a look at the source before each."""
        annotations, mask, prepared = memory
        outputs, _, state = self.decoder(embedded, annotations, mask, state, prepared)
        return torch.cat([outputs, embedded], -1), state

    def looks(self, embedded: Tensor, memory: Any, state: Any) -> Tensor:
        """Return the weights of the attention."""
        annotations, mask, prepared = memory
        weights: Tensor = self.decoder(embedded, annotations, mask, state, prepared)[1]
        return weights


@registered(
    kind="architecture",
    name="seq2seq-transformer",
    aliases=("transformer-seq2seq", "encoder-decoder-transformer", "translation-transformer"),
    formula="memory = encoder(E x + p), features = decoder(F y + p, memory), p sinusoidal positions, blocks "
    "as transformer-stack has them; P(y_i | …) = softmax(F f_i + b)",
    shapes=_SHAPES + "; align(source, given) → (N, T, S), the last block's mean over its heads",
    when="training in parallel over the target; more data, or more regularisation, than recurrent networks "
    "need",
    pitfalls="needs warm-up or a small learning rate, and dropout on small data",
    source="Vaswani et al., Attention Is All You Need, 2017",
    differs="normalised before each part, not behind it",
    example=">>> net = get('seq2seq-transformer', (9,), 30, hidden=16)\n"
    ">>> net((torch.ones(2, 9).long(), torch.ones(2, 4).long())).shape\ntorch.Size([2, 4, 30])",
    traits=_TRAITS,
)
@with_options_of_parents
class Seq2SeqTransformer(Writer):
    """Transformer that translates: attention within the source, within the target, and between them."""

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        hidden: int = 256,
        layers: int = 3,
        heads: int = 4,
        expansion: int = 4,
        **options: Any,
    ) -> None:
        owner = "seq2seq-transformer"
        super().__init__(owner, inputs, outputs, **options)
        if self.width not in (None, hidden):
            raise ConfigError(
                f"{owner}: embeddings have the width of the blocks",
                expected=f"embedding={hidden}, or none",
                received=f"embedding={self.width}",
            )
        check_count(owner, "hidden", hidden)
        self._open(hidden)
        sizes = (hidden, layers, heads, expansion, self.rate)
        self.positions = SinusoidalPositions()
        self.encoder = TransformerStack(*sizes)
        self.decoder = TransformerStack(*sizes, decoder=True)
        self._close(hidden, plain=True)  # the stack ends with a normalisation
        self.sizes = (self.vocabulary, *[hidden] * (2 * layers), outputs)

    def encode(self, embedded: Tensor, lengths: Tensor) -> tuple[Any, Any]:
        """Return what the encoder makes of the source, and which of it is no padding; no state yet."""
        mask = padding_mask(lengths, embedded.shape[1])
        memory, _ = self.encoder(self.positions(embedded), mask)
        return (memory, mask), None

    def decode(self, embedded: Tensor, memory: Any, state: Any) -> tuple[Tensor, Any]:
        """Run the blocks over the given symbols, behind those that the state holds."""
        before = 0 if state is None else state[0][0][0].shape[2]
        features, state = self.decoder(self.positions(embedded, before), *memory, state=state)
        return features, state

    def looks(self, embedded: Tensor, memory: Any, state: Any) -> Tensor:
        """Return the weights of the last block's attention to the source, their mean over its heads."""
        x = self.positions(embedded)
        blocks: list[Any] = list(self.decoder.blocks)
        *earlier, last = blocks
        for block in earlier:
            x, _ = block(x, *memory)
        x = x + last.attention(last.attention_norm(x))[0]
        weights: Tensor = last.reading.weights(last.reading_norm(x), *memory).mean(1)
        return weights
