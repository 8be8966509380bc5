"""The causes: complete, tied to each other, and the same in the docs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from preceptor.diagnosis.cause import FAMILIES
from preceptor.diagnosis.causes import CAUSES
from preceptor.diagnosis.pages import pages
from preceptor.diagnosis.rule import load_rules

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize("cause", CAUSES.values(), ids=lambda cause: cause.id)
def test_a_cause_says_everything(cause) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)+|overfitting", cause.id)
    assert cause.family in FAMILIES
    for text in (cause.meaning, cause.mechanism, cause.recognised):
        assert text.endswith(".")
        assert "  " not in text
    assert not cause.remedy.endswith(".")
    assert cause.remedy[0].islower()
    assert "\n" not in cause.remedy
    assert re.search(r"\((19|20)\d\d\)$", cause.source)


@pytest.mark.parametrize("cause", CAUSES.values(), ids=lambda cause: cause.id)
def test_a_cause_knows_the_others(cause) -> None:
    assert 1 <= len(cause.confused) <= 3
    assert {*cause.confused, *cause.explains} <= set(CAUSES)
    assert cause.id not in {*cause.confused, *cause.explains}


def test_nothing_explains_what_explains_it() -> None:
    for cause in CAUSES.values():
        assert not [other for other in cause.explains if cause.id in CAUSES[other].explains]


@pytest.mark.parametrize("other", ["learning-rate-too-low", "too-few-epochs", "capacity-too-low"])
def test_what_often_comes_together_is_not_hidden(other: str) -> None:
    for cause in ("unsuitable-output-activation", "loss-mismatch", "unscaled-inputs", "too-few-epochs"):
        assert other not in CAUSES[cause].explains


def test_every_page_is_that_of_the_code() -> None:
    wanted = pages()
    there = {"causes.md", *(f"causes/{path.name}" for path in (DOCS / "causes").iterdir())}
    assert there == set(wanted)
    stale = [name for name, text in wanted.items() if (DOCS / name).read_text(encoding="utf-8") != text]
    assert stale == [], "write them with: python -m preceptor.diagnosis.pages docs"


def test_pages_can_be_read() -> None:
    for name, text in pages().items():
        for target in re.findall(r"\]\(([^)]+)\)", text):
            assert (DOCS / name).parent.joinpath(target).resolve().is_file(), (name, target)
        assert [line for line in text.splitlines() if len(line) > 120 and not line.startswith("|")] == []


def test_rules_name_causes() -> None:
    assert {cause for rule in load_rules().values() for cause in rule.causes} <= set(CAUSES)
