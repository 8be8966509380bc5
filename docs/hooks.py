"""What mkdocs asks while it builds the site: folders in the navigation stand for the pages within them."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def on_config(config: Any) -> Any:
    """Put the pages of each folder into the navigation; folders that are not there drop out."""
    config.nav = _filled(config.nav, Path(config.docs_dir))
    return config


def _filled(items: list[Any], docs: Path) -> list[Any]:
    found: list[Any] = []
    for item in items:
        if not isinstance(item, dict):
            found.append(item)
            continue
        for title, within in item.items():
            if isinstance(within, list):
                found.append({title: _filled(within, docs)})
            elif not within.endswith("/"):
                found.append({title: within})
            elif pages := _pages(docs / within):
                found.append({title: [page.relative_to(docs).as_posix() for page in pages]})
    return found


def _pages(folder: Path) -> list[Path]:
    """Return the pages of a folder, its map first."""
    return sorted(folder.glob("*.md"), key=lambda page: (page.name != "index.md", page.name))
