"""The named optimizers against their formulas, and the facts that tell them apart."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from preceptor.catalogue import get
from preceptor.errors import ConfigError, ModelError

STOCHASTIC = ("gradient-descent", "online-sgd", "sgd", "momentum", "nesterov")


def descend(name: str, gradient, steps: int, start: float = 1.0, **options: object) -> list[float]:
    """Return the path of one weight under a gradient that depends on it."""
    w = torch.tensor([start], dtype=torch.float64, requires_grad=True)
    optimizer = get(name, [w], **options)
    path = [start]
    for _ in range(steps):
        w.grad = torch.tensor([gradient(w.item())], dtype=torch.float64)
        optimizer.step()
        path.append(w.item())
    return path


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_gradient_descent_never_rises_below_two_over_the_curvature(share: float):
    curvature = np.array([1.0, 7.0, 25.0])
    w = torch.ones(3, dtype=torch.float64, requires_grad=True)
    optimizer = get("gd", [w], lr=share * 2 / curvature.max())
    losses = []
    for _ in range(200):
        optimizer.zero_grad()
        loss = (torch.from_numpy(curvature) * w.square()).sum() / 2
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(b < a for a, b in pairwise(losses))
    assert descend("gd", lambda w: 25 * w, 20, lr=1.01 * 2 / 25)[-1] > 1.2


def _regression() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 5, generator=generator, dtype=torch.float64)
    return x, torch.randn(64, 1, generator=generator, dtype=torch.float64)


def _step(name: str, rows: torch.Tensor) -> torch.Tensor:
    """Return the gradient that one step with lr = 1 follows from the same start, on those rows."""
    x, y = _regression()
    w = torch.full((5, 1), 0.3, dtype=torch.float64, requires_grad=True)
    optimizer = get(name, [w], lr=1.0)
    nn.functional.mse_loss(x[rows] @ w, y[rows]).backward()
    optimizer.step()
    return 0.3 - w.detach().flatten()


def test_the_mean_step_of_online_sgd_is_the_step_of_gradient_descent():
    full = _step("gradient-descent", torch.arange(64))
    each = torch.stack([_step("online-sgd", torch.tensor([i])) for i in range(64)])
    assert (each.mean(0) - full).norm() < 1e-6 * full.norm()
    assert each.std(0).min() > 0.1


@pytest.mark.slow
def test_the_variance_of_a_mini_batch_gradient_falls_as_one_over_its_size():
    generator = torch.Generator().manual_seed(1)
    sizes = [1, 2, 4, 8, 16, 32]
    variances = []
    for m in sizes:
        steps = [_step("sgd", torch.randint(64, (m,), generator=generator)) for _ in range(400)]
        variances.append(torch.stack(steps).var(0).sum().item())
    slope = np.polyfit(np.log(sizes), np.log(variances), 1)[0]
    assert slope == pytest.approx(-1, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize(("beta", "factor"), [(0.9, 10), (0.99, 100)])
def test_momentum_under_a_constant_gradient_reaches_its_terminal_step(beta: float, factor: float):
    path = descend("momentum", lambda w: 2.0, 3000, lr=0.01, momentum=beta)
    assert path[-2] - path[-1] == pytest.approx(0.01 * 2.0 * factor, rel=1e-9)


def test_both_conventions_of_momentum_agree_for_a_constant_rate_and_differ_for_a_changing_one():
    def inside(rates: list[float]) -> list[float]:
        w, v, path = 1.0, 0.0, [1.0]
        for lr in rates:
            v = 0.9 * v - lr * 3 * w
            w += v
            path.append(w)
        return path

    assert descend("momentum", lambda w: 3 * w, 100, lr=0.01) == pytest.approx(
        inside([0.01] * 100), rel=1e-9, abs=1e-12
    )
    w = torch.tensor([1.0], dtype=torch.float64, requires_grad=True)
    optimizer = get("momentum", [w])
    for lr in (changing := [0.01] * 5 + [0.001] * 5):
        optimizer.param_groups[0]["lr"] = lr
        w.grad = 3 * w.detach()
        optimizer.step()
    assert abs(w.item() - inside(changing)[-1]) > 1e-2


def test_nesterov_walks_along_the_look_ahead_points_of_its_definition():
    curvature = torch.tensor([1.0, 20.0], dtype=torch.float64)
    theta, v, lr, beta = torch.ones(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64), 0.02, 0.9
    w = theta.clone().requires_grad_()
    optimizer = get("nesterov", [w], lr=lr)
    for _ in range(200):
        v = beta * v - lr * curvature * (theta + beta * v)
        theta = theta + v
        w.grad = curvature * w.detach()
        optimizer.step()
        torch.testing.assert_close(w.detach(), theta + beta * v, rtol=0, atol=1e-12)


@pytest.mark.slow
def test_adagrad_under_a_constant_gradient_slows_with_the_root_of_time():
    path = descend("adagrad", lambda w: 4.0, 10_000, start=0.0, lr=1.0)
    assert path[100] - path[99] == pytest.approx(-0.1, rel=1e-6)
    assert -path[-1] == pytest.approx(198.5, abs=0.1)


def test_rmsprop_under_a_constant_gradient_settles_at_its_rate():
    path = descend("rmsprop", lambda w: 4.0, 500, start=0.0, lr=0.01)
    assert path[1] == pytest.approx(-0.01 / np.sqrt(0.1), rel=1e-6)
    assert path[-2] - path[-1] == pytest.approx(0.01, rel=1e-6)


@pytest.mark.parametrize("name", ["adam", "adamw"])
@pytest.mark.parametrize("gradient", [-100.0, -1e-3, 0.5])
def test_the_first_step_of_adam_is_the_rate_in_the_direction_of_the_sign(name: str, gradient: float):
    path = descend(name, lambda w: gradient, 1, start=0.0, lr=0.01)
    assert path[1] == pytest.approx(-0.01 * np.sign(gradient), rel=2e-5)


def test_adam_follows_its_formula():
    m = v = 0.0
    w, path = 1.0, [1.0]
    for t in range(1, 101):
        g = 3 * w + np.sin(5 * w)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        w -= 0.05 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        path.append(w)
    ours = descend("adam", lambda w: 3 * w + np.sin(5 * w), 100, lr=0.05)
    assert ours == pytest.approx(path, rel=1e-9, abs=1e-9)


def test_adamw_decays_the_weight_itself():
    assert descend("adamw", lambda w: 0.0, 1, lr=0.1, weight_decay=0.2)[1] == pytest.approx(0.98)
    assert descend("adam", lambda w: 0.0, 1, lr=0.1, weight_decay=0.2)[1] == pytest.approx(0.9, rel=1e-6)


def test_l_bfgs_solves_least_squares():
    x, y = _regression()
    w = torch.zeros(5, 1, dtype=torch.float64, requires_grad=True)
    optimizer = get("l-bfgs", [w], tolerance_grad=1e-12, tolerance_change=1e-18)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(x @ w, y)
        loss.backward()
        return loss

    for _ in range(3):
        optimizer.step(closure)
    torch.testing.assert_close(w.detach(), torch.linalg.lstsq(x, y).solution, rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", [*STOCHASTIC, "adagrad", "adam", "adamw"])
def test_the_fused_kernel_is_used_where_all_parameters_allow_it(name: str):
    real, complex_ = (torch.zeros(2, dtype=d, requires_grad=True) for d in (torch.float32, torch.complex64))
    assert get(name, [real]).param_groups[0]["fused"] is True
    assert not get(name, [real, complex_]).param_groups[0]["fused"]


def test_parameters_may_come_as_an_iterator_or_in_groups():
    model = nn.Linear(3, 2)
    assert len(get("adam", model.parameters()).param_groups[0]["params"]) == 2
    groups = [{"params": model.weight, "lr": 0.5}, {"params": iter([model.bias])}]
    assert [g["lr"] for g in get("sgd", groups, lr=0.1).param_groups] == [0.5, 0.1]


@pytest.mark.parametrize("name", ["sgd", "adam", "l-bfgs"])
def test_a_model_without_parameters_is_refused(name: str):
    for empty in ([], [{"params": []}]):
        with pytest.raises(ModelError, match="nothing to optimise"):
            get(name, empty)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("sgd", {"lr": -1.0}),
        ("sgd", {"lr": "fast"}),
        ("sgd", {"lr": float("nan")}),
        ("sgd", {"nesterov": True}),
        ("sgd", {"momentum": 1.5}),
        ("momentum", {"momentum": -0.1}),
        ("rmsprop", {"alpha": 2}),
        ("adam", {"betas": (0.9, 1.0)}),
        ("adam", {"betas": 0.9}),
        ("adamw", {"weight_decay": -1}),
        ("adagrad", {"eps": -1e-8}),
        ("l-bfgs", {"line_search_fn": "armijo"}),
    ],
)
def test_unusable_options_are_refused(name: str, options: dict[str, object]):
    with pytest.raises(ConfigError) as caught:
        get(name, [torch.zeros(1, requires_grad=True)], **options)
    assert next(iter(options)) in str(caught.value)
