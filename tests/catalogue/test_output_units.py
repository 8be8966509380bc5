"""Output units as probabilities."""

from __future__ import annotations

import pytest
import torch

from preceptor.catalogue import get


def test_softmax_of_one_two_three():
    p = get("softmax")(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    assert p.tolist() == pytest.approx([0.09003057, 0.24472847, 0.66524096], abs=1e-8)


def test_softmax_is_shift_invariant_and_survives_large_logits():
    z = torch.randn(5, 4, dtype=torch.float64)
    softmax = get("softmax")
    torch.testing.assert_close(softmax(z), softmax(z + 100.0), rtol=1e-12, atol=1e-12)
    assert softmax(torch.tensor([1000.0, 0.0])).tolist() == [1.0, 0.0]


def test_sigmoid_is_the_softmax_of_zero_and_the_logit():
    z = torch.randn(9, dtype=torch.float64)
    both = get("softmax")(torch.stack([torch.zeros_like(z), z], dim=1))
    torch.testing.assert_close(get("sigmoid", kind="output-unit")(z), both[:, 1])


def test_identity_changes_nothing():
    z = torch.randn(3, 2)
    assert torch.equal(get("identity", kind="output-unit")(z), z)
