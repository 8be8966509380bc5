"""Editors of what stands between and behind layers: activations, output units, initialisation."""

from __future__ import annotations

import ast

from preceptor.trials.patches._source import Edit, Source, Unclear, name_of, only
from preceptor.trials.patches._spot import Spot

__all__ = ["activation", "initialisation", "nonlinearity", "output_unit"]

_UNITS = {
    "relu": "ReLU", "gelu": "GELU", "silu": "SiLU", "tanh": "Tanh", "sigmoid": "Sigmoid", "elu": "ELU",
    "leaky_relu": "LeakyReLU", "softplus": "Softplus", "softsign": "Softsign", "hardtanh": "Hardtanh",
}  # fmt: skip
_LIBRARIES = ("torch", "F", "nn.functional", "torch.nn.functional", "functional")


def nonlinearity(spot: Spot) -> list[Edit]:
    """Put an activation between linear layers that follow each other."""
    source, unit = spot.source, str(spot.after or "relu").lower()
    if unit not in _UNITS:
        raise Unclear
    pairs = [
        (first, second)
        for call in source.calls("Sequential")
        for first, second in zip(call.args, call.args[1:], strict=False)
        if name_of(first) == "Linear" == name_of(second)
    ]
    if pairs:
        only({source.parents[first] for first, _ in pairs})
        return [_between(source, first, second, f"{spot.nn}.{_UNITS[unit]}()") for first, second in pairs]
    edits = []
    for layer in [name.rpartition(".")[2] for name in spot.finding.layers][:-1]:
        call = only(c for c in source.calls(layer) if source.code(c.func) == f"self.{layer}")
        start, end = source.start(call), source.end(call)
        edits += [Edit(start, start, f"{spot.torch}.{unit}("), Edit(end, end, ")")]
    if not edits or unit not in ("relu", "tanh", "sigmoid"):
        raise Unclear
    return edits


def _between(source: Source, first: ast.expr, second: ast.expr, text: str) -> Edit:
    """Put an argument between two, on a line of its own where they have one each."""
    start = source.start(second)
    line = source.text.rfind("\n", 0, start) + 1
    indent = source.text[line:start]
    own = not indent.strip() and first.end_lineno != second.lineno
    return Edit(start, start, f"{text},{source.newline}{indent}" if own else f"{text}, ")


def activation(spot: Spot) -> list[Edit]:
    """Replace an activation between layers; what the net ends with stays."""
    source, old, new = spot.source, str(spot.before).lower(), str(spot.after).lower()
    if old not in _UNITS or new not in _UNITS:
        raise Unclear
    edits = [
        source.replace(call, f"{_owner(source, call)}{_UNITS[new]}()")
        for call in source.calls(_UNITS[old])
        if _is_hidden(source, call)
    ]
    functions = [call for call in source.calls(old) if _is_library_s(source, call)]
    owner = spot.torch if functions and new in ("relu", "tanh", "sigmoid") else _functional(spot)
    edits += [source.replace(call.func, f"{owner}.{new}") for call in functions]
    if not edits:
        raise Unclear
    return edits


def _owner(source: Source, call: ast.Call) -> str:
    """Return what stands before a class's name: "nn." of ``nn.ReLU()``."""
    if (
        not isinstance(call.func, ast.Attribute)
        or call.args
        or any(k.arg != "inplace" for k in call.keywords)
    ):
        raise Unclear
    return source.code(call.func)[: -len(call.func.attr)]


def _is_library_s(source: Source, call: ast.Call) -> bool:
    """Whether it is a function of the library's, within a method that goes on with its result."""
    owner = source.code(call.func.value) if isinstance(call.func, ast.Attribute) else ""
    inside = source.function(call) is not None and not isinstance(source.statement(call), ast.Return)
    return owner in _LIBRARIES and inside


def _functional(spot: Spot) -> str:
    return spot.source.imported("torch.nn.functional") or f"{spot.nn}.functional"


def _is_hidden(source: Source, call: ast.Call) -> bool:
    """Whether a unit stands between layers, and does not end the net.

    Raises:
        Unclear: it is neither in a Sequential nor an attribute whose uses tell.
    """
    parent = source.parents[call]
    if isinstance(parent, ast.Call) and name_of(parent) == "Sequential":
        return parent.args[-1] is not call
    if not (isinstance(parent, ast.Assign) and isinstance(target := only(parent.targets), ast.Attribute)):
        raise Unclear
    uses = source.calls(target.attr)
    if not uses or any(isinstance(source.statement(use), ast.Return) for use in uses):
        raise Unclear
    return True


def output_unit(spot: Spot) -> list[Edit]:
    """Replace or leave out the unit that the net ends with."""
    source, old, new = spot.source, str(spot.before).lower(), str(spot.after).lower()
    if spot.before is None or new not in ("linear", "sigmoid"):
        raise Unclear
    if new == "linear" and any(isinstance(n, ast.Constant) and n.value == 0.5 for n in source.nodes):
        raise Unclear  # outputs may be compared with it
    class_name = {"softmax": "Softmax", "log_softmax": "LogSoftmax"}.get(old, _UNITS.get(old, ""))
    calls = [*source.calls(old, class_name)]
    found = [call for call in calls if _ends(source, call)]
    call = only(spot.at(found) or found)
    parent = source.parents[call]
    if isinstance(parent, ast.Call) and name_of(parent) == "Sequential":
        if new == "linear":
            return [source.drop(parent, call)]
        return [source.replace(call, f"{spot.nn}.Sigmoid()")]
    inner = call.args[0]
    if new == "linear":
        return [source.unwrap(call, inner)]
    return [source.replace(call, f"{spot.torch}.sigmoid({source.code(inner)})")]


def _ends(source: Source, call: ast.Call) -> bool:
    """Whether a call ends a Sequential, or is what a method returns."""
    parent = source.parents[call]
    if isinstance(parent, ast.Call) and name_of(parent) == "Sequential":
        return parent.args[-1] is call
    owner = source.code(call.func.value) if isinstance(call.func, ast.Attribute) else ""
    return isinstance(parent, ast.Return) and bool(call.args) and (owner in _LIBRARIES or owner == "self")


def initialisation(spot: Spot) -> list[Edit]:
    """Draw weights as PyTorch's own layers do, in the one place that draws them otherwise."""
    source = spot.source
    drawn = [
        call
        for call in source.calls("constant_", "uniform_", "normal_", "zeros_", "ones_")
        if isinstance(call.func, ast.Attribute)
        and source.code(call.func.value).endswith("init")
        and call.args
        and source.code(call.args[0]).endswith(".weight")
    ]
    call = only(drawn)
    owner = source.code(call.func)[: -len(name_of(call))]
    return [source.replace(call, f"{owner}kaiming_uniform_({source.code(call.args[0])}, a=5**0.5)")]
