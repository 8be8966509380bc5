"""Images kept as bytes: the same numbers as in float32, to the bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from preceptor.data import Pixels, load, prepare
from preceptor.data import _pixels as module
from preceptor.data.batches import TensorBatches

RNG = np.random.default_rng(0)
X = RNG.integers(0, 200, (40, 3, 6, 5), dtype=np.uint8)
X[:, 2] = 7  # a channel without variation
Y = np.arange(40) % 4


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGE", 0)


@pytest.mark.parametrize("scale", ["standard", "none"])
def test_the_numbers_are_those_of_float32(monkeypatch: pytest.MonkeyPatch, scale: str) -> None:
    plain = prepare(load((X, Y)), scale=scale)
    assert isinstance(plain.train.x, torch.Tensor)
    monkeypatch.setattr(module, "LARGE", 0)
    kept = prepare(load((X, Y)), scale=scale)
    for part in ("train", "val", "test"):
        expected, x = getattr(plain, part).x, getattr(kept, part).x
        assert isinstance(x, Pixels)
        assert (x.shape, x.ndim, x.dtype, len(x)) == (expected.shape, 4, expected.dtype, len(expected))
        assert torch.equal(x[:], expected)
        assert torch.equal(x[2], expected[2])
        rows = torch.tensor([3, 0, 0])
        assert torch.equal(x[rows], expected[rows])
        assert torch.equal(x.index_select(0, rows), expected[rows])
        assert torch.equal(module.subset(x, rows)[1:], expected[rows][1:])
    assert torch.equal(module.subset(plain.train.x, rows), plain.train.x[rows])


@pytest.mark.parametrize("batch_size", [5, 16])
def test_batches_are_the_same(monkeypatch: pytest.MonkeyPatch, batch_size: int) -> None:
    batches = []
    for large in (module.LARGE, 0):
        monkeypatch.setattr(module, "LARGE", large)
        part = prepare(load((X, Y))).train
        batches.append(list(TensorBatches(part.x, part.y, batch_size=batch_size, seed=3).epoch(skip=1)))
    for (x, y), (other_x, other_y) in zip(*batches, strict=True):
        assert torch.equal(x, other_x)
        assert torch.equal(y, other_y)


@pytest.mark.usefixtures("small")
def test_the_parts_share_one_copy() -> None:
    dataset = load((X, Y))
    ready = prepare(dataset)
    assert ready.val is not None
    assert ready.train.x.bytes.data_ptr() == ready.val.x.bytes.data_ptr()
    assert ready.train.x.bytes.data_ptr() == dataset.inputs.ctypes.data
    assert ready.train.x.to("cpu") is ready.train.x


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("other", [X.astype(np.float32), X.reshape(40, -1)])
def test_other_data_are_kept_as_they_were(other: np.ndarray) -> None:
    assert isinstance(prepare(load((other, Y))).train.x, torch.Tensor)


def test_images_are_only_large_from_a_size_on() -> None:
    assert module.LARGE == 2**28
    assert isinstance(prepare(load((X, Y))).train.x, torch.Tensor)


@pytest.mark.usefixtures("small")
def test_a_training_on_bytes_is_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import preceptor

    def history() -> list[float]:
        run = preceptor.train(
            "mlp", (X, Y), epochs=2, out=False, augmentations=["standard"], settings={"training.watch": False}
        )
        assert run.prepared is not None
        assert run.test().n == 6
        return [row["val_loss"] for row in run.history] + [isinstance(run.prepared.train.x, Pixels)]

    kept = history()
    monkeypatch.setattr(module, "LARGE", 2**28)
    assert history() == [*kept[:-1], False]
    assert kept[-1]
