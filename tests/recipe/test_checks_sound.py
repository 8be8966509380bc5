"""Sound programs that checks once took for faulty ones."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import preceptor
from preceptor.recipe import _checks_many
from preceptor.recipe.gathering import of_program


def test_an_absolute_error_far_below_its_targets_depends_on_them():
    torch.manual_seed(0)
    x = torch.randn(64, 3)
    y = 20 + x[:, :1]  # every target above every output: all slopes alike
    found = preceptor.check(nn.Linear(3, 1), nn.functional.l1_loss, (x, y), only=["targets"])
    assert found["targets"].status == "passed"

    def blind(output: Tensor, target: Tensor) -> Tensor:
        return (output - 20).abs().mean() + 0 * target.mean()

    found = preceptor.check(nn.Linear(3, 1), blind, (x, y), only=["targets"])
    assert found["targets"].status == "failed"
    assert "does not depend" in found["targets"].text


def test_where_hardly_anything_is_learnt_about_others_shuffled_labels_are_not_compared(
    monkeypatch: pytest.MonkeyPatch,
):
    by_heart = {"examples": 5, "steps": 1, "learnt": True, "has room": True, "in time": True}
    monkeypatch.setattr(_checks_many, "_by_heart", lambda subject: by_heart)
    x = torch.randn(40, 3)
    subject = of_program(nn.Linear(3, 1), nn.functional.mse_loss, (x, x[:, :1]), held_out=(x, x[:, :1]))
    subject.known["generalises"] = (5, 0.004)
    found = _checks_many.shuffled_labels(subject)
    assert found.status == "passed"
    assert "too little" in found.text
