"""Reshapes that cut across axes, as they are told."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from ._layers_planted import (
    samples_first_into_a_recurrent_net,
    series_cut_before_training,
    steps_and_samples_flattened_apart,
    view_for_transpose,
)
from ._loss_runs import N, alarms, found, labels, learn

CAUSE = "wrong-reshape"


def test_both_shapes_and_the_line_are_told() -> None:
    finding = found(view_for_transpose, over=False)[CAUSE]
    assert (finding.evidence["before"], finding.evidence["after"]) == ([N, 6, 3], [6, N, 3])
    assert finding.exact
    assert finding.where.startswith("_layers_planted.py:")


def test_a_layer_that_takes_samples_for_positions() -> None:
    finding = found(samples_first_into_a_recurrent_net, over=False)[CAUSE]
    assert "axis 0 holds the samples" in finding.title
    assert "batch_first" in finding.remedy


def test_orders_that_do_not_pair_up() -> None:
    finding = found(steps_and_samples_flattened_apart)[CAUSE]
    assert finding.evidence == {"predictions": [6, N], "targets": [N, 6]}


def test_data_cut_before_training_are_told_at_their_line() -> None:
    finding = found(series_cut_before_training)[CAUSE]
    assert not finding.exact
    assert finding.evidence["axis that moved"] == 3
    assert finding.where.startswith("_layers_planted.py:")


def test_data_that_were_transposed_first_are_fine() -> None:
    def program() -> None:
        x, y = torch.randn(3, 40 * N).T.reshape(N, 40, 3), torch.randn(N, 40, 1)
        net, head = nn.GRU(3, 4, batch_first=True), nn.Linear(4, 1)
        learn(lambda: functional.mse_loss(head(net(x)[0]), y), net, head, lr=1e-6)

    assert alarms(program) == set()


def test_both_flattened_in_one_order_are_fine() -> None:
    net, head, x = nn.LSTM(3, 8), nn.Linear(8, 2), torch.randn(6, N, 3)
    y = labels(2, 6).T
    step = lambda: functional.cross_entropy(head(net(x)[0]).reshape(-1, 2), y.reshape(-1))  # noqa: E731
    assert alarms(lambda: learn(step, net, head)) == set()


class _Turned(nn.Module):
    def __init__(self, *, back: bool) -> None:
        super().__init__()
        self.back, self.layer = back, nn.Linear(N, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        flat = x.reshape(N, -1).t()
        x = flat.t().reshape(N, 4, -1) if self.back else flat.reshape(N, 4, -1)
        return self.layer(x.flatten(1))


def test_samples_that_are_split_are_told_where_no_length_tells() -> None:
    x = torch.randn(N, 2, N // 2)
    turned, straight = _Turned(back=False), _Turned(back=True)
    finding = found(
        lambda: learn(lambda: functional.cross_entropy(turned(x), labels(2)), turned), over=False
    )[CAUSE]
    assert finding.exact
    assert (finding.evidence["before"], finding.evidence["after"]) == ([N, N], [N, 4, N // 4])
    assert "split" in finding.title
    step = lambda: functional.cross_entropy(straight(x), labels(2))  # noqa: E731
    assert CAUSE not in alarms(lambda: learn(step, straight))


def test_heads_folded_into_the_samples_are_fine() -> None:
    net, head, x = nn.Linear(6, 8), nn.Linear(8, 2), torch.randn(N, 5, 6)

    def step() -> torch.Tensor:
        z = net(x).transpose(0, 1)
        heads = z.reshape(5, N * 2, 4).transpose(0, 1)
        weights = torch.softmax(heads @ heads.transpose(1, 2), dim=-1)
        mixed = (weights @ heads).transpose(0, 1).reshape(5, N, 8).transpose(0, 1)
        return functional.cross_entropy(head(mixed.mean(dim=1)), labels(2))

    assert CAUSE not in alarms(lambda: learn(step, net, head))
