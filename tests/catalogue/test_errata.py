"""Every misprint is described in full, leads to what exists, and has a test that its printed form fails."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from preceptor.catalogue import entry
from preceptor.catalogue.errata import ERRATA, FAMILIES, Erratum, erratum, find_errata
from preceptor.errors import UnknownName

CHECKS = {
    node.name
    for file in sorted(Path(__file__).with_name("errata").glob("test_*.py"))
    for node in ast.parse(file.read_text(encoding="utf-8")).body
    if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
}
each = pytest.mark.parametrize("e", ERRATA.values(), ids=lambda e: e.topic)


@each
def test_it_is_described_in_full(e: Erratum):
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", e.topic)
    assert e.family in FAMILIES
    assert all(text.strip() for text in (e.printed, e.right, e.why))
    assert e.printed != e.right
    for name in e.entries:
        kind, _, own = name.partition(":")
        assert entry(own, kind).name == own


@each
def test_it_has_a_test(e: Erratum):
    assert "test_" + e.topic.replace("-", "_") in CHECKS


def test_every_test_has_its_misprint():
    assert {name.removeprefix("test_").replace("_", "-") for name in CHECKS} == set(ERRATA)


def test_misprints_are_found_by_topic_pattern_and_entry():
    assert erratum("Glorot_Bound") is ERRATA["glorot-bound"]
    assert {e.topic for e in find_errata("rmsprop-*")} >= {"rmsprop-root", "rmsprop-accumulates"}
    assert {e.topic for e in find_errata("optimizer:rmsprop")} >= {"rmsprop-root", "epsilon-placement"}
    with pytest.raises(UnknownName, match="did you mean 'glorot-bound'"):
        erratum("glorot-bond")
