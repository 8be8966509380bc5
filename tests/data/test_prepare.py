from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from preceptor.data import load, prepare


def test_digits() -> None:
    ready = prepare(load("digits"))
    assert ready.train.x.shape == (1257, 1, 8, 8)
    assert ready.val is not None
    assert ready.test is not None
    assert ready.train.x.dtype == torch.float32
    assert abs(ready.train.x.mean().item()) < 1e-6
    assert abs(ready.val.x.mean().item()) > 1e-6
    for part, rows in (
        (ready.train, ready.split.train),
        (ready.val, ready.split.val),
        (ready.test, ready.split.test),
    ):
        np.testing.assert_array_equal(part.rows, rows)
        np.testing.assert_array_equal(part.y.numpy(), ready.dataset.targets[rows])


def test_parts_that_are_empty_are_none() -> None:
    ready = prepare(load("iris"), val=0, test=0)
    assert ready.val is None
    assert ready.test is None
    assert len(ready.train.y) == 150


def test_target_kind_reaches_everything() -> None:
    data = load((np.arange(40.0)[:, None], np.arange(40) % 4))
    ready = prepare(data, target_kind="numbers", scale_targets=False)
    assert ready.dataset.target_kind == ready.preprocessor.target_kind == "numbers"
    assert not ready.split.stratified
    assert ready.train.y.dtype == torch.float32
    assert prepare(data).split.stratified


def test_several_numbers_to_predict() -> None:
    x = np.random.default_rng(0).normal(size=(40, 3))
    assert prepare(load((x, x @ np.ones((3, 2))))).train.y.shape == (28, 2)


def test_unseen_categories_are_noted(tmp_path: Path) -> None:
    rows = [f"{'rare' if i == 0 else 'ab'[i % 2]},{i},{'xy'[i % 2]}" for i in range(40)]
    (tmp_path / "t.csv").write_text("c,n,y\n" + "\n".join(rows) + "\n")
    data = load(tmp_path / "t.csv", target="y")
    part = np.full(40, "train")
    part[:4] = "test"
    ready = prepare(replace(data, part=part), val=0)
    assert ready.test is not None
    note = "categories of the test rows that are not in training, encoded as all 0: c: rare"
    assert ready.dataset.notes == (*data.notes, note)
    assert ready.test.x[0, :2].tolist() == [0, 0]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_any_mask_of_missing_entries(tmp_path: Path, seed: int) -> None:
    """Breast-cancer with 30 % of its entries missing: every row, also an empty one, has finite inputs."""
    whole = load("breast-cancer")
    mask = np.random.default_rng(seed).random(whole.inputs.shape) < 0.3
    mask[0] = True
    lines = [",".join((*whole.feature_names, "diagnosis"))]
    for row, gaps, label in zip(whole.inputs, mask, whole.targets, strict=True):
        lines.append(
            ",".join([*("" if g else repr(float(v)) for v, g in zip(row, gaps, strict=True)), label])
        )
    (tmp_path / "masked.csv").write_text("\n".join(lines) + "\n")

    ready = prepare(load(tmp_path / "masked.csv", target="diagnosis"))
    assert ready.preprocessor.input_shape == (60,)
    every = ready.preprocessor.inputs(ready.dataset.inputs)
    assert torch.isfinite(every).all()
    values, marks = every[:, 0::2], every[:, 1::2]
    np.testing.assert_array_equal(marks.numpy(), mask)
    assert (values.numpy()[mask] == 0).all()
    assert every[0].tolist() == [0.0, 1.0] * 30
