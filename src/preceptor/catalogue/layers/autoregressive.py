"""Autoregressive models: a sequence's probability as a product of one step's after the other."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from preceptor.catalogue._checks import check_count, check_number
from preceptor.catalogue._registry import registered

__all__ = ["AutoregressiveModel"]


@registered(
    kind="model-transform",
    name="autoregressive-model",
    aliases=("ar", "autoregressive", "next-step-model"),
    formula="p(x) = Π_t p(x_t | x_1 … x_{t−1}): the network reads start, x_1, …, x_{T−1} and gives the "
    "logits "
    "of x_1, …, x_T",
    shapes="network: (N, T) integers → logits (N, T, K), causal; x (N, T) → logits (N, T, K)",
    when="any sequence of symbols: all steps are trained at once, and drawn one after the other",
    pitfalls="a network that sees the present or the future learns to copy it; drawing takes T passes in "
    "order",
    source="Frey, Hinton and Dayan, Does the Wake-Sleep Algorithm Produce Good Density Estimators?, 1996; "
    "Bengio and Bengio, 2000",
    example="""
        >>> net = get('tcn', (4,), 2, vocabulary=3, per_step=True, hidden=4)
        >>> model = get('autoregressive-model', net, start=2)
        >>> every = torch.cartesian_prod(*[torch.arange(2)] * 4)
        >>> round(model.log_likelihood(every).exp().sum().item(), 5)
        1.0
        >>> model.sample(3, 4).shape
        torch.Size([3, 4])
        """,
)
class AutoregressiveModel(nn.Module):
    """Autoregressive model: each step is predicted from those before it."""

    def __init__(self, network: nn.Module, start: int = 0) -> None:
        super().__init__()
        self.network = network
        self.start = check_count("autoregressive-model", "start", start, 0)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of every step, given the true steps before it."""
        logits: Tensor = self.network(functional.pad(x[:, :-1], (1, 0), value=self.start))
        return logits

    def log_likelihood(self, x: Tensor) -> Tensor:
        """Return log p(x) of each sequence, (N,)."""
        each = functional.cross_entropy(self(x).transpose(1, 2), x, reduction="none")
        return -each.sum(1)

    @torch.no_grad()
    def sample(
        self, count: int, length: int, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw sequences step by step, each step read only once: the network carries its state.

        Raises:
            ConfigError: counts below 1, or a temperature that is not above 0.
        """
        for option, value in (("count", count), ("length", length)):
            check_count("autoregressive-model", option, value)
        check_number("autoregressive-model", "temperature", temperature, 1e-6)
        device = next(self.parameters()).device
        x = torch.full((count, 1), self.start, device=device)
        state: Any = None
        drawn = []
        for _ in range(length):
            logits, state = self.network(x, state)
            x = torch.multinomial((logits[:, -1] / temperature).softmax(-1), 1, generator=generator)
            drawn.append(x)
        return torch.cat(drawn, 1)
