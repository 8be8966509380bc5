"""A program's text with its syntax tree: what it holds, and where a node stands."""

from __future__ import annotations

import ast
import io
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import TypeVar

__all__ = ["ATOMS", "GAP", "Program", "Unclear", "name_of", "only"]

_T = TypeVar("_T")
GAP = re.compile(r"(?:\s|\\\n|#[^\n]*)*")
_CLOSING = re.compile(r"(?:\s|\\\n|#[^\n]*)*\)")
Loop = (ast.For, ast.While, ast.AsyncFor)
ATOMS = (ast.Name, ast.Attribute, ast.Call, ast.Subscript, ast.Constant, ast.Tuple, ast.List)


class Unclear(Exception):
    """The source shows no place for an edit, or several."""


def only(found: Iterable[_T]) -> _T:
    """Return the one item that there is.

    Raises:
        Unclear: there is none, or there are several.
    """
    items = list(found)
    if len(items) != 1:
        raise Unclear
    return items[0]


def name_of(node: ast.AST) -> str:
    """Return the last part of a dotted name: "SGD" of ``torch.optim.SGD``; "" of what has none."""
    if isinstance(node, ast.Call):
        return name_of(node.func)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


class Program:
    """The text of a Python file with its syntax tree.

    Raises:
        SyntaxError, ValueError: it is none.

    Example:
        >>> program = Program("loss = -mse(a, b)  # why?\\n")
        >>> program.code(program.parents[only(program.calls("mse"))])
        '-mse(a, b)'
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.tree = ast.parse(text)
        self.nodes = list(ast.walk(self.tree))
        self.parents = {child: node for node in self.nodes for child in ast.iter_child_nodes(node)}
        # Python's own lines: str.splitlines would end some at characters that are none of Python's.
        lines = list(io.StringIO(text, newline=""))
        self.rows = [line.encode() for line in lines]
        self.starts = [0]
        for line in lines:
            self.starts.append(self.starts[-1] + len(line))

    @cached_property
    def newline(self) -> str:
        """How its lines end."""
        return "\r\n" if "\r\n" in self.text else "\n"

    # Where nodes stand

    def _offset(self, line: int, column: int) -> int:
        return self.starts[line - 1] + len(self.rows[line - 1][:column].decode())

    def start(self, node: ast.AST) -> int:
        """Return where a node starts, in characters."""
        return self._offset(node.lineno, node.col_offset)  # type: ignore[attr-defined]  # nodes of parsed code have places

    def end(self, node: ast.AST) -> int:
        """Return where a node ends, without the parentheses around it."""
        return self._offset(node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]  # nodes of parsed code have places

    def closed(self, node: ast.AST) -> int:
        """Return the end of a node with the parentheses around it, which its own span leaves out."""
        if not (parent := self.parents.get(node)):
            return self.end(node)
        position, limit = self.end(node), self.end(parent)
        if isinstance(parent, ast.keyword):  # its span ends with the value, before that one's parentheses
            limit = self.end(self.parents[parent])
        if isinstance(parent, (ast.Call, ast.keyword)):
            limit -= 1  # the last parenthesis is the call's own
        while (found := _CLOSING.match(self.text, position, limit)) is not None:
            position = found.end()
        return position

    def code(self, node: ast.AST) -> str:
        """Return the text of a node."""
        return self.text[self.start(node) : self.end(node)]

    def covers(self, node: ast.AST, line: int) -> bool:
        """Whether a line is one of a node's."""
        return bool(node.lineno <= line <= node.end_lineno)  # type: ignore[attr-defined]  # nodes of parsed code have places

    # Finding nodes

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield what a node is part of, innermost first."""
        while (above := self.parents.get(node)) is not None:
            yield above
            node = above

    def inside(self, node: ast.AST, outer: ast.AST) -> bool:
        """Whether a node is another one or a part of it."""
        return node is outer or any(above is outer for above in self.ancestors(node))

    def statement(self, node: ast.AST) -> ast.stmt:
        """Return the innermost statement that a node is part of."""
        for above in (node, *self.ancestors(node)):
            if isinstance(above, ast.stmt):
                return above
        raise Unclear

    def calls(self, *names: str, within: ast.AST | None = None) -> list[ast.Call]:
        """Return the calls of functions whose dotted names end so, in the order of the text."""
        nodes = self.nodes if within is None else ast.walk(within)
        found = [node for node in nodes if isinstance(node, ast.Call) and name_of(node) in names]
        return sorted(found, key=self.start)

    def loops(self, node: ast.AST) -> list[ast.stmt]:
        """Return the loops around a node within its function, innermost first."""
        found: list[ast.stmt] = []
        for above in self.ancestors(node):
            if isinstance(above, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
                break
            if isinstance(above, Loop):
                found.append(above)
        return found

    def function(self, node: ast.AST) -> ast.FunctionDef | None:
        """Return the innermost function around a node."""
        return next((above for above in self.ancestors(node) if isinstance(above, ast.FunctionDef)), None)

    def block(self, statement: ast.stmt) -> list[ast.stmt]:
        """Return the statements among which one stands."""
        parent = self.parents[statement]
        for _, value in ast.iter_fields(parent):
            if isinstance(value, list) and any(item is statement for item in value):
                return value
        raise Unclear

    def imported(self, module: str) -> str:
        """Return the name by which a module is known at the top of the file, "" where it is not."""
        for node in self.tree.body:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.name == module or (not alias.asname and alias.name.startswith(f"{module}.")):
                        return alias.asname or module
            if isinstance(node, ast.ImportFrom) and not node.level:
                for alias in node.names:
                    if f"{node.module}.{alias.name}" == module:
                        return alias.asname or alias.name
        return ""
