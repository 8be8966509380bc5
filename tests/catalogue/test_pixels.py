"""Losses and measures of a class, or a value, at each pixel, against plain computations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix, f1_score, jaccard_score
from torch.nn import functional

from preceptor.catalogue import get
from preceptor.catalogue.pixels import VOID, confusions, overlaps
from preceptor.errors import ConfigError


def batch(void: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 4, 5, 6, generator=generator, dtype=torch.float64)
    target = torch.randint(4, (3, 5, 6), generator=generator)
    if void:
        target[torch.rand(target.shape, generator=generator) < 0.3] = VOID
    return logits, target


def test_pixel_cross_entropy_is_torch_s_where_every_pixel_counts():
    logits, target = batch()
    torch.testing.assert_close(
        get("pixel-cross-entropy")(logits, target), functional.cross_entropy(logits, target)
    )


def test_pixel_cross_entropy_of_an_image_is_torch_s_with_weights_and_pixels_that_do_not_count():
    logits, target = batch(void=True)
    weights = [0.5, 2.0, 1.0, 3.0]
    loss = get("pixel-wise-cross-entropy", reduction="none", class_weights=weights)(logits, target)
    for i in range(3):
        one = functional.cross_entropy(
            logits[i : i + 1], target[i : i + 1], torch.tensor(weights).double(), ignore_index=VOID
        )
        torch.testing.assert_close(loss[i], one)


@pytest.mark.parametrize("name", ["pixel-cross-entropy", "dice-loss", "cross-entropy-dice"])
def test_a_loss_of_pixels_that_do_not_count_is_finite(name: str):
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    loss = get(name, kind="loss")(logits, torch.full((2, 4, 4), VOID))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_dice_loss_is_its_formula():
    logits, target = batch()
    p, t = logits.softmax(1), functional.one_hot(target, 4).movedim(-1, 1)
    each = 2 * (p * t).sum((2, 3)) / (p + t).sum((2, 3))
    torch.testing.assert_close(get("dice-loss", smooth=0.0)(logits, target), 1 - each.mean(1).mean())


def test_dice_loss_of_a_sure_and_right_prediction_is_zero():
    _, target = batch()
    logits = 100.0 * functional.one_hot(target, 4).movedim(-1, 1)
    assert float(get("dice-loss")(logits, target)) == pytest.approx(0.0, abs=1e-6)


def test_class_weights_must_be_numbers():
    with pytest.raises(ConfigError, match="balanced"):
        get("pixel-cross-entropy", class_weights="many")


@pytest.mark.parametrize("void", [False, True])
def test_overlaps_agree_with_scikit_learn(void: bool):
    logits, target = batch(void)
    counted = (target != VOID).numpy().reshape(-1)
    true, said = target.numpy().reshape(-1)[counted], logits.argmax(1).numpy().reshape(-1)[counted]
    values = {}
    for name in ("mean-iou", "dice", "pixel-accuracy"):
        metric = get(name, kind="metric")
        for i in range(3):
            metric.update(logits[i : i + 1], target[i : i + 1])
        values[name] = metric.compute()
        if name == "mean-iou":
            assert metric.by_class() == pytest.approx(jaccard_score(true, said, average=None).tolist())
    assert values["mean-iou"] == pytest.approx(jaccard_score(true, said, average="macro"))
    assert values["dice"] == pytest.approx(f1_score(true, said, average="macro"))
    assert values["pixel-accuracy"] == pytest.approx((true == said).mean())
    assert (confusions(logits, target).sum(0).numpy() == confusion_matrix(true, said)).all()


def test_a_class_that_occurs_nowhere_is_left_out():
    matrix = torch.tensor([[3, 1, 0], [0, 4, 0], [0, 0, 0]])
    assert overlaps(matrix, "iou").tolist()[:2] == pytest.approx([3 / 4, 4 / 5])
    assert math.isnan(overlaps(matrix, "iou")[2])


def test_dice_and_iou_tell_the_same_of_one_class():
    iou = overlaps(torch.tensor([[5, 2], [1, 7]]), "iou")
    torch.testing.assert_close(overlaps(torch.tensor([[5, 2], [1, 7]]), "dice"), 2 * iou / (1 + iou))


def test_psnr_is_its_formula_averaged_over_images():
    generator = np.random.default_rng(0)
    x, y = generator.random((2, 4, 3, 5, 5))
    metric = get("peak-signal-to-noise-ratio", peak=2.0)
    for i in (0, 2):
        metric.update(torch.from_numpy(x[i : i + 2]), torch.from_numpy(y[i : i + 2]))
    mse = ((x - y) ** 2).reshape(4, -1).mean(1)
    assert metric.compute() == pytest.approx((10 * np.log10(4 / mse)).mean())
