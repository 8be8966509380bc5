"""Editors of what flows and what is kept: cuts, frozen parameters, layers, copies of weights."""

from __future__ import annotations

import ast
import re

from preceptor.trials.patches._source import Edit, Source, Unclear, name_of, only
from preceptor.trials.patches._spot import Spot

__all__ = [
    "axes_moved",
    "copied_weights",
    "listed_layers",
    "numbers_kept",
    "trainable",
    "uncut",
]


def uncut(spot: Spot) -> list[Edit]:
    """Take away what cuts the loss off from the model: detach(), .data, torch.tensor(…)."""
    source = spot.source
    cuts: list[ast.Call | ast.Attribute] = [
        *(call for call in source.calls("detach") if not call.args),
        *(node for node in source.nodes if isinstance(node, ast.Attribute) and node.attr == "data"),
        *(call for call in source.calls("tensor", "as_tensor") if len(call.args) == 1 and not call.keywords),
    ]
    if not (here := spot.at(cuts)):
        raise Unclear
    cut = only(here)
    if isinstance(cut, ast.Call) and name_of(cut) != "detach":
        return [source.unwrap(cut, cut.args[0])]
    return [Edit(*source.suffix(cut), "")]


def trainable(spot: Spot) -> list[Edit]:
    """Take away the one place that freezes the parameters that were found frozen."""
    source = spot.source
    places: list[tuple[ast.stmt, Edit]] = []
    for node in source.nodes:
        if isinstance(node, ast.Assign) and name_of(node.targets[0]) == "requires_grad":
            places += [_freezing(source, node)] if source.code(node.value) == "False" else []
    for call in source.calls("requires_grad_"):
        places += [_freezing(source, spot.statement(call))] if _is_false(source, call.args) else []
    for call in source.calls("from_pretrained"):
        if "Embedding" in source.code(call.func):
            given, statement = source.argument(call, "freeze", 1), source.statement(call)
            if given is None:
                places.append((statement, source.add(call, "freeze=False")))
            elif source.code(given) == "True":
                places.append((statement, source.replace(given, "False")))
    statement, edit = only(places)
    if not _freezes(spot, statement):
        raise Unclear
    return [edit]


def _is_false(source: Source, values: list[ast.expr]) -> bool:
    return [source.code(value) for value in values] == ["False"]


def _freezes(spot: Spot, statement: ast.stmt) -> bool:
    """Whether a statement names a part that was found frozen, or the model as a whole."""
    frozen = [*spot.finding.layers, *map(str, spot.finding.evidence.get("frozen", ()))]
    text = spot.source.code(statement)
    parts = {part for name in frozen for part in name.split(".")}
    whole = any(
        re.search(rf"\b{re.escape(m)}\.(named_)?(parameters|requires_grad_)\b", text) for m in spot.models
    )
    return not frozen or whole or bool(parts & set(re.findall(r"\w+", text)))


def _freezing(source: Source, statement: ast.stmt) -> tuple[ast.stmt, Edit]:
    """Take a statement away, with the loop that it alone fills."""
    while len(source.block(statement)) == 1 and isinstance(
        above := source.parents[statement], (ast.For, ast.If)
    ):
        statement = above
    return statement, source.delete(statement)


def listed_layers(spot: Spot) -> list[Edit]:
    """Put a list of layers into a ModuleList, so that the model knows their parameters."""
    source = spot.source
    if not spot.finding.evidence.get("not among the model's submodules"):
        raise Unclear
    lists = [
        node.value
        for node in source.nodes
        if isinstance(node, ast.Assign)
        and isinstance(node.value, (ast.List, ast.ListComp))
        and any(isinstance(t, ast.Attribute) and source.code(t.value) == "self" for t in node.targets)
        and _makes_layers(node.value)
    ]
    found = only(lists)
    start, end = source.start(found), source.end(found)
    return [Edit(start, start, f"{spot.nn}.ModuleList("), Edit(end, end, ")")]


def _makes_layers(node: ast.List | ast.ListComp) -> bool:
    items = [node.elt] if isinstance(node, ast.ListComp) else node.elts
    return bool(items) and all(isinstance(item, ast.Call) and name_of(item)[:1].isupper() for item in items)


def copied_weights(spot: Spot) -> list[Edit]:
    """Keep a copy of the best weights."""
    source = spot.source
    live = [
        call
        for call in source.calls("state_dict")
        if isinstance(source.parents[call], ast.Assign) and not call.args and not call.keywords
    ]
    call = spot.named(live)
    name, edits = source.imported("copy.deepcopy"), []
    if not name:
        module = source.imported("copy")
        name = f"{module or 'copy'}.deepcopy"
        edits = [] if module else [_import(source, "copy")]
    start, end = source.start(call), source.end(call)
    return [*edits, Edit(start, start, f"{name}("), Edit(end, end, ")")]


def _import(source: Source, module: str) -> Edit:
    if any(isinstance(n, ast.Name) and n.id == module for n in source.nodes):  # it means something else
        raise Unclear
    first = next(n for n in source.tree.body if isinstance(n, (ast.Import, ast.ImportFrom)))
    if isinstance(first, ast.ImportFrom) and first.module == "__future__":
        return source.after(first, f"import {module}")
    return source.before(first, f"import {module}")


def numbers_kept(spot: Spot) -> list[Edit]:
    """Add up numbers in place of losses with their history."""
    source, start = spot.source, spot.backward.func
    loss = start.value if isinstance(start, ast.Attribute) else None
    if not isinstance(loss, ast.Name):
        raise Unclear
    kept = [
        node.value
        for node in source.nodes
        if isinstance(node, ast.AugAssign)
        and isinstance(node.op, ast.Add)
        and source.code(node.value) == loss.id
    ]
    kept += [c.args[0] for c in source.calls("append") if [source.code(a) for a in c.args] == [loss.id]]
    return source.append(only(kept), ".item()")


def axes_moved(spot: Spot) -> list[Edit]:
    """Exchange axes where a view only names them in another order: view(x.size(1), x.size(0), …)."""
    source = spot.source
    call = only(spot.at(source.calls("view", "reshape")))
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute) or call.keywords:
        raise Unclear
    base = re.escape(source.code(call.func.value))
    axes = [re.fullmatch(rf"{base}\.(?:size\((\d)\)|shape\[(\d)\])", source.code(a)) for a in call.args]
    order = [int(axis.group(1) or axis.group(2)) for axis in axes if axis is not None]
    if not order and call.func.attr == "reshape" and _first_becomes_last(spot):
        start, _ = source.suffix(call)
        return [Edit(start, start, ".T")]
    if sorted(order) != list(range(len(call.args))) or not order:
        raise Unclear
    start, end = source.suffix(call)
    return [Edit(start, end, f".permute({', '.join(map(str, order))})")]


def _first_becomes_last(spot: Spot) -> bool:
    """Whether a table whose rows are features is cut into samples whose last axis they are meant to be."""
    before, after = (list(spot.finding.evidence.get(key) or []) for key in ("before", "after"))
    moved = spot.finding.evidence.get("axis that moved")
    return len(before) == 2 and len(after) > 1 and before[0] == moved == after[-1] != before[1]
