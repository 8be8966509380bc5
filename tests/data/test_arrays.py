from __future__ import annotations

import numpy as np
import pytest
import torch

from preceptor.data._arrays import as_inputs, as_targets
from preceptor.errors import DataError


@pytest.mark.parametrize(
    ("x", "kind", "shape"),
    [
        (np.zeros((5, 4)), "vectors", (5, 4)),
        (np.zeros((5, 4), np.int64), "vectors", (5, 4)),
        (np.zeros((5, 4), bool), "vectors", (5, 4)),
        (np.zeros(5), "vectors", (5, 1)),
        ([[1, 2], [3, 4]], "vectors", (2, 2)),
        (torch.zeros(5, 4), "vectors", (5, 4)),
        (torch.zeros(5, 4, dtype=torch.int64), "tensors", (5, 4)),
        (np.zeros((5, 8, 6), np.uint8), "images", (5, 1, 8, 6)),
        (np.zeros((5, 8, 6), np.float32), "tensors", (5, 8, 6)),
        (np.zeros((5, 8, 6, 3), np.uint8), "images", (5, 3, 8, 6)),
        (np.zeros((5, 8, 6, 1), np.float32), "images", (5, 1, 8, 6)),
        (np.zeros((5, 3, 8, 6), np.uint8), "images", (5, 3, 8, 6)),
        (np.zeros((5, 3, 8, 3), np.uint8), "images", (5, 3, 8, 3)),
        (np.zeros((5, 2, 8, 3), np.uint8), "images", (5, 2, 8, 3)),
        (torch.zeros(5, 3, 8, 6), "images", (5, 3, 8, 6)),
        (np.zeros((5, 2, 3, 4, 6)), "tensors", (5, 2, 3, 4, 6)),
    ],
)
def test_kinds(x: object, kind: str, shape: tuple[int, ...]) -> None:
    inputs = as_inputs(x)
    assert (inputs.kind, tuple(inputs.values.shape)) == (kind, shape)


def test_channels_move_with_their_pixels() -> None:
    x = np.arange(2 * 5 * 6 * 3, dtype=np.uint8).reshape(2, 5, 6, 3)
    inputs = as_inputs(x)
    assert inputs.values.dtype == np.uint8
    assert inputs.values[1, 2, 4, 5] == x[1, 4, 5, 2]
    assert inputs.notes == ("images of shape (5, 6, 3) were brought to (3, 5, 6)",)


def test_floats_called_images_are_images() -> None:
    assert as_inputs(np.zeros((5, 8, 6)), images=True).values.shape == (5, 1, 8, 6)


@pytest.mark.parametrize(
    ("dtype", "result"),
    [
        (np.float64, torch.float32),
        (np.float16, torch.float32),
        (np.int32, torch.int32),
        (np.int64, torch.int64),
        (np.uint16, torch.int64),
        (">f4", torch.float32),
    ],
)
def test_passed_through_types(dtype: object, result: torch.dtype) -> None:
    values = np.arange(24).reshape(2, 3, 4).astype(dtype)
    tensor = as_inputs(values).values
    assert isinstance(tensor, torch.Tensor)
    assert tensor.dtype == result
    np.testing.assert_array_equal(tensor.numpy(), values)


def test_tensors_lose_graph_and_bfloat16() -> None:
    x = torch.ones(3, 2, dtype=torch.bfloat16, requires_grad=True)
    np.testing.assert_array_equal(as_inputs(x).values, np.ones((3, 2)))


def test_read_only_arrays_are_copied() -> None:
    x = np.zeros((2, 3, 4), np.float32)
    x.setflags(write=False)
    as_inputs(x).values[0] = 1
    assert x.sum() == 0


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (np.array([[1.0, np.nan], [np.inf, 0.0]]), r"2 values that are NaN(.|\n)*nan at index \(0, 1\)"),
        (np.array([["a", "b"]]), r"unusable(.|\n)*CSV"),
        (np.array([[1, "b"]], object), "Python objects"),
        (np.zeros((3, 2), complex), "unusable"),
        (np.float64(1), "unusable"),
        (np.zeros((3, 0)), "unusable"),
        ([[1], [1, 2]], r"do not form an array(.|\n)*pad or crop"),
        (torch.eye(3).to_sparse(), "sparse"),
    ],
)
def test_refused(x: object, says: str) -> None:
    with pytest.raises(DataError, match=says):
        as_inputs(x)


def test_one_hot_targets_become_indices() -> None:
    assert as_targets(torch.eye(3)[[2, 0]]).tolist() == [2, 0]
    assert as_targets(np.array([[0.5, 0.5]])).shape == (1, 2)
    assert as_targets(np.array([[1, 1], [0, 1]])).shape == (2, 2)
    assert as_targets([["a"], ["b"]]).shape == (2, 1)
    with pytest.raises(DataError, match="do not form an array"):
        as_targets([[1], [1, 2]])
