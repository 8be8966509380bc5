"""Edits of a program's text that leave all else as it is: names, spaces, comments."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

from preceptor.trials.patches._program import ATOMS, GAP, Program, Unclear, name_of, only

__all__ = ["Edit", "Source", "Unclear", "name_of", "only"]


@dataclass(frozen=True, order=True)
class Edit:
    """Characters from ``start`` to ``end`` give way to ``text``."""

    start: int
    end: int
    text: str


class Source(Program):
    """A program, and the edits of it.

    Raises:
        SyntaxError, ValueError: it is none.

    Example:
        >>> source = Source("loss = -mse(a, b)  # why?\\n")
        >>> call = only(source.calls("mse"))
        >>> source.edited([source.replace(source.parents[call], source.code(call))])
        'loss = mse(a, b)  # why?\\n'
    """

    def replace(self, node: ast.AST, text: str) -> Edit:
        """Put a text in the place of a node."""
        return Edit(self.start(node), self.end(node), text)

    def unwrap(self, outer: ast.expr, inner: ast.expr) -> Edit:
        """Put a part of an expression in its place."""
        text = self.code(inner)
        bare = isinstance(self.parents[outer], (ast.Return, ast.Assign, ast.Call, ast.keyword))
        if not isinstance(inner, ATOMS) and not (bare and "\n" not in text):
            text = f"({text})"
        return self.replace(outer, text)

    def indent(self, statement: ast.stmt) -> str:
        """Return what stands before a statement on its line.

        Raises:
            Unclear: another statement, as in ``if x: step()`` or ``a(); b()``.
        """
        line = self.starts[statement.lineno - 1]
        before = self.text[line : self.start(statement)]
        if getattr(statement, "decorator_list", None):
            raise Unclear
        if before.strip():
            raise Unclear
        return before

    def _whole(self, statement: ast.stmt) -> tuple[int, int]:
        """Return where the lines of a statement start and end, a comment behind it included."""
        self.indent(statement)
        last = statement.end_lineno or statement.lineno
        end = self.starts[last]
        rest = self.text[self.end(statement) : end].strip()
        if rest and not rest.startswith("#"):
            raise Unclear
        return self.starts[statement.lineno - 1], end

    def before(self, statement: ast.stmt, *lines: str) -> Edit:
        """Put lines before a statement, with its indentation."""
        start, _ = self._whole(statement)
        return Edit(start, start, self._laid(self.indent(statement), lines))

    def after(self, statement: ast.stmt, *lines: str) -> Edit:
        """Put lines after a statement, with its indentation."""
        _, end = self._whole(statement)
        text = self._laid(self.indent(statement), lines)
        if not self.text[:end].endswith("\n"):
            text = self.newline + text[: -len(self.newline)]
        return Edit(end, end, text)

    def _laid(self, indent: str, lines: Iterable[str]) -> str:
        return "".join(f"{indent}{line}{self.newline}" for line in lines)

    def delete(self, statement: ast.stmt) -> Edit:
        """Take a statement away; a block does not become empty.

        Raises:
            Unclear: it shares its line, or is alone in its block.
        """
        if len(self.block(statement)) == 1:
            raise Unclear
        return Edit(*self._whole(statement), "")

    def lines(self, statement: ast.stmt) -> list[str]:
        """Return the lines of a statement without their common indentation."""
        start, end = self._whole(statement)
        return textwrap.dedent(self.text[start:end]).splitlines()

    def deeper(self, statement: ast.stmt, header: str) -> list[Edit]:
        """Put a statement under a header such as ``with …:``.

        Raises:
            Unclear: it holds a string over several lines, whose text indentation would change.
        """
        for node in ast.walk(statement):
            if isinstance(node, (ast.Constant, ast.JoinedStr)) and node.end_lineno != node.lineno:
                raise Unclear
        indent = self.indent(statement)
        step = "\t" if "\t" in indent else "    "
        first, last = statement.lineno, statement.end_lineno or statement.lineno
        starts = [self.starts[row - 1] for row in range(first, last + 1) if self.rows[row - 1].strip()]
        edits = [Edit(start, start, step) for start in starts[1:]]
        edits.append(Edit(starts[0], starts[0], f"{indent}{header}{self.newline}{step}"))
        return edits

    # Arguments of a call

    def argument(self, call: ast.Call, name: str, position: int | None = None) -> ast.expr | None:
        """Return an argument by name or position.

        Raises:
            Unclear: the call hands on a list or mapping of arguments, which may hold it.
        """
        if any(isinstance(item, ast.Starred) for item in call.args):
            raise Unclear
        for keyword in call.keywords:
            if keyword.arg is None:
                raise Unclear
            if keyword.arg == name:
                return keyword.value
        return call.args[position] if position is not None and position < len(call.args) else None

    def arguments(self, call: ast.Call) -> list[ast.expr | ast.keyword]:
        """Return all arguments in the order of the text."""
        return sorted([*call.args, *call.keywords], key=self.start)

    def add(self, call: ast.Call, text: str) -> Edit:
        """Add an argument as the last one."""
        if not (given := self.arguments(call)):
            return Edit(self.end(call) - 1, self.end(call) - 1, text)
        if isinstance(given[-1], ast.GeneratorExp):
            raise Unclear
        end = self.past(given[-1])
        return Edit(end, end, f", {text}")

    def drop(self, call: ast.Call, argument: ast.expr | ast.keyword) -> Edit:
        """Take an argument away that is not the first one."""
        given = self.arguments(call)
        index = next(i for i, item in enumerate(given) if item is argument)
        if index == 0:
            raise Unclear
        return Edit(self.past(given[index - 1]), self.past(argument), "")

    def past(self, argument: ast.expr | ast.keyword) -> int:
        """Return the end of an argument with its parentheses."""
        return self.closed(argument.value if isinstance(argument, ast.keyword) else argument)

    def suffix(self, node: ast.Call | ast.Attribute) -> tuple[int, int]:
        """Return where ``.name`` or ``.name(…)`` behind a value stands."""
        dotted = node.func if isinstance(node, ast.Call) else node
        if not isinstance(dotted, ast.Attribute):
            raise Unclear
        start = self.closed(dotted.value)
        gap = GAP.match(self.text, start)
        return (gap.end() if gap else start), self.end(node)

    def append(self, node: ast.expr, text: str) -> list[Edit]:
        """Put ``.name(…)`` behind a value, in parentheses where it needs them."""
        start, end = self.start(node), self.end(node)
        if isinstance(node, ATOMS):
            return [Edit(end, end, text)]
        return [Edit(start, start, "("), Edit(end, end, f"){text}")]

    def edited(self, edits: Iterable[Edit]) -> str:
        """Return the text with edits, each of them once.

        Raises:
            Unclear: two of them overlap.
        """
        parts, position = [], 0
        for edit in sorted(set(edits)):
            if edit.start < position:
                raise Unclear
            parts += [self.text[position : edit.start], edit.text]
            position = edit.end
        return "".join([*parts, self.text[position:]])
