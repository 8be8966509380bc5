"""Initial weights by gain and by depth, the audit, the fitted scale, weights of an earlier training."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from preceptor.catalogue import get
from preceptor.errors import CheckpointError, ConfigError, ModelError, UnknownName


def signal(fill: str, unit: str, width: int = 500, depth: int = 10, **options) -> list[torch.Tensor]:
    """Return what each of ten layers of 500 units passes on, of inputs that are standard normal."""
    torch.manual_seed(0)
    f, x, seen = get(unit, kind="activation"), torch.randn(200, width), []
    for _ in range(depth):
        x = f(x @ get(fill, torch.empty(width, width), kind="initializer", **options).T)
        seen.append(x)
    return seen


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fill", "activation", "deviations"),
    [
        ("normal", "tanh", (0.214, 5.3e-4, 2.9e-7)),
        ("standard-normal", "tanh", (0.982, 0.982, 0.982)),
        ("lecun-normal", "tanh", (0.628, 0.320, 0.227)),
        ("he-normal", "tanh", (0.722, 0.566, 0.555)),
        ("normal", "relu", (0.131, 7.6e-5, 7.1e-9)),
        ("lecun-normal", "relu", (0.585, 0.136, 0.023)),
        ("he-normal", "relu", (0.827, 0.769, 0.727)),
    ],
)
def test_deviation_by_depth(fill: str, activation: str, deviations: tuple[float, ...]):
    found = [signal(fill, activation)[layer].std().item() for layer in (0, 4, 9)]
    assert found == pytest.approx(deviations, rel=0.25)


def test_a_large_start_saturates_tanh():
    last = signal("large-normal", "tanh")[-1]
    assert (last.abs() > 0.99).float().mean().item() == pytest.approx(0.9, abs=0.03)


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu", "silu", "elu", "sigmoid", "absolute-value"])
def test_the_gain_keeps_the_mean_square_at_any_depth(activation: str):
    torch.manual_seed(0)
    f, z = get(activation, kind="activation"), torch.randn(200, 500)
    for _ in range(10):
        z = f(z) @ get("variance-scaling", torch.empty(500, 500), activation=activation).T
        assert z.square().mean().item() == pytest.approx(1.0, rel=0.5)


def test_gains_may_be_named():
    torch.manual_seed(0)
    w = get("xavier-normal", torch.empty(800, 400), gain="relu")
    assert w.var().item() == pytest.approx(2 * 2 / 1200, rel=0.02)
    w = get("lecun-uniform", torch.empty(800, 400), gain=2.0)
    assert w.var().item() == pytest.approx(4 / 400, rel=0.02)
    w = get("variance-scaling", torch.empty(800, 400), activation="identity", mode="fan_avg")
    assert w.var().item() == pytest.approx(1 / 600, rel=0.02)
    with pytest.raises(UnknownName):
        get("xavier-normal", torch.empty(3, 3), gain="rellu")
    with pytest.raises(ConfigError, match="mode"):
        get("variance-scaling", torch.empty(3, 3), mode="fan")


def test_a_network_takes_the_gain_of_the_activation_before_each_layer():
    torch.manual_seed(0)
    model = get("mlp", (600,), 600, hidden=[600], activation="gelu", init="variance-scaling")
    assert model[0].weight.var().item() * 600 == pytest.approx(1.0, rel=0.02)
    assert model[2].weight.var().item() * 600 == pytest.approx(1.5335**2, rel=0.02)


def test_init_takes_options_and_a_bias():
    torch.manual_seed(0)
    init = {"name": "normal", "std": 0.5, "bias": 0.1}
    model = get("mlp", (200,), 4, hidden=100, init=init)
    assert model[0].weight.std().item() == pytest.approx(0.5, rel=0.05)
    assert (model[0].bias == 0.1).all()
    for wrong in ({"std": 1.0}, {"name": 3}, {"name": "normal", "bias": "a"}, 7):
        with pytest.raises(ConfigError, match="init is not usable"):
            get("mlp", (4,), 2, init=wrong)
    with pytest.raises(ConfigError, match="no option 'sdt'"):
        get("mlp", (4,), 2, init={"name": "normal", "sdt": 1.0})


def test_a_positive_bias_starts_more_rectifiers_active():
    torch.manual_seed(0)
    x = torch.randn(300, 50)
    active = []
    for bias in (0.0, 0.01, 0.1):
        torch.manual_seed(1)
        model = get("mlp", (50,), 2, hidden=[50] * 5, init={"name": "he-normal", "bias": bias})
        active.append((nn.Sequential(*list(model)[:10])(x) > 0).float().mean().item())
    assert active == sorted(active)
    assert active[2] > active[0]
    assert get("relu-bias", torch.empty(3), value=0.01).tolist() == pytest.approx([0.01] * 3)


def _trained(init, steps: int = 60, activation: str = "tanh") -> tuple[nn.Sequential, float]:
    """Return an MLP after some steps, and how far its first weights moved."""
    torch.manual_seed(0)
    model = get("mlp", (6,), 3, hidden=8, activation=activation, init=init)
    before = model[0].weight.detach().clone()
    x = torch.randn(90, 6)
    y = (x[:, 0] > 0).long() + (x[:, 1] > 0).long()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(steps):
        optimizer.zero_grad()
        get("ce")(model(x), y).backward()
        optimizer.step()
    return model, (model[0].weight - before).abs().max().item()


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_from_all_zeros_hidden_weights_never_move(activation: str):
    model, moved = _trained("zeros", activation=activation)
    assert moved == 0.0
    assert not model[0].weight.any()
    assert not model[2].weight.any()
    assert model[2].bias.any()
    assert len(model(torch.randn(20, 6)).argmax(1).unique()) == 1


def test_units_that_start_equal_stay_equal_while_they_move():
    model, moved = _trained("constant")
    w = model[0].weight
    assert moved > 0.01
    assert (w - w[0]).abs().max().item() < 1e-6


def test_an_identity_matrix_keeps_state_and_gradient():
    cell = nn.RNN(3, 4, nonlinearity="relu")
    get("identity", cell.weight_hh_l0.data, kind="initializer")
    get("zeros", cell.bias_hh_l0.data)
    get("zeros", cell.bias_ih_l0.data)
    h0 = torch.rand(1, 1, 4) + 0.1
    jacobian = torch.func.jacrev(lambda h: cell(torch.zeros(30, 1, 3), h)[1])(h0).reshape(4, 4)
    torch.testing.assert_close(jacobian, torch.eye(4))
    assert get("eye", torch.empty(2, 3), kind="initializer", scale=0.5).tolist() == [[0.5, 0, 0], [0, 0.5, 0]]
    with pytest.raises(ModelError, match="needs a matrix"):
        get("identity", torch.empty(3), kind="initializer")


X = torch.randn(256, 64, generator=torch.Generator().manual_seed(0))


def deep(init, activation: str = "relu", depth: int = 10) -> nn.Sequential:
    torch.manual_seed(0)
    return get("mlp", (64,), 10, hidden=[100] * depth, activation=activation, init=init)


@pytest.mark.parametrize(
    ("init", "activation", "fault"),
    [
        ("normal", "tanh", "too small"),
        ("standard-normal", "tanh", "saturated"),
        ("standard-normal", "relu", "too large"),
        ("zeros", "tanh", "no gradient"),
        ("constant", "tanh", "all units are equal"),
        ("xavier-normal", "sigmoid", "gradient vanishes"),
    ],
)
def test_the_audit_names_what_is_wrong(init: str, activation: str, fault: str):
    report = get("initialization-audit", deep(init, activation), X)
    assert not report.sound
    assert any(fault in faults for faults in report.faults.values())
    assert fault in str(report)


@pytest.mark.parametrize(("init", "activation"), [("he-normal", "relu"), ("xavier-normal", "tanh")])
def test_the_audit_of_a_sound_start_is_silent(init: str, activation: str):
    report = get("audit", deep(init, activation), X)
    assert report.sound, str(report)
    assert len(report.layers) == 11


def test_the_audit_counts_dead_units_and_equal_rows_exactly():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 20), nn.ReLU(), nn.Linear(20, 3))
    with torch.no_grad():
        model[0].bias[:7] = -1e3
    layer = get("audit", model, X).layers[0]
    assert layer.dead == pytest.approx(7 / 20)
    assert "dead units" in layer.faults
    with torch.no_grad():
        convolution = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
        convolution[0].bias[0] = -1e3
    assert get("audit", convolution, torch.randn(32, 1, 8, 8)).layers[0].dead == 0.25


def test_a_layer_that_never_runs_is_said_and_the_last_to_run_is_the_output():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.head, self.idle, self.body = nn.Linear(8, 2), nn.Linear(3, 3), nn.Linear(64, 8)

        def forward(self, x):
            return self.head(self.body(x).tanh())

    torch.manual_seed(0)
    model = Odd()
    nn.init.zeros_(model.head.weight)
    faults = get("audit", model, X).faults
    assert faults["idle"] == ("never runs",)
    assert "too small" not in faults.get("head", ())
    assert faults["body"] == ("no gradient",)


def test_the_audit_leaves_everything_as_it_was():
    model = nn.Sequential(nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Tanh(), nn.Linear(8, 2))
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    get("audit", model, X, loss=lambda z: z.square().mean())
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(ModelError, match="nothing to audit"):
        get("audit", nn.ReLU(), X)


@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid"])
def test_a_fitted_scale_mends_a_bad_one(activation: str):
    model = get("unit-variance", deep("normal", activation), X)
    report = get("audit", model, X)
    assert all(layer.std == pytest.approx(1.0, abs=0.06) for layer in report.layers)
    assert not {"too small", "too large", "saturated"} & {
        f for faults in report.faults.values() for f in faults
    }
    with pytest.raises(ModelError, match="cannot be rescaled"):
        get("lsuv", deep("zeros"), X)


def test_the_suggested_factor_brings_the_deviation_to_one():
    model = deep("normal", depth=1)
    first = get("audit", model, X).layers[0]
    with torch.no_grad():
        model[0].weight.mul_(first.rescale)
    assert get("audit", model, X).layers[0].std == pytest.approx(1.0, rel=1e-4)


def test_weights_of_an_earlier_training_are_matched_by_name(tmp_path: Path):
    old, new = get("mlp", (5,), 3, hidden=4), get("mlp", (5,), 2, hidden=4)
    head = new[2].weight.detach().clone()
    (tmp_path / "weights").mkdir()
    save_file(old.state_dict(), tmp_path / "weights" / "best.safetensors")
    for source in (old, old.state_dict(), tmp_path, str(tmp_path / "weights" / "best.safetensors")):
        fresh = copy.deepcopy(new)
        report = get("pretrained", fresh, source)
        assert report.loaded == ("0.weight", "0.bias")
        assert report.mismatched[0] == ("2.weight", (2, 4), (3, 4))
        assert not report.complete
        assert torch.equal(fresh[0].weight, old[0].weight)
        assert torch.equal(fresh[2].weight, head)
    with pytest.raises(CheckpointError, match=r"another shape: 2\.weight"):
        get("pretrained", new, old, strict=True)
    named = get("mlp", (5,), 3, hidden=4, init={"name": "pretrained", "source": str(tmp_path)})
    assert torch.equal(named[2].weight, old[2].weight)


def test_weights_that_cannot_be_read_are_said(tmp_path: Path):
    model = nn.Linear(2, 2)
    with pytest.raises(CheckpointError, match="cannot read the weights"):
        get("pretrained", model, tmp_path)
    (tmp_path / "x.safetensors").write_bytes(b"no weights")
    with pytest.raises(CheckpointError, match="cannot read the weights"):
        get("pretrained", model, tmp_path / "x.safetensors")
    with pytest.raises(ConfigError, match="no weights to start from"):
        get("pretrained", model, 3)
    report = get("pretrained", model, {"other": torch.ones(1)})
    assert (report.missing, report.unexpected) == (("weight", "bias"), ("other",))
    assert "not in the model: other" in str(report)
    assert math.isfinite(model.weight.sum().item())
