"""Rules: half precision, time and memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from preceptor.diagnosis.case import Case
from preceptor.diagnosis.curve import Curve, Slope
from preceptor.diagnosis.finding import Finding, Severity
from preceptor.diagnosis.rule import rule

__all__: list[str] = []

_HALF = ("float16", "bfloat16")
_GIB = 1 << 30


@rule("clip-before-unscale", early=True)
def clip_before_unscale(case: Case) -> Iterator[Finding]:
    """Name clipping between ``scale(loss).backward()`` and ``scaler.step()`` without ``unscale_`` before it.

    Exact: the order of calls. Gradients are S·g there (S = loss scale), so the allowed norm is c/S in truth.
    Does not count where no step was clipped by it. PyTorch manual, AMP examples (2025).
    """
    wrong, where = 0, ""
    for phrase in case.phrases:
        scaled = found = False
        for event in phrase.events:
            if event.kind in ("scale", "unscale", "scaler_step"):
                scaled = event.kind == "scale"
            elif event.kind == "clip" and scaled:
                where, found = where or event.where, True
        wrong += phrase.repeats * found
    if wrong < 2 or not (case.signal("clipped").values > 0).any():
        return
    scale = case.signal("grad_scale").values
    yield Finding(
        "clip-before-unscale",
        "warning",
        f"Gradients are clipped while the loss scale is still on them, in {wrong:,} steps.",
        {"steps": wrong, "loss scale": float(np.median(scale)) if len(scale) else None},
        exact=True,
        where=where,
        effect="the step sees gradients of norm at most max_norm divided by the loss scale",
    )


@rule("loss-scale-collapse")
def loss_scale_collapse(case: Case) -> Iterator[Finding]:
    """Name a gradient scaler that leaves out many steps, or whose scale ends below 1.

    s/n > 5 %, n = steps asked for after the first 50, s = those left out since gradients were not finite.
    The first steps find the scale; one step in 2,000 probes it, which is far below. Micikevicius et al.,
    Mixed Precision Training (2018).
    """
    asked, skipped, where = _left_out(case)
    scale = case.signal("grad_scale").values
    final = float(scale[-1]) if len(scale) else math.nan
    share = skipped / asked if asked else 0.0
    if not (asked >= 50 and share > 0.05) and not final < 1:
        return
    severity: Severity = "critical" if asked >= 50 and share > 0.9 else "warning"
    yield Finding(
        "loss-scale-collapse",
        severity,
        f"Gradients overflow: {share:.0%} of the steps are left out, and the loss scale ends at {final:.4g}.",
        {"steps left out": skipped, "steps asked for": asked, "loss scale at the end": final},
        confidence=0.9,
        where=where,
        effect="steps are lost, and what remains is rounded at a small scale",
    )


def _left_out(case: Case) -> tuple[int, int, str]:
    """Return how many steps a scaler was asked for after the first 50, how many it left out, and where."""
    asked = done = 0
    early_asked = early_done = 0
    where = ""
    for phrase in case.phrases:
        kinds = [event.kind for event in phrase.events]
        wanted = kinds.count("scaler_step")
        if not wanted:
            continue
        where = where or next(event.where for event in phrase.events if event.kind == "scaler_step")
        made = min(wanted, kinds.count("step"))
        first = min(phrase.repeats, max(0, -(-(50 - early_asked) // wanted)))
        early_asked, early_done = early_asked + first * wanted, early_done + first * made
        asked, done = asked + phrase.repeats * wanted, done + phrase.repeats * made
    asked, done = asked - early_asked, done - early_done
    return asked, asked - done, where


@rule("updates-lost-to-rounding")
def updates_lost_to_rounding(case: Case) -> Iterator[Finding]:
    """Name weights of 16 bits that most updates do not change.

    #{gᵢ ≠ 0, Δᵢ = 0} / n > 1/2, the median over looks at which the learning rate is at least half of its
    peak, for at least half of the parameters. Weights of 32 bits do not count: there it means that gradients
    have vanished or the run has converged. Zamirai et al., Revisiting BFloat16 Training (2020).
    """
    structure = case.structure
    if structure is None:
        return
    kinds = {
        value.name: value.dtype.removeprefix("torch.") for value in structure.graph.parameters if value.name
    }
    high = _at_high_rate(case)
    shares = {}
    for name, series in case.signals("lost_update_share").items():
        if kinds.get(name) in _HALF:
            values = [v for step, v in zip(series.steps, series.values, strict=True) if high(int(step))]
            if values:
                shares[name] = float(np.median(values))
    lost = sorted(name for name, share in shares.items() if share > 0.5)
    if not lost or 2 * len(lost) < len(shares):
        return
    share = float(np.median([shares[name] for name in lost]))
    serious = share > 0.9 or not case.improved > 0.5
    yield Finding(
        "updates-lost-to-rounding",
        "warning" if serious else "info",
        f"{share:.0%} of the updates are too small to change a weight of {kinds[lost[0]]}.",
        {"updates lost": share, "parameters": f"{len(lost)} of {len(shares)}", "type": kinds[lost[0]]},
        confidence=0.95,
        where=str(case.optimizers[0].get("where", "")) if case.optimizers else "",
        layers=tuple(lost),
        effect="most weights stay where they are although their gradient is not zero",
    )


def _at_high_rate(case: Case) -> Callable[[int], bool]:
    """Return whether, at a step, the learning rate was at least half of its highest."""
    rates = case.signals("lr")
    series = next(iter(rates.values()), None)
    if series is None or not len(series):
        return lambda step: True
    steps, values = series.steps, series.values
    half = 0.5 * float(values.max())
    return lambda step: bool(values[max(0, int(np.searchsorted(steps, step, side="right")) - 1)] >= half)


@rule("evaluation-with-gradient")
def evaluation_with_gradient(case: Case) -> Iterator[Finding]:
    """Name evaluation passes in evaluation mode that record gradients which no backward pass uses.

    Exact. The numbers are the same, and what is wasted is freed with each batch, so it is no more than worth
    knowing. Where memory grows besides (as by half a GiB in the second half of the run, see `memory_growth`),
    what was computed there may be kept together with its graph: then it is a warning. PyTorch manual,
    Autograd mechanics; Frequently asked questions (2025).
    """
    found = {
        subject: row
        for subject, row in case.facts.get("evaluations", {}).items()
        if row.get("grad") and not row.get("training") and row.get("batches", 0)
    }
    where = next((subject.partition(":")[2].partition("<")[0].partition(" ")[0] for subject in found), "")
    passes = sum(int(row.get("passes", 0)) for row in found.values())
    if not found:
        passes, where = _forward_only(case)
    if passes:
        growth = _growth(case)
        title = f"{passes:,} evaluation pass{'es' if passes > 1 else ''} recorded gradients that nothing used"
        yield Finding(
            "evaluation-with-gradient",
            "warning" if growth else "info",
            f"{title}, and memory grows." if growth else f"{title}.",
            {"passes": passes} | ({"GiB in the second half": growth.change / _GIB} if growth else {}),
            confidence=0.7 if growth else 1.0,
            exact=True,
            where=where,
            effect="losses or outputs that are kept hold the graph of their batch with all it needs"
            if growth
            else "memory of a training step, and more time; the numbers are the same",
            against=("memory may grow for another reason",) if growth else (),
        )


def _forward_only(case: Case) -> tuple[int, str]:
    """Return how often a model that is trained ran in evaluation mode with gradients before training went on.

    What runs so in every step (a teacher) is no evaluation.
    """
    typical = {(event.kind, event.where) for event in case.events}
    trained = {
        e.subject for p in case.phrases for e in p.events if e.kind == "forward" and e.training and e.grad
    }
    count, where = 0, ""
    for phrase in case.phrases:
        open_ = ""
        for event in phrase.events:
            if event.kind == "forward" and event.grad and event.subject in trained:
                idle = not event.training and ("forward", event.where) not in typical
                count, where = (
                    (count + phrase.repeats, where or open_) if event.training and open_ else (count, where)
                )
                open_ = event.where if idle else ""
            elif event.kind in ("backward", "grad"):
                open_ = ""
    return count, where


@rule("slow-data-loading")
def slow_data_loading(case: Case) -> Iterator[Finding]:
    """Name waiting for batches that takes a third of each step or more, ten seconds in all or more.

    Σ d / Σ t; d, t = seconds per step that went into waiting for the loader, and in all, at each look. It
    makes the run slower, not worse. Mohan et al., Analyzing and Mitigating Data Stalls (2021).
    """
    data, step = case.signal("data_seconds").values, case.signal("step_seconds").values
    if len(data) < 5 or len(data) != len(step) or not step.sum() > 0:
        return
    share, waited = float(data.sum() / step.sum()), float(np.median(data)) * case.steps
    if share < 1 / 3 or waited < 10:
        return
    loader: dict[str, Any] = next(iter(case.facts.get("loaders", [])), {})
    yield Finding(
        "slow-data-loading",
        "info",
        f"Waiting for the next batch takes {share:.0%} of the time, about {waited:.0f} s in all.",
        {"share of a step": share, "seconds in all": waited, "workers": loader.get("workers")},
        where=str(loader.get("where", "")),
        effect="the model waits while data are loaded",
    )


@rule("memory-growth")
def memory_growth(case: Case) -> Iterator[Finding]:
    """Name memory that rises along a line through the second half of the run, by gigabytes.

    Growth of the fitted line over the second half ≥ 1 GiB, a quarter of its level, and more than 4 standard
    errors, and as steep in its last part; half of that is worth knowing. What is allocated at the start does
    not count. PyTorch manual, Frequently asked questions (2025).
    """
    whole = _growth(case)
    if whole is None:
        return
    curve = _memory(case)
    per_step = whole.change / max(1, int(curve.steps[-1] - curve.steps[0]))
    yield Finding(
        "memory-growth",
        "warning" if whole.change >= _GIB else "info",
        f"Memory grew by {whole.change / _GIB:.1f} GiB in the second half of the run, and goes on growing.",
        {"GiB in the second half": whole.change / _GIB, "KiB a step": per_step / 1024},
        confidence=0.8,
        steps=(int(curve.steps[0]),),
        effect="the run ends when no memory is left",
        against=("a cache that is filled on purpose looks the same",),
    )


def _memory(case: Case) -> Curve:
    series = case.signal("memory_bytes")
    return Curve(series.steps, series.values).part(0.5)


def _growth(case: Case) -> Slope | None:
    """The line through the second half, where memory rises by half a GiB or more along it; None elsewhere."""
    curve = _memory(case)
    if len(curve) < 20:
        return None
    whole, last = curve.slope(), curve.slope(0.5)
    growing = whole.t > 4 and whole.change > whole.level / 4 and last.change > whole.change / 4
    return whole if growing and whole.change >= _GIB / 2 else None
