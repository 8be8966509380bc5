"""What the history says: training measured like validation, and the running mean under its own name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import preceptor
from preceptor.training import State

from .conftest import Points, net

STILL: dict[str, Any] = {"optimizer": "sgd", "lr": 0.0, "epochs": 2, "out": False, "seed": 1}


def with_dropout() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 64), nn.ReLU(), nn.Dropout(0.7), nn.Linear(64, 3))


def test_without_dropout_and_without_steps_both_means_agree(points: Points) -> None:
    run = preceptor.train(net, (points.x, points.y), batch_size=20, **STILL)
    for row in run.history:
        assert row["train_loss"] == pytest.approx(row["train_loss_running"], rel=1e-6)
    assert run.history[0, "train_loss"] == run.history[1, "train_loss"]


def test_with_dropout_they_differ_as_they_must(points: Points) -> None:
    run = preceptor.train(with_dropout, (points.x, points.y), batch_size=20, **STILL)
    first, second = run.history
    assert first["train_loss"] == second["train_loss"], "measured with dropout off: nothing is drawn"
    assert first["train_loss_running"] != second["train_loss_running"], "dropout is on while training"
    assert all(row["train_loss_running"] > row["train_loss"] * 1.01 for row in run.history)


def test_the_running_mean_lags_behind_a_network_that_learns(points: Points) -> None:
    run = preceptor.train(
        net, (points.x, points.y), batch_size=20, optimizer="sgd", lr=0.2, epochs=3, out=False
    )
    for row in run.history:
        assert row["train_loss_running"] > row["train_loss"]


def test_train_loss_is_measured_in_evaluation_mode_on_the_whole(points: Points) -> None:
    run = preceptor.train(with_dropout, (points.x, points.y), epochs=4, lr=0.01, out=False)
    assert run.prepared is not None
    part = run.prepared.train
    run.model.eval()
    with torch.no_grad():
        output = run.model(part.x)
    expected = nn.functional.cross_entropy(output, part.y).item()
    row = run.history[run.best_epoch - 1]
    assert row["train_loss"] == pytest.approx(expected, rel=1e-6)
    assert row["train_accuracy"] == pytest.approx(
        (output.argmax(1) == part.y).double().mean().item(), abs=1e-12
    )


def test_the_part_that_is_measured_is_fixed_and_may_be_left_out(points: Points) -> None:
    given = {"data": (points.x, points.y), "model": net, **STILL}
    some = preceptor.train(settings={"training.train_examples": 50}, **given)
    assert some.feeds is not None
    assert some.feeds.probe is not None
    batches = [x for x, _ in some.feeds.probe.epoch()]
    assert sum(map(len, batches)) == 50
    assert some.history[0, "train_loss"] == some.history[1, "train_loss"]
    none = preceptor.train(settings={"training.train_examples": 0}, **given)
    assert "train_loss" not in none.history[0]
    assert "train_loss_running" in none.history[0]


def test_validation_in_uneven_batches_is_the_mean_over_examples(points: Points) -> None:
    """One in five examples is hard: a mean over batches instead of examples would show."""
    x, y = torch.from_numpy(points.x), torch.from_numpy(points.y)
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(x[:45], (y[:45] + (torch.arange(45) > 39)) % 3), batch_size=20
    )
    run = preceptor.train(
        net,
        torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=30),
        val=loader,
        **STILL,
    )
    xs, ys = loader.dataset.tensors  # type: ignore[attr-defined]
    with torch.no_grad():
        expected = nn.functional.cross_entropy(run.model(xs), ys).item()
    assert run.history[-1, "val_loss"] == pytest.approx(expected, rel=1e-6)


def test_the_keys_and_their_order(points: Points) -> None:
    run = preceptor.train("mlp", (points.x, points.y), epochs=1, out=False)
    assert run.history.keys() == [
        "epoch", "train_loss_running", "train_loss", "train_accuracy", "train_macro_f1",
        "val_loss", "val_accuracy", "val_macro_f1", "lr", "seconds",
    ]  # fmt: skip
    numbers = preceptor.train("mlp", (points.x, points.value), epochs=1, out=False)
    assert numbers.history.keys()[6:10] == ["val_loss", "val_r2", "val_rmse", "val_mae"]
    assert numbers.history[-1, "val_rmse"] > np.sqrt(numbers.history[-1, "val_loss"]), (
        "in the data's own units"
    )


@pytest.mark.parametrize("monitor", ["train_loss", "val_accuracy", "val_macro_f1", "train_loss_running"])
def test_what_is_monitored_decides(points: Points, monitor: str) -> None:
    run = preceptor.train(net, (points.x, points.y), monitor=monitor, epochs=6, lr=0.02, out=False)
    values = run.history[:, monitor]
    best = max(values) if monitor.endswith(("accuracy", "f1")) else min(values)
    assert run.best_epoch == values.index(best) + 1
    assert run.experiment.training.mode == ("max" if monitor.endswith(("accuracy", "f1")) else "min")


class Watch(preceptor.Callback):
    """Keeps the weights after every epoch."""

    def __init__(self) -> None:
        self.weights: list[dict[str, torch.Tensor]] = []

    def on_epoch_end(self, state: State) -> None:
        self.weights.append(state.weights())


@pytest.mark.parametrize("model", [net, with_dropout])
@pytest.mark.parametrize(
    "given",
    [{"patience": 2, "lr": 0.3}, {"epochs": 7, "lr": 0.1}, {"patience": 1, "monitor": "val_accuracy"}],
)
def test_the_weights_of_the_best_epoch_come_back_exactly(
    points: Points, model: Any, given: dict[str, Any]
) -> None:
    watch = Watch()
    run = preceptor.train(
        model, (points.x, points.y), callbacks=[watch], out=False, settings={"data.scale": "none"},
        **{"epochs": 60, "lr": 0.05, **given},
    )  # fmt: skip
    assert len(watch.weights) == len(run.history)
    assert run.best_epoch is not None
    for key, value in run.model.state_dict().items():
        assert torch.equal(value, watch.weights[run.best_epoch - 1][key])
    if "epochs" not in given:
        assert run.status == "early stopping"
        assert len(run.history) == run.best_epoch + given["patience"]


def test_the_last_weights_where_that_is_wanted(points: Points) -> None:
    watch = Watch()
    run = preceptor.train(
        net, (points.x, points.y), patience=2, lr=0.5, epochs=60, callbacks=[watch], out=False,
        settings={"training.restore_best": False},
    )  # fmt: skip
    assert run.best_epoch != len(run.history)
    for key, value in run.model.state_dict().items():
        assert torch.equal(value, watch.weights[-1][key])


def test_min_delta_and_no_patience(points: Points) -> None:
    run = preceptor.train(net, (points.x, points.y), min_delta=10.0, patience=3, epochs=20, out=False)
    assert (run.best_epoch, len(run.history)) == (1, 4)
    never = preceptor.train(
        net, (points.x, points.y), min_delta=10.0, epochs=20, out=False, settings={"training.patience": None}
    )
    assert (never.best_epoch, len(never.history), never.status) == (1, 20, "finished")
