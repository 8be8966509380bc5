"""Rules about data on records that lack things, or hold odd ones."""

from __future__ import annotations

import math
from typing import Any

import pytest

from preceptor.diagnosis.case import Case
from preceptor.observation.observed import Observed
from preceptor.observation.protocol import Protocol
from preceptor.observation.record import Record

from ._data_runs import alarms

_BLANK = {
    "of": 2,
    "count": [0, 0],
    "bad": [3, 3],
    **{key: [None, None] for key in ("mean", "std", "min", "max")},
}
_FULL = {
    "of": 2,
    "count": [9, 9],
    "bad": [0, 0],
    "mean": [1.0, 1.0],
    "std": [0.0, 1.0],
    "min": [0.0, 0.0],
    "max": [1, 1],
}
_ODD: list[dict[str, Any]] = [
    {},
    {"sources": None, "predictions": None, "pairs": None, "relation": None, "loaders": [{}]},
    {
        "sources": {
            "train": {"key": "train", "phase": "train", "features": _BLANK},
            "other": {"key": "other", "phase": "evaluation", "features": _FULL},
        },
        "classes": {"train": {"0": 3}},
        "predictions": {"train": {"since": 20, "looks": 1, "counts": [0, 0, 3]}},
        "pairs": {},
        "relation": {"rows": 3, "columns": 0, "labels": True},
    },
]


@pytest.mark.parametrize("facts", _ODD)
@pytest.mark.parametrize("steps", [0, 30])
def test_odd_records_raise_nothing(facts: dict[str, Any], steps: int) -> None:
    record = Record()
    for step in range(steps):
        record.add("loss", step, math.nan, "train")
        for name, value in (("target_mean", math.nan), ("target_std", math.inf), ("input_min", math.nan)):
            record.add(name, step, value, "train")
    record.facts.update(facts)
    record.table("batches", {"what": "target", "phase": "train", "equal_if_shuffled": None})
    record.table("losses", {"step": 0, "phase": "train", "function": "cross_entropy", "where": "a.py:1"})
    assert alarms(Case(Observed(record, Protocol(), steps={"train": steps}))) == set()
