"""The best that outputs could be, whatever the network: each example its own, or one answer for all.

Both follow from the loss alone, by minimising it over free outputs. So the level of chance and the lowest
loss are known for any loss, with label smoothing, class weights or one's own formula.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._pytree import tree_flatten, tree_unflatten

from preceptor.recipe import _trees as trees
from preceptor.recipe._classes import class_axis

__all__ = ["Answer", "Unit", "best_answer", "last_unit"]

_ITERATIONS = 60
_UNBOUNDED = 1e3  # times the first loss, below zero: no loss with a lowest value falls so far
_PASSING = (
    "View", "ReshapeAlias", "UnsafeView", "Squeeze", "Unsqueeze", "Transpose", "Permute", "T", "Clone",
    "Alias", "ToCopy", "Expand", "Select", "Slice", "MovedimInt", "Contiguous",
)  # fmt: skip


@dataclass(frozen=True)
class Unit:
    """What a network ends in.

    Attributes:
        name: of the function.
        apply: it.
        low, high: its values lie between them.
    """

    name: str
    apply: Callable[[Tensor], Tensor]
    low: float
    high: float


_UNITS: dict[str, tuple[Callable[[Tensor], Tensor], float, float]] = {
    "sigmoid": (torch.sigmoid, 0.0, 1.0),
    "tanh": (torch.tanh, -1.0, 1.0),
    "relu": (functional.softplus, 0.0, math.inf),  # reaches the same values, and can be followed everywhere
    "softplus": (functional.softplus, 0.0, math.inf),
    "hardtanh": (torch.tanh, -1.0, 1.0),
    "hardsigmoid": (torch.sigmoid, 0.0, 1.0),
}


def last_unit(output: Any) -> Unit | None:
    """Return what the first output tensor comes out of, as its graph has it; None for a layer.

    Example:
        >>> last_unit(torch.zeros(2, 3, requires_grad=True).softmax(1).reshape(3, 2)).name
        'softmax'
        >>> last_unit(torch.nn.Linear(2, 2)(torch.zeros(1, 2))) is None
        True
    """
    found = trees.floating(output)
    step = found[0].grad_fn if found else None
    while step is not None and _name(step) in _PASSING:
        step = step.next_functions[0][0] if step.next_functions else None
    if step is None:
        return None
    name = _name(step).lower()
    if name in ("softmax", "logsoftmax"):
        return _softmax(name, step)
    if name in _UNITS:
        return Unit(name, *_UNITS[name])
    return None


def _name(step: Any) -> str:
    text: str = step.name()
    return text.rpartition("::")[2].partition("Backward")[0]


def _softmax(name: str, step: Any) -> Unit:
    dim = int(step._saved_dim)
    dim -= 1 << 64 if dim >= 1 << 63 else 0
    if name == "softmax":
        return Unit("softmax", lambda z: z.softmax(min(dim, z.ndim - 1)), 0.0, 1.0)
    return Unit("log_softmax", lambda z: z.log_softmax(min(dim, z.ndim - 1)), -math.inf, 0.0)


@dataclass(frozen=True)
class Answer:
    """Outputs that a loss likes best.

    Attributes:
        loss: at these outputs; NaN where the loss does not take such outputs, −inf where it has no lower end.
        outputs: they, for the examples that they were found for; None where there are none.
        shared: whether it is one answer for all examples.
    """

    loss: float
    outputs: Any = None
    shared: bool = False

    @property
    def known(self) -> bool:
        """Whether there is a lowest loss."""
        return math.isfinite(self.loss)

    def to(self, count: int) -> Any:
        """Return a constant answer for so many examples."""
        return trees.mapped(lambda t: t[:1].expand(count, *t.shape[1:]) if t.ndim else t, self.outputs)


def best_answer(
    loss: Callable[[Any, Any], Tensor], like: Any, y: Any, unit: Unit | None = None, *, shared: bool = False
) -> Answer:
    """Return the outputs of the lowest loss: min over z of loss(unit(z), y), by L-BFGS from zeros.

    Arguments:
        loss: of (outputs, targets).
        like: outputs of the wanted form and shape.
        y: targets.
        unit: what outputs come out of.
        shared: one answer for all examples, and for all places of an example that have a class each.

    Example:
        >>> from torch.nn.functional import cross_entropy
        >>> y = torch.arange(40) % 10
        >>> round(best_answer(cross_entropy, torch.zeros(40, 10), y, shared=True).loss, 3)  # ln 10
        2.303
        >>> round(best_answer(cross_entropy, torch.zeros(40, 10), y).loss, 1)
        0.0
    """
    free = _Free(like, y, unit, shared=shared)
    if not free.parameters:
        return Answer(math.nan)
    try:
        with torch.enable_grad():
            value = _minimised(lambda: loss(free.outputs(), y), free.parameters)
    except Exception:  # noqa: BLE001 - whatever a loss raises on outputs that it was not made for
        return Answer(math.nan)
    return Answer(value, trees.mapped(Tensor.detach, free.outputs()), shared)


class _Free:
    """Outputs of a form, to be chosen freely."""

    def __init__(self, like: Any, y: Any, unit: Unit | None, *, shared: bool) -> None:
        self.unit, self.parameters = unit, list[Tensor]()
        self._leaves, self._form = tree_flatten(trees.mapped(Tensor.detach, like))
        self._chosen: dict[int, Tensor] = {}
        for at, leaf in enumerate(self._leaves):
            if isinstance(leaf, Tensor) and leaf.is_floating_point():
                shape = _shared_shape(leaf, y) if shared else leaf.shape
                chosen = torch.zeros(shape, dtype=leaf.dtype, device=leaf.device, requires_grad=True)
                self._chosen[at] = chosen
                self.parameters.append(chosen)

    def outputs(self) -> Any:
        """The outputs as they are chosen now; the unit stands before the first of several."""
        leaves = list(self._leaves)
        for place, (at, chosen) in enumerate(self._chosen.items()):
            whole = chosen.expand(self._leaves[at].shape)
            leaves[at] = self.unit.apply(whole) if self.unit is not None and place == 0 else whole
        return tree_unflatten(leaves, self._form)


def _shared_shape(output: Tensor, y: Any) -> tuple[int, ...]:
    """Return the shape of one answer: of classes one for all places, of numbers one for each place."""
    axis = class_axis(output, y)
    if axis is None:
        return (1, *output.shape[1:]) if output.ndim else ()
    return tuple(n if i == axis else 1 for i, n in enumerate(output.shape))


def _minimised(value: Callable[[], Tensor], free: list[Tensor]) -> float:
    optimizer = torch.optim.LBFGS(
        free, max_iter=_ITERATIONS, history_size=20, tolerance_grad=1e-9, line_search_fn="strong_wolfe"
    )

    seen = [float(value().detach())]

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = value()
        loss.backward()
        seen.append(float(loss.detach()))
        return loss

    optimizer.step(closure)
    last = float(value().detach())
    if any(low < -_UNBOUNDED * max(1.0, abs(seen[0])) for low in (*seen, last)):
        return -math.inf
    return last if math.isfinite(last) and math.isfinite(seen[0]) else math.nan
