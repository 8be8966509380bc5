"""Linear models and derivatives: the printed form fails, the right one holds."""

from __future__ import annotations

import pytest
import torch

from preceptor.catalogue import get

F64 = torch.float64


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def grad(f, x: torch.Tensor) -> torch.Tensor:
    return torch.func.grad(f)(x)


def test_jacobian_name():
    m, n = 3, 4
    w = torch.randn(n, m, dtype=F64)
    x = torch.randn(m, dtype=F64)
    jacobian = torch.func.jacrev(lambda v: (w @ v).tanh())(x)
    assert jacobian.shape == (n, m)
    at_output = torch.randn(n, dtype=F64)
    _, pull = torch.func.vjp(lambda v: (w @ v).tanh(), x)
    torch.testing.assert_close(jacobian.T @ at_output, pull(at_output)[0])
    with pytest.raises(RuntimeError):
        _ = torch.linalg.pinv(jacobian).T @ torch.randn(m + n, dtype=F64)
    with pytest.raises(RuntimeError):
        _ = jacobian @ at_output


def test_normal_equations_transpose():
    x, t = torch.randn(20, 3, dtype=F64), torch.randn(20, dtype=F64)
    with pytest.raises(RuntimeError):
        _ = torch.linalg.inv(x @ x) @ x.T @ t
    least = torch.linalg.lstsq(x, t[:, None]).solution[:, 0]
    torch.testing.assert_close(torch.linalg.inv(x.T @ x) @ x.T @ t, least)
    torch.testing.assert_close(get("normal-equations", x, t, kind="solver").x, least)


def test_polynomial_terms():
    x = torch.tensor([2.0])
    assert get("polynomial-features", degree=3)(x[:, None]).tolist() == [[1, 2, 4, 8]]
    with pytest.raises(IndexError):
        _ = [float(x[k - 1] ** k) for k in range(1, 4)]


def test_mean_squared_error_matrix_form():
    x, y, theta = torch.randn(50, 3, dtype=F64), torch.randn(50, dtype=F64), torch.randn(3, dtype=F64)

    def mean(v: torch.Tensor) -> torch.Tensor:
        return (x @ v - y).square().mean()

    def total(v: torch.Tensor) -> torch.Tensor:
        return (x @ v - y) @ (x @ v - y)

    torch.testing.assert_close(grad(total, theta), 50 * grad(mean, theta))
    torch.testing.assert_close(get("mse", kind="loss")(x @ theta, y), mean(theta))


def test_quadratic_form_gradient():
    a, b, w = torch.randn(4, 4, dtype=F64), torch.randn(4, dtype=F64), torch.randn(4, dtype=F64)
    found = grad(lambda v: v @ a @ v / 2 + b @ v, w)
    torch.testing.assert_close(found, (a + a.T) @ w / 2 + b)
    assert (found - (a.T @ a @ w / 2 + b)).abs().max() > 0.1


def test_squared_norm_gradient():
    a, w = torch.randn(4, 4, dtype=F64), torch.randn(4, dtype=F64)
    a = a + a.T
    found = grad(lambda v: v @ a @ v, w)
    torch.testing.assert_close(found, 2 * a @ w)
    assert found.shape != (2 * a).shape


def test_scaled_matrix_inverse():
    a, k = torch.randn(3, 3, dtype=F64), 2.0
    right = torch.linalg.inv(a) / k
    torch.testing.assert_close(torch.linalg.inv(k * a), right)
    assert ((k * a).T - right).abs().max() > 0.1


def test_tangent_kernel_step():
    j, slope, rate, n = torch.randn(5, 12, dtype=F64), torch.randn(5, dtype=F64), 1e-3, 5
    moved = j @ (-(rate / n) * j.T @ slope)
    torch.testing.assert_close(moved, -(rate / n) * (j @ j.T) @ slope)
    assert (j.T @ slope).shape != moved.shape
    net, x = torch.nn.Linear(12, 1, bias=False, dtype=F64), torch.randn(5, 12, dtype=F64)
    torch.testing.assert_close(get("ntk", net, x)["kernel"].reshape(5, 5).detach(), x @ x.T)


def test_first_layer_sum():
    widths = [6, 4, 3]
    w, x = torch.randn(widths[1], widths[0], dtype=F64), torch.randn(widths[0], dtype=F64)
    right = sum(w[:, j] * x[j] for j in range(widths[0]))
    printed = sum(w[:, j] * x[j] for j in range(widths[1]))
    torch.testing.assert_close(right, w @ x)
    assert (printed - w @ x).abs().max() > 0.01


def test_path_sum_limits():
    widths = {1: 2, 2: 4, 3: 3}
    first, second = torch.randn(4, 2, dtype=F64), torch.randn(3, 4, dtype=F64)
    whole = second @ first

    def paths(last: int, middle: int) -> torch.Tensor:
        return torch.stack([sum(second[o, h] * first[h] for h in range(middle)) for o in range(last)])

    torch.testing.assert_close(paths(widths[3], widths[2]), whole)
    with pytest.raises(IndexError):
        paths(widths[2], widths[3])


def test_qr_decomposition_name():
    a = torch.randn(5, 3, dtype=F64)
    q, r = torch.linalg.qr(a)
    torch.testing.assert_close(q @ r, a)
    torch.testing.assert_close(r, r.triu())
    u, _, _ = torch.linalg.svd(a, full_matrices=False)
    assert (q @ u[:3] - a).abs().max() > 0.1


def test_convex_inequality():
    x, y = torch.randn(30, 2, dtype=F64), torch.randn(30, dtype=F64)

    def linear(w: torch.Tensor) -> float:
        return float((x @ w[:2] - y).square().mean())

    def network(w: torch.Tensor) -> float:
        return float(((x @ w[:4].reshape(2, 2)).tanh() @ w[4:] - y).square().mean())

    def violations(f, size: int) -> int:
        points = 3 * torch.randn(200, 2, size, dtype=F64)
        return sum(f((a + b) / 2) > (f(a) + f(b)) / 2 + 1e-12 for a, b in points)

    assert violations(linear, 2) == 0
    assert violations(network, 6) > 0
    assert (
        get("convexity-test", lambda w: (x @ w - y).square().mean(), torch.zeros(2, dtype=F64))["violations"]
        == 0
    )


def test_input_scale_and_rate():
    x, y = torch.randn(40, 3, dtype=F64), torch.randn(40, dtype=F64)
    start = torch.zeros(3, dtype=F64)

    def slope(z: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return z.T @ (z @ w - y) / 40

    torch.testing.assert_close(slope(1000 * x, start), 1000 * slope(x, start))
    stable = 2 / float(torch.linalg.eigvalsh(x.T @ x / 40)[-1])
    rate = stable / 2

    def end(z: torch.Tensor, rate: float) -> float:
        w = start
        for _ in range(50):
            w = w - rate * slope(z, w)
        return float(w.abs().max())

    assert end(1000 * x, rate / 1e6) < 10
    assert end(1000 * x, rate / 1e3) > 1e50
