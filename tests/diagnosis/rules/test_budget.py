"""Too few updates, batches that are too large, optimizers that do not suit; and sound ones."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rules.budget import batches_too_large, too_few_updates
from preceptor.diagnosis.rules.optimizers import unsuitable_optimizer
from preceptor.observation.observed import Observed
from preceptor.observation.protocol import Protocol
from preceptor.observation.record import Record
from preceptor.observation.watch import Watch


def _data(size: int = 640) -> tuple[Tensor, Tensor]:
    labels = torch.arange(size) % 4
    return torch.randn(4, 10)[labels] + torch.randn(size, 10), labels


def _train(
    *,
    epochs: int,
    batch: int = 32,
    size: int = 640,
    rate: float = 1e-3,
    make: Any = torch.optim.Adam,
    schedule: Any = None,
    evaluate: bool = False,
    labels: Tensor | None = None,
    seed: int = 0,
) -> Case:
    torch.manual_seed(seed)
    x, y = _data(size + 200)
    y = y if labels is None else labels
    loader = DataLoader(TensorDataset(x[:size], y[:size]), batch_size=batch, shuffle=True)
    held_out = DataLoader(TensorDataset(x[size:], y[size:]), batch_size=100)
    model = nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 4))
    optimizer = make(model.parameters(), lr=rate)
    plan = schedule(optimizer) if schedule else None
    with Watch(budget=1.0) as watch:
        for _ in range(epochs):
            for inputs, target in loader:
                optimizer.zero_grad()
                functional.cross_entropy(model(inputs), target).backward()
                optimizer.step()
                if plan is not None:
                    plan.step()
            if evaluate:
                with torch.no_grad():
                    for inputs, target in held_out:
                        functional.cross_entropy(model(inputs), target)
    return Case(watch.observed)


def _alarms(case: Case) -> list[Finding]:
    rules = (too_few_updates, batches_too_large, unsuitable_optimizer)
    return [finding for rule in rules for finding in rule(case) if finding.severity != "info"]


def test_an_epoch_or_two_are_too_few() -> None:
    (finding,) = _alarms(_train(epochs=2))
    assert finding.cause == "too-few-epochs"
    assert finding.evidence["updates"] == 40
    assert finding.evidence["epochs"] == 2
    assert "no validation loss was seen" in finding.against[0]


def test_large_batches_leave_few_updates() -> None:
    causes = [finding.cause for finding in _alarms(_train(epochs=4, batch=320))]
    assert sorted(causes) == ["too-few-epochs", "unsuitable-batch-size"]


def test_batches_of_half_the_data_leave_few_updates() -> None:
    case = _train(epochs=4, batch=320, rate=0.05, make=torch.optim.SGD)
    (finding,) = list(batches_too_large(case))
    assert finding.severity == "warning"
    assert finding.evidence["updates"] == 8
    assert finding.evidence["updates an epoch"] == 2


@pytest.mark.slow
def test_full_batches_that_make_their_way_are_silent() -> None:
    assert list(batches_too_large(_train(epochs=300, batch=640, rate=3e-3))) == []
    assert list(batches_too_large(_train(epochs=60, batch=640, rate=0.1))) == []


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_run_that_has_settled_is_silent(seed: int) -> None:
    assert _alarms(_train(epochs=40, rate=3e-3, seed=seed)) == []


def test_a_schedule_at_its_end_is_silent() -> None:
    case = _train(
        epochs=4,
        rate=3e-3,
        schedule=lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 80),
    )
    assert _alarms(case) == []


def test_a_validation_loss_that_has_stopped_falling_is_silent() -> None:
    torch.manual_seed(1)
    case = _train(epochs=14, size=96, rate=3e-3, evaluate=True, labels=torch.randint(4, (296,)))
    assert case.losses.forecast.falling > 3
    assert _alarms(case) == []


def test_one_long_pass_over_a_stream_is_silent() -> None:
    assert _alarms(_train(epochs=1, size=16000, rate=3e-3)) == []


# ---------------------------------------------------------------------- optimizers


def _words(make: Any, steps: int = 150) -> Case:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(500, 8), nn.Flatten(), nn.Linear(16, 500))
    optimizer = make(model.parameters())
    weights = 1 / torch.arange(1.0, 501)
    with Watch(budget=1.0) as watch:
        for _ in range(steps):
            pairs = torch.multinomial(weights, 96, replacement=True).reshape(32, 3)
            optimizer.zero_grad()
            functional.cross_entropy(model(pairs[:, :2]), pairs[:, 2]).backward()
            optimizer.step()
    return Case(watch.observed)


def test_plain_sgd_hardly_moves_rare_rows() -> None:
    (finding,) = list(unsuitable_optimizer(_words(lambda p: torch.optim.SGD(p, lr=1e-3))))
    assert finding.severity == "warning"
    assert finding.layers == ("0.weight",)
    assert list(unsuitable_optimizer(_words(lambda p: torch.optim.Adam(p, lr=1e-2)))) == []


def _with_closures(batches: int) -> Case:
    torch.manual_seed(0)
    x, y = _data(128)
    model = nn.Linear(10, 4)
    with Watch(budget=1.0) as watch:
        optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=4)
        for _ in range(6):
            for inputs, target in DataLoader(TensorDataset(x, y), batch_size=128 // batches, shuffle=True):

                def closure(inputs: Tensor = inputs, target: Tensor = target) -> Tensor:
                    optimizer.zero_grad()
                    loss = functional.cross_entropy(model(inputs), target)
                    loss.backward()
                    return loss

                optimizer.step(closure)
    return Case(watch.observed)


def test_full_batch_methods_need_full_batches() -> None:
    (finding,) = list(unsuitable_optimizer(_with_closures(4)))
    assert "another batch" in finding.title
    assert list(unsuitable_optimizer(_with_closures(1))) == []


def test_nothing_is_said_of_nothing() -> None:
    assert _alarms(Case(Observed(Record(), Protocol()))) == []
