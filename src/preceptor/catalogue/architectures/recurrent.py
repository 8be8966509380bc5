"""Recurrent networks: one implementation, and a name for each cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from preceptor.catalogue._checks import check_choice, check_count, check_number
from preceptor.catalogue._registry import get, registered
from preceptor.catalogue.architectures._common import Init
from preceptor.catalogue.architectures._sequences import SequenceModel, with_options_of_parents
from preceptor.catalogue.layers._recurrence import RECURRENT, RecurrentLayer
from preceptor.catalogue.layers.recurrent import LAYERS
from preceptor.catalogue.layers.sequences import VariationalDropout
from preceptor.errors import ConfigError

__all__ = ["GRU", "IRNN", "LSTM", "MRNN", "RNN", "Recurrent", "StaticRNN", "bidirectional_steps"]

_SHAPES = (
    "(N, T, D), series (N, T), images by rows, or with vocabulary=K integers (N, T) → (N, outputs), or "
    "(N, T, outputs) with per_step=True; model(x, state) → outputs and the state that goes on"
)


class _Body(nn.Module):
    """Recurrent layers one after the other, with dropout between them."""

    def __init__(self, layers: list[RecurrentLayer], rate: float, *, variational: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.drop = VariationalDropout(rate) if variational else nn.Dropout(rate)

    def forward(self, x: Tensor, state: Any, lengths: Tensor | None) -> tuple[Tensor, Any]:
        before = [None] * len(self.layers) if state is None else state
        after = []
        for at, (layer, own) in enumerate(zip(self.layers, before, strict=True)):
            x, own = layer(self.drop(x) if at else x, own, lengths)
            after.append(own)
        return x, tuple(after)


class Recurrent(SequenceModel):
    """Recurrent network: a stack of recurrent layers between embedding and head.

    Arguments:
        inputs, outputs, and further options: as `SequenceModel` has them.
        hidden: units in each layer (and direction).
        layers: how many recurrent layers.
        bidirectional: a second recurrence reads backwards; for whole sequences alone.
        variational: dropout drops the same features at every step of a sequence.
        weight_dropout: share of the recurrent weights that are silenced in a pass of training.
        recurrent_init: initializer of the recurrent matrices, gate by gate; None: the cell's own start.
        steps, feed: with reading="static", how many steps an input is processed, and whether it is there at
            each of them ("repeat") or at the first alone ("once").
    """

    cell = "rnn"

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        hidden: int = 128,
        layers: int = 1,
        *,
        bidirectional: bool = False,
        variational: bool = False,
        weight_dropout: float = 0.0,
        recurrent_init: Init = None,
        steps: int = 10,
        feed: str = "repeat",
        _cell: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        owner = self.cell
        super().__init__(owner, inputs, outputs, **options)
        check_count(owner, "hidden", hidden)
        check_count(owner, "layers", layers)
        self.count = check_count(owner, "steps", steps)
        self.once = check_choice(owner, "feed", feed, ("repeat", "once")) == "once"
        self.directions = 1 + bidirectional
        self.carries = not bidirectional
        width = self._open(hidden)
        self.sizes = (width, *[hidden] * layers, outputs)
        stacks = [1] * layers if variational else [layers]  # one kernel for all layers where it can be
        made = []
        for depth in stacks:
            made.append(
                LAYERS[self.cell](
                    width,
                    hidden,
                    layers=depth,
                    bidirectional=bidirectional,
                    dropout=self.rate,
                    weight_dropout=check_number(owner, "weight_dropout", weight_dropout, 0.0, 0.999),
                    **(_cell or {}),
                )
            )
            width = made[-1].output_size
        self.body = _Body(made, self.rate, variational=variational)
        if variational:
            self.drop = VariationalDropout(self.rate)
        self._close(width)
        _fill(self.body, recurrent_init)

    def _steps(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        if self.reading != "static":
            return super()._steps(x, lengths)
        once = x.flatten(1)[:, None]
        if self.once:
            return nn.functional.pad(once, (0, 0, 0, self.count - 1)), None
        return once.expand(-1, self.count, -1), None


def _fill(body: nn.Module, init: Init) -> None:
    """Fill the recurrent matrix of every gate by the name of an initializer, or by a function."""
    if init is None:
        return
    if not isinstance(init, str) and not callable(init):
        raise ConfigError(
            "recurrent_init is not usable",
            expected="the name of an initializer, a function of one tensor, or None",
            received=repr(init),
            hint='recurrent_init="orthogonal"',
        )
    fill = get(init, kind="initializer") if isinstance(init, str) else init
    with torch.no_grad():
        for name, p in body.named_parameters():
            if RECURRENT in name:
                for gate in torch.split(p, p.shape[1]):
                    fill(gate)


@registered(
    kind="architecture",
    name="rnn",
    aliases=("elman-network", "vanilla-rnn", "elman", "recurrent-network", "rnn-io"),
    formula="h_t = φ(W_xh x_t + W_hh h_{t−1} + b), φ = nonlinearity; y = W_hy h_T + c, or with per_step=True "
    "y_t = W_hy h_t + c",
    shapes=_SHAPES,
    when="short sequences, and as the yardstick for gated networks. Sequence to one: as it is; to a "
    "sequence: "
    "per_step=True; one to a sequence: reading='static' with per_step=True",
    pitfalls="gradients over many steps vanish or explode: some ten steps are learned, fifty are not",
    source="Elman, Finding Structure in Time, 1990",
    example=">>> get('rnn', (50, 2), 1)(torch.zeros(4, 50, 2)).shape\ntorch.Size([4, 1])\n"
    ">>> get('rnn', (50, 2), 3, per_step=True)(torch.zeros(4, 50, 2)).shape\ntorch.Size([4, 50, 3])",
)
@with_options_of_parents
class RNN(Recurrent):
    """Recurrent network of Elman: a state that is a function of input and previous state."""

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        hidden: int = 128,
        layers: int = 1,
        nonlinearity: str = "tanh",
        **options: Any,
    ) -> None:
        super().__init__(inputs, outputs, hidden, layers, _cell={"nonlinearity": nonlinearity}, **options)


@registered(
    kind="architecture",
    name="static-rnn",
    aliases=("rnn-static", "recurrent-processing", "one-to-many"),
    formula="h_t = φ(W_xh x + W_hh h_{t−1} + b) for steps steps with the same x (feed='repeat'), or with x "
    "at "
    "the first and zeros after it (feed='once')",
    shapes="(N, …), each example flattened → (N, outputs), or (N, steps, outputs) with per_step=True",
    when="depth without more weights; a sequence that is to be made from one vector",
    pitfalls="steps is depth: gradients pass through as many equal layers",
    source="Liang and Hu, Recurrent Convolutional Neural Network for Object Recognition, 2015",
    example=">>> get('static-rnn', (1, 8, 8), 10, steps=4)(torch.zeros(2, 1, 8, 8)).shape\n"
    "torch.Size([2, 10])",
)
@with_options_of_parents
class StaticRNN(RNN):
    """Recurrent processing of a static input: the same units look at it again and again."""

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        hidden: int = 128,
        layers: int = 1,
        reading: str = "static",
        **options: Any,
    ) -> None:
        super().__init__(inputs, outputs, hidden, layers, reading=reading, **options)


@registered(
    kind="architecture",
    name="irnn",
    aliases=("identity-rnn",),
    formula="h_t = relu(W_xh x_t + W_hh h_{t−1} + b), W_hh = scale · I and b = 0 at the start; y = W_hy "
    "h_T + c",
    shapes=_SHAPES,
    when="lags of some hundred steps without gates",
    pitfalls="nothing bounds the states: clip gradients, and take smaller learning rates than for gates",
    source="Le, Jaitly and Hinton, A Simple Way to Initialize Recurrent Networks of Rectified Linear Units, "
    "2015",
    example=">>> get('irnn', (1, 8, 8), 10, reading='pixels')(torch.zeros(2, 1, 8, "
    "8)).shape\ntorch.Size([2, 10])",
)
@with_options_of_parents
class IRNN(Recurrent):
    """Identity RNN: rectified units that start by remembering."""

    cell = "irnn"

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        hidden: int = 128,
        layers: int = 1,
        scale: float = 1.0,
        **options: Any,
    ) -> None:
        super().__init__(inputs, outputs, hidden, layers, _cell={"scale": scale}, **options)


@registered(
    kind="architecture",
    name="mrnn",
    aliases=("multiplicative-rnn",),
    formula="h_t = tanh(W_xh x_t + W_hf (W_fx x_t ∘ W_fh h_{t−1}) + b); y = W_hy h_T + c",
    shapes=_SHAPES,
    when="models of characters, where each symbol means another transition",
    pitfalls="no fused kernel: two to three times as slow as rnn; clip gradients",
    source="Sutskever, Martens and Hinton, Generating Text with Recurrent Neural Networks, 2011",
    example=">>> net = get('mrnn', (9,), 30, vocabulary=30, per_step=True)\n"
    ">>> net(torch.zeros(2, 9, dtype=torch.int64)).shape\ntorch.Size([2, 9, 30])",
)
@with_options_of_parents
class MRNN(Recurrent):
    """Multiplicative recurrent network: every input has a transition matrix of its own."""

    cell = "mrnn"

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        hidden: int = 128,
        layers: int = 1,
        factors: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(inputs, outputs, hidden, layers, _cell={"factors": factors}, **options)


@registered(
    kind="architecture",
    name="gru",
    aliases=("gated-recurrent-unit", "gru-network"),
    formula="h_t = (1 − z) ∘ n + z ∘ h_{t−1}, gates r and z and proposal n as the layer gru-layer has them "
    "(reset='after' or 'before' the matrix); y = W_hy h_T + c",
    shapes=_SHAPES,
    when="sequences of tens to hundreds of steps",
    pitfalls="as all recurrences it runs one step after the other: long sequences take long",
    source="Cho et al., Learning Phrase Representations using RNN Encoder–Decoder for Statistical Machine "
    "Translation, 2014",
    example=">>> get('gru', (50, 2), 1)(torch.zeros(4, 50, 2), lengths=torch.tensor([50, 3, 7, 20])).shape\n"
    "torch.Size([4, 1])",
)
@with_options_of_parents
class GRU(Recurrent):
    """Network of gated recurrent units."""

    cell = "gru"

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        hidden: int = 128,
        layers: int = 1,
        reset: str = "after",
        **options: Any,
    ) -> None:
        super().__init__(inputs, outputs, hidden, layers, _cell={"reset": reset}, **options)


@registered(
    kind="architecture",
    name="lstm",
    aliases=("long-short-term-memory", "lstm-network"),
    formula="C_t = f ∘ C_{t−1} + i ∘ g, h_t = o ∘ tanh C_t, gates as the layer lstm-layer has them; "
    "y = W_hy h_T + c, or with per_step=True y_t = W_hy h_t + c",
    shapes=_SHAPES,
    when="long sequences; models of language: vocabulary=K, per_step=True, tied=True, and pieces of a text "
    "with the state carried on",
    pitfalls="clip gradients (max_grad_norm); many weights for little data: dropout, weight_dropout",
    source="Hochreiter and Schmidhuber, Long Short-Term Memory, 1997; tied: Press and Wolf, Using the Output "
    "Embedding to Improve Language Models, 2017",
    example=">>> net = get('lstm', (9,), 30, vocabulary=30, per_step=True, tied=True, layers=2)\n"
    ">>> logits, state = net(torch.zeros(2, 9, dtype=torch.int64), None)\n"
    ">>> logits, state = net(torch.zeros(2, 1, dtype=torch.int64), state)\n>>> logits.shape\n"
    "torch.Size([2, 1, 30])",
)
@with_options_of_parents
class LSTM(Recurrent):
    """Network of long short-term memory."""

    cell = "lstm"

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        hidden: int = 128,
        layers: int = 1,
        forget_bias: float = 1.0,
        **options: Any,
    ) -> None:
        super().__init__(inputs, outputs, hidden, layers, _cell={"forget_bias": forget_bias}, **options)


def bidirectional_steps(
    inputs: Sequence[int],
    outputs: int,
    vocabulary: int | None,
    embedding: int | None,
    hidden: int,
    layers: int,
    dropout: float,
) -> nn.Module:
    """Return an LSTM that reads both ways, with outputs at each step, of words or of rows of numbers."""
    words: dict[str, Any] = {}
    if vocabulary is not None:
        words = {"vocabulary": vocabulary, "padding": 0, "embedding": embedding or hidden}
    return LSTM(inputs, outputs, hidden, layers, bidirectional=True, per_step=True, dropout=dropout, **words)
