"""A training as it was seen, ready to be run anew: step, examples, optimizer, order of calls."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from preceptor.errors import ModelError, PreceptorError
from preceptor.observation.kept import Kept, Settings
from preceptor.observation.observed import Observed
from preceptor.observation.rerun import Batch, Edit, Rerun
from preceptor.trials.rows import Rows, rows_of
from preceptor.trials.yardstick import Yardstick, yardstick_of

__all__ = ["CUTS", "DROPOUTS", "Group", "Setup", "captured", "identity", "quiet"]

CUTS = frozenset({"detach", "detach_", "data"})
"""Operators through which no gradient flows back."""
DROPOUTS = frozenset(
    {"dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"}
)
"""Operators that silence units by chance."""


@dataclass(frozen=True)
class Group:
    """Parameters, by cell, that an optimizer steps with the same options."""

    cells: tuple[int, ...]
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Setup:
    """Everything that one twin needs; `replace` makes one with a change.

    Attributes:
        rerun: the step.
        rows: its examples.
        initial: parameters before the first step, by cell.
        kind: the optimizer's class.
        groups: what it steps, with which options.
        unfrozen: parameters, by cell, that are trained although the program had frozen them.
        edits: what runs in the place of operators, by their index.
        yardstick: what is judged by.
        steps: how many steps the program made.
        zero_grad: whether gradients are cleared before each backward pass.
        updates: whether steps use the gradients: not where they are cleared before, or never made.
        accumulate: backward passes to one step.
        max_grad_norm: at which gradients are clipped.
        scale: what the loss is multiplied by.
        objective: what is minimised in the place of the recorded loss, given prediction and target.
        rates: the learning rate at each step, relative to the first, where it changes.
    """

    rerun: Rerun
    rows: Rows
    initial: Mapping[int, Tensor]
    kind: type
    groups: tuple[Group, ...]
    unfrozen: frozenset[int] = frozenset()
    edits: Mapping[int, Edit] = field(default_factory=dict)
    yardstick: Yardstick = field(default_factory=lambda: Yardstick("loss"))
    steps: int = 0
    zero_grad: bool = True
    updates: bool = True
    accumulate: int = 1
    max_grad_norm: float | None = None
    scale: float = 1.0
    objective: Callable[[Tensor, Tensor], Tensor] | None = None
    rates: tuple[tuple[int, float], ...] = ()

    def but(self, **changes: Any) -> Setup:
        """Return a copy with other values."""
        return replace(self, **changes)

    def edited(self, edits: Mapping[int, Edit]) -> Setup:
        """Return a copy with further edits of operators."""
        return replace(self, edits={**self.edits, **edits})

    def with_options(self, **options: Any) -> Setup:
        """Return a copy whose optimizer has other options, in all groups."""
        groups = tuple(Group(group.cells, {**group.options, **options}) for group in self.groups)
        return replace(self, groups=groups)

    def option(self, name: str) -> Any:
        """Return an option of the first group; None where it has none."""
        return self.groups[0].options.get(name) if self.groups else None

    @property
    def lr(self) -> float:
        """The learning rate that the program began with."""
        rate = self.option("lr")
        return float(rate) if isinstance(rate, (int, float)) else math.nan

    @property
    def trained(self) -> set[int]:
        """The cells that the optimizer steps."""
        return {cell for group in self.groups for cell in group.cells}

    def rate(self, step: int) -> float:
        """Return the learning rate at a step, relative to the first."""
        found = 1.0
        for begins, factor in self.rates:
            if begins > step:
                break
            found = factor
        return found


def quiet(rerun: Rerun) -> dict[int, Edit]:
    """Return edits that leave out dropout: what both twins are judged with."""
    return {node.index: identity for node in rerun.nodes if node.op.rstrip("_") in DROPOUTS}


def identity(function: Any, args: Any, kwargs: Any) -> Any:
    """Give what an operator is given: the edit that leaves it out."""
    return args[0] if args else kwargs["input"]


def captured(kept: Kept, seen: Observed) -> Setup:
    """Return the training that a watch kept steps of.

    Raises:
        ModelError: it cannot be run anew; the message says why.
    """
    first, reruns = _reruns(kept)
    settings = _optimizer(kept, first)
    initial = _initial(first, kept)
    groups = tuple(
        Group(_cells(first, keys), options)
        for keys, options in zip(settings.keys, settings.groups, strict=True)
    )
    rows = rows_of([rerun.batch for rerun in reruns], lambda batch: _loss(first, initial, batch))
    _check(first, initial)
    setup = Setup(first, rows, initial, settings.kind, groups, yardstick=_yardstick(first, initial))
    return _procedure(setup, seen)


def _reruns(kept: Kept) -> tuple[Rerun, list[Rerun]]:
    """The steps that run the same operators as most do; of these the first."""
    found: list[Rerun] = []
    why = ""
    for _, graph in sorted(kept.graphs.items()):
        try:
            found.append(Rerun(graph))
        except PreceptorError as error:
            why = error.args[0].partition("\n")[0]
    if not found:
        raise ModelError("no step of the training can be run anew", received=why or "no step was recorded")
    common, _ = Counter(rerun.signature for rerun in found).most_common(1)[0]
    alike = [rerun for rerun in found if rerun.signature == common]
    return alike[0], alike


def _optimizer(kept: Kept, first: Rerun) -> Settings:
    keys = {value.key for value in first.parameters.values()}
    fitting = [
        settings for settings in kept.optimizers.values() if any(keys & set(group) for group in settings.keys)
    ]
    if not fitting:
        raise ModelError("the program has no optimizer that could be copied")
    if len(fitting) > 1:
        raise ModelError("several optimizers train the same step", received=f"{len(fitting)} of them")
    if not fitting[0].fresh:
        raise ModelError("the optimizer had stepped before the watch began")
    return fitting[0]


def _cells(first: Rerun, keys: list[int]) -> tuple[int, ...]:
    known = {value.key: cell for cell, value in first.parameters.items()}
    return tuple(known[key] for key in keys if key in known)


def _initial(first: Rerun, kept: Kept) -> dict[int, Tensor]:
    """Parameters as they were at the first step that was kept."""
    earliest = Rerun(kept.graphs[min(kept.graphs)])
    values = {earliest.parameters[cell].key: tensor for cell, tensor in earliest.initial().items()}
    missing = [value.label for value in first.parameters.values() if value.key not in values]
    if missing:
        raise ModelError("parameters came and went during the training", received=", ".join(missing[:3]))
    return {cell: values[value.key] for cell, value in first.parameters.items()}


def _loss(first: Rerun, initial: Mapping[int, Tensor], batch: Batch) -> Tensor:
    with torch.random.fork_rng(devices=()), torch.no_grad():
        torch.manual_seed(0)
        return first.run(initial, batch, edits=quiet(first)).double()


def _check(first: Rerun, initial: Mapping[int, Tensor]) -> None:
    """Run the first step as it was: nothing is claimed from one that gives another loss."""
    if any(node.random for node in first.nodes) or first.graph.loss is None:
        return
    recorded = first.graph.loss_bits.get(first.graph.loss.index)
    if recorded is None or min(first.graph.stored, default=None) is None:
        return
    own = {cell: first.graph.stored[cell].tensor for cell in first.parameters if cell in first.graph.stored}
    if len(own) < len(first.parameters):
        return
    with torch.no_grad():
        again = first.run({c: t.detach() for c, t in own.items() if t is not None}, first.batch)
    if not torch.allclose(again.double(), recorded.double(), rtol=1e-4, equal_nan=True):
        raise ModelError("the step gives another loss when it is run anew")


def _yardstick(first: Rerun, initial: Mapping[int, Tensor]) -> Yardstick:
    environment: dict[int, Tensor] = {}
    leaves = {cell: _leaf(tensor) for cell, tensor in initial.items()}
    uncut = {node.index: identity for node in first.nodes if node.op in CUTS}
    first.run(leaves, first.batch, edits={**quiet(first), **uncut}, environment=environment)
    return yardstick_of(first, environment)


def _leaf(tensor: Tensor) -> Tensor:
    return tensor.detach().clone().requires_grad_(tensor.is_floating_point())


def _procedure(setup: Setup, seen: Observed) -> Setup:
    """Read off what was seen how a step of the program goes."""
    rows = seen.record.facts.get("optimizers", [])
    counts: dict[str, int] = next((row["gradients"] for row in rows if row.get("gradients")), {})
    steps = max(1, counts.get("steps", 0))
    events = [event.kind for event in seen.protocol.typical()]
    backward = events.count("backward")
    limit = (seen.record.facts.get("clipping") or {}).get("limit")
    return setup.but(
        steps=int(seen.steps.get("train", 0)),
        zero_grad=counts.get("carried", 0) <= steps / 2,
        updates=counts.get("cleared", 0) <= steps / 2 and setup.rerun.graph.backward,
        accumulate=max(1, backward),
        max_grad_norm=limit if "clip" in events and isinstance(limit, (int, float)) else None,
        rates=_rates(seen),
    )


def _rates(seen: Observed) -> tuple[tuple[int, float], ...]:
    if "lr" not in seen.record.names:
        return ()
    subject = seen.record.subjects("lr")[0]
    series = seen.record.signal("lr", subject=subject)
    if not len(series) or not series.values[0]:
        return ()
    return tuple(
        (int(step), float(value / series.values[0]))
        for step, value in zip(series.steps, series.values, strict=True)
    )
