"""Rules: a softmax that runs over the wrong axis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from preceptor.diagnosis._aims import Compared, compared
from preceptor.diagnosis._axes import contracted, follow
from preceptor.diagnosis._options import axes_of, normalised_axis
from preceptor.diagnosis._origins import Origin, origin
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rule import rule
from preceptor.diagnosis.structure import REARRANGING, Structure
from preceptor.observation.graph import Node, Value

__all__ = ["attention_over_queries", "softmax_over_samples"]

_OFF = 1e-2
_SUMS = 0.02
_OF_EACH = ("squared error", "absolute error", "binary cross-entropy")
_NORMALISED = ("softmax", "log_softmax", "share")
_SCALING = frozenset(
    {"div", "mul", "add", "sub", "masked_fill", "masked_fill_", "where", "dropout", "truediv"}
)
_PRODUCTS = frozenset({"matmul", "bmm", "baddbmm", "einsum", "mm"})


@rule("wrong-softmax-dim", early=True)
def softmax_over_samples(case: Case) -> Iterator[Finding]:
    """The softmax of the outputs runs over another axis than that of the classes.

    Exact, in two ways: log-probabilities that enter ``nll_loss`` come out of a log-softmax, and yet max |log
    Σ_c exp x_c| over the axis of the classes is not 0; or the softmax of a prediction runs over axis 0,
    which is as long as the batch, or over another axis of length 1. A softmax without ``dim`` takes axis 0
    of three axes. A distribution over the samples (ranking) whose targets sum to 1 does not count.

    Source: PyTorch manual, torch.nn.Softmax (2025).
    """
    for one in compared(case):
        found = origin(one.structure, one.term.prediction)
        inner = found.under if found.kind == "log" and found.under is not None else found
        if inner.kind not in _NORMALISED or inner.node is None or inner.axis is None:
            continue
        shape = inner.node.inputs[0].shape
        off = one.worst("row_exp_sum_off")
        by_values = one.term.function == "nll_loss" and off > _OFF and found.kind in ("log", "log_softmax")
        by_values = by_values and inner.kind != "share"
        if by_values or _over_samples(one, inner, shape):
            yield _over(one, inner, shape, off)


def _over_samples(one: Compared, found: Origin, shape: tuple[int, ...]) -> bool:
    target, axis = one.term.target, found.axis or 0
    if target is None or not target.shape or not shape:
        return False
    if len(shape) == 1:
        sums_to_one = one.aim is not None and abs(one.aim.mean * shape[0] - 1) < _SUMS
        return one.term.form in _OF_EACH and shape[0] > 1 and not sums_to_one
    alone = shape[axis] == 1 and any(n > 1 for n in shape[1:])
    return alone or (axis == 0 and 1 < shape[0] == target.shape[0] and any(n > 1 for n in shape[1:]))


def _over(one: Compared, found: Origin, shape: tuple[int, ...], off: float) -> Finding:
    evidence: dict[str, Any] = {"axis": found.axis, "shape": list(shape), "at": found.where}
    if off > _OFF:
        evidence["largest |log Σ exp x| over the classes"] = round(off, 3)
    samples = found.axis == 0
    return Finding(
        "wrong-softmax-dim",
        "critical",
        f"{found.name} runs over axis {found.axis} of {list(shape)}"
        + (
            ", the samples of the batch, and not over the classes"
            if samples
            else ", which is not the classes'"
        ),
        evidence,
        exact=True,
        where=found.where or one.term.where,
        steps=one.steps,
        effect="a sample's output depends on its neighbours in the batch, and its classes do not sum to 1",
    )


@rule("wrong-softmax-dim", early=True)
def attention_over_queries(case: Case) -> Iterator[Finding]:
    """Attention weights are normalised over one axis and summed over another.

    context = Σₖ softmax(q·k)ₖ vₖ: the weights of one query sum to 1 over the axis that the product with the
    values sums over. Exact: the axis of the softmax is followed through masks, dropout and transpositions to
    the product. Counts where the scores are products of two activations and the axes differ; over an axis of
    length 1 all weights are 1. Weights that are divided by a further sum before the product, that meet
    another softmax in the product, or whose scores come from a layer (clusters, gates, pooling) do not
    count, but for those of a pooled sum that are normalised over an axis of length 1.

    Source: Vaswani et al., Attention Is All You Need, section 3.2.1 (2017).
    """
    structure = case.structure
    if structure is None:
        return
    for node in structure.nodes:
        axis = normalised_axis(node) if node.op == "softmax" else None
        if axis is None or not node.outputs or len(node.outputs[0].shape) < 2:
            continue
        summed = _summed_axis(structure, node, axis)
        if summed is not None:
            yield _attention(node, axis, summed)
            return


def _summed_axis(structure: Structure, node: Node, axis: int) -> int | None:
    """The axis of the softmax's result that its product with values sums over, where it is another one."""
    weights = node.outputs[0]
    alone = weights.shape[axis] == 1
    scores = _of_two_activations(structure, node.inputs[0])
    for other in range(len(weights.shape)):
        if other == axis or weights.shape[other] < 2:
            continue
        for reader, value, place in follow(structure, weights, other):
            if (
                scores
                and contracted(reader, value) == place
                and not _between_softmaxes(structure, reader, value)
            ):
                return other
            if alone and place in _pooled(structure, reader, value):
                return other
    return None


def _of_two_activations(structure: Structure, value: Value) -> bool:
    """Whether scores are a product of two activations, through scaling and masks."""
    node = value.producer
    for _ in range(8):
        if node is None or not node.inputs:
            return False
        if node.op in _PRODUCTS:
            learned = [v for v in node.inputs if v.index in structure.learned and v.kind == "operator"]
            return len(learned) == 2 and all(v.kind != "parameter" for v in node.inputs)
        if node.op not in _SCALING and node.op not in REARRANGING:
            return False
        before = [v for v in node.inputs if v.index in structure.learned]
        node = before[0].producer if before else None
    return False


def _between_softmaxes(structure: Structure, reader: Node, value: Value) -> bool:
    others = [v for v in reader.inputs if v is not value]
    return any(origin(structure, v).kind == "softmax" for v in others)


def _pooled(structure: Structure, reader: Node, value: Value) -> tuple[int, ...]:
    """The axes that a weighted sum (a product, then a sum) runs over."""
    if reader.op not in ("mul", "multiply") or not reader.outputs or len(reader.inputs) != 2:
        return ()
    result = reader.outputs[0]
    if len(result.shape) != len(value.shape):
        return ()
    sums = [node for node in structure.readers.get(result.index, ()) if node.op == "sum"]
    return axes_of(sums[0], len(result.shape)) if len(sums) == 1 else ()


def _attention(node: Node, axis: int, summed: int) -> Finding:
    shape = node.outputs[0].shape
    alone = shape[axis] == 1
    return Finding(
        "wrong-softmax-dim",
        "critical" if alone else "warning",
        f"attention weights {list(shape)} are normalised over axis {axis} and summed over axis {summed}",
        {"softmax over axis": axis, "of length": shape[axis], "product sums over axis": summed},
        exact=True,
        where=node.where,
        layers=(node.module,) if node.module else (),
        effect="every weight is 1: attention adds up all values and looks at none"
        if alone
        else "the weights of a query do not sum to 1: how much it takes depends on the other queries",
        remedy=f"softmax over axis {summed} (dim=-1 where the positions are last)",
    )
