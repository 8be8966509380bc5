"""Editors of modes: training and evaluation, recording of gradients, order of the examples."""

from __future__ import annotations

import ast

from preceptor.trials.patches._source import Edit, Unclear, name_of, only
from preceptor.trials.patches._spot import Spot

__all__ = ["evaluation_mode", "no_gradient", "shuffled", "training_mode"]


def training_mode(spot: Spot) -> list[Edit]:
    """Put train() at the start of each epoch."""
    model = _model(spot)
    edits = _train_at_start(spot, model)
    if not edits:
        raise Unclear
    return edits


def _train_at_start(spot: Spot, model: str) -> list[Edit]:
    """Return the insertion of train(); nothing where the epochs start with it."""
    source, backward = spot.source, spot.backward
    loops = source.loops(backward)
    if not loops:
        raise Unclear
    first = _start(spot, loops)
    if not spot.known(model, first):
        raise Unclear
    scope = loops[1] if len(loops) > 1 else source.function(backward)
    if scope is not None and f"{model}.train" in {
        source.code(call.func) for call in source.calls("train", within=scope)
    }:
        return []
    return [source.before(first, f"{model}.train()")]


def _start(spot: Spot, loops: list[ast.stmt]) -> ast.stmt:
    """Return the statement that an epoch begins with."""
    if len(loops) == 1:
        function = spot.source.function(loops[0])
        if function is None:  # there are no epochs, or each batch is one
            body: list[ast.stmt] = loops[0].body if _is_counted(loops[0]) else [loops[0]]  # type: ignore[attr-defined]  # loops have bodies
            return body[0]
        return loops[0]
    if len(loops) > 2 or not _is_counted(loops[1]):  # phases, folds, or settings
        raise Unclear
    return loops[1].body[0]  # type: ignore[attr-defined, no-any-return]  # loops have bodies


def _is_counted(loop: ast.stmt) -> bool:
    """Whether a loop counts: ``for epoch in range(n)``, also behind a progress bar."""
    return isinstance(loop, ast.While) or (
        isinstance(loop, ast.For)
        and any(
            isinstance(n, ast.Call) and name_of(n) in ("range", "trange", "count")
            for n in ast.walk(loop.iter)
        )
    )


def _model(spot: Spot) -> str:
    """Return the model that is called on the named line, as text; else the one that is trained."""
    called = {
        spot.source.code(node.func)
        for node in spot.source.nodes
        if isinstance(node, ast.Call) and spot.lines and spot.source.statement(node).lineno == spot.lines[0]
    }
    return only(called & spot.models or {spot.trained})


def evaluation_mode(spot: Spot) -> list[Edit]:
    """Put eval() before the evaluation, and train() at the start of each epoch where it is missing."""
    source = spot.source
    functional = [c for c in source.calls("dropout") if any(source.covers(c, line) for line in spot.lines)]
    if functional:
        return [edit for call in functional for edit in _heeding(spot, call)]
    statement, model = _evaluation(spot), _model(spot)
    if not spot.known(model, statement):
        raise Unclear
    edits = [source.before(statement, f"{model}.eval()")]
    return edits + _train_at_start(spot, spot.trained if spot.known(spot.trained, spot.backward) else model)


def _heeding(spot: Spot, call: ast.Call) -> list[Edit]:
    """Let a call of dropout heed the module's mode."""
    source = spot.source
    function = source.function(call)
    if function is None or not any(isinstance(above, ast.ClassDef) for above in source.ancestors(function)):
        raise Unclear
    if [a.arg for a in function.args.args[:1]] != ["self"]:
        raise Unclear
    given = source.argument(call, "training", 2)
    if given is None:
        return [source.add(call, "training=self.training")]
    if not (isinstance(given, ast.Constant) and given.value is True):
        raise Unclear
    return [source.replace(given, "self.training")]


def _evaluation(spot: Spot) -> ast.stmt:
    """Return the statement that an evaluation begins with: the widest around the line that trains nothing."""
    source = spot.source
    inner = [
        node
        for node in source.nodes
        if isinstance(node, ast.stmt)
        and not isinstance(node, (ast.FunctionDef, ast.ClassDef))
        and spot.lines
        and source.covers(node, spot.lines[0])
    ]
    if not inner:
        raise Unclear
    widest = max(inner, key=source.start)
    for above in source.ancestors(widest):
        if not isinstance(above, (ast.For, ast.While, ast.With, ast.If)) or spot.trains(above):
            break
        widest = above
    if spot.trains(widest) or any(name_of(c) == "step" for c in source.calls("step", within=widest)):
        raise Unclear
    function = source.function(widest)
    if function is not None and (_is_layer_s(spot, function) or spot.trains(function)):
        raise Unclear
    return widest


def _is_layer_s(spot: Spot, function: ast.FunctionDef) -> bool:
    """Whether a function is a method of a module, which training goes through too."""
    return any(
        isinstance(above, ast.ClassDef) and any("Module" in name_of(base) for base in above.bases)
        for above in spot.source.ancestors(function)
    )


def no_gradient(spot: Spot) -> list[Edit]:
    """Evaluate without gradients: a decorator where the evaluation is a function, else a block."""
    source, widest = spot.source, _evaluation(spot)
    function = source.function(widest)
    if "no_grad" in source.text and (source.calls("no_grad", within=function or widest)):
        raise Unclear
    if function is None:
        return source.deeper(widest, f"with {spot.torch}.no_grad():")
    if function.decorator_list or _is_trained_through(spot, function):
        raise Unclear
    return [source.before(function, f"@{spot.torch}.no_grad()")]


def _is_trained_through(spot: Spot, function: ast.FunctionDef) -> bool:
    """Whether a function is called in the loop over training batches, before the backward pass."""
    source = spot.source
    return any(
        source.start(call) < source.start(backward)
        for backward in source.calls("backward")
        for call in source.calls(function.name, within=spot.batches(backward))
    )


def shuffled(spot: Spot) -> list[Edit]:
    """Let the training loader shuffle."""
    source, loader = spot.source, spot.loader()
    if any(keyword.arg in ("sampler", "batch_sampler") for keyword in loader.keywords):
        raise Unclear
    if "IterableDataset" in source.text:  # whose order is its own
        raise Unclear
    given = source.argument(loader, "shuffle", 2)
    if given is None:
        return [source.add(loader, "shuffle=True")]
    if not (isinstance(given, ast.Constant) and given.value is False):
        raise Unclear
    return [source.replace(given, "True")]
