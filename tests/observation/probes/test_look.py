from __future__ import annotations

import math

import pytest
import torch

from preceptor.observation.look import Look, Probe
from preceptor.observation.record import Record


def test_numbers_of_every_type_arrive_exactly_and_in_order() -> None:
    look, got = Look(0, "train", Record()), []
    tensors = [
        torch.tensor([0.1], dtype=torch.float64),
        torch.tensor([2**62 + 1, -(2**63)]),
        torch.tensor(0.1, dtype=torch.float32),
        torch.tensor([True, False]),
        torch.tensor([1.5], dtype=torch.float16),
        torch.empty(0),
        torch.tensor([3], dtype=torch.uint8),
        torch.tensor([math.nan, math.inf]),
    ]
    for tensor in tensors:
        look.later(tensor, got.append)
    look.finish()
    expected = [tensor.reshape(-1).tolist() for tensor in tensors]
    assert str(got) == str(expected)


def test_integers_travel_within_float64_without_loss() -> None:
    from preceptor.observation.look import _packed, _unpacked

    blocks = [
        (False, torch.tensor([2**62 + 1, -7])),
        (True, torch.tensor([0.5])),
        (False, torch.tensor([True])),
    ]
    together, sizes = _packed(blocks)
    assert together.dtype is torch.float64
    assert _unpacked(blocks, together, sizes) == [2**62 + 1, -7, 0.5, 1]


def test_one_failing_receiver_does_not_keep_the_others_from_their_numbers() -> None:
    record = Record()
    look = Look(4, "train", record)

    def fail(values: list[float]) -> None:
        raise ValueError("no")

    look.later(torch.ones(1), fail)
    look.put("grad_norm", ["a"], torch.tensor([2.0]))
    order: list[str] = []
    look.after(lambda: order.append("after"))
    look.later(torch.ones(2), lambda values: order.append("later"))
    with pytest.raises(ValueError, match="no"):
        look.finish()
    assert record.signal("grad_norm", parameter="a").last == 2.0
    assert order == ["later", "after"]
    look.finish()
    assert len(record.signal("grad_norm", parameter="a")) == 1, "delivered once"


def test_a_probe_may_ignore_everything() -> None:
    probe, look = Probe(), Look(0, "train", Record())
    probe.begin(look)
    probe.inputs(look, (), {})
    probe.module(look, "", torch.nn.Identity(), (), None)
    probe.loss(look, "mse_loss", {}, None, "a.py:1")
    probe.before_backward(look)
    probe.after_backward(look)
    probe.before_step(look, None)
    probe.after_step(look, None)
    probe.end(look)
    look.finish()
    assert look.record.names == []
