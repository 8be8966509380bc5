"""The ladder network: a classifier that also learns from examples without a label."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from preceptor.catalogue._checks import check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.activations import make_activation
from preceptor.catalogue.architectures._common import Init, check_sizes, initialize
from preceptor.errors import ConfigError

__all__ = ["Ladder"]


@registered(
    kind="architecture",
    name="ladder-network",
    aliases=("ladder",),
    formula="encoder: z_l = norm(W_l h_{l−1}) [+ noise · ε], h_l = f(γ_l (z_l + β_l)), once clean and once "
    "noisy; decoder from the top: ẑ_l = g(z̃_l, u_l), u_l = norm(V_{l+1} ẑ_{l+1}), and at the top u_L = "
    "norm(h̃_L); g(z, u) = (z − μ(u)) v(u) + μ(u), μ and v each a₁ σ(a₂ u + a₃) + a₄ u + a₅ for every unit; "
    "penalty Σ_l costs_l · ‖z_l − (ẑ_l − m)/s‖² / (N · width_l), m and s mean and deviation of W_l h_{l−1} "
    "in the clean pass",
    shapes="(N, …) → (N, outputs); in training the scores of the noisy path, else those of the clean one",
    when="few labels and many examples without",
    pitfalls="the costs are half of the method: too large ones drown the labels, and what is best differs "
    "from data to data; norm takes its statistics from the batch, so that batches must not be small",
    source="Rasmus et al., Semi-Supervised Learning with Ladder Networks, 2015",
    differs="a single costs value stands for that of the input; the first hidden layer has a hundredth of "
    "it, all above a ten-thousandth, as in the paper's 1000 : 10 : 0.1",
    example=">>> net = get('ladder-network', (8,), 3, hidden=(6,))\n"
    ">>> net(torch.randn(16, 8)).shape, len(net.layer_costs)\n(torch.Size([16, 3]), 3)",
    traits={"penalty": True},
)
class Ladder(nn.Module):
    """Ladder network: noisy encoder, denoising decoder with lateral connections, a cost for each layer.

    Attributes:
        layer_costs: after a pass in training, the weighted cost of each layer, the input's first.
    """

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        hidden: int | Sequence[int] = (128, 64),
        noise: float = 0.3,
        costs: float | Sequence[float] = 10.0,
        activation: str | nn.Module | Callable[[], nn.Module] = "relu",
        init: Init = None,
    ) -> None:
        super().__init__()
        _, width = check_sizes("ladder-network", inputs, outputs)
        layers = (hidden,) if isinstance(hidden, int) else tuple(hidden)
        sizes = (width, *layers, outputs)
        self.noise = check_number("ladder-network", "noise", noise, 0.0)
        self.costs = _costs(costs, len(sizes))
        pairs = list(pairwise(sizes))
        self.encoder = nn.ModuleList(nn.Linear(a, b, bias=False) for a, b in pairs)
        self.decoder = nn.ModuleList(nn.Linear(b, a, bias=False) for a, b in pairs)
        self.norms = nn.ModuleList(nn.BatchNorm1d(b, affine=False) for _, b in pairs)
        self.shifts = nn.ParameterList(torch.zeros(b) for _, b in pairs)
        self.scale = nn.Parameter(torch.ones(outputs))  # below, what follows can take any scale up
        self.combinators = nn.ModuleList(_Combinator(size) for size in sizes)
        self.activation = make_activation(activation)
        self.layer_costs: list[Tensor] = []
        self.sizes: tuple[int, ...] = sizes
        initialize(self, init)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores; in training of the noisy path, leaving the layers' costs behind."""
        x = x.flatten(1)
        if not self.training:
            return self._up(x, noise=0.0)[-1]
        # The noisy pass comes first: running statistics then end with those of the clean one.
        noisy, _, scores = self._up(x, noise=self.noise)
        clean, moments, _ = self._up(x, noise=0.0)
        self.layer_costs = self._down(noisy, clean, moments, scores)
        return scores

    def penalty(self) -> Tensor:
        """Return the sum of the layers' costs in the last pass, to be added to the loss."""
        return torch.stack(self.layer_costs).sum()

    def _up(self, x: Tensor, noise: float) -> tuple[list[Tensor], list[tuple[Tensor, Tensor]], Tensor]:
        """Return the units of each layer, mean and deviation before their normalisation, and the scores."""

        def disturbed(z: Tensor) -> Tensor:
            return z + noise * torch.randn_like(z) if noise else z

        h = disturbed(x)
        found, moments = [h], [(torch.zeros_like(x[0]), torch.ones_like(x[0]))]
        last = len(self.encoder) - 1
        for level, (layer, norm, shift) in enumerate(zip(self.encoder, self.norms, self.shifts, strict=True)):
            before = layer(h)
            z = disturbed(norm(before))
            found.append(z)
            moments.append((before.mean(0), (before.var(0, correction=0) + norm.eps).sqrt()))
            h = self.scale * (z + shift) if level == last else self.activation(z + shift)
        return found, moments, h

    def _down(
        self,
        noisy: list[Tensor],
        clean: list[Tensor],
        moments: list[tuple[Tensor, Tensor]],
        scores: Tensor,
    ) -> list[Tensor]:
        costs: list[Tensor] = []
        u = _normed(scores.softmax(1))
        for level in reversed(range(len(noisy))):
            made = self.combinators[level](noisy[level], u)
            mean, deviation = moments[level]
            costs.append(self.costs[level] * functional.mse_loss((made - mean) / deviation, clean[level]))
            if level:
                u = _normed(self.decoder[level - 1](made))
        return costs[::-1]


class _Combinator(nn.Module):
    """g(z, u) = (z − μ(u)) v(u) + μ(u), with five numbers each for μ and v of every unit."""

    def __init__(self, size: int) -> None:
        super().__init__()
        start = torch.zeros(2, 5, size)
        start[:, 1] = 1.0  # slopes within the sigmoids
        start[1, 4] = 1.0  # at first z passes, as where nothing is known from above
        start[:, 0] = 0.1
        self.a = nn.Parameter(start)

    def forward(self, z: Tensor, u: Tensor) -> Tensor:
        """Return the units without their noise, by what the layer above makes of them."""
        mean, weight = (a[0] * (a[1] * u + a[2]).sigmoid() + a[3] * u + a[4] for a in self.a)
        made: Tensor = (z - mean) * weight + mean
        return made


def _normed(z: Tensor) -> Tensor:
    made: Tensor = functional.batch_norm(z, None, None, training=True)
    return made


def _costs(costs: float | Sequence[float], layers: int) -> tuple[float, ...]:
    if isinstance(costs, (int, float)):
        first = check_number("ladder-network", "costs", costs, 0.0)
        return tuple(first / (1, 100, 10_000)[min(level, 2)] for level in range(layers))
    given = tuple(check_number("ladder-network", "costs", cost, 0.0) for cost in costs)
    if len(given) != layers:
        raise ConfigError(
            "ladder-network: costs is not usable",
            expected=f"one number, or {layers}: for the input and for each layer",
            received=f"{len(given)} numbers",
        )
    return given
