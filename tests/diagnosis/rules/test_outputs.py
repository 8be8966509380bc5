"""Ranges of outputs against ranges of targets, as they are told."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rules.outputs import silent_classes

from ._loss_runs import alarms, found, inputs, learn, mlp, watched
from ._losses_planted import softmax_for_tags, softmax_of_one_unit, tanh_for_large_targets_by_hand


def test_the_part_beyond_reach_is_told() -> None:
    finding = found(tanh_for_large_targets_by_hand, over=False)["unsuitable-output-activation"]
    assert finding.severity == "critical"
    assert finding.exact
    assert finding.evidence["range of the outputs"] == [-1, 1]
    assert "%" in finding.effect
    assert finding.layers == ("3",)


def test_noise_at_the_edge_of_a_range_is_fine() -> None:
    net, x = mlp(3, 8, 1, out=nn.ReLU()), inputs()
    nn.init.constant_(net[2].bias, 1.0)
    y = x[:, :1].abs() - 0.02
    assert alarms(lambda: learn(lambda: functional.mse_loss(net(x), y), net)) == set()


def test_a_range_that_is_learned_is_none() -> None:
    net, scale, x = mlp(3, 8, 1, out=nn.Tanh()), torch.ones(1, requires_grad=True), inputs()
    assert (
        alarms(lambda: learn(lambda: functional.mse_loss(scale * net(x), 5 * x[:, :1]), net, scale)) == set()
    )


def test_a_softmax_of_one_unit_is_told_with_its_shape() -> None:
    finding = found(softmax_of_one_unit, over=False)["unsuitable-output-activation"]
    assert finding.evidence["shape"][1] == 1
    assert "no gradient" in finding.effect


def test_tags_are_counted() -> None:
    assert found(softmax_for_tags)["unsuitable-output-activation"].evidence["ones per sample"] > 1.02


def _behind_relu(bias: list[float], steps: int, lr: float = 1e-2) -> Finding:
    """Class scores behind a ReLU, of a net that starts with some biases."""
    net, x = mlp(3, 16, 3, out=nn.ReLU()), inputs()
    y = x.argmax(dim=1)
    with torch.no_grad():
        net[2].bias += torch.tensor(bias)
    step = lambda: functional.cross_entropy(net(x), y)  # noqa: E731
    seen = watched(lambda: learn(step, net, steps=steps, lr=lr))
    (finding,) = silent_classes(Case(seen))
    return finding


def test_a_class_whose_score_is_cut_off_for_all_samples() -> None:
    finding = _behind_relu([1.0, 1.0, -20.0], 12)
    assert finding.severity == "warning"
    assert finding.evidence["classes that are cut off"] == 1
    assert not finding.exact


def test_scores_that_stay_above_zero_are_only_worth_knowing() -> None:
    finding = _behind_relu([3.0, 3.0, 3.0], 40)
    assert finding.severity == "info"
    assert finding.evidence["classes that are cut off"] == 0
