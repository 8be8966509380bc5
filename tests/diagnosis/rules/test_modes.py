"""Training and evaluation mode: planted mistakes, and what only looks like them."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import preceptor
from preceptor.diagnosis.rules import modes

from ._families import ALL
from ._judge import alarms, findings

X = torch.randn(96, 12, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()


def net(kind: str = "dropout") -> nn.Module:
    torch.manual_seed(0)
    middle = {"dropout": nn.Dropout(0.3), "norm": nn.BatchNorm1d(16), "plain": nn.Identity()}[kind]
    return nn.Sequential(nn.Linear(12, 16), middle, nn.ReLU(), nn.Linear(16, 2))


def loaders():
    data = TensorDataset(X, Y)
    return DataLoader(data, batch_size=32), DataLoader(TensorDataset(X[:40], Y[:40]), batch_size=20)


def run(model, *, each_epoch=None, before=None, after=None, judge=None, epochs: int = 4, parameters=None):
    """Train; ``each_epoch`` and ``before`` set modes, ``judge`` evaluates, ``after`` follows it."""
    train, held_out = loaders()
    with preceptor.watch(level="full") as watch:
        optimizer = torch.optim.Adam((parameters or model).parameters(), lr=0.01)
        if before:
            before(model)
        for _ in range(epochs):
            if each_epoch:
                each_epoch(model)
            for x, y in train:
                optimizer.zero_grad()
                functional.cross_entropy(model(x), y).backward()
                optimizer.step()
            (judge or accuracy)(model, held_out)
            if after:
                after(model)
    return watch.observed


def accuracy(model, loader):
    model.eval()
    with torch.no_grad():
        return sum((model(x).argmax(1) == y).sum().item() for x, y in loader)


def careless(model, loader):
    with torch.no_grad():
        return sum((model(x).argmax(1) == y).sum().item() for x, y in loader)


def with_a_loss(model, loader):
    with torch.no_grad():
        return functional.cross_entropy(model(X[:40]), Y[:40]).item()


def on_a_tensor(model, loader):
    with torch.no_grad():
        return (model(X[:40]).argmax(1) == Y[:40]).sum().item()


def with_gradients(model, loader):
    return sum(functional.cross_entropy(model(x), y).item() for x, y in loader)


@pytest.mark.parametrize("kind", ["dropout", "norm", "plain"])
def test_modes_that_are_as_they_should_be(kind) -> None:
    seen = run(net(kind), each_epoch=nn.Module.train)
    assert alarms(seen, *ALL) == set()
    assert alarms(seen, *ALL, over=False) == set()
    assert alarms(run(net(kind), after=nn.Module.train), *ALL) == set()


# ---------------------------------------------------------------------- training in evaluation mode


@pytest.mark.parametrize("kind", ["dropout", "norm"])
def test_train_is_called_once_and_never_again(kind) -> None:
    told = findings(run(net(kind), before=nn.Module.train), *ALL)
    assert set(told) == {"evaluation-mode-in-training"}
    assert told["evaluation-mode-in-training"].steps == (3,)


@pytest.mark.parametrize("kind", ["dropout", "norm"])
def test_eval_is_called_in_the_place_of_train(kind) -> None:
    assert alarms(run(net(kind), each_epoch=nn.Module.eval), *ALL) == {"evaluation-mode-in-training"}


def test_a_net_without_modes_may_be_in_either() -> None:
    assert alarms(run(net("plain"), before=nn.Module.train), *ALL) == set()


def test_a_frozen_trunk_in_evaluation_mode() -> None:
    trunk, head = net("norm"), nn.Sequential(nn.Dropout(0.2), nn.Linear(2, 2))
    optimizer = torch.optim.Adam(trunk.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        functional.cross_entropy(trunk(X), Y).backward()
        optimizer.step()
    trunk.requires_grad_(False).eval()
    whole = nn.Sequential(trunk, head)
    seen = run(whole, each_epoch=lambda _: head.train(), parameters=head)
    assert alarms(seen, *ALL) == set()


def test_statistics_that_are_held_on_purpose() -> None:
    model = net("norm")

    def hold(model):
        model.train()
        model[1].eval()

    assert alarms(run(model, each_epoch=hold), *ALL) == set()


def test_a_loaded_net_is_tuned_with_its_statistics_held() -> None:
    model, source = net("norm"), net("norm")

    def load(model):
        model.load_state_dict(source.state_dict())
        model.eval()

    assert alarms(run(model, before=load), modes) == set()


def test_an_attack_on_a_net_in_evaluation_mode() -> None:
    model, x = net("dropout").eval(), X.clone().requires_grad_()
    with preceptor.watch(level="full") as watch:
        optimizer = torch.optim.SGD([x], lr=0.1)
        for _ in range(8):
            optimizer.zero_grad()
            (-functional.cross_entropy(model(x), Y)).backward()
            optimizer.step()
    assert alarms(watch.observed, modes) == set()


# ---------------------------------------------------------------------- evaluation in training mode


@pytest.mark.parametrize("judge", [careless, with_a_loss, on_a_tensor, with_gradients])
def test_eval_is_forgotten(judge) -> None:
    told = findings(run(net("dropout"), each_epoch=nn.Module.train, judge=judge), *ALL)
    assert set(told) == {"training-mode-in-evaluation"}
    assert told["training-mode-in-evaluation"].where.startswith("test_modes.py:")


@pytest.mark.parametrize("judge", [careless, with_a_loss, with_gradients])
def test_eval_is_forgotten_with_statistics_of_the_batch(judge) -> None:
    assert alarms(run(net("norm"), judge=judge), *ALL) == {"training-mode-in-evaluation"}


@pytest.mark.parametrize("judge", [careless, with_a_loss, on_a_tensor])
def test_a_net_without_modes_may_be_evaluated_in_either(judge) -> None:
    assert alarms(run(net("plain"), judge=judge), *ALL) == set()


def averaged(model, loader):
    with torch.no_grad():
        for x, _ in loader:
            torch.stack([model(x) for _ in range(5)]).mean(0)


def test_predictions_that_are_averaged_over_chance() -> None:
    assert alarms(run(net("dropout"), judge=averaged, each_epoch=nn.Module.train), *ALL) == set()


def test_statistics_that_are_taken_anew() -> None:
    def renew(model, loader):
        torch.optim.swa_utils.update_bn(loader, model)

    seen = run(nn.Sequential(net("norm"), nn.Dropout(0.1), nn.Linear(2, 2)), judge=renew)
    assert alarms(seen, modes) == set()


def test_a_target_that_passes_at_each_step() -> None:
    model = net("dropout")
    average = copy.deepcopy(model)
    train, held_out = loaders()
    with preceptor.watch(level="full") as watch:
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        for _ in range(4):
            model.train()
            for x, y in train:
                with torch.no_grad():
                    aim, own = average(x).softmax(1), model(x).softmax(1)
                optimizer.zero_grad()
                out = model(x)
                (
                    functional.cross_entropy(out, y) + (out.softmax(1) - (aim + own) / 2).square().sum()
                ).backward()
                optimizer.step()
            accuracy(model, held_out)
    assert alarms(watch.observed, *ALL) == set()


# ---------------------------------------------------------------------- dropout that is always on


class Drops(nn.Module):
    def __init__(self, *, heeds: bool, samples: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.head = nn.Linear(12, 16), nn.Linear(16, 2)
        self.heeds, self.samples = heeds, samples

    def forward(self, x):
        h = functional.dropout(self.first(x).relu(), 0.2, training=self.training or not self.heeds)
        return self.head(h + 0.1 * torch.randn_like(h) if self.samples else h)


def test_a_function_that_does_not_heed_the_mode() -> None:
    told = findings(run(Drops(heeds=False), each_epoch=nn.Module.train), *ALL)
    assert set(told) == {"training-mode-in-evaluation"}
    assert "does not heed" in told["training-mode-in-evaluation"].title
    assert alarms(run(Drops(heeds=True), each_epoch=nn.Module.train), *ALL) == set()


def test_chance_that_is_averaged_on_purpose() -> None:
    def judge(model, loader):
        model.eval()
        averaged(model, loader)

    seen = run(Drops(heeds=False), each_epoch=nn.Module.train, judge=judge)
    assert alarms(seen, *ALL) == set()


def test_a_net_that_samples_in_evaluation() -> None:
    assert alarms(run(Drops(heeds=True, samples=True), each_epoch=nn.Module.train), *ALL) == set()
    assert alarms(run(Drops(heeds=False, samples=True), each_epoch=nn.Module.train), *ALL) == set()


def test_recurrent_layers_heed_the_mode_themselves() -> None:
    class Reads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.rnn = nn.LSTM(3, 8, num_layers=2, dropout=0.3, batch_first=True)
            self.head = nn.Linear(8, 2)

        def forward(self, x):
            return self.head(self.rnn(x.view(-1, 4, 3))[0][:, -1])

    assert alarms(run(Reads(), each_epoch=nn.Module.train), *ALL) == set()
    assert alarms(run(Reads(), judge=careless), *ALL) == {"training-mode-in-evaluation"}
