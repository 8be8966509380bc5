"""Networks that give densities: they integrate to 1, agree with scikit-learn, and draw what they describe."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture

from preceptor.catalogue import get
from preceptor.errors import ModelError


def grid_of(model: torch.nn.Module, reach: float = 9.0, steps: int = 361) -> tuple[torch.Tensor, float]:
    """Return densities on a grid of two dimensions, and what they sum to."""
    axis = torch.linspace(-reach, reach, steps)
    points = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        p = model.eval()(points).exp().reshape(-1).double()
    return p, float(p.sum()) * float(axis[1] - axis[0]) ** 2


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("gaussian-mixture", {"components": 3}),
        ("gaussian-mixture", {"components": 3, "covariance": "full"}),
        ("masked-autoregressive", {"hidden": (16,), "components": 2}),
    ],
)
def test_a_density_integrates_to_1(name: str, options: dict[str, object]):
    torch.manual_seed(0)
    model = get(name, (2,), 1, **options)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.05 * torch.randn_like(p))
    assert grid_of(model)[1] == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_a_mixture_gives_the_density_of_scikit_learn(covariance: str):
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(0, 1, (80, 3)), rng.normal(2, 0.7, (60, 3))])
    kind = {"diagonal": "diag", "full": "full"}[covariance]
    theirs = GaussianMixture(2, covariance_type=kind, random_state=0).fit(x)
    model = get("gaussian-mixture", (3,), 1, components=2, covariance=covariance, floor=1e-6).double()
    factors = torch.tensor(theirs.precisions_cholesky_)  # uppers: P = factorᵀ is lower triangular
    with torch.no_grad():
        model.weights.copy_(torch.tensor(theirs.weights_).log())
        model.means.copy_(torch.tensor(theirs.means_))
        diagonal = factors if kind == "diag" else factors.diagonal(dim1=1, dim2=2)
        model.scales.copy_(((1 / diagonal - model.floor) / (1 - model.floor)).log())
        if kind == "full":
            model.mixing.copy_(factors.transpose(1, 2))
    got = model(torch.tensor(x)).detach().reshape(-1).numpy()
    np.testing.assert_allclose(got, theirs.score_samples(x), rtol=1e-9)


def test_made_lets_no_number_see_itself_or_a_later_one():
    torch.manual_seed(0)
    model = get("made", (5,), 1, hidden=(20, 20), components=2).double()
    x = torch.randn(1, 5, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda z: model._conditionals(z)[1].sum((0, 2)), x)[:, 0]
    assert torch.equal(jacobian.triu(), torch.zeros(5, 5, dtype=torch.float64))
    assert (jacobian.tril(-1).abs().sum(1)[1:] > 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gaussian-mixture", "masked-autoregressive"])
def test_samples_have_the_moments_of_the_density(name: str):
    torch.manual_seed(1)
    model = get(name, (2,), 1)
    p, _ = grid_of(model)
    axis = torch.linspace(-9, 9, 361)
    points = torch.cartesian_prod(axis, axis).double()
    weights = p / p.sum()
    mean = weights @ points
    deviation = (weights @ (points - mean).square()).sqrt()
    drawn = model.sample(20_000, torch.Generator().manual_seed(0)).double()
    torch.testing.assert_close(drawn.mean(0), mean, atol=0.05, rtol=0)
    torch.testing.assert_close(drawn.std(0), deviation, atol=0.05, rtol=0)


def test_the_bound_of_a_variational_autoencoder_lies_below_the_density_and_nears_it():
    torch.manual_seed(0)
    options = {"hidden": (), "code": 1, "floor": 1e-6}
    model = get("vae", (2,), 1, **options, samples=2000).double().eval()
    with torch.no_grad():  # x = W z + b + σ ε, whose density is a Gaussian's
        w, b = model.decoder[0].weight, model.decoder[0].bias
        sigma2 = model._deviations().square()
        covariance = w @ w.T + sigma2.diag()
        exact = torch.distributions.MultivariateNormal(b, covariance)
        precision = 1 + (w[:, 0].square() / sigma2).sum()  # the true posterior of the code
        model.encoder[0].weight[0] = w[:, 0] / sigma2 / precision
        model.encoder[0].bias[0] = -(w[:, 0] * b / sigma2).sum() / precision
        model.encoder[0].weight[1] = 0.0
        model.encoder[0].bias[1] = -0.5 * precision.log()
        x = torch.randn(6, 2, dtype=torch.float64)
        torch.testing.assert_close(model(x).reshape(-1), exact.log_prob(x))
        model.encoder[0].bias[1] += math.log(
            1.5
        )  # another posterior: the bound is lower, but for few draws' luck
        few = get("vae", (2,), 1, **options, samples=1).double().train()
        few.load_state_dict(model.state_dict())
        bound = torch.stack([few(x).reshape(-1) for _ in range(500)]).mean(0)
        assert (bound < exact.log_prob(x)).all()


def test_a_variational_autoencoder_is_without_chance_in_evaluation_alone():
    model = get("vae", (4,), 1, hidden=(8,), code=2)
    x = torch.randn(3, 4)
    assert not torch.equal(model.train()(x), model(x))
    assert torch.equal(model.eval()(x), model(x))
    assert model.encode(x).shape == (3, 2)


def test_the_error_of_reconstruction_is_half_the_squared_distance_and_has_no_samples():
    model = get("reconstruction-error", (1, 2, 2), 1, hidden=8, code=2).eval()
    x = torch.randn(3, 1, 2, 2)
    expected = -0.5 * (x.flatten(1) - model.coder(x.flatten(1))).square().sum(1)
    torch.testing.assert_close(model(x).reshape(-1), expected)
    with pytest.raises(ModelError, match="cannot draw"):
        model.sample(2)
    with pytest.raises(ModelError, match="gives a log-density"):
        get("gaussian-mixture", (4,), 3)
