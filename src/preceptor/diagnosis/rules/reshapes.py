"""Rules: reshapes that cut across axes, and layers that take one axis for another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from preceptor.diagnosis._aims import Compared, compared
from preceptor.diagnosis._axes import RESHAPES, moved_axis, splits_samples, torn
from preceptor.diagnosis._options import named
from preceptor.diagnosis._success import goes_badly
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rule import rule
from preceptor.diagnosis.structure import REARRANGING
from preceptor.observation.graph import Node, Value

__all__ = [
    "data_reshaped_across",
    "flattened_apart",
    "reshaped_across",
    "runs_over_samples",
    "samples_taken_apart",
]

_RECURRENT = frozenset({"lstm", "gru", "rnn_tanh", "rnn_relu"})
_ATTENTION = "multi_head_attention_forward"


@rule("wrong-reshape", early=True)
def reshaped_across(case: Case) -> Iterator[Finding]:
    """A view or reshape where axes should have been transposed.

    A reshape keeps the numbers in their order: it can split and merge neighbouring axes, and nothing else.
    It cuts across axes where no splitting in order leads from one shape to the other (boundaries Π lengths
    that do not divide each other), or where a length stands at another place afterwards, as in (N, T, C) →
    (T, N, C): rows then hold numbers of several samples. Exact: both shapes, read off the graph. Folding
    neighbours into features, (N, T, C) → (N, T/k, k·C), and reshapes of parameters do not count; equal
    lengths cannot be told.

    Source: PyTorch manual, torch.Tensor.view (2025).
    """
    seen: set[str] = set()
    for structure in case.structures.values():
        for node in structure.nodes:
            if node.op not in RESHAPES or node.where in seen or not _of_data(node):
                continue
            before, after = node.inputs[0].shape, node.outputs[0].shape
            length = moved_axis(before, after)
            if length is None and not torn(before, after):
                continue
            seen.add(node.where)
            yield _across(node, before, after, length)


def _of_data(node: Node) -> bool:
    return bool(node.inputs and node.outputs) and node.inputs[0].kind not in (
        "parameter",
        "buffer",
        "gradient",
    )


def _across(node: Node, before: tuple[int, ...], after: tuple[int, ...], length: int | None) -> Finding:
    batch = length is not None and before[0] == length
    return Finding(
        "wrong-reshape",
        "critical",
        f"{node.op} makes {list(after)} of {list(before)}, which mixes axes instead of exchanging them",
        {"before": list(before), "after": list(after), "axis that moved": length, "operator": node.op},
        exact=True,
        where=node.where,
        layers=(node.module,) if node.module else (),
        effect="each row holds numbers of several samples, and each sample is scattered over several rows"
        if batch or before[0] != after[0]
        else "neighbouring numbers that belong to different features stand in one row",
        remedy="exchange axes with transpose or permute; reshape only merges and splits neighbours",
    )


@rule("wrong-reshape", early=True)
def samples_taken_apart(case: Case) -> Iterator[Finding]:
    """The axis of the samples is exchanged with another one, and then split.

    x (N, …) → transposed (D, N) → reshaped (D, a, b) with a · b = N: what was one sample a column is taken
    for a table. No length has moved, and where D = N no shape tells; so the axis is followed through the
    graph. Exact where axis 0 of an input is as long as axis 0 of predictions and targets, and none of its
    other axes is. Axes that are exchanged and then merged, or exchanged back, do not count.

    Source: PyTorch manual, torch.Tensor.view (2025).
    """
    for one in compared(case):
        samples = one.term.prediction.shape[:1]
        if one.aim is None or one.aim.shape[:1] != samples or samples in ((), (1,)):
            continue
        for value in one.structure.graph.inputs:
            if value.shape[:1] != samples or value.shape.count(samples[0]) > 1:
                continue
            node = splits_samples(one.structure, value)
            if node is not None:
                yield _taken_apart(node, samples[0])
                return


def _taken_apart(node: Node, samples: int) -> Finding:
    before, after = list(node.inputs[0].shape), list(node.outputs[0].shape)
    return Finding(
        "wrong-reshape",
        "critical",
        f"{node.op} makes {after} of {before}, where the {samples} samples no longer stand in axis 0, and"
        " splits their axis",
        {"before": before, "after": after, "samples": samples, "operator": node.op},
        exact=True,
        where=node.where,
        layers=(node.module,) if node.module else (),
        effect="each row holds numbers of many samples, and each sample is scattered over all rows",
        remedy="reshape first and then exchange axes with transpose or permute, the samples staying in front",
    )


@rule("wrong-reshape")
def data_reshaped_across(case: Case) -> Iterator[Finding]:
    """Data were reshaped across axes before training, in a run that goes badly.

    Series x of shape (C, L), cut into windows by reshape(L / T, T, C), have C consecutive values of one
    series in each row where C series were meant: a transpose was due first. As in the graph, a reshape
    counts where its axes cannot come about by splitting and merging in order, or a length stands at another
    place afterwards; and where what came out has the shape of the samples that the model reads, or of their
    targets, and less than half of what there is to explain was explained. Reshapes in NumPy are not seen.

    Source: PyTorch manual, torch.Tensor.reshape (2025).
    """
    rows = [row for row in case.record.tables.get("reshapes", []) if _is_across(row)]
    samples = {tuple(row["shape"][1:]) for row in case.record.tables.get("batches", []) if row.get("shape")}
    used = [row for row in rows if tuple(row["after"][1:]) in samples]
    if not used or not goes_badly(case):
        return
    row = used[0]
    before, after = tuple(row["before"]), tuple(row["after"])
    yield Finding(
        "wrong-reshape",
        "critical",
        f"{row['operator']} makes samples {list(after)} of data {list(before)}, which mixes axes instead of"
        " exchanging them",
        {"before": list(before), "after": list(after), "axis that moved": moved_axis(before, after)},
        confidence=0.9,
        where=str(row["where"]),
        effect="rows hold consecutive numbers of one series or sample, where one of each was meant",
        remedy="transpose the data first (x.T.reshape(…)); reshape only merges and splits neighbours",
    )


def _is_across(row: dict[str, Any]) -> bool:
    before, after = tuple(row["before"]), tuple(row["after"])
    return moved_axis(before, after) is not None or torn(before, after)


@rule("wrong-reshape", early=True)
def flattened_apart(case: Case) -> Iterator[Finding]:
    """Predictions and labels are flattened in different orders.

    (T, N, C) → (T · N, C) puts all samples of step 1 first; labels (N, T) → (N · T) put all steps of sample 1
    first: position i of the one is not position i of the other. Exact: the axes that each was flattened from,
    where T ≠ N.

    Source: PyTorch manual, torch.Tensor.reshape (2025).
    """
    for one in compared(case):
        target = one.term.target
        if target is None:
            continue
        first, second = _merged_axes(one.term.prediction), _merged_axes(target)
        if first is None or second is None or first != second[::-1] or first[0] == first[1]:
            continue
        yield Finding(
            "wrong-reshape",
            "critical",
            f"predictions are flattened from axes {first}, their targets from {second}: they do not pair up",
            {"predictions": list(first), "targets": list(second)},
            exact=True,
            where=one.term.where,
            steps=one.steps,
            effect="the loss compares each position with the target of another one",
            remedy="transpose one of them first, so that both have samples and steps in the same order",
        )


def _merged_axes(value: Value) -> tuple[int, int] | None:
    """The two leading axes that a reshape merged into the first one; None where it did not."""
    node = value.producer
    while node is not None and node.op in REARRANGING and node.inputs:
        before, after = node.inputs[0].shape, value.shape
        merges = node.op in RESHAPES and len(before) > 1 and after and before[0] * before[1] == after[0]
        if merges and min(before[:2]) > 1:
            return before[0], before[1]
        if node.inputs[0].shape != after:
            return None
        value, node = node.inputs[0], node.inputs[0].producer
    return None


@rule("wrong-reshape", early=True)
def runs_over_samples(case: Case) -> Iterator[Finding]:
    """A recurrent or attention layer takes the samples of the batch for the positions of a sequence.

    Without ``batch_first`` these layers read (positions, samples, features). Counts where axis 0 of what
    they read, its predictions and its targets are equally long, axis 1 is not among the targets' axes, and
    both are longer than 1 and not equal: then axis 0 holds the samples. One target a position of a single
    sequence, and predictions for each position of each sample, do not count.

    Source: PyTorch manual, torch.nn.LSTM, torch.nn.MultiheadAttention (2025).
    """
    for one in compared(case):
        target, prediction = one.term.target, one.term.prediction
        if target is None or not target.shape or not prediction.shape:
            continue
        for node in one.structure.nodes:
            shape = node.inputs[0].shape if node.inputs else ()
            reads = node.op == _ATTENTION or (node.op in _RECURRENT and not _samples_first(node))
            if reads and len(shape) == 3 and _is_samples(shape, prediction.shape, target.shape):
                yield _samples_as_positions(one, node, shape)
                return


def _samples_first(node: Node) -> bool:
    """Whether a recurrent layer was made with batch_first; attention layers transpose themselves."""
    return list(named(node).values())[-1:] != ["False"]


def _is_samples(shape: tuple[int, ...], prediction: tuple[int, ...], target: tuple[int, ...]) -> bool:
    samples, steps = shape[0], shape[1]
    same = samples == prediction[0] == target[0]
    return same and min(samples, steps) > 1 and samples != steps and steps not in target


def _samples_as_positions(one: Compared, node: Node, shape: tuple[int, ...]) -> Finding:
    kind = "attention" if node.op == _ATTENTION else node.op
    return Finding(
        "wrong-reshape",
        "critical",
        f"{kind} reads {list(shape)} as (positions, samples, features), but axis 0 holds the samples",
        {"input": list(shape), "predictions": list(one.term.prediction.shape), "targets": list(one.aim.shape)}
        if one.aim
        else {"input": list(shape)},
        exact=True,
        where=node.where,
        layers=(node.module,) if node.module else (),
        steps=one.steps,
        effect="each sample is predicted from the other samples of its batch, not from its own positions",
        remedy="make the layer with batch_first=True, or transpose(0, 1) its input",
    )
