"""Errors of classes: named where a run goes badly, and not where it goes well."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from ._loss_runs import alarms, found, inputs, labels, learn, mlp, yes_no
from ._losses_planted import class_numbers_as_quantities, squared_error_of_one_hot_that_learns_nothing


def test_squared_error_of_classes_that_are_learned_is_fine() -> None:
    net, x = mlp(3, 16, 1, out=nn.Sigmoid()), inputs()
    assert (
        alarms(lambda: learn(lambda: functional.mse_loss(net(x), yes_no(x)), net, steps=80, lr=0.05)) == set()
    )


def test_squared_error_of_classes_that_are_not_learned_is_named() -> None:
    finding = found(squared_error_of_one_hot_that_learns_nothing)["loss-mismatch"]
    assert not finding.exact
    assert finding.severity == "warning"
    assert finding.against
    assert finding.evidence["explained"] < 0.5
    assert "cross_entropy" in finding.remedy


def test_it_waits_for_the_end_of_the_run() -> None:
    assert "loss-mismatch" not in found(squared_error_of_one_hot_that_learns_nothing, over=False)


def test_class_numbers_are_told_with_the_share_that_rounds_wrongly() -> None:
    finding = found(class_numbers_as_quantities)["loss-mismatch"]
    assert finding.evidence["share that rounds to a wrong class"] > 0.05
    assert "5 outputs" in finding.remedy


def test_numbers_that_are_fitted_to_less_than_a_step_are_fine() -> None:
    x = labels(5).float()[:, None]
    net = nn.Linear(1, 1)
    nn.init.ones_(net.weight)
    nn.init.zeros_(net.bias)
    sgd = torch.optim.SGD
    assert (
        alarms(lambda: learn(lambda: functional.mse_loss(net(x), labels(5, 1).float()), net, kind=sgd))
        == set()
    )


def test_class_numbers_are_known_where_the_loss_is_written_by_hand() -> None:
    net, x = mlp(3, 8, 1, out=nn.ReLU()), inputs()
    both = found(lambda: learn(lambda: ((net(x).squeeze(1) - labels(6).float()) ** 2).mean(), net))
    assert "6 classes" in both["loss-mismatch"].title
    assert both["unsuitable-output-activation"].title.startswith("one relu unit")
