"""Rules: ways of stepping that do not suit the batches or the parameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from preceptor.diagnosis._progress import Progress, progress
from preceptor.diagnosis._usual import FULL_BATCH
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rule import rule

__all__ = ["unsuitable_optimizer"]

_SPARSE = 0.5
_UNEVEN = 1e3
_HALF, _WELL, _LEARNED = 0.5, 0.9, 0.8
_FADED, _FADING = 0.1, 1 / 3
_SLOPE_KEPT = 0.8
_CLEARLY = 10.0


@rule("unsuitable-optimizer")
def unsuitable_optimizer(case: Case) -> Iterator[Finding]:
    """The way of stepping does not suit the batches or the parameters.

    (a) A method that compares the gradients of successive steps (L-BFGS, Rprop) is given another batch at
    each: exact, critical where the run diverges, a warning where it goes badly, or where Rprop's steps have
    died out among signs that change from batch to batch: shrunk ten times as far as gradients. (b) Plain SGD,
    one rate for all, where nothing is learned (1 − L/L₀ ≤ 0.05) and either most rows of an embedding have no
    gradient in a batch (half of its gradient is exactly zero at most looks), so that each row is moved in few
    of the steps, or ‖g‖/‖w‖ of the weights differs by 10³ or more between layers in the median. (c) Adagrad
    or Adadelta whose updates have shrunk to a tenth while gradients have not, and the loss still falls by as
    much as matters, or by ten standard errors where less than half is learned; or to a third, where what is
    left of the slope along the way after ten steps (0.8 or more) tells that steps are far too short, the loss
    falls (3 standard errors), and less than 0.8 is learned.

    Source: Duchi, Hazan & Singer, Adaptive Subgradient Methods (2011); Kingma & Ba, Adam (2015).
    """
    way = progress(case)
    if way.others:
        return
    if way.kind in FULL_BATCH and way.steps_per_epoch > 1 and _other_batches(case):
        yield _needs_all(case, way)
    if way.kind in ("SGD", "ASGD") and not way.momentum and not case.diverged:
        yield from _one_rate_for_all(case, way)
    if way.kind in ("Adagrad", "Adadelta"):
        yield from _fading(way)


def _other_batches(case: Case) -> bool:
    """Whether a step begins with a batch of its own, as far as its calls were seen."""
    return not case.events or any(event.kind == "batch" for event in case.events)


def _needs_all(case: Case, way: Progress) -> Finding:
    bad = case.diverged or way.learned < _HALF or (way.learned < _WELL and _died_out(way))
    return Finding(
        "unsuitable-optimizer",
        "critical" if case.diverged else "warning" if bad else "info",
        f"{way.kind} compares the gradients of successive steps, and gets another batch at each.",
        {"optimizer": way.kind, "updates an epoch": way.steps_per_epoch, "loss at the end": case.ending},
        confidence=0.8 if bad else 0.6,
        where=way.where,
        effect="what it takes for curvature is the difference between batches",
    )


def _one_rate_for_all(case: Case, way: Progress) -> Iterator[Finding]:
    if case.explained is None or not way.nothing_learned or not way.moves:
        return
    sparse = _sparse_rows(case)
    uneven = _unevenness(case)
    if not sparse and uneven < _UNEVEN:
        return
    evidence: dict[str, Any] = {"optimizer": way.kind, "momentum": way.momentum, "learning rate": way.rate}
    if sparse:
        name, share = max(sparse.items(), key=lambda pair: pair[1])
        evidence["share of zeros in the gradient"] = sparse
        what = f"{share:.0%} of the gradient of {name} is zero in a batch"
    else:
        evidence["largest / smallest ‖g‖/‖w‖ of a layer"] = uneven
        what = f"gradients differ by a factor of {uneven:.2g} between layers, measured by their weights"
    yield Finding(
        "unsuitable-optimizer",
        "warning",
        f"Plain {way.kind} moves all parameters at one rate, and {what}; the loss is {case.ending:.4g} at"
        " the end.",
        evidence,
        confidence=0.55,
        where=way.where,
        layers=tuple(sparse),
        effect="what gets small or rare gradients hardly moves",
        against=("a much higher rate of the same optimizer might do",),
    )


def _sparse_rows(case: Case) -> dict[str, float]:
    """Embeddings most of whose gradient is zero at most looks, with the median share."""
    embeddings = set()
    for structure in case.structures.values():
        for node in structure.nodes:
            if node.op in ("embedding", "embedding_bag"):
                embeddings |= {value.name for value in node.inputs if value.kind == "parameter"}
    found = {}
    for name, series in case.signals("zero_grad_share").items():
        if name in embeddings and len(series) and float(np.median(series.values)) >= _SPARSE:
            found[name] = float(np.median(series.values))
    return found


def _unevenness(case: Case) -> float:
    """The largest ‖g‖/‖w‖ of a weight over the smallest, each the median over looks."""
    weights = case.signals("weight_norm")
    ratios = []
    for name, series in case.signals("grad_norm").items():
        if name.endswith("bias") or name not in weights or not len(series):
            continue
        norms = weights[name].values[: len(series)]
        if len(norms) == len(series) and float(norms.min()) > 0:
            ratios.append(float(np.median(series.values / norms)))
    ratios = [ratio for ratio in ratios if ratio > 0]
    return max(ratios) / min(ratios) if len(ratios) > 1 else 1.0


def _shrunk(way: Progress) -> tuple[float, float]:
    """Updates at the end ÷ at the start, and gradients; (1, 1) where they are not known."""
    _, moved = way.total("update_norm")
    _, gradients = way.total("grad_norm")
    if len(moved) < 8 or len(gradients) != len(moved):
        return 1.0, 1.0
    ends = [(float(np.median(v[-3:])), float(np.median(v[1:4]))) for v in (moved, gradients)]
    if not all(start > 0 for _, start in ends):
        return 1.0, 1.0
    return ends[0][0] / ends[0][1], ends[1][0] / ends[1][1]


def _died_out(way: Progress) -> bool:
    moved, pulled = _shrunk(way)
    return way.kind == "Rprop" and moved <= _FADED * min(1.0, pulled)


def _fading(way: Progress) -> Iterator[Finding]:
    shrunk, pulled = _shrunk(way)
    if pulled < _HALF:
        return
    falls = way.forecast.falling > _CLEARLY and way.measured and way.learned < _HALF
    far = shrunk <= _FADED and (way.worth_more or falls) and way.looked_until >= 0.5
    short = shrunk <= _FADING and way.slope_kept >= _SLOPE_KEPT and way.forecast.falling > 3
    if not far and not (short and way.measured and way.learned < _LEARNED):
        return
    steps, _ = way.total("update_norm")
    yield Finding(
        "unsuitable-optimizer",
        "warning",
        f"The updates of {way.kind} have shrunk to {shrunk:.1%} while gradients have not, and the loss still"
        " falls.",
        {
            "update at the end / at the start": shrunk,
            "slope along the way left after ten steps": way.slope_kept,
            "learning rate": way.rate,
        },
        confidence=0.55,
        where=way.where,
        steps=(int(steps[-1]),),
        effect="the rate fades before the run has got where it could",
        against=("a higher rate of the same optimizer might do",),
    )
