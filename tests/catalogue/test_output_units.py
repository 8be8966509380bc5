"""Output units as probabilities."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from preceptor.catalogue import get
from preceptor.errors import ConfigError, ModelError


def test_softmax_of_one_two_three():
    p = get("softmax")(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    assert p.tolist() == pytest.approx([0.09003057, 0.24472847, 0.66524096], abs=1e-8)


def test_softmax_is_shift_invariant_and_survives_large_logits():
    z = torch.randn(5, 4, dtype=torch.float64)
    softmax = get("softmax")
    torch.testing.assert_close(softmax(z), softmax(z + 100.0), rtol=1e-12, atol=1e-12)
    assert softmax(torch.tensor([1000.0, 0.0])).tolist() == [1.0, 0.0]


def test_sigmoid_is_the_softmax_of_zero_and_the_logit():
    z = torch.randn(9, dtype=torch.float64)
    both = get("softmax")(torch.stack([torch.zeros_like(z), z], dim=1))
    torch.testing.assert_close(get("sigmoid", kind="output-unit")(z), both[:, 1])


def test_identity_changes_nothing():
    z = torch.randn(3, 2)
    assert torch.equal(get("identity", kind="output-unit")(z), z)


@pytest.mark.parametrize(
    ("temperature", "entropy"),
    [(0.1, 0.0005), (0.5, 0.441), (1.0, 0.8324), (2.0, 1.020), (10.0, 1.095), (100.0, 1.0986)],
)
def test_temperature_flattens(temperature: float, entropy: float):
    p = get("softmax-with-temperature", temperature=temperature)(torch.tensor([1.0, 2.0, 3.0]))
    assert -(p * p.log()).sum().item() == pytest.approx(entropy, abs=6e-4)
    assert p.argmax().item() == 2
    if temperature == 0.1:
        assert p.max().item() == pytest.approx(0.99995, abs=1e-5)


def test_a_temperature_must_be_positive():
    with pytest.raises(ConfigError, match="temperature"):
        get("softmax", temperature=0.0)


def test_log_softmax_is_the_logarithm_of_softmax_and_finite_beyond_it():
    z = torch.randn(5, 4, dtype=torch.float64)
    torch.testing.assert_close(get("log-softmax")(z), get("softmax")(z).log())
    far = torch.tensor([1000.0, 0.0])
    assert get("log-softmax")(far).tolist() == [0.0, -1000.0]
    assert (far.exp() / far.exp().sum()).isnan().any()


def test_the_jacobian_of_softmax_is_what_autograd_finds():
    z = torch.randn(4, dtype=torch.float64)
    found = torch.func.jacrev(lambda v: v.softmax(-1))(z)
    torch.testing.assert_close(get("softmax-jacobian", z), found)
    batch = torch.randn(3, 2, 4)
    assert get("softmax-jac", batch).shape == (3, 2, 4, 4)
    torch.testing.assert_close(get("softmax-jac", batch).sum(-1), torch.zeros(3, 2, 4))
    with pytest.raises(ModelError, match="single number"):
        get("softmax-jacobian", torch.tensor(1.0))


def test_a_linear_unit_with_unit_variance_is_squared_error():
    y, mean = torch.randn(9, dtype=torch.float64), torch.randn(9, dtype=torch.float64)
    shown = get("gaussian-mean", kind="output-unit")(mean)
    log_density = torch.distributions.Normal(shown, 1.0).log_prob(y)
    rest = -log_density - (y - mean).square() / 2
    torch.testing.assert_close(rest, torch.full_like(rest, 0.9189385332))


def test_sigmoid_outputs_of_a_logistic_fit_are_calibrated():
    from sklearn.calibration import calibration_curve

    g = torch.Generator().manual_seed(0)
    x = torch.randn(20_000, generator=g, dtype=torch.float64)
    y = (torch.rand(20_000, generator=g, dtype=torch.float64) < (2 * x - 0.5).sigmoid()).double()
    theta = get(
        "mle", torch.stack([x, y], 1), family=lambda s, t: -nn.functional.binary_cross_entropy_with_logits(
            t[0] * s[:, 0] + t[1], s[:, 1], reduction="none"), start=torch.zeros(2),
    )  # fmt: skip
    p = get("bernoulli", kind="output-unit")(theta[0] * x + theta[1])
    true, predicted = calibration_curve(y.numpy(), p.numpy(), n_bins=10)
    assert abs(true - predicted).max() < 0.05
