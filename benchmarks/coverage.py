"""How much of an inventory can be had by name: rows covered and rows asked, by section.

    python benchmarks/coverage.py INVENTORY.md [--sections A2 A4 …] [--missing] [--shown]

The inventory is Markdown: headings such as ``### A4. Output units``, and under them tables whose second
column is "name (key)", a name followed by a key in backquotes. A row is covered if its key, the key without
the prefix that its section's keys share, its name, or one of the names within it (before or in parentheses,
between slashes and commas, without a last word such as "decay") is a name or an alias of the catalogue.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from preceptor import catalogue

HEADING = re.compile(r"^#{2,4}\s+([A-Z]\d*)\.?\s+(.*)$")
NAME = re.compile(r"^(?P<name>.*?)\s*\(`(?P<key>[^`]+)`\)\s*$")
GENERIC = re.compile(r"-(?:decay|rate|loss|layer|tool|test|check|monitor|finder|cost|unit|function|rule)$")


@dataclass(frozen=True)
class Row:
    section: str
    title: str
    place: str
    name: str
    key: str


def read_rows(text: str) -> Iterator[Row]:
    """Read the rows of every table whose heads include "name (key)"."""
    section, title, column = "", "", None
    for line in text.splitlines():
        if heading := HEADING.match(line):
            section, title, column = heading[1], heading[2], None
        elif line.startswith("|"):
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if "name (key)" in cells:
                column = cells.index("name (key)")
            elif column is not None and len(cells) > column and (found := NAME.match(cells[column])):
                yield Row(section, title, cells[0], found["name"], found["key"])


def shared_prefixes(rows: Iterable[Row]) -> set[str]:
    """Return the prefixes ("init_") that two or more keys of a section share."""
    starts = [row.key.partition("_")[0] + "_" for row in rows if "_" in row.key]
    return {start for start in starts if starts.count(start) > 1}


def names_of(row: Row, prefixes: set[str]) -> list[str]:
    """Return what the row may be called, the surest first."""
    outside = re.sub(r"\([^()]*\)", " ", row.name)
    within = re.findall(r"\(([^()]*)\)", row.name)
    parts = [row.name, outside, *within]
    for text in (outside, *within):
        parts += re.split(r"\s*(?:/|,|;|:|=|\bor\b|\band\b)\s*", text)
    stems = [row.key.removeprefix(p) for p in prefixes if row.key.startswith(p)]
    tidy = [re.sub(r"[\"“”'’.]|^(?:a|an|the)\s+", "", " ".join(part.split())).strip() for part in parts]
    return [name for name in dict.fromkeys([row.key, *stems, *tidy]) if len(name) > 1]


def found_as(row: Row, prefixes: set[str], known: dict[str, list[str]]) -> str | None:
    """Return the entry that the row resolves to, as ``kind:name``; of several, one that suits the section."""

    def suits(entry: str) -> tuple[bool, bool]:
        kind = entry.partition(":")[0].replace("-", " ")
        return kind in row.name.lower(), kind[:7] in row.title.lower()

    hits = []
    for name in names_of(row, prefixes):
        spelt = re.sub(r"[\s_]+", "-", name.strip().lower())
        for form in (spelt, spelt.removesuffix("s"), spelt.replace("-", ""), GENERIC.sub("", spelt)):
            hits += known.get(form, [])
    return max(hits, key=suits, default=None)


def known_names() -> dict[str, list[str]]:
    """Return every name and alias with its entries, and the same without hyphens."""
    known: dict[str, list[str]] = {}
    for e in catalogue.find():
        for name in (e.name, *e.aliases):
            spelt = re.sub(r"[\s_]+", "-", name.lower())
            for form in {spelt, spelt.replace("-", "")}:
                known.setdefault(form, []).append(f"{e.kind}:{e.name}")
    return known


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("inventory", type=Path)
    parser.add_argument("--sections", nargs="+", help="only these, such as A2 A4")
    parser.add_argument("--missing", action="store_true", help="name the rows that do not resolve")
    parser.add_argument("--shown", action="store_true", help="name what each row resolves to")
    options = parser.parse_args(arguments)
    rows = list(read_rows(options.inventory.read_text(encoding="utf-8")))
    known, covered, asked = known_names(), 0, 0
    print(f"{'section':<10}{'covered':>8}{'asked':>7}")
    for section in dict.fromkeys(row.section for row in rows):
        own = [row for row in rows if row.section == section]
        if options.sections and section not in options.sections:
            continue
        prefixes = shared_prefixes(own)
        found = {row: found_as(row, prefixes, known) for row in own}
        hits = sum(entry is not None for entry in found.values())
        print(f"{section:<10}{hits:>8}{len(own):>7}")
        for row, entry in found.items():
            if entry is None and options.missing:
                print(f"  missing  {row.place}  {row.name} ({row.key})")
            elif entry is not None and options.shown:
                print(f"  {row.place}  {row.name} ({row.key}) → {entry}")
        covered, asked = covered + hits, asked + len(own)
    print(f"{'all':<10}{covered:>8}{asked:>7}")
    return 0 if covered == asked else 1


if __name__ == "__main__":
    raise SystemExit(main())
