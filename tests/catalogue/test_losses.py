"""Every loss against a formula of its own in numpy, scipy or scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from scipy.stats import norm
from torch import nn

from preceptor.catalogue import find, get
from preceptor.catalogue.losses import training_loss
from preceptor.errors import ConfigError, ModelError, UnknownName

RNG = np.random.default_rng(0)
LOGITS, LABELS = 3 * RNG.normal(size=(50, 4)), RNG.integers(4, size=50)
LOGIT, YES = 3 * RNG.normal(size=50), RNG.integers(2, size=50).astype(float)
VALUES, TRUE = RNG.normal(size=(50, 2)), RNG.normal(size=(50, 2))
ERROR = np.abs(VALUES - TRUE)


def _binary() -> float:
    from sklearn.metrics import log_loss

    return log_loss(YES, 1 / (1 + np.exp(-LOGIT)))


def _margins() -> np.ndarray:
    lead = LOGITS - LOGITS[np.arange(50), LABELS][:, None] + 1
    lead[np.arange(50), LABELS] = 0
    return np.maximum(lead, 0)


def _soft() -> np.ndarray:
    return 0.9 * np.eye(4)[LABELS] + 0.1 / 4


ONE = np.eye(4)[LABELS]
IMAGE = np.ascontiguousarray(LOGITS.T[None])  # one image of 50 pixels


def _dice_loss() -> float:
    shares = np.exp(log_softmax(LOGITS, axis=1))
    return (1 - (2 * (shares * ONE).sum(0) + 1) / (shares.sum(0) + ONE.sum(0) + 1)).mean()


REFERENCES = {
    "cross-entropy": (LOGITS, LABELS, lambda: -log_softmax(LOGITS, axis=1)[np.arange(50), LABELS].mean()),
    "binary-cross-entropy": (LOGIT, YES, _binary),
    "mse": (VALUES, TRUE, lambda: np.square(VALUES - TRUE).mean()),
    "mae": (VALUES, TRUE, lambda: ERROR.mean()),
    "half-mse": (VALUES, TRUE, lambda: np.square(VALUES - TRUE).sum(1).mean() / 2),
    "gaussian-nll": (VALUES, TRUE, lambda: -norm.logpdf(TRUE, VALUES).mean()),
    "hinge": (LOGITS, LABELS, lambda: _margins().sum(1).mean()),
    "smoothed-cross-entropy": (
        LOGITS,
        LABELS,
        lambda: -(_soft() * log_softmax(LOGITS, axis=1)).sum(1).mean(),
    ),
    "sequence-cross-entropy": (
        LOGITS,
        LABELS,
        lambda: -log_softmax(LOGITS, axis=1)[np.arange(50), LABELS].mean(),
    ),
    "negative-log-likelihood": (
        log_softmax(LOGITS, axis=1),
        LABELS,
        lambda: -log_softmax(LOGITS, axis=1)[np.arange(50), LABELS].mean(),
    ),
    "binary-cross-entropy-on-probabilities": (1 / (1 + np.exp(-LOGIT)), YES, _binary),
    "pixel-cross-entropy": (IMAGE, LABELS[None], lambda: -(ONE * log_softmax(LOGITS, axis=1)).sum(1).mean()),
    "dice-loss": (IMAGE, LABELS[None], _dice_loss),
    "cross-entropy-dice": (
        IMAGE,
        LABELS[None],
        lambda: (_dice_loss() - (ONE * log_softmax(LOGITS, axis=1)).sum(1).mean()) / 2,
    ),
    "negative-log-density": (VALUES[:, 0], TRUE[:, 0], lambda: -VALUES[:, 0].mean()),
    "huber": (VALUES, TRUE, lambda: np.where(ERROR <= 1, ERROR**2 / 2, ERROR - 0.5).mean()),
}


STRUCTURED = {"ctc", "linear-chain-crf", "tree-crf"}  # beside sums over all paths, each in a test of its own


def test_every_loss_has_a_reference():
    assert set(REFERENCES) | STRUCTURED == {e.name for e in find(kind="loss")}


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


def test_knowing_the_class_costs_the_logarithm_alone():
    z, y = torch.from_numpy(LOGITS), torch.from_numpy(LABELS)
    torch.testing.assert_close(get("nll", kind="loss")(get("log-softmax")(z), y), get("ce")(z, y))


def test_on_probabilities_or_on_logits_it_is_the_same_loss_and_stays_finite():
    z, y = torch.from_numpy(LOGIT), torch.from_numpy(YES)
    torch.testing.assert_close(get("bce-loss")(z.sigmoid(), y), get("bce")(z, y))
    loss = get("bce-loss")(torch.tensor([0.0, 0.5]), torch.tensor([1.0, 1.0]))
    assert torch.isfinite(loss)
    assert get("bce-loss")(torch.tensor([0.5]), torch.tensor([1.0])).item() == pytest.approx(
        0.693147, abs=1e-6
    )
    assert get("bce-loss")(torch.rand(99), torch.rand(99)).item() >= 0


@pytest.mark.parametrize("name", ["mse", "mae"])
def test_by_the_example_it_is_as_many_times_as_large_as_there_are_outputs(name: str):
    output, target = torch.from_numpy(VALUES), torch.from_numpy(TRUE)
    torch_s = {"mse": nn.MSELoss(), "mae": nn.L1Loss()}[name]
    value = get(name, kind="loss", per="example")(output, target)
    torch.testing.assert_close(value, output.shape[1] * torch_s(output, target))
    with pytest.raises(ConfigError, match="per is not usable"):
        get(name, kind="loss", per="row")


def test_the_half_makes_the_gradient_the_error():
    f = torch.tensor([[2.0, -1.0]], requires_grad=True)
    y = torch.tensor([[0.5, 3.0]])
    get("half-mse")(f, y).backward()
    assert torch.equal(f.grad, (f - y).detach())
    assert get("mse-half")(f, y).item() == get("mse", kind="loss", per="example")(f, y).item() / 2


def test_hinge_is_torch_s_times_the_number_of_classes_and_saturates():
    z, y = torch.from_numpy(LOGITS), torch.from_numpy(LABELS)
    torch.testing.assert_close(get("hinge")(z, y), 4 * nn.MultiMarginLoss()(z, y))
    kept = torch.tensor([[3.0, 1.0, 0.0]], requires_grad=True)
    loss = get("hinge")(kept, torch.tensor([0]))
    loss.backward()
    assert loss.item() == 0.0
    assert not kept.grad.any()
    assert get("ce")(kept, torch.tensor([0])).item() > 0


def test_unit_variance_makes_half_the_squared_error_and_a_constant():
    output, target = torch.from_numpy(VALUES), torch.from_numpy(TRUE)
    value = get("gaussian-nll")(output, target) - 0.5 * get("mse", kind="loss")(output, target)
    assert value.item() == pytest.approx(0.5 * math.log(2 * math.pi))
    normal = torch.distributions.Normal(output, math.sqrt(3.0))
    torch.testing.assert_close(
        get("gaussian-nll", variance=3.0)(output, target), -normal.log_prob(target).mean()
    )


def test_smoothed_labels_are_soft_targets():
    z, y = torch.from_numpy(LOGITS), torch.from_numpy(LABELS)
    soft = 0.9 * nn.functional.one_hot(y, 4).double() + 0.1 / 4
    torch.testing.assert_close(get("smoothed-cross-entropy")(z, y), nn.functional.cross_entropy(z, soft))


def test_padding_counts_for_nothing_in_a_sequence():
    torch.manual_seed(0)
    z, y = torch.randn(3, 5, 4), torch.randint(4, (3, 5))
    y[0, 3:], y[2, 1:] = -100, -100
    total = sum(
        nn.functional.cross_entropy(z[i, t], y[i, t]) for i in range(3) for t in range(5) if y[i, t] >= 0
    )
    torch.testing.assert_close(get("seq-loss", reduction="sum")(z, y), total)
    torch.testing.assert_close(get("seq-loss")(z, y), total / 3)
    per_token = get("seq-loss", normalize="token")(z, y)
    torch.testing.assert_close(per_token * (y >= 0).sum(), total)
    torch.testing.assert_close(per_token, nn.functional.cross_entropy(z.transpose(1, 2), y))
    with pytest.raises(ModelError, match="time is the second axis"):
        get("seq-loss")(z, y.T)


@pytest.mark.parametrize("name", ["half-mse", "gaussian-nll"])
def test_shapes_that_would_broadcast_are_refused(name: str):
    with pytest.raises(ModelError, match=r"target \(4, 1\)"):
        get(name)(torch.zeros(4, 1), torch.zeros(4))


def test_what_cannot_be_trained_with_is_refused_with_the_reason():
    for wrong, reason in (
        ("accuracy", "its gradient is zero"),
        ("r2", "is a metric, not a loss"),
        ("nll", "takes log-probabilities"),
        ("bce-loss", "takes probabilities"),
    ):
        with pytest.raises(ConfigError, match=reason):
            training_loss(wrong)
    with pytest.raises(UnknownName, match="did you mean 'hinge'"):
        training_loss("hinje")
