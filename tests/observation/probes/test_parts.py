"""Parts: which layers are called, which parameters stand apart, and which numbers look drawn at random."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from preceptor.observation.probes._apart import _spread, drawn
from preceptor.observation.probes.parts import Parts
from preceptor.observation.record import Record

X, Y = torch.randn(12, 20, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 3


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.spare, self.head = nn.Linear(20, 20), nn.Linear(20, 20), nn.Linear(20, 3)
        self.loose = [nn.Linear(20, 20)]

    def forward(self, x):
        return self.head(self.loose[0](self.first(self.first(x))).relu())


def facts(stage, model, optimizer, looks: int = 4) -> dict:
    told = stage(model, [Parts()])
    for _ in range(looks):
        told.train(optimizer, X, Y)
    json.dumps(told.record.facts)
    return told.record.facts["parts"]


def by_name(rows: list[dict]) -> dict[str, dict]:
    return {row["name"]: row for row in rows}


def test_calls_are_counted(stage) -> None:
    model = Net()
    found = facts(stage, model, torch.optim.SGD(model.parameters(), lr=0.1))
    rows = by_name(found["modules"])
    assert (found["looks"], found["steady"]) == (4, True)
    assert [(rows[name]["called"], rows[name]["most"]) for name in ("first", "spare", "head")] == [
        (4, 2),
        (0, 0),
        (4, 1),
    ]
    assert rows["first"]["owner"] == "Net"
    assert rows["first"]["own"]
    assert not rows["first"]["gradless"]


def test_parameters_that_stand_apart(stage) -> None:
    model = Net()
    model.head.bias.requires_grad_(False)
    found = facts(stage, model, torch.optim.SGD(model.parameters(), lr=0.1))
    rows = by_name(found["parameters"])
    assert set(rows) == {"spare.weight", "spare.bias", "head.bias"}
    assert rows["spare.weight"]["drawn"] == "uniform"
    assert rows["spare.weight"]["held"] == 0
    assert not rows["spare.weight"]["reached"]
    assert not rows["spare.weight"]["changed"]
    assert not rows["head.bias"]["trainable"]


def test_a_module_that_is_called_and_not_registered(stage) -> None:
    model = Net()
    told = stage(model, [Parts()])
    told.begin()
    output = told.forward(X)
    told.tell("module", "", model.loose[0], (X,), output)
    told.finish()
    row = by_name(told.record.facts["parts"]["modules"])["Linear"]
    assert not row["registered"]
    assert row["called"] == 1


def test_what_changes_later_is_told_of(stage) -> None:
    model = Net()
    optimizer = torch.optim.SGD(model.head.parameters(), lr=0.1)
    told = stage(model, [Parts()])
    for look in range(8):
        if look == 5:
            model.first.weight.data.mul_(2.0)  # no version counts that
        told.train(optimizer, X, Y)
    rows = by_name(told.record.facts["parts"]["parameters"])
    assert rows["first.weight"]["held"] is None
    assert rows["first.weight"]["reached"]
    assert rows["first.weight"]["changed"]
    assert not rows["first.bias"]["changed"]


def test_one_object_in_several_places(stage) -> None:
    layer = nn.Linear(20, 20)
    model = nn.Sequential(layer, nn.ReLU(), layer, nn.ReLU(), nn.Linear(20, 3))
    found = facts(stage, model, torch.optim.SGD(model.parameters(), lr=0.1))
    assert [(row["names"], row["class"], row["together"]) for row in found["repeated"]] == [
        (["0", "2"], "Linear", True)
    ]


def test_one_object_under_two_names(stage) -> None:
    model = Net()
    model.spare = model.first
    found = facts(stage, model, torch.optim.SGD(model.parameters(), lr=0.1))
    assert [(row["names"], row["together"]) for row in found["repeated"]] == [(["first", "spare"], False)]


def test_evaluations_count_nothing() -> None:
    assert "parts" not in Record().facts


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: nn.Linear(64, 32).weight, "uniform"),
        (lambda: nn.Conv2d(8, 16, 3).weight, "uniform"),
        (lambda: nn.init.kaiming_normal_(torch.empty(30, 40)), "normal"),
        (lambda: nn.Embedding(300, 8).weight, "normal"),
        (lambda: torch.ones(20, 20), ""),
        (lambda: torch.randn(40, 1) @ torch.randn(1, 40), ""),
        (lambda: nn.init.sparse_(torch.empty(40, 40), 0.5), ""),
        (lambda: torch.randn(40, 40) + 0.5, ""),
        (lambda: torch.full((20, 20), torch.nan), ""),
        (lambda: torch.zeros(20, 20), ""),
    ],
)
def test_numbers_that_look_drawn(make, kind, seed) -> None:
    torch.manual_seed(seed)
    rows, columns, measured = _spread(make().detach())
    assert drawn(rows, columns, *measured.tolist()) == kind


def test_a_trained_layer_does_not_look_drawn() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(40, 40)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.01)
    x = torch.randn(200, 40)
    for _ in range(100):
        optimizer.zero_grad()
        (layer(x) - x.roll(1, 1)).square().mean().backward()
        optimizer.step()
    rows, columns, measured = _spread(layer.weight.detach())
    assert drawn(rows, columns, *measured.tolist()) == ""
