"""Costs by formula and by measurement, eigenvalues, basins, the logistic map, and what clipping turns."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from preceptor.catalogue import get
from preceptor.catalogue.layers import ElmanCell, Unrolled
from preceptor.errors import ConfigError, DataError, ModelError

F64 = torch.float64


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


class TestCosts:
    def test_slopes_are_those_of_the_table(self):
        def row(name: str, t: int) -> dict[str, int]:
            return get("sequence-costs", t=t, k=8, d=2)[name]._asdict()

        far, near = 2**16, 2**15
        for name, operations, memory, sequential, path in (
            ("rnn", 1, 1, 1, 1),
            ("attention-rnn", 2, 2, 1, 0),
            ("self-attention", 2, 2, 0, 0),
            ("causal-convolution", 1, 1, 0, 1),
        ):
            long, short = row(name, far), row(name, near)
            slopes = {key: math.log2(long[key] / short[key]) for key in long}
            assert slopes["operations"] == pytest.approx(operations, abs=0.01)
            assert slopes["training_memory"] == pytest.approx(memory, abs=0.01)
            assert slopes["training_sequential"] == pytest.approx(sequential, abs=0.01)
            assert slopes["path"] == pytest.approx(path, abs=0.01)
            assert slopes["test_sequential"] == 1
        assert get("seq-cost", t=100, k=64)["rnn"].test_memory == 64
        assert get("seq-cost", t=81, w=3, dilated=True)["causal-convolution"].path == 4
        with pytest.raises(ConfigError, match="w is not usable"):
            get("sequence-costs", w=1)

    def test_the_table_is_what_networks_are_measured_to_take(self):
        k, t = 8, 32
        layer = Unrolled(ElmanCell, k, k)
        attention = get("multi-head-attention", k, heads=1)
        convolution = get("causal-convolution", k, k, kind="layer", kernel=3)

        def measured(run) -> object:
            return get("sequence-growth", run, lengths=(t // 2, t, 2 * t))

        x = torch.randn(1, 2 * t, k)
        recurrent = measured(lambda T: layer(x[:, :T])[0])
        costs = get("sequence-costs", t=t, k=k, w=3)
        assert recurrent["operations"][1] == 2 * costs["rnn"].operations  # the inputs have a matrix as well
        assert recurrent["slopes"]["operations"] == pytest.approx(1)
        assert recurrent["slopes"]["sequential"] == pytest.approx(1, abs=0.2)
        convolved = measured(lambda T: convolution(x[:, :T].transpose(1, 2)))
        assert convolved["operations"][1] == costs["causal-convolution"].operations
        assert convolved["sequential"][0] == convolved["sequential"][2]

        def attended(T: int) -> Tensor:
            q, keys, v = attention.input(x[:, :T]).chunk(3, -1)
            return attention.output((q @ keys.transpose(1, 2)).softmax(-1) @ v)

        seen = measured(attended)
        assert seen["operations"][1] == costs["self-attention"].operations
        assert 1.3 < seen["slopes"]["operations"] < 2
        assert seen["sequential"][0] == seen["sequential"][2]
        assert seen["memory"][2] > 2 * recurrent["memory"][2]

    def test_what_cannot_be_measured_is_refused(self):
        with pytest.raises(DataError, match="two or more"):
            get("sequence-growth", lambda T: torch.zeros(T), lengths=(3,))
        with pytest.raises(ModelError, match="no graph"):
            get("sequence-growth", lambda T: torch.zeros(T))


class TestSpectrum:
    @pytest.mark.parametrize(("factor", "growth"), [(0.9, 2.656e-5), (1.0, 1.0), (1.1, 1.378e4)])
    def test_an_orthogonal_recurrence_vanishes_keeps_or_explodes(self, factor: float, growth: float):
        Q, _ = torch.linalg.qr(torch.randn(5, 5, dtype=F64))
        seen = get("recurrent-spectrum", factor * Q, steps=100)
        assert seen["radius"]["matrix"] == pytest.approx(factor)
        assert seen["singular"]["matrix"] == pytest.approx(factor)
        assert seen["growth"]["matrix"] == pytest.approx(growth, rel=1e-3)
        layer = get("rnn-layer", 5, 5, nonlinearity="none").double()
        with torch.no_grad():
            layer.recurrence.cells[0].weight_hh.copy_(factor * Q)
        x = torch.randn(1, 101, 5, dtype=F64)
        by_lag = get("gradient-by-lag", layer, x)
        assert by_lag["factor"] == pytest.approx(factor, abs=0.02)

    def test_matrices_are_found_gate_by_gate(self):
        assert set(get("spec", nn.LSTM(2, 3, num_layers=2))["radius"]) == {
            f"weight_hh_l{layer}[{gate}]" for layer in range(2) for gate in range(4)
        }
        irnn = get("irnn", (4, 2), 1, kind="architecture", hidden=3)
        (value,) = get("eigenvalue-monitor", irnn)["radius"].values()
        assert value == 1
        cell = get("gru-cell", 2, 3)
        seen = get("spec", cell)["eigenvalues"]
        torch.testing.assert_close(
            seen["weight_hh[1]"], torch.linalg.eigvals(cell.weight_hh[3:6].detach().double())
        )
        for nothing in (nn.Linear(2, 2), torch.zeros(2, 3)):
            with pytest.raises(ModelError, match="no recurrent matrix"):
                get("spec", nothing)

    def test_the_bound_holds_where_the_eigenvalue_rule_does_not(self):
        W = 1.5 * torch.linalg.qr(torch.randn(4, 4, dtype=F64))[0]
        h = torch.full((4,), 2.0, dtype=F64).tanh()
        seen = get("recurrent-spectrum", W, states=h)
        step = torch.diag(1 - h.square()) @ W
        exact = float(torch.linalg.matrix_norm(step, 2))
        assert seen["radius"]["matrix"] > 1
        assert exact <= seen["bound"]["matrix"] + 1e-12 < 1
        assert seen.figure().axes


class TestMaps:
    def test_gradients_vanish_in_basins_and_peak_at_their_boundary(self):
        W = torch.tensor([[3.0, 0.0], [0.0, 0.5]])
        seen = get("attractor-map", W, steps=10, points=41)
        assert seen["attractors"] == 2
        middle = seen["norms"][20]
        inside = seen["norms"][[2, 38]]
        assert middle.min() > 100 > 1 > inside.max()
        assert middle.max() == pytest.approx(3**10, rel=1e-6)
        assert (seen["basins"][2] != seen["basins"][38]).all()
        cell = get("rnn-cell", 1, 2, bias=False).double()
        still = torch.zeros(1, 1, dtype=F64)
        with torch.no_grad():
            cell.weight_hh.copy_(W)
        same = get("attractor-map", lambda h: cell(still, h[None])[0], steps=10, points=41)
        torch.testing.assert_close(same["norms"], seen["norms"])

    def test_three_units_are_no_map(self):
        with pytest.raises(DataError, match="two units"):
            get("attractor-map", lambda h: torch.cat([h, h[:1]]), steps=1)

    def test_the_logistic_map_has_its_exponents_and_turning_points(self):
        chaos = get("iterated-logistic-map", r=4.0, steps=20_000)
        assert chaos["lyapunov"] == pytest.approx(math.log(2), abs=0.01)
        assert chaos["turning_points"] == 63
        for composed in range(1, 6):
            seen = get("logistic-map", r=4.0, steps=10, composed=composed)
            assert seen["turning_points"] == 2**composed - 1
        settled = get("logistic-map", r=2.5, steps=1000)
        assert settled["trajectory"][-1] == pytest.approx(1 - 1 / 2.5)
        assert settled["lyapunov"] == pytest.approx(math.log(0.5), abs=0.02)
        periodic = get("logistic-map", r=3.2, steps=1000)["trajectory"]
        assert abs(periodic[-1] - periodic[-3]) < 1e-6 < abs(periodic[-1] - periodic[-2])
        with pytest.raises(ConfigError, match="from 0 to 4"):
            get("logistic-map", r=4.1)


class TestClippingBias:
    def test_share_and_turn_are_those_of_the_gradients(self):
        gradients = torch.randn(50, 6, dtype=F64) + torch.tensor([1.0, 0, 0, 0, 0, 0], dtype=F64)
        gradients[::10] *= 20
        meter = get("clipping-bias", max_norm=3.0)
        a, b = nn.Parameter(torch.zeros(2, 2, dtype=F64)), nn.Parameter(torch.zeros(2, dtype=F64))
        for g in gradients:
            a.grad, b.grad = g[:4].reshape(2, 2), g[4:]
            kept = a.grad.clone()
            meter.record([a, b])
            assert torch.equal(a.grad, kept)
        norms = gradients.norm(dim=1)
        clipped = gradients * (3.0 / norms).clamp_max(1.0)[:, None]
        seen = meter.result()
        assert seen["share"] == pytest.approx((norms > 3).double().mean().item())
        expected = torch.nn.functional.cosine_similarity(gradients.mean(0), clipped.mean(0), dim=0)
        assert seen["cosine"] == pytest.approx(expected.item())
        assert seen["shrink"] == pytest.approx((clipped.mean(0).norm() / gradients.mean(0).norm()).item())
        assert 0 < seen["cosine"] < 1

    def test_it_agrees_with_torch_s_clipping(self):
        p = nn.Parameter(torch.zeros(3))
        p.grad = torch.tensor([3.0, 4.0, 0.0])
        meter = get("clip-bias", max_norm=1.0)
        meter.record([p])
        nn.utils.clip_grad_norm_([p], 1.0)
        assert meter.result()["shrink"] == pytest.approx(p.grad.norm().item() / 5, rel=1e-5)

    def test_nothing_recorded_is_said(self):
        meter = get("clipping-bias")
        with pytest.raises(ModelError, match="nothing was recorded"):
            meter.result()
        with pytest.raises(ModelError, match="no gradients"):
            meter.record([nn.Parameter(torch.zeros(1))])
