"""Blocks of causal dilated convolutions: what a convolutional model of sequences is made of."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from preceptor.catalogue._checks import check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.activations import make_activation
from preceptor.catalogue.layers.causal import CausalConvolution

__all__ = ["TemporalBlock"]


@registered(
    kind="layer",
    name="temporal-block",
    aliases=("tcn-block", "causal-block", "dilated-causal-block"),
    formula="y = f(shortcut(x) + drop f(conv₂ drop f(conv₁ x))), both convolutions causal and dilated; the "
    "shortcut is a 1×1 convolution where the channels change. Sees 2 · (kernel − 1) · dilation steps back",
    shapes="(N, in_channels, T) → (N, out_channels, T)",
    when="sequences in parallel over time: dilations 1, 2, 4, … see far with few layers",
    pitfalls="what lies beyond the receptive field does not exist; one large dilation throughout leaves gaps",
    source="Bai, Kolter and Koltun, An Empirical Evaluation of Generic Convolutional and Recurrent Networks "
    "for Sequence Modeling, 2018",
    differs="the paper normalises weights",
    example=">>> get('temporal-block', 2, 4, kernel=3, dilation=4)(torch.zeros(1, 2, 9)).shape\n"
    "torch.Size([1, 4, 9])",
    traits={"arguments": (2, 3), "takes": (2, 2, 7), "gives": (2, 3, 7)},
)
class TemporalBlock(nn.Module):
    """Temporal block: two causal convolutions beside a shortcut."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 2,
        dilation: int = 1,
        dropout: float = 0.0,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        rate = check_number("temporal-block", "dropout", dropout, 0.0, 0.999)
        self.first = CausalConvolution(in_channels, out_channels, kernel, dilation)
        self.second = CausalConvolution(out_channels, out_channels, kernel, dilation)
        same = in_channels == out_channels
        self.shortcut = nn.Identity() if same else nn.Conv1d(in_channels, out_channels, 1)
        self.activation, self.drop = make_activation(activation), nn.Dropout(rate)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve twice and add what went past."""
        y = self.drop(self.activation(self.first(x)))
        y = self.drop(self.activation(self.second(y)))
        made: Tensor = self.activation(self.shortcut(x) + y)
        return made

    def carry(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Go on behind the steps that the state remembers; return the outputs and the state that follows."""
        one, two = (None, None) if state is None else state
        y, one = self.first.carry(x, one)
        y, two = self.second.carry(self.drop(self.activation(y)), two)
        y = self.drop(self.activation(y))
        return self.activation(self.shortcut(x) + y), (one, two)
