"""What several devices cost, beside a ring that is played through and torch's own optimizers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from preceptor.catalogue import get
from preceptor.errors import ConfigError


def ring(size: float, devices: int, bandwidth: float, latency: float) -> float:
    """Play a ring all-reduce through, piece by piece; check the sums, and return the seconds."""
    pieces = [[float(d + 1) for _ in range(devices)] for d in range(devices)]
    seconds = 0.0
    for round_ in range(2 * (devices - 1)):
        sending = [(d, (d - round_) % devices) for d in range(devices)]
        moved = [(d, piece, pieces[d][piece]) for d, piece in sending]
        for d, piece, value in moved:
            to = (d + 1) % devices
            pieces[to][piece] = pieces[to][piece] + value if round_ < devices - 1 else value
        seconds += latency + size / devices / bandwidth  # all send at once
    assert pieces == [[devices * (devices + 1) / 2] * devices] * devices
    return seconds


@pytest.mark.parametrize("devices", [1, 2, 3, 8])
def test_an_all_reduce_takes_as_long_as_the_ring(devices: int) -> None:
    said = get("all-reduce-time", 6e6, devices=devices, bandwidth=2e9, latency=1e-5)
    assert said == pytest.approx(ring(6e6, devices, 2e9, 1e-5))


def test_a_step_is_divided_and_the_agreement_is_not() -> None:
    one = get("data-parallel-time", 0.2, 1e8, devices=1, bandwidth=1e9)
    assert (one.seconds, one.speedup, one.efficiency) == (0.2, 1.0, 1.0)
    two = get("data-parallel-time", 0.2, 1e8, devices=2, bandwidth=1e9)
    assert two.seconds == pytest.approx(0.1 + 0.1)
    assert two.speedup == pytest.approx(1.0)  # all that is won is spent on agreeing
    hidden = get("data-parallel-time", 0.2, 1e8, devices=2, bandwidth=1e9, overlap=1.0)
    assert hidden.speedup == pytest.approx(2.0)
    cut = get("data-parallel-time", 0.2, 1e8, devices=2, bandwidth=1e9, shard="fully")
    assert cut.communication == pytest.approx(1.5 * two.communication)
    with pytest.raises(ConfigError, match="overlap"):
        get("data-parallel-time", 0.2, 1e8, devices=2, bandwidth=1e9, overlap=2.0)


@pytest.mark.parametrize(("optimizer", "moments"), [("Adam", 2), ("SGD", 0)])
def test_memory_is_what_torch_holds(optimizer: str, moments: int) -> None:
    model = nn.Sequential(nn.Linear(20, 30), nn.Linear(30, 5))
    made = getattr(torch.optim, optimizer)(model.parameters(), lr=0.1)
    model(torch.ones(2, 20)).sum().backward()
    made.step()
    parameters = list(model.parameters())
    held = [state for p in parameters for state in made.state[p].values() if state.shape == p.shape]
    count = sum(p.numel() for p in parameters)
    said = get("device-memory", count, moments=moments)
    assert said.weights == sum(p.nbytes for p in parameters)
    assert said.gradients == sum(p.grad.nbytes for p in parameters if p.grad is not None)
    assert said.moments == sum(state.nbytes for state in held)
    assert said.total == said.weights + said.gradients + said.moments
    cut = get("device-memory", count, devices=3, largest=630, moments=moments, shard="fully")
    assert cut.total == pytest.approx(said.total / 3 + 4 * 630)
