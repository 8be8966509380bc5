"""Plants of the family 'data': what the samples and targets are like, and how they arrive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from _planted_hosts import (
    AUTOENCODER,
    CNN,
    CNN_BLURRED,
    CNN_COLOUR,
    CNN_SGD,
    CNN_SIGN,
    CNN_VALUES,
    MLP,
    MLP_BLURRED,
    MLP_SGD,
    MLP_SIGN,
    REGRESSION,
    RNN,
    RNN_BLURRED,
    RNN_SGD,
    RNN_SIGN,
    RNN_VALUES,
    TRANSFORMER,
    TRANSFORMER_VALUES,
)
from _planted_nets import (
    cnn,
)
from _planted_plant import Plant, exchanged, plants, remodelled
from _planted_problem import Problem, Run, Split
from _planted_samples import (
    diabetes_raw,
)

Edit = Callable[[Problem], Problem]


def with_data(change: Callable[[Split], Split]) -> Edit:
    """Change the samples after they were prepared."""
    return lambda problem: problem.but(data=lambda seed: change(problem.data(seed)))


def pixels_of_a_byte(split: Split) -> Split:
    """Inputs from 0 to 255."""
    low, high = split.x.min(), split.x.max()
    return split.map(lambda x: (x - low) / (high - low) * 255)


def far_targets(split: Split) -> Split:
    return replace(split, y=split.y * 1000 + 5000, val_y=split.val_y * 1000 + 5000)


def evaluated_unscaled(split: Split) -> Split:
    return split.map(lambda x: x, lambda x: x * 255)


def evaluated_shifted(split: Split) -> Split:
    return split.map(lambda x: x, lambda x: x * 16 + 4)


def cast(split: Split) -> Split:
    """Inputs become whole numbers after they were scaled."""
    return split.map(lambda x: x.to(torch.uint8).float())


def alike(split: Split) -> Split:
    return replace(split, y=torch.full_like(split.y, 3), val_y=torch.full_like(split.val_y, 3))


def signs(split: Split) -> Split:
    return replace(split, y=split.y * 2 - 1, val_y=split.val_y * 2 - 1)


def shuffled_apart(split: Split) -> Split:
    return replace(split, x=split.x[torch.randperm(len(split.x))], y=split.y[torch.randperm(len(split.y))])


def fit_shuffling_inputs(run: Run) -> None:
    """Inputs are permuted at each epoch, labels are not."""
    size = run.problem.batch_size
    x, y = run.split.x, run.split.y
    for _ in range(run.problem.epochs):
        run.model.train()
        x = x[torch.randperm(len(x))]
        for start in range(0, len(x), size):
            run.problem.step(run, x[start : start + size], y[start : start + size])
        run.problem.evaluate(run)


def with_hole(split: Split) -> Split:
    x = split.x.clone()
    x[7].view(-1)[20 % x[7].numel()] = float("nan")
    return replace(split, x=x)


def with_infinite_target(split: Split) -> Split:
    y = split.y.clone()
    y[11] = float("inf")
    return replace(split, y=y)


def rare(split: Split) -> Split:
    """All classes but the first become rare: one sample in thirty of what is left."""
    common = split.y == 0
    others = (~common).nonzero().flatten()
    keep = torch.cat([common.nonzero().flatten().repeat(4), others[:16]])
    return replace(split, x=split.x[keep], y=split.y[keep])


def in_order(split: Split) -> Split:
    order = split.y.argsort(stable=True)
    return replace(split, x=split.x[order], y=split.y[order])


def unshuffled(run: Run) -> tuple[DataLoader, DataLoader]:
    split, size = run.split, run.problem.batch_size
    train = DataLoader(TensorDataset(split.x, split.y), batch_size=size)
    return train, DataLoader(TensorDataset(split.val_x, split.val_y), batch_size=256)


def leaking(split: Split) -> Split:
    """Validation samples are among those of training."""
    return replace(split, x=torch.cat([split.x, split.val_x]), y=torch.cat([split.y, split.val_y]))


def hardly_any(count: int) -> Callable[[Split], Split]:
    return lambda split: replace(split, x=split.x[:count], y=split.y[:count])


class Cut(nn.Module):
    """Reads each sample as if its axes stood in another order."""

    def __init__(self, model: nn.Module, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.model = model
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x.reshape(-1, *self.shape))


class TimeFirst(nn.Module):
    """Cells that expect the time axis first, given a batch that view has cut for them."""

    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.GRU(8, 48)
        self.head = nn.Linear(48, 10)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.cells(x.view(x.shape[1], x.shape[0], x.shape[2]))
        return self.head(states[-1])


class Mixed(nn.Module):
    """Makes rows of columns by a view where it means to transpose the batch."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        columns = x.reshape(len(x), -1).t()  # features × samples, as another library has it
        return self.model(columns.reshape(x.shape))


PLANTS: list[Plant] = [
    *plants(
        "unscaled-inputs",
        "pixels from 0 to 255",
        with_data(pixels_of_a_byte),
        *(MLP_SGD, RNN_SGD, TRANSFORMER),
        own_data=True,
    ),
    *plants(
        "unscaled-inputs", "columns in their units", exchanged(data=diabetes_raw), REGRESSION, own_data=True
    ),
    *plants(
        "unscaled-targets",
        "targets around 5000 ± 1000",
        with_data(far_targets),
        *(REGRESSION, CNN_VALUES, RNN_VALUES, TRANSFORMER_VALUES),
        own_data=True,
    ),
    *plants(
        "inconsistent-preprocessing",
        "validation inputs × 255",
        with_data(evaluated_unscaled),
        *(MLP, CNN, RNN, TRANSFORMER),
        exact=True,
    ),
    *plants(
        "inconsistent-preprocessing",
        "validation inputs × 16 + 4",
        with_data(evaluated_shifted),
        *(AUTOENCODER, REGRESSION, CNN_VALUES),
        exact=True,
    ),
    *plants(
        "inconsistent-preprocessing",
        "scaled inputs cast to whole numbers",
        with_data(cast),
        *(RNN, AUTOENCODER, TRANSFORMER),
        own_data=True,
    ),
    *plants("bad-labels", "one class only", with_data(alike), MLP, CNN, RNN, TRANSFORMER, exact=True),
    *plants(
        "bad-labels",
        "−1/+1 in binary cross-entropy",
        with_data(signs),
        *(MLP_SIGN, CNN_SIGN, RNN_SIGN),
        exact=True,
        also=("loss-mismatch",),
    ),
    *plants(
        "misaligned-inputs-and-labels",
        "inputs shuffled without labels, once",
        with_data(shuffled_apart),
        *(MLP, CNN, RNN, TRANSFORMER, REGRESSION),
    ),
    *plants(
        "misaligned-inputs-and-labels",
        "inputs shuffled without labels, at each epoch",
        exchanged(fit=fit_shuffling_inputs, schedule=None),
        *(MLP, CNN, RNN, RNN_VALUES),
    ),
    *plants(
        "invalid-values-in-data",
        "one input is NaN",
        with_data(with_hole),
        *(MLP, CNN, RNN, TRANSFORMER, REGRESSION),
        exact=True,
    ),
    *plants(
        "invalid-values-in-data",
        "one target is infinite",
        with_data(with_infinite_target),
        *(REGRESSION, CNN_VALUES, RNN_VALUES),
        exact=True,
    ),
    *plants(
        "class-imbalance",
        "one class has 97 % of the samples",
        with_data(rare),
        *(MLP_BLURRED, CNN_BLURRED, RNN_BLURRED),
    ),
    *plants(
        "data-not-shuffled",
        "sorted by class, shuffle=False",
        lambda p: with_data(in_order)(p.but(loaders=unshuffled)),
        *(MLP_SGD, CNN_SGD, RNN, TRANSFORMER),
    ),
    *plants(
        "train-test-leakage",
        "trained on the validation samples, too",
        with_data(leaking),
        *(MLP, CNN, RNN, TRANSFORMER, AUTOENCODER, REGRESSION),
        exact=True,
    ),
    *plants(
        "too-little-data",
        "twenty samples",
        lambda p: with_data(hardly_any(20))(p.but(epochs=150, schedule=None)),
        *(MLP, CNN, RNN),
        also=("overfitting",),
    ),
    *plants(
        "too-little-data",
        "twenty-five samples",
        lambda p: with_data(hardly_any(25))(p.but(epochs=200)),
        REGRESSION,
        also=("overfitting",),
    ),
    *plants("wrong-reshape", "features × samples reshaped", remodelled(Mixed), MLP, TRANSFORMER, exact=True),
    *plants(
        "wrong-reshape",
        "(batch, time) viewed as (time, batch)",
        exchanged(model=TimeFirst),
        RNN,
        exact=True,
    ),
    *plants(
        "wrong-reshape",
        "channels last viewed as channels first",
        exchanged(model=lambda: Cut(cnn(10, 3), (3, 8, 8))),
        CNN_COLOUR,
        exact=True,
    ),
]
