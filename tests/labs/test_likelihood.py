"""What the labs on likelihood compute themselves."""

from __future__ import annotations

import numpy as np
import pytest

from preceptor.labs.chapters.likelihood.label_noise import _measured, _spoilt


@pytest.mark.parametrize("share", [0.0, 0.2, 0.4])
def test_so_many_labels_become_another_one(share: float):
    labels = np.arange(100) % 10
    spoilt = _spoilt(labels, share, seed=3)
    assert (spoilt != labels).sum() == round(100 * share)
    assert set(spoilt.tolist()) <= set(range(10))


def test_the_calibration_error_is_the_gap_of_confidence_and_accuracy():
    chances = np.array([[0.9, 0.1], [0.9, 0.1], [0.3, 0.7], [0.35, 0.65]])
    accuracy, error, sure = _measured(chances, np.array([0, 1, 1, 1]))
    assert accuracy == 0.75
    assert error == pytest.approx((abs(1 - 1.8) + abs(1 - 0.7) + abs(1 - 0.65)) / 4)
    assert sure == pytest.approx((0.9 + 0.9 + 0.7 + 0.65) / 4)
