"""Running a recorded step again, to the last bit."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from preceptor.errors import ConfigError, ModelError
from preceptor.observation._graph_calls import Applied, Call, Ref, measure, rebuild, same_bits, tensors_in
from preceptor.observation._graph_leaves import Leaf
from preceptor.observation.graph import Graph, Node, Value

__all__ = ["Check", "check", "replay"]

Observer = Callable[[Node, dict[int, Tensor]], None]


@dataclass(frozen=True)
class Check:
    """Whether a replay gave every loss to the last bit; if not, the first operator that differs, and why."""

    exact: bool
    reason: str = ""
    node: Node | None = None


def replay(
    graph: Graph,
    loss: Value | None = None,
    *,
    overrides: Mapping[Value, Tensor] | None = None,
    observe: Observer | None = None,
) -> Tensor:
    """Run the operators that matter for ``loss`` again, from the values that entered the step.

    Every operator runs with the generator state, precision and gradient mode that it had. Generators are
    put back afterwards, and nothing of the program is changed. The result is attached to a graph of its own:
    its ``backward`` fills the gradients of ``overrides`` that require them.

    Arguments:
        graph: a step that `capture` recorded.
        loss: which of ``graph.losses``; default the last.
        overrides: other tensors in the place of leaves: changed parameters, other batches.
        observe: called after each operator with it and the tensors by cell.

    Raises:
        ModelError: if what the replay needs was not kept.

    Example:
        >>> from preceptor.observation.capture import capture
        >>> w = torch.tensor(2.0, requires_grad=True)
        >>> with capture(names={"w": w}) as captured:
        ...     (w * 3).square().backward()
        >>> replay(captured.graph).item()
        36.0
        >>> replay(captured.graph, overrides={captured.graph.leaves[0]: torch.tensor(1.0)}).item()
        9.0
    """
    target = loss or graph.loss
    if target is None:
        raise ConfigError("the graph has no loss", expected="a step in which backward was called")
    if graph.broken is not None:
        raise ModelError("the graph cannot be replayed", received=graph.broken[0])
    nodes = graph.slice(target)
    given = {value.cell: tensor for value, tensor in (overrides or {}).items()}
    written = {value.cell for node in nodes for value in node.mutates}
    cells = {value.cell for node in nodes for value in node.inputs} | {target.cell}
    with _undisturbed(nodes), torch._C.DisableTorchFunction():
        environment = {
            cell: given[cell] if cell in given else _fresh(leaf, cell in written)
            for cell, leaf in graph.stored.items()
            if cell in cells
        }
        _run(nodes, environment, observe)
    return environment[target.cell]


def check(graph: Graph) -> Check:
    """Replay each loss once and compare it, bit by bit, with the recorded one.

    Where they differ, the first operator whose values have other statistics is named.
    """
    if graph.broken is not None:
        return Check(False, graph.broken[0], graph.broken[1])
    if not graph.losses:
        return Check(False, "no loss: backward was not called within the step")
    for loss in graph.losses:
        found = _check_one(graph, loss)
        if not found.exact:
            return found
    return Check(True)


def _check_one(graph: Graph, loss: Value) -> Check:
    differing: list[Node] = []
    reached: list[Node] = []

    def observe(node: Node, environment: dict[int, Tensor]) -> None:
        reached.append(node)
        if not differing and any(_differs(value, environment.get(value.cell)) for value in node.outputs):
            differing.append(node)

    try:
        result = replay(graph, loss, observe=observe)
    except Exception as error:  # noqa: BLE001 whatever fails says that the replay is not exact
        nodes = graph.slice(loss)
        failed = nodes[len(reached)] if len(reached) < len(nodes) else None
        return Check(False, f"{_place(failed)} failed: {type(error).__name__}: {error}".strip(), failed)
    if same_bits(result, graph.loss_bits[loss.index]):
        return Check(True)
    culprit = differing[0] if differing else loss.producer
    return Check(False, f"{_place(culprit)} gave another value", culprit)


def _differs(value: Value, tensor: Tensor | None) -> bool:
    recorded = value.raw_statistics
    if recorded is None or tensor is None:
        return False
    with torch.no_grad():
        now = measure(tensor)
    kept = recorded if isinstance(recorded, Tensor) else torch.tensor(recorded, dtype=torch.float64)
    if now is None or (not isinstance(recorded, Tensor) and now.dtype != torch.float64):
        return now is not None and not same_bits(now.double(), kept.to(now.device))
    return not same_bits(now, kept)


def _place(node: Node | None) -> str:
    if node is None:
        return "an operator"
    return (
        node.op + (f" in {node.module}" if node.module else "") + (f" at {node.where}" if node.where else "")
    )


def _fresh(leaf: Leaf, written: bool) -> Tensor:
    """Return a leaf of the replay: its own memory where it is written to or trained."""
    if leaf.tensor is None or leaf.lost:
        raise ModelError("a tensor of the step was changed since", hint="replay before the program goes on")
    tensor = leaf.tensor.detach()
    if written or leaf.requires_grad:
        tensor = tensor.clone()
    tensor.requires_grad_(leaf.requires_grad)
    return tensor.clone() if leaf.requires_grad and leaf.grown and written else tensor


def _run(nodes: list[Node], environment: dict[int, Tensor], observe: Observer | None) -> None:
    for node in nodes:
        call = node.call
        if call is None:
            raise ModelError(f"{node.op} was not kept for a replay")
        for generator, state in call.generators:
            generator.set_state(state)
        args, kwargs = (
            rebuild(tree, lambda leaf: _filled(leaf, environment)) for tree in (call.args, call.kwargs)
        )
        with _conditions(call):
            result = call.func(*args, **kwargs)
        environment.update(zip(call.outputs, tensors_in(result), strict=True))
        if observe is not None:
            observe(node, environment)


def _filled(leaf: Any, environment: dict[int, Tensor]) -> Any:
    return environment[leaf.cell] if isinstance(leaf, Ref) else leaf


@contextlib.contextmanager
def _conditions(call: Call) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.set_grad_enabled(call.grad))
        for device, dtype in call.autocast:
            stack.enter_context(torch.autocast(device, dtype=dtype, cache_enabled=False))
        if isinstance(call.func, Applied):  # the program's own code: what it prints was printed before
            stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        yield


@contextlib.contextmanager
def _undisturbed(nodes: list[Node]) -> Iterator[None]:
    """Put every random generator back, and keep warnings that the program has had already to ourselves."""
    used = {g for node in nodes if node.call is not None for g, _ in node.call.generators}
    states = [(g, g.get_state()) for g in {torch.default_generator, *used}]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for generator, state in states:
            generator.set_state(state)
