"""Healthy training programs of six families, each in an ordinary way of writing one."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from itertools import pairwise

import torch
from sklearn.datasets import load_diabetes, load_digits
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from _planted_problem import (
    Problem,
    Run,
    Split,
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

TRAIN = 1200  # of the 1,797 digits


# ---------------------------------------------------------------------------------------------- data


@cache
def _pixels() -> tuple[Tensor, Tensor]:
    x, y = load_digits(return_X_y=True)
    return torch.tensor(x, dtype=torch.float32) / 16, torch.tensor(y)


def parted(x: Tensor, y: Tensor, seed: int, train: int) -> Split:
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    x, y = x[order], y[order]
    return Split(x[:train], y[:train], x[train:], y[train:])


def standardised(split: Split) -> Split:
    mean, std = split.x.mean(dim=0), split.x.std(dim=0)
    return split.map(lambda x: (x - mean) / (std + 0.1))


def digit_table(seed: int) -> Split:
    return standardised(parted(*_pixels(), seed, TRAIN))


def digit_images(seed: int) -> Split:
    return parted(*_pixels(), seed, TRAIN).map(lambda x: (x.reshape(-1, 1, 8, 8) - 0.3) / 0.38)


def digit_rows(seed: int) -> Split:
    return parted(*_pixels(), seed, TRAIN).map(lambda x: x.reshape(-1, 8, 8))


def digit_copies(seed: int) -> Split:
    x, _ = _pixels()
    return parted(x, x, seed, TRAIN)


def signed(data: Callable[[int], Split]) -> Callable[[int], Split]:
    """Is it a digit above four? Targets are 0.0 and 1.0 in a column."""

    def build(seed: int) -> Split:
        split = data(seed)
        split.y, split.val_y = ((y > 4).float().unsqueeze(1) for y in (split.y, split.val_y))
        return split

    return build


def blurred(data: Callable[[int], Split], count: int = 500) -> Callable[[int], Split]:
    """Fewer samples under strong noise: a task that cannot be learned to perfection."""

    def build(seed: int) -> Split:
        split = data(seed)
        noise = torch.Generator().manual_seed(seed)
        split = split.map(lambda x: x + 0.9 * x.std() * torch.randn(x.shape, generator=noise))
        split.x, split.y = split.x[:count], split.y[:count]
        return split

    return build


def coloured(seed: int) -> Split:
    """Digits in a colour of their own, channels last."""
    paint = torch.Generator().manual_seed(seed)

    def colour(x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1) * torch.rand(len(x), 1, 1, 3, generator=paint)

    return digit_images(seed).map(colour)


def diabetes_raw(seed: int) -> Split:
    """The table in its units: years, mg/dl, …"""
    x, _ = load_diabetes(return_X_y=True, scaled=False)
    split = diabetes(seed)
    raw = parted(torch.tensor(x, dtype=torch.float32), torch.zeros(len(x)), seed, 300)
    return Split(raw.x, split.y, raw.val_x, split.val_y)


def long_series(seed: int) -> Split:
    """Forty values of a wave, and the one that follows."""
    noise = torch.Generator().manual_seed(seed)
    phase = 6.28 * torch.rand(1000, 1, generator=noise)
    pace = 0.2 + 0.3 * torch.rand(1000, 1, generator=noise)
    wave = torch.sin(phase + pace * torch.arange(41.0)) + 0.05 * torch.randn(1000, 41, generator=noise)
    return parted(wave[:, :40].unsqueeze(2), wave[:, 40:], seed, 800)


def spiky(data: Callable[[int], Split], factor: float) -> Callable[[int], Split]:
    """One sample in a hundred comes from an instrument that fails: so many times its value."""

    def spoil(x: Tensor) -> Tensor:
        x = x.clone()
        x[::100] *= factor
        return x

    return lambda seed: data(seed).map(spoil)


def text(seed: int) -> Split:
    """Sixteen streams of letters from a chain that knows the last two; each sample is a stretch of one."""
    chain = torch.Generator().manual_seed(7)
    follows = torch.rand(12, 12, 12, generator=chain).pow(8)
    draw = torch.Generator().manual_seed(seed)
    letters = torch.randint(12, (16, 2), generator=draw)
    for _ in range(1215):
        share = follows[letters[:, -2], letters[:, -1]]
        letters = torch.cat([letters, torch.multinomial(share, 1, generator=draw)], dim=1)
    x, y = letters[:, :-1], letters[:, 1:]
    x, y = (part.reshape(16, 76, 16).transpose(0, 1).reshape(-1, 16) for part in (x, y))
    return Split(x[:1024], y[:1024], x[1024:], y[1024:])


def diabetes(seed: int) -> Split:
    x, y = load_diabetes(return_X_y=True)
    table = torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32).unsqueeze(1)
    split = standardised(parted(*table, seed, 300))
    mean, std = split.y.mean(), split.y.std()
    return Split(split.x, (split.y - mean) / std, split.val_x, (split.val_y - mean) / std)


def ink(seed: int) -> Split:
    """Images of digits; the target says where a digit's ink is: right or left, standardised."""
    x, _ = _pixels()
    images = x.reshape(-1, 1, 8, 8)
    across = torch.linspace(-1, 1, 8)
    centre = ((images * across).sum(dim=(1, 2, 3)) / images.sum(dim=(1, 2, 3))).unsqueeze(1)
    return parted((images - 0.3) / 0.38, (centre - centre.mean()) / centre.std(), seed, TRAIN)


def series(seed: int) -> Split:
    """Twelve values of a wave with noise, and the one that follows."""
    noise = torch.Generator().manual_seed(seed)
    phase = 6.28 * torch.rand(1500, 1, generator=noise)
    pace = 0.3 + 0.4 * torch.rand(1500, 1, generator=noise)
    wave = torch.sin(phase + pace * torch.arange(13.0)) + 0.1 * torch.randn(1500, 13, generator=noise)
    return parted(wave[:, :12].unsqueeze(2), wave[:, 12:], seed, 1100)


# ---------------------------------------------------------------------------------------------- models


class Net(nn.Module):
    """Features, and a head that makes the outputs of them."""

    def __init__(self, features: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.features = features
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


class LastState(nn.Module):
    """A recurrent net that gives its state after the last element of a sequence."""

    def __init__(self, cells: nn.Module) -> None:
        super().__init__()
        self.cells = cells

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.cells(x)
        return states[:, -1]


class Patches(nn.Module):
    """A transformer over the rows of an image, or the elements of a sequence; the mean of its tokens."""

    def __init__(self, size: int = 8, length: int = 8, width: int = 32, dropout: float = 0.1) -> None:
        super().__init__()
        self.embed = nn.Linear(size, width)
        self.positions = nn.Parameter(torch.randn(length, width) * 0.1)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 4, 2 * width, dropout, batch_first=True, norm_first=True)
            for _ in range(2)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.embed(x) + self.positions
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens).mean(dim=1)


class ChannelsFirst(nn.Module):
    """Moves the channels of an image to where convolutions expect them."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x.permute(0, 3, 1, 2))


class Memory(nn.Module):
    """Adds a running average of what the first layer has given so far to what it gives now."""

    def __init__(self, first: nn.Module, width: int) -> None:
        super().__init__()
        self.first = first
        self.detached = True
        self.register_buffer("average", torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        state = self.first(x)
        if self.training:
            average = 0.9 * self.average + 0.1 * state.mean(dim=0)
            self.average = average.detach() if self.detached else average
        return state - self.average


class Letters(nn.Module):
    """A recurrent net over stretches of text that carries its state from one stretch to the next."""

    def __init__(self) -> None:
        super().__init__()
        self.detached = True
        self.embed = nn.Embedding(12, 16)
        self.into = nn.Linear(16, 64)
        self.across = nn.Linear(64, 64)
        self.state: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        state = self.state if self.training else None
        tokens = self.into(self.embed(x))
        states = []
        for at in range(x.shape[1]):
            state = torch.tanh(tokens[:, at] + (0 if state is None else self.across(state)))
            states.append(state)
        if self.training:
            self.state = state.detach() if self.detached else state
        return torch.stack(states, dim=1)


def deep_mlp() -> nn.Module:
    layers = [nn.Linear(64, 48), nn.ReLU()]
    for _ in range(5):
        layers += [nn.Linear(48, 48), nn.ReLU()]
    return Net(nn.Sequential(*layers), nn.Linear(48, 10))


def deep_cnn() -> nn.Module:
    layers = [nn.Conv2d(1, 12, 3, padding=1), nn.ReLU()]
    for _ in range(4):
        layers += [nn.Conv2d(12, 12, 3, padding=1), nn.ReLU()]
    return Net(nn.Sequential(*layers, nn.MaxPool2d(2), nn.Flatten()), nn.Linear(192, 10))


def deep_autoencoder() -> nn.Module:
    def stack(sizes: list[int]) -> nn.Module:
        layers: list[nn.Module] = []
        for before, after in pairwise(sizes):
            layers += [nn.Linear(before, after), nn.ReLU()]
        return nn.Sequential(*layers[:-1])

    decoder = nn.Sequential(nn.ReLU(), stack([24, 40, 52, 64]))
    return Net(stack([64, 52, 40, 24]), decoder)


def identity_rnn() -> nn.Module:
    cells = nn.RNN(1, 32, nonlinearity="relu", batch_first=True)
    nn.init.eye_(cells.weight_hh_l0)
    nn.init.normal_(cells.weight_ih_l0, std=0.1)
    return Net(LastState(cells), nn.Linear(32, 1))


def mlp(inputs: int = 64, outputs: int = 10, width: int = 64, dropout: float = 0.1) -> nn.Module:
    features = nn.Sequential(
        nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, width), nn.ReLU()
    )
    return Net(features, nn.Linear(width, outputs))


def cnn(outputs: int = 10, channels: int = 1) -> nn.Module:
    features = nn.Sequential(
        nn.Conv2d(channels, 12, 3, padding=1, bias=False),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(12, 24, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
    )
    return Net(features, nn.Sequential(nn.Dropout(0.2), nn.Linear(96, outputs)))


def gru(inputs: int = 8, outputs: int = 10) -> nn.Module:
    return Net(
        LastState(nn.GRU(inputs, 48, batch_first=True)),
        nn.Sequential(nn.Dropout(0.1), nn.Linear(48, outputs)),
    )


def transformer(inputs: int = 8, length: int = 8, outputs: int = 10) -> nn.Module:
    return Net(Patches(inputs, length), nn.Linear(32, outputs))


def autoencoder() -> nn.Module:
    encoder = nn.Sequential(nn.Linear(64, 48), nn.BatchNorm1d(48), nn.ReLU(), nn.Linear(48, 16))
    return Net(encoder, nn.Sequential(nn.ReLU(), nn.Linear(16, 48), nn.ReLU(), nn.Linear(48, 64)))


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
