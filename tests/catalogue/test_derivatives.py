"""Derivatives: the engine against torch, Jacobians and Hessians against autograd, the gradient check."""

from __future__ import annotations

import math
import random

import pytest
import torch
from torch import nn

from preceptor.catalogue import derivatives, find, get
from preceptor.catalogue.derivatives import Scalar
from preceptor.errors import ConfigError, ModelError


def derivative(name: str, *arguments, **options):
    return get(name, *arguments, kind="derivative", **options)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# The engine


def test_the_textbook_graph_has_its_values_and_gradients():
    graph = derivative("computational-graph", lambda x, y, z: (x + y) * z, {"x": 1, "y": -3, "z": 4})
    assert graph["value"] == -8
    assert graph["gradients"] == {"x": 4, "y": 4, "z": -2}
    assert graph["edges"] == [(0, 2), (1, 2), (2, 4), (3, 4)]
    assert graph["dot"].startswith("digraph {")
    assert graph["dot"].count("->") == 4
    assert [t.get_text() for t in graph.figure().axes[0].texts if t.get_text()][2] == "+\n-2\n4"
    with pytest.raises(ConfigError, match="has no graph"):
        derivative("computational-graph", lambda x: 3.0, {"x": 1})


def _expression(rng: random.Random, leaves: list, depth: int):
    """Build one random expression twice: of Scalars, and of tensors."""
    if depth == 0:
        return rng.choice(leaves)
    (a, s), (b, t) = (_expression(rng, leaves, depth - 1) for _ in range(2))
    kind = rng.choice(["+", "-", "*", "/", "**", "exp", "log", "tanh", "sigmoid", "relu", "max"])
    return {
        "+": lambda: (a + b, s + t),
        "-": lambda: (a - b, s - t),
        "*": lambda: (a * b, s * t),
        "/": lambda: (a / (b * b + 1), s / (t * t + 1)),
        "**": lambda: (a**2, s**2),
        "exp": lambda: (a.tanh().exp(), s.tanh().exp()),
        "log": lambda: ((a * a + 1).log(), (s * s + 1).log()),
        "tanh": lambda: (a.tanh(), s.tanh()),
        "sigmoid": lambda: (a.sigmoid(), s.sigmoid()),
        "relu": lambda: (a.relu(), s.relu()),
        "max": lambda: (a.maximum(b), torch.maximum(s, t)),
    }[kind]()


@pytest.mark.parametrize("seed", range(30))
def test_the_engine_agrees_with_torch_on_random_expressions(seed: int):
    rng = random.Random(seed)
    values = [rng.uniform(-2, 2) for _ in range(3)]
    scalars = [Scalar(v) for v in values]
    tensors = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in values]
    ours, theirs = _expression(rng, list(zip(scalars, tensors, strict=True)), 4)
    ours.backward()
    grads = torch.autograd.grad(theirs, tensors, allow_unused=True) if theirs.requires_grad else [None] * 3
    assert ours.value == pytest.approx(theirs.item(), rel=1e-12, abs=1e-12)
    for scalar, grad in zip(scalars, grads, strict=True):
        assert scalar.grad == pytest.approx(0.0 if grad is None else grad.item(), rel=1e-9, abs=1e-12)


def test_addition_distributes_multiplication_swaps_maximum_routes_and_reuse_adds_up():
    x, y = Scalar(3.0), Scalar(5.0)
    (x + y).backward()
    assert (x.grad, y.grad) == (1.0, 1.0)
    (x * y).backward()
    assert (x.grad, y.grad) == (5.0, 3.0)
    x.maximum(y).backward()
    assert (x.grad, y.grad) == (0.0, 1.0)
    (x + x * x).backward()
    assert x.grad == 7.0
    out = 2 / x - (1 - x) / 4
    out.backward()
    assert x.grad == pytest.approx(-2 / 9 + 1 / 4)
    with pytest.raises(ConfigError, match="one number"):
        derivative("reverse-mode", torch.ones(2))


def test_the_sigmoid_as_one_gate_has_fewer_nodes_and_the_same_gradient():
    x, y = Scalar(0.7), Scalar(0.7)
    fused, staged = x.sigmoid(), 1 / (1 + (-y).exp())
    fused.backward()
    staged.backward()
    assert len(fused.order()) < len(staged.order())
    assert x.grad == pytest.approx(y.grad, rel=1e-12)
    assert Scalar(-1000.0).sigmoid().value == 0.0


def test_a_chain_of_many_gates_needs_no_recursion():
    x = Scalar(1.0)
    out = x
    for _ in range(5000):
        out = out + 0.5
    out.backward()
    assert x.grad == 1.0


# First order


@pytest.mark.slow
def test_the_chain_rule_is_a_product_with_the_transposed_jacobian():
    W, x, v = draw(4, 3), draw(3, seed=1), draw(4, seed=2)  # m = 3 inputs, n = 4 outputs

    def f(x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(W @ x)

    J = derivative("jacobian", f, x)
    assert J.shape == (4, 3)
    torch.testing.assert_close(derivative("chain-rule", f, x, v), J.T @ v)
    point = x.clone().requires_grad_()
    torch.testing.assert_close(J.T @ v, torch.autograd.grad(f(point), point, v)[0])
    torch.testing.assert_close(derivative("jvp", f, x, x), J @ x)
    wide = derivative("jacobian", lambda x: torch.cat([x, x * x]), x)  # more outputs than inputs
    torch.testing.assert_close(wide, torch.cat([torch.eye(3, dtype=torch.float64), torch.diag(2 * x)]))


def test_vectors_that_do_not_fit_are_refused():
    f, x = lambda x: x * x, torch.ones(3)
    for name in ("vjp", "jvp"):
        with pytest.raises(ModelError, match="does not fit"):
            derivative(name, f, x, torch.ones(2))
    with pytest.raises(ModelError, match="does not fit"):
        derivative("hvp", lambda x: x.sum(), x, torch.ones(2))
    with pytest.raises(ConfigError, match="too large"):
        derivative("jacobian", f, x, max_elements=5)
    with pytest.raises(ModelError, match="one number"):
        derivative("gradient", f, x)


def test_the_gradient_makes_no_graph_of_itself_unless_asked():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    assert not derivative("gradient", lambda x: (x**3).sum(), x).requires_grad
    slope = derivative("gradient", lambda x: (x**3).sum(), x, create_graph=True)
    torch.testing.assert_close(torch.autograd.grad(slope.sum(), x)[0], torch.tensor([6.0, 12.0]))


def test_training_keeps_no_graph_of_the_gradient():
    from preceptor import train

    run = train("mlp", "iris", epochs=1, out=False)
    grads = [p.grad for p in run.model.parameters() if p.grad is not None]
    assert all(g.grad_fn is None for g in grads)


class _Wrong(torch.autograd.Function):
    factor = 1.0

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, g):
        return _Wrong.factor * g * 3 * ctx.saved_tensors[0] ** 2


@pytest.mark.parametrize(("factor", "right"), [(1.0, True), (-1.0, False), (1.05, False)])
def test_the_gradient_check_tells_a_right_backward_from_a_wrong_one(
    factor: float, right: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(_Wrong, "factor", factor)
    seen = derivative("gradient-check", lambda x: _Wrong.apply(x).sum(), torch.tensor([1.0, -2.0, 0.5]))
    assert seen["passed"] == right
    assert seen["relative_error"] < 1e-6 if right else seen["relative_error"] > 1e-2


def test_the_gradient_check_names_the_wrong_tensor_of_a_module():
    class Mine(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.outer = nn.Linear(3, 4), nn.Linear(4, 2)

        def forward(self, x):
            hidden = torch.tanh(self.inner(x))
            return self.outer(hidden.detach() if self.broken else hidden)

        broken = False

    torch.manual_seed(0)
    model, x = Mine(), torch.randn(5, 3)
    before = {n: p.clone() for n, p in model.named_parameters()}
    assert derivative("gradcheck", model, x)["passed"]
    model.broken = True  # the gradient is cut
    seen = derivative("gradcheck", model, x)
    assert not seen["passed"]
    assert {n for n, e in seen["errors"].items() if e > 1e-2} == {"inner.weight", "inner.bias", "input"}
    assert all(torch.equal(before[n], p) for n, p in model.named_parameters())
    with pytest.raises(ConfigError, match="too large"):
        derivative("gradcheck", nn.Linear(200, 100), torch.zeros(1, 200))


def test_the_gradient_check_takes_layers_of_the_catalogue():
    for entry in find(kind="activation")[:4]:
        x = 0.3 + torch.rand(4, 6, generator=torch.Generator().manual_seed(1))
        assert derivative("gradcheck", entry.build(), x, tolerance=1e-5)["passed"], entry.name


# Second order


def test_hessian_and_its_products_agree_with_autograd():
    A = draw(5, 5)

    def f(x: torch.Tensor) -> torch.Tensor:
        return (x @ A @ x) ** 2 + x.sin().sum()

    x, v = draw(5, seed=1), draw(5, seed=2)
    H = derivative("hessian", f, x)
    torch.testing.assert_close(H, torch.autograd.functional.hessian(f, x))
    torch.testing.assert_close(derivative("hvp", f, x, v), H @ v)
    assert derivative("hvp", lambda x: 2 * x.sum(), x, v).tolist() == [0.0] * 5
    with pytest.raises(ConfigError, match="too large"):
        derivative("hessian", f, x, max_size=4)


def test_lanczos_finds_the_ends_of_a_spectrum_that_is_too_large_to_form():
    d = torch.cat([torch.linspace(-1, 1, 300, dtype=torch.float64), torch.tensor([-7.0, 50.0]).double()])
    seen = derivative("spectrum", lambda x: (d * x * x).sum() / 2, torch.zeros_like(d), max_exact=100)
    assert not seen["exact"]
    assert seen["condition_number"] is None
    assert (seen["min"], seen["max"]) == pytest.approx((-7.0, 50.0), rel=1e-8)
    exact = derivative("spectrum", lambda x: (d * x * x).sum() / 2, torch.zeros_like(d))
    torch.testing.assert_close(exact["eigenvalues"], d.sort().values, rtol=1e-9, atol=1e-9)


def test_the_hessian_of_a_network_by_its_parameters():
    torch.manual_seed(0)
    net, x = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double(), draw(10, 3)
    f, theta = derivative("parameter-function", net, lambda z: z.square().mean(), x)
    assert f(theta).item() == pytest.approx(net(x).square().mean().item())
    H, v = derivative("hessian", f, theta), draw(len(theta), seed=3)
    torch.testing.assert_close(derivative("hvp", f, theta, v), H @ v)
    torch.testing.assert_close(H, H.T)
    # The products serve the solvers: (H + λI) δ = −∇f by conjugate gradients, H never formed.
    step = get("cg", lambda v: derivative("hvp", f, theta, v) + 10 * v, v, kind="solver", tolerance=1e-10)
    torch.testing.assert_close(step.x, torch.linalg.solve(H + 10 * torch.eye(len(H)).double(), v))
    with pytest.raises(ModelError, match="no parameters"):
        derivative("parameter-function", nn.ReLU(), lambda z: z.sum(), x)


def test_the_error_of_the_taylor_model_falls_with_the_third_power():
    def f(x: torch.Tensor) -> torch.Tensor:
        return (x.sin() * x.exp()).sum()

    x, d = draw(4), draw(4, seed=1)
    model = derivative("taylor-model", f, x)
    errors = [abs(float(f(x + h * d) - model(h * d))) for h in (1e-1, 1e-2)]
    assert math.log10(errors[0] / errors[1]) == pytest.approx(3, abs=0.2)


@pytest.mark.parametrize(
    ("f", "kind"),
    [
        (lambda x: x[0] ** 2 + 2 * x[1] ** 2, "minimum"),
        (lambda x: -(x[0] ** 2) - x[1] ** 2, "maximum"),
        (lambda x: x[0] ** 2 - x[1] ** 2, "saddle"),
        (lambda x: x[0] ** 4 + x[1] ** 2, "plateau"),
        (lambda x: x[0] + x[1] ** 2, "no critical point"),
    ],
)
def test_critical_points_are_told_apart(f, kind: str):
    assert derivative("critical-point", f, torch.zeros(2))["kind"] == kind


# Networks


def test_the_graph_of_a_network_has_every_layer_with_its_shape():
    net = get("lenet-5", (1, 28, 28), 10)
    graph = derivative("network-graph", net, torch.zeros(2, 1, 28, 28))
    operators = [node["operator"] for node in graph["nodes"]]
    assert operators[0] == "input"
    assert operators[-1] == "output"
    assert operators.count("Conv2d") == 2
    assert operators.count("Linear") == 3
    assert graph["nodes"][-1]["shape"] == (2, 10)
    assert len(graph["edges"]) == len(operators) - 1
    assert graph.figure().axes
    assert net.training


def test_a_layer_of_the_catalogue_is_one_node():
    graph = derivative("network-graph", get("polynomial", (4,), 2), torch.zeros(3, 4))
    assert [node["operator"] for node in graph["nodes"]] == [
        "input",
        "PolynomialFeatures",
        "Linear",
        "output",
    ]
    assert graph["nodes"][1]["shape"] == (3, 12)


def test_a_network_that_decides_by_its_input_is_shown_as_it_ran():
    class Choosing(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 2)

        def forward(self, x):
            if len(x) > 1:
                x = x * 2
            return self.layer(x) + self.layer(x)

    graph = derivative("network-graph", Choosing(), torch.ones(2, 3))
    operators = [node["operator"] for node in graph["nodes"]]
    assert "mul" in operators
    assert graph["nodes"][-1]["shape"] == (2, 2)
    assert max(sum(e[1] == i for e in graph["edges"]) for i in range(len(operators))) >= 2
    with pytest.raises(ModelError, match="cannot be traced"):
        derivative("network-graph", nn.Linear(3, 2), torch.ones(2, 5))


# The tangent kernel


def _net(width: int = 16) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, width), nn.Tanh(), nn.Linear(width, 2)).double()


def test_the_tangent_kernel_is_symmetric_positive_and_made_of_gradients():
    net, x = _net(), draw(5, 3)
    K = derivative("ntk", net, x)["kernel"]
    assert K.shape == (10, 10)
    torch.testing.assert_close(K, K.T)
    assert torch.linalg.eigvalsh(K)[0] > -1e-10
    rows = []
    for z in net(x).reshape(-1):
        grads = torch.autograd.grad(z, list(net.parameters()), retain_graph=True)
        rows.append(torch.cat([g.reshape(-1) for g in grads]))
    torch.testing.assert_close(K, torch.stack(rows) @ torch.stack(rows).T)
    with pytest.raises(ConfigError, match="too large"):
        derivative("ntk", net, x, max_elements=100)


def test_the_first_order_change_is_exact_to_the_second_power_of_the_rate():
    x, y = draw(8, 3), draw(8, 2, seed=1)
    errors, printed = [], []
    for lr in (1e-2, 1e-3):
        net = _net()
        before = net(x).detach()
        g = 2 * (before - y)  # of the sum over outputs, averaged over the examples
        predicted = derivative("linearized-change", net, x, g, lr=lr)
        loss = (net(x) - y).square().sum(1).mean()
        grads = torch.autograd.grad(loss, list(net.parameters()))
        with torch.no_grad():
            for p, slope in zip(net.parameters(), grads, strict=True):
                p -= lr * slope
        moved = net(x).detach() - before
        errors.append(float((moved - predicted).norm()))
        printed.append(float((moved + lr / 8 * g).norm() / moved.norm()))  # the kernel left out
    assert math.log10(errors[0] / errors[1]) == pytest.approx(2, abs=0.2)
    assert min(printed) > 0.1
    with pytest.raises(ModelError, match="does not fit"):
        derivative("linearized-change", _net(), x, y[:3])


def test_the_kernel_moves_less_the_wider_the_network():
    changes = []
    for width in (16, 256):
        torch.manual_seed(0)
        x, y = torch.randn(20, 5), torch.randn(20, 1)
        inner, outer = nn.Linear(5, width, bias=False), nn.Linear(width, 1, bias=False)
        nn.init.normal_(inner.weight, std=5**-0.5)
        nn.init.normal_(outer.weight, std=width**-0.5)
        net = nn.Sequential(inner, nn.Tanh(), outer)
        before = derivative("ntk", net, x)["kernel"]
        optimizer = torch.optim.SGD(net.parameters(), lr=0.5 / float(torch.linalg.eigvalsh(before)[-1]))
        for _ in range(100):
            optimizer.zero_grad()
            ((net(x) - y).square().sum() / 2).backward()
            optimizer.step()
        after = derivative("ntk", net, x)["kernel"]
        changes.append(float((after - before).norm() / before.norm()))
    assert changes[1] < changes[0] / 2


# Sequences


def test_truncated_back_propagation_cuts_the_state_and_keeps_its_value():
    torch.manual_seed(0)
    rnn, x = nn.LSTM(3, 4), torch.randn(10, 2, 3)
    whole, _ = rnn(x)
    chunks = list(derivative("truncated-bptt", rnn, x, length=4))
    torch.testing.assert_close(torch.cat([y for y, _ in chunks]), whole)
    assert all(not part.requires_grad for _, state in chunks for part in state)
    x.requires_grad_()
    last, _ = list(derivative("tbptt", rnn, x, length=4))[-1]
    (slope,) = torch.autograd.grad(last.sum(), x)
    assert (slope[:8] == 0).all()
    assert (slope[8:] != 0).any()
    assert derivatives.detached(None) is None
    with pytest.raises(ConfigError, match="length"):
        derivative("tbptt", rnn, x, length=0)
