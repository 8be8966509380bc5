"""First-order update rules against their formulas."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from preceptor.catalogue import get
from preceptor.catalogue.optimizers import Adaptive, LookAhead, Velocity
from preceptor.errors import ConfigError

Gradient = Callable[[float], float]


def ours(name: str, gradient: Gradient, steps: int, start: float = 0.0, /, **options: object) -> list[float]:
    """Return the path of one weight, start included."""
    w = torch.tensor([start], dtype=torch.float64, requires_grad=True)
    optimizer = get(name, [w], **options)

    def closure() -> torch.Tensor:
        w.grad = torch.tensor([gradient(w.item())], dtype=torch.float64)
        return w.detach().clone()

    path = [start]
    for _ in range(steps):
        optimizer.step(closure)
        path.append(w.item())
    return path


class TestVelocity:
    def test_lr_inside_the_velocity(self) -> None:
        theta, v, path = 1.0, 0.0, [1.0]
        for _ in range(50):
            v = 0.9 * v - 0.01 * 3 * theta
            theta += v
            path.append(theta)
        assert ours("momentum", lambda w: 3 * w, 50, 1.0, lr=0.01, lr_inside=True) == pytest.approx(path)
        outside = ours("momentum", lambda w: 3 * w, 50, 1.0, lr=0.01)
        assert outside == pytest.approx(path)

    def test_a_change_of_the_rate_is_felt_at_once_outside_and_slowly_inside(self) -> None:
        steps = {}
        for inside in (False, True):
            w = torch.zeros(1, dtype=torch.float64, requires_grad=True)
            optimizer = get("momentum", [w], lr=0.1, lr_inside=inside)
            for t in range(201):
                if t == 200:
                    optimizer.param_groups[0]["lr"] = 0.0
                before, w.grad = w.item(), torch.ones(1, dtype=torch.float64)
                optimizer.step()
            steps[inside] = before - w.item()
        assert steps[False] == 0.0
        assert steps[True] == pytest.approx(0.9, rel=1e-3)  # of a terminal step of 0.1/(1 − 0.9)

    def test_it_is_ours_alone_where_torch_has_none(self) -> None:
        w = torch.zeros(1, requires_grad=True)
        assert type(get("momentum", [w], lr_inside=True)) is Velocity
        assert type(get("momentum", [w])) is torch.optim.SGD


class TestNesterov:
    def test_both_forms_are_one_method(self) -> None:
        """The stored weights of one are the look-ahead points of the other, to the last digits."""
        curvature = torch.tensor([1.0, 7.0, 40.0], dtype=torch.float64)
        theta = torch.ones(3, dtype=torch.float64, requires_grad=True)
        phi = theta.detach().clone().requires_grad_()
        definition, stored = get("nesterov-look-ahead", [theta]), get("nesterov", [phi])
        seen: list[torch.Tensor] = []

        def closure() -> torch.Tensor:
            seen.append(theta.detach().clone())
            theta.grad = curvature * theta.detach()
            return theta.sum()

        for _ in range(300):
            definition.step(closure)
            torch.testing.assert_close(seen[-1], phi.detach(), rtol=0, atol=1e-12)
            phi.grad = curvature * phi.detach()
            stored.step()

    def test_the_definition_in_three_lines(self) -> None:
        theta, v, path = 1.0, 0.0, [1.0]
        for _ in range(100):
            ahead = theta + 0.9 * v
            v = 0.9 * v - 0.05 * (2 * ahead + math.sin(ahead))
            theta += v
            path.append(theta)
        got = ours("nesterov-look-ahead", lambda w: 2 * w + math.sin(w), 100, 1.0, lr=0.05)
        assert got == pytest.approx(path, rel=0, abs=1e-12)

    def test_the_change_of_variables(self) -> None:
        """φ_(t+1) = φ_t − β v_t + (1 + β) v_(t+1)."""
        phi, v, path = 1.0, 0.0, [1.0]
        for _ in range(100):
            before, v = v, 0.9 * v - 0.02 * 5 * phi
            phi += -0.9 * before + 1.9 * v
            path.append(phi)
        assert ours("nesterov", lambda w: 5 * w, 100, 1.0, lr=0.02) == pytest.approx(path, abs=1e-12)

    def test_weight_decay_acts_at_the_look_ahead_point(self) -> None:
        decayed = ours("nesterov-look-ahead", lambda w: 0.0, 30, 1.0, lr=0.1, weight_decay=0.5)
        assert decayed == pytest.approx(ours("nesterov-look-ahead", lambda w: 0.5 * w, 30, 1.0, lr=0.1))


class TestAdaptive:
    @pytest.mark.parametrize(
        ("name", "options"),
        [
            ("adagrad", {"lr": 0.3}),
            ("rmsprop", {"lr": 0.02}),
            ("adam", {"lr": 0.05}),
            ("adam", {"lr": 0.05, "weight_decay": 0.1}),
        ],
    )
    def test_the_recipe_agrees_with_torch_s_where_eps_does_not_matter(self, name: str, options: dict) -> None:
        def gradient(w: float) -> float:
            return 3 * w + math.sin(5 * w)

        inside = ours(name, gradient, 100, 1.0, eps=1e-30, eps_inside=True, **options)
        assert inside == pytest.approx(ours(name, gradient, 100, 1.0, eps=1e-15, **options), abs=1e-9)

    @pytest.mark.parametrize("name", ["adagrad", "rmsprop", "adam", "adam-uncorrected"])
    def test_eps_inside_and_outside_the_root_differ_where_gradients_are_small(self, name: str) -> None:
        small = [
            -ours(name, lambda w: 1e-4, 5, lr=1.0, eps=1e-4, eps_inside=inside)[-1]
            for inside in (True, False)
        ]
        large = [
            -ours(name, lambda w: 1e4, 5, lr=1.0, eps=1e-4, eps_inside=inside)[-1] for inside in (True, False)
        ]
        assert small[0] < 0.2 * small[1]
        assert large[0] == pytest.approx(large[1], rel=1e-6)

    def test_eps_inside_follows_its_formula(self) -> None:
        r, w, path = 0.0, 1.0, [1.0]
        for _ in range(50):
            g = 2 * w
            r = 0.9 * r + 0.1 * g * g
            w -= 0.05 * g / math.sqrt(r + 0.01)
            path.append(w)
        got = ours("rmsprop", lambda w: 2 * w, 50, 1.0, lr=0.05, eps=0.01, eps_inside=True)
        assert got == pytest.approx(path)

    def test_options_of_torch_s_kernels_do_not_go_with_eps_inside(self) -> None:
        w = [torch.zeros(1, requires_grad=True)]
        for name, options in (("rmsprop", {"momentum": 0.5}), ("rmsprop", {"centered": True}),
                              ("adam", {"amsgrad": True})):  # fmt: skip
            with pytest.raises(ConfigError, match="eps_inside stands alone"):
                get(name, w, eps_inside=True, **options)
        assert type(get("adam", w, eps_inside=True)) is Adaptive

    def test_without_bias_correction_the_first_steps_are_too_large(self) -> None:
        steps = -np.diff(ours("adam-uncorrected", lambda w: 1.0, 40, lr=1.0, eps=0.0))
        assert steps[0] == pytest.approx(3.162, abs=1e-3)
        assert steps.argmax() + 1 == 12
        assert steps.max() == pytest.approx(6.57, abs=5e-3)
        corrected = -np.diff(ours("adam", lambda w: 1.0, 40, lr=1.0))
        assert corrected == pytest.approx(np.ones(40), rel=1e-6)

    def test_parameters_without_gradient_are_left_alone(self) -> None:
        used, idle = (torch.ones(2, requires_grad=True) for _ in range(2))
        used.grad = torch.ones(2)
        optimizer = get("adam-uncorrected", [used, idle])
        optimizer.step()
        assert torch.equal(idle, torch.ones(2))
        assert idle not in optimizer.state

    @pytest.mark.slow
    def test_amsgrad_never_raises_its_rate(self) -> None:
        def steps(name: str) -> np.ndarray:
            gradients = iter([100.0] + [1.0] * 2999)
            return -np.diff(ours(name, lambda w: next(gradients), 3000, lr=1.0, betas=(0.0, 0.99)))

        assert steps("adam")[-1] == pytest.approx(1.0, rel=1e-3)
        assert steps("amsgrad")[-1] < 0.11


class TestIterateAveraging:
    @pytest.mark.slow
    def test_the_mean_is_far_better_than_the_last_iterate_where_gradients_are_noisy(self) -> None:
        generator = torch.Generator().manual_seed(0)
        layer = torch.nn.Linear(50, 1, bias=False, dtype=torch.float64)
        torch.nn.init.zeros_(layer.weight)
        optimizer, mean = get("sgd", [layer.weight], lr=0.1), get("iterate-averaging").attach(layer)
        for _ in range(4000):
            noise = torch.randn(1, 50, generator=generator, dtype=torch.float64)
            layer.weight.grad = layer.weight.detach() + 0.4 * noise
            optimizer.step()
            mean.after_step(0.1)
        last = layer.weight.detach().square().sum()
        assert mean.average[0].square().sum() < last / 20


def adadelta(t: int, g: float, r: float, s: float) -> tuple[float, ...]:
    r = 0.9 * r + 0.1 * g * g
    step = math.sqrt(s + 1e-6) / math.sqrt(r + 1e-6) * g
    return -step, r, 0.9 * s + 0.1 * step * step


def adamax(t: int, g: float, m: float, u: float) -> tuple[float, ...]:
    m, u = 0.9 * m + 0.1 * g, max(0.999 * u, abs(g) + 1e-8)
    return -0.01 / (1 - 0.9**t) * m / u, m, u


def radam(t: int, g: float, m: float, v: float) -> tuple[float, ...]:
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    last = 2 / (1 - 0.999) - 1
    rho, mean = last - 2 * t * 0.999**t / (1 - 0.999**t), m / (1 - 0.9**t)
    if rho <= 5:
        return -0.01 * mean, m, v
    rectified = math.sqrt((rho - 4) * (rho - 2) * last / ((last - 4) * (last - 2) * rho))
    return -0.01 * rectified * mean / (math.sqrt(v / (1 - 0.999**t)) + 1e-8), m, v


def nadam(t: int, g: float, m: float, v: float, product: float) -> tuple[float, ...]:
    now, after = (0.9 * (1 - 0.5 * 0.96 ** (n * 0.004)) for n in (t, t + 1))
    product = (product or 1.0) * now
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    ahead = after * m / (1 - product * after) + (1 - now) * g / (1 - product)
    return -0.01 * ahead / (math.sqrt(v / (1 - 0.999**t)) + 1e-8), m, v, product


def rprop(t: int, g: float, size: float, before: float) -> tuple[float, ...]:
    size = size or 0.01
    size *= 1.2 if g * before > 0 else 0.5 if g * before < 0 else 1.0
    g = 0.0 if g * before < 0 else g
    return -size * np.sign(g), size, g


@pytest.mark.parametrize(
    ("name", "rule", "state", "options"),
    [
        ("adadelta", adadelta, 2, {}),
        ("adamax", adamax, 2, {"lr": 0.01}),
        ("radam", radam, 2, {"lr": 0.01}),
        ("nadam", nadam, 3, {"lr": 0.01}),
        ("rprop", rprop, 2, {}),
    ],
)
def test_the_formula_is_what_torch_does(name: str, rule: Callable, state: int, options: dict) -> None:
    def gradient(w: float) -> float:
        return 3 * w + math.sin(5 * w)

    w, path, kept = 1.0, [1.0], (0.0,) * state
    for t in range(1, 51):
        step, *kept = rule(t, gradient(w), *kept)
        w += step
        path.append(w)
    assert ours(name, gradient, 50, 1.0, **options) == pytest.approx(path, rel=1e-6, abs=1e-9)


def test_step_sizes_of_rprop_are_two_rising_numbers() -> None:
    for option in ("etas", "step_sizes"):
        for value in ((1.2, 0.5), 1.0, (0.5,)):
            with pytest.raises(ConfigError, match=option):
                get("rprop", [torch.zeros(1, requires_grad=True)], **{option: value})


def test_the_look_ahead_needs_a_closure() -> None:
    with pytest.raises(TypeError):
        LookAhead([torch.zeros(1, requires_grad=True)], lr=0.1, momentum=0.9).step()


def steps_down(name: str, H: torch.Tensor, start: torch.Tensor, arrived: Callable, **options: float) -> int:
    """Return the steps that an optimizer needs on ½ wᵀHw."""
    w = start.clone().requires_grad_()
    optimizer = get(name, [w], **options)

    def closure() -> torch.Tensor:
        w.grad = H @ w.detach()
        return w.sum()

    for step in range(1, 20_000):
        optimizer.step(closure)
        if arrived(w.detach()):
            return step
    raise AssertionError(f"{name} has not arrived")


@pytest.mark.parametrize(
    ("condition", "plain", "heavy", "nesterov"),
    [(10, 71, 27, 44), (100, 709, 95, 158), pytest.param(1000, 7082, 321, 519, marks=pytest.mark.slow)],
)
def test_the_ravine(condition: int, plain: int, heavy: int, nesterov: int) -> None:
    """Each with its optimal constants, from (1, 1) until ‖w‖ < 10⁻⁶."""
    H, start = torch.diag(torch.tensor([1.0, condition]).double()), torch.ones(2).double()
    root = math.sqrt(condition)
    beta = (root - 1) / (root + 1)

    def count(name: str, **options: float) -> int:
        return steps_down(name, H, start, lambda w: w.norm() < 1e-6, **options)

    assert count("gd", lr=2 / (1 + condition)) == plain
    assert count("heavy-ball", lr=4 / (root + 1) ** 2, momentum=beta**2) == heavy
    assert count("nesterov-look-ahead", lr=1 / condition, momentum=beta) == nesterov


@pytest.mark.slow
@pytest.mark.parametrize(("angle", "steps"), [(0, 261), (15, 1900), (45, 2718)])
def test_adam_follows_a_valley_along_the_axes_alone(angle: int, steps: int) -> None:
    a = math.radians(angle)
    R = torch.tensor([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]], dtype=torch.float64)
    H = R @ torch.diag(torch.tensor([1.0, 100.0], dtype=torch.float64)) @ R.T
    start = R @ torch.ones(2, dtype=torch.float64)
    got = steps_down("adam", H, start, lambda w: w @ H @ w / 2 < 1e-4, lr=0.01)
    assert got == pytest.approx(steps, rel=0.02)
