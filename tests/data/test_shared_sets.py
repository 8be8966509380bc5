"""The real data sets: their sizes, classes, and what is known of their means."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch

from preceptor.data import load, prepare, read_inputs, split

MNIST_TEST = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "mean", "deviation"), [("mnist", 0.1307, 0.3081), ("fashion-mnist", 0.2860, 0.3530)]
)
def test_idx_sets(shared: Path, name: str, mean: float, deviation: float) -> None:
    folder = shared / "data" / name
    data = load(folder)
    assert data.text == "70,000 images 28×28 · 10 classes"
    assert data.inputs.dtype == np.uint8
    counts = np.bincount(data.targets[data.part == "test"])
    assert counts.tolist() == (MNIST_TEST if name == "mnist" else [1000] * 10)
    ready = prepare(data, val=1 / 6)
    assert ready.split.text == "50,000/10,000/10,000 (test as given, stratified, seed 0)"
    assert ready.preprocessor.encoder.mean.item() / 255 == pytest.approx(mean, abs=2e-3)
    assert ready.preprocessor.encoder.deviation.item() / 255 == pytest.approx(deviation, abs=2e-3)
    assert ready.train.x.shape == (50_000, 1, 28, 28)
    raw, targets = read_inputs(folder / "t10k-images-idx3-ubyte.gz", ready.preprocessor)
    assert torch.equal(ready.preprocessor.inputs(raw), ready.test.x)
    assert torch.equal(ready.preprocessor.targets(targets), ready.test.y)


def test_cifar(shared: Path) -> None:
    data = load(shared / "data" / "cifar10" / "cifar10-small-lossless.npz")
    assert data.text == "2,500 images 32×32×3 · 10 classes"
    assert data.classes[:3] == ("airplane", "automobile", "bird")
    ready = prepare(data)
    assert ready.split.text == "1,700/300/500 (test as given, stratified, seed 0)"
    np.testing.assert_allclose(ready.preprocessor.encoder.mean / 255, [0.4914, 0.4822, 0.4465], atol=0.02)


def test_hymenoptera(shared: Path) -> None:
    data = load(shared / "data" / "hymenoptera" / "hymenoptera-144.npz")
    assert data.classes == ("ants", "bees")
    counts = {
        (part, name): int(((data.part == part) & (data.targets == name)).sum())
        for part in ("train", "val")
        for name in data.classes
    }
    assert list(counts.values()) == [123, 121, 70, 83]
    assert data.shape[0] == 3
    assert min(data.shape[1:]) == 144
    assert any("resized" in note for note in data.notes)
    assert prepare(data, test=0).split.text == "244/153/0 (val as given)"


@pytest.mark.slow
def test_cifar_as_jpeg(shared: Path) -> None:
    data = load(shared / "data" / "cifar10" / "cifar10-jpeg.npz")
    assert data.text == "60,000 images 32×32×3 · 10 classes"
    assert (data.part == "test").sum() == 10_000


@pytest.mark.parametrize(
    ("name", "text", "parts"),
    [
        (
            "camvid/camvid-180x240.npz",
            "701 images 180×240×3 · masks of 12 classes",
            "367/101/233 (val and test as given)",
        ),
        ("isbi2012/isbi2012.npz", "30 images 512×512 · masks of 2 classes", "20/5/5 (in blocks)"),
    ],
)
@pytest.mark.slow
def test_images_with_masks(shared: Path, name: str, text: str, parts: str) -> None:
    data = load(shared / "data" / name)
    assert (data.text, split(data).text) == (text, parts)


def test_adult(shared: Path) -> None:
    folder = shared / "data" / "tabular"
    start = time.process_time()
    data = load(folder / "adult-train.csv.gz", target="income")
    assert time.process_time() - start < 2
    assert data.text == "32,561 rows × 14 columns · 2 classes"
    assert (data.targets == ">50K").sum() == 7841
    assert "missing values: workclass 1,836, occupation 1,843, native_country 583" in data.notes
    assert sum(c.kind == "number" for c in data.inputs.columns) == 6
    ready = prepare(data)
    raw, targets = read_inputs(folder / "adult-test.csv.gz", ready.preprocessor)
    x, y = ready.preprocessor.inputs(raw), ready.preprocessor.targets(targets)
    assert x.shape == (16_281, ready.preprocessor.input_shape[0])
    assert torch.isfinite(x).all()
    assert y.bincount().tolist() == [12_435, 3846]


def test_california_housing(shared: Path) -> None:
    data = load(shared / "data" / "tabular" / "california-housing.csv.gz", target="median_house_value")
    assert (data.target_kind, len(data)) == ("numbers", 20_640)
    assert "missing values: total_bedrooms 207" in data.notes
    ready = prepare(data)
    assert "ocean_proximity=NEAR BAY" in ready.preprocessor.feature_names
    assert ready.preprocessor.target_scale.item() == pytest.approx(115_000, rel=0.02)


@pytest.mark.parametrize(
    ("name", "target", "rows", "columns", "kind"),
    [
        ("covertype-15k", "Cover_Type", 15_000, 54, "categories"),
        ("concrete", "strength_mpa", 1030, 8, "numbers"),
        ("energy", "heating_load", 768, 8, "numbers"),
        ("kin8nm", "y", 8192, 8, "numbers"),
        ("power-plant", "energy_output", 9568, 4, "numbers"),
        ("yacht", "resistance", 308, 6, "numbers"),
        ("wine-quality-red", "quality", 1599, 11, "categories"),
    ],
)
def test_tables(shared: Path, name: str, target: str, rows: int, columns: int, kind: str) -> None:
    data = load(shared / "data" / "tabular" / f"{name}.csv.gz", target=target)
    assert (data.name, len(data), data.shape, data.target_kind) == (name, rows, (columns,), kind)
    ready = prepare(data)
    assert ready.train.x.shape[1] == columns
    assert torch.isfinite(ready.preprocessor.inputs(data.inputs)).all()


def test_wine_quality_as_numbers(shared: Path) -> None:
    data = load(shared / "data" / "tabular" / "wine-quality-red.csv.gz", target="quality")
    assert data.classes == ("3", "4", "5", "6", "7", "8")
    ready = prepare(data, target_kind="numbers")
    torch.testing.assert_close(
        ready.preprocessor.decode_targets(ready.train.y)[:, 0],
        torch.tensor(data.targets[ready.split.train], dtype=torch.float32),
    )
