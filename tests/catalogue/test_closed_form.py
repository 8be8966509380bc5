"""The closed form as an optimizer, alone and in a training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression, Ridge
from torch import nn

import preceptor
from preceptor.catalogue import find, get
from preceptor.errors import ConfigError, DataError, ModelError

SOLVERS = [e.name for e in find(kind="solver") if "system" in e.traits]


def _problem(outputs: int = 2, bias: bool = True):
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(60, 4, generator=generator)
    Y = torch.randn(60, outputs, generator=generator) + 3
    torch.manual_seed(1)
    return X, Y, nn.Linear(4, outputs, bias=bias)


def _step(
    model: nn.Module, X: torch.Tensor, Y: torch.Tensor, loss=nn.functional.mse_loss, **options
) -> float:
    optimizer = get("closed-form", model.parameters(), **options)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value = loss(model(X), Y)
        value.backward()
        return value

    return optimizer.step(closure).item()


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("bias", [True, False])
def test_one_step_reaches_least_squares_with_every_solver(solver: str, bias: bool):
    X, Y, layer = _problem(bias=bias)
    if solver == "jacobi":  # its matrix must have a dominant diagonal
        X = torch.linalg.qr(X - X.mean(0))[0] * 8
    before = nn.functional.mse_loss(layer(X), Y).item()
    assert _step(layer, X, Y, solver=solver) == pytest.approx(before)
    exact = LinearRegression(fit_intercept=bias).fit(X.numpy(), Y.numpy())
    np.testing.assert_allclose(layer.weight.detach().numpy(), exact.coef_, atol=2e-4)
    if bias:
        np.testing.assert_allclose(layer.bias.detach().numpy(), exact.intercept_, atol=2e-4)


@pytest.mark.parametrize("solver", ["qr", "cholesky"])
def test_weight_decay_is_ridge_regression_with_a_free_bias(solver: str):
    X, Y, layer = _problem()
    _step(layer, X, Y, solver=solver, weight_decay=0.5)
    ridge = Ridge(0.5 * Y.numel() / 2).fit(X.numpy(), Y.numpy())
    np.testing.assert_allclose(layer.weight.detach().numpy(), ridge.coef_, atol=1e-5)
    np.testing.assert_allclose(layer.bias.detach().numpy(), ridge.intercept_, atol=1e-5)


def test_a_rate_below_one_goes_part_of_the_way():
    X, Y, layer = _problem()
    start = layer.weight.detach().clone()
    _step(layer, X, Y, lr=0.25)
    part = layer.weight.detach().clone()
    _step(layer, X, Y)
    torch.testing.assert_close(part, start + 0.25 * (layer.weight.detach() - start), rtol=1e-4, atol=1e-4)


def test_targets_far_from_zero_are_met_as_well():
    X, Y, layer = _problem()
    _step(layer, X, 1e3 * Y + 1e6)
    exact = LinearRegression().fit(X.double().numpy(), (1e3 * Y + 1e6).double().numpy())
    np.testing.assert_allclose(layer.weight.detach().numpy(), exact.coef_, atol=1.0)
    np.testing.assert_allclose(layer.bias.detach().numpy(), exact.intercept_, rtol=1e-6)


@pytest.mark.slow
def test_a_run_goes_on_from_its_folder(tmp_path):
    settings = {"optimizer": "closed-form", "out": tmp_path / "run"}
    preceptor.train("linear", "diabetes", epochs=1, **settings)
    run = preceptor.train(out=tmp_path / "run", resume=True, epochs=2)
    assert len(run.history) == 2
    assert run.experiment.optimizer.name == "closed-form"


def test_what_is_not_linear_or_not_squared_is_refused():
    X, Y, layer = _problem()
    with pytest.raises(ConfigError, match="needs a squared error"):
        _step(layer, X, torch.randint(2, (60,)), nn.functional.cross_entropy)
    with pytest.raises(ConfigError, match="needs a squared error"):
        _step(layer, X, Y, nn.functional.l1_loss)
    with pytest.raises(ModelError, match="needs a linear model"):
        _step(nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)), X, Y)
    with pytest.raises(ConfigError, match="solver is not usable"):
        _step(layer, X, Y, solver="ridge-regression")
    with pytest.raises(DataError, match="spectral radius"):
        _step(layer, X + 5, Y, solver="jacobi")


def test_refusal_leaves_no_hook_behind():
    from torch.nn.modules import module

    X, Y, layer = _problem()
    before = len(module._global_forward_hooks)
    with pytest.raises(ConfigError):
        _step(layer, X, Y, nn.functional.l1_loss)
    assert len(module._global_forward_hooks) == before


@pytest.mark.parametrize("options", [{"solver": "qr"}, {"solver": "cg"}, {"solver": "normal_eq"}])
def test_a_training_by_name_reaches_the_exact_r2(options: dict[str, str]):
    run = preceptor.train(
        "linear-regression",
        "diabetes",
        optimizer={"name": "closed-form", **options},
        epochs=1,
        test=0,
        val=0,
        out=False,
    )
    x, y = load_diabetes(return_X_y=True)
    assert run.history[-1, "train_r2"] == pytest.approx(LinearRegression().fit(x, y).score(x, y), abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["closed-form", "newton", "gauss-newton", "bfgs"])
def test_few_steps_to_the_minimum_are_no_sign_of_trouble(optimizer: str):
    run = preceptor.train("linear", "diabetes", optimizer=optimizer, epochs=4, test=0, out=False)
    assert run.findings == []


def test_ridge_by_name_shrinks_and_other_losses_are_refused():
    weights = []
    for decay in (0.0, 1.0):
        run = preceptor.train(
            "linear",
            "diabetes",
            optimizer="closed-form",
            weight_decay=decay,
            epochs=1,
            val=0,
            test=0,
            out=False,
        )
        weights.append(sum(p.square().sum().item() for p in run.model.parameters() if p.ndim == 2))
    assert weights[1] < 0.5 * weights[0]
    with pytest.raises(ConfigError, match="sum of squares"):
        preceptor.train("linear", "iris", optimizer="closed-form", epochs=1, out=False)
    with pytest.raises(ConfigError, match="same examples"):
        preceptor.train("linear", "diabetes", optimizer="closed-form", batch_size=32, epochs=1, out=False)


def test_the_solver_is_a_setting():
    run = preceptor.train(
        "linear",
        "diabetes",
        optimizer="closed-form",
        settings={"optimizer.solver": "cholesky"},
        epochs=1,
        out=False,
    )
    assert run.experiment.optimizer.options["solver"] == "cholesky"


def test_polynomial_regression_fits_a_cubic_exactly():
    x = torch.linspace(-1, 1, 40)[:, None]
    y = 1 + 2 * x - x**3
    run = preceptor.train(
        "polynomial-regression",
        (x, y),
        task="regression",
        optimizer="closed-form",
        epochs=2,
        val=0,
        test=0,
        out=False,
    )
    assert run.history[-1, "train_rmse"] < 1e-4
