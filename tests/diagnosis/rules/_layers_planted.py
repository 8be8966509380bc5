"""Programs with one fault each in layers, axes, weights or numbers, by the cause that must be named."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ._loss_runs import N, inputs, labels, learn, mlp, yes_no
from ._losses_planted import PLANTED, plants

__all__ = ["PLANTED"]

# ---------------------------------------------------------------------- nothing between layers


@plants("missing-nonlinearity")
def three_linear_layers() -> None:
    net = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.1), nn.Linear(8, 8), nn.Linear(8, 4))
    x = inputs()
    learn(lambda: functional.cross_entropy(net(x), labels(4)), net)


@plants("missing-nonlinearity")
def convolutions_and_pooling() -> None:
    net = nn.Sequential(
        *(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3), nn.AvgPool2d(2)),
        *(nn.Flatten(), nn.Linear(32, 4)),
    )
    x = torch.randn(N, 1, 8, 8)
    learn(lambda: functional.cross_entropy(net(x), labels(4)), net)


@plants("missing-nonlinearity")
def two_matrices_by_hand() -> None:
    a, b, x = torch.randn(3, 8, requires_grad=True), torch.randn(8, 2, requires_grad=True), inputs()
    learn(lambda: functional.mse_loss(x @ a @ b, x[:, :2]), a, b)


@plants("missing-nonlinearity")
def one_activation_too_few_in_a_run_that_goes_badly() -> None:
    net = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 4))
    x = inputs()
    learn(lambda: functional.cross_entropy(net(x), labels(4)), net)


# ---------------------------------------------------------------------- axes


def _recurrent(step_of: str) -> None:
    net, head, x = nn.LSTM(3, 8), nn.Linear(8, 2), torch.randn(N, 6, 3)

    def step() -> Tensor:
        if step_of == "view":
            scores = head(net(x.view(6, N, 3))[0][-1])
        elif step_of == "samples first":
            scores = head(net(x)[0][:, -1])
        else:
            scores = head(net(x.transpose(0, 1))[0].view(N, -1)[:, :8])
        return functional.cross_entropy(scores, labels(2))

    learn(step, net, head)


@plants("wrong-reshape")
def view_for_transpose() -> None:
    _recurrent("view")


@plants("wrong-reshape")
def samples_first_into_a_recurrent_net() -> None:
    _recurrent("samples first")


@plants("wrong-reshape")
def states_flattened_across() -> None:
    _recurrent("flat")


@plants("wrong-reshape")
def samples_first_into_attention() -> None:
    layer, first, head = nn.TransformerEncoderLayer(8, 2, 16), nn.Linear(3, 8), nn.Linear(8, 2)
    x = torch.randn(N, 6, 3)
    learn(lambda: functional.cross_entropy(head(layer(first(x)).mean(1)), labels(2)), layer, first, head)


@plants("wrong-reshape")
def channels_last_by_reshape() -> None:
    net, head, x = nn.Conv2d(3, 8, 3), nn.Linear(8, 2), torch.randn(N, 8, 8, 3)

    def step() -> Tensor:
        return functional.cross_entropy(head(net(x.reshape(N, 3, 8, 8)).relu().mean((2, 3))), labels(2))

    learn(step, net, head)


@plants("wrong-reshape")
def steps_and_samples_flattened_apart() -> None:
    net, head, x = nn.LSTM(3, 8), nn.Linear(8, 2), torch.randn(6, N, 3)
    y = labels(2, 6)
    learn(lambda: functional.cross_entropy(head(net(x)[0]).reshape(-1, 2), y.reshape(-1)), net, head)


@plants("wrong-reshape")
def series_cut_before_training() -> None:
    x, y = torch.randn(3, 40 * N).reshape(N, 40, 3), torch.randn(N, 40, 1)
    net, head = nn.GRU(3, 4, batch_first=True), nn.Linear(4, 1)
    learn(lambda: functional.mse_loss(head(net(x)[0]), y), net, head, lr=1e-6)


# ---------------------------------------------------------------------- initial weights


@plants("bad-initialization")
def constant_weights() -> None:
    net, x = mlp(3, 8, 8, 1), inputs()
    for parameter in net.parameters():
        nn.init.constant_(parameter, 0.1)
    learn(lambda: functional.mse_loss(net(x), x[:, :1]), net)


@plants("bad-initialization")
def zeros_everywhere() -> None:
    net, x = mlp(3, 8, 8, 4), inputs()
    for parameter in net.parameters():
        nn.init.zeros_(parameter)
    learn(lambda: functional.cross_entropy(net(x), labels(4)), net)


@plants("bad-initialization")
def unit_normal_in_wide_layers() -> None:
    net, x = mlp(32, 64, 64, 4), inputs(32)
    for parameter in net.parameters():
        nn.init.normal_(parameter)
    learn(lambda: functional.cross_entropy(net(x), labels(4)), net, lr=1e-5)


@plants("bad-initialization")
def tiny_weights() -> None:
    net, x = mlp(8, 16, 16, 1), inputs(8)
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.01)
    learn(lambda: functional.mse_loss(net(x), x[:, :1]), net, kind=torch.optim.SGD)


# ---------------------------------------------------------------------- hidden units


@plants("unsuitable-hidden-activation")
def five_sigmoid_layers() -> None:
    net, x = mlp(8, 16, 16, 16, 16, 16, 1, act=nn.Sigmoid), inputs(8)
    learn(lambda: functional.mse_loss(net(x), x[:, :1]), net, kind=torch.optim.SGD)


@plants("unsuitable-hidden-activation")
def dead_units() -> None:
    net, x = mlp(3, 8, 1), inputs()
    nn.init.constant_(net[0].bias, -100.0)
    learn(lambda: functional.mse_loss(net(x), x[:, :1]), net, steps=90)


# ---------------------------------------------------------------------- numbers


@plants("numeric-instability")
def root_of_zero() -> None:
    net, x = mlp(3, 8, 2), inputs()

    def step() -> Tensor:
        z = net(x)
        return torch.sqrt(((z - z.detach()) ** 2).sum(1)).mean() + functional.mse_loss(z, x[:, :2])

    learn(step, net)


@plants("numeric-instability")
def logarithm_of_zero() -> None:
    net, x = mlp(3, 8, 2, out=nn.ReLU()), inputs()
    learn(lambda: functional.mse_loss(torch.log(net(x)), torch.rand(N, 2)), net)


@plants("numeric-instability")
def division_by_a_zero_row() -> None:
    net, x = mlp(3, 8, 2), inputs()
    x[0] = 0
    learn(lambda: functional.mse_loss(net(x / x.norm(dim=1, keepdim=True)), torch.rand(N, 2)), net)


@plants("numeric-instability")
def exponential_that_overflows() -> None:
    net, x = mlp(3, 8, 1), 1000 * inputs()
    learn(lambda: functional.mse_loss(torch.exp(net(x)), torch.rand(N, 1)), net)


@plants("numeric-instability")
def sure_answers_in_a_binary_loss_by_hand() -> None:
    net, x = mlp(3, 8, 1, out=nn.Sigmoid()), 20 * inputs()

    def step() -> Tensor:
        p, y = net(x), yes_no(x)
        return -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).mean()

    learn(step, net, steps=60, lr=0.1)
