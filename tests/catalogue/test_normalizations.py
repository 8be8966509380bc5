"""Normalisations: what they fix, what they keep for test, and what can be done to them."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from sklearn.datasets import load_wine
from sklearn.preprocessing import StandardScaler
from torch import nn

from preceptor.catalogue import get
from preceptor.errors import DataError, ModelError


def batch(*shape: int, seed: int = 0) -> torch.Tensor:
    return 3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 5


class TestBatchNorm:
    def test_equals_its_formula_with_one_mean_for_each_channel(self):
        norm, x = get("batch-norm", 3).double(), batch(4, 3, 5, 6)
        mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
        assert mean.shape == (3,)
        expected = (x - mean.reshape(3, 1, 1)) / (variance.reshape(3, 1, 1) + 1e-5).sqrt()
        torch.testing.assert_close(norm(x), expected)
        torch.testing.assert_close(norm(x), nn.BatchNorm2d(3).double()(x))
        single = (x - x.mean()) / (x.var(correction=0) + 1e-5).sqrt()
        assert not torch.allclose(norm(x), single)  # one mean for all channels is something else

    def test_eps_keeps_a_constant_feature_finite(self):
        x = torch.ones(4, 2)
        assert (get("batch-norm", 2)(x) == 0).all()
        assert ((x - x.mean(0)) / x.var(0, correction=0).sqrt()).isnan().all()

    def test_momentum_weighs_the_new_batch_and_the_variance_is_unbiased(self):
        norm, x = get("batch-norm", 2, momentum=0.1).double(), batch(8, 2)
        norm(x)
        torch.testing.assert_close(norm.running_mean, 0.1 * x.mean(0))
        torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * x.var(0))
        assert not torch.allclose(norm.running_mean, 0.9 * x.mean(0))

    def test_at_test_an_example_does_not_depend_on_its_batch(self):
        norm, x = get("batch-norm", 2).double(), batch(8, 2)
        norm(x)
        norm.eval()
        torch.testing.assert_close(norm(x)[:1], norm(x[:1]))
        alone = get("batch-norm", 2, statistics="batch").double().eval()
        assert not torch.allclose(alone(x)[:2], alone(x[:2]))

    def test_it_can_become_the_identity(self):
        x = batch(16, 3)
        norm = get("batch-norm-identity", get("batch-norm", 3).double(), inputs=x)
        torch.testing.assert_close(norm(x), x, atol=1e-9, rtol=0)
        with torch.no_grad():
            norm.weight.copy_(x.var(0, correction=0).sqrt())  # without eps
        assert not torch.allclose(norm(x), x, atol=1e-9, rtol=0)
        with pytest.raises(ModelError, match="can be undone"):
            get("batch-norm-identity", nn.Linear(2, 2))

    def test_a_bias_before_it_gets_no_gradient(self):
        model = nn.Sequential(nn.Linear(3, 4), get("batch-norm", 4), nn.Tanh(), nn.Linear(4, 1)).double()
        model(batch(9, 3)).square().sum().backward()
        assert model[0].bias.grad.abs().max() < 1e-12
        assert model[3].bias.grad.abs().max() > 1e-3

    def test_a_builder_leaves_that_bias_out_and_a_transform_takes_it_away(self):
        model = get("mlp", (3,), 2, hidden=[4], normalization="batch-norm")
        assert [type(m).__name__ for m in model] == ["Linear", "BatchNorm", "ReLU", "Linear"]
        assert model[0].bias is None
        assert model[3].bias is not None
        own = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 1)).double().eval()
        own(batch(5, 3))
        x = batch(6, 3)
        own.train()
        before = own(x)
        assert get("bias-removal", own) == ["0"]
        torch.testing.assert_close(own(x), before)

    def test_both_orders_can_be_built_and_the_uncommon_one_is_named(self):
        usual = get("mlp", (3,), 2, hidden=[4], normalization="batch-norm")
        other = get("mlp", (3,), 2, hidden=[4], normalization="batch-norm", order="after")
        assert other[0].bias is not None
        assert get("normalization-order", usual) == []
        assert get("normalization-order", other) == ["ReLU (1) comes before BatchNorm (2)"]

    def test_folded_into_the_layers_before(self):
        model = nn.Sequential(
            nn.Conv2d(1, 3, 3),
            get("batch-norm", 3),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(48, 5),
            nn.BatchNorm1d(5),
        )
        for _ in range(5):
            model(torch.randn(8, 1, 6, 6))
        x = torch.randn(4, 1, 6, 6)
        folded = get("batch-norm-folding", model)
        assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in folded.modules())
        torch.testing.assert_close(folded(x), model.eval()(x), atol=1e-5, rtol=1e-5)

    def test_the_scale_of_weights_before_it_does_not_matter_but_the_gradient_s_does(self):
        x, y = batch(20, 4), batch(20, 1)

        def at(scale: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            torch.manual_seed(0)
            model = nn.Sequential(
                nn.Linear(4, 3, bias=False), get("batch-norm", 3, eps=1e-12), nn.Tanh(), nn.Linear(3, 1)
            )
            model.double()
            with torch.no_grad():
                model[0].weight.mul_(scale)
            loss = nn.functional.mse_loss(model(x), y)
            (gradient,) = torch.autograd.grad(loss, model[0].weight)
            return loss, gradient, model[0].weight

        loss, gradient, weight = at(1.0)
        for scale in (10.0, 100.0):
            scaled, smaller, _ = at(scale)
            torch.testing.assert_close(scaled, loss)
            torch.testing.assert_close(smaller, gradient / scale)
        assert abs((gradient * weight).sum()) < 1e-10
        step = 1e-6  # the direction turns by lr / ‖w‖²: at ten times the length by a hundredth
        _, g10, w10 = at(10.0)
        turn = nn.functional.normalize((weight - step * gradient).reshape(1, -1)) - nn.functional.normalize(
            weight.reshape(1, -1)
        )
        turn10 = nn.functional.normalize((w10 - step * g10).reshape(1, -1)) - nn.functional.normalize(
            w10.reshape(1, -1)
        )
        torch.testing.assert_close(
            turn.norm() / turn10.norm(), torch.tensor(100.0, dtype=torch.float64), rtol=1e-2, atol=0
        )


class TestPopulationStatistics:
    def model(self) -> nn.Sequential:
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Linear(3, 5), get("batch-norm", 5), nn.ReLU(), nn.Linear(5, 4), get("batch-norm", 4)
        ).double()

    def test_equal_the_exact_pass_over_all_examples(self):
        model, x = self.model(), batch(23, 3)
        get("population-statistics", model, [(part, None) for part in x.split(7)])
        inner = model[0](x)
        torch.testing.assert_close(model[1].running_mean, inner.mean(0))
        torch.testing.assert_close(model[1].running_var, inner.var(0))
        averaged = copy.deepcopy(model)
        torch.optim.swa_utils.update_bn(x.split(7), averaged)
        assert not torch.allclose(averaged[1].running_var, inner.var(0))  # which leaves something out

    def test_layer_by_layer_the_network_at_test_is_normalised_throughout(self):
        model, x = self.model(), batch(23, 3)
        get("population-statistics", model, x.split(7), layerwise=True)
        assert model.training
        model.eval()
        for upto in (2, 5):
            y = model[:upto](x)
            torch.testing.assert_close(
                y.mean(0), torch.zeros(y.shape[1], dtype=torch.float64), atol=1e-9, rtol=0
            )
            torch.testing.assert_close(
                y.var(0), torch.ones(y.shape[1], dtype=torch.float64), atol=1e-3, rtol=0
            )

    def test_no_batches_are_refused(self):
        with pytest.raises(DataError, match="no batch"):
            get("population-statistics", self.model(), [])


class TestEachExample:
    def test_layer_norm_takes_one_example(self):
        norm, x = get("layer-norm", 6).double(), batch(1, 6)
        torch.testing.assert_close(norm(x), nn.LayerNorm(6).double()(x))
        assert norm(x).mean().abs() < 1e-9

    def test_group_norm_is_the_others_at_its_ends(self):
        x = batch(2, 6, 4, 5)
        one, all_ = get("group-norm", 6, groups=1).double(), get("group-norm", 6, groups=6).double()
        torch.testing.assert_close(one(x), get("layer-norm", (6, 4, 5)).double()(x))
        torch.testing.assert_close(all_(x), get("instance-norm", 6).double()(x))
        torch.testing.assert_close(all_(x), nn.InstanceNorm2d(6).double()(x))
        with pytest.raises(ModelError, match="a divisor of 6"):
            get("group-norm", 6, groups=4)

    def test_rms_and_local_response_equal_torch_s(self):
        x = batch(3, 6)
        torch.testing.assert_close(get("rms-norm", 6).double()(x), nn.functional.rms_norm(x, (6,), eps=1e-6))
        maps = batch(2, 7, 3, 3)
        around = nn.functional.pad(maps.square(), (0, 0, 0, 0, 2, 2)).unfold(1, 5, 1).sum(-1)
        torch.testing.assert_close(get("lrn", 7)(maps), maps / (2 + 1e-4 * around) ** 0.75)


class TestWeights:
    def test_weight_norm_has_length_and_direction_apart(self):
        layer = get("weight-norm", nn.Linear(4, 3).double())
        g, v = (getattr(layer.parametrizations.weight, f"original{i}") for i in (0, 1))
        torch.testing.assert_close(layer.weight, g * v / v.norm(dim=1, keepdim=True))

    def test_spectral_norm_stretches_by_at_most_one(self):
        layer = get("spectral-norm", nn.Linear(6, 5).double(), iterations=50)
        assert torch.linalg.matrix_norm(layer.weight, 2).item() == pytest.approx(1, abs=1e-3)
        with pytest.raises(ModelError, match="weight matrix"):
            get("spectral-norm", nn.ReLU())


class TestInputStandardization:
    def test_is_fitted_on_the_training_rows_alone(self):
        x = load_wine().data
        train, rest = torch.from_numpy(x[:120]), torch.from_numpy(x[120:])
        scale = get("input-standardization", train)
        expected = StandardScaler().fit(x[:120])
        np.testing.assert_allclose(scale(rest), expected.transform(x[120:]), atol=1e-10)
        assert not np.allclose(scale(rest), StandardScaler().fit(x).transform(x[120:]))

    def test_conditions_the_problem(self):
        x = torch.from_numpy(load_wine().data)
        centred = get("input-standardization", x)(x)
        assert torch.linalg.cond(x.T @ x).item() == pytest.approx(8.0e7, rel=0.05)
        assert torch.linalg.cond(centred.T @ centred).item() == pytest.approx(45.5, rel=0.01)

    def test_no_examples_are_refused(self):
        with pytest.raises(DataError, match="nothing to standardise"):
            get("input-standardization", torch.zeros(0, 3))
