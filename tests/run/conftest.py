"""Small data that can be learnt, in every form in which data come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

import preceptor


@dataclass(frozen=True)
class Points:
    """Three clouds of points in six dimensions, and a number that depends on them linearly."""

    x: NDArray[np.float32]
    y: NDArray[np.int64]
    value: NDArray[np.float64]

    @property
    def tensors(self) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.from_numpy(self.x), torch.from_numpy(self.y)


@pytest.fixture(scope="session")
def points() -> Points:
    draw = np.random.default_rng(0)
    y = np.arange(210) % 3
    x = draw.normal(size=(210, 6)) + 2.5 * np.eye(6)[y]
    value = 100 + 5 * x[:, 0] - 3 * x[:, 1] + draw.normal(size=210) * 0.1
    return Points(x.astype(np.float32), y, value)


def net(outputs: int = 3) -> nn.Module:
    """A small network for the points; its weights are drawn from the global generator."""
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, outputs))


def weights(run: preceptor.Run) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in run.model.state_dict().items()}


def assert_equal(a: dict[str, Any], b: dict[str, Any]) -> None:
    assert list(a) == list(b)
    for key, value in a.items():
        assert torch.equal(value, b[key]), key


QUICK: dict[str, Any] = {"epochs": 3, "out": False}
LEARNS: dict[str, Any] = {"epochs": 30, "lr": 0.02, "out": False}
