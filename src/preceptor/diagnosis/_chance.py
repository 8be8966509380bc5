"""The loss of the best constant prediction, from loss calls or from how a loss is written by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from preceptor.diagnosis.structure import REARRANGING
from preceptor.observation.graph import Node, Statistics, Value

if TYPE_CHECKING:
    from preceptor.diagnosis.case import Case, LossCall
    from preceptor.diagnosis.structure import Structure

__all__ = ["chance"]

_CLASSES = ("cross_entropy", "nll_loss")
_BINARY = ("binary_cross_entropy", "binary_cross_entropy_with_logits")
_APART = 0.25
_ROOT = 1e-12
_MEANS = frozenset({"mean", "sum", "div", "truediv", "neg", "mul", "add"}) | REARRANGING
_DIVIDING = frozenset({"div", "divide", "truediv", "true_divide"})
_PLAIN_MEANS = _DIVIDING | frozenset({"mean", "sum", "where"}) | REARRANGING
_SQUARE, _POWER = frozenset({"square", "pow"}), frozenset({"sub", "rsub"})


def chance(case: Case) -> float | None:
    """Return what the best constant prediction loses; None where that cannot be known.

    Cross-entropy and likelihood: H = −Σ_c q_c ln q_c, q_c = (1 − ε) p_c + ε/K; p_c = share of class c among
    the targets seen, ε = label smoothing, K = classes. Binary cross-entropy: −p ln p − (1 − p) ln(1 − p), p
    = mean target: with several columns an upper bound. Squared error: variance of the target, absolute
    error: at most its deviation, the smooth one: at most the smaller of deviation and half the variance; of
    a target with two values the absolute error of the commoner one. Sums count each element. Losses written
    by hand are known as squared or absolute differences from something that is not learned, and as
    logarithms of softmax or sigmoid; those of single samples (reduction="none") where their plain mean is
    taken. None for weighted classes, and where the loss that is minimised is
    more than the call.
    """
    call = case.loss_call
    if call is None:
        structure = case.structure
        return None if structure is None else _by_element(case, structure) or _by_hand(structure)
    if call["weighted"] or call["reduction"] not in ("mean", "sum", None) or not _alone(case, call):
        return None
    found = _of_call(case, call)
    if found is None or not found > _ROOT:
        return None
    return found * _elements(call) if call["reduction"] == "sum" else found


def _alone(case: Case, call: LossCall) -> bool:
    """Whether the call's value is what is minimised, but for a small part."""
    series, value = case.signal("loss", "train"), call.number("value")
    at = np.flatnonzero(series.steps == call.step)
    if not len(at) or not math.isfinite(value):
        return True
    allowed = _APART if series.counts[at[0]] == 1 else 4 * _APART  # a merged point holds other batches too
    return not abs(float(series.values[at[0]]) - value) > allowed * max(abs(value), _ROOT)


def _elements(call: LossCall) -> int:
    return math.prod(call.shape("target") if call.function in _CLASSES else call.shape())


def _of_call(case: Case, call: LossCall) -> float | None:
    if call.function in _CLASSES:
        return _entropy(case, call)
    mean, deviation = _moments(case)
    if call.function in _BINARY:
        return _binary_entropy(mean) if 0 <= mean <= 1 else None
    if not math.isfinite(deviation):
        return None
    if call.function == "l1_loss":
        return min(deviation, _two_valued(call, mean))
    if call.function in ("smooth_l1_loss", "huber_loss"):
        return min(deviation, deviation * deviation / 2)
    return deviation * deviation if call.function == "mse_loss" else None


def _moments(case: Case) -> tuple[float, float]:
    """Mean and deviation of the target: within batches and between them."""
    means = case.signal("target_mean", "train").values
    within = case.signal("target_std", "train").values
    if not len(means) or len(means) != len(within) or not np.isfinite([means, within]).all():
        return math.nan, math.nan
    return float(np.mean(means)), math.sqrt(float(np.mean(within**2) + np.var(means)))


def _two_valued(call: LossCall, mean: float) -> float:
    low, high = call.number("target_min"), call.number("target_max")
    if call["target_distinct"] != 2 or not high > low:
        return math.inf
    share = (mean - low) / (high - low)
    return max(0.0, min(share, 1 - share)) * (high - low)


def _entropy(case: Case, call: LossCall) -> float | None:
    shape = call.shape()
    classes = shape[1] if len(shape) > 1 else 0
    counts = np.array(list(case.facts.get("classes", {}).get("train", {}).values()), dtype=float)
    if len(counts) == 0:
        return math.log(classes) if classes > 1 else None
    shares = counts / counts.sum()
    smoothing = call.number("label_smoothing")
    if smoothing > 0 and classes >= len(shares):
        shares = np.append(shares, np.zeros(classes - len(shares)))
        shares = (1 - smoothing) * shares + smoothing / classes
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum())


def _binary_entropy(p: float) -> float:
    return -sum(q * math.log(q) for q in (p, 1 - p) if q > 0)


# ---------------------------------------------------------------------- losses of single samples


def _by_element(case: Case, structure: Structure) -> float | None:
    """The entropy of targets whose losses are computed for each sample, and then averaged as they are."""
    losses, ops = {node.index: node for node in structure.loss_nodes}, []
    call = None
    for node in structure.chain(structure.graph.loss) if structure.graph.loss is not None else ():
        if (call := losses.get(node.index)) is not None:
            break
        ops.append(node.op)
    if call is None or not call.outputs[0].shape or len(call.inputs) < 2 or len(call.inputs[0].shape) < 2:
        return None
    mean = "mean" in ops or ("sum" in ops and _DIVIDING & set(ops))
    if not mean or not set(ops) <= _PLAIN_MEANS or "weight" in call.options:
        return None
    if call.op in _BINARY:
        target = call.inputs[1].statistics
        return _binary_entropy(target.mean) if target is not None and 0 <= target.mean <= 1 else None
    if call.op not in _CLASSES:
        return None
    counts = list(case.facts.get("classes", {}).get("train", {}).values())
    shares = np.array(counts, dtype=float) / sum(counts) if counts else np.empty(0)
    if len(shares):
        return float(-(shares[shares > 0] * np.log(shares[shares > 0])).sum()) or None
    return math.log(call.inputs[0].shape[1])


# ---------------------------------------------------------------------- losses written by hand


def _by_hand(structure: Structure) -> float | None:
    if structure.loss_nodes or structure.graph.loss is None:
        return None
    chain = list(structure.chain(structure.graph.loss))
    ops = [node.op for node in chain]
    if "mean" not in ops[:6]:
        return None
    start = next((place for place, op in enumerate(ops) if op not in _MEANS), len(ops))
    if ops[start : start + 1] in (["pow"], ["square"], ["abs"]):
        return _difference(structure, chain, start)
    if "log_softmax" in ops[:8] or ("softmax" in ops[:10] and "log" in ops[:8]):
        node = next(node for node in chain if node.op in ("log_softmax", "softmax"))
        classes = node.inputs[0].shape[-1] if node.inputs and node.inputs[0].shape else 0
        return math.log(classes) if classes > 1 else None
    return _two_logarithms(structure)


def _difference(structure: Structure, chain: Sequence[Node], start: int) -> float | None:
    """The variance, or the deviation, of what a prediction is subtracted from."""
    after = next((node for node in chain[start + 1 :] if node.op not in REARRANGING), None)
    if after is None or after.op not in _POWER or len(after.inputs) != 2:
        return None
    known = [value for value in after.inputs if value.index not in structure.learned]
    statistics = known[0].statistics if len(known) == 1 else None
    if statistics is None or not statistics.finite or not statistics.std > _ROOT:
        return None
    return statistics.std if chain[start].op == "abs" else statistics.std**2


def _two_logarithms(structure: Structure) -> float | None:
    """The entropy of targets p in −mean(p log q + (1 − p) log(1 − q))."""
    logs = [
        node for node in structure.nodes if node.op in ("log", "logsigmoid") and _learned(structure, node)
    ]
    if len(logs) != 2 or not any(node.op in ("sigmoid", "logsigmoid") for node in structure.nodes):
        return None
    made = {value.index for node in logs for value in node.outputs}
    weights: list[Statistics] = []
    for node in structure.nodes:
        if node.op == "mul" and any(value.index in made for value in node.inputs):
            found = [s for v in node.inputs if v.index not in made and (s := _statistics(v)) is not None]
            weights += found
    if not weights or not all(s.minimum >= 0 and s.maximum <= 1 for s in weights):
        return None
    return _binary_entropy(weights[0].mean)


def _learned(structure: Structure, node: Node) -> bool:
    return any(value.index in structure.learned for value in node.inputs)


def _statistics(value: Value) -> Statistics | None:
    found = value.statistics
    return found if found is not None and found.finite else None
