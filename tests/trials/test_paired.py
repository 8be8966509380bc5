"""The paired rerun: twins that are the run itself, one change apart, and disturb nothing."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import preceptor
from preceptor.training import Experiment, History, Objects
from preceptor.training.inputs import Inputs
from preceptor.trials.change import Change
from preceptor.trials.paired import Paired, outcome


def clouds(n: int = 240) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    y = torch.arange(n) % 3
    return torch.randn(n, 6, generator=draw) + 2.5 * torch.eye(6)[y], y


def rerun_of(run: preceptor.Run, data: Any, *, objects: Objects | None = None, **options: Any) -> Paired:
    rerun = Paired(run.experiment, Inputs(data), objects or Objects(), float(len(run.history)), **options)
    rerun.prepared = run.prepared
    return rerun


def trained(data: Any, **options: Any) -> preceptor.Run:
    given = {"model": "mlp", "epochs": 4, "out": False, "settings": {"training.watch": False}}
    return preceptor.train(data=data, **{**given, **options})


def test_the_first_unchanged_twin_is_the_run_to_the_last_bit() -> None:
    data = clouds()
    run = trained(data, schedule="cosine", max_grad_norm=1.0)
    rerun = rerun_of(run, data)
    twin = rerun._unchanged(0)
    assert History(twin.history.rows).without("seconds") == run.history.without("seconds")
    assert twin.steps == run.state.step  # type: ignore[union-attr]
    assert rerun._unchanged(1).history.rows[-1]["val_loss"] != run.history[-1, "val_loss"]


def test_a_change_that_helps_and_one_that_does_not() -> None:
    data = clouds(400)
    rerun = rerun_of(trained(data, lr=1e-6), data)
    better = rerun.compare(Change("lr", 1e-6, 0.01))
    assert better is not None
    assert (better.improved, better.pairs, better.measure) == (True, 4, "accuracy")
    assert better.judged_on == "validation"
    useless = rerun.compare(Change("lr", 1e-6, 1e-7))
    assert useless is not None
    assert not useless.improved
    assert useless.pairs < 4  # given up at the first pair that is no better


def test_few_validation_examples_are_judged_by_their_loss() -> None:
    data = clouds(90)
    trial = rerun_of(trained(data, lr=1e-6), data).compare(Change("lr", 1e-6, 0.01))
    assert trial is not None
    assert (trial.measure, trial.improved) == ("loss", True)


def test_the_callers_generators_are_left_alone() -> None:
    data = clouds()
    run = trained(data)
    torch.manual_seed(1)
    random.seed(1)
    np.random.seed(1)
    expected = torch.rand(2), random.random(), np.random.rand()
    torch.manual_seed(1)
    random.seed(1)
    np.random.seed(1)
    rerun_of(run, data, pairs=1).compare(Change("lr", 1e-3, 1e-2))
    found = torch.rand(2), random.random(), np.random.rand()
    assert torch.equal(found[0], expected[0])
    assert found[1:] == expected[1:]


def test_a_loader_and_a_module_of_the_users_are_left_alone() -> None:
    x, y = clouds()
    generator = torch.Generator().manual_seed(3)
    loader = DataLoader(TensorDataset(x[:200], y[:200]), batch_size=20, shuffle=True, generator=generator)
    held = DataLoader(TensorDataset(x[200:], y[200:]), batch_size=40)
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    run = trained(loader, val=held, model=nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)))
    state, weights = generator.get_state(), {k: v.clone() for k, v in net.state_dict().items()}
    torch.manual_seed(1)
    before = torch.get_rng_state()
    rerun = Paired(run.experiment, Inputs(loader, held), Objects(model=net), 2.0, pairs=2)
    assert rerun.compare(Change("lr", 1e-3, 1e-2)) is not None
    assert torch.equal(generator.get_state(), state)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(net.state_dict()[k], v) for k, v in weights.items())


def test_twins_end_within_an_epoch_where_they_must() -> None:
    data = clouds()
    rerun = rerun_of(trained(data), data)
    rerun.passes = 0.5
    twin = rerun._unchanged(0)
    assert twin.steps == 3  # of six batches
    assert [set(row) >= {"val_loss", "val_accuracy"} for row in twin.history] == [True]


def test_more_epochs_are_a_longer_twin() -> None:
    data = clouds()
    run = trained(data, lr=1e-4)
    trial = rerun_of(run, data, pairs=3).compare(Change("epochs", 4, 40))
    assert trial is not None
    assert trial.steps == run.state.step  # type: ignore[union-attr]
    assert trial.improved


def test_no_pair_is_begun_when_the_time_is_over() -> None:
    data = clouds()
    rerun = rerun_of(trained(data), data, seconds=1e-9)
    assert rerun.compare(Change("lr", 1e-3, 1e-2)) is None
    assert rerun.over


def test_settings_that_do_not_go_together_are_no_trial() -> None:
    data = clouds()
    assert rerun_of(trained(data), data).compare(Change("activation", "relu", "no-such-unit")) is None


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], 0.0),
        ([{"val_loss": float("nan"), "val_accuracy": 0.3}], 0.0),
        ([{"val_loss": 2.0, "val_accuracy": 0.3}, {"val_loss": 1.0, "val_accuracy": 0.2}], 0.2),
    ],
)
def test_what_a_training_came_to(rows: list[dict[str, float]], expected: float) -> None:
    experiment = Experiment.of({"training.monitor": "val_loss", "training.mode": "min"})
    assert outcome(History(rows), experiment, "accuracy") == expected
    last = experiment.changed({"training.restore_best": False})
    assert outcome(History(rows), last, "accuracy") == (rows[-1]["val_accuracy"] if rows else 0.0)
    assert outcome(History([{"val_loss": 1.0, "val_r2": -400.0}]), experiment, "explained") == -1.0
