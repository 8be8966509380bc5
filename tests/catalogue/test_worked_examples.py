"""Worked examples: every derivation by hand against automatic differentiation."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from preceptor.catalogue import get
from preceptor.errors import ConfigError, ModelError


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def worked(name: str, *arguments, **options):
    return get(name, *arguments, kind="worked-example", **options)


def test_one_sigmoid_neuron():
    x, w = draw(5), draw(5, seed=1)
    found = worked("hand-bp", x, w, 0.3)
    v = w.clone().requires_grad_()
    z = v @ x
    f = torch.sigmoid(z)
    loss = (f - 0.3) ** 2 / 2
    at_f, at_z, at_w = torch.autograd.grad(loss, (f, z, v))
    assert found["at_f"] == pytest.approx(at_f.item(), abs=1e-7)
    assert found["at_z"] == pytest.approx(at_z.item(), abs=1e-7)
    torch.testing.assert_close(found["w"], at_w, atol=1e-7, rtol=0)
    assert found["at_z"] == pytest.approx((found["f"] - 0.3) * z.exp().item() / (1 + z.exp().item()) ** 2)
    with pytest.raises(ModelError, match="one weight an input"):
        worked("hand-bp", x, w[:2], 0.3)


def test_the_sum_over_paths_is_the_gradient_of_a_three_layer_net():
    weights, x, y = [draw(4, 3), draw(5, 4, seed=1), draw(2, 5, seed=2)], draw(3, seed=3), draw(2, seed=4)
    found = worked("path-sum", weights, x, y)
    held = [W.clone().requires_grad_() for W in weights]
    a = x
    for W in held:
        a = torch.tanh(W @ a)
    loss = (a - y).square().sum() / 2
    for ours, theirs in zip(found["gradients"], torch.autograd.grad(loss, held), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=1e-10)
    assert found["loss"] == pytest.approx(loss.item())
    assert found["paths"] == 4 * 5 * 2
    with pytest.raises(ModelError, match="do not follow"):
        worked("path-sum", weights[::-1], x, y)
    with pytest.raises(ConfigError, match="too many paths"):
        worked("path-sum", [torch.ones(400, 3), torch.ones(400, 400)], torch.ones(3), torch.ones(400))


def test_a_sum_with_reversed_ranges_leaves_the_layers():
    weights = [draw(4, 3), draw(5, 4), draw(2, 5)]
    widths = [len(W) for W in weights]
    with pytest.raises(IndexError):  # the first index over the outputs, the last over the units of layer 1
        sum(
            weights[1][path[1], path[0]] * weights[2][path[2], path[1]]
            for path in product(*map(range, reversed(widths)))
        )


def test_back_propagation_through_time():
    x, targets = draw(10), draw(10, seed=1)
    found = worked("bptt", x, targets, u=0.6, w=1.1, v=-0.8)
    u, w, v = (torch.tensor(n, dtype=torch.float64, requires_grad=True) for n in (0.6, 1.1, -0.8))
    h, loss, states = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64), []
    for x_t, d_t in zip(x, targets, strict=True):
        h = torch.tanh(u * x_t + w * h)
        states.append(h)
        loss = loss + (torch.tanh(v * h) - d_t) ** 2 / 2
    slopes = torch.autograd.grad(loss, (u, w, v, *states))
    for name, slope in zip("uwv", slopes, strict=False):
        assert found["gradients"][name] == pytest.approx(slope.item(), rel=1e-9)
    assert found["at_h"] == pytest.approx([s.item() for s in slopes[3:]])
    assert found["loss"] == pytest.approx(loss.item())
    with pytest.raises(ModelError, match="one target a step"):
        worked("bptt", x, targets[:3])


def test_inputs_times_a_thousand():
    X, t = draw(40, 3), draw(40, seed=1)
    found = worked("mul-gate", X, -t)  # residuals at w = 0
    assert found["gradient_ratio"] == pytest.approx(1000, rel=1e-12)
    assert found["rate_ratio"] == pytest.approx(1e-6, rel=1e-9)
    # A rate that is lowered by the same factor of a thousand still diverges.
    w, scaled = torch.zeros(3, dtype=torch.float64), 1000 * X
    for _ in range(50):
        w = w - 0.5 * found["stable_rate"] / 1000 / 40 * scaled.T @ (scaled @ w - t)
    assert w.norm() > 1e50
    w = torch.zeros(3, dtype=torch.float64)
    for _ in range(500):
        w = w - 0.5 * found["stable_rate_scaled"] / 40 * scaled.T @ (scaled @ w - t)
    torch.testing.assert_close(
        1000 * w, torch.linalg.lstsq(X, t[:, None]).solution[:, 0], rtol=1e-4, atol=1e-6
    )


def test_two_rectified_units_compute_exclusive_or():
    net = worked("xor-net")
    corners = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    assert net(corners).flatten().tolist() == [0, 1, 1, 0]
    assert net[1](net[0](corners)).tolist() == [[0, 0], [0, 1], [1, 0], [0, 0]]


def test_matrix_calculus_holds_and_its_misprints_do_not():
    assert max(worked("matrix-calculus", n=5, seed=3)["errors"].values()) < 1e-10
    A, b, w = draw(4, 4), draw(4, seed=1), draw(4, seed=2)
    right = torch.func.grad(lambda w: w @ A @ w / 2 + b @ w)(w)
    assert (right - ((A.T @ A) @ w / 2 + b)).norm() > 0.1  # a product where the sum A + Aᵀ belongs
    assert (torch.linalg.inv(2 * A) - torch.linalg.inv(A) / 2).norm() < 1e-9
    assert ((2 * A).T - torch.linalg.inv(A) / 2).norm() > 0.1  # the transpose is no inverse
    S = A @ A.T
    hessian_is_twice = get("hessian", lambda x: x @ S @ x, w, kind="derivative")
    torch.testing.assert_close(hessian_is_twice, 2 * S)
    assert (torch.func.grad(lambda x: x @ S @ x)(w) - 2 * S @ w).norm() < 1e-9  # 2Ax, where 2A was printed
