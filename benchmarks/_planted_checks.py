"""Faults of network, loss and data that a check before training can see, and further sound programs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

import _planted_data
import _planted_model
import _planted_optimisation
import _planted_outputs
import _planted_procedure
from _planted_hosts import AUTOENCODER, CNN, HEALTHY, MLP, REGRESSION, RNN, TRANSFORMER
from _planted_nets import LastState, Net, mlp
from _planted_plant import Plant, exchanged, plants, remodelled
from _planted_problem import Problem, Split
from _planted_samples import digit_copies, digit_images, digit_table, text

__all__ = ["BAD", "EXPECTED", "GOOD"]

_FAMILIES = (MLP, CNN, RNN, TRANSFORMER, AUTOENCODER, REGRESSION)
_CLASSES = (MLP, CNN, RNN, TRANSFORMER)

# ------------------------------------------------------------------------------------- sound programs


class SoftClip(torch.autograd.Function):
    """x / (1 + |x|) with a backward pass of its own."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(1 + x.abs())
        return x / (1 + x.abs())

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        (below,) = ctx.saved_tensors
        return slope / below**2


class WrongClip(SoftClip):
    """The same, its backward pass without the square."""

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        (below,) = ctx.saved_tensors
        return slope / below


class Clipped(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function.apply(x)


class Variational(nn.Module):
    """A variational autoencoder; in evaluation its code is the mean."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 16))
        self.decoder = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 64))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, spread = self.encoder(x).chunk(2, dim=1)
        code = mean + torch.randn_like(mean) * (0.5 * spread).exp() if self.training else mean
        return self.decoder(code), mean, spread


def evidence_bound(outputs: tuple[Tensor, Tensor, Tensor], x: Tensor) -> Tensor:
    logits, mean, spread = outputs
    likelihood = functional.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)
    return (likelihood + 0.5 * (mean**2 + spread.exp() - 1 - spread).sum(1)).mean()


class Tied(nn.Module):
    """A language model whose last layer is its first one."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Embedding(12, 32)
        self.cells = nn.LSTM(32, 32, batch_first=True)
        self.decoder = nn.Linear(32, 12)
        nn.init.uniform_(self.encoder.weight, -0.1, 0.1)
        self.decoder.weight = self.encoder.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.cells(self.encoder(x))[0])


class Bag(nn.Module):
    """The mean of the vectors of a text's letters, and a linear layer."""

    def __init__(self, outputs: int = 2) -> None:
        super().__init__()
        self.vectors = nn.EmbeddingBag(12, 24)
        self.head = nn.Linear(24, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.vectors(x))


class Functional(nn.Module):
    """A network whose activations and dropout are functions."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.dropout(functional.relu(self.first(x)), 0.2, self.training)
        return functional.log_softmax(self.last(torch.tanh(self.second(x))), dim=1)


class Moments(nn.Module):
    """Predicts a mean and a variance."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp(10, 2, 24, 0.0)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, spread = self.net(x).chunk(2, dim=1)
        return mean, functional.softplus(spread) + 1e-3


class UNet(nn.Module):
    """A small encoder and decoder with a shortcut, a class for each pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU())
        self.inner = nn.Sequential(
            nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.Upsample(scale_factor=2)
        )
        self.up = nn.Conv2d(24, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        wide = self.down(x)
        return self.up(torch.cat([wide, self.inner(wide)], 1))


def dark_pixels(seed: int) -> Split:
    """Which pixels have more ink than the mean of their neighbours."""
    split = digit_images(seed)
    return replace(split, y=_above(split.x), val_y=_above(split.val_x))


def _above(x: Tensor) -> Tensor:
    return (x > functional.avg_pool2d(x, 3, 1, 1))[:, 0].long()


def letter_pairs(seed: int) -> Split:
    """Texts in which one half of the alphabet is commoner, and which it is."""
    split = text(seed)
    return replace(split, y=_first_half(split.x), val_y=_first_half(split.val_x))


def _first_half(x: Tensor) -> Tensor:
    return ((x < 6).float().mean(1) > (x < 6).float().mean()).long()


def several(seed: int) -> Split:
    """Is the digit even, above four, a multiple of three?"""
    split = digit_table(seed)

    def labels(y: Tensor) -> Tensor:
        return torch.stack([y % 2 == 0, y > 4, y % 3 == 0], 1).float()

    return replace(split, y=labels(split.y), val_y=labels(split.val_y))


def of_letters(output: Tensor, y: Tensor) -> Tensor:
    return functional.cross_entropy(output.flatten(0, 1), y.flatten())


def clipped(function: Any) -> nn.Module:
    return nn.Sequential(
        nn.Linear(10, 48), Clipped(function), nn.Linear(48, 48), Clipped(function), nn.Linear(48, 1)
    )


def gaussian(outputs: tuple[Tensor, Tensor], y: Tensor) -> Tensor:
    return functional.gaussian_nll_loss(outputs[0], y, outputs[1])


CLIPPED = REGRESSION.but(name="mlp, own backward pass", model=partial(clipped, SoftClip))
FURTHER = [
    CLIPPED,
    MLP.but(name="linear", model=partial(nn.Linear, 64, 10)),
    REGRESSION.but(name="linear, values", model=partial(nn.Linear, 10, 1)),
    MLP.but(name="mlp, functions", model=Functional, loss=nn.NLLLoss),
    MLP.but(name="mlp, smoothed", loss=partial(nn.CrossEntropyLoss, label_smoothing=0.1)),
    MLP.but(name="mlp, weighted", loss=lambda: nn.CrossEntropyLoss(torch.linspace(0.5, 2, 10))),
    MLP.but(name="mlp, several labels", data=several, model=partial(mlp, 64, 3), loss=nn.BCEWithLogitsLoss),
    MLP.but(
        name="mlp, probabilities",
        data=several,
        model=lambda: nn.Sequential(mlp(64, 3), nn.Sigmoid()),
        loss=nn.BCELoss,
    ),
    REGRESSION.but(name="mlp, mean and variance", model=Moments, loss=lambda: gaussian),
    REGRESSION.but(name="mlp, absolute", loss=nn.L1Loss),
    REGRESSION.but(name="mlp, Huber", loss=nn.SmoothL1Loss),
    AUTOENCODER.but(
        name="autoencoder, variational", data=digit_copies, model=Variational, loss=lambda: evidence_bound
    ),
    RNN.but(name="rnn, tied", data=text, model=Tied, loss=lambda: of_letters, batch_size=16),
    MLP.but(name="embedding, bag", data=letter_pairs, model=Bag, loss=nn.CrossEntropyLoss),
    RNN.but(
        name="rnn, lstm", model=lambda: Net(LastState(nn.LSTM(8, 48, batch_first=True)), nn.Linear(48, 10))
    ),
    TRANSFORMER.but(name="transformer, smoothed", loss=partial(nn.CrossEntropyLoss, label_smoothing=0.1)),
    CNN.but(name="cnn, pixels", data=dark_pixels, model=UNet),
]
GOOD = [*HEALTHY, *FURTHER]
"""Sound programs."""

# ---------------------------------------------------------------------------------------------- faults


class Wrapped(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class AlwaysDropping(Wrapped):
    def forward(self, x: Tensor) -> Tensor:
        return self.model(functional.dropout(x, 0.2))


class Waking(Wrapped):
    def forward(self, x: Tensor) -> Tensor:
        self.model.train()
        return self.model(x)


class Counting(Wrapped):
    """A running mean that evaluation moves."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.mean.mul_(0.9).add_(0.1 * x.detach().mean())
        return self.model(x - self.mean)


class Listed(nn.Module):
    """Dropout in a plain list, which train() does not reach once eval() was called."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.drop = nn.Dropout(0.3)

    def train(self, mode: bool = True) -> nn.Module:
        super().train(mode)
        self.drop.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        return self.model(self.drop(x))


class Deaf(Wrapped):
    def forward(self, x: Tensor) -> Tensor:
        return self.model(x * 0)


class Unseeded(Wrapped):
    def forward(self, x: Tensor) -> Tensor:
        noise = torch.Generator()
        noise.seed()
        return self.model(x + 0.1 * torch.randn(x.shape, generator=noise))


class InBatch(Wrapped):
    def forward(self, x: Tensor) -> Tensor:
        return self.model((x - x.mean(0)) / (x.std(0) + 0.1))


class Rounded(Wrapped):
    def forward(self, x: Tensor) -> Tensor:
        return self.model(x).round(decimals=1)


def overwritten(loss: Callable[[], Any]) -> Callable[[Problem], Problem]:
    """The targets that the loss compares with are the network's own outputs."""
    return lambda p: p.but(loss=lambda: lambda output, y: loss()(output, output.detach().argmax(1)))


def dead_biases(model: nn.Module) -> nn.Module:
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Linear | nn.Conv2d) and module.bias is not None:
                module.bias.fill_(-100.0)
    return model


def steep(model: nn.Module) -> nn.Module:
    """Tanh in place of ReLU, behind weights a hundred times too large."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU):
                setattr(module, name, nn.Tanh())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(100)
    return model


def own_plants() -> list[Plant]:
    """Faults of modes, gradients and wiring, each in several families."""
    found: list[Plant] = []
    for cause, what, kind, hosts in (
        ("evaluation-mode", "dropout in evaluation, too", AlwaysDropping, _FAMILIES),
        ("evaluation-mode", "train() in forward", Waking, (MLP, CNN, TRANSFORMER)),
        ("evaluation-mode", "a statistic that evaluation moves", Counting, _FAMILIES),
        ("training-mode", "dropout that train() does not reach", Listed, _FAMILIES),
        ("inputs-matter", "inputs times zero", Deaf, _FAMILIES),
        ("seeds", "noise from a generator without seed", Unseeded, _FAMILIES),
        ("batch-independence", "standardised over the batch, in evaluation too", InBatch, _FAMILIES),
        ("gradient-check", "rounded outputs", Rounded, _FAMILIES),
    ):
        found += plants(cause, what, remodelled(kind), *hosts)
    found += plants("targets", "targets overwritten", overwritten(nn.CrossEntropyLoss), *_CLASSES)
    found += plants("units", "biases of −100", remodelled(dead_biases), MLP, CNN)
    found += plants("units", "tanh behind huge weights", remodelled(steep), MLP)
    found += plants(
        "gradient-check", "a square left out", exchanged(model=partial(clipped, WrongClip)), CLIPPED
    )
    return found


EXPECTED: dict[str, tuple[str, ...]] = {
    "unsuitable-output-activation": ("outputs-suit-loss", "one-batch", "handful"),
    "probabilities-as-logits": ("outputs-suit-loss", "one-sample"),
    "logits-as-probabilities": ("outputs-suit-loss",),
    "broadcast-in-loss": ("shapes",),
    "wrong-softmax-dim": ("batch-independence",),
    "numeric-instability": ("gradients", "initial-loss", "loss-range"),
    "invalid-values-in-data": ("gradients", "initial-loss"),
    "bad-labels": ("targets", "outputs-suit-loss"),
    "misaligned-inputs-and-labels": ("ladder", "shuffled-labels"),
    "wrong-reshape": ("batch-independence",),
    "bad-initialization": ("units", "initial-loss", "one-sample", "handful", "one-batch"),
    "unused-parameters": ("gradients",),
    "detached-graph": ("gradients", "gradient-check"),
    "loss-reduction": ("loss-mean",),
    "unscaled-targets": ("initial-loss",),
    "gradient-check": ("gradient-check", "gradients"),
}
"""Which checks are there for a cause; for a check's own plants it is that check."""

_NOT_HERE = ("at each epoch", "undivided", "torch.tensor(loss", "once per batch")
"""Faults of the loop, which no check sees that is given network, loss and data alone."""

BAD: list[Plant] = [
    plant
    for family in (_planted_outputs, _planted_data, _planted_model, _planted_optimisation, _planted_procedure)
    for plant in family.PLANTS
    if plant.cause in EXPECTED and not any(word in plant.what for word in _NOT_HERE)
] + own_plants()
"""Programs with one fault each."""
