"""Trying remedies on what a watch kept, from Python."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

import preceptor
from preceptor.errors import ConfigError


def ascend(**how) -> preceptor.Watch:
    torch.manual_seed(0)
    x = torch.randn(256, 4)
    y = x[:, :3].argmax(1)
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with preceptor.watch(**how) as watch:
        for _ in range(60):
            optimizer.zero_grad()
            (-functional.cross_entropy(model(x), y)).backward()
            optimizer.step()
    return watch


@pytest.mark.slow
def test_a_remedy_is_verified_and_said() -> None:
    finding = ascend(trials=True).try_remedies()[0]
    assert finding.cause == "gradient-ascent"
    assert finding.verification["improved"]
    assert finding.verification["change"][0]["kind"] == "sign"
    assert finding.to_plain()["verification"]["baseline"] < finding.verification["changed"]


def test_a_watch_that_keeps_no_steps_is_refused() -> None:
    with pytest.raises(ConfigError, match="trials=True"):
        ascend().try_remedies()


def test_a_watch_that_still_runs_is_refused() -> None:
    with preceptor.watch(trials=True) as watch, pytest.raises(ConfigError, match="still runs"):
        watch.try_remedies()
