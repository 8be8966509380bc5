"""Targets that a loss is not defined for, as they are told."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from preceptor.diagnosis.diagnose import diagnose

from ._loss_runs import alarms, found, inputs, labels, learn, mlp, watched, yes_no
from ._losses_planted import counts_into_bce_with_logits, cross_entropy_of_quantities, signs_into_bce_by_hand


def test_the_range_of_the_targets_is_told() -> None:
    finding = found(counts_into_bce_with_logits, over=False)["loss-mismatch"]
    assert finding.exact
    assert finding.evidence["to"] > 1
    assert finding.evidence["allowed"] == [0, 1]
    assert "poisson" in finding.remedy


def test_signs_are_to_be_encoded() -> None:
    assert "encode the labels" in found(signs_into_bce_by_hand)["loss-mismatch"].remedy


def test_quantities_for_cross_entropy() -> None:
    assert "quantities" in found(cross_entropy_of_quantities)["loss-mismatch"].title


def test_one_sample_without_a_batch_axis_is_fine() -> None:
    net, x, p = mlp(3, 8, 4), inputs(), torch.tensor([0.1, 0.2, 0.3, 0.4])
    assert alarms(lambda: learn(lambda: functional.cross_entropy(net(x[0]), p), net)) == set()


def test_labels_with_noise_and_smoothing_are_fine() -> None:
    net, x = mlp(3, 8, 1), inputs()

    def step() -> torch.Tensor:
        return functional.binary_cross_entropy_with_logits(net(x), 0.05 + 0.9 * yes_no(x))

    assert alarms(lambda: learn(step, net)) == set()
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    wide = mlp(3, 8, 4)
    assert alarms(lambda: learn(lambda: criterion(wide(x), labels(4)), wide)) == set()


def test_quantities_do_not_suit_the_loss_and_other_codes_are_wrong_labels() -> None:
    net, x = mlp(3, 8, 1), inputs()

    def first(targets: torch.Tensor) -> str:
        step = lambda: functional.binary_cross_entropy_with_logits(net(x), targets)  # noqa: E731
        return diagnose(watched(lambda: learn(step, net)))[0].cause

    assert first(3 * x[:, :1]) == "loss-mismatch"
    assert first(torch.sign(x[:, :1])) == "bad-labels"
