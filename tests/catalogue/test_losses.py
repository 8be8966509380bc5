"""Every loss against a formula of its own in numpy, scipy or scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from torch import nn

from preceptor.catalogue import find, get
from preceptor.errors import ConfigError

RNG = np.random.default_rng(0)
LOGITS, LABELS = 3 * RNG.normal(size=(50, 4)), RNG.integers(4, size=50)
LOGIT, YES = 3 * RNG.normal(size=50), RNG.integers(2, size=50).astype(float)
VALUES, TRUE = RNG.normal(size=(50, 2)), RNG.normal(size=(50, 2))
ERROR = np.abs(VALUES - TRUE)


def _binary() -> float:
    from sklearn.metrics import log_loss

    return log_loss(YES, 1 / (1 + np.exp(-LOGIT)))


REFERENCES = {
    "cross-entropy": (LOGITS, LABELS, lambda: -log_softmax(LOGITS, axis=1)[np.arange(50), LABELS].mean()),
    "binary-cross-entropy": (LOGIT, YES, _binary),
    "mse": (VALUES, TRUE, lambda: np.square(VALUES - TRUE).mean()),
    "mae": (VALUES, TRUE, lambda: ERROR.mean()),
    "huber": (VALUES, TRUE, lambda: np.where(ERROR <= 1, ERROR**2 / 2, ERROR - 0.5).mean()),
}


def test_every_loss_has_a_reference():
    assert set(REFERENCES) == {e.name for e in find(kind="loss")}


@pytest.mark.parametrize("name", REFERENCES)
def test_loss_equals_its_formula(name: str):
    output, target, reference = REFERENCES[name]
    loss = get(name, kind="loss")(torch.from_numpy(output), torch.from_numpy(target))
    assert loss.item() == pytest.approx(reference(), rel=1e-12)


def test_knowing_nothing_costs_the_logarithm_of_the_number_of_classes():
    y = torch.arange(10)
    assert get("cross_entropy")(torch.zeros(10, 10), y).item() == pytest.approx(math.log(10))
    assert get("bce")(torch.zeros(2), torch.tensor([0.0, 1.0])).item() == pytest.approx(math.log(2))


def test_losses_on_logits_stay_finite_for_any_logit():
    z = torch.tensor([1000.0, -1000.0], requires_grad=True)
    loss = get("bce")(z, torch.tensor([0.0, 1.0]))
    loss.backward()
    assert loss.item() == 1000.0
    assert torch.isfinite(z.grad).all()
    assert get("ce")(torch.tensor([[1000.0, 0.0]]), torch.tensor([1])).item() == 1000.0


def test_two_logits_and_one_logit_are_the_same_loss():
    z, y = torch.from_numpy(LOGIT), torch.from_numpy(YES)
    both = torch.stack([torch.zeros_like(z), z], dim=1)
    torch.testing.assert_close(get("ce")(both, y.long()), get("bce")(z, y))


def test_label_smoothing_mixes_the_target_with_the_uniform_distribution():
    z, y = torch.from_numpy(LOGITS), torch.from_numpy(LABELS)
    soft = 0.9 * nn.functional.one_hot(y, 4).double() + 0.1 / 4
    expected = -(soft * z.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(get("ce", label_smoothing=0.1)(z, y), expected)
    with pytest.raises(ConfigError, match="label_smoothing"):
        get("ce", label_smoothing=1.5)


@pytest.mark.parametrize(("name", "best"), [("mse", 22.0), ("mae", 3.0)])
def test_best_constant_is_the_mean_or_the_median(name: str, best: float):
    y = torch.tensor([[1.0], [2.0], [3.0], [4.0], [100.0]])
    loss = get(name, kind="loss")
    at = {c: loss(torch.full_like(y, c), y).item() for c in (best - 1, best, best + 1)}
    assert min(at, key=at.__getitem__) == best


def test_huber_is_smooth_l1_up_to_its_scale():
    output, target = torch.from_numpy(VALUES), torch.from_numpy(TRUE)
    torch.testing.assert_close(get("smooth-l1")(output, target), nn.SmoothL1Loss()(output, target))
    torch.testing.assert_close(
        get("huber", delta=0.3)(output, target) / 0.3, nn.SmoothL1Loss(beta=0.3)(output, target)
    )
    with pytest.raises(ConfigError, match="delta"):
        get("huber", delta=0)
