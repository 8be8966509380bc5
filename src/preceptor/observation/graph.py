"""The computational graph of one real step: operators, tensors, and what rules may ask of them."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor

from preceptor.errors import ConfigError

if TYPE_CHECKING:
    from preceptor.observation._graph_calls import Call
    from preceptor.observation._graph_leaves import Leaf
    from preceptor.observation.replay import Check

__all__ = ["Graph", "Node", "Parameter", "Statistics", "Value"]


class Statistics(NamedTuple):
    """Minimum, maximum, mean and standard deviation of a tensor's elements, as Python floats.

    Example:
        >>> Statistics(-1.0, 1.0, 0.0, 1.0).finite
        True
    """

    minimum: float
    maximum: float
    mean: float
    std: float

    @property
    def finite(self) -> bool:
        """Whether every element is finite: minimum and maximum are, and neither is NaN."""
        return abs(self.minimum) < float("inf") and abs(self.maximum) < float("inf")


class Parameter(NamedTuple):
    """One parameter of a module that ran, whether or not the step used it."""

    name: str
    shape: tuple[int, ...]
    trainable: bool
    key: int


@dataclass(eq=False, slots=True)
class Value:
    """One tensor at one moment: an edge of the graph.

    Arguments:
        index: place in ``graph.values``.
        kind: "operator" for what an operator made; else where it came from: "parameter", "buffer", "input",
            "constant", "carried" (made by an operator before the step), "gradient", "unseen" (made within the
            step by something that could not be recorded).
        name: the parameter's or variable's name where one is known, else "".
        producer: the operator that made it, or that changed it last; None for what entered the step.
        where: the user's line that made it, or that read it first, as "train.py:41".
    """

    index: int
    kind: str
    name: str
    shape: tuple[int, ...]
    dtype: str
    device: str
    requires_grad: bool
    where: str
    producer: Node | None = None
    cell: int = -1
    key: int = 0
    raw_statistics: Tensor | Statistics | None = field(default=None, repr=False)
    raw_gradient: Tensor | Statistics | None = field(default=None, repr=False)

    @property
    def statistics(self) -> Statistics | None:
        """Statistics of the elements when the operator had just run; None for empty or unusual tensors."""
        self.raw_statistics = _fetched(self.raw_statistics)
        return self.raw_statistics

    @property
    def gradient(self) -> Statistics | None:
        """Statistics of the gradient with respect to it; None where no backward pass reached it."""
        self.raw_gradient = _fetched(self.raw_gradient)
        return self.raw_gradient

    @property
    def label(self) -> str:
        """The name, or the kind and index."""
        return self.name or (f"%{self.index}" if self.kind == "operator" else f"{self.kind} {self.index}")

    def __repr__(self) -> str:
        return f"Value({self.label}, {self.dtype}{list(self.shape)})"


@dataclass(eq=False, slots=True)
class Node:
    """One operator that ran.

    Arguments:
        index: place in ``graph.nodes``, the order of execution.
        op: the operator's name as in torch, without the underscores of protocols ("add", "getitem", "relu_").
        module: dotted path of the innermost module that ran it, "" outside any and in the outermost.
        module_type: that module's class name, "" outside any.
        where: the user's line, as "train.py:41".
        inputs, outputs: tensors read and made; what was changed in place is among both.
        depends: indices of the operators that must run before, changes in place of shared memory included.
        options: the arguments that are not tensors, as short text.
        random: whether it drew from a random generator.
        escaped: the Python number for an operator through which a value left the graph (``item``, ``float``).
        from_python: indices of such operators whose number came back into this one as a constant.
    """

    index: int
    op: str
    module: str
    module_type: str
    where: str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...] = ()
    mutates: tuple[Value, ...] = ()
    depends: tuple[int, ...] = ()
    options: str = ""
    random: bool = False
    escapes: bool = False
    escaped: Any = None
    from_python: tuple[int, ...] = ()
    call: Call | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        return f"Node({self.index}, {self.op}{' in ' + self.module if self.module else ''})"


class Graph:
    """Operators and tensors of one step, in the order of execution.

    Arguments:
        nodes: operators in order.
        values: tensors in the order in which they were first seen.
        losses: what backward was called on, in order; the last recorded scalar where no backward ran.
        module_parameters: every parameter of every module that ran.
        backward: whether a backward pass ran.

    Example:
        >>> import torch
        >>> from preceptor.observation.capture import capture
        >>> x, y, z = (torch.tensor(v, requires_grad=True) for v in (1.0, -3.0, 4.0))
        >>> with capture(names={"x": x, "y": y, "z": z}) as captured:
        ...     ((x + y) * z).backward()
        >>> graph = captured.graph
        >>> graph.replay().item(), graph.replayable
        (-8.0, True)
        >>> [(value.name, value.gradient.mean) for value in graph.leaves]
        [('x', 4.0), ('y', 4.0), ('z', -2.0)]
    """

    def __init__(
        self,
        nodes: list[Node],
        values: list[Value],
        losses: list[Value],
        *,
        leaves: Mapping[int, Leaf] | None = None,
        loss_bits: Mapping[int, Tensor] | None = None,
        module_parameters: Iterable[Parameter] = (),
        backward: bool = False,
        broken: tuple[str, Node | None] | None = None,
    ) -> None:
        self.nodes, self.values, self.losses, self.backward = nodes, values, losses, backward
        self.module_parameters = tuple(module_parameters)
        self.stored: dict[int, Leaf] = dict(leaves or {})
        self.loss_bits: dict[int, Tensor] = dict(loss_bits or {})
        self.broken = broken
        self._check: Check | None = None

    def __repr__(self) -> str:
        return f"Graph({len(self.nodes)} operators, {len(self.parameters)} parameters, loss {self.loss})"

    @property
    def loss(self) -> Value | None:
        """What the last backward pass started from."""
        return self.losses[-1] if self.losses else None

    @property
    def leaves(self) -> list[Value]:
        """Tensors that entered the step: parameters, buffers, inputs, constants, carried state."""
        return [value for value in self.values if value.producer is None]

    @property
    def parameters(self) -> list[Value]:
        """Leaves that are learned."""
        return [value for value in self.leaves if value.kind == "parameter"]

    @property
    def inputs(self) -> list[Value]:
        """Leaves that came from outside the model: batches, targets, state."""
        return [value for value in self.leaves if value.kind in ("input", "carried")]

    def find(self, op: str = "*", module: str = "*") -> list[Node]:
        """Return the operators whose name and module path match the patterns (``fnmatch``; ``|`` separates).

        Example:
            >>> nodes = [Node(0, "softmax", "", "", "", ()), Node(1, "add_", "", "", "", ())]
            >>> Graph(nodes, [], []).find("*soft*|mul")
            [Node(0, softmax)]
        """
        names = op.split("|")
        return [
            node
            for node in self.nodes
            if any(fnmatch.fnmatchcase(node.op, name) for name in names)
            and fnmatch.fnmatchcase(node.module, module)
        ]

    def producers(self, node: Node) -> list[Node]:
        """Return the operators that must run before ``node`` because it reads what they made or changed."""
        return [self.nodes[index] for index in node.depends]

    def consumers(self, of: Node | Value) -> list[Node]:
        """Return the operators that read what ``of`` made, or the tensor ``of`` itself."""
        if isinstance(of, Node):
            return [node for node in self.nodes[of.index + 1 :] if of.index in node.depends]
        return [node for node in self.nodes if of in node.inputs]

    def between(self, first: Node, last: Node) -> list[Node]:
        """Return the operators on paths from ``first`` to ``last``, both included; empty without one."""
        after = self._reach(first)
        return (
            [node for node in self._ancestors([last.index]) if node.index in after]
            if last.index in after
            else []
        )

    def path(self, first: Node, last: Node) -> list[Node]:
        """Return one shortest path from ``first`` to ``last``, both included; empty if there is none."""
        came: dict[int, int] = {last.index: -1}
        queue = [last.index]
        for index in queue:
            if index == first.index:
                break
            for before in self.nodes[index].depends:
                if before not in came:
                    came[before] = index
                    queue.append(before)
        found: list[Node] = []
        index = first.index if first.index in came else -1
        while index >= 0:
            found.append(self.nodes[index])
            index = came[index]
        return found

    def slice(self, loss: Value | None = None) -> list[Node]:
        """Return the operators that matter for ``loss`` (default: the graph's), in order of execution."""
        target = self._loss(loss)
        return self._ancestors([target.producer.index] if target.producer else [])

    def parameters_without_gradient(self) -> list[str]:
        """Return the names of trainable parameters that no backward pass of the step reached.

        Empty where no backward pass ran. Parameters of modules that never ran are not known here.
        """
        if not self.backward:
            return []
        reached = {value.key for value in self.values if value.raw_gradient is not None}
        found = [p.name for p in self.module_parameters if p.trainable and p.key not in reached]
        known = {p.key for p in self.module_parameters}
        loose = (v for v in self.parameters if v.requires_grad and v.key not in known | reached)
        return found + list(dict.fromkeys(value.label for value in loose))

    def left_graph(self) -> list[Node]:
        """Return the operators through which values went to Python or NumPy, where no gradient follows."""
        return [node for node in self.nodes if node.escapes]

    def replay(self, loss: Value | None = None, *, overrides: Mapping[Value, Tensor] | None = None) -> Tensor:
        """Run the recorded operators again and return the loss, attached to a graph of its own.

        See `preceptor.observation.replay.replay`.
        """
        from preceptor.observation.replay import replay

        return replay(self, loss, overrides=overrides)

    def check(self) -> Check:
        """Replay once and compare every value with what was recorded; the result is kept."""
        from preceptor.observation.replay import check

        if self._check is None:
            self._check = check(self)
        return self._check

    @property
    def replayable(self) -> bool:
        """Whether the replay reproduces every loss of the step to the last bit. The first use checks it."""
        return self.check().exact

    @property
    def broken_by(self) -> str:
        """The first operator whose value differs or that could not be recorded; "" for a replayable graph."""
        return self.check().reason

    def to_text(self) -> str:
        """Return one line a tensor: name, operator, shape, value, gradient."""
        from preceptor.observation.draw import to_text

        return to_text(self)

    def to_dot(self) -> str:
        """Return the graph in the language of Graphviz."""
        from preceptor.observation.draw import to_dot

        return to_dot(self)

    def to_svg(self) -> str:
        """Return the graph as one self-contained SVG picture."""
        from preceptor.observation.draw import to_svg

        return to_svg(self)

    def _repr_html_(self) -> str:
        from preceptor.observation.draw import to_html

        return to_html(self)

    def _loss(self, loss: Value | None) -> Value:
        target = loss or self.loss
        if target is None:
            raise ConfigError("the graph has no loss", expected="a step in which backward was called")
        return target

    def _ancestors(self, roots: Iterable[int]) -> list[Node]:
        return [self.nodes[i] for i in sorted(_closure(roots, lambda i: self.nodes[i].depends))]

    def _reach(self, first: Node) -> set[int]:
        found = {first.index}
        for node in self.nodes[first.index + 1 :]:
            if not found.isdisjoint(node.depends):
                found.add(node.index)
        return found

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)


def _closure(roots: Iterable[int], step: Callable[[int], Iterable[int]]) -> set[int]:
    found, stack = set(roots), list(roots)
    while stack:
        for index in step(stack.pop()):
            if index not in found:
                found.add(index)
                stack.append(index)
    return found


def _fetched(raw: Tensor | Statistics | None) -> Statistics | None:
    return Statistics(*raw.tolist()) if isinstance(raw, Tensor) else raw
