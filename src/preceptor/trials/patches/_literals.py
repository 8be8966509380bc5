"""Numbers in a program: the literal that a value comes from."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from preceptor.trials.patches._source import Source, Unclear, name_of, only

__all__ = ["literal", "number_text"]

_SAID = ("print", "info", "debug", "log", "write", "format", "set_description", "set_postfix")


def literal(source: Source, node: ast.expr, *, shared: bool = False) -> ast.expr:
    """Return the literal that a value comes from.

    Followed are names that are assigned once and used once (what is printed does not count), options of
    ``argparse`` with a default, keys of a dictionary and attributes of a class that are written once.

    Arguments:
        source: the file.
        node: the value.
        shared: whether a name may be used several times.

    Raises:
        Unclear: there is no single one.

    Example:
        >>> source = Source("RATE = 0.1\\nSGD(net.parameters(), lr=RATE)")
        >>> source.code(literal(source, source.calls("SGD")[0].keywords[0].value))
        '0.1'
    """
    if _is_number(node):
        return node
    if isinstance(node, ast.Name):
        return _of_name(source, node.id, shared)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return only([*_options(source, node.attr), *_attributes(source, node.value.id, node.attr)])
    if (
        isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Name)
        and isinstance(node.slice, ast.Constant)
    ):
        return only(_entries(source, node.value.id, node.slice.value))
    raise Unclear


def number_text(value: Any, like: str = "") -> str:
    """Return a number as a person writes it; with an exponent where what stood there has one.

    Example:
        >>> number_text(0.00046415), number_text(1e-6), number_text(60), number_text(3.0)
        ('0.000464', '1e-6', '60', '3.0')
        >>> number_text(0.001, like="1e-4")
        '1e-3'
    """
    if not isinstance(value, float):
        return str(value)
    text = f"{value:.3g}"
    if "e" in like and not 0.1 <= abs(value) < 1000 and value:
        digits, _, power = f"{value:.2e}".partition("e")
        text = f"{digits.rstrip('0').rstrip('.')}e{power}"
    text = text.replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")
    return text if "." in text or "e" in text or not text.lstrip("-").isdigit() else f"{text}.0"


def _is_number(node: ast.expr) -> bool:
    inner = node.operand if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) else node
    return isinstance(inner, ast.Constant) and type(inner.value) in (int, float)


def _of_name(source: Source, name: str, shared: bool) -> ast.expr:
    stored = [n for n in source.nodes if isinstance(n, ast.Name) and n.id == name and _stores(n)]
    arguments = [n for n in source.nodes if isinstance(n, ast.arg) and n.arg == name]
    used = [n for n in source.nodes if isinstance(n, ast.Name) and n.id == name and not _stores(n)]
    if not shared and len([n for n in used if not _is_said(source, n)]) > 1:
        raise Unclear
    return only([*_values(source, stored), *_defaults(source, arguments)])


def _values(source: Source, stored: list[ast.Name]) -> Iterator[ast.expr]:
    for name in stored:
        parent = source.parents[name]
        if isinstance(parent, ast.Tuple) and isinstance(above := source.parents[parent], ast.Assign):
            if not isinstance(above.value, ast.Tuple) or len(above.value.elts) != len(parent.elts):
                raise Unclear
            yield _checked(above.value.elts[parent.elts.index(name)])
        elif isinstance(parent, (ast.Assign, ast.AnnAssign)) and parent.value is not None:
            yield _checked(parent.value)
        else:
            raise Unclear


def _defaults(source: Source, arguments: list[ast.arg]) -> Iterator[ast.expr]:
    for argument in arguments:
        given = source.parents[argument]
        function = source.parents[given]
        if not isinstance(given, ast.arguments) or not isinstance(function, ast.FunctionDef):
            raise Unclear
        values = dict(
            zip(
                [a.arg for a in given.args][len(given.args) - len(given.defaults) :],
                given.defaults,
                strict=True,
            )
        )
        index = next((i for i, a in enumerate(given.args) if a is argument), len(given.args))
        for call in source.calls(function.name):
            if len(call.args) > index or any(k.arg in (None, argument.arg) for k in call.keywords):
                raise Unclear
        if argument.arg not in values:
            raise Unclear
        yield _checked(values[argument.arg])


def _options(source: Source, name: str) -> Iterator[ast.expr]:
    for call in source.calls("add_argument"):
        flags = [str(ast.literal_eval(a)) for a in call.args if isinstance(a, ast.Constant)]
        target = next((k.value for k in call.keywords if k.arg == "dest"), None)
        long = next((flag for flag in flags if flag.startswith("--")), "")
        own = target.value if isinstance(target, ast.Constant) else long[2:].replace("-", "_")
        if own == name:
            yield _checked(only(k.value for k in call.keywords if k.arg == "default"))


def _attributes(source: Source, owner: str, name: str) -> Iterator[ast.expr]:
    """Yield what a class, or the class of an object, gives such an attribute."""
    classes = {owner} | {
        name_of(node.value)
        for node in source.nodes
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and any(isinstance(target, ast.Name) and target.id == owner for target in node.targets)
        and not node.value.args
        and not node.value.keywords
    }
    for node in source.nodes:
        if not isinstance(node, ast.ClassDef) or node.name not in classes:
            continue
        for item in node.body:
            if isinstance(item, (ast.Assign, ast.AnnAssign)) and item.value is not None:
                targets = item.targets if isinstance(item, ast.Assign) else [item.target]
                if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                    yield _checked(item.value)


def _entries(source: Source, name: str, key: Any) -> Iterator[ast.expr]:
    for node in source.nodes:
        if not isinstance(node, ast.Assign):
            continue
        if any(isinstance(t, ast.Subscript) and name_of(t.value) == name for t in node.targets):
            raise Unclear
        if any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
            if not isinstance(node.value, ast.Dict):
                raise Unclear
            for at, value in zip(node.value.keys, node.value.values, strict=True):
                if isinstance(at, ast.Constant) and at.value == key:
                    yield _checked(value)


def _stores(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Store)


def _is_said(source: Source, node: ast.AST) -> bool:
    return any(isinstance(above, ast.Call) and name_of(above) in _SAID for above in source.ancestors(node))


def _checked(node: ast.expr) -> ast.expr:
    if not _is_number(node):
        raise Unclear
    return node
