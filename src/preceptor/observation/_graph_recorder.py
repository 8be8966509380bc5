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
from preceptor.observation._graph_cells import Cell, Cells, Line
from preceptor.observation._graph_frames import name_in_frame, user_line
from preceptor.observation._graph_leaves import duplicate, version_of
from preceptor.observation._graph_scope import Scope
from preceptor.observation.graph import Graph, Node, Value

__all__ = ["Pending", "Recorder"]


@dataclass(slots=True)
class Pending:
    """A call that has been read and has not returned yet."""

    name: str
    call: Call
    tensors: list[Tensor]
    inputs: list[Cell]
    named: set[int]
    line: Line
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

    def break_off(self, reason: str) -> None:
        """Stop recording; the graph says why it cannot be replayed."""
        self.stopped = True
        if self._broken is None:
            self._broken = (reason, None)

    def before(
        self, name: str, func: Callable[..., Any], args: Any, kwargs: Any, frame: types.FrameType | None
    ) -> Pending | None:
        """Read a call's arguments before it runs; None if it is not to be recorded."""
        if torch._C._functorch.peek_interpreter_stack() is not None:
            return None
        if name == calls.BACKWARD:
            self._start_backward(args, kwargs, frame)
            return None
        if name == "grad" and calls.is_getter(func):
            self.cells.know_gradient(args[0])
            return None
        tensors = calls.tensors_in((args, kwargs))
        if not (self.grad or self.gradless or self.scope.descending) or (
            not tensors and name.startswith("_")
        ):
            self.keep_before_change(calls.changed_by_name(name, args, kwargs))
            return None
        if len(self.nodes) >= self.limit:
            self.break_off(f"more than {self.limit} operators in one step")
            return None
        line = user_line(frame)
        inputs = [self.cells.read(t, line, functools.partial(name_in_frame, line[1], t)) for t in tensors]
        changed = calls.changed_by_name(name, args, kwargs)
        if changed:
            self.keep_before_change(changed)
        named = {id(t) for t in changed} if name in calls.METADATA else set()
        drawless = name in calls.DRAWLESS and not isinstance(func, types.MethodType)
        from_python: list[int] = []
        leaf = self._leaf_writer(from_python)
        call = Call(
            func,
            calls.rebuild(args, leaf),
            calls.rebuild(kwargs, leaf) if kwargs else {},
            autocast=_autocast(tensors),
        )
        call.grad = self.grad or self.scope.descending > 0
        return Pending(
            name,
            call,
            tensors,
            inputs,
            named,
            line,
            [] if drawless else self._generators(kwargs),
            tuple(dict.fromkeys(from_python)) if from_python else (),
        )

    def after(self, pending: Pending, result: Any) -> None:
        """Write down what a call made and changed."""
        outputs = calls.tensors_in(result)
        changed = [
            (cell, tensor)
            for cell, tensor in zip(pending.inputs, pending.tensors, strict=True)
            if version_of(tensor) != cell.version or id(tensor) in pending.named
        ]
        random = _moved(pending.random) if outputs else []
        if not outputs and not changed and pending.name not in calls.ESCAPES:
            return
        line = pending.line
        if self._enters(pending, outputs, changed):
            for tensor in outputs:
                self.cells.add_leaf(tensor, "input" if pending.inputs else "constant", line[0], "")
            return
        if outputs and not changed and all(self.cells.knows(t, pending.inputs) for t in outputs):
            return  # an operator that had nothing to do and returned what it was given
        node = self._node(pending, line[0], result, random)
        made = [self.cells.make(t, node, pending.inputs, line[0]) for t in outputs]
        for cell in {id(t): c for c, t in changed}.values():
            self.cells.change(cell, node)
        pending.call.outputs = tuple([cell.index for cell in made])
        node.mutates = tuple(dict.fromkeys([cell.value for cell, _ in changed]))
        node.outputs = tuple(dict.fromkeys([*(cell.value for cell in made), *node.mutates]))

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
            module_parameters=self.scope.ran.values(),
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

    def given_up(self) -> Graph:
        """Return a graph of nothing that says why."""
        return Graph([], [], [], broken=self._broken)

    def _leaf_writer(self, from_python: list[int]) -> Callable[[Any], Any]:
        def write(item: Any) -> Any:
            if isinstance(item, Tensor):
                return Ref(self.cells.index_of(item))
            if isinstance(item, float) and id(item) in self._escaped:
                from_python.append(self._escaped[id(item)].index)
            return item

        return write

    def _generators(self, kwargs: Any) -> list[tuple[torch.Generator, Tensor]]:
        found = [(torch.default_generator, torch.default_generator.get_state())]
        if torch.cuda.is_initialized():
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
        if pending.name in calls.CONSTANTS:
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
            tuple(dict.fromkeys([cell.value for cell in pending.inputs])),
            depends=self.cells.depends(pending.inputs),
            options=calls.options_of(call.args, call.kwargs),
            random=bool(random),
            escapes=pending.name in calls.ESCAPES and not calls.tensors_in(result),
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
        line = user_line(frame)
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
    on = [kind for kind in ("cpu", "cuda") if torch.is_autocast_enabled(kind)]
    if not on:
        return ()
    kinds = {"cpu", *(t.device.type for t in tensors)}
    return tuple((kind, torch.get_autocast_dtype(kind)) for kind in on if kind in kinds)


def _moved(states: list[tuple[torch.Generator, Tensor]]) -> list[tuple[torch.Generator, Tensor]]:
    return [(g, state) for g, state in states if not torch.equal(g.get_state(), state)]
