"""Methods of second order as trainers: the common loop, full batches, reasons where they do not suit."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import preceptor
from preceptor.catalogue import get
from preceptor.data.batches import TensorBatches
from preceptor.errors import ConfigError
from preceptor.tasks import Regression
from preceptor.training import Callback, Problem, State, fit
from preceptor.training.eject import eject
from preceptor.training.objective import Objective

SQUARES = ["gauss-newton", "levenberg", "levenberg-marquardt"]
EXACT = ["newton", "bfgs", "l-bfgs", *SQUARES]
_X = torch.linspace(-1, 1, 60)[:, None]
_Y = torch.sin(3 * _X)
QUIET: dict[str, Any] = {"val": 0, "test": 0, "out": False}
SMALL = {"model.hidden": [6], "model.activation": "tanh", "training.watch": False}


def train(optimizer: str, model: Any = "mlp", data: Any = (_X, _Y), **rest: Any) -> preceptor.Run:
    settings = {**(SMALL if model == "mlp" else {"training.watch": False}), **rest.pop("settings", {})}
    return preceptor.train(model, data, optimizer=optimizer, settings=settings, **{**QUIET, **rest})


@pytest.mark.parametrize("name", EXACT)
def test_a_network_is_trained_through_the_common_loop(name: str) -> None:
    run = train(name, epochs=15)
    assert run.experiment.training.batch_size == 60
    assert run.history[-1, "train_loss"] < (0.05 if name == "newton" else 1e-3)


@pytest.mark.parametrize("name", EXACT)
def test_a_step_never_raises_the_loss(name: str) -> None:
    losses: list[float] = []

    class Note(Callback):
        def on_batch_end(self, state: State) -> None:
            assert state.loss is not None
            losses.append(state.loss.item())

    train(name, epochs=12, patience=None, callbacks=[Note()])
    assert all(b <= a * (1 + 1e-5) + 1e-9 for a, b in pairwise(losses))


def test_linear_regression_is_solved_in_one_epoch() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(50, 3, generator=generator)
    y = x @ torch.tensor([[1.0], [-2.0], [0.5]]) + 0.3 + 0.1 * torch.randn(50, 1, generator=generator)
    for name in ("gauss-newton", "newton"):
        run = train(name, "linear", (x, y), epochs=1)
        exact = torch.linalg.lstsq(torch.cat([x, torch.ones(50, 1)], 1), y).solution
        residual = (torch.cat([x, torch.ones(50, 1)], 1) @ exact - y).square().mean()
        assert run.evaluate("train").metrics["rmse"] == pytest.approx(residual.sqrt().item(), rel=1e-5)


def test_classification_by_newton_and_bfgs() -> None:
    for name in ("newton", "bfgs"):
        run = train(name, "linear", "iris", epochs=8, settings={"optimizer.max_iter": 3})
        assert run.history[-1, "train_accuracy"] > 0.96


@pytest.mark.parametrize("name", ["levenberg-marquardt", "newton", "bfgs", "nesterov-look-ahead"])
def test_a_run_that_is_resumed_ends_in_the_same_weights(name: str, tmp_path: Any) -> None:
    whole = train(name, epochs=6, patience=None, out=tmp_path / "whole")
    train(name, epochs=3, patience=None, out=tmp_path / "half")
    half = train(name, epochs=6, patience=None, out=tmp_path / "half", resume=True)
    for a, b in zip(whole.model.parameters(), half.model.parameters(), strict=True):
        assert torch.equal(a, b)


def problem(
    name: str, model: nn.Module, x: Tensor, y: Tensor, *, batch_size: int = 60, parts: int = 1
) -> Problem:
    return Problem(
        model=model,
        task=Regression(dims=y.shape[1]),
        criterion=nn.MSELoss(),
        optimizer=get(name, model.parameters(), kind="optimizer"),
        train=TensorBatches(x, y, batch_size=batch_size, seed=0),
        grad_accumulation=parts,
        monitor="train_loss_running",
    )


@pytest.mark.parametrize("name", ["levenberg-marquardt", "newton", "bfgs"])
def test_accumulated_batches_are_the_whole_set(name: str) -> None:
    ends = []
    for size, parts in ((60, 1), (25, 3)):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 2)).double()
        y = torch.cat([_Y, _Y**2], 1).double()
        fit(problem(name, model, _X.double(), y, batch_size=size, parts=parts), epochs=1, patience=None)
        ends.append(torch.cat([p.detach().reshape(-1) for p in model.parameters()]))
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-6, atol=1e-8)


def test_what_an_objective_can_do_belongs_together() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    made = problem("levenberg-marquardt", model, _X.double(), _Y.double())
    group = [(_X.double(), _Y.double())]
    parameters = list(model.parameters())

    def gradient() -> Tensor:
        model.zero_grad()
        loss = made.loss(*group[0])
        loss.backward()
        return loss.detach()

    objective = Objective(made, group, gradient)
    loss = objective()
    with torch.no_grad():
        r, J = objective.jacobian(parameters, lambda rows: None)
        torch.testing.assert_close(r, objective.residuals())
    torch.testing.assert_close(loss, r @ r)
    torch.testing.assert_close(loss, objective.graph().detach())
    g = torch.cat([p.grad.reshape(-1) for p in parameters if p.grad is not None])
    torch.testing.assert_close(2 * J.T @ r, g)


class TestRefusals:
    @pytest.mark.parametrize("name", EXACT)
    def test_mini_batches(self, name: str) -> None:
        with pytest.raises(ConfigError, match=r"same examples[\s\S]*4 batches of 16[\s\S]*batch_size='full'"):
            train(name, batch_size=16)
        train(name, batch_size=16, grad_accumulation=4, epochs=1)

    @pytest.mark.parametrize("name", EXACT)
    def test_dropout(self, name: str) -> None:
        with pytest.raises(ConfigError, match=r"same each time[\s\S]*Dropout[\s\S]*adam"):
            train(name, settings={"model.dropout": 0.5})

    def test_chance_of_one_s_own(self) -> None:
        class Noisy(nn.Linear):
            def forward(self, x: Tensor) -> Tensor:
                return super().forward(x) + torch.randn(len(x), 1)

        with pytest.raises(ConfigError, match="differ from call to call"):
            train("bfgs", Noisy(1, 1))

    @pytest.mark.parametrize("name", SQUARES)
    def test_other_losses(self, name: str) -> None:
        for data, loss in (((_X, _Y), "huber"), ((_X, _Y), "mae"), ("iris", None)):
            with pytest.raises(ConfigError, match=r"sum of squares[\s\S]*mse"):
                train(name, data=data, loss=loss)
        own = train(name, loss=lambda output, target: (output - target).square().mean(), epochs=1)
        assert len(own.history) == 1

    @pytest.mark.parametrize("name", SQUARES)
    def test_examples_that_depend_on_each_other(self, name: str) -> None:
        net = nn.Sequential(nn.Linear(1, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 1))
        with pytest.raises(ConfigError, match=r"depend on each other[\s\S]*BatchNorm1d[\s\S]*layer or group"):
            train(name, net)
        train("bfgs", net, epochs=1)

    @pytest.mark.parametrize("name", ["newton", *SQUARES])
    def test_settings_that_it_cannot_follow(self, name: str) -> None:
        with pytest.raises(ConfigError, match="max_grad_norm does not go with"):
            train(name, max_grad_norm=1.0)
        with pytest.raises(ConfigError, match="precision does not go with"):
            train(name, precision="bf16")

    def test_a_network_too_large_says_how_large(self) -> None:
        with pytest.raises(ConfigError, match=r"[\d.]+ GB for 3 matrices of 41,001 × 41,001"):
            train(
                "newton", settings={"model.hidden": [200, 200]}, data=(torch.randn(20, 2), torch.randn(20, 1))
            )

    def test_it_cannot_be_written_as_a_plain_script(self) -> None:
        run = train("bfgs", data="diabetes", epochs=1, settings={"model.hidden": [2]})
        with pytest.raises(ConfigError, match="torch has no optimizer bfgs"):
            eject(run.experiment, run.predictor, run.feeds, run.prepared)  # type: ignore[arg-type]


def test_a_watched_run_by_levenberg_marquardt_sees_losses_and_gradients() -> None:
    run = train("levenberg-marquardt", epochs=5, settings={"training.watch": True})
    assert run.history[-1, "train_loss"] < 1e-3
