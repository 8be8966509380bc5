"""The navigation of the site: every page stands in it once, and every public name in the reference."""

from __future__ import annotations

import pkgutil
import re
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import preceptor

PROJECT = Path(__file__).resolve().parents[1]
DOCS = PROJECT / "docs"


def _named() -> list[str]:
    """Return what the navigation names: pages, and folders with a slash."""
    text = (PROJECT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    return re.findall(r"^\s*- (?:[^:\n]+: )?(\S+(?:\.md|/))$", text, re.MULTILINE)


def test_every_page_stands_in_the_navigation_once() -> None:
    pages = [name for name in _named() if name.endswith(".md")]
    assert sorted(pages) == sorted(page.name for page in DOCS.glob("*.md"))
    folders = {name.rstrip("/") for name in _named() if name.endswith("/")}
    assert {page.parent.name for page in DOCS.glob("*/*.md")} - {"samples"} <= folders


def test_a_folder_stands_for_its_pages(tmp_path: Path) -> None:
    (tmp_path / "labs").mkdir()
    for name in ("b.md", "index.md", "a.md", "a.svg"):
        (tmp_path / "labs" / name).touch()
    nav: list[Any] = ["index.md", {"More": [{"Labs": "labs/"}, {"Absent": "absent/"}, {"One": "one.md"}]}]
    config = SimpleNamespace(nav=nav, docs_dir=str(tmp_path))
    filled = runpy.run_path(str(DOCS / "hooks.py"))["on_config"](config).nav
    labs = ["labs/index.md", "labs/a.md", "labs/b.md"]
    assert filled == ["index.md", {"More": [{"Labs": labs}, {"One": "one.md"}]}]


def test_every_public_name_has_its_place_in_the_reference() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in (DOCS / "reference").glob("*.md"))
    shown = {name.rpartition(".")[2] for name in re.findall(r"^::: (\S+)$", text, re.MULTILINE)}
    assert set(preceptor.__all__) - {"catalogue"} <= shown
    for path in re.findall(r"^::: (\S+)$", text, re.MULTILINE):
        assert pkgutil.resolve_name(path) is not None
