"""Targets on a grid in a training: moved with the images, tiled, disturbed, weighed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import preceptor
from preceptor.catalogue import get
from preceptor.catalogue.pixels import VOID
from preceptor.data import Part, load
from preceptor.errors import ConfigError, PreceptorError
from preceptor.training.dense import Disturbance, Together, balanced, disturbed, maps_in_a_batch
from preceptor.training.tiling import Tiling, mirrored


def checked(n: int = 4, side: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    """Images that show their own masks: blocks of four pixels a side."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randint(2, (n, 1, side // 4, side // 4), generator=generator).float()
    x = nn.functional.interpolate(coarse, scale_factor=4.0)
    return x, x[:, 0].to(torch.uint8)


@pytest.mark.parametrize(
    ("name", "arguments", "options"),
    [
        ("horizontal-flip", (), {"p": 1.0}),
        ("translation", (), {"pixels": 3}),
        ("rotation", (), {"degrees": 30.0}),
        ("scaling", (), {"amount": 0.3}),
        ("lens-distortion", (), {"strength": 0.3}),
        ("random-crop", (8,), {}),
        ("random-resized-crop", (8,), {}),
        ("standard", (), {"colour": False}),
    ],
)
def test_masks_move_with_their_images(name: str, arguments: tuple[int, ...], options: dict[str, object]):
    torch.manual_seed(0)
    x, y = checked()
    moved, mask = Together(get(name, *arguments, kind="augmentation", **options)).examples(x, y)
    assert mask.shape == moved[:, 0].shape
    assert mask.dtype == torch.uint8
    counted = mask != VOID
    assert counted.float().mean() > 0.5
    sure = counted & ((moved[:, 0] - 0.5).abs() > 0.45)  # between two blocks the image is interpolated
    assert sure.float().mean() > 0.3
    assert torch.equal(mask[sure], (moved[:, 0][sure] > 0.5).to(torch.uint8))


def test_images_as_targets_move_alike():
    torch.manual_seed(0)
    x, _ = checked()
    moved, target = Together(get("rotation", degrees=40.0)).examples(x, 2 * x)
    torch.testing.assert_close(target, 2 * moved)


def test_mirroring_reads_as_numpy_pads():
    values = np.arange(5)
    for before, after in ((0, 0), (3, 4), (11, 6)):
        assert mirrored(5, before, after).tolist() == np.pad(values, (before, after), "reflect").tolist()
    assert mirrored(1, 2, 1).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("size", [(9, 10), (20, 33), (7, 64)])
def test_tiles_are_what_the_whole_image_would_give(size: tuple[int, int]):
    torch.manual_seed(0)
    conv, x = nn.Conv2d(1, 2, 5).eval(), torch.randn(2, 1, *size)
    with torch.no_grad():
        tiled = Tiling(12, 14, 8, 10)(conv, x)
        whole = conv(nn.functional.pad(x, (2, 2, 2, 2), mode="reflect"))
    torch.testing.assert_close(tiled, whole)


def test_a_network_that_keeps_the_size_needs_no_tiles():
    x = torch.zeros(1, 1, 8, 8)
    assert Tiling.of(x, x) is None
    assert Tiling.of(x, torch.zeros(1, 2, 4, 4)) == Tiling(8, 8, 4, 4)


def test_the_same_noise_is_measured_every_time():
    part = Part(torch.zeros(3, 1, 4, 4), torch.zeros(3, 1, 4, 4), np.arange(3))
    first, second = (disturbed(part, Disturbance(noise=0.5)) for _ in range(2))
    assert torch.equal(first.x, second.x)
    assert float(first.x.std()) == pytest.approx(0.5, abs=0.1)
    assert disturbed(part, Disturbance()) is part
    assert torch.equal(first.y, part.y)


def test_balanced_weights_give_every_class_the_same_share():
    y = torch.tensor([[[0, 0, 0, 1], [0, 2, VOID, 2]]], dtype=torch.uint8)
    weights = balanced(y, 4)
    counts = [4, 1, 2]
    assert [w * n for w, n in zip(weights, counts, strict=False)] == pytest.approx([7 / 4] * 3)
    assert weights[3] == 0.0


def test_batches_hold_as_many_images_as_fit():
    assert [maps_in_a_batch((3, s, s)) for s in (16, 128, 512, 2048)] == [32, 16, 1, 1]


def shapes(n: int = 20) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    masks = np.zeros((n, 24, 20), np.uint8)
    for mask in masks:
        top, left, side = generator.integers(0, 14), generator.integers(0, 10), generator.integers(6, 10)
        mask[top : top + side, left : left + side] = 1
    return (120 * masks + generator.integers(0, 60, masks.shape)).astype(np.uint8), masks


SMALL = {"model.name": "u-net", "model.base": 4, "model.depth": 2, "training.watch": False}


@pytest.mark.slow
def test_shapes_are_segmented():
    run = preceptor.train(data=shapes(40), epochs=8, lr=1e-2, out=False, settings={**SMALL, "data.crop": 12})
    found = run.test()
    assert found.metrics["mean_iou"] > 0.9
    assert set(found.by_class) == {"0", "1"}
    assert found.by_class["1"]["IoU"] > 0.9
    low, high = found.interval
    assert low <= found.metrics["mean_iou"] <= high
    assert run.predict(shapes()[0][:2, :15]).shape == (2, 15, 20)


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"model.padding": "valid", "model.depth": 1, "data.crop": 20},
        {
            "loss.name": "cross-entropy-dice",
            "loss.class_weights": "balanced",
            "augmentations": ["flip", "rotation"],
        },
        {"model.name": "fcn", "model.base": 2, "loss.name": "cross-entropy"},
        {"model.name": "auto"},
    ],
)
def test_forms_of_segmentation_train_and_are_measured_on_whole_images(settings: dict[str, object]):
    chosen = {**SMALL, **settings}
    if chosen["model.name"] != "u-net":
        chosen = {k: v for k, v in chosen.items() if k in settings or not k.startswith("model.")}
    x, y = shapes()
    run = preceptor.train(data=(x, y), task="segmentation", epochs=1, out=False, settings=chosen)
    assert run.predict(x).shape == y.shape
    assert 0 <= run.evaluate("val").metrics["pixel_accuracy"] <= 1


@pytest.mark.slow
def test_a_training_on_windows_resumes_to_the_bit(tmp_path):
    x, y = shapes()
    np.savez(tmp_path / "s.npz", image=x, mask=y)
    settings = {**SMALL, "data.crop": 12, "training.checkpoint_steps": 1}
    source = str(tmp_path / "s.npz")
    whole = preceptor.train(data=source, epochs=3, out=tmp_path / "a", settings=settings)
    preceptor.train(data=source, epochs=1, out=tmp_path / "b", settings=settings)
    again = preceptor.train(epochs=3, out=tmp_path / "b", resume=True)
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in whole.history]
    assert rows == [{k: v for k, v in row.items() if k != "seconds"} for row in again.history]


@pytest.mark.slow
def test_noise_is_taken_away():
    x = load("digits").inputs[:500]
    run = preceptor.train("u-net", (x, np.arange(500) % 2), task="denoising", epochs=12, lr=1e-2, out=False,
                          settings={"model.base": 8, "model.depth": 1, "training.watch": False})  # fmt: skip
    found = run.test()
    assert found.before is not None
    assert found.metrics["psnr"] > found.before + 10 * np.log10(2)  # half of the squared error


@pytest.mark.slow
def test_vectors_are_made_again_from_their_code():
    x = np.random.default_rng(0).normal(size=(200, 3)) @ np.ones((3, 8)) * [1, 2, 3, 4, 5, 6, 7, 8]
    run = preceptor.train(
        {"name": "autoencoder", "code": 2, "hidden": []},
        (x, np.arange(200) % 2),
        task="reconstruction",
        epochs=40,
        lr=1e-2,
        out=False,
        settings={"training.watch": False},
    )
    assert run.test().metrics["r2"] > 0.98
    assert run.predict(x[:3]).shape == (3, 8)


def test_what_does_not_go_together_is_refused():
    with pytest.raises(ConfigError, match="crop has no effect"):
        preceptor.train(data="digits", out=False, settings={"data.crop": 4})
    with pytest.raises(PreceptorError, match="a mask for each image"):
        preceptor.train(data="digits", task="segmentation", out=False)
    with pytest.raises(PreceptorError, match="segmentaton"):
        preceptor.train(data="digits", task="segmentaton", out=False)
    with pytest.raises(ConfigError, match="move images and masks alike"):
        preceptor.train(data=shapes(), out=False, settings=SMALL, augmentations=[lambda x: x])
