"""A recorded step as a function of its parameters and of its batch: run anew, elsewhere, with edits."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from preceptor.errors import ConfigError, ModelError
from preceptor.observation._graph_calls import Applied, Call, Ref, rebuild, tensors_in
from preceptor.observation.graph import Graph, Node, Value

__all__ = ["Batch", "Edit", "Rerun"]

Edit = Callable[[Callable[..., Any], Any, Any], Any]
"""What runs in the place of an operator: given its function, args and kwargs, it returns the result."""
Batch = dict[int, Tensor]
"""The tensors by cell that one step has and another has not: samples, targets, state from outside."""


class Rerun:
    """The operators between what is learned and the loss of a recorded step.

    What depends neither on a parameter nor on anything drawn after it is computed once: its results, and the
    leaves that the rest reads, are the *batch*. Operators that draw random numbers draw new ones.

    Arguments:
        graph: a recorded step with a loss.

    Attributes:
        nodes: the operators that are run anew, in order.
        batch: what they read from outside, by cell.
        parameters: the leaves that are learned, by cell.
        predictions: what the loss function, or the code around the modules, is given.

    Raises:
        ConfigError: the step has no loss.
        ModelError: what a replay needs was not kept.

    Example:
        >>> from preceptor.observation.capture import capture
        >>> w = torch.tensor(2.0, requires_grad=True)
        >>> with capture(names={"w": w}) as captured:
        ...     (w * torch.ones(3).sum()).square().backward()
        >>> rerun = Rerun(captured.graph)
        >>> [node.op for node in rerun.nodes], rerun.run({}, rerun.batch).item()
        (['mul', 'square'], 36.0)
        >>> rerun.run({cell: torch.tensor(1.0) for cell in rerun.parameters}, rerun.batch).item()
        9.0
    """

    def __init__(self, graph: Graph) -> None:
        loss = graph.loss
        if loss is None:
            raise ConfigError("the graph has no loss", expected="a step in which backward was called")
        if graph.broken is not None:
            raise ModelError("the graph cannot be replayed", received=graph.broken[0])
        self.graph, self.loss = graph, loss
        nodes = graph.slice(loss)
        learned = _learned(nodes, graph.leaves)
        self.nodes = [node for node in nodes if learned & {v.cell for v in (*node.inputs, *node.outputs)}]
        self._calls = [(node.index, _call(node)) for node in self.nodes]
        self._written = {value.cell for node in self.nodes for value in node.mutates}
        read = {value.cell for node in self.nodes for value in node.inputs} | {loss.cell}
        made = {cell for _, call in self._calls for cell in call.outputs}
        self.parameters: dict[int, Value] = {
            value.cell: value for value in graph.parameters if value.cell in read
        }
        self.batch = self._frontier(nodes, read - made - set(self.parameters))
        self.signature = tuple(
            (node.op, node.module, call.outputs, _shape_of(call))
            for node, (_, call) in zip(self.nodes, self._calls, strict=True)
        )

    def _frontier(self, nodes: list[Node], cells: set[int]) -> Batch:
        """Run what comes before anything learned, as it ran; return the tensors of ``cells``."""
        kept = {node.index for node in self.nodes}
        early = [node for node in nodes if node.index not in kept]
        with undisturbed(), torch._C.DisableTorchFunction(), torch.no_grad():
            environment: Batch = {}
            for cell in {v.cell for node in early for v in node.inputs} | cells:
                leaf = self.graph.stored.get(cell)
                if leaf is None:
                    continue
                if leaf.tensor is None or leaf.lost:
                    raise ModelError("a tensor of the step was changed since")
                environment[cell] = leaf.tensor.detach()
            written = {value.cell for node in early for value in node.mutates}
            environment.update({c: environment[c].clone() for c in written if c in environment})
            for node in early:
                call = _call(node)
                for generator, state in call.generators:
                    generator.set_state(state)
                _make(call, environment, None)
        missing = cells - set(environment)
        if missing:
            raise ModelError("what the step read was not kept", received=f"{len(missing)} tensors")
        return {cell: environment[cell] for cell in cells}

    def initial(self) -> dict[int, Tensor]:
        """Return copies of the parameters as they were before the step, by cell."""
        found = {}
        for cell in self.parameters:
            leaf = self.graph.stored[cell]
            if leaf.tensor is None or leaf.lost:
                raise ModelError("a parameter of the step was changed since")
            found[cell] = leaf.tensor.detach().clone()
        return found

    def run(
        self,
        parameters: Mapping[int, Tensor],
        batch: Mapping[int, Tensor],
        *,
        edits: Mapping[int, Edit] | None = None,
        environment: dict[int, Tensor] | None = None,
    ) -> Tensor:
        """Compute the loss, attached to a graph of its own.

        Arguments:
            parameters: tensors in the place of those recorded, by cell; others stay as they were.
            batch: see `Batch`.
            edits: by a node's index, what runs in its place.
            environment: filled with every tensor by cell, where given.
        """
        cells = {} if environment is None else environment
        with torch._C.DisableTorchFunction():
            for cell in self.parameters:
                cells[cell] = parameters[cell] if cell in parameters else self._recorded(cell)
            for cell, tensor in batch.items():
                cells[cell] = tensor.clone() if cell in self._written else tensor
            for index, call in self._calls:
                _make(call, cells, None if edits is None else edits.get(index))
        return cells[self.loss.cell]

    def _recorded(self, cell: int) -> Tensor:
        tensor = self.graph.stored[cell].tensor
        if tensor is None:
            raise ModelError("a parameter of the step was not kept")
        return tensor.detach()


def _learned(nodes: Iterable[Node], leaves: Iterable[Value]) -> set[int]:
    """The cells that depend on a leaf which is, or could be, learned."""
    found = {value.cell for value in leaves if value.kind == "parameter"}
    for node in nodes:
        if any(value.cell in found for value in node.inputs):
            found |= {value.cell for value in (*node.outputs, *node.mutates)}
    return found


def _call(node: Node) -> Call:
    if node.call is None:
        raise ModelError(f"{node.op} was not kept for a replay")
    return node.call


def _make(call: Call, cells: dict[int, Tensor], edit: Edit | None) -> None:
    args, kwargs = (
        rebuild(tree, lambda leaf: cells[leaf.cell] if isinstance(leaf, Ref) else leaf)
        for tree in (call.args, call.kwargs)
    )
    with _conditions(call):
        result = call.func(*args, **kwargs) if edit is None else edit(call.func, args, kwargs)
    cells.update(zip(call.outputs, tensors_in(result), strict=True))


@contextlib.contextmanager
def _conditions(call: Call) -> Iterator[None]:
    if call.grad and not call.autocast and not isinstance(call.func, Applied):
        yield
        return
    with contextlib.ExitStack() as stack:
        if not call.grad:
            stack.enter_context(torch.no_grad())
        for device, dtype in call.autocast:
            stack.enter_context(torch.autocast(device, dtype=dtype, cache_enabled=False))
        if isinstance(call.func, Applied):  # the program's own code: what it prints was printed before
            stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        yield


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Put torch's random generators back at the end, and keep warnings to ourselves."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices=devices), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _shape_of(call: Call) -> str:
    """The arguments of a call without its tensors, as text that equal calls share."""
    return repr(
        rebuild((call.args, call.kwargs), lambda leaf: leaf.cell if isinstance(leaf, Ref) else _brief(leaf))
    )


def _brief(leaf: Any) -> Any:
    return leaf if isinstance(leaf, (bool, int, float, str, type(None))) else type(leaf).__name__
