"""Recurrent layers by name: one recurrence, and what each cell makes of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from preceptor.catalogue._checks import check_choice
from preceptor.catalogue._registry import get, registered
from preceptor.catalogue.layers._recurrence import RECURRENT, RecurrentLayer, Unrolled
from preceptor.catalogue.layers.cells import ElmanCell, GRUCell, MultiplicativeCell, set_forget_bias

__all__ = [
    "LAYERS",
    "bidirectional_encoder",
    "gru_layer",
    "irnn_layer",
    "lstm_layer",
    "mrnn_layer",
    "rnn_layer",
]

_SHAPES = (
    "x (N, T, input_size), state or None for zeros, lengths (N,) or None → outputs (N, T, directions · "
    "hidden_size), zero behind each sequence's end, and the last state (layers · directions, N, hidden_size)"
)
_TRIAL = {"arguments": (3, 4), "takes": (2, 5, 3), "gives": (2, 5, 4)}
_LE = "Le, Jaitly and Hinton, A Simple Way to Initialize Recurrent Networks of Rectified Linear Units, 2015"


@registered(
    kind="layer",
    name="rnn-layer",
    aliases=("elman-layer", "vanilla-rnn-layer", "stacked-rnn", "rnn-multi", "multi-layer-rnn"),
    formula="h_t = φ(W_xh x_t + W_hh h_{t−1} + b), φ = tanh, relu or the identity ('none'); a layer above "
    "reads the outputs of the one below; backwards from each sequence's own end",
    shapes=_SHAPES,
    when="short sequences; the yardstick for gated recurrences",
    pitfalls="gradients over k steps are products of k matrices diag(φ′) W_hh: they vanish, or explode",
    source="Elman, Finding Structure in Time, 1990",
    differs="torch.nn.RNN takes padded sequences packed, and has no linear form",
    example=">>> y, state = get('rnn-layer', 3, 4)(torch.zeros(2, 5, 3))\n>>> y.shape, state.shape\n"
    "(torch.Size([2, 5, 4]), torch.Size([1, 2, 4]))",
    traits=_TRIAL,
)
def rnn_layer(
    input_size: int,
    hidden_size: int,
    nonlinearity: str = "tanh",
    layers: int = 1,
    bidirectional: bool = False,
    dropout: float = 0.0,
    weight_dropout: float = 0.0,
) -> RecurrentLayer:
    """Recurrent layer of Elman: the state is a function of input and previous state."""
    choice = check_choice("rnn-layer", "nonlinearity", nonlinearity, ("tanh", "relu", "none"))
    make: Callable[..., nn.Module] = partial(nn.RNN, nonlinearity=choice)
    if choice == "none":
        make = partial(Unrolled, partial(ElmanCell, nonlinearity="none"))
    return RecurrentLayer(
        "rnn-layer", make, input_size, hidden_size, layers, bidirectional, dropout, weight_dropout
    )


@registered(
    kind="layer",
    name="irnn-layer",
    aliases=("identity-rnn-layer",),
    formula="h_t = relu(W_xh x_t + W_hh h_{t−1} + b), with W_hh = scale · I and b = 0 at the start",
    shapes=_SHAPES,
    when="long lags without gates: at the start a state, and its gradient, is handed on unchanged",
    pitfalls="nothing bounds the states: small learning rates, clipped gradients, or a scale below 1",
    source=_LE,
    example=">>> layer = get('irnn-layer', 3, 4)\n>>> layer.recurrence.weight_hh_l0.diagonal().tolist()\n"
    "[1.0, 1.0, 1.0, 1.0]",
    traits=_TRIAL,
)
def irnn_layer(
    input_size: int,
    hidden_size: int,
    scale: float = 1.0,
    layers: int = 1,
    bidirectional: bool = False,
    dropout: float = 0.0,
    weight_dropout: float = 0.0,
) -> RecurrentLayer:
    """Identity RNN layer: rectified units that start by remembering."""
    make = partial(nn.RNN, nonlinearity="relu")
    layer = RecurrentLayer(
        "irnn-layer", make, input_size, hidden_size, layers, bidirectional, dropout, weight_dropout
    )
    with torch.no_grad():
        for name, p in layer.recurrence.named_parameters():
            if name.startswith(RECURRENT):
                get("identity", p, kind="initializer", scale=scale)
            elif name.startswith("bias"):
                p.zero_()
    return layer


@registered(
    kind="layer",
    name="gru-layer",
    aliases=("gated-recurrent-unit-layer",),
    formula="h_t = (1 − z) ∘ n + z ∘ h_{t−1}, r and z = σ(W x_t + U h_{t−1} + b); n = tanh(W_n x_t + b_n + "
    "r ∘ "
    "(U_n h_{t−1} + b′)) for reset='after', tanh(W_n x_t + b_n + U_n (r ∘ h_{t−1})) for 'before'",
    shapes=_SHAPES,
    when="most sequences of some tens to hundreds of steps; three quarters of an LSTM's parameters",
    pitfalls="reset='before', the form of the paper, has no fused kernel: about half as fast",
    source="Cho et al., Learning Phrase Representations using RNN Encoder–Decoder for Statistical Machine "
    "Translation, 2014",
    differs="reset='after' is torch.nn.GRU, with two biases; Keras calls it reset_after=True",
    example=">>> sum(p.numel() for p in get('gru-layer', 4, 5).parameters())\n165\n"
    ">>> sum(p.numel() for p in get('gru-layer', 4, 5, reset='before').parameters())\n150",
    traits=_TRIAL,
)
def gru_layer(
    input_size: int,
    hidden_size: int,
    reset: str = "after",
    layers: int = 1,
    bidirectional: bool = False,
    dropout: float = 0.0,
    weight_dropout: float = 0.0,
) -> RecurrentLayer:
    """Layer of gated recurrent units: an update gate keeps, a reset gate forgets."""
    choice = check_choice("gru-layer", "reset", reset, ("after", "before"))
    make: Callable[..., nn.Module] = nn.GRU
    if choice == "before":
        make = partial(Unrolled, partial(GRUCell, reset="before"))
    return RecurrentLayer(
        "gru-layer", make, input_size, hidden_size, layers, bidirectional, dropout, weight_dropout
    )


@registered(
    kind="layer",
    name="lstm-layer",
    aliases=("long-short-term-memory-layer",),
    formula="i, f, o = σ(W x_t + U h_{t−1} + b), g = tanh(W_g x_t + U_g h_{t−1} + b_g); "
    "C_t = f ∘ C_{t−1} + i ∘ g; h_t = o ∘ tanh C_t",
    shapes=_SHAPES.replace("the last state", "the last (h, C), each"),
    when="long sequences: along C gradients are multiplied by forget gates alone",
    pitfalls="gradients can still explode: clip them; the state is a pair",
    source="Hochreiter and Schmidhuber, Long Short-Term Memory, 1997; weight_dropout: Merity, Keskar and "
    "Socher, Regularizing and Optimizing LSTM Language Models, 2018",
    differs="torch.nn.LSTM, with forget gates that start at σ(forget_bias) in place of ½",
    example=">>> y, (h, C) = get('lstm-layer', 3, 4)(torch.zeros(2, 5, 3))\n>>> y.shape, C.shape\n"
    "(torch.Size([2, 5, 4]), torch.Size([1, 2, 4]))",
    traits=_TRIAL,
)
def lstm_layer(
    input_size: int,
    hidden_size: int,
    forget_bias: float = 1.0,
    layers: int = 1,
    bidirectional: bool = False,
    dropout: float = 0.0,
    weight_dropout: float = 0.0,
) -> RecurrentLayer:
    """Layer of long short-term memory: gates decide what a memory keeps, takes in and shows."""
    layer = RecurrentLayer(
        "lstm-layer", nn.LSTM, input_size, hidden_size, layers, bidirectional, dropout, weight_dropout
    )
    set_forget_bias(layer.recurrence, forget_bias)
    return layer


@registered(
    kind="layer",
    name="mrnn-layer",
    aliases=("multiplicative-rnn-layer",),
    formula="h_t = tanh(W_xh x_t + W_hf (W_fx x_t ∘ W_fh h_{t−1}) + b)",
    shapes=_SHAPES,
    when="characters and other symbols that change what a state means",
    pitfalls="no fused kernel; products of three weights: clip gradients",
    source="Sutskever, Martens and Hinton, Generating Text with Recurrent Neural Networks, 2011",
    example=">>> get('mrnn-layer', 3, 4)(torch.zeros(2, 5, 3))[0].shape\ntorch.Size([2, 5, 4])",
    traits=_TRIAL,
)
def mrnn_layer(
    input_size: int,
    hidden_size: int,
    factors: int | None = None,
    layers: int = 1,
    bidirectional: bool = False,
    dropout: float = 0.0,
    weight_dropout: float = 0.0,
) -> RecurrentLayer:
    """Multiplicative recurrent layer: every input has a transition matrix of its own."""
    make = partial(Unrolled, partial(MultiplicativeCell, factors=factors))
    return RecurrentLayer(
        "mrnn-layer", make, input_size, hidden_size, layers, bidirectional, dropout, weight_dropout
    )


LAYERS: dict[str, Callable[..., RecurrentLayer]] = {
    "rnn": rnn_layer,
    "irnn": irnn_layer,
    "mrnn": mrnn_layer,
    "gru": gru_layer,
    "lstm": lstm_layer,
}


@registered(
    kind="layer",
    name="bidirectional-encoder",
    aliases=("bidir", "encoder-annotations", "bidirectional-rnn", "annotations"),
    formula="h⁽ʲ⁾ = [h→⁽ʲ⁾, h←⁽ʲ⁾]: one recurrence reads up to step j, another from the end back to it",
    shapes=_SHAPES.replace("directions · hidden_size)", "2 · hidden_size)").replace("directions,", "2,"),
    when="sequences that are there as a whole: translation, labelling; annotations for attention to read",
    pitfalls="not for prediction of what comes next: every output has seen the future; without lengths the "
    "backward pass begins in the padding",
    source="Schuster and Paliwal, Bidirectional Recurrent Neural Networks, 1997; Bahdanau, Cho and Bengio, "
    "Neural Machine Translation by Jointly Learning to Align and Translate, 2015",
    example=">>> get('bidirectional-encoder', 3, 4)(torch.zeros(2, 5, 3))[0].shape\ntorch.Size([2, 5, 8])",
    traits={**_TRIAL, "gives": (2, 5, 8)},
)
def bidirectional_encoder(
    input_size: int, hidden_size: int, cell: str = "gru", layers: int = 1, dropout: float = 0.0
) -> RecurrentLayer:
    """Bidirectional encoder: an annotation of every step that knows what is before and behind it."""
    make = LAYERS[check_choice("bidirectional-encoder", "cell", cell, tuple(LAYERS))]
    return make(input_size, hidden_size, layers=layers, bidirectional=True, dropout=dropout)
