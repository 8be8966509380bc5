"""Where a program divides a count of hits by a number of batches: read from the text of the line."""

from __future__ import annotations

import ast
import functools
import tokenize
from typing import TypeGuard

__all__ = ["divides_hits"]

_LINES = 5000
_Scope = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef


@functools.lru_cache(maxsize=16)
def _tree(filename: str) -> ast.Module | None:
    try:
        with tokenize.open(filename) as file:
            text = file.read()
        return ast.parse(text) if text.count("\n") <= _LINES else None
    except (OSError, SyntaxError, ValueError, UnicodeDecodeError):
        return None


def divides_hits(filename: str, line: int, column: int | None = None) -> str | None:
    """Return the text of a division by the ``len(...)`` at a place, if what is divided counts hits.

    Hits: a variable to which, in the same function, sums of comparisons are added, and no means; the divisor
    is ``len(...)`` alone. Anything else (a second division, a product, a mean) gives None, and so does a line
    with several such calls, where the column is not known.

    Example:
        >>> import pathlib, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = pathlib.Path(folder.name) / "a.py"
        >>> _ = path.write_text("n = 0\\nfor x, y in loader: n += (f(x) == y).sum()\\nprint(n / len(loader))")
        >>> divides_hits(str(path), 3)
        'n / len(loader)'
        >>> folder.cleanup()
    """
    tree = _tree(filename)
    if tree is None:
        return None
    scope = _scope(tree, line)
    asked = [node for node in ast.walk(scope) if _is_len(node) and node.lineno <= line <= _end(node)]
    asked = asked if column is None else [node for node in asked if node.col_offset == column]
    if len(asked) != 1:
        return None
    inner = {id(node.left) for node in ast.walk(scope) if isinstance(node, ast.BinOp)}
    inner |= {id(node.right) for node in ast.walk(scope) if isinstance(node, ast.BinOp)}
    for node in ast.walk(scope):
        if (
            isinstance(node, ast.BinOp)
            and isinstance(node.op, ast.Div)
            and node.right is asked[0]
            and _alone(node, scope, inner)
            and any(_counts_hits(scope, name) for name in _names(node.left))
        ):
            return ast.unparse(node)
    return None


def _is_len(node: ast.AST) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "len"


def _end(node: ast.Call) -> int:
    return node.end_lineno or node.lineno


def _scope(tree: ast.Module, line: int) -> _Scope:
    """The innermost function around a line, or the whole file."""
    found: _Scope = tree
    for node in ast.walk(tree):
        if (
            isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            and node.lineno <= line <= (node.end_lineno or node.lineno)
            and (found is tree or node.lineno >= getattr(found, "lineno", 0))
        ):
            found = node
    return found


def _alone(node: ast.BinOp, scope: _Scope, inner: set[int]) -> bool:
    """Whether nothing more is done to the quotient than to make it a percentage."""
    if id(node) not in inner:
        return True
    return all(
        isinstance(outer.op, ast.Mult) and isinstance(other, ast.Constant)
        for outer in ast.walk(scope)
        if isinstance(outer, ast.BinOp) and node in (outer.left, outer.right)
        for other in (outer.left, outer.right)
        if other is not node
    )


def _names(node: ast.expr) -> set[str]:
    return {item.id for item in ast.walk(node) if isinstance(item, ast.Name)}


def _counts_hits(scope: _Scope, name: str) -> bool:
    """Whether sums of comparisons, and nothing else, are added to a variable."""
    added = [
        item.value
        for item in ast.walk(scope)
        if isinstance(item, ast.AugAssign)
        and isinstance(item.op, ast.Add)
        and isinstance(item.target, ast.Name)
        and item.target.id == name
    ]
    return bool(added) and all(_is_hits(value) for value in added)


def _is_hits(value: ast.expr) -> bool:
    called = {
        item.func.attr if isinstance(item.func, ast.Attribute) else getattr(item.func, "id", "")
        for item in ast.walk(value)
        if isinstance(item, ast.Call)
    }
    compares = any(
        isinstance(item, ast.Compare) and any(isinstance(op, ast.Eq) for op in item.ops)
        for item in ast.walk(value)
    )
    divides = any(isinstance(item, ast.BinOp) and isinstance(item.op, ast.Div) for item in ast.walk(value))
    return "sum" in called and (compares or "eq" in called) and "mean" not in called and not divides
