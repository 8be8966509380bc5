"""Linear solvers: each against another way to the same solution, and what each refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression, Ridge

from preceptor.catalogue import entry, find, get
from preceptor.errors import ConfigError, DataError

NAMES = [e.name for e in find(kind="solver")]
SQUARE = [e.name for e in find(kind="solver") if e.traits.get("system") == "square"]
TALL = ["qr", "least-squares", "normal-equations"]


def solve(name: str, A: torch.Tensor, b: torch.Tensor, **options):
    return get(name, A, b, kind="solver", **options)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def dominant(n: int = 12) -> torch.Tensor:
    """A symmetric matrix that every solver takes."""
    A = draw(n, n)
    A = (A + A.T) / 2
    return A + torch.diag(A.abs().sum(1) + 1)


def poisson(n: int) -> torch.Tensor:
    """The second difference in one dimension: condition number ≈ 4 (n + 1)² / π²."""
    off = -torch.ones(n - 1, dtype=torch.float64)
    return torch.diag(2 * torch.ones(n, dtype=torch.float64)) + off.diag(1) + off.diag(-1)


@pytest.mark.parametrize("name", [n for n in NAMES if n != "ridge-regression"])
@pytest.mark.parametrize("columns", [(), (3,)])
def test_every_solver_finds_the_solution(name: str, columns: tuple[int, ...]):
    A, x = dominant(), draw(12, *columns, seed=1)
    options = {"tolerance": 1e-10} if entry(name, "solver").traits.get("iterative") else {}
    found = solve(name, A, A @ x, **options)
    torch.testing.assert_close(found.x, x, rtol=1e-6, atol=1e-7)
    assert found.residual < 1e-9
    assert (found.iterations > 0) == bool(options)
    assert "residual" in repr(found)


@pytest.mark.parametrize("name", NAMES)
def test_every_solver_refuses_what_is_no_system(name: str):
    with pytest.raises(DataError, match="cannot take this system"):
        solve(name, torch.eye(3), torch.ones(4))
    with pytest.raises(DataError, match="NaN"):
        solve(name, torch.tensor([[1.0, math.nan], [0.0, 1.0]]), torch.ones(2))
    with pytest.raises(DataError, match="real numbers"):
        solve(name, torch.eye(2, dtype=torch.complex64), torch.ones(2))
    if name in SQUARE:
        with pytest.raises(DataError, match="rows"):
            solve(name, torch.ones(3, 2), torch.ones(3))


@pytest.mark.parametrize("name", SQUARE)
def test_integers_become_floating_point(name: str):
    A, b = torch.tensor([[4, 1], [1, 3]]), torch.tensor([6, 7])
    torch.testing.assert_close(solve(name, A, b).x, torch.tensor([1.0, 2.0]), rtol=1e-4, atol=1e-4)


# Direct


def test_lu_exchanges_rows_and_reports_a_singular_matrix():
    exchange = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    assert solve("lu", exchange, torch.tensor([2.0, 3.0])).x.tolist() == [3.0, 2.0]
    A, b = draw(30, 30), draw(30, seed=1)
    assert solve("lu", A, b).residual <= 1e-10
    with pytest.raises(DataError, match="singular"):
        solve("lu", torch.ones(2, 2), torch.ones(2))


def test_cholesky_equals_lu_and_refuses_what_has_no_root():
    A = draw(20, 20)
    A, b = A @ A.T + torch.eye(20), draw(20, seed=1)
    torch.testing.assert_close(solve("cholesky", A, b).x, solve("lu", A, b).x)
    with pytest.raises(DataError, match="positive definite"):
        solve("cholesky", torch.diag(torch.tensor([1.0, -1.0])), torch.ones(2))
    with pytest.raises(DataError, match="A ≠ Aᵀ"):
        solve("cholesky", torch.tensor([[2.0, 1.0], [0.0, 2.0]]), torch.ones(2))


# Least squares


@pytest.mark.parametrize("name", TALL)
def test_least_squares_equals_numpy(name: str):
    A, b = draw(40, 6), draw(40, 2, seed=1)
    expected = np.linalg.lstsq(A.numpy(), b.numpy(), rcond=None)[0]
    np.testing.assert_allclose(solve(name, A, b).x.numpy(), expected, rtol=1e-8, atol=1e-10)


def test_qr_keeps_the_digits_that_the_normal_equations_lose():
    U, V = torch.linalg.qr(draw(60, 8))[0], torch.linalg.qr(draw(8, 8, seed=1))[0]
    # Just within what the normal equations still factor: at 1e8 their matrix is singular to rounding.
    A = U @ torch.logspace(0, -7, 8, dtype=torch.float64).diag() @ V.T
    x = torch.ones(8, dtype=torch.float64)
    errors = {n: float((solve(n, A, A @ x).x - x).abs().max()) for n in ("qr", "normal-equations")}
    assert errors["qr"] < 1e-7
    assert errors["normal-equations"] > 1e2 * errors["qr"]


def test_qr_is_accurate_at_condition_1e8():
    U, V = torch.linalg.qr(draw(60, 8))[0], torch.linalg.qr(draw(8, 8, seed=1))[0]
    A = U @ torch.logspace(0, -8, 8, dtype=torch.float64).diag() @ V.T
    x = torch.ones(8, dtype=torch.float64)
    expected = np.linalg.lstsq(A.numpy(), (A @ x).numpy(), rcond=None)[0]
    np.testing.assert_allclose(solve("qr", A, A @ x).x.numpy(), expected, atol=1e-6)


def test_rank_deficient_columns_give_the_least_norm_or_a_refusal():
    A = draw(20, 3)
    A = torch.cat([A, A[:, :1]], 1)
    b = draw(20, seed=1)
    expected = np.linalg.pinv(A.numpy()) @ b.numpy()
    for name in ("least-squares", "normal-equations"):
        np.testing.assert_allclose(solve(name, A, b).x.numpy(), expected, atol=1e-8)
    with pytest.raises(DataError, match="not unique"):
        solve("qr", A, b)
    with pytest.raises(DataError, match="2 rows and 3 columns"):
        solve("qr", torch.ones(2, 3), torch.ones(2))
    wide = draw(3, 6)
    found = solve("normal-equations", wide, wide @ torch.ones(6, dtype=torch.float64))
    torch.testing.assert_close(found.x, torch.linalg.pinv(wide) @ wide @ torch.ones(6, dtype=torch.float64))


def test_the_product_without_transposition_has_no_meaning():
    A = draw(10, 3)
    with pytest.raises(RuntimeError):
        torch.linalg.inv(A @ A) @ A.T  # (XX)⁻¹Xᵀ, as some texts print it


def test_linear_regression_and_its_three_scalings():
    X, t = draw(50, 4), draw(50, seed=1)
    ours = solve("normal-equations", X, t).x
    theirs = LinearRegression(fit_intercept=False).fit(X.numpy(), t.numpy()).coef_
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-8)
    for factor in (1.0, 0.5, 1 / (2 * 50)):  # Σ, ½Σ, (1/2N)Σ share their minimum
        gradient = torch.func.grad(lambda w, f=factor: f * (X @ w - t).square().sum())(ours)
        assert gradient.abs().max() < 1e-10


def test_ridge_equals_scikit_learn_and_a_gaussian_prior():
    X, t = draw(30, 5), draw(30, seed=1)
    ours = solve("ridge-regression", X, t, weight_decay=2.5).x
    np.testing.assert_allclose(ours.numpy(), Ridge(2.5, fit_intercept=False).fit(X.numpy(), t.numpy()).coef_)
    posterior = torch.func.grad(lambda w: (X @ w - t).square().sum() / 2 + 2.5 * w.square().sum() / 2)(ours)
    assert posterior.abs().max() < 1e-10
    torch.testing.assert_close(solve("ridge-regression", X, t, weight_decay=0.0).x, solve("qr", X, t).x)
    with pytest.raises(ConfigError, match="weight_decay"):
        solve("ridge-regression", X, t, weight_decay=-1.0)


def test_gradient_descent_reaches_the_closed_form_below_the_limit_and_is_refused_above():
    X, t = draw(80, 5), draw(80, seed=1)
    closed = solve("normal-equations", X, t).x
    limit = 2 * 80 / float(torch.linalg.eigvalsh(X.T @ X)[-1])
    torch.testing.assert_close(solve("landweber", X, t, lr=0.9 * limit, tolerance=1e-10).x, closed)
    with pytest.raises(ConfigError, match="would not converge"):
        solve("landweber", X, t, lr=1.01 * limit)
    w = torch.zeros(5, dtype=torch.float64)
    for _ in range(2000):
        w = w - 1.01 * limit / 80 * X.T @ (X @ w - t)
    assert (w - closed).norm() > 100  # what the refusal spares
    with pytest.raises(DataError, match="has not converged"):
        solve("landweber", X, t, lr=limit / 1e6, max_iter=16)


# Iterations


def test_jacobi_reports_divergence_instead_of_looping():
    A = torch.tensor([[1.0, 2.0], [3.0, 1.0]])
    with pytest.raises(DataError, match=r"spectral radius of 2\.449"):
        solve("jacobi", A, torch.ones(2))
    with pytest.raises(DataError, match="zero on the diagonal"):
        solve("gauss-seidel", torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.ones(2))
    with pytest.raises(DataError, match="has not converged"):
        solve("jacobi", poisson(30), torch.ones(30), max_iter=5)


def test_divergence_is_seen_without_the_spectrum_too(monkeypatch: pytest.MonkeyPatch):
    from preceptor.catalogue.solvers import iterative

    monkeypatch.setattr(iterative, "_SPECTRUM_MOST", 1)
    with pytest.raises(DataError, match="times the first after"):
        solve("jacobi", torch.tensor([[1.0, 2.0], [3.0, 1.0]]), torch.ones(2))


def test_gauss_seidel_takes_half_the_sweeps_of_jacobi_on_the_poisson_equation():
    A, b = poisson(20), torch.ones(20, dtype=torch.float64)
    ratio = solve("gauss-seidel", A, b).iterations / solve("jacobi", A, b).iterations
    assert 0.45 < ratio < 0.56


def test_conjugate_gradients_end_after_n_steps_and_grow_with_the_root_of_the_condition():
    A = dominant(15)
    assert solve("conjugate-gradient", A, draw(15), tolerance=1e-9).iterations <= 15
    steps = []
    for kappa in (1e2, 1e4):
        d = torch.logspace(0, math.log10(kappa), 2000, dtype=torch.float64)
        steps.append(solve("cg", lambda v, d=d: d * v, draw(2000, seed=2)).iterations)
    assert 6 < steps[1] / steps[0] < 14  # ≈ √100


def test_a_preconditioner_saves_steps_on_a_badly_scaled_matrix():
    noise = 0.01 * draw(60, 60)
    A = torch.logspace(0, 4, 60, dtype=torch.float64).diag() + noise + noise.T
    b = draw(60, seed=1)
    plain, better = solve("cg", A, b, tolerance=1e-9), solve("pcg", A, b, tolerance=1e-9)
    assert better.iterations < plain.iterations / 5
    torch.testing.assert_close(better.x, plain.x, rtol=1e-5, atol=1e-8)
    own = solve("pcg", A.__matmul__, b, preconditioner=lambda r: r / A.diagonal(), tolerance=1e-9)
    torch.testing.assert_close(own.x, better.x)


@pytest.mark.parametrize("name", ["conjugate-gradient", "preconditioned-conjugate-gradient"])
def test_conjugate_gradients_refuse_what_is_not_positive_definite(name: str):
    with pytest.raises(DataError, match="positive definite"):
        solve(name, torch.diag(torch.tensor([1.0, -1.0])), torch.ones(2))
    with pytest.raises(DataError, match="A ≠ Aᵀ"):
        solve(name, torch.tensor([[2.0, 1.0], [0.0, 2.0]]), torch.ones(2))
    with pytest.raises(DataError, match="has not converged"):
        solve(name, poisson(50), draw(50), max_iter=2)


def test_a_function_needs_a_preconditioner_of_its_own():
    with pytest.raises(DataError, match="needs a preconditioner"):
        solve("pcg", lambda v: 2 * v, torch.ones(2))


def test_zero_is_the_solution_of_a_zero_right_side():
    for name in SQUARE:
        assert solve(name, torch.eye(3), torch.zeros(3)).x.tolist() == [0.0, 0.0, 0.0]
