"""Optimizers and schedules: the printed form fails, the right one holds."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from preceptor.catalogue import get

B1, B2, EPS = 0.9, 0.999, 1e-8


def steps_of(name: str, gradients: list[float], **options: float) -> list[float]:
    """Return how far the optimizer of that name moves one weight under each gradient."""
    w = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer, moves = get(name, [w], **options), []
    for g in gradients:
        before = w.item()
        w.grad = torch.tensor([g], dtype=torch.float64)
        optimizer.step()
        moves.append(w.item() - before)
    return moves


def adam(gradients: list[float], *, plus: bool = False) -> list[float]:
    """Return Adam's steps without correction, with 1 + β₁ in place of 1 − β₁ if ``plus``."""
    m = v = 0.0
    moves = []
    for g in gradients:
        m = B1 * m + (1 + B1 if plus else 1 - B1) * g
        v = B2 * v + (1 - B2) * g * g
        moves.append(-m / (math.sqrt(v) + EPS))
    return moves


def test_adam_gradient_factor():
    theta, printed, m, v = -5.0, [], 0.0, 0.0
    for t in range(1, 151):
        g = theta
        m, v = B1 * m + (1 - B1) * g, B2 * v + (1 - B2) * g * g
        theta -= m / (1 - B1**t) / (math.sqrt(v / (1 - B2**t)) + EPS) * g
        printed.append(theta)
    assert min(printed) < -1e6
    w = torch.tensor([-5.0], requires_grad=True)
    optimizer = get("adam", [w], lr=0.1)
    for _ in range(150):
        optimizer.zero_grad()
        (w**2 / 2).sum().backward()
        optimizer.step()
    assert abs(w.item()) < 1


def test_adam_corrected_state():
    state, printed = 0.0, []
    for t in range(1, 5):
        state = (B1 * state + (1 - B1) * 1.0) / (1 - B1**t)
        printed.append(round(state, 2))
    assert printed[:2] == [1.0, 5.26]
    assert printed[2] == pytest.approx(17.8, abs=0.1)
    assert printed[3] == pytest.approx(47, abs=0.5)
    assert steps_of("adam", [1.0] * 4, lr=1.0) == pytest.approx([-1.0] * 4, rel=1e-6)


def test_adam_correction_denominator():
    g, m, v = 0.5, (1 - B1) * 0.5, (1 - B2) * 0.25
    printed = -(m / (1 - B1 * m)) / (math.sqrt(v) + EPS)
    assert steps_of("adam", [g], lr=1.0)[0] == pytest.approx(-1.0, rel=1e-6)
    assert printed < -3
    with pytest.raises(ZeroDivisionError):
        _ = m / (1 - 0.5 * 2.0)


def test_adam_one_plus_beta():
    assert max(map(abs, adam([1.0] * 50))) == pytest.approx(6.57, abs=0.01)
    assert abs(adam([1.0])[0]) == pytest.approx(3.162, abs=1e-3)
    assert steps_of("adam-uncorrected", [1.0] * 20, lr=1.0) == pytest.approx(adam([1.0] * 20), rel=1e-4)
    assert abs(adam([1.0], plus=True)[0]) == pytest.approx(60.1, abs=0.1)
    assert max(map(abs, steps_of("adam", [1.0] * 50, lr=1.0))) == pytest.approx(1.0, rel=1e-6)


def test_adam_time_from_zero():
    with pytest.raises(ZeroDivisionError):
        _ = 0.1 / (1 - B1**0)
    assert math.isfinite(steps_of("adam", [1.0])[0])


def test_adagrad_inverse():
    right = steps_of("adagrad", [1.0] * 100, lr=1.0)
    printed = [-1 / t for t in range(1, 101)]
    assert right == pytest.approx([-1 / math.sqrt(t) for t in range(1, 101)], rel=1e-6)
    assert sum(printed) > -6 > -18 > sum(right)


def test_rmsprop_gradient_squared():
    r = 0.9 * 0.0 + 0.1 * -1.0
    with pytest.raises(ValueError, match="domain"):
        math.sqrt(r)
    assert all(s > 0 for s in steps_of("rmsprop", [-1.0] * 5))


def test_rmsprop_root():
    def settled(g: float, *, root: bool) -> float:
        s = 0.0
        for _ in range(200):
            s = 0.9 * s + 0.1 * g * g
        return g / ((math.sqrt(s) if root else s) + EPS)

    assert settled(1e-3, root=False) == pytest.approx(1000, rel=0.02)
    assert settled(1e-3, root=True) == pytest.approx(1.0, rel=1e-4)
    assert -steps_of("rmsprop", [1e-3] * 200, lr=1.0)[-1] == pytest.approx(1.0, rel=1e-4)


def test_rmsprop_weight_on_square():
    def memory(keep: float) -> float:
        """Return the share of a first gradient that is left after ten steps."""
        return keep**10

    assert memory(0.9) > 0.3
    assert memory(1 - 0.9) < 1e-9


def test_rmsprop_accumulates():
    r, travel = 0.0, 0.0
    for _ in range(200):
        r += 0.9 * r + 0.1
        travel += 1 / (math.sqrt(r) + 1e-7)
    assert travel < 9.34
    assert -sum(steps_of("rmsprop", [1.0] * 200, lr=1.0)) > 200


def test_epsilon_placement():
    g = 1e-4

    def step(r: float, *, inside: bool) -> float:
        return g / (math.sqrt(r + EPS) if inside else math.sqrt(r) + EPS)

    assert step(g * g, inside=False) == pytest.approx(1.0, rel=1e-3)
    assert step(g * g, inside=True) == pytest.approx(1 / math.sqrt(2), rel=1e-3)


def test_momentum_convention():
    def travel(rates: list[float], *, inside: bool) -> list[float]:
        theta, v, path = 0.0, 0.0, []
        for rate in rates:
            v = 0.9 * v + (rate if inside else 1.0)
            theta -= v if inside else rate * v
            path.append(theta)
        return path

    constant, falling = [0.1] * 10, [0.1] * 5 + [0.01] * 5
    assert travel(constant, inside=True) == pytest.approx(travel(constant, inside=False))
    assert travel(falling, inside=True)[-1] < travel(falling, inside=False)[-1] - 0.5
    moved = np.cumsum(steps_of("momentum", [1.0] * 10, lr=0.1))
    assert moved == pytest.approx(travel(constant, inside=False))


def test_newton_gradient_point():
    h, minimum = 4.0, 3.0

    def slope(theta: float) -> float:
        return h * (theta - minimum)

    w = torch.tensor([10.0], dtype=torch.float64, requires_grad=True)
    get("newton", [w]).step(lambda: (h * (w - minimum) ** 2 / 2).sum())
    assert w.item() == pytest.approx(minimum)
    start = 10.0
    assert start - slope(start) / h == minimum
    assert start - slope(7.0) / h != minimum


def test_bfgs_inverse_symbol():
    h = torch.tensor([[3.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
    b, x = torch.eye(2, dtype=torch.float64), torch.tensor([1.0, -1.0], dtype=torch.float64)
    move = -torch.linalg.solve(b, h @ x) / 3
    y = h @ move
    b = b + torch.outer(y, y) / (y @ move) - torch.outer(b @ move, b @ move) / (move @ b @ move)
    torch.testing.assert_close(b @ move, y)
    assert (b - h).abs().max() > 0.1


def residuals() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(30, 3, dtype=torch.float64), torch.randn(30, dtype=torch.float64)


def _damped(scale: str, half: bool) -> list[float]:
    j, y = residuals()
    w, values = torch.ones(3, dtype=torch.float64), []
    a = j.T @ j
    damping = 1e-12 * (torch.eye(3, dtype=torch.float64) if scale == "identity" else a.diagonal().diag())
    for _ in range(6):
        r = j @ w - y
        values.append(float(r @ r))
        w = w - torch.linalg.solve(a + damping, (1.0 if half else 2.0) * j.T @ r)
    return values


def _fitted(name: str) -> list[float]:
    j, y = residuals()
    w = torch.ones(3, dtype=torch.float64, requires_grad=True)
    optimizer = get(name, [w], damping=1e-9)
    for _ in range(3):
        optimizer.step(lambda: j @ w - y)
    return w.tolist()


def test_levenberg_factor_two():
    printed, right = _damped("identity", half=False), _damped("identity", half=True)
    assert printed == pytest.approx([printed[0]] * 6)
    j, y = residuals()
    least = torch.linalg.lstsq(j, y[:, None]).solution[:, 0]
    assert right[1] == pytest.approx(float((j @ least - y).square().sum()))
    assert right[1] < right[0]
    assert _fitted("levenberg") == pytest.approx(least.tolist())


def test_levenberg_marquardt_factor_two():
    printed, right = _damped("diagonal", half=False), _damped("diagonal", half=True)
    assert printed == pytest.approx([printed[0]] * 6)
    assert right[1] < right[0]
    assert _fitted("levenberg-marquardt") == pytest.approx(_fitted("levenberg"))


def rates(name: str, epochs: int, **options: float) -> list[float]:
    optimizer = get("sgd", [torch.zeros(1, requires_grad=True)], lr=0.1)
    made = get(name, kind="schedule", **options)(optimizer, total_steps=epochs, steps_per_epoch=1)
    found = []
    for _ in range(epochs):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        made.step()
    return found


def test_step_decay_interval():
    right = rates("step", 21, step_size=10, gamma=0.5)
    printed = [0.1 * 0.5**epoch for epoch in range(21)]
    assert (right[0], right[10], right[20]) == pytest.approx((0.1, 0.05, 0.025))
    assert printed[10] < 1e-4


def test_inverse_root_at_zero():
    with pytest.raises(ZeroDivisionError):
        _ = 1 / math.sqrt(0) * 0.1
    assert [round(0.1 / math.sqrt(epoch), 4) for epoch in (1, 4, 100)] == [0.1, 0.05, 0.01]
    found = rates("inverse-square-root", 6)
    assert all(math.isfinite(rate) for rate in found)
    assert found[4] == pytest.approx(found[1] / 2)
    epochs = np.arange(1, 100_001)
    assert (0.1 / np.sqrt(epochs)).sum() > 60
    assert (0.1 * 0.95**epochs).sum() < 2


def test_learning_rates_to_try():
    def end(rate: float) -> float:
        w = 1.0
        for _ in range(20):
            w -= rate * w
        return abs(w)

    assert end(1e4) > 1e50
    assert end(1e-4) < 1
    with pytest.raises(ValueError, match="could not convert"):
        float("1e 4")


def test_log_uniform_bounds():
    generator = np.random.default_rng(0)
    with pytest.raises((ValueError, OverflowError)):
        generator.uniform(-3, -6)
    drawn = 10 ** generator.uniform(-6, -3, 1000)
    assert 1e-6 <= drawn.min() < drawn.max() <= 1e-3
    assert ((drawn > 1e-5) & (drawn < 1e-4)).mean() == pytest.approx(1 / 3, abs=0.05)


def test_batch_sizes_to_try():
    assert [2**k for k in (5, 6, 7, 8)] == [32, 64, 128, 256]
    with pytest.raises(ValueError, match="batch_size"):
        torch.utils.data.DataLoader([1, 2, 3], batch_size=0.25)


def test_decay_symbol():
    found = rates("inverse-time", 11, decay=0.1)
    assert (found[1], found[10]) == pytest.approx((0.1 / 1.1, 0.05))
    with_one_symbol = [0.1 / (1 + epoch * epoch) for epoch in range(11)]
    assert abs(with_one_symbol[10] - found[10]) > 0.04
