"""The gate: nothing enters the catalogue without formula, shapes, example, source, and a test of its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from preceptor.catalogue import Entry, find, kinds
from preceptor.catalogue.pages import kinds_table, pages, plural

HERE = Path(__file__).parent
COMMON = ("test_battery.py", "test_gate.py", "test_docs.py")  # these run over whatever there is
TESTS = "\n".join(
    file.read_text(encoding="utf-8") for file in sorted(HERE.parent.rglob("*.py")) if file.name not in COMMON
)
QUOTED = {
    text.lower().replace("_", "-").replace(" ", "-")
    for pair in re.findall(r"\"([^\"\n]+)\"|'([^'\n]+)'", TESTS)
    for text in pair
}

each = pytest.mark.parametrize("e", find(), ids=lambda e: f"{e.kind}:{e.name}")


@each
def test_an_entry_is_complete(e: Entry):
    missing = [
        field
        for field in ("summary", "formula", "shapes", "when", "pitfalls", "source", "example")
        if not getattr(e, field).strip()
    ]
    assert missing == []
    assert ">>> " in e.example
    assert re.search(r"\d{4}|^by ", e.source), "the source needs a year, or says by what it follows"


@each
def test_an_entry_has_a_test_that_names_it(e: Entry):
    names = {name.lower().replace("_", "-").replace(" ", "-") for name in (e.name, *e.aliases)}
    assert names & QUOTED, f"no test under tests/ names {e.name!r} or one of its aliases"


@pytest.mark.slow
@pytest.mark.parametrize("kind", kinds())
def test_a_kind_has_a_page_with_every_entry(kind: str):
    page = pages()[f"catalogue/{kind}.md"]
    assert page.startswith(f"# {plural(kind)}\n")
    for e in find(kind=kind):
        section = page.partition(f"\n## {e.name}\n")[2].partition("\n## ")[0]
        for label in ("Formula", "Shapes", "When", "Pitfalls", "Source"):
            assert f"**{label}.** " in section
        assert "    >>> " in section
        assert f"`{e.name}`" in kinds_table()
