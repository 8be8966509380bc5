"""Programs with one fault each in what enters the loss, by the cause that must be named."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from ._loss_runs import N, Program, inputs, labels, learn, mlp, yes_no

PLANTED: dict[str, list[Program]] = {}


def plants(cause: str) -> Callable[[Program], Program]:
    def keep(program: Program) -> Program:
        PLANTED.setdefault(cause, []).append(program)
        return program

    return keep


# ---------------------------------------------------------------------- probabilities as logits


@plants("probabilities-as-logits")
def sigmoid_into_bce_with_logits() -> None:
    net, x = mlp(3, 8, 1, out=nn.Sigmoid()), inputs()
    learn(lambda: functional.binary_cross_entropy_with_logits(net(x), yes_no(x)), net)


@plants("probabilities-as-logits")
def sigmoid_into_cross_entropy_module() -> None:
    net, x, criterion = mlp(3, 8, 4, out=nn.Sigmoid()), inputs(), nn.CrossEntropyLoss()
    learn(lambda: criterion(net(x), labels(4)), net)


@plants("probabilities-as-logits")
def softmax_then_log_softmax() -> None:
    net, x = mlp(3, 8, 4, out=nn.Softmax(dim=1)), inputs()
    learn(lambda: functional.nll_loss(functional.log_softmax(net(x), 1), labels(4)), net)


@plants("probabilities-as-logits")
def softmax_of_pixels() -> None:
    net, x = nn.Conv2d(1, 3, 3, padding=1), torch.randn(N, 1, 4, 4)
    learn(lambda: functional.cross_entropy(functional.softmax(net(x), 1), labels(3, 4, 4)), net)


@plants("probabilities-as-logits")
def softmax_of_tokens() -> None:
    table, net, head = nn.Embedding(20, 8), nn.GRU(8, 8, batch_first=True), nn.Linear(8, 20)
    ids = torch.randint(0, 20, (N, 9))

    def step() -> torch.Tensor:
        p = torch.softmax(head(net(table(ids[:, :-1]))[0]), -1)
        return functional.cross_entropy(p.reshape(-1, 20), ids[:, 1:].reshape(-1))

    learn(step, table, net, head)


@plants("probabilities-as-logits")
def a_sigmoid_twice_before_an_error() -> None:
    net, x = mlp(3, 8, 1, out=nn.Sigmoid()), inputs()
    learn(lambda: functional.mse_loss(torch.sigmoid(net(x)), torch.rand(N, 1)), net)


# ---------------------------------------------------------------------- logits as probabilities


@plants("logits-as-probabilities")
def raw_scores_into_nll() -> None:
    net, x, criterion = mlp(3, 8, 4), inputs(), nn.NLLLoss()
    learn(lambda: criterion(net(x), labels(4)), net)


@plants("logits-as-probabilities")
def softmax_into_nll() -> None:
    net, x = mlp(3, 8, 4, out=nn.Softmax(dim=-1)), inputs()
    learn(lambda: functional.nll_loss(net(x), labels(4)), net)


@plants("logits-as-probabilities")
def relu_into_nll() -> None:
    net, x = mlp(3, 8, 4, out=nn.ReLU()), inputs()
    learn(lambda: functional.nll_loss(net(x), labels(4)), net)


@plants("logits-as-probabilities")
def logarithm_of_scores_picked() -> None:
    net, x = mlp(3, 8, 4), inputs()
    learn(lambda: -torch.log(net(x)[torch.arange(N), labels(4)]).mean(), net)


@plants("logits-as-probabilities")
def logarithm_of_scores_one_hot() -> None:
    net, x, y = mlp(3, 8, 4), inputs(), functional.one_hot(labels(4), 4).float()
    learn(lambda: -(y * torch.log(net(x) + 1e-8)).sum(1).mean(), net)


@plants("logits-as-probabilities")
def clamped_scores_in_a_binary_loss() -> None:
    net, x = mlp(3, 8, 1), inputs()

    def step() -> torch.Tensor:
        p, y = net(x).clamp(1e-7, 1 - 1e-7), yes_no(x)
        return -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).mean()

    learn(step, net)


@plants("logits-as-probabilities")
def probabilities_into_kl_div() -> None:
    net, x, p = mlp(3, 8, 4), inputs(), functional.softmax(torch.randn(N, 4), 1)
    learn(lambda: functional.kl_div(functional.softmax(net(x), 1), p, reduction="batchmean"), net)


# ---------------------------------------------------------------------- shapes


@plants("broadcast-in-loss")
def column_against_row() -> None:
    net, x = mlp(3, 8, 1), inputs()
    learn(lambda: functional.mse_loss(net(x), x[:, 0]), net)


@plants("broadcast-in-loss")
def column_against_row_by_hand() -> None:
    net, x = mlp(3, 8, 1), inputs()
    learn(lambda: (net(x) - x[:, 0]).abs().mean(), net)


@plants("broadcast-in-loss")
def row_against_column_by_hand() -> None:
    net, x = mlp(3, 8, 1), inputs()
    learn(lambda: ((x[:, :1] - net(x).squeeze()) ** 2).sum(), net)


@plants("broadcast-in-loss")
def row_of_weights() -> None:
    net, x, weights = mlp(3, 8, 1), inputs(), torch.rand(N)
    learn(lambda: (functional.mse_loss(net(x), x[:, :1], reduction="none") * weights).mean(), net)


@plants("broadcast-in-loss")
def labels_times_log_probabilities() -> None:
    net, x = mlp(3, 8, 4, out=nn.Softmax(dim=1)), inputs()
    learn(lambda: -(labels(4, 1) * torch.log(net(x).clamp(1e-7, 1))).sum(1).mean(), net)


@plants("broadcast-in-loss")
def probabilities_minus_labels() -> None:
    net, x = mlp(3, 8, 4, out=nn.Softmax(dim=1)), inputs()
    learn(lambda: ((net(x) - labels(4, 1).float()) ** 2).mean(), net)


# ---------------------------------------------------------------------- axes of softmax


@plants("wrong-softmax-dim")
def log_softmax_over_samples() -> None:
    net, x = mlp(3, 8, 4, out=nn.LogSoftmax(dim=0)), inputs()
    learn(lambda: functional.nll_loss(net(x), labels(4)), net)


@plants("wrong-softmax-dim")
def softmax_over_samples_by_hand() -> None:
    net, x, y = mlp(3, 8, 4, out=nn.Softmax(dim=0)), inputs(), functional.one_hot(labels(4), 4).float()
    learn(lambda: -(y * torch.log(net(x) + 1e-9)).sum(1).mean(), net)


@plants("wrong-softmax-dim")
def log_softmax_over_columns_of_pixels() -> None:
    net, x = nn.Conv2d(1, 3, 3, padding=1), torch.randn(N, 1, 4, 4)
    learn(lambda: functional.nll_loss(functional.log_softmax(net(x), -1), labels(3, 4, 4)), net)


@plants("wrong-softmax-dim")
def softmax_of_one_axis() -> None:
    net, x = mlp(3, 8, 1), inputs()
    learn(lambda: functional.binary_cross_entropy(net(x).squeeze(1).softmax(0), yes_no(x).squeeze(1)), net)


def _attention(dim: int) -> None:
    q, k, v, head = (nn.Linear(3, 8), nn.Linear(3, 8), nn.Linear(3, 8), nn.Linear(8, 2))
    x = torch.randn(N, 6, 3)

    def step() -> torch.Tensor:
        weights = functional.softmax(q(x) @ k(x).transpose(1, 2) / 3, dim=dim)
        return functional.cross_entropy(head((weights @ v(x)).mean(1)), labels(2))

    learn(step, q, k, v, head)


@plants("wrong-softmax-dim")
def attention_over_queries() -> None:
    _attention(dim=1)


@plants("wrong-softmax-dim")
def attention_over_heads() -> None:
    q, k, v, head = (nn.Linear(3, 8), nn.Linear(3, 8), nn.Linear(3, 8), nn.Linear(8, 2))
    x = torch.randn(N, 6, 3)

    def split(layer: nn.Module) -> torch.Tensor:
        return layer(x).view(N, 6, 2, 4).transpose(1, 2)

    def step() -> torch.Tensor:
        scores = functional.softmax(split(q) @ split(k).transpose(2, 3) / 2, dim=1)
        mixed = functional.dropout(scores, 0.1) @ split(v)
        return functional.cross_entropy(head(mixed.transpose(1, 2).reshape(N, 6, 8).mean(1)), labels(2))

    learn(step, q, k, v, head)


@plants("wrong-softmax-dim")
def pooling_over_one_score() -> None:
    layer, score, head, x = nn.Linear(3, 8), nn.Linear(8, 1), nn.Linear(8, 2), torch.randn(N, 6, 3)

    def step() -> torch.Tensor:
        z = torch.tanh(layer(x))
        return functional.cross_entropy(head((functional.softmax(score(z), dim=-1) * z).sum(1)), labels(2))

    learn(step, layer, score, head)


# ---------------------------------------------------------------------- loss and task


@plants("loss-mismatch")
def class_numbers_as_quantities() -> None:
    net, x = mlp(3, 8, 1), inputs()
    learn(lambda: functional.mse_loss(net(x).squeeze(1), labels(5).float()), net)


@plants("loss-mismatch")
def counts_into_bce_with_logits() -> None:
    net, x = mlp(3, 8, 1), inputs()
    counts = torch.poisson(3 * torch.ones(N, 1))
    learn(lambda: functional.binary_cross_entropy_with_logits(net(x), counts), net)


@plants("loss-mismatch")
def signs_into_bce_by_hand() -> None:
    net, x = mlp(3, 8, 1, out=nn.Sigmoid()), inputs()

    def step() -> torch.Tensor:
        p, y = net(x).clamp(1e-7, 1 - 1e-7), 2 * yes_no(x) - 1
        return -(y * p.log() + (1 - y) * (1 - p).log()).mean()

    learn(step, net)


@plants("loss-mismatch")
def cross_entropy_of_one_unit() -> None:
    net, x = mlp(3, 8, 1), inputs()
    learn(lambda: functional.cross_entropy(net(x), yes_no(x)), net)


@plants("loss-mismatch")
def cross_entropy_of_quantities() -> None:
    net, x = mlp(3, 8, 2), inputs()
    learn(lambda: functional.cross_entropy(net(x), 3 * x[:, :2]), net)


@plants("loss-mismatch")
def cross_entropy_of_one_axis() -> None:
    net, x = mlp(3, 8, 1), inputs()
    learn(lambda: functional.cross_entropy(net(x).squeeze(), yes_no(x).squeeze()), net)


@plants("loss-mismatch")
def hinge_of_zeros_and_ones() -> None:
    net, x = mlp(3, 8, 1), inputs()
    learn(lambda: functional.soft_margin_loss(net(x), yes_no(x)), net)


@plants("loss-mismatch")
def hinge_by_hand_of_zeros_and_ones() -> None:
    net, x = mlp(3, 8, 1), inputs()
    learn(lambda: functional.relu(1 - yes_no(x) * net(x)).mean(), net)


@plants("loss-mismatch")
def squared_error_of_one_hot_that_learns_nothing() -> None:
    net, x, y = mlp(3, 8, 4, out=nn.Softmax(dim=1)), inputs(), functional.one_hot(labels(4), 4).float()
    learn(lambda: functional.mse_loss(net(x), y), net, lr=1e-4)


@plants("loss-mismatch")
def absolute_error_of_yes_no_by_hand() -> None:
    net, x = mlp(3, 8, 1, out=nn.Sigmoid()), inputs()
    learn(lambda: torch.abs(yes_no(x) - net(x)).mean(), net, lr=1e-4)


@plants("loss-mismatch")
def a_likelihood_of_one_class() -> None:
    net, x = mlp(3, 8, 1, out=nn.Sigmoid()), inputs()
    learn(lambda: -(yes_no(x) * torch.log(net(x).clamp(1e-7, 1))).sum(1).mean(), net)


# ---------------------------------------------------------------------- output units


@plants("unsuitable-output-activation")
def relu_for_signed_targets() -> None:
    net, x = mlp(3, 8, 1, out=nn.ReLU()), inputs()
    learn(lambda: functional.mse_loss(net(x), x[:, :1]), net)


@plants("unsuitable-output-activation")
def tanh_for_large_targets_by_hand() -> None:
    net, x = mlp(3, 8, 1, out=nn.Tanh()), inputs()
    learn(lambda: ((net(x) - 5 * x[:, :1]) ** 2).mean(), net)


@plants("unsuitable-output-activation")
def state_of_an_lstm_for_sums() -> None:
    net, x = nn.LSTM(3, 1, batch_first=True), torch.randn(N, 9, 3)
    learn(lambda: functional.mse_loss(net(x)[0], x.cumsum(1)[:, :, :1]), net)


@plants("unsuitable-output-activation")
def relu_before_a_sigmoid() -> None:
    net, x = mlp(3, 8, 1, out=nn.ReLU()), inputs()
    learn(lambda: functional.binary_cross_entropy_with_logits(net(x), yes_no(x)), net)


@plants("unsuitable-output-activation")
def tanh_before_cross_entropy() -> None:
    net, x = mlp(3, 8, 4, out=nn.Tanh()), inputs()
    learn(lambda: functional.cross_entropy(net(x), labels(4)), net)


@plants("unsuitable-output-activation")
def relu_before_cross_entropy_in_a_run_that_goes_badly() -> None:
    net, x = mlp(3, 8, 4, out=nn.ReLU()), inputs()
    learn(lambda: functional.cross_entropy(net(x), labels(4)), net, lr=1e-4)


@plants("unsuitable-output-activation")
def softmax_of_one_unit() -> None:
    net, x = mlp(3, 8, 1, out=nn.Softmax(dim=1)), inputs()
    learn(lambda: functional.binary_cross_entropy(net(x), yes_no(x)), net)


@plants("unsuitable-output-activation")
def softmax_for_tags() -> None:
    net, x = mlp(3, 8, 4, out=nn.Softmax(dim=1)), inputs()
    tags = (torch.rand(N, 4) > 0.4).float()
    learn(lambda: functional.binary_cross_entropy(net(x), tags), net)


@plants("unsuitable-output-activation")
def logarithm_of_sigmoid_into_nll() -> None:
    net, x = mlp(3, 8, 4), inputs()
    learn(lambda: functional.nll_loss(functional.logsigmoid(net(x)), labels(4)), net)


def _shares(act: nn.Module) -> None:
    net, x = mlp(3, 8, 4, out=act), inputs()

    def step() -> torch.Tensor:
        p = net(x)
        p = p / p.sum(dim=1, keepdim=True)
        return functional.nll_loss(torch.log(p.clamp(1e-7, 1)), labels(4))

    learn(step, net)


@plants("unsuitable-output-activation")
def shares_of_sigmoids() -> None:
    _shares(nn.Sigmoid())


@plants("unsuitable-output-activation")
def shares_of_rectified_scores() -> None:
    _shares(nn.ReLU())


@plants("unsuitable-output-activation")
def tanh_in_a_binary_loss_by_hand() -> None:
    net, x = mlp(3, 8, 1, out=nn.Tanh()), inputs()

    def step() -> torch.Tensor:
        p, y = net(x).clamp(1e-7, 1 - 1e-7), yes_no(x)
        return -(y * p.log() + (1 - y) * (1 - p).log()).mean()

    learn(step, net)
