"""Masks, and inputs as targets: read, cut in blocks, coded, and brought back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from preceptor.catalogue.pixels import VOID
from preceptor.data import Preprocessor, load, prepare, read_inputs, split
from preceptor.data.windows import WindowBatches
from preceptor.errors import ConfigError, DataError, UnknownName


def scenes(n: int = 10, values: int = 3) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    masks = generator.integers(0, values, (n, 6, 8)).astype(np.uint8)
    return (40 * masks + generator.integers(0, 20, masks.shape)).astype(np.uint8), masks


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    x, y = scenes(values=4)
    names = np.array(["sky", "road", "tree", "void"])
    np.savez(tmp_path / "scenes.npz", image=x, mask=y, class_names=names)
    return tmp_path / "scenes.npz"


def test_an_archive_with_image_and_mask_is_read(archive: Path):
    data = load(archive)
    assert (data.kind, data.target_kind, data.classes) == ("images", "masks", ("sky", "road", "tree", "void"))
    assert data.text == "10 images 6×8 · masks of 4 classes"
    assert data.targets.dtype == np.uint8


def test_parts_of_an_archive_keep_their_masks(tmp_path: Path):
    x, y = scenes()
    np.savez(tmp_path / "a.npz", train_image=x[:7], train_mask=y[:7], test_image=x[7:], test_mask=y[7:])
    ready = prepare(load(tmp_path / "a.npz"), val=0.0)
    assert ready.split.text == "7/0/3 (test as given)"
    assert torch.equal(ready.test.y, torch.from_numpy(y[7:]))


def test_labels_of_examples_come_before_masks_and_a_row_of_marks_is_no_mask(tmp_path: Path):
    x, y = scenes()
    np.savez(tmp_path / "a.npz", mask=y, image=x, label=np.arange(10) % 2)
    assert load(tmp_path / "a.npz").target_kind == "categories"
    np.savez(tmp_path / "b.npz", x=x, mask=np.ones(10, int))
    with pytest.raises(DataError, match="no targets"):
        load(tmp_path / "b.npz")


@pytest.mark.parametrize("shape", [(10, 6, 8), (10, 1, 6, 8)])
def test_arrays_with_masks_are_images(shape: tuple[int, ...]):
    x, y = scenes()
    data = load((x / 255.0, y.reshape(shape)))
    assert (data.kind, data.target_kind, data.shape) == ("images", "masks", (1, 6, 8))


def test_void_and_255_do_not_count(archive: Path):
    raw = load(archive).targets
    y = prepare(load(archive), val=0.2, test=0.2).train.y
    assert y.dtype == torch.uint8
    assert torch.equal(y == VOID, torch.from_numpy(raw[:6] == 3))
    x, masks = scenes(values=2)
    masks[0, 0, 0] = 255
    ready = prepare(load((x, masks)))
    assert ready.preprocessor.classes == ("0", "1")
    assert int(ready.train.y[0, 0, 0]) == VOID


@pytest.mark.parametrize(("ignore", "left"), [("none", 4), ("tree", 3), (1, 3), ("auto", 3)])
def test_what_does_not_count_can_be_chosen(archive: Path, ignore: str | int, left: int):
    assert len(prepare(load(archive), ignore=ignore).preprocessor.classes) == left


def test_an_unknown_class_to_ignore_is_refused(archive: Path):
    with pytest.raises(UnknownName, match="'sea'"):
        prepare(load(archive), ignore="sea")


def test_masks_go_there_and_back(archive: Path):
    data = load(archive)
    coder = prepare(data, ignore="road").preprocessor
    again = Preprocessor.from_state(json.loads(json.dumps(coder.to_state())))
    coded = again.targets(data.targets)
    assert torch.equal(coded, coder.targets(data.targets))
    counted = coded != VOID
    assert (again.decode_masks(coded[:1][counted[:1]]) == data.targets[:1][counted[:1].numpy()]).all()
    with pytest.raises(DataError, match="received  \\[9\\]"):
        again.targets(np.full((1, 6, 8), 9, np.uint8))


def test_neighbours_stay_together():
    x, y = scenes(20)
    data = load((x, y))
    cut = split(data)
    assert cut.text == "14/3/3 (in blocks)"
    assert [part.tolist() for part in (cut.train, cut.val, cut.test)] == [
        list(range(14)),
        [14, 15, 16],
        [17, 18, 19],
    ]
    assert split(data, order="random").train.tolist() != cut.train.tolist()
    assert split(load("iris"), order="blocks").text.endswith("(in blocks)")
    with pytest.raises(ConfigError, match="auto, random, blocks"):
        split(data, order="blocked")


def test_masks_of_another_size_or_of_one_class_are_refused():
    x, y = scenes()
    with pytest.raises(DataError, match="differ in size"):
        load((x[:, None], y[:, :4]))
    with pytest.raises(DataError, match="only one class"):
        load((x, np.zeros_like(y)))
    with pytest.raises(DataError, match="no classes of pixels"):
        load((x, y.astype(np.int64) - 1))
    with pytest.raises(ConfigError, match="keep their size"):
        load((x, y), image_size=4)


def test_targets_that_are_no_masks_are_refused_for_masks():
    with pytest.raises(DataError, match="a mask for each image"):
        prepare(load("digits"), target_kind="masks")
    x, y = scenes()
    with pytest.raises(DataError, match="do not suit"):
        prepare(load((x, y)), target_kind="categories")


def test_inputs_are_targets_of_themselves():
    ready = prepare(load("digits"), target_kind="inputs")
    assert torch.equal(ready.train.x, ready.train.y)
    coder = ready.preprocessor
    assert (coder.target_kind, coder.target_peak) == ("inputs", 16.0)
    restored = ready.train.y * coder.target_scale.float() + coder.target_offset.float()
    raw = ready.dataset.inputs[ready.train.rows]
    torch.testing.assert_close(restored, torch.from_numpy(raw).float())
    with pytest.raises(DataError, match="from themselves"):
        prepare(load(_table(), target="y"), target_kind="inputs")


def _table() -> object:
    import pandas as pd

    return pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "b": ["p", "q", "q", "p"], "y": ["u", "v", "u", "v"]})


def test_new_images_may_have_any_size():
    x, y = scenes()
    coder = prepare(load((x, y))).preprocessor
    raw, masks = read_inputs((x[:2, :4, :5], y[:2, :4, :5]), coder)
    assert coder.inputs(raw).shape == (2, 1, 4, 5)
    assert coder.targets(masks).shape == (2, 4, 5)


def test_windows_cut_images_and_masks_alike_and_go_on_exactly():
    x = torch.arange(2 * 7 * 9.0).reshape(2, 1, 7, 9)
    batches = WindowBatches(x, x[:, 0].long(), size=4, batch_size=5, seed=3)
    whole = list(batches.epoch())
    assert sum(len(b) for _, b in whole) == 2 * 2 * 3
    assert all(torch.equal(a[:, 0].long(), b) for a, b in whole)
    state = batches.state_dict()
    other = WindowBatches(x, x[:, 0].long(), size=4, batch_size=5, seed=8)
    other.load_state_dict(state, again=True)
    rest = list(other.epoch(skip=1))
    assert all(torch.equal(a, c) for (a, _), (c, _) in zip(whole[1:], rest, strict=True))
    with pytest.raises(ConfigError, match="crop is larger"):
        WindowBatches(x, x[:, 0].long(), size=8, batch_size=1)
