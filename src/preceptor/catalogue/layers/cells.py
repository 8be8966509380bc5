"""Recurrent cells: one step of a recurrence, as the textbooks write it, with one bias to a gate."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from preceptor.catalogue._checks import check_choice, check_count, check_number
from preceptor.catalogue._registry import registered

__all__ = ["Cell", "ElmanCell", "GRUCell", "LSTMCell", "MultiplicativeCell", "set_forget_bias"]

_SHAPES = "x (N, input_size), state (N, hidden_size) or None for zeros → the next state (N, hidden_size)"
_TRIAL = {"arguments": (3, 4), "takes": (2, 3), "gives": (2, 4)}
_NONLINEARITIES = ("tanh", "relu", "none")


class Cell(nn.Module):
    """What cells have in common: what inputs bring is computed for all steps at once, the rest step by step.

    Example:
        >>> cell, x = ElmanCell(3, 4), torch.randn(2, 7, 3)
        >>> torch.allclose(cell(x[:, 0]), cell.advance(cell.project(x)[:, 0], cell.start(x[:, 0])))
        True
    """

    def __init__(self, owner: str, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size = check_count(owner, "input_size", input_size)
        self.hidden_size = check_count(owner, "hidden_size", hidden_size)

    def _gates(self, gates: int, *, bias: bool = True) -> None:
        """Make weights for so many gates, uniform in ±1/√hidden_size as torch's are."""
        wide, bound = gates * self.hidden_size, 1 / math.sqrt(self.hidden_size)
        self.weight_ih = nn.Parameter(torch.empty(wide, self.input_size).uniform_(-bound, bound))
        self.weight_hh = nn.Parameter(torch.empty(wide, self.hidden_size).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(wide).uniform_(-bound, bound)) if bias else None

    def project(self, x: Tensor) -> Tensor:
        """Return what the inputs contribute, (…, input_size) → (…, gates · hidden_size)."""
        return functional.linear(x, self.weight_ih, self.bias)

    @abstractmethod
    def advance(self, projected: Tensor, state: Any) -> Any:
        """Return the next state, given what the inputs contribute and the state before."""

    def start(self, x: Tensor) -> Any:
        """Return the state before the first step: zeros."""
        return x.new_zeros(len(x), self.hidden_size)

    def forward(self, x: Tensor, state: Any = None) -> Any:
        """Return the next state, given the inputs and the state before."""
        return self.advance(self.project(x), self.start(x) if state is None else state)


@registered(
    kind="layer",
    name="rnn-cell",
    aliases=("elman-cell", "vanilla-rnn-cell"),
    formula="h_t = φ(W_xh x_t + W_hh h_{t−1} + b), φ = tanh, relu, or the identity ('none')",
    shapes=_SHAPES,
    when="a loop of one's own over time; to see what a recurrence does",
    pitfalls="without φ any number of steps is one matrix; with relu and eigenvalues of W_hh above 1 states "
    "explode",
    source="Elman, Finding Structure in Time, 1990",
    differs="torch.nn.RNNCell has two biases, of which only the sum counts, and no linear form",
    example=">>> get('rnn-cell', 3, 4)(torch.zeros(2, 3)).shape\ntorch.Size([2, 4])",
    traits=_TRIAL,
)
class ElmanCell(Cell):
    """Recurrent cell of Elman: the state is a function of input and previous state."""

    def __init__(
        self, input_size: int, hidden_size: int, nonlinearity: str = "tanh", bias: bool = True
    ) -> None:
        super().__init__("rnn-cell", input_size, hidden_size)
        self.nonlinearity = check_choice("rnn-cell", "nonlinearity", nonlinearity, _NONLINEARITIES)
        self._gates(1, bias=bias)

    def advance(self, projected: Tensor, state: Tensor) -> Tensor:
        """Return the next state."""
        z = projected + functional.linear(state, self.weight_hh)
        if self.nonlinearity == "none":
            return z
        return z.tanh() if self.nonlinearity == "tanh" else z.relu()


@registered(
    kind="layer",
    name="gru-cell",
    aliases=("gated-recurrent-unit-cell",),
    formula="r = σ(W_r x_t + U_r h_{t−1} + b_r), z = σ(W_z x_t + U_z h_{t−1} + b_z), n = tanh(W_n x_t + "
    "b_n + "
    "U_n (r ∘ h_{t−1})) for reset='before', tanh(W_n x_t + b_n + r ∘ (U_n h_{t−1})) for 'after'; "
    "h_t = (1 − z) ∘ n + z ∘ h_{t−1}; 3 (D + H + 1) H parameters",
    shapes=_SHAPES,
    when="a loop of one's own over time, or the form of the original paper",
    pitfalls="two forms go by the same name, and weights of one do not suit the other; in some papers z and "
    "1 − z change places",
    source="Cho et al., Learning Phrase Representations using RNN Encoder–Decoder for Statistical Machine "
    "Translation, 2014",
    differs="torch.nn.GRUCell is reset='after', with a second bias inside r ∘ (·): 165 parameters for 4 → 5 "
    "where this has 150",
    example=">>> sum(p.numel() for p in get('gru-cell', 4, 5).parameters())\n150",
    traits=_TRIAL,
)
class GRUCell(Cell):
    """Gated recurrent unit: an update gate keeps the state, a reset gate forgets it in the proposal."""

    def __init__(self, input_size: int, hidden_size: int, reset: str = "before", bias: bool = True) -> None:
        super().__init__("gru-cell", input_size, hidden_size)
        self.reset = check_choice("gru-cell", "reset", reset, ("before", "after"))
        self._gates(3, bias=bias)

    def advance(self, projected: Tensor, state: Tensor) -> Tensor:
        """Return the next state."""
        H = self.hidden_size
        if self.reset == "after":
            hidden = functional.linear(state, self.weight_hh)
            gates, proposal = hidden[..., : 2 * H], hidden[..., 2 * H :]
            r, z = (projected[..., : 2 * H] + gates).sigmoid().chunk(2, -1)
            n = (projected[..., 2 * H :] + r * proposal).tanh()
        else:
            gates = functional.linear(state, self.weight_hh[: 2 * H])
            r, z = (projected[..., : 2 * H] + gates).sigmoid().chunk(2, -1)
            n = (projected[..., 2 * H :] + functional.linear(r * state, self.weight_hh[2 * H :])).tanh()
        return n + z * (state - n)


@registered(
    kind="layer",
    name="lstm-cell",
    aliases=("long-short-term-memory-cell",),
    formula="i, f, o = σ(W x_t + U h_{t−1} + b), g = tanh(W_g x_t + U_g h_{t−1} + b_g), each with weights of "
    "its own; C_t = f ∘ C_{t−1} + i ∘ g; h_t = o ∘ tanh C_t. (i, f) = (0, 1) keeps the memory, (1, 1) adds "
    "to "
    "it, (0, 0) erases, (1, 0) overwrites; 4 (D + H + 1) H parameters",
    shapes="x (N, input_size), state (h, C), each (N, hidden_size), or None for zeros → (h, C)",
    when="a loop of one's own over time; to look at the gates",
    pitfalls="with forget gates at ½ a memory halves at every step: forget_bias=1 starts them at 0.73",
    source="Hochreiter and Schmidhuber, Long Short-Term Memory, 1997; forget gate: Gers, Schmidhuber and "
    "Cummins, Learning to Forget, 2000; its bias: Jozefowicz, Zaremba and Sutskever, 2015",
    differs="torch.nn.LSTMCell has two biases, of which only the sum counts, and starts the forget gate near "
    "½: 220 parameters for 4 → 5 where this has 200",
    example=">>> sum(p.numel() for p in get('lstm-cell', 4, 5).parameters())\n200",
    traits=_TRIAL,
)
class LSTMCell(Cell):
    """Long short-term memory: gates decide what a memory keeps, takes in and shows."""

    def __init__(
        self, input_size: int, hidden_size: int, forget_bias: float = 1.0, bias: bool = True
    ) -> None:
        super().__init__("lstm-cell", input_size, hidden_size)
        self._gates(4, bias=bias)
        set_forget_bias(self, forget_bias)

    def start(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return state and memory before the first step: zeros."""
        return x.new_zeros(len(x), self.hidden_size), x.new_zeros(len(x), self.hidden_size)

    def advance(self, projected: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the next state and memory."""
        h, C = state
        i, f, g, o = (projected + functional.linear(h, self.weight_hh)).chunk(4, -1)
        C = f.sigmoid() * C + i.sigmoid() * g.tanh()
        return o.sigmoid() * C.tanh(), C


def set_forget_bias(lstm: nn.Module, value: float) -> None:
    """Set what the biases of an LSTM's forget gates sum to, in a cell or in torch's layers.

    Example:
        >>> lstm = nn.LSTM(2, 3)
        >>> set_forget_bias(lstm, 1.0)
        >>> (lstm.bias_ih_l0 + lstm.bias_hh_l0)[3:6].tolist()
        [1.0, 1.0, 1.0]
    """
    check_number("lstm", "forget_bias", value, -math.inf)
    with torch.no_grad():
        for name, p in lstm.named_parameters():
            if name.startswith("bias"):
                H = len(p) // 4
                p[H : 2 * H] = 0.0 if name.startswith("bias_hh") else value


@registered(
    kind="layer",
    name="mrnn-cell",
    aliases=("multiplicative-rnn-cell", "multiplicative-cell"),
    formula="h_t = tanh(W_xh x_t + W_hf (W_fx x_t ∘ W_fh h_{t−1}) + b): the input chooses the transition "
    "matrix W_hf diag(W_fx x_t) W_fh",
    shapes=_SHAPES,
    when="symbols that change what a state means, as characters do",
    pitfalls="products of three weights: gradients vary more than those of a plain recurrence; clip them",
    source="Sutskever, Martens and Hinton, Generating Text with Recurrent Neural Networks, 2011",
    example=">>> cell = get('mrnn-cell', 3, 4)\n>>> cell.transition(torch.ones(2, 3)).shape\n"
    "torch.Size([2, 4, 4])",
    traits=_TRIAL,
)
class MultiplicativeCell(Cell):
    """Multiplicative recurrent cell: every input has a transition matrix of its own, in factors."""

    def __init__(
        self, input_size: int, hidden_size: int, factors: int | None = None, bias: bool = True
    ) -> None:
        super().__init__("mrnn-cell", input_size, hidden_size)
        self.factors = hidden_size if factors is None else check_count("mrnn-cell", "factors", factors)
        self._gates(1, bias=bias)
        # Transitions vary from input to input: they start as contractions, else states are tossed about.
        self.weight_hh = nn.Parameter(nn.init.orthogonal_(torch.empty(hidden_size, self.factors), gain=0.6))
        self.weight_fh = nn.Parameter(nn.init.orthogonal_(torch.empty(self.factors, hidden_size)))
        self.weight_fx = nn.Parameter(torch.randn(self.factors, input_size) / math.sqrt(input_size))

    def project(self, x: Tensor) -> Tensor:
        """Return what the inputs add, and the factors that they choose."""
        return torch.cat([super().project(x), functional.linear(x, self.weight_fx)], -1)

    def advance(self, projected: Tensor, state: Tensor) -> Tensor:
        """Return the next state."""
        added, chosen = projected[..., : self.hidden_size], projected[..., self.hidden_size :]
        factors = chosen * functional.linear(state, self.weight_fh)
        return (added + functional.linear(factors, self.weight_hh)).tanh()

    def transition(self, x: Tensor) -> Tensor:
        """Return the transition matrix that each input chooses, (N, input_size) → (N, H, H)."""
        chosen = functional.linear(x, self.weight_fx)
        return self.weight_hh @ (chosen[..., None] * self.weight_fh)
