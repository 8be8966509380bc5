"""What a recorded step tells of the program's structure: what enters the loss, and how it came about."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from preceptor.observation.graph import Graph, Node, Value

__all__ = ["AFFINE", "BOUNDED", "LOSSES", "REARRANGING", "Structure"]

AFFINE = frozenset(
    {"linear", "matmul", "mm", "addmm", "bmm", "baddbmm", "bilinear"}
    | {f"conv{n}d" for n in (1, 2, 3)}
    | {f"conv_transpose{n}d" for n in (1, 2, 3)}
)
"""Operators that are affine in their input."""
REARRANGING = frozenset(
    {"view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "transpose", "permute", "contiguous"}
    | {"T", "mT", "t", "movedim", "swapaxes", "getitem", "select", "narrow", "expand", "clone", "float"}
    | {"double", "half", "bfloat16", "to", "type", "type_as", "chunk", "split", "unbind", "cat", "stack"}
    | {"squeeze_", "unsqueeze_", "view_as", "reshape_as", "expand_as", "identity", "requires_grad_"}
)
"""Operators that move numbers about without changing them."""
BOUNDED = {
    "sigmoid": (0.0, 1.0),
    "softmax": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "relu": (0.0, float("inf")),
    "relu6": (0.0, 6.0),
    "softplus": (0.0, float("inf")),
    "hardsigmoid": (0.0, 1.0),
    "hardtanh": (-1.0, 1.0),
    "exp": (0.0, float("inf")),
    "log_softmax": (float("-inf"), 0.0),
    "logsigmoid": (float("-inf"), 0.0),
}
"""Operators whose results lie in a range, whatever they are given."""
LOSSES = frozenset(
    {"cross_entropy", "nll_loss", "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "kl_div"}
    | {"binary_cross_entropy", "binary_cross_entropy_with_logits", "poisson_nll_loss", "gaussian_nll_loss"}
    | {"hinge_embedding_loss", "multi_margin_loss", "soft_margin_loss", "margin_ranking_loss", "ctc_loss"}
    | {"multilabel_soft_margin_loss", "multilabel_margin_loss", "triplet_margin_loss"}
    | {"triplet_margin_with_distance_loss", "cosine_embedding_loss"}
)
"""Loss functions of torch.nn.functional."""


class Structure:
    """One recorded step, asked for what rules need.

    Arguments:
        graph: a recorded step with a loss.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    @cached_property
    def nodes(self) -> list[Node]:
        """The operators that matter for any of the step's losses, in order."""
        kept = {node.index for loss in self.graph.losses for node in self.graph.slice(loss)}
        return [node for node in self.graph.nodes if node.index in kept]

    @cached_property
    def learned(self) -> set[int]:
        """Indices of the values that depend on a parameter."""
        found = {value.index for value in self.graph.parameters}
        for node in self.graph.nodes:
            if any(value.index in found for value in node.inputs):
                found.update(value.index for value in (*node.outputs, *node.mutates))
        return found

    @cached_property
    def readers(self) -> dict[int, list[Node]]:
        """The operators that read each value, by its index."""
        found: dict[int, list[Node]] = {}
        for node in self.graph.nodes:
            for value in node.inputs:
                found.setdefault(value.index, []).append(node)
        return found

    @cached_property
    def loss_nodes(self) -> list[Node]:
        """Calls of loss functions that the step's losses depend on."""
        return [node for node in self.nodes if node.op in LOSSES]

    @cached_property
    def predictions(self) -> list[Value]:
        """What is compared with targets: the first input of each loss function that parameters take part in.

        Where the loss is written by hand: what the outermost modules returned to the code around them.
        """
        found = [
            node.inputs[0] for node in self.loss_nodes if node.inputs and node.inputs[0].index in self.learned
        ]
        return found or self._returned()

    def _returned(self) -> list[Value]:
        inside = {
            v.index: v for node in self.nodes if node.module for v in node.outputs if v.index in self.learned
        }
        used = {v.index for node in self.nodes if not node.module for v in node.inputs}
        return [value for index, value in inside.items() if index in used]

    def chain(self, value: Value) -> Iterator[Node]:
        """Yield the operators that made ``value``, last one first, along the inputs that are learned.

        Of several such inputs the largest is followed; parameters themselves are not.
        """
        seen: set[int] = set()
        node = value.producer
        while node is not None and node.index not in seen:
            seen.add(node.index)
            yield node
            before = [v for v in node.inputs if v.index in self.learned and v.producer is not None]
            before = [v for v in before if v.producer is not None and v.producer.index < node.index]
            node = max(before, key=_size).producer if before else None

    def maker(self, value: Value) -> Node | None:
        """Return the operator that gave ``value`` its numbers, through those that only rearrange."""
        return next((node for node in self.chain(value) if node.op not in REARRANGING), None)


def _size(value: Value) -> int:
    size = 1
    for length in value.shape:
        size *= length
    return size
