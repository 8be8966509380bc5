"""What was seen of a run survives being saved: record, protocol, graphs with their statistics."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from preceptor.errors import ModelError, StorageError
from preceptor.observation.observed import Observed
from preceptor.observation.watch import Watch


@pytest.fixture(scope="module")
def seen() -> Observed:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3))
    optimizer = torch.optim.Adam(model.parameters())
    x, y = torch.randn(32, 4), torch.randint(0, 3, (32,))
    x[0, 0] = float("inf")
    with Watch() as watch:
        for step in range(25):
            optimizer.zero_grad()
            functional.cross_entropy(model(x if step == 2 else x[1:]), y if step == 2 else y[1:]).backward()
            optimizer.step()
            if step % 10 == 9:
                with torch.no_grad():
                    functional.cross_entropy(model.eval()(x[1:]), y[1:])
                model.train()
    return watch.observed


def test_a_round_trip(seen: Observed, tmp_path: Path) -> None:
    seen.save(tmp_path)
    again = Observed.load(tmp_path)
    assert (again.steps, again.notes) == (seen.steps, seen.notes)
    assert list(again.protocol) == list(seen.protocol)
    assert again.protocol.typical() == seen.protocol.typical()
    assert again.protocol.current == seen.protocol.current
    assert again.record.facts == json.loads(json.dumps(seen.record.facts))
    assert list(again.graphs) == list(seen.graphs)
    for step, graph in seen.graphs.items():
        other = again.graphs[step]
        assert other.to_dot() == graph.to_dot()
        assert [repr(node) for node in other.slice()] == [repr(node) for node in graph.slice()]
        assert str([value.statistics for value in other.values]) == str(
            [value.statistics for value in graph.values]
        )
        assert other.parameters_without_gradient() == graph.parameters_without_gradient()


def test_a_graph_that_was_saved_is_not_replayed(seen: Observed, tmp_path: Path) -> None:
    seen.save(tmp_path)
    graph = Observed.load(tmp_path).graphs[0]
    assert not graph.replayable
    assert "not saved" in graph.broken_by
    with pytest.raises(ModelError):
        graph.replay()


def test_a_record_alone_can_be_read(seen: Observed, tmp_path: Path) -> None:
    seen.record.save(tmp_path)
    again = Observed.load(tmp_path)
    assert again.graphs == {}
    assert len(again.protocol) == 0


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"format": "preceptor-observed", "version": 9}', "[" * 100_000]
)
def test_damage_is_named(seen: Observed, tmp_path: Path, content: str) -> None:
    seen.save(tmp_path)
    (tmp_path / "observed.json").write_text(content)
    with pytest.raises(StorageError, match=r"observed\.json"):
        Observed.load(tmp_path)


@pytest.mark.parametrize("name", ["record.json", "observed.json"])
def test_a_changed_byte_is_noticed(seen: Observed, tmp_path: Path, name: str) -> None:
    seen.save(tmp_path)
    path = tmp_path / name
    text = path.read_text()
    at = text.index("0.3") if "0.3" in text else text.index("32")
    path.write_text(text[:at] + "9" + text[at + 1 :])
    with pytest.raises(StorageError, match="has changed since it was written"):
        Observed.load(tmp_path)


def test_what_belongs_to_an_older_record_is_left_out(seen: Observed, tmp_path: Path) -> None:
    seen.save(tmp_path)
    older = (tmp_path / "observed.json").read_bytes()
    seen.record.facts["later"] = True
    seen.save(tmp_path)
    del seen.record.facts["later"]
    (tmp_path / "observed.json").write_bytes(older)
    left = Observed.load(tmp_path)
    assert (left.graphs, left.steps) == ({}, Observed(left.record, left.protocol).steps)
