"""A training that was stopped and resumed is the training that was not, to the last bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import preceptor
from preceptor import catalogue
from preceptor.training import State

X = torch.randn(70, 6, generator=torch.Generator().manual_seed(0))
IMAGES = torch.randn(45, 1, 28, 28, generator=torch.Generator().manual_seed(1))
Y = (X[:, 0] * X[:, 1] > 0).long() + 2 * (X[:, 2] > 0).long()


class Net(nn.Module):
    """Small, with everything that has a state: dropout, batch statistics, weights that are tied."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.drop = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.3)
        self.second, self.last = nn.Linear(8, 8), nn.Linear(8, 4)
        self.third = nn.Linear(8, 8)
        self.third.weight = self.second.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.drop(torch.tanh(self.norm(self.first(x))))
        return self.last(self.third(torch.tanh(self.second(x))))


class StopAt(preceptor.Callback):
    """Asks to stop after some step, as Ctrl-C does."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_batch_end(self, state: State) -> None:
        if state.step == self.step:
            state.stop = "interrupted"


def settings(**changes: Any) -> dict[str, Any]:
    return {
        "data": (X, Y), "epochs": 4, "batch_size": 9, "patience": 3, "loss": "cross-entropy", "seed": 5,
        **changes,
    }  # fmt: skip


def assert_same(a: preceptor.Run, b: preceptor.Run) -> None:
    assert a.history.without("seconds") == b.history.without("seconds")
    assert (a.best_epoch, a.status) == (b.best_epoch, b.status)
    for name in ("best", "last"):
        assert a.folder
        assert b.folder
        for key, value in a.folder.weights(name).items():
            assert torch.equal(value, b.folder.weights(name)[key]), (name, key)
    for (key, value), other in zip(a.model.state_dict().items(), b.model.state_dict().values(), strict=True):
        assert (value - other).abs().max() == 0.0, key


def check(tmp_path: Path, stops: list[int], model: Any = Net, **changes: Any) -> None:
    given = settings(**changes)
    fresh = given.pop("loader", None)

    def run(**more: Any) -> preceptor.Run:
        data = {"data": fresh()} if fresh else {}
        with torch.random.fork_rng():
            torch.manual_seed(11)
            return preceptor.train(model if isinstance(model, str) else model(), **{**given, **data, **more})

    whole = run(out=tmp_path / "whole")
    out = tmp_path / "stopped"
    for i, stop in enumerate(stops):
        parted = run(out=out, resume=i > 0, callbacks=[StopAt(stop)])
        assert parted.status == "interrupted"
        assert parted.state
        assert parted.state.step == stop
    assert_same(whole, run(out=out, resume=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", [e.name for e in catalogue.find(kind="optimizer")])
def test_every_optimizer(tmp_path: Path, name: str) -> None:
    traits = catalogue.entry(name, "optimizer").traits
    if traits.get("batch") != "full":
        check(tmp_path, [3, 17], optimizer=name)
        return
    options: dict[str, Any] = {"batch_size": "full", "epochs": 8}
    if traits.get("second_order"):  # the loss must be the same each time, and of squares
        options |= {"data": (X, X[:, :2].sum(1, keepdim=True)), "loss": "mse", "patience": 50}
        options["model"] = "linear" if traits.get("objective") == "least-squares" else "mlp"
    check(tmp_path, [2, 5], optimizer=name, **options)


@pytest.mark.slow
@pytest.mark.parametrize("name", [e.name for e in catalogue.find(kind="schedule")])
def test_every_schedule(tmp_path: Path, name: str) -> None:
    check(tmp_path, [3, 12], optimizer="momentum", schedule=name)


@pytest.mark.parametrize("stop", [1, 5, 6, 7, 11, 12, 23])
def test_every_place_in_an_epoch(tmp_path: Path, stop: int) -> None:
    check(tmp_path, [stop])


@pytest.mark.slow
def test_after_each_step(tmp_path: Path) -> None:
    check(tmp_path, list(range(1, 24)))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision(tmp_path: Path, precision: str) -> None:
    check(tmp_path, [3, 14], precision=precision)


def test_accumulation_and_clipping(tmp_path: Path) -> None:
    check(tmp_path, [1, 4], batch_size=4, grad_accumulation=3, max_grad_norm=0.1)


def test_early_stopping_state(tmp_path: Path) -> None:
    check(tmp_path, [7, 15], epochs=30, patience=2, lr=0.1)


def test_torch_schedulers_of_the_users_own(tmp_path: Path) -> None:
    check(tmp_path, [9], schedule=lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 2))


@pytest.mark.parametrize("own_generator", [False, True])
def test_a_users_loader(tmp_path: Path, own_generator: bool) -> None:
    def loader() -> DataLoader[Any]:
        generator = torch.Generator().manual_seed(3) if own_generator else None
        return DataLoader(TensorDataset(X, Y), batch_size=9, shuffle=True, generator=generator)

    check(tmp_path, [3, 17], loader=loader, monitor="train_loss")


@pytest.mark.parametrize("stop", [2, 8, 13])
@pytest.mark.parametrize(
    ("model", "options"),
    [("linear", {}), ("mlp", {"model.dropout": 0.3, "model.hidden": [7, 5]}), ("lenet-5", {})],
)
@pytest.mark.parametrize("optimizer", ["adam", "momentum", "adagrad"])
def test_architectures(
    tmp_path: Path, model: str, options: dict[str, Any], optimizer: str, stop: int
) -> None:
    data = (IMAGES, Y[:45]) if model == "lenet-5" else (X, Y)
    check(
        tmp_path, [stop], model, data=data, epochs=3, batch_size=7, optimizer=optimizer, schedule="cosine",
        settings=options,
    )  # fmt: skip


class Noisy(Dataset[Any]):
    """Draws noise for each example from torch's global generator, as augmentations do."""

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        return X[i] + 0.1 * torch.randn(6), Y[i]


@pytest.mark.parametrize("own_generator", [False, True])
@pytest.mark.parametrize("stop", [3, 8, 16, 17])
def test_a_loader_that_augments(tmp_path: Path, own_generator: bool, stop: int) -> None:
    """Eight batches an epoch: a loader's begin draws a seed, which must count once and once only."""

    def loader() -> DataLoader[Any]:
        generator = torch.Generator().manual_seed(3) if own_generator else None
        return DataLoader(Noisy(), batch_size=9, shuffle=True, generator=generator)

    check(tmp_path, [stop], loader=loader, monitor="train_loss_running")


def test_a_finished_run_that_was_resumed_in_vain_can_be_given_more_epochs(tmp_path: Path) -> None:
    whole = preceptor.train(Net, **settings(out=tmp_path / "whole", epochs=5, patience=9))
    for epochs in (3, 3, 5):
        resume = (tmp_path / "a").exists()
        run = preceptor.train(Net, **settings(out=tmp_path / "a", resume=resume, epochs=epochs, patience=9))
    assert_same(whole, run)


def test_a_finished_run_stays_as_it_is(tmp_path: Path) -> None:
    first = preceptor.train(Net, **settings(out=tmp_path / "a"))
    again = preceptor.train(Net, **settings(out=tmp_path / "a", resume=True))
    assert_same(first, again)


def test_a_finished_run_can_be_given_more_epochs(tmp_path: Path) -> None:
    whole = preceptor.train(Net, **settings(out=tmp_path / "whole", epochs=5, patience=9))
    preceptor.train(Net, **settings(out=tmp_path / "a", epochs=3, patience=9))
    assert_same(
        whole, preceptor.train(Net, **settings(out=tmp_path / "a", resume=True, epochs=5, patience=9))
    )


def test_other_data_are_refused(tmp_path: Path) -> None:
    preceptor.train(Net, **settings(out=tmp_path / "a", epochs=1))
    with pytest.raises(preceptor.errors.CheckpointError, match="not those that the run was begun with"):
        preceptor.train(Net, **settings(out=tmp_path / "a", resume=True, data=(X + 1, Y)))


def test_another_model_is_refused(tmp_path: Path) -> None:
    preceptor.train(Net, **settings(out=tmp_path / "a", epochs=1))
    with pytest.raises(preceptor.errors.CheckpointError, match="does not fit this model"):
        preceptor.train(nn.Linear(6, 4), **settings(out=tmp_path / "a", resume=True, epochs=2))
