"""What a watch keeps for trials: graphs of many steps with their batches, and the optimizers' settings."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from preceptor.observation.graph import Graph

__all__ = ["Kept", "Settings"]

_FIRST = 24  # steps that are kept in any case, from the beginning on
_SHARE = 0.25  # of the program's time that keeping more of them may take
_MEMORY = 192 << 20


@dataclass
class Settings:
    """How an optimizer was built: its class, and for each group its options and its parameters' identities.

    Attributes:
        kind: the class.
        groups: options of each group, parameters left out.
        keys: identities of each group's parameters, as in `Value.key`.
        fresh: whether it had not stepped before.
    """

    kind: type
    groups: list[dict[str, Any]]
    keys: list[list[int]]
    fresh: bool = True

    @classmethod
    def of(cls, optimizer: Any) -> Settings:
        """Read them off an optimizer."""
        groups = [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
        keys = [[id(p) for p in g["params"]] for g in optimizer.param_groups]
        return cls(type(optimizer), groups, keys, not optimizer.state)


@dataclass
class Kept:
    """Steps of a training that can be run anew after it has ended.

    Arguments:
        most: how many steps are kept at most.
        memory: bytes that their batches may take together.

    Attributes:
        graphs: by step.
        optimizers: settings before the first step that was seen, by the optimizer's identity.
    """

    most: int = 64
    memory: int = _MEMORY
    graphs: dict[int, Graph] = field(default_factory=dict)
    optimizers: dict[int, Settings] = field(default_factory=dict)
    seconds: float = 0.0
    _bytes: int = 0

    def wants(self, step: int, elapsed: float) -> bool:
        """Whether a step is to be recorded, ``elapsed`` seconds after the first one."""
        if len(self.graphs) >= self.most or self._bytes >= self.memory:
            return False
        return step < _FIRST or self.seconds <= _SHARE * elapsed

    def add(self, step: int, graph: Graph, seconds: float) -> None:
        """Keep a graph that took so long to record; of all but the first no parameters are kept."""
        self.seconds += seconds
        if graph.broken is not None or graph.loss is None:
            return
        if self.graphs:
            trained = {value.cell for value in graph.parameters}
            graph = copy.copy(graph)
            graph.stored = {cell: leaf for cell, leaf in graph.stored.items() if cell not in trained}
        self._bytes += sum(leaf.nbytes for leaf in graph.stored.values())
        self.graphs[step] = graph

    def meets(self, optimizer: Any) -> None:
        """An optimizer is about to step."""
        if id(optimizer) not in self.optimizers:
            self.optimizers[id(optimizer)] = Settings.of(optimizer)
