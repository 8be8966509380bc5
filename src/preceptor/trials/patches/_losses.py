"""Editors of what enters the loss: softmax, logarithms, probabilities, and which loss it is."""

from __future__ import annotations

import ast
from pathlib import Path

from preceptor.trials.patches._literals import number_text
from preceptor.trials.patches._source import Edit, Unclear, name_of, only
from preceptor.trials.patches._spot import Spot

__all__ = [
    "guarded",
    "log_probabilities",
    "other_loss",
    "softmax_axis",
    "without_squash",
]

_SQUASHES = ("softmax", "sigmoid", "log_softmax", "Softmax", "Sigmoid", "LogSoftmax")
_THRESHOLDS = ("round", "heaviside")


def without_squash(spot: Spot) -> list[Edit]:
    """Leave out the softmax or sigmoid before a loss that has one of its own.

    Where outputs are compared with 0.5 or rounded, they are meant to be probabilities: the loss gives way.
    """
    kinds = _kinds(spot)
    if "sigmoid" in kinds and _thresholds(spot):
        return _renamed_loss(spot, "binary_cross_entropy_with_logits", "BCEWithLogitsLoss", plain=True)
    call = _squash(spot)
    if _is_module(call):
        return [spot.source.drop(_sequential(spot, call), call)]
    if _is_method(spot, call):
        return [Edit(*spot.source.suffix(call), "")]
    inner = call.args[0] if call.args else spot.source.argument(call, "input")
    if inner is None or isinstance(inner, ast.Starred):
        raise Unclear
    return [spot.source.unwrap(call, inner)]


def _kinds(spot: Spot) -> tuple[str, ...]:
    """Return the functions that the finding may mean, in lower case."""
    said = f"{spot.finding.evidence.get('operators', '')} {spot.before or ''} {spot.finding.title}".lower()
    return tuple(kind for kind in ("softmax", "sigmoid") if kind in said) or ("softmax", "sigmoid")


def _squash(spot: Spot) -> ast.Call:
    """Return the softmax or sigmoid that is meant: on a named line, else the one that ends the net."""
    calls = [call for call in spot.source.calls(*_SQUASHES) if name_of(call).lower().endswith(_kinds(spot))]
    if here := spot.at(call for call in calls if not _is_module(call)):
        return only(here)
    places = [str(place) for key, place in spot.finding.evidence.items() if key.endswith(" at")]
    if places and not any(Path(place.rpartition(":")[0]).name == spot.file for place in places):
        raise Unclear  # it stands in another file
    return only(call for call in calls if _ends(spot, call))


def _ends(spot: Spot, call: ast.Call) -> bool:
    """Whether a unit is the last of a Sequential, what a method returns, or what the named line is given."""
    parent = spot.source.parents[call]
    if isinstance(parent, ast.Assign) and isinstance(target := only(parent.targets), ast.Name):
        used = [
            n for n in spot.source.nodes if isinstance(n, ast.Name) and n.id == target.id and n is not target
        ]
        return any(spot.lines and spot.source.covers(n, spot.lines[0]) for n in used)
    if _is_module(call):
        return isinstance(parent, ast.Call) and name_of(parent) == "Sequential" and parent.args[-1] is call
    return isinstance(parent, ast.Return)


def _is_module(call: ast.Call) -> bool:
    return name_of(call)[:1].isupper()


def _is_method(spot: Spot, call: ast.Call) -> bool:
    """Whether it is a tensor's: ``x.softmax(1)``, not ``torch.softmax(x, 1)`` or ``self.softmax(x)``."""
    if not isinstance(call.func, ast.Attribute):
        return False
    base: ast.expr = call.func.value
    while isinstance(base, ast.Attribute):
        base = base.value
    if not isinstance(base, ast.Name):
        return True
    modules = {
        alias.asname or alias.name.partition(".")[0]
        for node in spot.source.nodes
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    return base.id not in {"self", "torch", "nn", "F", *modules}


def _sequential(spot: Spot, call: ast.Call) -> ast.Call:
    parent = spot.source.parents[call]
    if not isinstance(parent, ast.Call):
        raise Unclear
    return parent


def _thresholds(spot: Spot) -> bool:
    halves = (
        isinstance(node, ast.Compare)
        and any(
            isinstance(side, ast.Constant) and side.value == 0.5 for side in [node.left, *node.comparators]
        )
        for node in spot.source.nodes
    )
    return any(halves) or bool(spot.source.calls(*_THRESHOLDS))


def _renamed_loss(spot: Spot, function: str, module: str, *, plain: bool = False) -> list[Edit]:
    """Put the counterpart in place of a loss."""
    other = {
        "binary_cross_entropy_with_logits": "binary_cross_entropy",
        "BCEWithLogitsLoss": "BCELoss",
        "nll_loss": "cross_entropy",
        "NLLLoss": "CrossEntropyLoss",
    }
    call = spot.call(function, module)
    if not isinstance(call.func, ast.Attribute) or (
        plain and any(k.arg == "pos_weight" for k in call.keywords)
    ):
        raise Unclear
    end = spot.source.end(call.func)
    return [Edit(end - len(call.func.attr), end, other[call.func.attr])]


def log_probabilities(spot: Spot) -> list[Edit]:
    """Give a negative log-likelihood logarithms: log_softmax for softmax, cross_entropy for raw scores."""
    operators = str(spot.finding.evidence.get("operators", ""))
    if operators.endswith("→ log"):
        return _picked(spot)
    if not operators.endswith("nll_loss"):
        raise Unclear
    if "softmax" not in operators:
        return _renamed_loss(spot, "nll_loss", "NLLLoss")
    call = _squash(spot)
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in ("softmax", "Softmax"):
        raise Unclear
    end = spot.source.end(call.func)
    new = "LogSoftmax" if call.func.attr == "Softmax" else "log_softmax"
    return [Edit(end - len(call.func.attr), end, new)]


def _picked(spot: Spot) -> list[Edit]:
    """Make probabilities of the scores of which a likelihood written by hand picks one a sample."""
    source = spot.source
    logarithm = only(spot.at(source.calls("log")))
    given: ast.expr = only(logarithm.args)
    if isinstance(given, ast.Name):
        name, function = given.id, source.function(logarithm)
        given = only(
            node.value
            for node in source.nodes
            if isinstance(node, ast.Assign)
            and [source.code(target) for target in node.targets] == [name]
            and source.function(node) is function
        )
    if isinstance(given, ast.Subscript) and isinstance(given.slice, ast.Tuple) and len(given.slice.elts) == 2:
        scores = given.value
    elif name_of(given) == "gather" and isinstance(given, ast.Call) and isinstance(given.func, ast.Attribute):
        scores = given.func.value
    else:
        raise Unclear
    return [source.replace(scores, f"{spot.torch}.softmax({source.code(scores)}, dim=1)")]


def softmax_axis(spot: Spot) -> list[Edit]:
    """Let the softmax run over the axis of the classes, or over the one that its weights are summed over."""
    evidence = spot.finding.evidence
    axis = evidence.get("product sums over axis")
    if axis is None:  # the classes are the last axis of a table, the second one of maps
        axis = 1 if isinstance(evidence.get("shape"), list) and len(evidence["shape"]) == 2 else None
    call = spot.call("softmax", "log_softmax", "Softmax", "LogSoftmax")
    if axis is None or spot.at([call]) != [call]:
        raise Unclear
    function = not _is_module(call) and not _is_method(spot, call)
    given = spot.source.argument(call, "dim", 1 if function else 0)
    if given is None:
        return [spot.source.add(call, f"dim={axis}")]
    return [spot.number(given, lambda _: axis)]


def guarded(spot: Spot) -> list[Edit]:
    """Keep what enters a logarithm, on the line that was found, away from zero."""
    eps = spot.after if isinstance(spot.after, float) else 1e-7
    found = [
        call
        for call in spot.at(spot.source.calls("log"))
        if isinstance(call, ast.Call) and len(call.args) == 1 and not call.keywords
    ]
    if not found:
        raise Unclear
    edits = []
    for call in found:
        if "clamp" in spot.source.code(call) or _is_method(spot, call):
            raise Unclear
        edits += spot.source.append(call.args[0], f".clamp_min({number_text(eps)})")
    return edits


def other_loss(spot: Spot) -> list[Edit]:
    """Put the loss of one-hot classes, or of yes and no, in place of a squared or absolute error."""
    source, said = spot.source, str(spot.finding.evidence.get("targets", ""))
    output, after = str(spot.finding.evidence.get("output", "")), str(spot.after)
    call = spot.call("MSELoss", "L1Loss", "mse_loss", "l1_loss")
    module = _is_module(call)
    if not isinstance(call.func, ast.Attribute) or call.keywords:
        raise Unclear
    if after == "cross_entropy" and "one-hot" in said and output.startswith("softmax"):
        name, edits = ("CrossEntropyLoss" if module else "cross_entropy"), without_squash(spot)
    elif after.startswith("binary") and "0/1" in said and output.startswith("sigmoid"):
        name, edits = ("BCELoss" if module else "binary_cross_entropy"), []  # the sigmoid stays: it is used
    else:
        raise Unclear
    end = source.end(call.func)
    return [Edit(end - len(call.func.attr), end, name), *edits]
