"""Rules: the size of what enters the model, and of what it is to give."""

from __future__ import annotations

import math
from collections.abc import Iterator

from preceptor.diagnosis._aims import Aim, Compared, compared
from preceptor.diagnosis._data_entry import Entry, entries
from preceptor.diagnosis._data_feeds import Columns, training_feed
from preceptor.diagnosis._data_outcome import goes_badly, share
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding, Severity
from preceptor.diagnosis.rule import rule

__all__: list[str] = []

_LARGE, _EXTREME, _TINY = 10.0, 100.0, 0.01
_OFFSET = 3.0
_ACTIVATIONS = frozenset(
    {"relu", "relu_", "leaky_relu", "elu", "gelu", "silu", "selu", "sigmoid", "tanh", "softplus"}
)
_PASSED, _NEAR = frozenset({"add", "add_", "max_pool2d", "dropout", "clamp_min", "clamp"}), 6
_SHOCK = 10.0
_UNITS = ("squared error", "absolute error", "binary cross-entropy", "binary cross-entropy of logits")


@rule("unscaled-inputs")
def unscaled_inputs(case: Case) -> Iterator[Finding]:
    """Name inputs that are not scaled where the run suffers.

    r_j = √(μ_j² + σ_j²) of column j as it enters the first learned operator; ω = ‖μ‖ / √(Σ σ_j²). Not scaled:
    max r_j ≥ 10 (the curvature along a first weight grows with r²: the largest stable rate of gradient
    descent falls a hundredfold), max r_j ≤ 0.01 (signals vanish), or ω ≥ 3: a unit w·x with a random w has
    the origin on one side of all samples with more than even odds, so that an activation behind it is always
    or never on, or always on one side of its middle.

    It counts where the run goes badly (see `goes_badly`), hardly beats the most frequent class, or began with
    a loss ten times that of a constant answer. What a normalisation, an embedding or the program's own
    arithmetic comes before does not count, and neither do single large values: heavy tails, one-hots, counts.
    LeCun, Bottou, Orr & Müller, Efficient BackProp (1998), sections 4.3 and 5.
    """
    structure = case.structure
    entry = next(iter(entries(structure)), None) if structure is not None else None
    if entry is None or len(case.optimizers) > 1:
        return
    columns = _columns_of(case, entry)
    size, smallest, offset = _sizes(entry, columns)
    off = offset >= _OFFSET and _bent(case, entry)
    if not (size >= _LARGE or 0 < size <= _TINY or off):
        return
    shock = _shock(case)
    bad = goes_badly(case) or shock >= _SHOCK
    if not bad and size < _EXTREME:
        return
    severity: Severity = "warning" if bad else "info"
    if bad and size >= _EXTREME and (case.diverged or not share(case) > 0.05):
        severity = "critical"
    evidence = {"largest root mean square of a column": _short(size), "smallest": _short(smallest)}
    if math.isfinite(offset):
        evidence["offset of the mean, in deviations"] = _short(offset)
    if shock >= _SHOCK:
        evidence["first loss / that of a constant answer"] = _short(shock)
    yield Finding(
        "unscaled-inputs",
        severity,
        _title(size, smallest, offset),
        {**evidence, **_columns_evidence(columns)},
        confidence=_trust(size, offset, shock),
        where=entry.where,
        layers=(entry.node.module,) if entry.node.module else (),
        steps=(next(iter(case.structures), 0),),
        effect=_effect(size, offset),
        against=() if size >= _LARGE else ("a rate that does not suit, or too few epochs, look the same",),
    )


def _bent(case: Case, entry: Entry) -> bool:
    """Whether the operator's result goes through an activation, whose bend or slope lies about zero."""
    graph = case.structure.graph if case.structure is not None else None
    found = list(entry.node.outputs)
    for value in found:
        for node in graph.consumers(value) if graph is not None else ():
            if node.op in _ACTIVATIONS:
                return True
            if node.op in _PASSED and len(found) < _NEAR:
                found += node.outputs
    return False


def _columns_of(case: Case, entry: Entry) -> Columns | None:
    """The columns of what enters, where it is what the program was given."""
    feed = training_feed(case)
    if not entry.raw or feed is None or feed.columns is None:
        return None
    elements = math.prod(feed.shape)
    return feed.columns if elements and math.prod(entry.value.shape) % elements == 0 else None


def _sizes(entry: Entry, columns: Columns | None) -> tuple[float, float, float]:
    """Largest and smallest root mean square of the columns that vary, and ω."""
    if columns is not None and columns.moving.any():
        size = columns.size[columns.moving]
        return float(size.max()), float(size.min()), columns.offset
    scale = entry.scale
    return (scale.size, scale.size, math.nan) if scale is not None else (math.nan, math.nan, math.nan)


def _shock(case: Case) -> float:
    """The first loss in units of that of the best constant answer; 0 where that is not known."""
    kind = case.loss_call.function if case.loss_call is not None else ""
    if (
        not case.chance
        or not case.losses
        or kind not in ("cross_entropy", "nll_loss", "binary_cross_entropy_with_logits")
    ):
        return 0.0  # of a regression, a large first error may come from the targets
    return case.losses.first / case.chance


def _title(size: float, smallest: float, offset: float) -> str:
    if size <= _TINY:
        return f"Inputs are tiny as they enter the model: {size:.2g} in root mean square at most."
    if size < _LARGE:
        return f"Inputs lie {offset:.1f} of their own deviations away from zero: they are not centred."
    unequal = f", another only {smallest:.2g}" if smallest < size / _LARGE else ""
    return f"Inputs enter the model unscaled: a column has root mean square {size:.3g}{unequal}."


def _effect(size: float, offset: float) -> str:
    if size >= _LARGE:
        return f"the largest stable rate is some {size**2:.0g} times smaller than for scaled inputs"
    if offset >= _OFFSET:
        return "most first-layer units are on one side of their threshold for all samples"
    return "the first layer's outputs and gradients are next to nothing"


def _trust(size: float, offset: float, shock: float) -> float:
    if size >= _LARGE:
        return min(0.95, 0.6 + 0.1 * math.log10(size) + (0.1 if shock >= _SHOCK else 0.0))
    return 0.6 if size <= _TINY else min(0.6, 0.3 + 0.05 * offset)


def _columns_evidence(columns: Columns | None) -> dict[str, object]:
    if columns is None:
        return {}
    few = columns.mean[:8], columns.std[:8]
    return {
        "columns": columns.of,
        **{n: [_short(v) for v in c] for n, c in zip(("means", "stds"), few, strict=True)},
    }


@rule("unscaled-targets")
def unscaled_targets(case: Case) -> Iterator[Finding]:
    """Name targets whose size is not that of outputs, where the run suffers.

    t = √(μ² + σ²) of the targets of a squared or absolute error, or of a binary cross-entropy; outputs of a
    net with the usual weights begin at the size of 1. Far off: t ≥ 10, or σ ≤ 0.01 with outputs that spread
    ten times as much when training begins. It counts where the run goes badly: less than half of the targets'
    variation is explained, or it diverged. Labels in one-hot or 0/1 form, constant targets, losses that are
    no distance, and steps in which a model is called without gradient (returns that are bootstrapped, a
    teacher) do not count. Bishop, Neural Networks for Pattern Recognition, 8.2 (1995).
    """
    made = any(event.kind == "forward" and not event.grad for event in case.events)
    if made or len(case.optimizers) > 1 or not goes_badly(case):
        return
    for one in compared(case):
        aim = one.aim
        if aim is None or one.term.form not in _UNITS or aim.binary or aim.constant:
            continue
        size = math.hypot(aim.mean, aim.std)
        start = _outputs(one)
        tiny = 0 < aim.std <= _TINY and start >= 10 * aim.std and size <= start
        if size >= _LARGE or tiny:
            yield _off(case, one, aim, size, start)
            return


def _off(case: Case, one: Compared, aim: Aim, size: float, start: float) -> Finding:
    explained = share(case)
    worthless = size >= _EXTREME and (case.diverged or explained <= 0.05)
    evidence: dict[str, object] = {
        "mean of the targets": _short(aim.mean),
        "their standard deviation": _short(aim.std),
        "size of the outputs at the start": _short(start),
        "loss at the end": _short(case.losses.end),
    }
    if math.isfinite(explained):
        evidence["share explained"] = _short(explained)
    return Finding(
        "unscaled-targets",
        "critical" if worthless else "warning",
        f"Targets are about {size:.3g} in size (mean {aim.mean:.3g}, deviation {aim.std:.3g}), outputs begin"
        f" at about {start:.2g}.",
        evidence,
        confidence=min(0.95, 0.6 + 0.08 * abs(math.log10(size))),
        where=one.term.where,
        steps=one.steps[:1],
        effect=f"the first error and its gradient are {size:.2g} times those of targets of unit size"
        if size >= 1
        else "what the outputs begin with drowns the targets",
    )


def _outputs(one: Compared) -> float:
    """The size of the outputs at the first step that was recorded; NaN where it is not known."""
    statistics = one.term.prediction.statistics
    return (
        math.hypot(statistics.mean, statistics.std)
        if statistics is not None and statistics.finite
        else math.nan
    )


def _short(value: float) -> float:
    return float(f"{value:.4g}")
