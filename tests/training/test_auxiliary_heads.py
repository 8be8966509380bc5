"""Auxiliary heads in a training: their losses are minimised, and nothing of them is measured."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

import preceptor
from preceptor.catalogue import get
from preceptor.catalogue.layers import AuxiliaryHead, auxiliary_outputs
from preceptor.errors import ConfigError

X = torch.randn(24, 4, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long() + (X[:, 1] > 0).long()
PLAIN: dict[str, Any] = {
    "optimizer": partial(torch.optim.SGD, lr=0.1),
    "epochs": 1,
    "batch_size": 24,
    "val": 0.0,
    "test": 0.0,
    "out": False,
    "patience": None,
}


def net(weight: float = 0.3) -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Linear(4, 6),
        nn.Tanh(),
        get("auxiliary-head", nn.Linear(6, 3), weight=weight),
        nn.Linear(6, 5),
        nn.Tanh(),
        nn.Linear(5, 3),
    )


def one_step(model: nn.Module, x: torch.Tensor, y: torch.Tensor, smoothing: float = 0.0) -> float:
    """Take the step by hand, with the formula of the entry; return the loss."""
    loss = nn.CrossEntropyLoss(label_smoothing=smoothing)
    total = loss(model(x), y) + sum(w * loss(z, y) for w, z in auxiliary_outputs(model))
    total.backward()
    with torch.no_grad():
        for p in model.parameters():
            p -= 0.1 * p.grad
    return total.item()


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_a_step_minimises_the_heads_losses_too(smoothing: float):
    model, by_hand = net(), net()
    more = {"regularizers": [{"name": "label-smoothing", "epsilon": smoothing}]} if smoothing else {}
    run = preceptor.train(model, (X, Y), **PLAIN, **more)
    total = one_step(by_hand, X, Y, smoothing)
    for ours, theirs in zip(model.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)
    assert run.history[0, "train_loss_running"] == pytest.approx(total, rel=1e-5)


def test_what_is_measured_is_the_output_s_loss_alone():
    run = preceptor.train(net(), (X, Y), **PLAIN)
    with torch.no_grad():
        expected = nn.functional.cross_entropy(run.model.eval()(X), Y).item()
    assert run.history[0, "train_loss"] == pytest.approx(expected, rel=1e-5)


def test_heads_are_not_computed_in_evaluation_and_are_taken_once():
    model = net().eval()
    model(X)
    assert auxiliary_outputs(model) == []
    model.train()(X)
    copy.deepcopy(model)  # what belongs to a graph is left behind
    assert [(w, z.shape) for w, z in auxiliary_outputs(model)] == [(0.3, (24, 3))]
    assert auxiliary_outputs(model) == []


def test_weight_must_be_a_number():
    with pytest.raises(ConfigError, match="weight is not usable"):
        AuxiliaryHead(nn.Identity(), -1.0)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "side"), [("googlenet", 32), ("inception-v3", 75)])
def test_networks_with_heads_train_by_name(name: str, side: int):
    x, y = torch.randn(8, 1, side, side), torch.arange(8) % 2
    model = {"name": name, "width": 0.04, "auxiliary": True}
    run = preceptor.train(model, (x, y), epochs=1, batch_size=4, val=0.0, out=False)
    torch.manual_seed(run.experiment.seed)
    start = get(name, (1, side, side), 1, width=0.04, auxiliary=True)
    heads = [m for m in run.model.modules() if isinstance(m, AuxiliaryHead)]
    before = [m for m in start.modules() if isinstance(m, AuxiliaryHead)]
    assert len(heads) == (2 if name == "googlenet" else 1)
    for head, first in zip(heads, before, strict=True):
        last, other = list(head.parameters())[-1], list(first.parameters())[-1]
        assert last.shape == other.shape
        assert last.abs().sum() > 0
    assert run.history[0, "train_loss_running"] > run.history[0, "train_loss"] / 10


def test_least_squares_by_the_jacobian_refuse_heads():
    model = nn.Sequential(nn.Linear(4, 3), AuxiliaryHead(nn.Linear(3, 1)), nn.Tanh(), nn.Linear(3, 1))
    with pytest.raises(ConfigError, match="auxiliary heads"):
        preceptor.train(
            model, (X, X[:, :1] ** 2), optimizer="levenberg-marquardt", val=0.0, epochs=1, out=False
        )
