"""The page of the rooms is that of the code, and the code keeps to its contract."""

from __future__ import annotations

from pathlib import Path

from preceptor.architecture import contracts, imports, section

PROJECT = Path(__file__).resolve().parents[1]


def test_the_page_is_that_of_the_code() -> None:
    page = (PROJECT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert page.endswith(section(PROJECT)), "python -m preceptor.architecture docs"


def test_every_room_has_a_place_and_imports_what_lies_below_it() -> None:
    graph = imports()
    layers = next(one for one in contracts(PROJECT) if one["type"] == "layers")["layers"]
    height = {
        room.strip().rpartition(".")[2]: -depth
        for depth, layer in enumerate(layers)
        for room in layer.split("|")
    }
    assert set(graph) == set(height)
    assert [(a, b) for a, others in graph.items() for b in others if height[b] >= height[a]] == []


def test_what_is_imported_within_functions_counts() -> None:
    assert imports()["pytest_plugin"] == {"errors"}
    assert "report" in imports()["cli"]
    assert imports()["errors"] == frozenset()
