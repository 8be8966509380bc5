"""Which tensors are the same tensor, which share memory, and what changed last."""

from __future__ import annotations

import functools
import types
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from preceptor.observation._graph_calls import measure
from preceptor.observation._graph_leaves import Leaf, version_of
from preceptor.observation._graph_scope import Scope
from preceptor.observation.graph import Node, Value

__all__ = ["Cell", "Cells", "Line"]

Line = tuple[str, "types.FrameType | None"]


@dataclass(eq=False, slots=True)
class Alias:
    """Tensors that share memory: a change of one is a change of all."""

    last: Node | None = None
    changes: int = 0


@dataclass(eq=False, slots=True)
class Cell:
    """One tensor object of the program, and its value now."""

    index: int
    ref: weakref.ref[Tensor]
    value: Value
    alias: Alias
    version: int
    storage: int
    seen: int = 0
    leaf: Leaf | None = None
    hold: Tensor | None = None
    handles: list[Any] = field(default_factory=list)

    def tensor(self) -> Tensor | None:
        """Return the tensor while the program still has it."""
        return self.ref()


class Cells:
    """All tensors of a step by identity: made by an operator, held weakly; from outside, held strongly."""

    def __init__(self, scope: Scope, names: Mapping[str, Tensor]) -> None:
        self.scope = scope
        self.values: list[Value] = []
        self.statistics = True
        self.seconds = 0.0  # that measuring gradients has taken
        self._all: list[Cell] = []
        self._by_id: dict[int, Cell] = {}
        self._names = {id(tensor): name for name, tensor in names.items()}
        self._leaves: dict[int, list[Cell]] = {}
        self._gradients: dict[int, weakref.ref[Tensor]] = {}
        self._start = torch._C._autograd._get_sequence_nr()

    def find(self, tensor: Tensor) -> Cell | None:
        """Return the cell of a tensor that has been seen."""
        cell = self._by_id.get(id(tensor))
        return cell if cell is not None and cell.ref() is tensor else None

    def index_of(self, tensor: Tensor) -> int:
        """Return the cell's index of a tensor that has been read."""
        return self._by_id[id(tensor)].index

    def by_index(self, index: int) -> Cell | None:
        """Return a cell by its index."""
        return self._all[index] if 0 <= index < len(self._all) else None

    def read(self, tensor: Tensor, line: Line, name: Callable[[], str]) -> Cell:
        """Return the cell of ``tensor`` as it is now; a change that nobody recorded makes it a new leaf."""
        cell = self.find(tensor)
        version = version_of(tensor)
        if cell is not None and cell.version != version and cell.seen == cell.alias.changes:
            kind = "unseen" if self._grown_here(tensor) else _kept_kind(cell.value)
            return self.add_leaf(tensor, kind, line[0], cell.value.name)
        if cell is None:
            return self.add_leaf(tensor, self._kind(tensor), line[0], self._name(tensor, name))
        cell.version, cell.seen = version, cell.alias.changes
        return cell

    def add_leaf(self, tensor: Tensor, kind: str, where: str, name: str) -> Cell:
        """Take a tensor as one that enters the step here."""
        before = self.find(tensor)
        for handle in before.handles if before is not None else ():
            handle.remove()
        pointer = _storage(tensor)
        sharing = self._leaves.setdefault(pointer, [])
        alias = sharing[0].alias if sharing and pointer else Alias()
        cell = self._add(tensor, kind, where, alias, pointer, None)
        cell.value.name = name or self._names.get(id(tensor), "")
        cell.leaf, cell.hold = Leaf.of(tensor), tensor
        sharing.append(cell)
        self._follow(cell, tensor)
        return cell

    def know_gradient(self, of: Tensor) -> None:
        """The program reads the gradient of ``of``: should that be computed with, it is known as one."""
        gradient = of.grad if of.is_leaf or of.retains_grad else None
        if gradient is not None:
            self._gradients[id(gradient)] = weakref.ref(gradient)

    def make(self, tensor: Tensor, node: Node, inputs: list[Cell], where: str) -> Cell:
        """Take a tensor that ``node`` returned: one of its inputs, a view of one, or a new one."""
        known = self.find(tensor)
        if known is not None:
            return known
        pointer = _storage(tensor)
        sharing = [c.alias for c in inputs if c.storage == pointer and pointer]
        cell = self._add(tensor, "operator", where, sharing[0] if sharing else Alias(), pointer, node)
        self._follow(cell, tensor)
        return cell

    def change(self, cell: Cell, node: Node) -> None:
        """Give a cell a new value, which ``node`` wrote in place."""
        tensor = cell.ref()
        if tensor is None:
            return
        cell.alias.changes += 1
        cell.alias.last = node
        cell.version, cell.seen = version_of(tensor), cell.alias.changes
        cell.storage = _storage(tensor)
        name, key = cell.value.name, cell.value.key
        cell.value = self._value(tensor, "operator", node.where, cell.index, node)
        cell.value.name, cell.value.key = name, key
        self._follow(cell, tensor)

    def knows(self, tensor: Tensor, among: list[Cell]) -> bool:
        """Whether a tensor is one of ``among``, unchanged."""
        cell = self.find(tensor)
        return cell is not None and cell in among

    def adopt(self, tensor: Tensor) -> None:
        """Take a tensor as the same as the last one made in the same memory with the same shape."""
        if self.find(tensor) is not None:
            return
        for cell in reversed(self._all):
            twin = cell.ref()
            if twin is not None and twin.data_ptr() == tensor.data_ptr() and twin.shape == tensor.shape:
                self._by_id[id(tensor)] = cell
                cell.ref, cell.version = weakref.ref(tensor), version_of(tensor)
                return

    def depends(self, inputs: Iterable[Cell]) -> tuple[int, ...]:
        """Return the operators that made these cells' values or changed their memory last."""
        found: set[int] = set()
        for cell in inputs:
            if cell.value.producer is not None:
                found.add(cell.value.producer.index)
            if cell.alias.last is not None:
                found.add(cell.alias.last.index)
        return tuple(sorted(found))

    def keep_sharing(self, tensors: Iterable[Tensor]) -> None:
        """Copy the leaves in the same memory as ``tensors``."""
        if self._leaves:
            for tensor in tensors:
                for cell in self._leaves.get(_storage(tensor), ()):
                    if cell.leaf is not None:
                        cell.leaf.keep()

    def keep_trained(self) -> None:
        """Copy all leaves that require a gradient."""
        for cell in self._all:
            if cell.leaf is not None and cell.leaf.requires_grad:
                cell.leaf.keep()

    def settle(self, needed: set[int], budget: int) -> tuple[dict[int, Leaf], tuple[str, Node | None] | None]:
        """Return the leaves among ``needed`` and let go of everything else; and why they do not suffice."""
        kept: dict[int, Leaf] = {}
        problem: tuple[str, Node | None] | None = None
        for cell in self._all:
            for handle in cell.handles:
                handle.remove()
            if cell.leaf is not None and cell.index in needed:
                cell.leaf.settle()
                kept[cell.index] = cell.leaf
                problem = problem or _problem(cell)
        total = sum(leaf.nbytes for leaf in kept.values())
        if total > budget:
            problem = problem or (
                f"the replay needs {total >> 20} MiB, the budget is {budget >> 20} MiB",
                None,
            )
        if problem is not None:
            kept = {}
        self._all, self._by_id, self._leaves, self._names, self._gradients = [], {}, {}, {}, {}
        return kept, problem

    def _add(
        self, tensor: Tensor, kind: str, where: str, alias: Alias, storage: int, node: Node | None
    ) -> Cell:
        index = len(self._all)
        value = self._value(tensor, kind, where, index, node)
        cell = Cell(index, weakref.ref(tensor), value, alias, version_of(tensor), storage, alias.changes)
        self._all.append(cell)
        self._by_id[id(tensor)] = cell
        return cell

    def _value(self, tensor: Tensor, kind: str, where: str, cell: int, node: Node | None) -> Value:
        value = Value(
            len(self.values),
            kind,
            "",
            tuple(tensor.shape),
            _text(tensor.dtype),
            _text(tensor.device),
            tensor.requires_grad,
            where,
            node,
            cell,
            id(tensor) if node is None else 0,
        )
        self.values.append(value)
        if self.statistics:
            value.raw_statistics = measure(tensor)
        return value

    def _follow(self, cell: Cell, tensor: Tensor) -> None:
        """Measure the gradient of the cell's value now, when a backward pass reaches it."""
        if not self.statistics or not tensor.requires_grad:
            return
        value = cell.value

        def arrived(gradient: Tensor) -> None:
            began = perf_counter()
            try:
                with torch._C.DisableTorchFunction():
                    value.raw_gradient = measure(gradient)
            except Exception:  # noqa: BLE001 the program never sees our errors; the gradient stays unknown
                value.raw_gradient = None
            self.seconds += perf_counter() - began

        cell.handles.append(tensor.register_hook(arrived))

    def _kind(self, tensor: Tensor) -> str:
        if isinstance(tensor, torch.nn.Parameter) or (tensor.is_leaf and tensor.requires_grad):
            return "parameter"
        if self.scope.tensor(tensor)[1]:
            return "buffer"
        known = self._gradients.get(id(tensor))
        if known is not None and known() is tensor:
            return "gradient"
        if tensor.grad_fn is not None:
            return "unseen" if self._grown_here(tensor) else "carried"
        return "input"

    def _grown_here(self, tensor: Tensor) -> bool:
        """Whether autograd made it within the step: then an operator ran that was not recorded."""
        grown = tensor.grad_fn
        return grown is not None and int(grown._sequence_nr()) >= self._start

    def _name(self, tensor: Tensor, name: Callable[[], str]) -> str:
        return self._names.get(id(tensor)) or self.scope.tensor(tensor)[0] or name()


@functools.cache
def _text(kind: torch.dtype | torch.device) -> str:
    return str(kind).replace("torch.", "")


def _kept_kind(value: Value) -> str:
    return value.kind if value.producer is None else "input"


def _storage(tensor: Tensor) -> int:
    try:
        return int(tensor.untyped_storage()._cdata)
    except (RuntimeError, NotImplementedError):
        return 0


def _problem(cell: Cell) -> tuple[str, Node | None] | None:
    value = cell.value
    at = f" at {value.where}" if value.where else ""
    if value.kind == "unseen":
        maker = type(cell.hold.grad_fn).__name__ if cell.hold is not None else "an operator"
        return f"{maker}, read{at}, could not be recorded", value.producer
    if cell.leaf is not None and cell.leaf.lost:
        return f"{value.kind} {value.name} read{at} was changed before it could be kept".replace(
            "  ", " "
        ), None
    return None
