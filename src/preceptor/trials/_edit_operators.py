"""Changes of what a captured training computes: other operators in the place of recorded ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from preceptor.diagnosis.structure import AFFINE, LOSSES, REARRANGING
from preceptor.errors import ModelError
from preceptor.observation.graph import Node
from preceptor.observation.rerun import Edit
from preceptor.trials.change import Change
from preceptor.trials.setup import CUTS, DROPOUTS, Setup, identity

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "elu": functional.elu,
    "gelu": functional.gelu,
    "leaky_relu": functional.leaky_relu,
    "softplus": functional.softplus,
    "linear": lambda x: x,
}
"""Activations that can take the place of others."""
_UNITS = frozenset({"softmax", "log_softmax", "sigmoid", "relu", "tanh", "softplus", "logsigmoid", "exp"})
_FLAT = frozenset({"div", "truediv", "log", "log2", "log10", "log1p", "sqrt", "pow", "reciprocal", "rsqrt"})


def dropout(setup: Setup, change: Change) -> Setup:
    """Drop units at another rate."""
    nodes = [node for node in setup.rerun.nodes if node.op.rstrip("_") in DROPOUTS]
    rate = float(change.after)

    def drop(function: Any, args: Any, kwargs: Any) -> Any:
        given = args[0] if args else kwargs["input"]
        return functional.dropout(given, rate, training=True)

    return setup.edited(_found({node.index: drop for node in nodes}, "dropout"))


def axis(setup: Setup, change: Change) -> Setup:
    """Let softmax sum to 1 along another axis."""

    def along(function: Any, args: Any, kwargs: Any) -> Any:
        given = args[0] if args else kwargs["input"]
        return (
            torch.log_softmax(given, int(change.after))
            if "log" in function.__name__
            else given.softmax(int(change.after))
        )

    nodes = [node for node in setup.rerun.nodes if node.op in ("softmax", "log_softmax")]
    nodes = [node for node in nodes if len(node.inputs[0].shape) > 1]
    return setup.edited(_found({node.index: along for node in nodes}, "softmax"))


def activation(setup: Setup, change: Change) -> Setup:
    """Put another activation in the place of hidden ones."""
    outputs = {node.index for node in output_nodes(setup)}
    function = ACTIVATIONS[str(change.after)]
    nodes = [n for n in setup.rerun.nodes if n.op.rstrip("_") == change.before and n.index not in outputs]
    return setup.edited(_found({node.index: _calling(function) for node in nodes}, str(change.before)))


def output(setup: Setup, change: Change) -> Setup:
    """Put another unit before the loss."""
    after = str(change.after)
    units = {
        n.index: n for n in output_nodes(setup) if n.op.rstrip("_") == change.before or not change.before
    }
    if change.before:
        return setup.edited(_found({i: _calling(_unit(after)) for i in units}, str(change.before)))
    if any(node.op in LOSSES for node in setup.rerun.nodes):
        return setup.edited({_loss_node(setup).index: _before_loss(_unit(after))})
    made = {v.cell: node for node in setup.rerun.nodes for v in node.outputs}
    last = made.get(setup.yardstick.prediction)
    if last is None:
        raise ModelError("what the model returns was not found")
    return setup.edited({last.index: _then(_unit(after))})


def _unit(name: str) -> Callable[[Tensor], Tensor]:
    if name in ("softmax", "log_softmax"):
        return lambda x: getattr(torch, name)(x, -1 if x.ndim < 3 else 1)
    return ACTIVATIONS[name]


def loss(setup: Setup, change: Change) -> Setup:
    """Minimise another loss."""
    yardstick = setup.yardstick
    if yardstick.prediction < 0 or yardstick.target < 0:
        raise ModelError("prediction and target were not found")
    if str(change.after) in ("cross_entropy", "binary_cross_entropy_with_logits"):
        setup = setup.edited({node.index: identity for node in output_nodes(setup)})
        yardstick = replace(yardstick, threshold=0.0)
    return setup.but(objective=_NEW_LOSSES[str(change.after)], yardstick=yardstick)


def nonlinearity(setup: Setup, change: Change) -> Setup:
    """Put an activation between layers that are linear after one another."""
    function = ACTIVATIONS[str(change.after)]
    made = {v.cell: node for node in setup.rerun.nodes for v in node.outputs}
    edits: dict[int, Edit] = {}
    for node in setup.rerun.nodes:
        before = made.get(node.inputs[0].cell) if node.op in AFFINE and node.inputs else None
        while before is not None and before.op in REARRANGING and before.inputs:
            before = made.get(before.inputs[0].cell)
        if before is not None and before.op in AFFINE:
            edits[before.index] = _then(function)
    return setup.edited(_found(edits, "layers that are linear after one another"))


def flatten(setup: Setup, change: Change) -> Setup:
    """Bring prediction and target to one shape."""

    def matched(function: Any, args: Any, kwargs: Any) -> Any:
        prediction, target = _two(args, kwargs)
        rest = {k: v for k, v in kwargs.items() if k not in ("input", "target")}
        if prediction.numel() != target.numel():
            raise ModelError("prediction and target have different sizes")
        return function(prediction.reshape(-1), target.reshape(-1), *args[2:], **rest)

    nodes = [node for node in setup.rerun.nodes if node.op in LOSSES]
    if nodes:
        return setup.edited({nodes[-1].index: matched})
    return setup.edited({_difference(setup).index: _reshaped})


def _difference(setup: Setup) -> Node:
    """The difference of prediction and target, in a loss that is written by hand."""
    for node in setup.rerun.nodes:
        if node.op in ("sub", "rsub") and not node.module and len(node.inputs) == 2:
            one, other = node.inputs
            if one.shape != other.shape and _size(one.shape) == _size(other.shape):
                return node
    raise ModelError("no difference of two shapes was found")


def _reshaped(function: Any, args: Any, kwargs: Any) -> Any:
    return function(args[0].reshape(-1), args[1].reshape(-1), *args[2:], **kwargs)


def _size(shape: tuple[int, ...]) -> int:
    return int(torch.Size(shape).numel())


def train_mode(setup: Setup, change: Change) -> Setup:
    """Run dropout and batch normalisation as in training."""
    edits: dict[int, Edit] = {}
    for node in setup.rerun.nodes:
        if node.op == "batch_norm":
            edits[node.index] = _batch_statistics
        elif node.op.rstrip("_") in DROPOUTS:
            edits[node.index] = _dropping
    return setup.edited(_found(edits, "batch normalisation or dropout"))


def _batch_statistics(function: Any, args: Any, kwargs: Any) -> Any:
    names = ("input", "running_mean", "running_var", "weight", "bias")
    given = {**dict(zip(names, args[:5], strict=False)), **{k: v for k, v in kwargs.items() if k in names}}
    return functional.batch_norm(
        given["input"], None, None, given.get("weight"), given.get("bias"), training=True
    )


def _dropping(function: Any, args: Any, kwargs: Any) -> Any:
    rate = kwargs.get("p", args[1] if len(args) > 1 else 0.5)
    return functional.dropout(args[0] if args else kwargs["input"], rate, training=True)


def eps(setup: Setup, change: Change) -> Setup:
    """Keep logarithms, roots and quotients away from zero."""
    eps = float(change.after)

    def safe(function: Any, args: Any, kwargs: Any) -> Any:
        place = 1 if function.__name__ in ("div", "true_divide", "__truediv__") and len(args) > 1 else 0
        given = args[place]
        if isinstance(given, Tensor) and given.is_floating_point():
            kept = torch.where(given.abs() < eps, torch.full_like(given, eps), given)
            args = (*args[:place], kept, *args[place + 1 :])
        return function(*args, **kwargs)

    nodes = [node for node in setup.rerun.nodes if node.op.rstrip("_") in _FLAT]
    return setup.edited(_found({node.index: safe for node in nodes}, "logarithm, root or quotient"))


def softmax(setup: Setup, change: Change) -> Setup:
    """Leave out what squashes before the loss."""
    nodes = [node for node in output_nodes(setup) if node.op.rstrip("_") in _UNITS]
    return setup.edited(_found({node.index: identity for node in nodes}, "softmax before the loss"))


def detach(setup: Setup, change: Change) -> Setup:
    """Let gradients through where the graph was cut."""
    nodes = [node for node in setup.rerun.nodes if node.op in CUTS]
    return setup.edited(_found({node.index: identity for node in nodes}, "detach"))


def batch_norm(setup: Setup, change: Change) -> Setup:
    """Leave out batch normalisation."""
    nodes = [node for node in setup.rerun.nodes if node.op == "batch_norm"]
    return setup.edited(_found({node.index: identity for node in nodes}, "batch normalisation"))


def output_nodes(setup: Setup) -> list[Node]:
    """Return the activations that come last before the loss, through what only rearranges."""
    made = {v.cell: node for node in setup.rerun.nodes for v in node.outputs}
    cells = [value.cell for node in setup.rerun.nodes if node.op in LOSSES for value in node.inputs[:1]]
    if not cells and setup.yardstick.prediction >= 0:
        cells = [setup.yardstick.prediction]
    elif not cells and setup.rerun.loss.producer is not None:
        cells = [value.cell for value in setup.rerun.loss.producer.inputs]
    found, queue, seen = [], list(cells), set()
    while queue:
        node = made.get(queue.pop())
        if node is None or node.index in seen:
            continue
        seen.add(node.index)
        if node.op.rstrip("_") in _UNITS:
            found.append(node)
            queue += [v.cell for v in node.inputs[:1]] if node.op in ("log_softmax", "logsigmoid") else []
        elif node.op in REARRANGING or node.op in ("log", "clamp", "add"):
            queue += [v.cell for v in node.inputs[:1]]
    return found


def _loss_node(setup: Setup) -> Node:
    nodes = [node for node in setup.rerun.nodes if node.op in LOSSES]
    if len(nodes) != 1:
        raise ModelError("the loss is not one call of a loss function")
    return nodes[0]


def _two(args: Any, kwargs: Any) -> tuple[Tensor, Tensor]:
    prediction = args[0] if args else kwargs["input"]
    target = args[1] if len(args) > 1 else kwargs["target"]
    return prediction, target


def _before_loss(function: Callable[[Tensor], Tensor]) -> Edit:
    def edit(loss: Any, args: Any, kwargs: Any) -> Any:
        prediction, target = _two(args, kwargs)
        rest = {k: v for k, v in kwargs.items() if k not in ("input", "target")}
        return loss(function(prediction), target, *args[2:], **rest)

    return edit


def _calling(function: Callable[[Tensor], Tensor]) -> Edit:
    return lambda _function, args, kwargs: function(args[0] if args else kwargs["input"])


def _then(function: Callable[[Tensor], Tensor]) -> Edit:
    return lambda original, args, kwargs: function(original(*args, **kwargs))


def _found(edits: dict[int, Edit], what: str) -> dict[int, Edit]:
    if not edits:
        raise ModelError(f"the step has no {what}")
    return edits


def _cross_entropy(prediction: Tensor, target: Tensor) -> Tensor:
    if target.is_floating_point() and target.shape == prediction.shape:
        return functional.cross_entropy(prediction, target)
    return functional.cross_entropy(prediction, target.reshape(-1).long())


def _binary(prediction: Tensor, target: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(
        prediction, target.to(prediction.dtype).reshape(prediction.shape)
    )


def _squares(prediction: Tensor, target: Tensor) -> Tensor:
    return functional.mse_loss(prediction.reshape(-1), target.to(prediction.dtype).reshape(-1))


def _of_probabilities(prediction: Tensor, target: Tensor) -> Tensor:
    wanted = target.to(prediction.dtype).reshape(prediction.shape)
    if bool(((wanted < 0) | (wanted > 1)).any()):
        raise ModelError("targets are no probabilities")
    return functional.binary_cross_entropy(prediction, wanted)


_NEW_LOSSES = {
    "binary_cross_entropy": _of_probabilities,
    "cross_entropy": _cross_entropy,
    "binary_cross_entropy_with_logits": _binary,
    "mse_loss": _squares,
}
