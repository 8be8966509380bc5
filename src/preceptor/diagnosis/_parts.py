"""A model's parts as rules ask for them: its layers, and the parameters that stand apart."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from preceptor.diagnosis.case import Case

__all__ = ["Apart", "Layer", "Parts", "parts_of", "settled", "share_drawn"]


@dataclass(frozen=True)
class Layer:
    """A module with parameters of its own.

    Attributes:
        name, kind, owner: its path, its class, and the class around it.
        own: whether that class is the program's own.
        shape: of its first parameter.
        size: number of its elements.
        called: at how many looks it was called.
        most: how often within one call of the outermost module.
        gradless: at how many looks it recorded no gradient.
        registered: whether it is a submodule of what was called.
    """

    name: str
    kind: str
    owner: str
    own: bool
    shape: tuple[int, ...]
    size: int
    called: int
    most: int
    gradless: int
    registered: bool

    @property
    def parent(self) -> str:
        """The path of what it stands in."""
        return self.name.rpartition(".")[0]

    @property
    def label(self) -> str:
        """Path and class in one."""
        return f"{self.name} ({self.kind})" if self.name and self.name != self.kind else self.kind


@dataclass(frozen=True)
class Apart:
    """A parameter that is frozen, or that no gradient has reached, or that no optimizer holds.

    Attributes: as in `preceptor.observation.probes._apart.Apart`.
    """

    name: str
    module: str
    kind: str
    shape: tuple[int, ...]
    trainable: bool
    held: int | None
    reached: bool
    changed: bool
    drawn: str | None

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Parts:
    """All that is known of a run's models.

    Attributes:
        looks: how many training steps were looked at.
        steady: whether the same modules were called at all of them.
        repeated: one module that stands several times in one container, as plain rows.
    """

    looks: int
    steady: bool
    layers: tuple[Layer, ...]
    apart: tuple[Apart, ...]
    repeated: tuple[dict[str, Any], ...]

    def layer(self, name: str) -> Layer | None:
        """Return the layer of a name."""
        return next((layer for layer in self.layers if layer.name == name), None)

    @property
    def size(self) -> int:
        """Number of elements of all layers."""
        return sum(layer.size for layer in self.layers)


def parts_of(case: Case) -> Parts:
    """Return what a watch noted of a run's models; empty where it noted nothing."""
    facts = case.facts.get("parts", {})
    return Parts(
        int(facts.get("looks", 0)),
        bool(facts.get("steady", False)),
        tuple(_layer(row) for row in facts.get("modules", [])),
        tuple(_apart(row) for row in facts.get("parameters", [])),
        tuple(facts.get("repeated", [])),
    )


def settled(case: Case) -> bool:
    """Whether every optimizer has made two steps: before that, not all losses have been seen."""
    return bool(case.optimizers) and all(
        (optimizer.get("gradients") or {}).get("steps", 0) >= 2 for optimizer in case.optimizers
    )


def share_drawn(rows: Iterable[Apart]) -> float | None:
    """Return the share of elements that look drawn at random, of the parameters that were measured.

    None where none was large enough to tell.
    """
    measured = [row for row in rows if row.drawn is not None]
    total = sum(row.size for row in measured)
    return sum(row.size for row in measured if row.drawn) / total if total else None


def _layer(row: dict[str, Any]) -> Layer:
    return Layer(
        row["name"],
        row["class"],
        row["owner"],
        bool(row["own"]),
        tuple(row["shape"]),
        int(row["parameters"]),
        int(row["called"]),
        int(row["most"]),
        int(row["gradless"]),
        bool(row["registered"]),
    )


def _apart(row: dict[str, Any]) -> Apart:
    return Apart(
        row["name"],
        row["module"],
        row["class"],
        tuple(row["shape"]),
        bool(row["trainable"]),
        row["held"],
        bool(row["reached"]),
        bool(row["changed"]),
        row["drawn"],
    )
