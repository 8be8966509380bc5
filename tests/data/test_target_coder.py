from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from preceptor.data import load
from preceptor.data._target_coder import ClassCoder, NumberCoder, fit_targets
from preceptor.errors import DataError

X = np.arange(6.0)[:, None]


def test_classes() -> None:
    coder = fit_targets(load((X, ["b", "a", "b", "c", "a", "b"])), np.arange(2), scaled=True)
    assert isinstance(coder, ClassCoder)
    y = coder.apply(["c", "a"])
    assert (y.dtype, y.tolist()) == (torch.int64, [2, 0])
    assert coder.apply(torch.eye(3)[[1]]).tolist() == [1]
    with pytest.raises(DataError, match=r"class is unknown(.|\n)*a, b, c(.|\n)*'d'"):
        coder.apply(["d"])
    with pytest.raises(DataError, match="missing values"):
        coder.apply(np.array(["a", None], object))


def test_numbers_are_scaled_by_the_training_rows() -> None:
    data = load((X, [1.5, 3.5, 1e6, 2.0, 7.0, 9.0]))
    coder = fit_targets(data, np.array([0, 1]), scaled=True)
    assert coder.apply(data.targets)[:3, 0].tolist() == [-1.0, 1.0, 999997.5]
    plain = fit_targets(data, np.array([0, 1]), scaled=False)
    assert plain.apply(data.targets).tolist() == data.targets[:, None].tolist()
    assert plain.apply([1.0]).dtype == torch.float32


def test_a_target_constant_in_training_is_only_shifted() -> None:
    coder = fit_targets(load((X, [2.5, 2.5, 3.5, 1.0, 1.0, 1.0])), np.array([0, 1]), scaled=True)
    assert coder.apply([2.5, 3.5]).tolist() == [[0.0], [1.0]]


@pytest.mark.slow
@given(
    st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=30), st.sampled_from([torch.float32, torch.float64])
)
def test_invert(values: list[float], dtype: torch.dtype) -> None:
    y = np.array([*values, 0.25, 1e3])
    coder = fit_targets(load((np.zeros((len(y), 1)), y)), np.arange(len(y)), scaled=True)
    back = coder.invert(coder.apply(y).to(dtype))
    assert back.dtype == dtype
    np.testing.assert_allclose(back[:, 0], y, rtol=0, atol=4e-7 * (np.abs(y).max() + coder.scale.item() * 10))


def test_several_numbers() -> None:
    y = np.array([[0.0, 10.0], [2.0, 30.0], [4.0, 20.5]])
    coder = fit_targets(load((X[:3], y)), np.arange(3), scaled=True)
    z = coder.apply(y)
    assert z.shape == (3, 2)
    torch.testing.assert_close(z.mean(0), torch.zeros(2), atol=1e-6, rtol=0)
    torch.testing.assert_close(coder.invert(z).double(), torch.from_numpy(y), atol=1e-5, rtol=0)


@pytest.mark.parametrize("raw", [["a", "b"], np.zeros((2, 3)), [True, False]])
def test_numbers_refuse(raw: object) -> None:
    with pytest.raises(DataError, match=r"do not suit(.|\n)*1 numbers"):
        NumberCoder(np.zeros(1), np.ones(1)).apply(raw)


def test_too_large() -> None:
    with pytest.raises(DataError, match="too large for float32"):
        NumberCoder(np.zeros(1), np.ones(1)).apply([1e300])
    with pytest.raises(DataError, match="too large to standardise"):
        fit_targets(load((X, [1e200, -1e200, 0.5, 1, 2, 3])), np.arange(6), scaled=True)
