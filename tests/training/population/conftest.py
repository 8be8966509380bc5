"""What the tests of populations share: small data, an experiment, and ways to compare members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from preceptor.training import Experiment
from preceptor.training.population import Member, train_members

X = torch.randn(70, 6, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] * X[:, 1] > 0).long() + 2 * (X[:, 2] > 0).long()


class Net(nn.Module):
    """No chain of layers: a residual connection."""

    def __init__(self, width: int = 5) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, width), nn.Linear(width, width)
        self.last = nn.Linear(width, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.first(x).tanh()
        return self.last(h + self.second(h).tanh())


class Branching(nn.Module):
    """What vmap cannot follow: a decision by values."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x) if x.sum() > 0 else self.layer(-x)


class Population:
    """Trains members on small data, with what a test changes, and compares them."""

    Net, Branching = Net, Branching

    def experiment(self, **settings: Any) -> Experiment:
        given = {
            "model": "mlp", "model.hidden": [7], "training.epochs": 3, "training.batch_size": 9,
            "optimizer.lr": 0.01, "data.test": 0.1,
        }  # fmt: skip
        return Experiment.of(given).changed(settings)

    def train(
        self,
        changes: Sequence[Mapping[str, Any]],
        engine: str = "batched",
        data: Any = (X, Y),
        options: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> list[Member]:
        keyed = {key.replace("__", "."): value for key, value in settings.items()}
        experiment = self.experiment(**keyed)
        return train_members(experiment, changes, data=data, engine=engine, **(options or {}))  # type: ignore[arg-type]

    def flat(self, weights: Mapping[str, Tensor] | None) -> Tensor:
        assert weights is not None
        return torch.cat([w.double().flatten() for w in weights.values()])

    def alike(self, one: Member, other: Member, tolerance: float = 1e-4) -> None:
        """Histories, decisions and weights agree up to rounding."""
        assert (one.status, one.best_epoch, one.steps) == (other.status, other.best_epoch, other.steps)
        assert one.history.keys() == other.history.keys()
        for mine, theirs in zip(one.history, other.history, strict=True):
            for key in set(mine) - {"seconds"}:
                assert mine[key] == pytest.approx(theirs[key], rel=tolerance, abs=tolerance), key
        torch.testing.assert_close(
            self.flat(one.weights), self.flat(other.weights), rtol=tolerance, atol=tolerance
        )
        torch.testing.assert_close(
            self.flat(one.last_weights), self.flat(other.last_weights), rtol=tolerance, atol=tolerance
        )


@pytest.fixture
def population() -> Population:
    return Population()
