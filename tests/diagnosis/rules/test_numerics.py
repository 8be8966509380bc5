"""Where numbers stop being finite, as it is told."""

from __future__ import annotations

import torch
from torch.nn import functional

from ._layers_planted import exponential_that_overflows, logarithm_of_zero, root_of_zero
from ._loss_runs import N, alarms, found, inputs, labels, learn, mlp
from ._losses_planted import logarithm_of_scores_picked

CAUSE = "numeric-instability"


def test_the_first_operator_and_its_line_are_told() -> None:
    finding = found(logarithm_of_zero, over=False)[CAUSE]
    assert finding.exact
    assert finding.evidence["operator"] == "log"
    assert finding.evidence["smallest and largest input"][0] == 0
    assert finding.steps == (0,)
    assert finding.where.startswith("_layers_planted.py:")
    assert found(exponential_that_overflows)[CAUSE].evidence["operator"] == "exp"


def test_a_gradient_that_breaks_though_the_loss_does_not() -> None:
    finding = found(root_of_zero, over=False)[CAUSE]
    assert finding.evidence["operator"] == "sqrt"
    assert "gradient" in finding.title


def test_of_raw_scores_the_scores_are_the_cause() -> None:
    assert CAUSE not in found(logarithm_of_scores_picked)


def test_masks_of_infinity_are_fine() -> None:
    net, x, mask = mlp(3, 8, 4), inputs(), torch.tensor([0.0, 0, 0, -float("inf")])
    step = lambda: functional.cross_entropy(net(x) + mask, labels(3))  # noqa: E731
    assert alarms(lambda: learn(step, net)) == set()


def test_data_that_are_not_finite_are_no_operator_s_fault() -> None:
    net, x = mlp(3, 8, 1), inputs()
    x[0, 0] = float("nan")
    assert CAUSE not in found(lambda: learn(lambda: functional.mse_loss(net(x), torch.rand(N, 1)), net))


def test_an_operator_at_its_edge_is_named_where_the_loss_breaks_later() -> None:
    net, x, calls = mlp(3, 8, 2), inputs(), []

    def step() -> torch.Tensor:
        calls.append(1)
        size = (net(x) ** 2).sum(1) * (1e-9 if len(calls) < 9 else 0)
        size = torch.cat([size[:1] * 0 + 1e-30, size[1:] + 1])
        return torch.sqrt(size - (1e-29 if len(calls) > 8 else 0)).mean() + functional.mse_loss(
            net(x), x[:, :2]
        )

    finding = found(lambda: learn(step, net, steps=12))[CAUSE]
    assert not finding.exact
    assert finding.evidence["operator"] == "sqrt"
