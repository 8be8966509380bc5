from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from preceptor.observation.look import Look, Source
from preceptor.observation.probes import Batches
from preceptor.observation.record import Record
from preceptor.observation.watch import Watch


def _look(
    probe: Batches,
    record: Record,
    x: Tensor,
    y: Tensor | None = None,
    *more: Tensor,
    function: str = "cross_entropy",
    source: Source | None = None,
) -> None:
    look = Look(0, "train" if source is None else "evaluation", record)
    look.source = source or look.source
    probe.inputs(look, (x, *more), {})
    if y is not None:
        scores = torch.zeros(len(y), 3)
        probe.loss(look, function, {"input": scores, "target": y}, torch.tensor(1.0), "a.py:1")
    look.finish()


def test_each_source_has_its_columns_and_fingerprints() -> None:
    probe, record = Batches(), Record()
    held_out = Source("evaluation:a.py:9", where="a.py:9<a.py:20", training=False)
    _look(probe, record, torch.tensor([[1.0, 100.0], [3.0, 300.0]]))
    _look(probe, record, torch.tensor([[5.0, 500.0]]))
    _look(probe, record, torch.tensor([[0.1, 0.2], [0.3, 0.4], [0.5, float("nan")]]), source=held_out)
    train, other = record.facts["sources"].values()
    assert (train["key"], train["phase"], train["batch"], train["batches"]) == ("train", "train", 2, 2)
    assert train["features"]["mean"] == pytest.approx([3.0, 300.0])
    assert train["features"]["count"] == [3, 3]
    assert (other["where"], other["shape"], other["training"]) == ("a.py:9<a.py:20", [2], False)
    assert other["features"]["bad"] == [0, 1]
    assert record.samples.keys == ["train", "evaluation:a.py:9"]


def test_columns_are_measured_ever_more_seldom() -> None:
    probe, record = Batches(), Record()
    for _ in range(16):
        _look(probe, record, torch.rand(4, 2))
    found = record.facts["sources"]["train"]
    assert found["batches"] == 16
    assert found["features"]["looks"] == 8  # 1, 2, 3, 4, 6, 8, 12, 16


@pytest.mark.parametrize("x", [torch.rand(6), torch.tensor(1.0)])
def test_inputs_without_columns_have_a_source_all_the_same(x: Tensor) -> None:
    record = Record()
    _look(Batches(), record, x)
    assert "features" not in record.facts["sources"]["train"]


def test_samples_that_come_again_are_compared_with_their_targets() -> None:
    torch.manual_seed(0)
    probe, record = Batches(), Record()
    x, y = torch.randn(40, 5), torch.arange(40) % 3
    for order in (torch.randperm(40), torch.randperm(40)):
        _look(probe, record, x[order], y[order])
    assert record.facts["pairs"] == {
        "rows": 80,
        "again": 40,
        "other": 0,
        "known": 0,
        "within": 0,
        "within_other": 0,
    }
    _look(probe, record, x, y.roll(1))
    assert (
        record.facts["pairs"]["other"] == record.facts["pairs"]["known"] == 39
    )  # 40 of 3 classes: one keeps its own


def test_a_sample_is_all_that_the_model_is_given() -> None:
    torch.manual_seed(0)
    probe, record = Batches(), Record()
    x, first, second = torch.randn(20, 5), torch.randint(9, (20,)), torch.randint(9, (20, 2))
    for more, y in ((first, 0), (first + 9, 1), (second, 2), (second + 9, 0)):
        _look(probe, record, x, torch.full((20,), y), more)
    assert record.facts["pairs"]["again"] == 0
    _look(probe, record, x, torch.full((20,), 1), first)
    assert record.facts["pairs"]["other"] == 20


@pytest.mark.parametrize("columns", [1, 4])
def test_targets_of_any_width(columns: int) -> None:
    torch.manual_seed(0)
    probe, record = Batches(), Record()
    x, y = torch.randn(30, 5), torch.randn(30, columns)
    for target in (y, y, y.flip(0)):
        _look(probe, record, x, target, function="mse_loss")
    pairs = record.facts["pairs"]
    assert (pairs["again"], pairs["other"], pairs["known"]) == (60, 30, 30)


def test_whether_targets_have_to_do_with_inputs() -> None:
    torch.manual_seed(0)
    related, unrelated = Record(), Record()
    for record, mixed in ((related, False), (unrelated, True)):
        probe = Batches()
        for _ in range(8):
            x = torch.randn(16, 6)
            y = x[:, :3].argmax(1)
            _look(probe, record, x, y[torch.randperm(16)] if mixed else y)
    assert related.facts["relation"]["rows"] == unrelated.facts["relation"]["rows"] == 128
    assert related.facts["relation"]["labels"]
    assert 128 * related.facts["relation"]["correlation"] > 10
    assert 128 * unrelated.facts["relation"]["correlation"] < 3


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (torch.randint(9, (8, 4)), torch.zeros(8, dtype=torch.int64)),  # tokens are no numbers
        (torch.randn(8, 4), torch.zeros(16, dtype=torch.int64)),  # two targets a sample
        (torch.randn(8), torch.zeros(8, dtype=torch.int64)),
    ],
)
def test_what_cannot_be_related(x: Tensor, y: Tensor) -> None:
    probe, record = Batches(), Record()
    for _ in range(8):
        _look(probe, record, x + torch.arange(8).reshape(-1, *[1] * (x.dim() - 1)), y)
    assert "relation" not in record.facts


def test_two_calls_before_the_loss_are_no_pairs(stage: Any) -> None:
    probe, record = Batches(), Record()
    look = Look(0, "train", record)
    for _ in range(2):
        probe.inputs(look, (torch.randn(8, 4),), {})
    probe.loss(
        look, "cross_entropy", {"input": torch.zeros(8, 2), "target": torch.arange(8) % 2}, None, "a.py:1"
    )
    look.finish()
    assert "pairs" not in record.facts


def test_predictions_of_the_latest_looks() -> None:
    probe, record = Batches(), Record()
    _look(probe, record, torch.randn(4, 2), torch.tensor([0, 1, 1, 2]))
    assert record.facts["predictions"]["train"]["counts"] == [0, 0, 1, 1, 0, 2, 2, 0, 1]


def test_the_program_may_write_into_its_batch_before_the_look_ends() -> None:
    probe, record = Batches(), Record()
    look = Look(0, "train", record)
    x, y = torch.rand(16, 3), torch.arange(16) % 2
    first = x.clone()
    probe.inputs(look, (x,), {})
    x.fill_(float("nan"))
    probe.loss(look, "cross_entropy", {"input": torch.zeros(16, 2), "target": y}, None, "a.py:1")
    look.finish()
    assert record.facts["sources"]["train"]["features"]["mean"] == pytest.approx(first.mean(0).tolist())
    assert probe._matches.specimens.inputs[:16].tolist() == first.tolist()


def test_places_loaders_and_models_are_told_apart() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(24, 3), torch.arange(24) % 2
    with Watch() as watch:
        for _ in range(2):
            model = nn.Linear(3, 2)
            sgd = torch.optim.SGD(model.parameters(), lr=0.1)
            for _ in range(4):
                sgd.zero_grad()
                nn.functional.cross_entropy(model(x[:16]), y[:16]).backward()
                sgd.step()
            model.eval()
            with torch.no_grad():
                model(x[16:])
                model(x[:16])
    sources = watch.record.facts["sources"]
    assert [(s["phase"], s["model"], s["training"]) for s in sources.values()] == [
        ("train", 0, True),
        ("evaluation", 0, False),
        ("evaluation", 0, False),
        ("train", 1, True),
        ("evaluation", 1, False),
        ("evaluation", 1, False),
    ]
    keys = list(sources)
    assert keys[0] == "train"
    assert keys[3] == "train of model 1"
    assert len({*keys}) == 6
    assert watch.record.samples.overlap(keys[1], "train")[0] == 0
    assert watch.record.samples.overlap(keys[2], "train") == (16, 16, 16)
