"""Rules are registered, and a family that cannot be loaded does not take the others down."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import nn
from torch.nn import functional

from preceptor.diagnosis import rule as rules
from preceptor.diagnosis.diagnose import diagnose
from preceptor.errors import UnknownName
from preceptor.observation.observed import Observed
from preceptor.observation.protocol import Protocol
from preceptor.observation.record import Record
from preceptor.observation.watch import Watch


def test_every_family_loads() -> None:
    failed: list[str] = []
    loaded = rules.load_rules(failed.append)
    assert failed == []
    assert {name.partition(".")[0] for name in loaded} == set(rules._FAMILIES)


def test_an_unknown_cause_is_refused() -> None:
    with pytest.raises(UnknownName):
        rules.rule("no-such-cause")


def test_a_family_that_fails_is_told_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(rules.load_rules())
    monkeypatch.setattr(rules, "_FAMILIES", (*rules._FAMILIES[:1], "no_such_family", *rules._FAMILIES[1:]))
    failed: list[str] = []
    assert diagnose(Observed(Record(), Protocol()), complain=failed.append) == []
    assert len(failed) == 1
    assert "no_such_family failed to load: ModuleNotFoundError" in failed[0]
    assert set(rules.RULES) == before


def test_half_a_family_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    rules.load_rules()
    mine = {name: rule for name, rule in rules.RULES.items() if name.startswith("units.")}
    monkeypatch.setattr(rules, "RULES", dict(rules.RULES))
    module = sys.modules["preceptor.diagnosis.rules.units"]
    monkeypatch.setitem(sys.modules, module.__name__, None)  # importing it fails
    loaded = rules.load_rules()
    assert mine
    assert not set(mine) & set(loaded)
    assert len(loaded) > 30


def test_records_that_lack_what_newer_ones_have() -> None:
    torch.manual_seed(0)
    shared = nn.Linear(8, 8)
    net = nn.Sequential(
        nn.Linear(4, 8), nn.ReLU(), shared, nn.ReLU(), shared, nn.Dropout(0.1), nn.Linear(8, 2)
    )
    x, y = torch.randn(16, 4), torch.randint(0, 2, (16,))
    with Watch(budget=1.0) as watch:
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(4):
            optimizer.zero_grad()
            functional.cross_entropy(net(x), y).backward()
            optimizer.step()
            with torch.no_grad():
                functional.cross_entropy(net(x[:8]), y[:8])
    seen = watch.observed
    for row in seen.record.facts["parts"]["repeated"]:
        row.pop("together", None)
    for row in seen.record.tables["modes"]:
        for name in ("again", "renews", "random"):
            row.pop(name, None)
    failed: list[str] = []
    diagnose(seen, complain=failed.append)
    assert failed == []
