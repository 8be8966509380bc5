"""Histograms of oriented gradients against a plain loop, and the pipeline that is made of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import preceptor
from preceptor.catalogue import get
from preceptor.errors import ConfigError, ModelError


def reference(image: np.ndarray, cell: int, orientations: int, block: int) -> np.ndarray:
    """The features of one image (C, H, W), pixel by pixel."""
    _, height, width = image.shape
    rows, columns = height // cell, width // cell
    histograms = np.zeros((rows, columns, orientations))
    for i in range(rows * cell):
        for j in range(columns * cell):
            best, angle = -1.0, 0.0
            for channel in image:
                down = channel[i + 1, j] - channel[i - 1, j] if 0 < i < height - 1 else 0.0
                right = channel[i, j + 1] - channel[i, j - 1] if 0 < j < width - 1 else 0.0
                if math.hypot(down, right) > best:
                    best, angle = math.hypot(down, right), math.degrees(math.atan2(down, right)) % 180
            part = min(int(angle / 180 * orientations), orientations - 1)
            histograms[i // cell, j // cell, part] += best / cell**2
    found = []
    for i in range(rows - block + 1):
        for j in range(columns - block + 1):
            v = histograms[i : i + block, j : j + block].ravel()
            v = np.minimum(v / np.sqrt((v**2).sum() + 1e-10), 0.2)
            found.append(v / np.sqrt((v**2).sum() + 1e-10))
    return np.concatenate(found)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((1, 16, 16), {"cell": 8}),
        ((3, 17, 22), {"cell": 5, "orientations": 6}),
        ((2, 12, 9), {"cell": 3, "block": 3}),
        ((1, 8, 8), {"cell": 4, "block": 1, "orientations": 4}),
    ],
)
def test_features_equal_a_plain_loop(shape: tuple[int, ...], options: dict[str, int]):
    images = np.random.default_rng(0).normal(size=(2, *shape))
    features = get("hog", **options)
    found = features(torch.from_numpy(images))
    full = {"cell": 8, "orientations": 9, "block": 2} | options
    expected = np.stack([reference(image, **full) for image in images])
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-9)
    assert found.shape[1] == features.count(shape)


def test_features_of_an_edge_do_not_depend_on_its_contrast_or_sign():
    x = torch.zeros(1, 1, 16, 16)
    x[..., 9:] = 1.0
    features = get("histograms-of-oriented-gradients")
    for other in (100 * x + 7, -x):
        torch.testing.assert_close(features(other), features(x), rtol=1e-3, atol=1e-4)
    assert not torch.allclose(features(x.transpose(2, 3)), features(x), atol=0.1)


def test_what_has_fewer_cells_than_a_block_is_refused():
    with pytest.raises(ModelError, match="H and W of at least 16"):
        get("hog")(torch.zeros(1, 1, 15, 32))
    with pytest.raises(ModelError, match="H and W of at least 4"):
        get("hand-designed-features", (1, 3, 8), 2)
    with pytest.raises(ModelError, match="images"):
        get("hand-designed-features", (64,), 2)
    with pytest.raises(ConfigError, match="orientations is not usable"):
        get("hog", orientations=0)


@pytest.mark.slow
def test_the_pipeline_learns_and_only_its_last_layer_does():
    model = get("hand-designed-features", (1, 8, 8), 10)
    assert [tuple(p.shape) for p in model.parameters()] == [(10, 9 * 36), (10,)]
    run = preceptor.train("hand-designed-features", "digits", epochs=4, lr=0.1, out=False)
    assert run.history[-1, "val_accuracy"] > 0.9
