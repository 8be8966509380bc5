"""Units and losses: the printed form fails, the right one holds."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from preceptor.catalogue import get

Z = torch.linspace(-4, 4, 17, dtype=torch.float64)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def unit(name: str, **options) -> nn.Module:
    return get(name, kind="activation", **options).double()


def test_sigmoid_sign():
    printed = 1 / (1 + Z.exp())
    assert (unit("sigmoid")(Z).diff() > 0).all()
    torch.testing.assert_close(unit("sigmoid")(Z), 1 / (1 + (-Z).exp()))
    torch.testing.assert_close(printed, 1 - unit("sigmoid")(Z))


def test_softmax_index():
    printed = torch.stack([z.exp() / sum(k.exp() for k in [z]) for z in Z])
    assert (printed == 1).all()
    assert get("softmax")(Z).sum().item() == pytest.approx(1.0)


def test_binary_cross_entropy_sign():
    y, p = torch.tensor([1.0, 0.0]), torch.tensor([0.9, 0.2])

    def printed(q: torch.Tensor) -> torch.Tensor:
        return (y * q.log() + (1 - y) * (1 - q).log()).mean()

    right = get("bce-on-probabilities")
    assert right(p, y) > 0 > printed(p)
    assert right(1 - p, y) > right(p, y)
    assert printed(1 - p) < printed(p)
    torch.testing.assert_close(right(p, y), -printed(p))


def test_prelu_as_maximum():
    s, a = torch.tensor([-1.0]), 2.0
    assert get("prelu", init=a)(s).item() == -2.0
    assert torch.maximum(a * s, s).item() == -1.0
    assert torch.maximum(0.25 * s, s).item() == get("prelu", init=0.25)(s).item()


def test_hinge_excluded_class():
    scores, true = torch.tensor([[5.0, 1.0, 0.0]]), torch.tensor([0])
    every_class = (scores - scores[0, true] + 1).clamp(min=0).sum()
    assert get("hinge")(scores, true).item() == 0.0
    assert every_class.item() == 1.0


def test_hinge_divisor():
    scores, true = torch.randn(8, 5), torch.randint(5, (8,))
    torch.testing.assert_close(get("hinge")(scores, true), 5 * nn.MultiMarginLoss()(scores, true))


@pytest.mark.parametrize(("name", "power"), [("mae", 1), ("mse", 2)])
def test_loss_called_sum(name: str, power: int):
    output, target = torch.randn(6, 3), torch.randn(6, 3)
    total = (output - target).abs().pow(power).sum()
    torch.testing.assert_close(get(name, kind="loss")(output, target) * 18, total)
    torch.testing.assert_close(get(name, kind="loss", per="example")(output, target) * 6, total)


def test_count_in_cross_entropy():
    z, y = torch.randn(6, 4), torch.randint(4, (6,))
    each = -z.log_softmax(1)[torch.arange(6), y]
    torch.testing.assert_close(get("ce")(z, y), each.sum() / 6)
    assert (get("ce")(z, y) - each.sum() / (6 * 4)).abs() > 0.1


def test_accuracy_by_gradient():
    w = torch.tensor([0.3], requires_grad=True)
    x, y = torch.randn(40), torch.randint(2, (40,)).float()
    decided = get("heaviside")(w * x)
    (1 - (decided - y).abs()).mean().backward()
    assert w.grad.item() == 0.0
    get("bce")(w * x, y).backward()
    assert w.grad.item() != 0.0


def test_relu_never_saturates():
    z = Z.clone().requires_grad_()
    unit("relu")(z).sum().backward()
    assert (z.grad[Z < 0] == 0).all()
    assert (z.grad[Z > 0] == 1).all()


def test_dead_unit():
    x = torch.randn(400, 30)
    model = get("mlp", (30,), 2, hidden=40, init="he-normal")
    h = nn.Sequential(*list(model)[:2])(x)
    assert (h == 0).float().mean().item() == pytest.approx(0.5, abs=0.03)
    assert (h == 0).all(0).float().mean().item() == 0.0
    assert get("audit", model, x).layers[0].dead == 0.0


def test_maxout_input():
    w, b, x = torch.randn(2, 3), torch.randn(2), torch.randn(200, 3)
    right = (x @ w.T + b).amax(1)
    torch.testing.assert_close(get("maxout")(x @ w.T + b)[:, 0], right)
    s = x @ w[0] + b[0]
    design = torch.stack([(s * c + d).clamp(min=0) for c in (1, -1) for d in (-1.0, 0.0, 1.0)], 1)
    design = torch.cat([design, s[:, None], torch.ones(200, 1)], 1)
    left = right - design @ torch.linalg.lstsq(design, right[:, None]).solution[:, 0]
    assert left.square().mean() > 0.05 * right.var()


def test_double_softmax():
    perfect = torch.eye(10) * 1000.0
    y = torch.arange(10)
    assert get("ce")(perfect, y).item() == 0.0
    assert get("ce")(get("softmax")(perfect), y).item() == pytest.approx(1.4612, abs=1e-4)


def test_squared_error_half():
    y, f = torch.randn(1, 3), torch.randn(1, 3, requires_grad=True)
    slopes = []
    for loss in (get("half-mse"), get("mse", kind="loss", per="example")):
        (slope,) = torch.autograd.grad(loss(f, y), f)
        slopes.append(slope)
    torch.testing.assert_close(slopes[0], (f - y).detach())
    torch.testing.assert_close(slopes[1], 2 * slopes[0])


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "softplus"])
def test_hidden_units_called_output(name: str):
    x = torch.randn(50, 4)
    hidden = get("mlp", (4,), 1, hidden=8, activation=name)
    hidden(x).square().mean().backward()
    assert hidden[0].weight.grad.any()
    bounds = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "softplus": (0.0, float("inf"))}[name]
    shown = get(name, kind="activation")(100 * torch.randn(999))
    assert shown.min() >= bounds[0]
    assert shown.max() <= bounds[1]
    assert torch.equal(get("identity", kind="output-unit")(x), x)
