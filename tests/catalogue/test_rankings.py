"""Areas under curves and log-densities, against scikit-learn; measures of several labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn import metrics as sk

from preceptor.catalogue import get
from preceptor.errors import ConfigError, ModelError


def of(name: str, output: torch.Tensor, target: torch.Tensor) -> float:
    metric = get(name, kind="metric")
    for part in (slice(0, 20), slice(20, None)):  # in two batches
        metric.update(output[part], target[part])
    return metric.compute()


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(
    ("name", "theirs"), [("roc-auc", sk.roc_auc_score), ("average-precision", sk.average_precision_score)]
)
def test_a_ranking_is_scikit_learn_s(name: str, theirs: object, ties: bool):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 60)
    scores = rng.normal(y, 1.0).round(0 if ties else 9)
    got = of(name, torch.tensor(scores), torch.tensor(y))
    assert got == pytest.approx(theirs(y, scores), abs=1e-12)
    assert of(name, torch.tensor(scores)[:, None], torch.tensor(y)) == pytest.approx(got)


def test_the_area_of_several_classes_is_the_mean_of_each_against_the_rest():
    rng = np.random.default_rng(1)
    y = rng.integers(0, 3, 60)
    logits = torch.tensor(rng.normal(size=(60, 3)) + np.eye(3)[y])
    expected = sk.roc_auc_score(y, logits.softmax(1).numpy(), multi_class="ovr")
    assert of("auc", logits, torch.tensor(y)) == pytest.approx(expected, abs=1e-12)


def test_a_ranking_of_one_class_is_no_number():
    assert of("roc-auc", torch.randn(30), torch.zeros(30).long()) != of(
        "roc-auc", torch.randn(30), torch.zeros(30).long()
    )


def test_the_log_density_is_the_mean_of_the_outputs():
    z = torch.randn(50, 1)
    assert of("log-density", z, torch.zeros(50)) == pytest.approx(float(z.mean()), abs=1e-6)
    assert float(get("negative-log-density", kind="loss")(z[:, 0], torch.zeros(50))) == pytest.approx(
        -float(z.mean())
    )


@pytest.fixture
def labels() -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(2)
    return torch.tensor(rng.normal(size=(50, 4))), torch.tensor(rng.integers(0, 2, (50, 4)))


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("micro-f1", lambda y, said: sk.f1_score(y, said, average="micro")),
        ("multi-label-macro-f1", lambda y, said: sk.f1_score(y, said, average="macro")),
        ("subset-accuracy", sk.accuracy_score),
        ("hamming-loss", sk.hamming_loss),
    ],
)
def test_a_measure_of_labels_is_scikit_learn_s(
    name: str, theirs: object, labels: tuple[torch.Tensor, torch.Tensor]
):
    z, y = labels
    assert of(name, z, y) == pytest.approx(theirs(y.numpy(), (z > 0).numpy()), abs=1e-12)


def test_measures_of_labels_need_a_logit_for_each():
    with pytest.raises(ModelError, match="do not belong together"):
        get("micro-f1", kind="metric").update(torch.zeros(3, 2), torch.zeros(3))


def test_a_measure_of_labels_is_no_loss_and_says_what_is():
    from preceptor.catalogue.losses import training_loss

    with pytest.raises(ConfigError, match="binary-cross-entropy"):
        training_loss("micro-f1")
