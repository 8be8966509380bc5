"""The practice map: every piece of advice has a home, and every home exists."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from preceptor import catalogue
from preceptor.cli import app
from preceptor.data import audit
from preceptor.diagnosis.causes import CAUSES
from preceptor.diagnosis.stall import STALLS
from preceptor.diagnosis.verdict import VERDICTS
from preceptor.errors import UnknownName
from preceptor.recipe import CHECKS
from preceptor.recipe.practice import TOPICS, Advice, pages
from preceptor.training.experiment import Experiment
from preceptor.trials.change import KINDS

DOCS = Path(__file__).resolve().parents[2] / "docs"
ADVICE = [one for topic in TOPICS for one in topic.advice]


def has_entry(name: str) -> bool:
    kind, _, entry = name.partition("/")
    try:
        return catalogue.entry(entry, kind).name == entry
    except UnknownName:
        return False


def has_command(line: str) -> bool:
    verb, *options = line.split()
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    known = (
        {flag for parameter in commands[verb].params for flag in parameter.opts}
        if verb in commands
        else set()
    )
    return verb in commands and set(options) <= known


RESOLVES: dict[str, Callable[[str], bool]] = {
    "cause": lambda name: name in CAUSES,
    "verdict": lambda name: name in VERDICTS,
    "stall": lambda name: name in STALLS,
    "check": lambda name: name in CHECKS,
    "audit": lambda name: name in {check.name for check in audit.CHECKS},
    "setting": lambda name: name in Experiment().flat(),
    "command": has_command,
    "trial": lambda name: name in KINDS,
    "entry": has_entry,
    "page": lambda name: (DOCS / name).is_file(),
}


@pytest.mark.parametrize("advice", ADVICE, ids=lambda advice: advice.name)
def test_advice_has_a_home_that_exists(advice: Advice) -> None:
    assert advice.homes
    lost = [home for home in advice.homes if not RESOLVES[home.partition(":")[0]](home.partition(":")[2])]
    assert lost == []


@pytest.mark.parametrize(
    "home", ["cause:none-such", "entry:loss/none-such", "command:train --none-such", "page:none.md"]
)
def test_a_home_that_does_not_exist_is_found_out(home: str) -> None:
    kind, _, name = home.partition(":")
    assert not RESOLVES[kind](name)


def test_every_audit_check_is_on_the_map() -> None:
    told = {home for one in ADVICE for home in one.homes}
    rare = {"spellings", "mixed-types", "identifier-columns", "duplicate-columns", "constant-columns"}
    rare |= {"missing-values", "blank-images", "mixed-scales", "far-examples", "absent-classes"}
    rare |= {"reading", "empty-texts", "encoding", "markup", "text-lengths", "one-text", "scripts", "tags"}
    rare |= {"untranslated", "out-of-step", "exchanged-sides", "ambiguous-sources"}
    assert {check.name for check in audit.CHECKS} - rare <= {home.removeprefix("audit:") for home in told}


def test_names_are_of_one_piece_each() -> None:
    names = [one.name for one in ADVICE]
    assert len(set(names)) == len(names)
    assert all(one.text.endswith(".") and "|" not in one.text for one in ADVICE)


def test_the_pages_are_those_of_the_code() -> None:
    for name, text in pages(TOPICS).items():
        assert (DOCS / name).read_text(encoding="utf-8") == text, "python -m preceptor.recipe.practice docs"
