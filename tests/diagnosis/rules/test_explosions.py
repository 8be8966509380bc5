"""Sums and explosions: planted mistakes, and what only looks like them."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

import preceptor
from preceptor.diagnosis.rules import explosions

from ._families import ALL
from ._judge import alarms, findings

X = torch.randn(256, 8, generator=torch.Generator().manual_seed(0))
Y = X @ torch.randn(8, generator=torch.Generator().manual_seed(1)) + 0.1 * X[:, 0] ** 2


def fit(loss_of, *, lr: float = 0.01, kind=torch.optim.SGD, passes: int = 1, clip: float = 0.0):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1))
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X, Y), batch_size=32)
    with preceptor.watch(level="full") as watch:
        optimizer = kind(model.parameters(), lr=lr)
        for _ in range(8):
            for number, (x, y) in enumerate(loader):
                loss_of(model(x).squeeze(1), y).backward()
                if (number + 1) % passes == 0:
                    if clip:
                        nn.utils.clip_grad_norm_(model.parameters(), clip)
                    optimizer.step()
                    optimizer.zero_grad()
    return watch.observed


SUMS = {
    "reduction": lambda p, y: functional.mse_loss(p, y, reduction="sum"),
    "by hand": lambda p, y: ((p - y) ** 2).sum(),
    "in two goes": lambda p, y: torch.stack([(p - y) ** 2, (p - y).abs()], 1).sum(1).sum(),
}


@pytest.mark.parametrize("name", SUMS)
def test_sums_that_make_the_run_diverge(name) -> None:
    told = findings(fit(SUMS[name], lr=0.1), explosions)
    assert set(told) == {"loss-reduction"}
    assert told["loss-reduction"].severity == "critical"
    assert told["loss-reduction"].confidence == 0.9
    assert told["loss-reduction"].evidence["samples in a batch"] == 32


@pytest.mark.parametrize("name", SUMS)
def test_sums_that_do_no_harm(name) -> None:
    assert alarms(fit(SUMS[name], lr=1e-3), *ALL) == set()
    assert alarms(fit(SUMS[name], lr=0.01, kind=torch.optim.Adam), *ALL) == set()
    assert alarms(fit(SUMS[name], lr=0.1, clip=1.0), explosions) == set()


MEANS = {
    "mean": lambda p, y: ((p - y) ** 2).mean(),
    "sum over a number": lambda p, y: ((p - y) ** 2).sum() / len(p),
    "sum over features": lambda p, y: ((p - y)[:, None] ** 2).sum(1).mean(),
    "function": functional.mse_loss,
}


@pytest.mark.parametrize("name", MEANS)
@pytest.mark.parametrize("lr", [0.05, 30.0])
def test_means_are_never_to_blame(name, lr) -> None:
    assert "loss-reduction" not in findings(fit(MEANS[name], lr=lr), explosions)


def test_batches_that_are_added_up_undivided() -> None:
    told = findings(fit(functional.mse_loss, lr=0.8, passes=4), explosions)
    assert told["loss-reduction"].severity == "critical"
    assert "4 batches" in told["loss-reduction"].title


def test_batches_that_are_added_up_and_divided() -> None:
    def divided(p, y):
        return functional.mse_loss(p, y) / 4

    assert findings(fit(divided, lr=0.1, passes=4), *ALL) == {}
    assert "loss-reduction" not in findings(fit(divided, lr=30.0, passes=4), explosions)


# ---------------------------------------------------------------------- explosions


def read(*, gain: float, clip: float = 0.0, lr: float = 0.5, length: int = 60):
    torch.manual_seed(0)
    x = torch.randn(16, length, 2)
    y = (x[:, 0, 0] > 0).long()
    rnn, head = nn.RNN(2, 24, batch_first=True), nn.Linear(24, 2)
    model = nn.ModuleList([rnn, head])
    nn.init.orthogonal_(rnn.weight_hh_l0, gain=gain)
    with preceptor.watch(level="full") as watch:
        optimizer = torch.optim.SGD(model.parameters(), lr=lr)
        for _ in range(40):
            optimizer.zero_grad()
            loss = functional.cross_entropy(head(rnn(x)[0][:, -1]), y)
            loss.backward()
            if clip:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
    return watch.observed


def test_a_gradient_that_explodes_unclipped() -> None:
    told = findings(read(gain=2.0, lr=2.0), explosions)
    assert set(told) == {"missing-gradient-clipping"}


def test_a_gradient_that_is_clipped() -> None:
    assert "missing-gradient-clipping" not in findings(read(gain=2.0, lr=2.0, clip=1.0), explosions)


def test_a_recurrence_that_is_calm() -> None:
    assert "missing-gradient-clipping" not in findings(read(gain=0.9, lr=0.1, length=10), explosions)


def test_the_larger_part_of_what_is_too_long_is_to_blame() -> None:
    summed = SUMS["reduction"]
    assert findings(fit(summed, lr=0.1), explosions)["loss-reduction"].confidence == 0.9
    assert findings(fit(summed, lr=100.0), explosions)["loss-reduction"].confidence == 0.65


def test_a_sum_in_a_run_of_noise_does_no_harm() -> None:
    noise = 5 * torch.randn(32, generator=torch.Generator().manual_seed(3))
    told = findings(fit(lambda p, y: ((p - y - noise) ** 2).sum(), lr=1e-3), explosions)
    assert told["loss-reduction"].severity == "info"
