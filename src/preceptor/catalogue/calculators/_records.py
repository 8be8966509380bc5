"""What is found out about a network, as records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from preceptor.catalogue._checks import check_count

__all__ = ["NetworkLayer", "NetworkSummary", "TrainingMemory"]


@dataclass(frozen=True)
class NetworkLayer:
    """One layer, or what a module of several layers does itself.

    Attributes:
        name: its place in the model.
        type: its class.
        output: the shape of its first output, without the batch; None where the layer was not used.
        parameters: its own, each counted where it first occurs.
        activations: bytes of its outputs that are kept for the backward pass of the whole batch.
        operations: of one example, forward: 2 for each multiplication with addition.
        field: how far one element of the output sees along each axis of the input, or, where the output has
            no such axis left, how far all of it sees; None where the input has no axes behind its channels.
        depth: weight layers on the longest way here, this one included.
        calls: how often it is used in one pass.
    """

    name: str
    type: str
    output: tuple[int, ...] | None
    parameters: int
    activations: int
    operations: int
    field: tuple[int, ...] | None
    depth: int | None
    calls: int


@dataclass(frozen=True)
class TrainingMemory:
    """What the tensors of a training step take, in bytes.

    Attributes:
        parameters: with buffers.
        gradients: as large as the parameters that are trained.
        optimizer: its state after the first step; None where that cannot be told beforehand.
        activations: kept for the backward pass.
        batch: the inputs.
        peak: the most at any moment. Activations go while gradients come, and some tensors live but shortly:
            this is not the sum.
    """

    parameters: int
    gradients: int
    optimizer: int | None
    activations: int
    batch: int
    peak: int


@dataclass(frozen=True)
class NetworkSummary:
    """A network in numbers; as text, the table of its layers with totals.

    Attributes:
        name: what it is called.
        input: the shape of one example.
        batch_size: of the training that the memory is of.
        optimizer: of the same.
        layers: in the order of use; those that a pass in evaluation does not use come last.
        parameters: of all, each once.
        trainable: those that take a gradient.
        operations: of one example, forward: 2 for each multiplication with addition.
        depth: weight layers (convolutions and products with a weight matrix) on the longest way.
        field: how far one output sees.
        memory: of a training step.
        notes: what was done otherwise than usual.
    """

    name: str
    input: tuple[tuple[int, ...], ...]
    batch_size: int
    optimizer: str
    layers: tuple[NetworkLayer, ...]
    parameters: int
    trainable: int
    operations: int
    depth: int
    field: tuple[int, ...] | None
    memory: TrainingMemory
    notes: tuple[str, ...] = ()

    def to_plain(self) -> dict[str, Any]:
        """Return all of it as plain lists, numbers and texts."""
        return asdict(self)

    def folded(self, level: int) -> NetworkSummary:
        """Return the summary with the parts of modules below ``level`` names added up.

        Raises:
            ConfigError: level is not an integer of at least 1.
        """
        check_count("summary", "level", level)
        groups: dict[str, list[NetworkLayer]] = {}
        for layer in self.layers:
            groups.setdefault(".".join(layer.name.split(".")[:level]), []).append(layer)
        return replace(self, layers=tuple(_folded(name, group) for name, group in groups.items()))

    def __str__(self) -> str:
        from preceptor.catalogue.calculators._text import as_text

        return as_text(self)


def _folded(name: str, group: Sequence[NetworkLayer]) -> NetworkLayer:
    if len(group) == 1 and group[0].name == name:
        return group[0]
    used = [layer for layer in group if layer.output is not None] or list(group)
    return replace(
        used[-1],
        name=name,
        type=f"{len(group)} layers",
        depth=max((layer.depth for layer in used if layer.depth is not None), default=None),
        **{
            key: sum(getattr(layer, key) for layer in group)
            for key in ("parameters", "activations", "operations")
        },
    )
