from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from preceptor.data._scaler import PassThrough, Scaler, moments, standardised
from preceptor.errors import DataError

finite = st.floats(-1e6, 1e6)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64, bool])
@pytest.mark.parametrize("shape", [(700, 3, 20, 25), (5000, 90), (3, 2)])
def test_moments_are_those_of_numpy(dtype: type, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    values = (rng.integers(0, 2 if dtype is bool else 200, shape)).astype(dtype)
    rows = rng.permutation(shape[0])[: max(2, shape[0] // 2)]
    mean, deviation = moments(values, rows)
    axes = (0, *range(2, len(shape)))
    np.testing.assert_allclose(mean, values[rows].astype(float).mean(axes), rtol=1e-13)
    np.testing.assert_allclose(deviation, values[rows].astype(float).std(axes), rtol=1e-13)


@pytest.mark.parametrize("offset", [1e3, 1e8, -1e12])
def test_moments_are_stable_far_from_zero(offset: float) -> None:
    values = offset + np.arange(100_000, dtype=float)[:, None] % 7
    mean, deviation = moments(values, np.arange(100_000))
    np.testing.assert_allclose(mean - offset, (np.arange(100_000) % 7).mean(), atol=abs(offset) * 1e-14)
    np.testing.assert_allclose(deviation, (np.arange(100_000) % 7).std(), rtol=1e-9)


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, -1e9, 255])
def test_constants_have_no_deviation(value: float) -> None:
    values = np.full((100_001, 1), value)
    assert moments(values, np.arange(100_001))[1].item() == 0
    np.testing.assert_array_equal(
        Scaler.fit("vectors", values, np.arange(9), (), standard=True).apply(values + 3), 0 * values
    )


@pytest.mark.slow
@settings(deadline=None)
@given(hnp.arrays(float, st.tuples(st.integers(2, 40), st.integers(1, 4)), elements=finite))
def test_training_rows_get_mean_0_and_deviation_1(values: np.ndarray) -> None:
    scaler = Scaler.fit("vectors", values, np.arange(len(values)), (), standard=True)
    scaled = standardised(values, scaler.mean, scaler.deviation)
    np.testing.assert_array_equal(scaler.apply(values).numpy(), scaled.astype(np.float32))
    for column, deviation in zip(scaled.T, scaler.deviation, strict=True):
        if deviation == 0:
            assert (column == 0).all()
        elif deviation > 1e-3:  # below that, rounding of values near 1e6 is a part of what varies
            assert abs(column.mean()) < 1e-6
            assert abs(column.std() - 1) < 1e-6


def test_only_training_rows_count() -> None:
    values = np.array([[0.0], [2.0], [1e6]])
    scaler = Scaler.fit("vectors", values, np.array([0, 1]), (), standard=True)
    assert scaler.apply(values).squeeze(1).tolist() == [-1.0, 1.0, 999999.0]


def test_images_are_scaled_per_channel() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 100, (50, 3, 4, 5)) + np.array([0, 50, 155])[None, :, None, None]
    x = Scaler.fit("images", images.astype(np.uint8), np.arange(50), (), standard=True).apply(
        images.astype(np.uint8)
    )
    assert x.dtype == torch.float32
    torch.testing.assert_close(x.mean((0, 2, 3)), torch.zeros(3), atol=1e-6, rtol=0)
    torch.testing.assert_close(x.std((0, 2, 3), correction=0), torch.ones(3))


def test_scale_none_keeps_the_values() -> None:
    values = np.array([[1, 200], [3, 4]], np.uint8)
    scaler = Scaler.fit("vectors", values, np.arange(2), (), standard=False)
    assert scaler.apply(values).tolist() == [[1.0, 200.0], [3.0, 4.0]]
    assert scaler.describe() == ["inputs are used with their values as they are"]


def test_inputs_are_left_alone() -> None:
    values = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
    for standard in (True, False):
        Scaler.fit("vectors", values, np.arange(2), (), standard=standard).apply(values).zero_()
    assert values.tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_lists_and_tensors_are_taken() -> None:
    scaler = Scaler.fit("vectors", np.array([[1.0], [3.0]]), np.arange(2), ("a",), standard=True)
    assert scaler.apply([[2.0]]).tolist() == scaler.apply(torch.tensor([[2.0]])).tolist() == [[0.0]]
    assert scaler.apply(torch.tensor([[2]])).tolist() == [[0.0]]
    assert scaler.apply(np.empty((0, 1))).shape == (0, 1)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (np.zeros((3, 2)), r"another shape(.|\n)*N×1(.|\n)*3×2"),
        (np.array([[np.nan]]), "NaN, infinite or too large"),
    ],
)
def test_unsuitable_inputs(values: np.ndarray, says: str) -> None:
    scaler = Scaler.fit("vectors", np.array([[1.0], [3.0]]), np.arange(2), (), standard=True)
    with pytest.raises(DataError, match=says):
        scaler.apply(values)


def test_too_large() -> None:
    values = np.array([[1e200], [-1e200]])
    with pytest.raises(DataError, match="too large to standardise"):
        Scaler.fit("vectors", values, np.arange(2), (), standard=True)
    with pytest.raises(DataError, match="too large for float32"):
        Scaler.fit("vectors", values, np.arange(2), (), standard=False).apply(values)


def test_pass_through() -> None:
    through = PassThrough((3,))
    tokens = torch.tensor([[1, 2, 3]])
    assert through.apply(tokens) is tokens
    assert through.apply(np.zeros((2, 3))).dtype == torch.float32
    assert PassThrough.from_state(through.to_state()) == through
    assert through.describe() == ["inputs are passed through as they are"]
