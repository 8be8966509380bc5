"""Tests that guard a training of one's own: pytest test_own_training.py."""

import pytest
import torch
from torch import nn

X = torch.randn(48, 4, generator=torch.Generator().manual_seed(0))
Y = X[:, :3].argmax(1)


def network():
    """Return a new network."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))


def test_the_network_can_learn(assert_learns):
    assert_learns(network(), (X, Y))


@pytest.mark.healthy
def test_the_training_is_sound():
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(40):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(X), Y)
        loss.backward()
        optimizer.step()
    assert loss.item() < 1.0
