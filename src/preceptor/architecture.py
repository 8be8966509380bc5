"""The rooms of the code as a picture and a table, drawn from the code itself and from its import contract.

``python -m preceptor.architecture docs`` writes the last section of ``docs/architecture.md``, in a checkout.
"""

from __future__ import annotations

import ast
import re
import sys
import textwrap
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["contracts", "imports", "section"]

_HEAD = "## The rooms\n"
_PACKAGE = Path(__file__).parent
_WITHIN = re.compile(rf"^\s*(?:from|import) {_PACKAGE.name}\.(\w+)", re.MULTILINE)
_FROM = re.compile(rf"^\s*from {_PACKAGE.name} import (\([^)]*\)|.*)", re.MULTILINE)
_WORD = re.compile(r"\w+")

Graph = Mapping[str, frozenset[str]]


def imports() -> Graph:
    """Return for each room, a folder or file of the package, which others it imports, anywhere in its code.

    Example:
        >>> "diagnosis" in imports()["trials"], "trials" in imports()["diagnosis"]
        (True, False)
    """
    rooms = {
        path.stem for path in _PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    rooms -= {"__init__", "__main__", Path(__file__).stem}
    return {room: frozenset(_imported(room) & rooms - {room}) for room in sorted(rooms)}


def _imported(room: str) -> set[str]:
    files = [_PACKAGE / f"{room}.py", *(_PACKAGE / room).rglob("*.py")]
    texts = [file.read_text(encoding="utf-8") for file in files if file.is_file()]
    found = {name for text in texts for name in _WITHIN.findall(text)}
    return found | {name for text in texts for names in _FROM.findall(text) for name in _WORD.findall(names)}


def contracts(project: Path) -> list[dict[str, Any]]:
    """Return the import contracts of a checkout, as its ``pyproject.toml`` states them."""
    settings = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    return list(settings["tool"]["importlinter"]["contracts"])


def section(project: Path) -> str:
    """Return the section of a checkout's page: picture, table, contracts.

    Arguments:
        project: the folder with ``pyproject.toml``.
    """
    graph = imports()
    return (
        "\n".join([_HEAD, *_picture(graph, project), "", *_table(graph, project), "", *_rules(project)])
        + "\n"
    )


def _picture(graph: Graph, project: Path) -> list[str]:
    lines = [
        "An arrow leads to what is imported. Arrows that follow from others are left out.",
        "",
        "```mermaid",
        "flowchart TD",
    ]
    for layer in _layers(project):
        inside = [room for room in layer if room in graph]
        lines += [f"  {room}[{room}]" for room in inside]
    lines += [f"  {a} --> {b}" for a, others in graph.items() for b in sorted(_direct(a, others, graph))]
    return [*lines, "```"]


def _direct(room: str, others: frozenset[str], graph: Graph) -> set[str]:
    """Return those that a room imports and that none of its other imports leads to."""
    return {b for b in others if not any(b in _reached(c, graph) for c in others - {b})}


def _reached(room: str, graph: Graph) -> frozenset[str]:
    @cache
    def below(start: str) -> frozenset[str]:
        return graph[start].union(*(below(next_) for next_ in graph[start]))

    return below(room)


def _table(graph: Graph, project: Path) -> list[str]:
    lines = ["| room | what it is | imports |", "|---|---|---|"]
    for layer in _layers(project):
        lines += [
            f"| `{room}` | {_said(room)} | {', '.join(sorted(graph[room]))} |"
            for room in layer
            if room in graph
        ]
    return lines


def _said(room: str) -> str:
    file = _PACKAGE / f"{room}.py"
    tree = ast.parse(
        (file if file.is_file() else _PACKAGE / room / "__init__.py").read_text(encoding="utf-8")
    )
    return (ast.get_docstring(tree) or "").partition("\n")[0].replace("|", "∣")


def _layers(project: Path) -> list[list[str]]:
    layers = next(one for one in contracts(project) if one["type"] == "layers")["layers"]
    return [[room.strip().rpartition(".")[2] for room in layer.split("|")] for layer in layers]


def _rules(project: Path) -> list[str]:
    lines = ["`lint-imports` holds the code to this, also through further modules:", ""]
    for one in contracts(project):
        text = _chain(project) if one["type"] == "layers" else _forbidden(one)
        lines += textwrap.wrap(f"- **{one['name']}.** {text}", 118, subsequent_indent="  ")
    return lines


def _chain(project: Path) -> str:
    return " ← ".join(" ∣ ".join(layer) for layer in reversed(_layers(project))) + "."


def _forbidden(contract: Mapping[str, Any]) -> str:
    source, others = (
        ", ".join(f"`{name.rpartition('.')[2]}`" for name in contract[key])
        for key in ("source_modules", "forbidden_modules")
    )
    return f"{source} may not import {others}."


def _write(docs: Path) -> None:
    page = docs / "architecture.md"
    before = page.read_text(encoding="utf-8").partition(_HEAD)[0]
    page.write_text(before + section(docs.resolve().parent), encoding="utf-8")


if __name__ == "__main__":
    _write(Path(sys.argv[1]))
