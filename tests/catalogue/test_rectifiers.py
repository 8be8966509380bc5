"""Rectifiers as one family, maxout, the step function, and the identities between activations."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import preceptor
from preceptor.catalogue import find, get
from preceptor.catalogue.gains import activation_gain
from preceptor.errors import ConfigError, ModelError, UnknownName

X = torch.linspace(-3, 3, 25, dtype=torch.float64)


def unit(name: str, **options) -> nn.Module:
    return get(name, kind="activation", **options).double()


@pytest.mark.parametrize(
    ("slope", "name"), [(0.0, "relu"), (0.01, "leaky-relu"), (-1.0, "absolute-value"), (0.25, "prelu")]
)
def test_special_slopes_have_names_of_their_own(slope: float, name: str):
    torch.testing.assert_close(unit("grelu", slope=slope)(X), unit(name)(X), rtol=0, atol=1e-9)


def test_each_channel_may_have_its_own_slope():
    x = -torch.ones(2, 3, 4)
    out = get("generalized-rectifier", slope=[0.0, -1.0, 2.0])(x)
    assert out[0, :, 0].tolist() == [0.0, 1.0, -2.0]
    for wrong in ([], "a", [math.nan]):
        with pytest.raises(ConfigError, match="slope"):
            get("generalized-rectifier", slope=wrong)


def test_a_slope_above_one_is_no_maximum():
    assert get("grelu", slope=2.0)(torch.tensor([-1.0])).item() == -2.0
    learned = get("prelu", init=2.0)
    assert learned(torch.tensor([-1.0])).item() == -2.0


def test_the_slope_of_prelu_learns():
    learned = get("parametric-relu", num_parameters=3)
    learned(torch.tensor([[-2.0, 3.0, -1.0]])).sum().backward()
    assert learned.weight.grad.tolist() == [-2.0, 0.0, -1.0]
    assert sum(p.numel() for p in get("mlp", (4,), 2, hidden=5, activation="prelu").parameters()) == 38


def test_the_slope_of_prelu_is_left_out_of_weight_decay():
    model = get("mlp", (3,), 2, hidden=4, activation="prelu")
    weight = model[0].weight.detach().clone()
    get("weight-decay", kind="regularizer", strength=0.1).attach(model).before_step(lr=0.5)
    assert model[1].weight.item() == 0.25
    torch.testing.assert_close(model[0].weight.detach(), 0.95 * weight)


def test_training_through_a_step_warns_that_no_gradient_passes():
    x, y = torch.randn(60, 4).numpy(), torch.randint(2, (60,)).numpy()
    with pytest.warns(UserWarning, match="no gradient passes the step function '1'"):
        preceptor.train(
            "mlp", (x, y), settings={"model.activation": "step", "training.watch": False}, epochs=1, out=False
        )


def test_maxout_holds_relu_leaky_relu_and_the_absolute_value():
    torch.manual_seed(0)
    x, w, b = torch.randn(20, 6), torch.randn(4, 6), torch.randn(4)
    for other, name in ((0.0, "relu"), (0.01, "leaky-relu"), (-1.0, "absolute-value")):
        layer = nn.Linear(6, 8)
        with torch.no_grad():
            layer.weight.copy_(torch.stack([w, other * w], 1).flatten(0, 1))
            layer.bias.copy_(torch.stack([b, other * b], 1).flatten())
        torch.testing.assert_close(get("maxout")(layer(x)), get(name)(x @ w.T + b))


@pytest.mark.parametrize(("model", "inputs"), [("mlp", (6,)), ("lenet-5", (1, 28, 28))])
def test_maxout_doubles_the_weights_of_hidden_layers(model: str, inputs: tuple[int, ...]):
    plain, wide = (get(model, inputs, 3, activation=a) for a in ("relu", "maxout"))
    hidden = [p.numel() for p in plain.parameters()][:-2]
    assert [p.numel() for p in wide.parameters()][:-2] == [2 * n for n in hidden]
    assert wide(torch.randn(2, *inputs)).shape == (2, 3)


def test_maxout_groups_channels_and_says_when_it_cannot():
    x = torch.randn(2, 6, 3)
    out = get("maxout", pieces=3)(x)
    torch.testing.assert_close(out, x.reshape(2, 2, 3, 3).amax(2))
    torch.testing.assert_close(get("maxout", pieces=3, dim=-1)(x), x.amax(-1, keepdim=True))
    with pytest.raises(ModelError, match="a multiple of 4 along axis 1"):
        get("maxout", pieces=4)(x)
    with pytest.raises(ConfigError, match="pieces"):
        get("maxout", pieces=1)


def test_step_is_one_at_zero_and_has_no_gradient():
    x = torch.tensor([-0.5, 0.0, 2.0], requires_grad=True)
    y = get("heaviside")(x)
    y.sum().backward()
    assert y.tolist() == [0.0, 1.0, 1.0]
    assert x.grad.tolist() == [0.0, 0.0, 0.0]
    torch.testing.assert_close(y.detach(), torch.heaviside(x.detach(), torch.ones(1)))


def test_nothing_below_a_step_learns():
    report = get(
        "initialization-audit", get("mlp", (5,), 2, hidden=9, activation="heaviside"), torch.randn(64, 5)
    )
    assert "no gradient" in report.layers[0].faults


def test_sigmoid_is_one_gate_with_three_forms_of_its_slope():
    z = X.clone().requires_grad_()
    y = unit("sigmoid-gate")(z)
    y.sum().backward()
    s = y.detach()
    for form in (s * (1 - s), (-X).exp() / (1 + (-X).exp()) ** 2, X.exp() / (1 + X.exp()) ** 2):
        torch.testing.assert_close(z.grad, form, rtol=1e-12, atol=1e-15)
    assert _nodes(y) == 1
    assert _nodes(1 / (1 + (-z).exp())) >= 4
    assert torch.isfinite(unit("sigmoid")(torch.tensor([-1000.0, 1000.0]))).all()


def _nodes(y: torch.Tensor) -> int:
    """Count the operators between an output and its input."""
    count, node = 0, y.grad_fn
    while node is not None and "Accumulate" not in node.name():
        count, node = count + 1, next((n for n, _ in node.next_functions if n is not None), None)
    return count


def test_tanh_is_a_stretched_sigmoid_and_survives_where_its_formula_does_not():
    torch.testing.assert_close(unit("tanh")(X), 2 * unit("sigmoid")(2 * X) - 1, rtol=1e-12, atol=1e-12)
    far = torch.tensor([1000.0])
    assert ((far.exp() - (-far).exp()) / (far.exp() + (-far).exp())).isnan().all()
    assert get("tanh")(far).item() == 1.0


def test_reference_values():
    z = torch.tensor([-5.0], dtype=torch.float64, requires_grad=True)
    unit("softplus")(z).sum().backward()
    assert z.grad.item() == pytest.approx(0.006693, abs=1e-6)
    assert unit("elu")(torch.tensor([-1.0]).double()).item() == pytest.approx(-0.632121, abs=1e-6)
    torch.manual_seed(0)
    x = torch.randn(100_000)
    assert get("elu")(x).mean() < 0.2 < get("relu")(x).mean()
    assert torch.isfinite(get("softplus")(torch.tensor([-1000.0, 1000.0]))).all()


@pytest.mark.parametrize("e", find(kind="activation"), ids=lambda e: e.name)
def test_every_activation_works_in_a_hidden_layer(e):
    torch.manual_seed(0)
    model = get("mlp", (3,), 2, hidden=8, activation=e.name)
    model(torch.randn(5, 3)).square().sum().backward()
    moved = model[0].weight.grad.abs().sum() > 0
    assert bool(moved) == (e.traits.get("gradient") != "zero")


@pytest.mark.parametrize(
    ("name", "gain"),
    [("relu", math.sqrt(2)), ("identity", 1.0), ("absolute-value", 1.0), ("heaviside", math.sqrt(2)),
     ("leaky-relu", math.sqrt(2 / (1 + 0.01**2))), ("tanh", 1.5925374), ("maxout", 1.0)],
)  # fmt: skip
def test_gains(name: str, gain: float):
    assert activation_gain(name) == pytest.approx(gain, rel=1e-3 if name == "heaviside" else 1e-7)


def test_gain_equals_torch_s_where_torch_has_the_second_moment():
    for name, slope in (("relu", 0), ("leaky_relu", 0.01)):
        assert activation_gain(name) == pytest.approx(nn.init.calculate_gain(name, slope))
    z = torch.randn(2_000_000, generator=torch.Generator().manual_seed(0))
    for name in ("gelu", "silu", "sigmoid", "softplus", "elu"):
        drawn = get(name, kind="activation")(z).square().mean().rsqrt().item()
        assert activation_gain(name) == pytest.approx(drawn, rel=0.005)


def test_what_has_no_gain_is_said():
    with pytest.raises(UnknownName, match="did you mean 'relu'"):
        activation_gain("rellu")
    with pytest.raises(ConfigError, match="no gain"):
        activation_gain(nn.Threshold(100.0, 0.0))
