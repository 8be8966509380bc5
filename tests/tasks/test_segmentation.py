"""Segmentation and reconstruction as tasks: what they check, align, predict and measure."""

from __future__ import annotations

import pytest
import torch

from preceptor.errors import ConfigError, DataError, ModelError
from preceptor.tasks import Denoising, Reconstruction, Segmentation, make
from preceptor.tasks.segmentation import centre


def test_outputs_that_are_smaller_belong_to_the_middle():
    task, target = Segmentation(("a", "b")), torch.zeros(1, 6, 6, dtype=torch.uint8)
    target[:, 2:4, 2:4] = 1
    logits, true = task.align(torch.zeros(1, 2, 2, 2), target)
    assert true.tolist() == [[[1, 1], [1, 1]]]
    assert true.dtype == torch.int64
    meter = task.meters()["mean_iou"]
    meter.update(torch.stack([torch.zeros(1, 2, 2), torch.ones(1, 2, 2)], 1), target)
    assert meter.compute() == 1.0
    with pytest.raises(ModelError, match="belong together"):
        task.align(torch.zeros(1, 2, 8, 8), target)
    assert logits.shape == (1, 2, 2, 2)


def test_the_interval_is_drawn_over_images_from_their_counts():
    task = Segmentation(("a", "b"))
    generator = torch.Generator().manual_seed(0)
    output, target = (
        torch.randn(6, 2, 4, 4, generator=generator),
        torch.randint(2, (6, 4, 4), generator=generator),
    )
    matrices, losses = task.compact(output, target)
    assert matrices.shape == (6, 2, 2)
    assert torch.equal(losses, task.example_losses(output, target))
    low, high = task.interval(matrices, losses)
    meter = task.meters()["mean_iou"]
    meter.update(output, target)
    assert low < meter.compute() < high
    said, true = output.argmax(1) == 0, target == 0
    share = float((said & true).sum() / (said | true).sum())
    assert task.by_class(matrices.sum(0))["a"]["IoU"] == pytest.approx(share)


@pytest.mark.parametrize("loss", ["auto", "cross-entropy", "dice-loss", "cross-entropy-dice"])
def test_losses_of_pixels_suit(loss: str):
    assert Segmentation(("a", "b", "c"), loss=loss).output_unit == "softmax"


def test_what_does_not_suit_is_refused():
    with pytest.raises(ConfigError, match="hinge"):
        Segmentation(("a", "b"), loss="hinge")
    with pytest.raises(ConfigError, match="does not suit"):
        Segmentation(("a", "b"), metrics=("macro-f1",))
    with pytest.raises(DataError, match="at least two classes"):
        Segmentation(("a",))
    task = Segmentation(("a", "b"))
    with pytest.raises(ModelError, match="one logit for each class at each pixel"):
        task.check(torch.zeros(2, 2), torch.zeros(2, 4, 4, dtype=torch.uint8))
    with pytest.raises(ModelError, match="smallest 0, largest 7"):
        task.check_targets(torch.tensor([[[0, 7, 255]]], dtype=torch.uint8))
    with pytest.raises(ModelError, match="no masks"):
        task.check_targets(torch.zeros(2, 4, 4))


def test_reconstruction_is_measured_in_the_units_of_the_data():
    task = Reconstruction(2, offset=(10.0, 0.0), scale=(2.0, 4.0), peak=8.0)
    output, target = torch.ones(1, 2, 2, 2), torch.zeros(1, 2, 2, 2)
    assert task.predict(output)[0, :, 0, 0].tolist() == [12.0, 4.0]
    meters = task.meters()
    for meter in meters.values():
        meter.update(output, target)
    assert meters["mse"].compute() == pytest.approx((4 + 16) / 2)
    assert meters["psnr"].compute() == pytest.approx(10 * torch.tensor(64 / 10.0).log10().item())
    values, _ = task.compact(output, target)
    assert values.tolist() == pytest.approx([meters["psnr"].compute()])
    assert task.interval(values, values) == pytest.approx((values.item(), values.item()))


def test_reconstruction_refuses_what_is_no_image():
    task = Denoising(1)
    with pytest.raises(ModelError, match="does not give back"):
        task.check(torch.zeros(2, 5), torch.zeros(2, 1, 4, 4))
    with pytest.raises(ModelError, match="belong together"):
        task.align(torch.zeros(2, 1, 4, 4), torch.zeros(2, 2, 4, 4))
    with pytest.raises(ConfigError, match="1 numbers each"):
        Reconstruction(1, offset=(1.0, 2.0))


def test_targets_decide_the_task():
    assert make(None, "masks", ("a", "b")).name == "segmentation"
    assert make(None, "inputs", dims=3).name == "reconstruction"
    assert make("denoising", "inputs", dims=3).outputs == 3
    with pytest.raises(ConfigError, match='task="segmentation"'):
        make("classification", "masks", ("a", "b"))


def test_the_middle_of_odd_sizes():
    assert centre(torch.arange(5).expand(1, 1, 5), (1, 2)).tolist() == [[[1, 2]]]
