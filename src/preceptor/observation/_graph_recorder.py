"""What happens before and after each operator of a recorded step."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from preceptor.observation import _graph_calls as calls
from preceptor.observation._graph_calls import Call, Ref
from preceptor.observation._graph_cells import Cell, Cells
from preceptor.observation._graph_frames import name_in_frame, user_line
from preceptor.observation._graph_leaves import duplicate, version_of
from preceptor.observation._graph_scope import Scope
from preceptor.observation.graph import Graph, Node, Value

__all__ = ["Pending", "Recorder"]


@dataclass
class Pending:
    """A call that has been read and has not returned yet."""

    name: str
    call: Call
    inputs: list[Cell]
    versions: list[tuple[Cell, Tensor, int]]
    named: set[int]
    frame: types.FrameType | None
    random: list[tuple[torch.Generator, Tensor]]
    from_python: tuple[int, ...]


class Recorder:
    """Builds a `Graph` from the calls that a `Capture` reports, itself unrecorded and without gradient."""

    def __init__(
        self,
        scope: Scope,
        *,
        names: Mapping[str, Tensor],
        budget: int,
        limit: int,
        statistics: bool,
        gradless: bool,
    ) -> None:
        self.scope, self.budget, self.limit, self.gradless = scope, budget, limit, gradless
        self.cells = Cells(scope, names)
        self.nodes: list[Node] = []
        self.losses: list[Value] = []
        self.loss_bits: dict[int, Tensor] = {}
        self.stopped = False
        self.backward = False
        self.grad = True
        self.cells.statistics = statistics and torch._C._len_torch_dispatch_stack() == 0
        self._broken: tuple[str, Node | None] | None = None
        self._escaped: dict[int, Node] = {}
        self._state: Tensor | None = None

    def break_off(self, reason: str) -> None:
        """Stop recording; the graph says why it cannot be replayed."""
        self.stopped = True
        if self._broken is None:
            self._broken = (reason, None)

    def before(
        self, func: Callable[..., Any], args: Any, kwargs: Any, frame: types.FrameType | None, name: str = ""
    ) -> Pending | None:
        """Read a call's arguments before it runs; None if it is not to be recorded."""
        name = name or calls.op_name(func)
        if torch._C._functorch.peek_interpreter_stack() is not None:
            return None
        if name == calls.BACKWARD:
            self._start_backward(args, kwargs, frame)
            return None
        if name in calls.IGNORED or (calls.is_getter(func) and name not in calls.GETTERS):
            return None
        tensors = list(calls.tensors_in([args, kwargs]))
        if not (self.grad or self.gradless or self.scope.descending) or (
            not tensors and name.startswith("_")
        ):
            self.keep_before_change(calls.changed_by_name(name, args, kwargs))
            return None
        if len(self.nodes) >= self.limit:
            self.break_off(f"more than {self.limit} operators in one step")
            return None
        line = self._line(frame)
        inputs = [self.cells.read(t, line, functools.partial(name_in_frame, line[1], t)) for t in tensors]
        changed = calls.changed_by_name(name, args, kwargs)
        self.keep_before_change(changed)
        named = {id(t) for t in changed} if name in calls.METADATA else set()
        from_python: list[int] = []
        leaf = self._leaf_writer(from_python)
        call = Call(func, calls.rebuild(args, leaf), calls.rebuild(kwargs, leaf), autocast=_autocast(tensors))
        call.grad = self.grad or self.scope.descending > 0
        versions = [(cell, t, version_of(t)) for cell, t in zip(inputs, tensors, strict=True)]
        return Pending(
            name,
            call,
            inputs,
            versions,
            named,
            frame,
            self._generators(tensors, kwargs),
            tuple(dict.fromkeys(from_python)),
        )

    def after(self, pending: Pending, result: Any) -> None:
        """Write down what a call made and changed."""
        outputs = list(calls.tensors_in(result))
        changed = [
            (cell, tensor)
            for cell, tensor, version in pending.versions
            if version_of(tensor) != version or id(tensor) in pending.named
        ]
        random = _moved(pending.random, outputs)
        if not outputs and not changed and pending.name not in calls.ESCAPES:
            return
        line = self._line(pending.frame)
        if self._enters(pending, outputs, changed):
            for tensor in outputs:
                kind = {"grad": "gradient"}.get(pending.name, "constant" if not pending.inputs else "input")
                self.cells.add_leaf(tensor, kind, line[0], "")
            return
        if outputs and not changed and all(self.cells.knows(t, pending.inputs) for t in outputs):
            return  # an operator that had nothing to do and returned what it was given
        node = self._node(pending, line[0], result, random)
        made = [self.cells.make(t, node, pending.inputs, line[0]) for t in outputs]
        for cell, _ in {id(t): (c, t) for c, t in changed}.values():
            self.cells.change(cell, node)
        pending.call.outputs = tuple(cell.index for cell in made)
        node.outputs = tuple(dict.fromkeys(cell.value for cell in [*made, *(c for c, _ in changed)]))
        node.mutates = tuple(dict.fromkeys(cell.value for cell, _ in changed))

    def adopt(self, result: Any) -> None:
        """Take what a Function returned as what the operators that it called made."""
        for tensor in calls.tensors_in(result):
            self.cells.adopt(tensor)

    def keep_before_change(self, tensors: list[Tensor]) -> None:
        """Copy the leaves that share memory with ``tensors``, which are about to change."""
        self.cells.keep_sharing(tensors)

    def keep_all(self) -> None:
        """Copy every leaf that is trained."""
        self.cells.keep_trained()

    def finish(self) -> Graph:
        """Let go of what no loss needs, and return the graph."""
        if not self.losses:
            self._guess_loss()
        graph = Graph(
            self.nodes,
            self.cells.values,
            self.losses,
            loss_bits=self.loss_bits,
            module_parameters=self.scope.parameters,
            backward=self.backward,
            broken=self._broken,
        )
        needed: set[int] = set()
        for loss in self.losses:
            needed |= {node.index for node in graph.slice(loss)}
        for node in self.nodes:
            if node.index not in needed:
                node.call = None
        cells = {value.cell for i in needed for value in self.nodes[i].inputs}
        cells |= {loss.cell for loss in self.losses if loss.producer is None}
        graph.stored, problem = self.cells.settle(cells, self.budget)
        graph.broken = graph.broken or problem
        return graph

    def _line(self, frame: types.FrameType | None) -> tuple[str, types.FrameType | None]:
        return user_line(frame)

    def _leaf_writer(self, from_python: list[int]) -> Callable[[Any], Any]:
        def write(item: Any) -> Any:
            if isinstance(item, Tensor):
                return Ref(self.cells.index_of(item))
            if isinstance(item, float) and id(item) in self._escaped:
                from_python.append(self._escaped[id(item)].index)
            return item

        return write

    def _generators(self, tensors: list[Tensor], kwargs: Any) -> list[tuple[torch.Generator, Tensor]]:
        state = torch.default_generator.get_state()
        if self._state is not None and torch.equal(state, self._state):
            state = self._state  # one copy for all operators between two draws
        self._state = state
        found = [(torch.default_generator, state)]
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            devices = range(len(torch.cuda.default_generators))
            found += [(g, g.get_state()) for g in (torch.cuda.default_generators[i] for i in devices)]
        given = kwargs.get("generator")
        if isinstance(given, torch.Generator):
            found.append((given, given.get_state()))
        return found

    def _enters(self, pending: Pending, outputs: list[Tensor], changed: list[Any]) -> bool:
        """Whether what came out is to be taken as it is: foreign memory, or a batch cut from outside data."""
        if changed or not outputs:
            return False
        if pending.name in calls.CONSTANTS or (pending.name == "grad" and calls.is_getter(pending.call.func)):
            return True
        return (
            pending.name in calls.INDEXING
            and not self.scope.stack
            and all(
                c.value.kind in ("input", "constant") and not c.value.requires_grad for c in pending.inputs
            )
        )

    def _node(self, pending: Pending, where: str, result: Any, random: list[Any]) -> Node:
        module, module_type = self.scope.where()
        call = pending.call
        call.generators = random
        node = Node(
            len(self.nodes),
            pending.name,
            module,
            module_type,
            where,
            tuple(dict.fromkeys(cell.value for cell in pending.inputs)),
            depends=self.cells.depends(pending.inputs),
            options=calls.options_of(call.args, call.kwargs),
            random=bool(random),
            escapes=pending.name in calls.ESCAPES and not any(True for _ in calls.tensors_in(result)),
            from_python=pending.from_python,
            call=call,
        )
        if node.escapes and isinstance(result, (float, int, bool)):
            node.escaped = result
            if isinstance(result, float):
                self._escaped[id(result)] = node
        self.nodes.append(node)
        return node

    def _start_backward(self, args: Any, kwargs: Any, frame: types.FrameType | None) -> None:
        roots = args[0] if args else kwargs.get("tensors")
        line = self._line(frame)
        self.backward = True
        for root in calls.tensors_in(roots):
            value = self.cells.read(root, line, lambda: "").value
            if value not in self.losses:
                self.losses.append(value)
                self.loss_bits[value.index] = duplicate(root)

    def _guess_loss(self) -> None:
        for node in reversed(self.nodes):
            for value in node.outputs:
                cell = self.cells.by_index(value.cell)
                tensor = cell.tensor() if cell is not None else None
                if value.shape == () and value.dtype.startswith(("float", "bfloat")) and tensor is not None:
                    self.losses.append(value)
                    self.loss_bits[value.index] = duplicate(tensor)
                    return


def _autocast(tensors: list[Tensor]) -> tuple[tuple[str, torch.dtype], ...]:
    kinds = {"cpu", *(t.device.type for t in tensors)}
    known = sorted(kinds & {"cpu", "cuda"})
    return tuple((kind, torch.get_autocast_dtype(kind)) for kind in known if torch.is_autocast_enabled(kind))


def _moved(
    states: list[tuple[torch.Generator, Tensor]], outputs: list[Tensor]
) -> list[tuple[torch.Generator, Tensor]]:
    return [(g, state) for g, state in states if outputs and not torch.equal(g.get_state(), state)]
