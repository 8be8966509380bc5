"""Estimates against closed forms, scipy and scikit-learn; risks against their definitions."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.stats
import torch
from torch.nn import functional

from preceptor.catalogue import get
from preceptor.errors import ConfigError, DataError, ModelError, UnknownName

NINE = torch.tensor([2.1, 3.4, 1.7, 5.0, 4.2, 2.8, 3.9, 3.1, 4.4], dtype=torch.float64)


@pytest.mark.parametrize(
    ("family", "samples"),
    [
        ("normal", NINE),
        ("normal", 1e4 + NINE),
        ("bernoulli", torch.tensor([1, 1, 0, 1, 0, 1, 1])),
        ("categorical", torch.tensor([0, 2, 1, 2, 2, 0, 3, 2])),
    ],
)
def test_climbing_the_likelihood_ends_at_the_closed_form(family: str, samples: torch.Tensor):
    closed = get("mle", samples, family=family)
    climbed = get("mle", samples, family=family, method="gradient")
    torch.testing.assert_close(climbed, closed, rtol=1e-5, atol=1e-5)


def test_a_gaussian_s_estimates_are_those_of_scipy():
    mean, std = scipy.stats.norm.fit(NINE.numpy())
    torch.testing.assert_close(
        get("maximum-likelihood", NINE), torch.tensor([mean, std], dtype=torch.float64)
    )
    found_mean, variance = get("gauss-mle", NINE)
    assert found_mean.item() == pytest.approx(mean)
    assert variance.item() == pytest.approx(std**2)
    assert get("gauss-mle", NINE, unbiased=True)[1].item() == pytest.approx(std**2 * 9 / 8)


def test_the_likelihood_peaks_at_the_sample_mean_where_its_gradient_is_zero():
    grid = torch.linspace(2, 5, 301, dtype=torch.float64)
    curve = torch.stack([get("log-likelihood", NINE, torch.tensor([m, 1.0])) for m in grid.tolist()])
    assert grid[curve.argmax()].item() == pytest.approx(NINE.mean().item(), abs=0.01)
    theta = torch.tensor([NINE.mean(), NINE.std(correction=0)], requires_grad=True)
    get("log-likelihood", NINE, theta).backward()
    assert theta.grad.abs().max() < 1e-6
    assert curve[0].item() == pytest.approx(scipy.stats.norm.logpdf(NINE.numpy(), 2.0).sum())


def test_the_variance_of_nine_samples_comes_out_an_eighth_too_small():
    draws = torch.randn(20_000, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    estimates = torch.stack([get("gauss-mle", row)[1] for row in draws[:3000]])
    assert estimates.mean().item() == pytest.approx(8 / 9, abs=0.02)


def test_a_family_of_your_own_is_climbed():
    waits = scipy.stats.expon.rvs(scale=2.5, size=400, random_state=0)
    found = get(
        "mle", torch.from_numpy(waits), family=lambda x, t: t[0] - t[0].exp() * x, start=torch.zeros(1)
    )
    assert found.exp().item() == pytest.approx(1 / waits.mean(), rel=1e-6)
    with pytest.raises(ConfigError, match="a place to start"):
        get("mle", NINE, family=lambda x, t: t)


def _regression() -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(1)
    x = torch.randn(60, 5, generator=g, dtype=torch.float64)
    w = torch.tensor([2.0, 0.0, -1.0, 0.0, 0.5], dtype=torch.float64)
    return x, x @ w + 0.3 * torch.randn(60, generator=g, dtype=torch.float64)


def test_a_gaussian_prior_is_ridge_a_laplace_prior_lasso_and_a_flat_one_nothing():
    from sklearn.linear_model import Lasso, Ridge

    x, y = _regression()

    def fit(theta: torch.Tensor) -> torch.Tensor:
        return -(y - x @ theta).square().sum() / 2

    def found(prior: str, precision: float = 7.0) -> np.ndarray:
        return get("map", fit, torch.zeros(5), prior=prior, precision=precision).numpy()

    ridge = Ridge(alpha=7.0, fit_intercept=False, tol=1e-12).fit(x, y).coef_
    lasso = Lasso(alpha=7.0 / 60, fit_intercept=False, tol=1e-12).fit(x, y).coef_
    assert abs(found("gaussian") - ridge).max() < 1e-6
    assert abs(found("laplace") - lasso).max() < 1e-6
    assert (found("laplace", 20.0) == 0).any()
    flat = np.linalg.lstsq(x.numpy(), y.numpy(), rcond=None)[0]
    assert abs(found("uniform") - flat).max() < 1e-6
    assert abs(found("gaussian", 0.0) - flat).max() < 1e-6


def test_the_conditional_log_likelihood_is_minus_the_sum_of_the_losses():
    torch.manual_seed(0)
    z, y = torch.randn(8, 3), torch.randint(3, (8,))
    torch.testing.assert_close(
        get("cond-ll", z, y), -functional.nll_loss(z.log_softmax(1), y, reduction="sum")
    )
    t = torch.rand(8)
    expected = torch.distributions.Bernoulli(logits=z[:, 0]).log_prob((t > 0.5).float()).sum()
    torch.testing.assert_close(get("cond-ll", z[:, 0], (t > 0.5).float(), family="bernoulli"), expected)
    expected = torch.distributions.Normal(z[:, 0], 1.0).log_prob(t).sum()
    torch.testing.assert_close(get("cond-ll", z[:, 0], t, family="normal"), expected)
    with pytest.raises(ModelError, match="do not belong together"):
        get("cond-ll", z, t[:5].long())


def test_empirical_risk_is_the_mean_of_the_examples_losses():
    torch.manual_seed(0)
    output, target = torch.randn(6, 2), torch.randn(6, 2)
    whole = functional.mse_loss(output, target)
    torch.testing.assert_close(get("erm", output, target), whole)
    torch.testing.assert_close(get("erm", output, target, reduction="sum"), 6 * whole)
    one_by_one = torch.stack([get("erm", output[i : i + 1], target[i : i + 1]) for i in range(6)])
    torch.testing.assert_close(one_by_one.mean(), whole)
    own = get("erm", output, target, loss=lambda o, t: (o - t).abs().amax(1))
    torch.testing.assert_close(own, (output - target).abs().amax(1).mean())
    with pytest.raises(ConfigError, match="6 losses"):
        get("erm", output, target, loss=functional.mse_loss)


def test_an_expectation_weighs_by_probability():
    values, p = torch.arange(1.0, 7.0), torch.full((6,), 1 / 6)
    assert get("expectation", values, p).item() == pytest.approx(3.5)
    uniform = get("expectation", values.expand(2, 6), p.expand(2, 6))
    torch.testing.assert_close(uniform, torch.full((2,), 3.5))
    with pytest.raises(ConfigError, match="a sum of 1"):
        get("expectation", values, values)


def test_a_regularised_objective_is_the_sum_of_its_parts():
    weight, bias = torch.tensor([[3.0, -4.0]]), torch.tensor([100.0])
    for penalty, size in (("l2", 12.5), ("l1", 7.0)):
        found = get("reg-obj", torch.tensor(2.0), [weight, bias], alpha=0.1, penalty=penalty)
        assert found.penalty.item() == pytest.approx(0.1 * size)
        assert found.objective.item() == pytest.approx(found.data.item() + found.penalty.item())


def test_proper_scores_are_best_served_by_the_truth_and_others_are_not():
    p = torch.arange(1, 10, dtype=torch.float64) / 10
    for score in ("log", "brier"):
        torch.testing.assert_close(get("proper-scoring-rule", p, score=score), p, rtol=0, atol=1e-6)
    best = get("proper", p, score="absolute")
    torch.testing.assert_close(best[p != 0.5], (p > 0.5).double()[p != 0.5])
    with pytest.raises(ConfigError, match="no probabilities"):
        get("proper", torch.tensor([1.5]))


def test_accuracy_is_flat_between_flips_and_its_surrogate_is_not():
    torch.manual_seed(0)
    x, y = torch.randn(50), torch.randint(2, (50,))
    steps = torch.linspace(-1, 1, 2001)
    accuracy = torch.stack([((x + b > 0).long() == y).float().mean() for b in steps])
    assert (accuracy.diff() == 0).float().mean() > 0.95
    b = torch.tensor(0.1, requires_grad=True)
    assert get("surrogate-loss", "accuracy") == "cross-entropy"
    get("bce")(x + b, y.float()).backward()
    assert b.grad != 0
    assert (get("surrogate", "r2"), get("surrogate", "mae")) == ("mse", "mae")
    with pytest.raises(UnknownName):
        get("surrogate-loss", "accurracy")


def test_a_posterior_sums_to_one_and_is_bayes_rule():
    channel, prior = torch.rand(4, 6, dtype=torch.float64), torch.rand(6, dtype=torch.float64)
    prior /= prior.sum()
    found = get("noisy-channel", channel.log(), prior.log())
    torch.testing.assert_close(found.sum(-1), torch.ones(4, dtype=torch.float64))
    torch.testing.assert_close(found, channel * prior / (channel * prior).sum(-1, keepdim=True))
    with pytest.raises(ModelError, match="one alphabet"):
        get("noisy-channel", channel.log(), prior[:5].log())


def test_a_prior_over_letters_mends_what_the_channel_spoils():
    words = "the cat sat on the mat and the rat ran at the fat cat " * 40
    letters = sorted(set(words))
    text = torch.tensor([letters.index(c) for c in words])
    size = len(letters)
    counts = torch.ones(size, size, dtype=torch.float64) * 0.1
    counts.index_put_((text[:-1], text[1:]), torch.ones(len(text) - 1, dtype=torch.float64), accumulate=True)
    transition = (counts / counts.sum(1, keepdim=True)).log()
    start = torch.full((size,), 1 / size, dtype=torch.float64).log()
    g = torch.Generator().manual_seed(0)
    sent = text[:300]
    spoilt = torch.rand(300, generator=g) < 0.25
    heard = torch.where(spoilt, torch.randint(size, (300,), generator=g), sent)
    channel = torch.full((300, size), 0.25 / size, dtype=torch.float64)
    channel[torch.arange(300), heard] += 0.75
    plain = (channel.argmax(1) == sent).double().mean()
    mended = (get("noisy-channel-decoding", channel.log(), transition, start) == sent).double().mean()
    assert mended > plain + 0.1
    with pytest.raises(ModelError, match=r"\(T, S\)"):
        get("viterbi", channel.log(), transition[:3], start)


def test_the_decoded_path_is_the_best_of_all():
    g = torch.Generator().manual_seed(3)
    channel, move, start = (torch.rand(s, generator=g).log() for s in ((4, 3), (3, 3), (3,)))

    def score(path: tuple[int, ...]) -> float:
        total = start[path[0]] + sum(channel[t, s] for t, s in enumerate(path))
        return float(total + sum(move[a, b] for a, b in itertools.pairwise(path)))

    best = max(itertools.product(range(3), repeat=4), key=score)
    assert tuple(get("viterbi", channel, move, start).tolist()) == best


def test_a_sentence_s_product_underflows_and_its_logarithm_does_not():
    words = torch.full((400,), 0.1, dtype=torch.float64)
    assert words.prod().item() == 0.0
    assert get("chain-prob", words).item() == pytest.approx(-921.034, abs=1e-3)
    assert get("chain-prob", torch.tensor([0.5, 0.0])).item() == -math.inf
    with pytest.raises(ConfigError, match="no probabilities"):
        get("chain-prob", torch.tensor([2.0]))


def test_nothing_can_be_estimated_from_nothing():
    for name in ("mle", "gauss-mle"):
        with pytest.raises(DataError, match="needs samples"):
            get(name, torch.tensor([]))
    with pytest.raises(ConfigError, match="family"):
        get("mle", NINE, family="poisson")
    with pytest.raises(ConfigError, match="2 numbers"):
        get("log-likelihood", NINE, torch.zeros(3))
