"""Regularizers: what each does to weights, losses, examples and outputs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from sklearn.linear_model import Lasso
from torch import nn

from preceptor.catalogue import get
from preceptor.errors import ConfigError, ModelError


def net(bias: bool = True) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(4, 6, bias=bias), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 1, bias=bias)
    ).double()


def data(n: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(n, 4, generator=generator, dtype=torch.float64)
    return x, torch.randn(n, 1, generator=generator, dtype=torch.float64)


def steps(
    model: nn.Module, *, made=None, lr: float = 0.1, count: int = 20, **options: float
) -> list[torch.Tensor]:
    """Train by plain gradient descent with one regularizer, and return the parameters."""
    x, y = data()
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, **options)
    part = made.attach(model) if made else None
    for _ in range(count):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        if part and type(part).__name__ in ("ElasticNet", "L1"):
            loss = loss + part.penalty()
        loss.backward()
        if part:
            part.before_step(lr)
        optimizer.step()
        if part:
            part.after_step(lr)
    return [p.detach() for p in model.parameters()]


class TestL2:
    def test_penalty_and_decay_agree_for_gradient_descent(self):
        penalised = steps(net(), made=get("l2", kind="regularizer", strength=0.3))
        decayed = steps(net(), made=get("weight-decay", strength=0.3))
        for a, b in zip(penalised, decayed, strict=True):
            torch.testing.assert_close(a, b, atol=1e-12, rtol=0)

    def test_with_every_parameter_it_is_torch_s_weight_decay(self):
        own = steps(net(), made=get("l2", kind="regularizer", strength=0.3, bias=True))
        for a, b in zip(own, steps(net(), weight_decay=0.3), strict=True):
            torch.testing.assert_close(a, b, atol=1e-12, rtol=0)

    def test_biases_and_normalisations_are_left_out(self):
        model = net()
        for p in model.parameters():
            nn.init.ones_(p)
        assert get("l2", kind="regularizer", strength=2.0).attach(model).penalty().item() == 4 * 6 + 6
        every = get("l2", kind="regularizer", strength=2.0, bias=True).attach(model).penalty().item()
        assert every == 4 * 6 + 6 + 6 + 12 + 1

    def test_without_the_half_the_same_strength_shrinks_twice_as_much(self):
        double = steps(net(), made=get("l2", kind="regularizer", strength=0.3, half=False))
        for a, b in zip(double, steps(net(), made=get("weight-decay", strength=0.6)), strict=True):
            torch.testing.assert_close(a, b, atol=1e-12, rtol=0)

    def test_subtracting_the_penalty_itself_is_no_decay(self):
        layer = nn.Linear(2, 1, bias=False).double()
        layer.weight.data = torch.tensor([[-1.0, 1.0]], dtype=torch.float64)
        get("weight-decay", strength=0.1).attach(layer).before_step(lr=1.0)
        torch.testing.assert_close(layer.weight.detach(), torch.tensor([[-0.9, 0.9]], dtype=torch.float64))
        w = torch.tensor([-1.0, 1.0])
        torch.testing.assert_close(w - 0.1 * w.square().sum(), torch.tensor([-1.2, 0.8]))


class TestL1:
    def test_a_step_shrinks_by_the_rate_times_the_strength(self):
        layer = nn.Linear(2, 1, bias=False).double()
        layer.weight.data = torch.tensor([[-1.0, 2.0]], dtype=torch.float64)
        part = get("l1", kind="regularizer", strength=0.5).attach(layer)
        part.penalty().backward()
        torch.optim.SGD(layer.parameters(), lr=0.1).step()
        torch.testing.assert_close(layer.weight.detach(), torch.tensor([[-0.95, 1.95]], dtype=torch.float64))

    @pytest.mark.slow
    def test_proximal_steps_reach_the_lasso_with_its_zeros(self):
        rng = np.random.default_rng(0)
        x = rng.standard_normal((100, 50))
        y = x[:, :8] @ rng.uniform(1, 2, 8) + 0.1 * rng.standard_normal(100)
        lasso = Lasso(alpha=0.2, fit_intercept=False, tol=1e-12, max_iter=100_000).fit(x, y).coef_
        zeros = {}
        for name, options in (("l1", {"method": "proximal"}), ("l1", {}), ("l2", {})):
            layer = nn.Linear(50, 1, bias=False).double()
            nn.init.zeros_(layer.weight)
            part = get(name, kind="regularizer", strength=0.2, **options).attach(layer)
            optimizer = torch.optim.SGD(layer.parameters(), lr=0.2)
            for _ in range(400):
                optimizer.zero_grad()
                residual = layer(torch.from_numpy(x))[:, 0] - torch.from_numpy(y)
                (residual.square().mean() / 2 + part.penalty()).backward()
                optimizer.step()
                part.after_step(0.2)
            zeros[name, bool(options)] = int((layer.weight == 0).sum())
            if options:
                np.testing.assert_allclose(layer.weight.detach().numpy()[0], lasso, atol=1e-8)
        assert zeros["l1", True] == (lasso == 0).sum() > 35
        assert zeros["l1", False] == zeros["l2", False] == 0

    def test_elastic_net_lies_between(self):
        model = net()
        one, two = (get(k, kind="regularizer", strength=0.1).attach(model).penalty() for k in ("l1", "l2"))
        both = get("elastic-net", strength=0.1, ratio=0.3).attach(model).penalty()
        torch.testing.assert_close(both, 0.3 * one + 0.7 * two)


class TestConstraints:
    def test_max_norm_bounds_each_unit_and_leaves_short_ones_alone(self):
        model = net()
        model[0].weight.data[0] *= 100
        before = model[0].weight.detach().clone()
        get("max-norm", limit=1.0).attach(model).after_step(0.1)
        norms = model[0].weight.norm(dim=1)
        assert norms[0].item() == pytest.approx(1)
        assert (norms <= 1 + 1e-9).all()
        short = before.norm(dim=1) <= 1
        assert torch.equal(model[0].weight[short], before[short])
        expected = torch.renorm(before, 2, 0, 1.0)
        torch.testing.assert_close(model[0].weight.detach(), expected, atol=1e-6, rtol=0)

    def test_shared_parameters_are_one_with_the_sum_of_the_gradients(self):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Tanh(), nn.Linear(3, 3, bias=False)).double()
        apart = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Tanh(), nn.Linear(3, 3, bias=False)).double()
        get("tie-hard", [["0.weight", "2.weight"]]).attach(model)
        assert len(list(model.parameters())) == 1
        apart.load_state_dict(model.state_dict())
        x = data()[0][:, :3]
        model(x).square().sum().backward()
        apart(x).square().sum().backward()
        torch.testing.assert_close(model[0].weight.grad, apart[0].weight.grad + apart[2].weight.grad)

    @pytest.mark.slow
    def test_tied_parameters_meet_as_the_strength_grows(self):
        distances = []
        for strength in (0.0, 0.1, 1.0, 10.0):
            torch.manual_seed(0)
            model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)).double()
            target = nn.Linear(2, 2, bias=False).double()
            part = get("tie-soft", [("0.weight", "1.weight")], strength=strength).attach(model)
            optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
            x = data(40)[0][:, :2]
            for _ in range(300):
                optimizer.zero_grad()
                (nn.functional.mse_loss(model(x), target(x).detach()) + part.penalty()).backward()
                optimizer.step()
            distances.append((model[0].weight - model[1].weight).norm().item())
        assert distances == sorted(distances, reverse=True)
        assert distances[-1] < 0.05 * distances[0]

    def test_names_that_are_not_there_are_refused(self):
        for name in ("parameter-sharing", "parameter-tying"):
            with pytest.raises(ConfigError, match="no such parameter"):
                get(name, [["0.weight", "9.weight"]]).attach(net())
            with pytest.raises(ConfigError, match="needs parameters"):
                get(name, ["0.weight"])
        with pytest.raises(ConfigError, match="differ in shape"):
            get("parameter-sharing", [["0.weight", "3.weight"]]).attach(net())


class TestDropout:
    @pytest.mark.parametrize("p", [0.2, 0.5, 0.7])
    def test_classic_and_inverted_dropout_agree_at_test(self, p: float):
        x = torch.rand(1, 20_000, dtype=torch.float64)
        inverted, classic = get("dropout", p=p), get("classic-dropout", p=p)
        torch.manual_seed(0)
        for module in (inverted, classic):
            torch.testing.assert_close(module.train()(x).mean(), module.eval()(x).mean(), rtol=0.03, atol=0)
        assert torch.equal(inverted(x), x)
        torch.testing.assert_close(classic(x), (1 - p) * x)

    def test_the_factor_is_what_is_kept_and_not_what_is_dropped(self):
        x = torch.ones(1, 50_000)
        torch.manual_seed(0)
        trained = get("classic-dropout", p=0.2).train()(x).mean().item()
        assert trained == pytest.approx(0.8, abs=0.01)
        assert trained == pytest.approx(
            4 * 0.2, abs=0.02
        )  # what p in place of 1 − p makes four times too small

    def test_scaled_weights_are_the_geometric_mean_of_all_masks(self):
        torch.manual_seed(0)
        layer = nn.Linear(7, 4).double()
        x = torch.randn(3, 7, dtype=torch.float64)
        for p in (0.2, 0.5):
            scaled = layer((1 - p) * x).softmax(1)
            torch.testing.assert_close(get("dropout-geo", layer, x, p=p), scaled, atol=1e-6, rtol=0)
            masks = itertools.product((0.0, 1.0), repeat=7)
            arithmetic = sum(
                (1 - p) ** sum(m) * p ** (7 - sum(m)) * layer(torch.tensor(m).double() * x).softmax(1)
                for m in masks
            )
            assert not torch.allclose(arithmetic, scaled, atol=1e-3)
        with pytest.raises(ModelError, match="too many"):
            get("dropout-ensemble", nn.Linear(17, 2), torch.zeros(1, 17))


class TestDropConnect:
    def model(self) -> nn.Sequential:
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 2)).double()

    def test_masks_single_weights_in_training_alone(self):
        model = self.model()
        weight = model[0].weight
        get("dropconnect", p=0.5).attach(model)
        x = torch.eye(5, dtype=torch.float64)
        model.train()
        seen: list[torch.Tensor] = []
        model[0].register_forward_hook(lambda m, i, o: seen.append(o.detach() - m.bias))
        model(x)
        kept = seen[0].T / weight.detach()
        assert set(kept.round(decimals=6).flatten().tolist()) == {0.0, 2.0}
        assert kept.shape == weight.shape
        assert model[0].weight is weight
        reference = self.model()
        torch.testing.assert_close(model.eval()(x), reference(x))

    def test_gradients_pass_through_the_mask(self):
        model = self.model()
        get("dropconnect", p=0.5).attach(model)
        model.train()(torch.ones(1, 5, dtype=torch.float64)).sum().backward()
        assert model[0].weight.grad is not None
        assert {"0.weight", "0.bias"} <= set(model.state_dict())

    def test_a_model_without_hidden_layers_is_refused(self):
        with pytest.raises(ModelError, match="no hidden layer"):
            get("dropconnect").attach(nn.Linear(2, 2))

    @pytest.mark.slow
    def test_gaussian_moments_come_nearer_to_the_mean_of_all_masks(self):
        torch.manual_seed(0)
        mean, moments = (
            get("dropconnect-layer", 40, 6, inference=how).double() for how in ("mean", "moments")
        )
        moments.load_state_dict(mean.state_dict())
        x = torch.randn(3, 40, dtype=torch.float64)
        exact = torch.stack([mean.train()(x) for _ in range(4000)]).mean(0).detach()
        errors = [(layer.eval()(x) - exact).abs().max().item() for layer in (mean, moments)]
        assert errors[1] < 0.1 * errors[0]


class TestNoise:
    def test_only_in_training_and_as_large_as_set(self):
        x = torch.zeros(50_000)
        torch.manual_seed(0)
        for name in ("input-noise", "hidden-noise"):
            module = get(name, std=0.3)
            assert module.train()(x).std().item() == pytest.approx(0.3, rel=0.02)
            assert torch.equal(module.eval()(x), x)

    def test_clean_weights_come_back_after_a_whole_sequence(self):
        torch.manual_seed(0)
        rnn = nn.RNN(3, 4)
        clean = {k: v.clone() for k, v in rnn.state_dict().items()}
        noise = get("weight-noise", std=0.1).attach(rnn)
        noise.perturb()
        x = torch.randn(9, 2, 3)
        noisy = {k: v.clone() for k, v in rnn.state_dict().items()}
        output = rnn(x)[0]
        output.square().sum().backward()
        assert torch.equal(noisy["weight_hh_l0"], rnn.weight_hh_l0)  # one noise for all nine steps
        noise.restore()
        assert all(torch.equal(value, clean[key]) for key, value in rnn.state_dict().items())
        other = nn.RNN(3, 4)
        other.load_state_dict(noisy)
        other(x)[0].square().sum().backward()
        torch.testing.assert_close(rnn.weight_hh_l0.grad, other.weight_hh_l0.grad)

    def test_gradient_noise_fades(self):
        layer = nn.Linear(200, 200)
        noise = get("annealed-gradient-noise", eta=1.0, gamma=0.55).attach(layer)
        stds = []
        for _ in range(3):
            layer.weight.grad = torch.zeros_like(layer.weight)
            noise.gradients()
            stds.append(layer.weight.grad.std().item())
        assert stds == pytest.approx([(1 + t) ** -0.275 for t in range(3)], rel=0.02)

    def test_targets_change_as_often_as_set(self):
        torch.manual_seed(0)
        y = torch.randint(4, (40_000,))
        x, noisy = get("target-noise", share=0.2).examples(None, y)
        assert x is None
        assert (noisy != y).float().mean().item() == pytest.approx(0.2 * 0.75, abs=0.01)
        numbers = torch.zeros(40_000, 1)
        assert get("target-noise", std=0.5).examples(None, numbers)[1].std().item() == pytest.approx(
            0.5, rel=0.02
        )

    def test_smoothed_labels_are_torch_s(self):
        z = torch.randn(6, 4, dtype=torch.float32)
        y = torch.tensor([0, 1, 2, 3, 0, 1])
        smooth = get("label-smoothing", kind="regularizer", epsilon=0.2)
        loss = nn.functional.cross_entropy(z, y)
        expected = nn.functional.cross_entropy(z, y, label_smoothing=0.2)
        torch.testing.assert_close(smooth.objective(loss, z, y), expected)
        one, two = torch.randn(6, 1), torch.tensor([0, 1, 1, 0, 1, 0])
        plain = nn.functional.binary_cross_entropy_with_logits(one[:, 0], two.float())
        expected = nn.functional.binary_cross_entropy_with_logits(one[:, 0], 0.8 * two + 0.1)
        torch.testing.assert_close(smooth.objective(plain, one, two), expected)
        with pytest.raises(ConfigError, match="needs classes"):
            smooth.objective(loss, z, torch.randn(6))

    def test_confidence_is_penalised_by_the_entropy(self):
        z, y = torch.randn(5, 3), torch.zeros(5, dtype=torch.long)
        entropy = torch.distributions.Categorical(logits=z).entropy().mean()
        found = get("confidence-penalty", strength=0.5).objective(torch.tensor(1.0), z, y)
        torch.testing.assert_close(found, 1 - 0.5 * entropy)


class TestProcedures:
    def test_clipping_keeps_the_direction_and_counts(self):
        clip = get("clip", max_norm=1.0)
        w = torch.zeros(2, requires_grad=True)
        for gradient in ((3.0, 4.0), (0.3, 0.4)):
            w.grad = torch.tensor(gradient)
            norm = clip([w])
            torch.testing.assert_close(norm, torch.tensor(gradient).norm())
            expected = torch.tensor(gradient) / max(1.0, float(norm))
            torch.testing.assert_close(w.grad, expected, atol=1e-5, rtol=0)
        assert clip.share == 0.5
        other = get("clip", max_norm=1.0)
        other.load_state_dict(clip.state_dict())
        assert other.share == 0.5

    def test_settings(self):
        assert get("early-stopping", patience=4, min_delta=0.1).settings() == {
            "training.patience": 4,
            "training.min_delta": 0.1,
            "training.restore_best": True,
        }
        assert get("gradient-clipping", max_norm=2.0).settings() == {"training.max_grad_norm": 2.0}

    def test_noise_of_small_batches_is_that_of_their_mean(self):
        torch.manual_seed(0)
        gradients = torch.randn(50, 3)
        for size in (1, 4, 16):
            drawn = gradients[torch.randint(50, (20_000, size))].mean(1)
            measured = (drawn - gradients.mean(0)).square().sum(1).mean()
            expected = get("sgd-noise", batch_size=size).noise(gradients)
            torch.testing.assert_close(measured, expected, rtol=0.05, atol=0)


def test_spatial_dropout_silences_whole_maps():
    torch.manual_seed(0)
    drop = get("spatial-dropout", p=0.5)
    y = drop(torch.ones(200, 8, 3, 3, dtype=torch.float64))
    assert set(y.flatten().tolist()) == {0.0, 2.0}
    assert torch.equal(y, y[..., :1, :1].expand_as(y))
    assert float(y.mean()) == pytest.approx(1.0, abs=0.1)
    assert torch.equal(drop.eval()(torch.ones(2, 8, 3, 3)), torch.ones(2, 8, 3, 3))
