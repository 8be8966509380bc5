"""Editors of numbers: what an optimizer, a loader, a loop or a layer is built with."""

from __future__ import annotations

import ast

from preceptor.trials.change import USUAL_RATES
from preceptor.trials.patches._literals import number_text
from preceptor.trials.patches._source import Edit, Unclear, name_of, only
from preceptor.trials.patches._spot import Editor, Spot

__all__ = ["batch_size", "dropout", "epochs", "of_optimizer", "optimizer"]

_PLACES = {  # where the constructors take their arguments by position
    "SGD": ("params", "lr", "momentum", "dampening", "weight_decay", "nesterov"),
    "Adam": ("params", "lr", "betas", "eps", "weight_decay"),
    "AdamW": ("params", "lr", "betas", "eps", "weight_decay"),
    "RMSprop": ("params", "lr", "alpha", "eps", "weight_decay", "momentum"),
    "Adagrad": ("params", "lr", "lr_decay", "weight_decay"),
}
_KEPT = {"params", "lr", "weight_decay"}


def of_optimizer(name: str) -> Editor:
    """Return the editor of a number that the optimizer is built with, such as ``lr``."""

    def editor(spot: Spot) -> list[Edit]:
        call = spot.optimizer
        places = _PLACES.get(name_of(call), ())
        given = spot.source.argument(call, name, places.index(name) if name in places else None)
        if _grouped(spot, call, name):
            raise Unclear
        if name == "lr" and spot.source.calls("OneCycleLR", "CyclicLR"):  # they set it themselves
            raise Unclear
        if given is None:
            return [spot.source.add(call, f"{name}={number_text(spot.after)}")]
        return [spot.number(given, lambda _: spot.after, spot.before)]

    return editor


def _grouped(spot: Spot, call: ast.Call, name: str) -> bool:
    """Whether groups of parameters have numbers of their own."""
    keys = (key for node in ast.walk(call) if isinstance(node, ast.Dict) for key in node.keys)
    return any(isinstance(key, ast.Constant) and key.value == name for key in keys)


def optimizer(spot: Spot) -> list[Edit]:
    """Replace the optimizer by one of another kind, at its usual rate; other settings are left out."""
    source, call = spot.source, spot.optimizer
    kind, rate = (*spot.after, None)[:2] if isinstance(spot.after, tuple) else (spot.after, None)
    new = only(name for name in USUAL_RATES if name.lower() == str(kind).lower())
    if name_of(call) == new or len(call.args) > 2 or _grouped(spot, call, "lr"):
        raise Unclear
    edits = [_renamed(spot, call, new)]
    for keyword in call.keywords:
        if keyword.arg is None:
            raise Unclear
        if keyword.arg not in ("params", "lr"):
            edits.append(source.drop(call, keyword))
    settings = {**USUAL_RATES[new], **({} if rate is None else {"lr": rate})}
    given = source.argument(call, "lr", 1)
    extra = [
        f"{name}={number_text(value)}" for name, value in settings.items() if name != "lr" or given is None
    ]
    if given is not None:
        edits.append(spot.number(given, lambda _: settings["lr"]))
    return edits + ([_behind(spot, call, extra)] if extra else [])


def _behind(spot: Spot, call: ast.Call, texts: list[str]) -> Edit:
    """Add arguments behind those that stay."""
    kept: list[ast.expr | ast.keyword] = [*call.args]
    kept += [k for k in call.keywords if k.arg in ("params", "lr")]
    end = spot.source.past(max(kept, key=spot.source.start))
    return Edit(end, end, "".join(f", {text}" for text in texts))


def _renamed(spot: Spot, call: ast.Call, new: str) -> Edit:
    if isinstance(call.func, ast.Attribute):
        end = spot.source.end(call.func)
        return Edit(end - len(call.func.attr), end, new)
    known = spot.source.imported(f"torch.optim.{new}")
    return spot.source.replace(call.func, known or f"{spot.torch}.optim.{new}")


def batch_size(spot: Spot) -> list[Edit]:
    """Change the size of the training loader's batches; without a loader, the constant of that name."""
    if spot.source.calls("DataLoader"):
        given = spot.source.argument(spot.loader(), "batch_size", 1)
        if given is None:
            raise Unclear
        return [spot.number(given, lambda _: spot.after, spot.before, shared=True)]
    names = {"batch_size", "batchsize", "batch", "bs"}
    stored = [
        node
        for node in spot.source.nodes
        if isinstance(node, ast.Name) and node.id.lower() in names and isinstance(node.ctx, ast.Store)
    ]
    return [spot.number(only(stored), lambda _: spot.after, spot.before, shared=True)]


def epochs(spot: Spot) -> list[Edit]:
    """Change how often the loop over epochs runs, in proportion where the change counts steps."""
    counted = _epochs(spot)
    given = counted.args
    first, stop = (0, given[0]) if len(given) == 1 else (_whole(given[0]), given[1])
    offset = first
    if isinstance(stop, ast.BinOp) and isinstance(stop.op, ast.Add) and first:
        offset, stop = first - _whole(stop.right), stop.left
    return [spot.number(stop, lambda value: _longer(spot, int(value) - offset) + offset, shared=True)]


def _epochs(spot: Spot) -> ast.Call:
    """Return the ``range(…)`` that the epochs run over: around the backward pass, or its function's call."""
    source, call = spot.source, spot.backward
    found = _ranges(source.loops(call))
    function = source.function(call)
    if not found and function is not None:
        found = _ranges(source.loops(only(source.calls(function.name))))
    return only(found[-1:])


def _ranges(loops: list[ast.stmt]) -> list[ast.Call]:
    """Return what loops count through from one number to another; steps of another length are batches."""
    counted = [loop.iter for loop in loops if isinstance(loop, ast.For) and isinstance(loop.iter, ast.Call)]
    return [call for call in counted if name_of(call) in ("range", "trange") and 0 < len(call.args) < 3]


def _longer(spot: Spot, number: int) -> int:
    before, after = spot.before, spot.after
    if not (isinstance(before, (int, float)) and isinstance(after, (int, float)) and before > 0):
        raise Unclear
    return round(number * after / before)


def _whole(node: ast.expr) -> int:
    if not (isinstance(node, ast.Constant) and type(node.value) is int):
        raise Unclear
    return node.value


def dropout(spot: Spot) -> list[Edit]:
    """Change the rate of every dropout that has the rate that was found."""
    source, before = spot.source, spot.before
    edits = []
    for call in source.calls("Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "dropout"):
        functional = name_of(call) == "dropout"
        if (
            functional
            and "functional" not in source.code(call.func)
            and source.code(call.func) != "F.dropout"
        ):
            continue
        rate = source.argument(call, "p", 1 if functional else 0)
        try:
            if rate is not None:
                edits.append(spot.number(rate, lambda _: spot.after, before, shared=True))
        except Unclear:
            continue
    if not edits:
        raise Unclear
    return edits
