from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from preceptor.observation.look import Look
from preceptor.observation.probes import Losses
from preceptor.observation.record import Record


def _call(
    probe: Losses, record: Record, function: str, given: Tensor, target: Tensor, step: int = 0, **more: Any
) -> None:
    look = Look(step, "train", record)
    result = getattr(nn.functional, function)(given, target, **more)
    probe.loss(
        look, function, {"input": given, "target": target, "reduction": "mean", **more}, result, "a.py:1"
    )
    look.finish()


def _row(function: str, given: Tensor, target: Tensor, **more: Any) -> dict[str, Any]:
    record = Record()
    _call(Losses(), record, function, given, target, **more)
    (row,) = record.tables["losses"]
    return row


def test_probabilities_given_as_logits_show() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(8, 4) * 3, torch.randint(4, (8,))
    row = _row("cross_entropy", logits.softmax(1), labels)
    assert row["row_sum_off"] < 1e-6
    assert row["in_unit"] == 1.0
    assert row["row_exp_sum_off"] > 1
    row = _row("cross_entropy", logits, labels, label_smoothing=0.1)
    assert row["row_sum_off"] == pytest.approx(float((logits.sum(1) - 1).abs().max()), rel=1e-5)
    assert row["row_exp_sum_off"] == pytest.approx(float(logits.logsumexp(1).abs().max()), rel=1e-4)
    assert row["in_unit"] == pytest.approx(float(((logits >= 0) & (logits <= 1)).float().mean()))
    assert row["label_smoothing"] == 0.1
    assert row["value"] == pytest.approx(
        float(nn.functional.cross_entropy(logits, labels, label_smoothing=0.1))
    )
    assert _row("nll_loss", logits.log_softmax(1), labels)["row_exp_sum_off"] < 1e-5


def test_shapes_that_broadcast_show() -> None:
    with pytest.warns(UserWarning, match="broadcasting"):
        row = _row("mse_loss", torch.rand(4, 1), torch.rand(4))
    assert row["broadcast"] is True
    assert (row["input_shape"], row["target_shape"]) == ([4, 1], [4])
    assert _row("mse_loss", torch.rand(4, 1), torch.rand(4, 1))["broadcast"] is False
    assert _row("cross_entropy", torch.rand(4, 3), torch.tensor([0, 1, 2, 0]))["broadcast"] is False


def test_what_is_said_of_the_target() -> None:
    target = torch.tensor([[0.0], [1.0], [1.0], [3.0]])
    row = _row("l1_loss", torch.zeros(4, 1), target, reduction="sum")
    assert (row["target_min"], row["target_max"], row["target_distinct"], row["integral"]) == (
        0.0,
        3.0,
        3,
        True,
    )
    assert (row["reduction"], row["value"], row["target_dtype"]) == ("sum", 5.0, "float32")
    assert _row("mse_loss", torch.zeros(2), torch.tensor([0.5, 1.0]))["integral"] is False
    weighted = _row(
        "binary_cross_entropy_with_logits", torch.zeros(2), torch.ones(2), pos_weight=torch.tensor(2.0)
    )
    assert weighted["weighted"] is True


def test_three_rows_then_one_for_each_new_kind() -> None:
    probe, record, labels = Losses(), Record(), torch.tensor([0, 1, 1, 0])
    for step in range(30):
        logits = torch.tensor([[2.0, -1.0]]).expand(4, 2)
        _call(probe, record, "cross_entropy", logits.softmax(1) if step >= 20 else logits, labels, step)
    assert [row["step"] for row in record.tables["losses"]] == [0, 1, 2, 23]
    assert record.tables["losses"][-1]["row_sum_off"] < 1e-6


def test_unreduced_half_precision_and_unreadable_calls() -> None:
    row = _row("mse_loss", torch.tensor([1.0, 3.0]), torch.tensor([0.0, 0.0]), reduction="none")
    assert row["value"] == 5.0
    record, probe = Record(), Losses()
    look = Look(0, "train", record)
    half = torch.full((3, 2), 60000.0, dtype=torch.float16)
    probe.loss(look, "mse_loss", {"input": half, "target": half}, torch.tensor(1.0), "a.py:1")
    probe.loss(look, "mse_loss", {"input": half.to_sparse(), "target": None}, torch.tensor(1.0), "a.py:2")
    probe.loss(look, "mse_loss", {}, None, "a.py:3")
    probe.loss(
        look, "mse_loss", {"input": torch.empty(0, 2)}, torch.tensor(0.0, dtype=torch.float64), "a.py:4"
    )
    probe.loss(look, "mse_loss", {"input": torch.ones((), device="meta")}, torch.tensor(2.0), "a.py:5")
    look.finish()
    rows = record.tables["losses"]
    assert [row["where"][-1] for row in rows] == list("12345")
    assert rows[0]["input_max"] == 60000
    assert rows[0]["row_sum_off"] == 119999
    assert "input_max" not in rows[1]
    assert math.isnan(rows[2]["value"])


def test_one_call_a_place_and_look() -> None:
    record, probe = Record(), Losses()
    look = Look(0, "train", record)
    for value in (1.0, 2.0):
        x = torch.tensor([value])
        probe.loss(look, "mse_loss", {"input": x, "target": x}, x.sum(), "a.py:1")
    look.finish()
    assert [row["value"] for row in record.tables["losses"]] == [1.0]
