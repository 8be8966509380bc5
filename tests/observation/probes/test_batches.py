from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from preceptor.observation.look import Look
from preceptor.observation.probes import Batches
from preceptor.observation.probes._fingerprints import fingerprints
from preceptor.observation.probes._predictions import Predictions
from preceptor.observation.probes.batches import range_kind
from preceptor.observation.record import Record


def _inputs(
    probe: Batches, record: Record, *args: Any, step: int = 0, phase: str = "train", **kwargs: Any
) -> None:
    look = Look(step, phase, record)
    probe.inputs(look, args, kwargs)
    look.finish()


def _targets(
    target: Tensor, probe: Batches | None = None, record: Record | None = None, **more: Any
) -> Record:
    record = record or Record()
    look = Look(0, "train", record)
    (probe or Batches()).loss(look, "cross_entropy", {"target": target, **more}, torch.tensor(1.0), "a.py:1")
    look.finish()
    return record


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.uint8, torch.int64])
def test_inputs_are_described(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x, record = (torch.rand(16, 3, 8, 8) * 200 + 7).to(dtype), Record()
    _inputs(Batches(), record, x)
    exact = x.double()
    for name, value in (
        ("mean", exact.mean()),
        ("std", exact.std(correction=0)),
        ("min", exact.min()),
        ("max", exact.max()),
    ):
        assert record.signal(f"input_{name}", phase="train").last == pytest.approx(float(value), rel=1e-5)
    assert record.signal("nonfinite_inputs", phase="train").last == 0
    (row,) = record.tables["batches"]
    assert (row["dtype"], row["shape"], row["range"]) == (str(dtype)[6:], [16, 3, 8, 8], "bytes")


def test_values_that_are_not_finite_are_counted() -> None:
    x, record = torch.zeros(8, 4), Record()
    x[1, 2], x[3, 3], x[0, 0] = math.nan, math.inf, -math.inf
    _inputs(Batches(), record, x)
    assert record.signal("nonfinite_inputs", phase="train").last == 3
    assert record.tables["batches"][0]["range"] == "not finite"


def test_a_row_only_where_the_kind_changes_and_the_batch_size_is_no_kind() -> None:
    probe, record = Batches(), Record()
    for step, x in enumerate(
        [
            torch.rand(4, 3),
            torch.rand(2, 3),
            torch.rand(4, 3) * 255,
            torch.rand(4, 2),
            torch.rand(4, 3).double(),
        ]
    ):
        _inputs(probe, record, x, step=step)
    assert [row["step"] for row in record.tables["batches"]] == [0, 2, 3, 4]


def test_the_first_floating_tensor_is_the_input_wherever_it_is() -> None:
    record = Record()
    _inputs(Batches(), record, torch.ones(3, 2, dtype=torch.int64), [{"x": torch.full((3, 2), 0.5)}])
    assert record.signal("input_mean", phase="train").last == 0.5
    record = Record()
    _inputs(Batches(), record, ids=torch.full((3, 2), 7))
    assert record.signal("input_max", phase="train").last == 7


@pytest.mark.parametrize(
    "odd",
    [
        None,
        3,
        torch.empty(0, 2),
        torch.empty(2, device="meta"),
        torch.eye(2).to_sparse(),
        torch.ones(2, dtype=torch.cfloat),
    ],
)
def test_what_cannot_be_read_is_passed_over(odd: Any) -> None:
    record = Record()
    _inputs(Batches(), record, odd)
    assert record.names == []
    assert _targets(odd).names == []


def test_odd_inputs_are_read() -> None:
    with torch.inference_mode():
        inference = torch.rand(4, 3)
    for x in (torch.tensor(2.0), torch.rand(5), torch.rand(4, 3).T, torch.rand(1, 3).expand(5, 3), inference):
        record = Record()
        _inputs(Batches(), record, x)
        assert record.signal("input_mean", phase="train").last == pytest.approx(float(x.mean()), rel=1e-6)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ((0.0, 1.0, 0.5, 0.1), "unit"),
        ((-1.0, 1.0, 0.0, 0.5), "symmetric"),
        ((0.0, 255.0, 33.0, 70.0), "bytes"),
        ((-3.0, 3.2, 0.1, 1.1), "standard"),
        ((-3.0, 5e4, 0.1, 900.0), "large"),
        ((-30.0, 40.0, 9.0, 9.0), "other"),
        ((2.0, 2.0, 2.0, 0.0), "constant"),
        ((0.0, math.inf, math.inf, math.nan), "not finite"),
    ],
)
def test_kinds_of_range(values: tuple[float, float, float, float], kind: str) -> None:
    assert range_kind(*values) == kind


# -------------------------------------------------------------------------- targets


def test_classes_accumulate_over_looks_without_the_ignored_one() -> None:
    probe, record = Batches(), Record()
    _targets(torch.tensor([0, 2, 2, -100]), probe, record)
    _targets(torch.tensor([2, 5]), probe, record, ignore_index=5)
    assert record.facts["classes"]["train"] == {"0": 1, "2": 3}
    assert record.signal("target_max", phase="train").last == 5


@pytest.mark.parametrize(
    ("target", "counted"),
    [
        (torch.tensor([[0.0], [1.0], [1.0]]), True),
        (torch.tensor([True, False]), True),
        (torch.tensor([0.5, 1.0]), False),
        (torch.tensor([-1.0, 1.0]), False),
        (torch.rand(4, 3).round(), False),
        (torch.arange(5000), True),
    ],
)
def test_what_counts_as_classes(target: Tensor, counted: bool) -> None:
    assert ("classes" in _targets(target).facts) == counted


def test_target_statistics_and_order() -> None:
    sorted_labels, mixed = torch.arange(4).repeat_interleave(25), torch.arange(100) % 4
    for target, equal in ((sorted_labels, 96 / 99), (mixed, 0.0)):
        record = _targets(target)
        (row,) = record.tables["batches"]
        assert row["what"] == "target"
        assert row["equal_neighbours"] == pytest.approx(equal)
        assert row["equal_if_shuffled"] == pytest.approx(24 / 99)
        assert row["distinct"] == 4
    for size in (100, 5000):
        target = torch.randn(size) * 3 + 50
        record = _targets(target)
        assert record.signal("target_mean", phase="train").last == pytest.approx(
            float(target.mean()), rel=1e-5
        )
        std = float(target.std(correction=0))
        assert record.signal("target_std", phase="train").last == pytest.approx(std, rel=1e-4)
        assert record.signal("target_min", phase="train").last == float(target.min())


def test_a_nan_in_the_target_is_kept_and_named() -> None:
    from preceptor.observation.probes import Finite

    record, probes = Record(), [Batches(), Finite()]
    look = Look(0, "train", record)
    probes[0].loss(look, "mse_loss", {"target": torch.tensor([1.0, math.nan])}, None, "a.py:3")
    probes[1].end(look)
    look.finish()
    assert math.isnan(record.signal("target_max", phase="train").last)
    assert record.tables["offenders"][0]["name"] == "target of mse_loss at a.py:3"


# -------------------------------------------------------------------------- fingerprints


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.bfloat16, torch.uint8, torch.int64, torch.bool]
)
@pytest.mark.parametrize("shape", [(5,), (784,), (3, 32, 32), (3, 65, 97), (1, 1), (20001,)])
def test_a_row_has_one_fingerprint_wherever_it_stands(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    torch.manual_seed(1)
    rows = (torch.rand(8, *shape) * 250).to(dtype)
    hashes = fingerprints(rows)
    order = torch.tensor([3, 0, 7])
    assert torch.equal(fingerprints(rows[order]), hashes[order])
    assert torch.equal(fingerprints(rows.flip(0)).flip(0), hashes)
    if len(shape) == 3:
        assert torch.equal(fingerprints(rows.contiguous(memory_format=torch.channels_last)), hashes)
    if rows[0].numel() > 4 and dtype is not torch.bool:
        assert len(hashes.unique()) == 8


def test_sparse_rows_and_images_with_black_borders_do_not_collide() -> None:
    one_hot = torch.eye(3000)
    seen = torch.cat([fingerprints(one_hot[start : start + 8]) for start in range(0, 3000, 8)])
    assert len(seen.unique()) == 3000
    images = torch.zeros(64, 1, 28, 28)
    for place in range(64):
        images[place, 0, 10 + place // 8, 10 + place % 8] = 0.5
    assert len(fingerprints(images).unique()) == len(fingerprints(images))
    assert torch.equal(fingerprints(torch.tensor([[0.0, -0.0]])), fingerprints(torch.zeros(1, 2)))


def test_samples_that_are_in_both_phases_are_found() -> None:
    torch.manual_seed(0)
    record, probe = Record(), Batches()
    train, test = torch.randn(32, 10), torch.randn(20, 10)
    test[5:9] = train[:4]
    _inputs(probe, record, train)
    _inputs(probe, record, test, phase="evaluation")
    assert record.samples.overlap("train", "evaluation")[0] == 4
    assert record.facts["fingerprints"]["train"] == {"dtype": "float32", "elements": 10}
    quiet = Record()
    _inputs(Batches(hashes=False), quiet, train)
    assert "fingerprints" not in quiet.facts


def test_fingerprints_are_the_same_in_every_version() -> None:
    expected = np.array([fingerprints(torch.tensor([[1, 2]])).item()], dtype=np.int64)
    factors, words = [], []
    for place in (1, 2):
        z = place * 0x9E3779B97F4A7C15 % 2**64
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        factors.append((z ^ z >> 31) | 1)
        word = place * 0x5851F42D4C957F2D % 2**64
        signed = word - 2**64 if word >= 2**63 else word
        words.append((word ^ signed >> 47) % 2**64)
    total = sum(word * factor for word, factor in zip(words, factors, strict=True))
    assert int(expected.view(np.uint64)[0]) == total % 2**64


def test_later_looks_rest_by_turns(stage: Any) -> None:
    model = nn.Linear(3, 2)
    told = stage(model, [Batches()])
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(24):
        told.train(sgd, torch.randn(4, 3), torch.tensor([0, 1, 1, 0]))
    assert list(told.record.signal("input_mean", phase="train").steps) == [*range(17), 18, 20, 22]
    assert list(told.record.signal("target_mean", phase="train").steps) == [*range(17), 18, 20, 22]


def test_predictions_are_told_up_to_the_latest_looks_of_a_run_with_few() -> None:
    predictions = Predictions()
    for step in (0, 1, 2, 3, 5, 8, 13, 21, 34, 55):
        predictions.add(step, [1.0], [0.0])
        assert predictions.due
        assert predictions.to_plain()["since"] >= step / 2
    predictions.add(60, [1.0], [0.0])
    assert not predictions.due
