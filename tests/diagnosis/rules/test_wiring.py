"""Layers that are left out or stand twice: planted mistakes, and what only looks like them."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from preceptor.diagnosis.rules import wiring

from ._families import ALL
from ._judge import alarms, findings
from .test_coverage import CODES, X, Y, fit


class Block(nn.Module):
    def __init__(self, width: int, twice: bool) -> None:
        super().__init__()
        self.one, self.norm_one = nn.Linear(width, width), nn.LayerNorm(width)
        self.two, self.norm_two = nn.Linear(width, width), nn.LayerNorm(width)
        self.twice = twice

    def forward(self, x):
        h = self.norm_one(self.one(x)).relu()
        return x + (self.norm_one(self.one(h)) if self.twice else self.norm_two(self.two(h)))


def stack(twice: bool) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(20, 12), Block(12, twice), Block(12, twice), nn.Linear(12, 2))


@pytest.mark.parametrize("steps", [2, 8])
def test_one_layer_in_the_place_of_its_twin(steps) -> None:
    told = findings(fit(stack(twice=True), steps=steps), *ALL, over=False)
    assert set(told) == {"shared-module", "unused-parameters"}
    assert told["shared-module"].layers == ("1.one", "1.norm_one", "2.one", "2.norm_one")
    assert told["unused-parameters"].layers == ("1.two", "1.norm_two", "2.two", "2.norm_two")
    assert told["shared-module"].where.startswith("test_wiring.py:")
    assert alarms(fit(stack(twice=False), steps=steps), *ALL) == set()


@pytest.mark.parametrize("kind", ["sequential", "list"])
def test_a_list_that_repeats_one_object(kind) -> None:
    torch.manual_seed(0)
    layers = [nn.Linear(20, 20)] * 3

    class Repeated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(layers)
            self.head = nn.Linear(20, 2)

        def forward(self, x):
            for layer in self.layers:
                x = layer(x).relu()
            return self.head(x)

    model = nn.Sequential(*layers, nn.ReLU(), nn.Linear(20, 2)) if kind == "sequential" else Repeated()
    assert set(findings(fit(model), *ALL)) == {"shared-module"}


class Skips(nn.Module):
    """Three layers are built; a middle or the last one may be left out."""

    def __init__(self, skipped: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.head = nn.Linear(20, 20), nn.Linear(20, 20), nn.Linear(20, 2)
        self.extra = nn.Linear(20, 5)
        self.skipped = skipped

    def forward(self, x):
        x = self.first(x).relu()
        if self.skipped != 1:
            x = self.second(x).relu()
        return self.head(x)


def test_a_layer_that_is_left_out_of_the_middle() -> None:
    told = findings(fit(Skips(1)), wiring)
    assert set(told) == {"unused-parameters"}
    assert told["unused-parameters"].severity == "warning"
    assert told["unused-parameters"].layers == ("second", "extra")


def test_a_layer_at_the_end_may_be_used_yet() -> None:
    seen = fit(Skips(0))
    assert findings(seen, *ALL, over=False)["unused-parameters"].severity == "info"
    assert findings(seen, *ALL)["unused-parameters"].layers == ("extra",)


class Ends(nn.Module):
    """One layer in encoder and decoder."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        middle = nn.Linear(20, 20)
        self.encoder = nn.Sequential(middle, nn.ReLU(), nn.Linear(20, 6))
        self.decoder = nn.Sequential(nn.Linear(6, 20), nn.ReLU(), middle)

    def forward(self, x):
        return self.decoder(self.encoder(x))


def test_one_layer_at_both_ends() -> None:
    seen = fit(Ends(), loss_of=lambda model: functional.mse_loss(model(X), X))
    assert set(findings(seen, *ALL)) == {"shared-module"}


# ---------------------------------------------------------------------- as meant


class Towers(nn.Module):
    """One tower under two names, side by side; and one head for several levels."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.left = self.right = nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 8))
        self.heads = nn.ModuleList([nn.Linear(8, 2)] * 2)

    def forward(self, x):
        return sum(head(h) for head, h in zip(self.heads, (self.left(x), self.right(-x)), strict=True))


class Siamese(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.tower = nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 4))

    def forward(self, a, b):
        return functional.pairwise_distance(self.tower(a), self.tower(b))


class Cell(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.cell, self.head = nn.GRUCell(4, 12), nn.Linear(12, 2)

    def forward(self, x):
        h = torch.zeros(len(x), 12)
        for piece in x.view(len(x), 5, 4).unbind(1):
            h = self.cell(piece, h)
        return self.head(h)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding, self.rnn = nn.Embedding(400, 8), nn.LSTM(8, 8, batch_first=True)
        self.out = nn.Linear(8, 400, bias=False)
        self.out.weight = self.embedding.weight

    def forward(self, codes):
        return self.out(self.rnn(self.embedding(codes))[0])


class Functional(nn.Module):
    """Uses the weights of layers that it never calls."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.head = nn.Linear(20, 20), nn.Linear(20, 2)

    def forward(self, x):
        return self.head(functional.linear(x, self.first.weight, self.first.bias).relu())


class Experts(nn.Module):
    """Each step uses one of several layers, chosen at random."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.experts = nn.ModuleList(nn.Linear(20, 20) for _ in range(3))
        self.head, self.step = nn.Linear(20, 2), 0

    def forward(self, x):
        self.step += 1
        return self.head(self.experts[self.step % 3](x).relu())


class Shared(nn.Module):
    """One set of weights at every depth, on purpose: there is no twin, and no list that repeats it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.into, self.step, self.head = nn.Linear(20, 16), nn.Linear(16, 16), nn.Linear(16, 2)

    def forward(self, x):
        h = self.into(x)
        for _ in range(4):
            h = h + self.step(h).tanh()
        return self.head(h)


def attention() -> nn.Module:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)

    class Reads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.encoder = nn.Embedding(400, 8), nn.TransformerEncoder(layer, 2)
            self.head = nn.Linear(8, 2)

        def forward(self, codes):
            return self.head(self.encoder(self.embedding(codes)).mean(1))

    return Reads()


def classes(model):
    return functional.cross_entropy(model(X), Y)


SOUND = {
    "siamese": (Siamese, lambda m: (m(X, X.roll(1, 0)) - Y.float()).square().mean()),
    "towers": (Towers, classes),
    "cell": (Cell, classes),
    "tied": (Tied, lambda m: functional.cross_entropy(m(CODES).flatten(0, 1), CODES.flatten())),
    "functional": (Functional, classes),
    "experts": (Experts, classes),
    "shared": (Shared, classes),
    "attention": (attention, lambda m: functional.cross_entropy(m(CODES), Y)),
}


@pytest.mark.parametrize("name", SOUND)
def test_what_is_meant(name) -> None:
    build, loss_of = SOUND[name]
    assert alarms(fit(build(), loss_of=loss_of, steps=9), *ALL) == set()


@pytest.mark.parametrize("name", ["siamese", "towers", "cell", "tied", "functional", "shared", "attention"])
def test_what_is_meant_is_so_from_the_start(name) -> None:
    build, loss_of = SOUND[name]
    assert alarms(fit(build(), loss_of=loss_of, steps=2), *ALL, over=False) == set()


def test_towers_that_are_called_from_outside() -> None:
    torch.manual_seed(0)
    tower = nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 4))

    def loss_of(model):
        return (functional.pairwise_distance(model(X), model(X.roll(1, 0))) - Y.float()).square().mean()

    assert alarms(fit(tower, loss_of=loss_of), *ALL) == set()


def test_parts_that_are_called_one_by_one() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.encoder, self.decoder = nn.Linear(20, 6), nn.Linear(6, 20)

    def loss_of(model):
        model.train()
        return functional.mse_loss(model.decoder(model.encoder(X).relu()), X)

    assert alarms(fit(Both(), loss_of=loss_of), *ALL) == set()
