"""Newton, BFGS, L-BFGS, Gauss-Newton, Levenberg and Levenberg-Marquardt against what they promise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.optimize
import torch
from torch import Tensor, nn

from preceptor.catalogue import get
from preceptor.catalogue.jacobian import jacobian
from preceptor.catalogue.optimizers._flat import backtrack, weak_wolfe
from preceptor.errors import ConfigError, ModelError

LEAST_SQUARES = ("gauss-newton", "levenberg", "levenberg-marquardt")


def point(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def rosenbrock(w: Tensor) -> Tensor:
    return (1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2


def gradient_closure(w: Tensor, f: Callable[[Tensor], Tensor]) -> Callable[[], Tensor]:
    def closure() -> Tensor:
        w.grad = None
        loss = f(w)
        loss.backward()
        return loss

    return closure


class TestNewton:
    def test_a_quadratic_in_one_step(self) -> None:
        A = torch.diag(torch.tensor([1.0, 50.0, 1e4], dtype=torch.float64))
        w, goal = point(3.0, -2.0, 1.0), torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
        loss = get("newton", [w]).step(lambda: (w - goal) @ A @ (w - goal) / 2)
        assert loss.item() == pytest.approx(20402.0)
        torch.testing.assert_close(w.detach(), goal, rtol=0, atol=1e-12)

    def test_it_leaves_a_saddle_that_the_plain_step_walks_into(self) -> None:
        def saddle(w: Tensor) -> Tensor:
            return w[0] ** 2 - w[1] ** 2 + w[1] ** 4

        w = point(1.0, 0.1)
        optimizer = get("newton", [w])
        for _ in range(20):
            optimizer.step(lambda: saddle(w))
        torch.testing.assert_close(w.detach().abs(), torch.tensor([0.0, 0.5**0.5], dtype=torch.float64))
        plain = point(1.0, 0.1)
        for _ in range(20):
            H = torch.autograd.functional.hessian(saddle, plain.detach())
            g = torch.autograd.grad(saddle(plain), plain)[0]
            plain = (plain - torch.linalg.solve(H, g)).detach().requires_grad_()
        torch.testing.assert_close(plain.detach(), torch.zeros(2, dtype=torch.float64))

    def test_an_indefinite_hessian_can_be_refused(self) -> None:
        w = point(1.0, 0.1)
        with pytest.raises(ConfigError, match=r"not positive definite[\s\S]*1 of 2 not[\s\S]*damp"):
            get("newton", [w], indefinite="refuse").step(lambda: w[0] ** 2 - w[1] ** 2)
        with pytest.raises(ConfigError, match="indefinite"):
            get("newton", [w], indefinite="ignore")

    def test_its_gradient_belongs_to_the_present_point(self) -> None:
        """With the first gradient kept, the steps go on for ever in the same direction."""
        w = point(2.0)
        optimizer = get("newton", [w])
        for _ in range(8):
            optimizer.step(lambda: (w**4).sum())
        assert w.item() == pytest.approx(2 * (2 / 3) ** 8, rel=1e-9)
        stale, first = 2.0, 4 * 2.0**3
        for _ in range(8):
            stale -= first / (12 * stale**2)
        assert abs(stale) > 10 * w.item()

    def test_a_constant_and_a_linear_loss(self) -> None:
        for f in (lambda w: (w * 0).sum(), lambda w: w.sum()):
            w = point(1.0, 2.0)
            assert torch.isfinite(get("newton", [w]).step(lambda f=f, w=w: f(w)))
            assert torch.isfinite(w).all()

    def test_a_closure_that_has_used_up_its_graph_is_refused(self) -> None:
        w = point(1.0, 2.0)
        with pytest.raises(ConfigError, match=r"differentiate the loss twice[\s\S]*leaves backward"):
            get("newton", [w]).step(gradient_closure(w, rosenbrock))

    def test_several_iterations_are_as_many_steps(self) -> None:
        one, many = point(-1.2, 1.0), point(-1.2, 1.0)
        optimizer = get("newton", [one])
        for _ in range(6):
            optimizer.step(lambda: rosenbrock(one))
        get("newton", [many], max_iter=6).step(lambda: rosenbrock(many))
        assert torch.equal(one, many)


class TestBFGS:
    @pytest.mark.parametrize("name", ["bfgs", "l-bfgs"])
    def test_rosenbrock_as_scipy_finds_it(self, name: str) -> None:
        w = point(-1.2, 1.0)
        optimizer = get(name, [w])
        for _ in range(5):
            optimizer.step(gradient_closure(w, rosenbrock))
        theirs = scipy.optimize.minimize(
            scipy.optimize.rosen, [-1.2, 1.0], jac=scipy.optimize.rosen_der, method="BFGS", tol=1e-9
        )
        assert w.detach().numpy() == pytest.approx(theirs.x, abs=1e-6)

    def test_the_secant_condition(self) -> None:
        w = point(-1.2, 1.0)
        optimizer = get("bfgs", [w], max_iter=1)
        closure = gradient_closure(w, rosenbrock)
        for _ in range(10):
            optimizer.step(closure)
        before, g = w.detach().clone(), torch.autograd.grad(rosenbrock(w), w)[0]
        optimizer.step(closure)
        s, y = w.detach() - before, torch.autograd.grad(rosenbrock(w), w)[0] - g
        inverse = optimizer.state[w]["inverse"]
        torch.testing.assert_close(inverse @ y, s, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(inverse, inverse.T, rtol=0, atol=1e-12)
        assert torch.linalg.eigvalsh(inverse).min() > 0

    def test_it_learns_the_inverse_of_a_quadratic_s_hessian(self) -> None:
        A = torch.tensor([[4.0, 1.0, 0.0], [1.0, 3.0, 0.5], [0.0, 0.5, 9.0]], dtype=torch.float64)
        w = point(1.0, -2.0, 3.0)
        optimizer = get("bfgs", [w], max_iter=30, tolerance_grad=1e-13)
        optimizer.step(gradient_closure(w, lambda w: w @ A @ w / 2))
        assert w.abs().max() < 1e-9
        torch.testing.assert_close(optimizer.state[w]["inverse"], torch.linalg.inv(A), rtol=0.2, atol=0.05)

    def test_a_loss_that_is_nowhere_lower_leaves_the_parameters_alone(self) -> None:
        w = point(1.0, 2.0)

        def closure() -> Tensor:
            w.grad = torch.ones(2, dtype=torch.float64)  # a gradient that is not the loss's
            return torch.zeros(())

        get("bfgs", [w]).step(closure)
        assert w.tolist() == [1.0, 2.0]


class TestLineSearch:
    def test_weak_wolfe(self) -> None:
        def probe(t: float) -> tuple[float, Tensor]:
            return (t - 3.0) ** 2, torch.tensor([2 * (t - 3.0)])

        direction = torch.ones(1)
        for start in (1e-3, 1.0, 100.0):
            found = weak_wolfe(probe, 9.0, direction, -6.0, start, 40)
            assert found is not None
            t, value, gradient = found
            assert value <= 9.0 - 6e-4 * t
            assert gradient.item() >= -5.4
        assert weak_wolfe(lambda t: (float("nan"), direction), 9.0, direction, -6.0, 1.0, 5) is None

    def test_backtracking(self) -> None:
        assert backtrack(lambda t: (t - 1.0) ** 2, 1.0, -2.0, 8.0, 10) == (1.0, 0.0)
        assert backtrack(lambda t: float("nan"), 1.0, -2.0, 8.0, 10) is None


def decay() -> tuple[Tensor, Tensor]:
    t = torch.linspace(0, 4, 40, dtype=torch.float64)
    return t, 2.5 * torch.exp(-1.3 * t) + 0.5 + 0.01 * torch.cos(7 * t)


def residuals(w: Tensor, scale: float = 1.0) -> Tensor:
    t, y = decay()
    return w[0] * torch.exp(-w[1] * scale * t) + w[2] - y


class TestLeastSquares:
    @pytest.mark.parametrize("name", ["gauss-newton", "levenberg", "levenberg-marquardt"])
    def test_linear_least_squares(self, name: str) -> None:
        generator = torch.Generator().manual_seed(0)
        X = torch.randn(30, 4, generator=generator, dtype=torch.float64)
        y = torch.randn(30, generator=generator, dtype=torch.float64)
        w = torch.zeros(4, dtype=torch.float64, requires_grad=True)
        options = {} if name == "gauss-newton" else {"damping": 1e-13}
        get(name, [w], max_iter=1, **options).step(lambda: X @ w - y)
        exact = torch.linalg.lstsq(X, y[:, None]).solution[:, 0]
        torch.testing.assert_close(w.detach(), exact, rtol=0, atol=1e-13 if not options else 1e-10)

    @pytest.mark.parametrize("name", LEAST_SQUARES)
    def test_an_exponential_fit_as_scipy_finds_it(self, name: str) -> None:
        w = point(1.0, 1.0, 0.0)
        optimizer = get(name, [w], tolerance_grad=1e-12)
        for _ in range(5):
            optimizer.step(lambda: residuals(w))
        theirs = scipy.optimize.least_squares(
            lambda v: residuals(torch.tensor(v)).numpy(), [1.0, 1.0, 0.0], method="lm", xtol=1e-12
        )
        assert w.detach().numpy() == pytest.approx(theirs.x, abs=1e-8)

    def test_without_damping_levenberg_is_gauss_newton_and_with_much_it_is_the_gradient(self) -> None:
        ends = {}
        for name, options in (("gauss-newton", {}), ("levenberg", {"damping": 1e-14})):
            ends[name] = point(2.0, 1.0, 0.3)
            get(name, [ends[name]], max_iter=1, **options).step(lambda w=ends[name]: residuals(w))
        torch.testing.assert_close(ends["levenberg"].detach(), ends["gauss-newton"].detach())
        w = point(1.0, 1.0, 0.0)
        before = w.detach().clone()
        g = torch.autograd.grad(residuals(w).square().sum(), w)[0]
        get("levenberg", [w], damping=1e8, max_iter=1).step(lambda: residuals(w))
        torch.testing.assert_close(w.detach() - before, -g / 2 / 1e8, rtol=1e-5, atol=0)

    @pytest.mark.parametrize("name", ["levenberg", "levenberg-marquardt"])
    def test_every_accepted_step_lowers_the_loss(self, name: str) -> None:
        w = point(5.0, 0.1, -1.0)
        optimizer = get(name, [w], max_iter=1, damping=1e-8)
        losses = [optimizer.step(lambda: residuals(w)).item() for _ in range(25)]
        falling = np.diff(losses)
        kept = optimizer.state[w]
        assert (falling <= 0).all()
        assert (falling < 0).sum() == kept["accepted"] or kept["accepted"] >= 25 - 1
        assert kept["rejected"] > 0
        assert losses[-1] < 1e-2

    def test_damping_is_divided_by_ten_on_success_and_multiplied_on_failure(self) -> None:
        w = point(1.0, 1.0, 0.0)
        optimizer = get("lm", [w], damping=1.0, max_iter=1)
        optimizer.step(lambda: residuals(w))
        kept = optimizer.state[w]
        assert kept["lambda"] == pytest.approx(10.0 ** (kept["rejected"] - 1))

    def test_the_whole_gradient_on_the_right_side_mirrors_the_parameters_for_ever(self) -> None:
        """Without the factor ½ an undamped step lands as far beyond the minimum as it began before it."""
        generator = torch.Generator().manual_seed(1)
        X = torch.randn(20, 3, generator=generator, dtype=torch.float64)
        y = torch.randn(20, generator=generator, dtype=torch.float64)
        w = torch.full((3,), 5.0, dtype=torch.float64)
        values = []
        for _ in range(5):
            r = X @ w - y
            values.append((r @ r).item())
            w = w - torch.linalg.solve(X.T @ X, 2 * X.T @ r)
        assert values == pytest.approx([values[0]] * 5)
        right = torch.full((3,), 5.0, dtype=torch.float64, requires_grad=True)
        get("levenberg", [right], damping=1e-12, max_iter=1).step(lambda: X @ right - y)
        assert (X @ right - y).square().sum() < values[0] / 5

    def test_marquardt_s_scaling_does_not_see_the_units_of_a_parameter(self) -> None:
        losses: dict[str, dict[float, list[float]]] = {}
        for name in ("levenberg", "levenberg-marquardt"):
            losses[name] = {}
            for scale in (1.0, 1000.0):
                w = point(1.0, 0.5 / scale, 0.0)
                optimizer = get(name, [w], max_iter=1)
                losses[name][scale] = [
                    optimizer.step(lambda w=w, s=scale: residuals(w, s)).item() for _ in range(8)
                ]
        same = losses["levenberg-marquardt"]
        assert same[1.0] == pytest.approx(same[1000.0], rel=1e-6)
        other = losses["levenberg"]
        assert other[1.0][1:3] != pytest.approx(other[1000.0][1:3], rel=1e-2)

    def test_a_parameter_without_effect(self) -> None:
        w = point(1.0, 1.0, 0.0, 7.0)
        for name in LEAST_SQUARES:
            get(name, [w]).step(lambda: residuals(w))
            assert torch.isfinite(w).all()
            assert w[3] == 7.0

    def test_more_parameters_than_residuals(self) -> None:
        X = torch.randn(3, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        y = torch.ones(3, dtype=torch.float64)
        w = torch.zeros(6, dtype=torch.float64, requires_grad=True)
        get("gauss-newton", [w], max_iter=1).step(lambda: X @ w - y)
        torch.testing.assert_close(w.detach(), torch.linalg.pinv(X) @ y)

    def test_a_loss_in_place_of_residuals_is_refused(self) -> None:
        w = point(1.0, 1.0)
        with pytest.raises(ConfigError, match=r"needs residuals[\s\S]*vector of residuals[\s\S]*bfgs"):
            get("lm", [w]).step(lambda: rosenbrock(w))


class TestLimits:
    @pytest.mark.parametrize("name", ["newton", "bfgs", *LEAST_SQUARES])
    def test_a_matrix_too_large_for_the_memory_is_refused_with_its_size(self, name: str) -> None:
        big = [torch.zeros(30_000, requires_grad=True)]
        with pytest.raises(ConfigError, match=r"small networks[\s\S]*memory_gb=2[\s\S]*GB for[\s\S]*l-bfgs"):
            get(name, big)

    def test_a_jacobian_too_large_is_refused_when_its_rows_are_known(self) -> None:
        w = torch.zeros(10, requires_grad=True)
        optimizer = get("lm", [w], memory_gb=1e-4)
        with pytest.raises(ConfigError, match="Jacobian of 2,000 × 10"):
            optimizer.step(lambda: w.sum() * torch.ones(2000))

    @pytest.mark.parametrize("name", ["newton", "bfgs", *LEAST_SQUARES])
    def test_one_group_alone(self, name: str) -> None:
        groups = [{"params": [torch.zeros(2, requires_grad=True)]} for _ in range(2)]
        with pytest.raises(ConfigError, match=r"one group[\s\S]*2 groups"):
            get(name, groups)

    @pytest.mark.parametrize(
        ("name", "options"),
        [
            ("newton", {"max_iter": 0}),
            ("bfgs", {"max_eval": 0}),
            ("lm", {"damping": 0.0}),
            ("levenberg", {"damping": -1.0}),
            ("gauss-newton", {"lr": -1.0}),
            ("bfgs", {"tolerance_grad": -1.0}),
        ],
    )
    def test_unusable_options(self, name: str, options: dict[str, object]) -> None:
        with pytest.raises(ConfigError, match=next(iter(options))):
            get(name, [torch.zeros(2, requires_grad=True)], **options)


def nets() -> dict[str, tuple[nn.Module, Tensor]]:
    torch.manual_seed(0)
    x = torch.randn(6, 4)
    tied = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))
    tied[2].weight = tied[0].weight
    frozen = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1))
    frozen[0].bias.requires_grad_(False)
    return {
        "mlp": (nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2)), x),
        "frozen bias": (frozen, x),
        "tied": (tied, x),
        "convolution": (
            nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2)),
            torch.randn(5, 1, 4, 4),
        ),
        "norm": (nn.Sequential(nn.Linear(4, 5), nn.LayerNorm(5), nn.Linear(5, 1), nn.Flatten(0)), x),
    }


@pytest.mark.parametrize("name", nets())
def test_the_jacobian_is_that_of_autograd(name: str) -> None:
    model, x = nets()[name]
    parameters = [p for p in model.parameters() if p.requires_grad]
    outputs, J = jacobian(model, x, parameters)
    expected = model(x)
    torch.testing.assert_close(outputs.reshape(-1), expected.detach().reshape(-1))
    for row, output in zip(J, expected.reshape(-1), strict=True):
        one = torch.autograd.grad(output, parameters, retain_graph=True, allow_unused=True)
        flat = [
            torch.zeros(p.numel()) if g is None else g.reshape(-1)
            for g, p in zip(one, parameters, strict=True)
        ]
        torch.testing.assert_close(row, torch.cat(flat))


def test_a_jacobian_that_does_not_fit_the_gradient_is_refused() -> None:
    w = torch.ones(3, requires_grad=True)

    class Wrong:
        def __call__(self) -> Tensor:
            w.grad = torch.ones(3)
            return torch.ones(())

        def residuals(self) -> Tensor:
            return torch.ones(2)

        def jacobian(self, parameters: list[Tensor], allow: Callable[[int], None]) -> tuple[Tensor, Tensor]:
            return torch.ones(2), -torch.ones(2, 3)

    with pytest.raises(ModelError, match="does not agree with the gradient"):
        get("lm", [w]).step(Wrong())
