from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from preceptor.observation.probes._features import Features, column_axis, columns, measured


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((8,), None),
        ((), None),
        ((8, 5), 1),
        ((8, 20, 3), 2),
        ((8, 3, 20), 1),
        ((8, 3, 6, 6), 1),
        ((8, 2, 4, 4, 4), 1),
    ],
)
def test_where_columns_are(shape: tuple[int, ...], axis: int | None) -> None:
    assert column_axis(shape) == axis


@pytest.mark.parametrize("finite", [True, False])
def test_columns_of_several_looks_are_those_of_all_rows_together(finite: bool) -> None:
    torch.manual_seed(0)
    rows = torch.randn(90, 4).double() * torch.tensor([1.0, 10.0, 1e-3, 0.0]) + torch.tensor(
        [0.0, 5.0, 1.0, 2.0]
    )
    features = Features(1, 4)
    for part in rows.split([10, 50, 30]):
        features.add(measured(part, finite).reshape(-1).tolist(), len(part))
    found = features.to_plain()
    assert found["looks"] == 3
    assert found["count"] == [90] * 4
    assert found["bad"] == [0] * 4
    np.testing.assert_allclose(found["mean"], rows.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found["std"], rows.std(0, correction=0), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found["min"], rows.amin(0))
    np.testing.assert_allclose(found["max"], rows.amax(0))


def test_what_is_not_finite_is_counted_and_left_out() -> None:
    rows = torch.tensor([[1.0, math.nan, math.inf], [3.0, 5.0, -math.inf]])
    features = Features(1, 3)
    features.add(measured(rows, False).reshape(-1).tolist(), 2)
    found = features.to_plain()
    assert found["bad"] == [0, 1, 2]
    assert found["mean"] == [2.0, 5.0, None]
    assert found["std"] == [1.0, 0.0, None]
    assert found["max"] == [3.0, 5.0, None]


def test_many_columns_and_elements_are_thinned_evenly() -> None:
    wide = torch.arange(1000.0).expand(4, 1000)
    chosen = columns(wide, 1)
    assert chosen.shape == (4, 63)
    assert chosen[0, 1] == 16 == Features(1, 1000).step
    images = torch.rand(64, 3, 224, 224)
    channels = columns(images, 1)
    assert channels.shape[1] == 3
    assert 1000 < channels.numel() <= 1 << 16
    assert channels.mean(0) == pytest.approx(images.mean((0, 2, 3)), abs=0.02)
    assert columns(torch.zeros(5, 2, dtype=torch.uint8), 1).dtype is torch.float32


def test_another_number_of_columns_is_left_out() -> None:
    features = Features(1, 2)
    features.add(measured(torch.ones(3, 2), True).reshape(-1).tolist(), 3)
    features.add(measured(torch.ones(3, 4), True).reshape(-1).tolist(), 3)
    assert features.to_plain()["looks"] == 1
