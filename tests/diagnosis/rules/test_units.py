"""Hidden units, as they are told."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from ._layers_planted import dead_units, five_sigmoid_layers
from ._loss_runs import alarms, found, inputs, learn, mlp

CAUSE = "unsuitable-hidden-activation"


def test_the_way_back_through_sigmoids_is_measured() -> None:
    finding = found(five_sigmoid_layers)[CAUSE]
    slopes = finding.evidence["mean derivatives of the activations"]
    assert len(slopes) == 5
    assert all(0.1 < slope <= 0.2501 for slope in slopes)
    assert finding.evidence["gradient at the first layer ÷ at the last"] < 1e-2
    assert finding.severity == "warning"


def test_tanh_and_rectified_units_let_gradients_through() -> None:
    for act in (nn.Tanh, nn.ReLU):
        net, x = mlp(8, 16, 16, 16, 16, 1, act=act), inputs(8)
        program = _slow(net, x)
        assert CAUSE not in alarms(program)


def _slow(net: nn.Module, x: torch.Tensor):
    return lambda: learn(lambda: functional.mse_loss(net(x), x[:, :1]), net, lr=1e-6)


def test_dead_units_are_counted() -> None:
    finding = found(dead_units)[CAUSE]
    assert finding.evidence["dead units, first and last look"] == {"1": [1.0, 1.0]}
    assert finding.against


def test_a_dead_output_is_about_the_output() -> None:
    net, x = mlp(3, 8, 1, out=nn.ReLU()), inputs()
    nn.init.constant_(net[2].bias, -100.0)
    program = lambda: learn(lambda: functional.mse_loss(net(x), x[:, :1].abs()), net, steps=90)  # noqa: E731
    assert "softplus" in found(program)["unsuitable-output-activation"].remedy


def test_a_run_that_ends_unfinished_behind_sigmoids_is_named() -> None:
    net, x = mlp(4, 16, 16, 16, 1, act=nn.Sigmoid), inputs(4)
    y = x[:, :1] * 2
    program = lambda: learn(lambda: functional.mse_loss(net(x), y), net, steps=120, lr=3e-3)  # noqa: E731
    seen = found(program)
    assert CAUSE in seen
