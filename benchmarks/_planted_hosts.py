"""Healthy training programs of six families, each in an ordinary way of writing one."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from _planted_nets import (
    ChannelsFirst,
    Letters,
    Memory,
    Net,
    autoencoder,
    cnn,
    deep_autoencoder,
    deep_cnn,
    deep_mlp,
    gru,
    identity_rnn,
    mlp,
    transformer,
)
from _planted_problem import (
    Problem,
    Run,
    evaluate_classes,
    evaluate_signs,
    evaluate_values,
    fit,
    loaders,
    step,
    step_clipped,
    step_late,
    step_scaled,
)
from _planted_samples import (
    blurred,
    coloured,
    diabetes,
    digit_copies,
    digit_images,
    digit_rows,
    digit_table,
    ink,
    long_series,
    series,
    signed,
    spiky,
    text,
)

# ---------------------------------------------------------------------------------------------- optimizers


def adam(model: nn.Module, lr: float = 2e-3, **options: float) -> torch.optim.Optimizer:
    return torch.optim.Adam(model.parameters(), lr=lr, **options)


def adamw(model: nn.Module, lr: float = 3e-3, weight_decay: float = 0.01) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=weight_decay)


def sgd(model: nn.Module, lr: float = 0.05, momentum: float = 0.9, **options: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=momentum, **options)


def warm_up(optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 30))


def halving(optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
    return torch.optim.lr_scheduler.StepLR(optimizer, step_size=5, gamma=0.5)


# ---------------------------------------------------------------------------------------------- losses


def cross_entropy_of_letters(output: Tensor, y: Tensor) -> Tensor:
    return functional.cross_entropy(output.flatten(0, 1), y.flatten())


def in_order(run: Run) -> tuple[DataLoader, DataLoader]:
    """Stretches of text, each after the one before it."""
    split, size = run.split, run.problem.batch_size
    train = DataLoader(TensorDataset(split.x, split.y), batch_size=size)
    return train, DataLoader(TensorDataset(split.val_x, split.val_y), batch_size=size)


# ---------------------------------------------------------------------------------------------- programs

MLP = Problem(
    "mlp", digit_table, mlp, nn.CrossEntropyLoss, adam, step, evaluate_classes, fit, loaders, epochs=15
)

CNN = MLP.but(
    name="cnn",
    data=digit_images,
    model=cnn,
    step=step_late,
    schedule=halving,
    epochs=12,
    batch_size=48,
)
RNN = MLP.but(
    name="rnn",
    data=digit_rows,
    model=gru,
    optimizer=partial(adam, lr=5e-3),
    step=step_clipped,
    epochs=16,
    batch_size=64,
)
TRANSFORMER = MLP.but(
    name="transformer",
    data=digit_rows,
    model=transformer,
    optimizer=adamw,
    step=step_clipped,
    schedule=warm_up,
    schedule_every="batch",
    epochs=14,
    batch_size=64,
)
AUTOENCODER = MLP.but(
    name="autoencoder",
    data=digit_copies,
    model=autoencoder,
    loss=nn.MSELoss,
    optimizer=partial(adam, lr=5e-3),
    step=step_late,
    evaluate=evaluate_values,
    task="values",
    epochs=30,
)
REGRESSION = AUTOENCODER.but(
    name="regression",
    data=diabetes,
    model=partial(mlp, 10, 1, 24, 0.0),
    optimizer=partial(adam, lr=3e-3, weight_decay=1e-3),
    step=step,
    epochs=15,
)

GREY_AUTOENCODER = AUTOENCODER.but(
    name="autoencoder, likelihood", data=digit_copies, loss=nn.BCEWithLogitsLoss, task="probabilities"
)

# The same families with targets that are numbers.
CNN_VALUES = CNN.but(
    name="cnn, values",
    data=ink,
    model=partial(cnn, 1),
    loss=nn.MSELoss,
    evaluate=evaluate_values,
    task="values",
)
RNN_VALUES = RNN.but(
    name="rnn, values",
    data=series,
    model=partial(gru, 1, 1),
    loss=nn.MSELoss,
    evaluate=evaluate_values,
    task="values",
)
TRANSFORMER_VALUES = TRANSFORMER.but(
    name="transformer, values",
    data=series,
    model=partial(transformer, 1, 12, 1),
    loss=nn.MSELoss,
    evaluate=evaluate_values,
    task="values",
)

# The same families trained by SGD.
MLP_SGD = MLP.but(name="mlp, sgd", optimizer=sgd)
CNN_SGD = CNN.but(name="cnn, sgd", optimizer=sgd)
RNN_SGD = RNN.but(name="rnn, sgd", optimizer=partial(sgd, lr=0.1))
AUTOENCODER_SGD = AUTOENCODER.but(name="autoencoder, sgd", optimizer=partial(sgd, lr=0.5))
REGRESSION_SGD = REGRESSION.but(name="regression, sgd", optimizer=partial(sgd, lr=0.01))

# Deeper nets.
MLP_DEEP = MLP.but(name="mlp, deep", model=deep_mlp)
CNN_DEEP = CNN.but(name="cnn, deep", model=deep_cnn, epochs=10)
AUTOENCODER_DEEP = AUTOENCODER.but(name="autoencoder, deep", model=deep_autoencoder)

# Harder and other tasks.
MLP_BLURRED = MLP.but(
    name="mlp, noisy", data=blurred(digit_table), model=partial(mlp, dropout=0.4), epochs=12
)
CNN_BLURRED = CNN.but(name="cnn, noisy", data=blurred(digit_images), epochs=15)
RNN_BLURRED = RNN.but(name="rnn, noisy", data=blurred(digit_rows), epochs=16)
MLP_SIGN, CNN_SIGN, RNN_SIGN = (
    host.but(
        name=f"{host.name}, two classes",
        data=signed(host.data),
        model=model,
        loss=nn.BCEWithLogitsLoss,
        evaluate=evaluate_signs,
        task="signs",
    )
    for host, model in ((MLP, partial(mlp, 64, 1)), (CNN, partial(cnn, 1)), (RNN, partial(gru, 8, 1)))
)
CNN_COLOUR = CNN.but(
    name="cnn, colour",
    data=coloured,
    model=lambda: ChannelsFirst(cnn(10, 3)),
)

# Programs that need their gradients clipped.
SPIKY = MLP_SGD.but(name="mlp, spiky", data=spiky(digit_table, 50), step=step_clipped)
WAVES = RNN_VALUES.but(
    name="rnn, long", data=long_series, model=identity_rnn, optimizer=partial(sgd, lr=0.02), epochs=10
)
STEEP = CNN_SGD.but(
    name="cnn, spiky", data=spiky(digit_images, 50), step=step_clipped, model=deep_cnn, epochs=8
)

# Programs that carry a state on.
LANGUAGE = RNN.but(
    name="rnn, language",
    data=text,
    model=lambda: Net(Letters(), nn.Linear(64, 12)),
    loss=lambda: cross_entropy_of_letters,
    loaders=in_order,
    evaluate=evaluate_values,
    batch_size=16,
    task="letters",
    epochs=8,
)
MLP_MEMORY = MLP.but(name="mlp, memory", model=lambda: Net(Memory(nn.Linear(64, 64), 64), mlp()))
RNN_MEMORY = RNN.but(name="rnn, memory", model=lambda: Net(Memory(nn.Linear(8, 8), 8), gru()))
TRANSFORMER_MEMORY = TRANSFORMER.but(
    name="transformer, memory",
    model=lambda: Net(Memory(nn.Linear(8, 8), 8), transformer()),
)
AUTOENCODER_MEMORY = AUTOENCODER.but(
    name="autoencoder, memory",
    model=lambda: Net(Memory(nn.Linear(64, 64), 64), autoencoder()),
)

# Programs in mixed precision.
MLP_HALF, CNN_HALF, AUTOENCODER_HALF = (
    host.but(name=f"{host.name.partition(',')[0]}, half", step=step_scaled)
    for host in (MLP_SGD, CNN_SGD, AUTOENCODER_SGD)
)

HEALTHY = [problem for problem in list(globals().values()) if isinstance(problem, Problem)]
"""Every healthy program."""
