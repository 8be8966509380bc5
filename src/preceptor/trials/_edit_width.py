"""A change of how wide hidden layers are: other weights for the recorded operators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import torch
from torch import Tensor

from preceptor.errors import ModelError
from preceptor.observation.graph import Node
from preceptor.trials.change import Change
from preceptor.trials.setup import DROPOUTS, Setup

_EACH = DROPOUTS | frozenset(
    {"relu", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish", "softplus", "softsign", "relu6"}
    | {"hardtanh", "sigmoid", "tanh", "logsigmoid", "hardswish", "hardsigmoid", "sin", "clamp", "clamp_min"}
)
"""Operators that treat every unit alike, however many there are."""


def hidden(setup: Setup, change: Change) -> Setup:
    """Give hidden layers that are narrower so many units, weights drawn as torch draws them."""
    width = int(change.after)
    generator = torch.Generator().manual_seed(0)
    initial = dict(setup.initial)
    for first, second in _layers(setup):
        if _width(first) < width:
            initial |= _drawn(first, initial, 0, width, generator)
            initial |= _drawn(second, initial, 1, width, generator)
    if all(initial[cell] is tensor for cell, tensor in setup.initial.items()):
        raise ModelError("the step has no hidden layer of that kind")
    return setup.but(initial=initial)


def narrowest(setup: Setup) -> int | None:
    """Return the fewest units of a hidden layer between two that are fully connected; None without one."""
    return min((_width(first) for first, _ in _layers(setup)), default=None)


def _layers(setup: Setup) -> Iterator[tuple[Node, Node]]:
    """Pairs of fully connected layers between which there is nothing but what treats units alike."""
    nodes = setup.rerun.nodes
    readers: dict[int, list[Node]] = {}
    for node in nodes:
        for value in node.inputs:
            readers.setdefault(value.cell, []).append(node)
    used = Counter(value.cell for node in nodes for value in node.inputs)
    for node in nodes:
        after = _reader(node, readers) if _is_layer(node, setup, used) else None
        while after is not None and after.op.rstrip("_") in _EACH:
            after = _reader(after, readers)
        if after is not None and _is_layer(after, setup, used):
            yield node, after


def _reader(node: Node, readers: dict[int, list[Node]]) -> Node | None:
    """The one operator that reads what this one made."""
    found = [reader for value in node.outputs for reader in readers.get(value.cell, ())]
    found = [reader for reader in found if reader is not node]
    return found[0] if len(found) == 1 else None


def _is_layer(node: Node, setup: Setup, used: Counter[int]) -> bool:
    """Whether it is x Wᵀ + b with weights of its own."""
    weights = [value.cell for value in node.inputs[1:]]
    own = all(cell in setup.rerun.parameters and used[cell] == 1 for cell in weights)
    return node.op == "linear" and bool(weights) and own


def _width(node: Node) -> int:
    return int(node.inputs[1].shape[0])


def _drawn(
    node: Node, initial: dict[int, Tensor], axis: int, width: int, generator: torch.Generator
) -> dict[int, Tensor]:
    """Weights of another width along an axis: outputs, to which a bias belongs, or inputs."""
    weight, *bias = (value.cell for value in node.inputs[1:])
    shape = list(initial[weight].shape)
    shape[axis] = width
    bound = shape[1] ** -0.5
    drawn = {weight: shape} | (dict.fromkeys(bias, shape[:1]) if axis == 0 else {})
    return {
        cell: (torch.rand(sizes, generator=generator) * 2 - 1).to(initial[cell]) * bound
        for cell, sizes in drawn.items()
    }
