"""Positions: what tells attention, which knows no order, where a step stands."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from preceptor.catalogue._checks import check_count
from preceptor.catalogue._registry import registered
from preceptor.errors import ModelError

__all__ = ["LearnedPositions", "SinusoidalPositions"]


@registered(
    kind="layer",
    name="sinusoidal-positions",
    aliases=("positional-encoding", "sinusoidal-encoding", "fixed-positions"),
    formula="y_t = x_t + p_{t + start}, p_t[2i] = sin(t / base^(2i/D)), p_t[2i + 1] = cos(t / base^(2i/D))",
    shapes="x (N, T, D), start the number of steps before → (N, T, D)",
    when="attention over sequences of any length",
    pitfalls="inputs much smaller or larger than 1 drown in the positions, or drown them",
    source="Vaswani et al., Attention Is All You Need, 2017",
    example=">>> get('sinusoidal-positions')(torch.zeros(1, 2, 2))\n"
    "tensor([[[0.0000, 1.0000],\n         [0.8415, 0.5403]]])",
    traits={"takes": (2, 4, 6), "gives": (2, 4, 6)},
)
class SinusoidalPositions(nn.Module):
    """Sinusoidal positions: waves of many lengths are added; those of a shifted step are rotated ones."""

    def __init__(self, base: float = 10_000.0) -> None:
        super().__init__()
        self.base = base

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        """Add the positions of the steps from ``start`` on."""
        T, D = x.shape[-2:]
        steps = torch.arange(start, start + T, device=x.device, dtype=torch.float32)[:, None]
        slow = torch.arange(0, D, 2, device=x.device, dtype=torch.float32)
        angles = steps * torch.exp(slow * (-math.log(self.base) / D))
        waves = torch.stack([angles.sin(), angles.cos()], -1).flatten(1)[:, :D]
        return x + waves.to(x.dtype)


@registered(
    kind="layer",
    name="learned-positions",
    aliases=("positional-embedding", "position-embedding"),
    formula="y_t = x_t + P_{t + start}, P a table of max_length vectors that are learned",
    shapes="x (N, T, width), start the number of steps before, start + T ≤ max_length → (N, T, width)",
    when="attention over sequences whose greatest length is known",
    pitfalls="positions that training did not reach keep their first values; beyond max_length there are "
    "none",
    source="Gehring et al., Convolutional Sequence to Sequence Learning, 2017",
    example=">>> get('learned-positions', 8, 16)(torch.zeros(1, 5, 8)).shape\ntorch.Size([1, 5, 8])",
    traits={"arguments": (6, 5), "takes": (2, 4, 6), "gives": (2, 4, 6)},
)
class LearnedPositions(nn.Module):
    """Learned positions: a vector for each place is added."""

    def __init__(self, width: int, max_length: int) -> None:
        super().__init__()
        check_count("learned-positions", "width", width)
        check_count("learned-positions", "max_length", max_length)
        self.table = nn.Parameter(0.02 * torch.randn(max_length, width))

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        """Add the positions of the steps from ``start`` on."""
        end = start + x.shape[-2]
        if end > len(self.table):
            raise ModelError(
                "the sequence is longer than the table of positions",
                expected=f"at most {len(self.table)} steps",
                received=f"steps {start} to {end - 1}",
                hint="a larger max_length, or positions='sinusoidal'",
            )
        return x + self.table[start:end]
