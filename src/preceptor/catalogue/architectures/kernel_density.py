"""The density as a mean of kernels, one at each training example."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from preceptor.catalogue._checks import check_count
from preceptor.catalogue._registry import registered
from preceptor.catalogue.architectures.densities import Density, normal

__all__ = ["KernelDensity"]

_LOG_2PI = math.log(2 * math.pi)
_JUDGED = 1000  # examples that the bandwidth is found by
_ROUNDS, _ENOUGH, _LEAST = 100, 1e-4, 1e-6


@registered(
    kind="architecture",
    name="kernel-density",
    aliases=("kde", "kernel-density-estimation", "parzen-window", "parzen-rosenblatt"),
    formula="log p(x) = log (1/M) Σ_m N(x; x_m, h² I) over M training examples x_m; one of these itself is "
    "judged by the others. h maximises Σ_i log p(x_i) over them: h² ← Σ_i Σ_{m≠i} r_im ‖x_i − x_m‖²/(M D) "
    "until it stays, r_im = softmax_m(−‖x_i − x_m‖²/2h²); the training goes on from there",
    shapes="(N, …) → (N, 1): log p(x) of each example; sample(n) → (n, …)",
    when="anomalies, and densities of up to some ten thousand examples: nothing to choose, one number to "
    "learn",
    pitfalls="it keeps the examples, and a prediction looks at all of them: of more than 10,000 some; "
    "distances count all inputs alike, so they must be scaled, and inputs that say nothing drown the others",
    source="Rosenblatt, Remarks on Some Nonparametric Estimates of a Density Function, 1956; Parzen, On "
    "Estimation of a Probability Density Function and Mode, 1962; Duin, On the Choice of Smoothing "
    "Parameters for Parzen Estimators, 1976",
    differs="scikit-learn's KernelDensity is given its bandwidth, and counts an example's own kernel",
    example=">>> net = get('kernel-density', (2,), 1, points=30)\n"
    ">>> net.remember(torch.randn(30, 2))\n"
    ">>> net(torch.zeros(4, 2)).shape, net.sample(5).shape\n(torch.Size([4, 1]), torch.Size([5, 2]))",
    traits={"density": True, "outputs": 1, "remembers": 10_000, "tiny": {"points": 12}},
)
class KernelDensity(Density):
    """Kernel density estimate with a bandwidth by leaving out.

    Attributes:
        examples: (points, D), standard normal numbers until there are others.
        log_bandwidth: ln h.
    """

    examples: Tensor

    def __init__(self, inputs: Sequence[int], outputs: int, points: int = 64) -> None:
        owner = "kernel-density"
        super().__init__(owner, inputs, outputs)
        self.register_buffer("examples", torch.randn(check_count(owner, "points", points), self.width))
        self.log_bandwidth = nn.Parameter(torch.zeros(()))

    @torch.no_grad()
    def remember(self, x: Tensor) -> None:
        """Put kernels at examples (N, …), evenly spread ones where there are more, and find their width."""
        rows = torch.linspace(0, len(x) - 1, len(self.examples)).round().long()
        self.examples.copy_(x.index_select(0, rows.to(x.device)).flatten(1))
        judged = self.examples[:: max(1, len(self.examples) // _JUDGED)]
        distance = self._squares(judged)
        distance[self._own(judged, distance)] = math.inf
        there = distance.isfinite().any(1)
        if there.any():
            self.log_bandwidth.copy_(0.5 * _width(distance[there], self.width).log())

    def _squares(self, x: Tensor) -> Tensor:
        """Return ‖x_n − x_m‖², (N, M)."""
        return torch.cdist(x, self.examples).square()

    def _own(self, x: Tensor, distance: Tensor) -> tuple[Tensor, Tensor]:
        """Return the places (rows, kernels) at which an example meets its own kernel."""
        nearest = distance.argmin(1)
        rows = (self.examples[nearest] == x).all(1).nonzero()[:, 0]
        return rows, nearest[rows]

    def log_density(self, x: Tensor) -> Tensor:
        """Return log p(x), (N,)."""
        distance = self._squares(x)
        own = self._own(x, distance)
        count = torch.full_like(distance[:, 0], len(self.examples))
        kernels = -0.5 * distance * (-2 * self.log_bandwidth).exp()
        if len(self.examples) > 1:
            count[own[0]] -= 1
            hidden = torch.zeros_like(distance, dtype=torch.bool)
            hidden[own] = True
            kernels = kernels.masked_fill(hidden, -math.inf)
        return kernels.logsumexp(1) - count.log() - self.width * (self.log_bandwidth + 0.5 * _LOG_2PI)

    def draw(self, count: int, generator: torch.Generator | None) -> Tensor:
        """Return flattened examples, (count, D)."""
        which = torch.randint(len(self.examples), (count,), generator=generator).to(self.examples.device)
        noise = normal((count, self.width), self.examples, generator)
        return self.examples[which] + self.log_bandwidth.exp() * noise


def _width(distance: Tensor, width: int) -> Tensor:
    """Return h² by squared distances (N, M), infinite where they do not count."""
    finite = distance.masked_fill(distance.isinf(), 0.0)
    found = distance.amin(1).median().clamp_min(_LEAST) / width
    for _ in range(_ROUNDS):
        shares = (-0.5 * distance / found).softmax(1)
        new = ((shares * finite).sum() / (len(distance) * width)).clamp_min(_LEAST)
        if abs(float(new / found) - 1) < _ENOUGH:
            break
        found = new
    return found
