"""A softmax over the wrong axis, as it is told."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from ._loss_runs import N, found, labels, learn
from ._losses_planted import attention_over_queries, log_softmax_over_samples, pooling_over_one_score

CAUSE = "wrong-softmax-dim"


def test_the_axis_and_what_it_does_not_sum_to_are_told() -> None:
    finding = found(log_softmax_over_samples, over=False)[CAUSE]
    assert finding.evidence["axis"] == 0
    assert finding.evidence["largest |log Σ exp x| over the classes"] > 0.1
    assert "samples of the batch" in finding.title


def test_attention_names_the_axis_that_is_summed_over() -> None:
    finding = found(attention_over_queries, over=False)[CAUSE]
    assert finding.evidence == {"softmax over axis": 1, "of length": 6, "product sums over axis": 2}
    assert finding.severity == "warning"
    assert "axis 2" in finding.remedy


def test_weights_that_are_all_one_are_critical() -> None:
    finding = found(pooling_over_one_score)[CAUSE]
    assert finding.severity == "critical"
    assert "every weight is 1" in finding.effect


@pytest.mark.filterwarnings("ignore:Implicit dimension choice")
def test_a_softmax_without_dim_takes_the_first_of_three_axes() -> None:
    head, x = nn.Linear(8, 5), torch.randn(N, 7, 8)

    def step() -> torch.Tensor:
        return functional.nll_loss(functional.log_softmax(head(x)).view(-1, 5), labels(5, 7).view(-1))

    assert found(lambda: learn(step, head))[CAUSE].evidence["axis"] == 0
