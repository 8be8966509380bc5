"""How each change is made to a training that was captured: one function a kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from preceptor.diagnosis.structure import AFFINE, LOSSES, REARRANGING
from preceptor.errors import ModelError
from preceptor.observation.graph import Node
from preceptor.observation.rerun import Edit
from preceptor.trials.change import Change
from preceptor.trials.setup import CUTS, Group, Setup

__all__ = ["ACTIVATIONS", "apply", "output_nodes"]

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
_OPTIMIZERS: Mapping[str, tuple[type, dict[str, Any]]] = {
    "adam": (torch.optim.Adam, {"lr": 1e-3}),
    "adamw": (torch.optim.AdamW, {"lr": 1e-3}),
    "sgd": (torch.optim.SGD, {"lr": 1e-2, "momentum": 0.9}),
}
_UNITS = frozenset({"softmax", "log_softmax", "sigmoid", "relu", "tanh", "softplus", "logsigmoid", "exp"})
_DROPOUT = frozenset({"dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout"})
_FLAT = frozenset({"div", "truediv", "log", "log2", "log10", "log1p", "sqrt", "pow", "reciprocal", "rsqrt"})


def apply(change: Change, setup: Setup) -> Setup:
    """Return the training with one change.

    Raises:
        ModelError: there is nothing in it that the change could be made to.
    """
    make = _APPLY.get(change.kind)
    if make is None:
        raise ModelError(f"{change.kind} cannot be changed in a recorded step")
    return make(setup, change)


# ------------------------------------------------------------------ numbers


def _option(setup: Setup, change: Change) -> Setup:
    if setup.option(change.kind) is None:
        raise ModelError(f"the optimizer has no {change.kind}")
    return setup.with_options(**{change.kind: change.after})


def _clip(setup: Setup, change: Change) -> Setup:
    return setup.but(max_grad_norm=change.after)


def _batch_size(setup: Setup, change: Change) -> Setup:
    rows = setup.rows
    if not rows.cells or rows.exact:
        raise ModelError("batches of another size do not fit the recorded step")
    return setup.but(rows=rows.but(size=int(change.after), recorded=False))


def _longer(setup: Setup, change: Change) -> Setup:
    return setup.but(steps=int(change.after))


def _dropout(setup: Setup, change: Change) -> Setup:
    nodes = [node for node in setup.rerun.nodes if node.op.rstrip("_") in _DROPOUT]
    rate = float(change.after)

    def drop(function: Any, args: Any, kwargs: Any) -> Any:
        given = args[0] if args else kwargs["input"]
        return functional.dropout(given, rate, training=True)

    return setup.edited(_found({node.index: drop for node in nodes}, "dropout"))


def _axis(setup: Setup, change: Change) -> Setup:
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


def _schedule(setup: Setup, change: Change) -> Setup:
    return setup.but(rates=())


# ------------------------------------------------------------------ blocks


def _optimizer(setup: Setup, change: Change) -> Setup:
    kind, options = _OPTIMIZERS[str(change.after)]
    groups = tuple(Group(group.cells, options) for group in setup.groups)
    return setup.but(kind=kind, groups=groups, rates=())


def _activation(setup: Setup, change: Change) -> Setup:
    outputs = {node.index for node in output_nodes(setup)}
    function = ACTIVATIONS[str(change.after)]
    nodes = [n for n in setup.rerun.nodes if n.op.rstrip("_") == change.before and n.index not in outputs]
    return setup.edited(_found({node.index: _calling(function) for node in nodes}, str(change.before)))


def _output(setup: Setup, change: Change) -> Setup:
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


def _loss(setup: Setup, change: Change) -> Setup:
    node = _loss_node(setup)
    function = _NEW_LOSSES[str(change.after)]
    edits: dict[int, Edit] = {node.index: lambda _f, args, kwargs: function(*_two(args, kwargs))}
    if str(change.after) in ("cross_entropy", "binary_cross_entropy_with_logits"):
        edits |= {n.index: _same for n in output_nodes(setup)}
        setup = setup.but(yardstick=replace(setup.yardstick, threshold=0.0))
    return setup.edited(edits)


def _init(setup: Setup, change: Change) -> Setup:
    generator = torch.Generator().manual_seed(0)
    fresh = {}
    for cell, tensor in setup.initial.items():
        value = tensor.clone()
        if tensor.ndim >= 2 and tensor.is_floating_point():
            nn.init.kaiming_uniform_(value, a=5**0.5, generator=generator)
        elif "bias" in setup.rerun.parameters[cell].name:
            nn.init.zeros_(value)
        fresh[cell] = value
    return setup.but(initial=fresh)


def _reduction(setup: Setup, change: Change) -> Setup:
    by = setup.accumulate if str(change.before).startswith("sum over batches") else setup.rows.size
    if by < 2:
        raise ModelError("there is nothing to divide by")
    return setup.but(scale=setup.scale / by)


def _sign(setup: Setup, change: Change) -> Setup:
    if setup.option("maximize"):
        return setup.with_options(maximize=False)
    return setup.but(scale=-setup.scale)


# ------------------------------------------------------------------ calls


def _zero_grad(setup: Setup, change: Change) -> Setup:
    if setup.zero_grad and setup.updates:
        raise ModelError("gradients are cleared already")
    return setup.but(zero_grad=True, updates=True)


def _backward(setup: Setup, change: Change) -> Setup:
    return setup.but(zero_grad=True, updates=True)


def _standardize_inputs(setup: Setup, change: Change) -> Setup:
    rows, target = setup.rows, setup.yardstick.target
    inside = {v.cell for node in setup.rerun.nodes if node.op in AFFINE or node.module for v in node.inputs}
    cells = [c for c, t in rows.whole[0].items() if t.is_floating_point() and t.ndim > 1 and c in inside]
    cells = [cell for cell in cells if cell != target]
    if not cells:
        raise ModelError("no inputs of numbers were found")
    for cell in cells:
        rows = rows.mapped(cell, _standardizer(_all_of(setup, cell)))
    return setup.but(rows=rows)


def _standardize_targets(setup: Setup, change: Change) -> Setup:
    cell = setup.yardstick.target
    if cell not in setup.rows.whole[0] or not setup.rows.whole[0][cell].is_floating_point():
        raise ModelError("no targets of numbers were found")
    return setup.but(rows=setup.rows.mapped(cell, _standardizer(_all_of(setup, cell))))


def _all_of(setup: Setup, cell: int) -> Tensor:
    table = setup.rows.table
    return table[cell] if cell in table else torch.cat([batch[cell] for batch in setup.rows.whole])


def _standardizer(values: Tensor) -> Callable[[Tensor], Tensor]:
    """Of each feature for tables; of all together for pictures and sequences, whose features are alike."""
    axes = (0,) if values.ndim <= 2 else tuple(range(values.ndim))
    finite = torch.where(torch.isfinite(values), values, torch.zeros_like(values))
    mean, std = finite.mean(axes, keepdim=True), finite.std(axes, keepdim=True)
    std = torch.where(std > 0, std, torch.ones_like(std))
    return lambda x: (x - mean) / std


def _nonlinearity(setup: Setup, change: Change) -> Setup:
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


def _shuffle(setup: Setup, change: Change) -> Setup:
    if not setup.rows.cells:
        raise ModelError("the examples of a batch cannot be told apart")
    return setup.but(rows=setup.rows.but(recorded=False))


def _flatten(setup: Setup, change: Change) -> Setup:
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


def _trainable(setup: Setup, change: Change) -> Setup:
    frozen = frozenset(c for c, v in setup.rerun.parameters.items() if not v.requires_grad)
    if not frozen:
        raise ModelError("no parameter of the step is frozen")
    missing = [cell for cell in frozen if cell not in setup.trained]
    return (_given(setup, missing) if missing else setup).but(unfrozen=frozen)


def _optimized(setup: Setup, change: Change) -> Setup:
    missing = [c for c, v in setup.rerun.parameters.items() if c not in setup.trained and v.requires_grad]
    return _given(setup, missing)


def _given(setup: Setup, cells: list[int]) -> Setup:
    if not cells or not setup.groups:
        raise ModelError("the optimizer has all parameters already")
    first, *others = setup.groups
    return setup.but(groups=(Group((*first.cells, *cells), first.options), *others))


def _train_mode(setup: Setup, change: Change) -> Setup:
    edits: dict[int, Edit] = {}
    for node in setup.rerun.nodes:
        if node.op == "batch_norm":
            edits[node.index] = _batch_statistics
        elif node.op.rstrip("_") in _DROPOUT:
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


def _finite(setup: Setup, change: Change) -> Setup:
    rows = setup.rows
    if not rows.cells:
        raise ModelError("the examples of a batch cannot be told apart")
    bad = torch.zeros(rows.count, dtype=torch.bool)
    for tensor in rows.table.values():
        if tensor.is_floating_point():
            bad |= ~torch.isfinite(tensor.reshape(len(tensor), -1)).all(1)
    if not bool(bad.any()) or bool(bad.all()):
        raise ModelError("there are no such examples, or no others")
    return setup.but(rows=rows.without(bad))


def _eps(setup: Setup, change: Change) -> Setup:
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


def _softmax(setup: Setup, change: Change) -> Setup:
    nodes = [node for node in output_nodes(setup) if node.op.rstrip("_") in _UNITS]
    return setup.edited(_found({node.index: _same for node in nodes}, "softmax before the loss"))


def _detach(setup: Setup, change: Change) -> Setup:
    nodes = [node for node in setup.rerun.nodes if node.op in CUTS]
    return setup.edited(_found({node.index: _same for node in nodes}, "detach"))


def _clipping(setup: Setup, change: Change) -> Setup:
    if setup.max_grad_norm is None:
        raise ModelError("nothing is clipped")
    return setup.but(max_grad_norm=None)


def _batch_norm(setup: Setup, change: Change) -> Setup:
    nodes = [node for node in setup.rerun.nodes if node.op == "batch_norm"]
    return setup.edited(_found({node.index: _same for node in nodes}, "batch normalisation"))


# ------------------------------------------------------------------ what they share


def output_nodes(setup: Setup) -> list[Node]:
    """Return the activations that come last before the loss, through what only rearranges."""
    made = {v.cell: node for node in setup.rerun.nodes for v in node.outputs}
    cells = [value.cell for node in setup.rerun.nodes if node.op in LOSSES for value in node.inputs[:1]]
    if not cells and setup.rerun.loss.producer is not None:
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


def _same(function: Any, args: Any, kwargs: Any) -> Any:
    return args[0] if args else kwargs["input"]


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


_NEW_LOSSES = {
    "cross_entropy": _cross_entropy,
    "binary_cross_entropy_with_logits": _binary,
    "mse_loss": _squares,
}
_APPLY: Mapping[str, Callable[[Setup, Change], Setup]] = {
    "lr": _option,
    "momentum": _option,
    "weight_decay": _option,
    "max_grad_norm": _clip,
    "batch_size": _batch_size,
    "epochs": _longer,
    "dropout": _dropout,
    "axis": _axis,
    "schedule": _schedule,
    "optimizer": _optimizer,
    "activation": _activation,
    "output": _output,
    "loss": _loss,
    "init": _init,
    "reduction": _reduction,
    "sign": _sign,
    "zero_grad": _zero_grad,
    "backward": _backward,
    "standardize_inputs": _standardize_inputs,
    "standardize_targets": _standardize_targets,
    "nonlinearity": _nonlinearity,
    "shuffle": _shuffle,
    "flatten_prediction": _flatten,
    "trainable": _trainable,
    "optimized": _optimized,
    "train_mode": _train_mode,
    "finite_data": _finite,
    "eps": _eps,
    "softmax": _softmax,
    "detach": _detach,
    "clipping": _clipping,
    "batch_norm": _batch_norm,
}
