"""Rules: how many samples there are, and how many a batch takes."""

from __future__ import annotations

import math
from collections.abc import Iterator

from preceptor.diagnosis._data_feeds import distinct_samples, training_feed
from preceptor.diagnosis._data_outcome import apart, goes_badly, held_out
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rule import rule

__all__: list[str] = []

_LARGE_BATCH, _FEW_UPDATES, _PER_EPOCH = 128, 100, 4
_STILL, _WORTH = 3.0, 0.05
_FULL_BATCH = frozenset({"LBFGS", "Rprop"})
_PER_DIRECTION, _OVER = 15, 10


@rule("unsuitable-batch-size")
def too_few_updates(case: Case) -> Iterator[Finding]:
    """Name large batches that leave too few updates.

    U = steps of the run, B = samples a batch. Named for U < 100 with B ≥ 128, where the loss still falls
    when training stops (a forecast of another twentieth of the way, three standard errors sure) or less than
    half is explained: batches of 32 would make B/32 as many updates of as many samples, each with a gradient
    of which B cost only √(B/32) times less noise. Methods that want all the data at once (L-BFGS, Rprop) do
    not count. Masters & Luschi, Revisiting Small Batch Training (2018); Hoffer, Hubara & Soudry, Train
    Longer, Generalize Better (2017).
    """
    feed, curve = training_feed(case), case.losses
    if (
        feed is None
        or feed.batch < _LARGE_BATCH
        or not 3 <= case.steps < _FEW_UPDATES
        or len(case.optimizers) != 1
    ):
        return
    if str(case.optimizers[0].get("class")) in _FULL_BATCH or case.diverged:
        return
    scale = case.chance or curve.start
    slope = curve.slope(0.5)
    falls = slope.t < -_STILL and -slope.change > _WORTH * scale
    if not (falls or goes_badly(case)) or not case.improved > 0:
        return
    per_epoch = case.steps / case.epochs if case.epochs else math.nan
    yield Finding(
        "unsuitable-batch-size",
        "warning",
        f"Batches of {feed.batch:,} leave {case.steps} updates in the whole run; batches of 32 would make"
        f" about {case.steps * feed.batch // 32:,}.",
        {
            "samples a batch": feed.batch,
            "updates": case.steps,
            **({"updates an epoch": float(f"{per_epoch:.3g}")} if math.isfinite(per_epoch) else {}),
            "fall of the loss over the second half": float(f"{-slope.change:.3g}"),
            "loss at the end": float(f"{curve.end:.4g}"),
        },
        confidence=0.75 if per_epoch <= _PER_EPOCH else 0.5,
        where=next(
            (one["where"] for one in case.facts.get("loaders", []) if one.get("label") == feed.loader), ""
        ),
        effect="the weights move too seldom to get where the data would take them",
        against=("more epochs would help as well",),
    )


@rule("too-little-data")
def too_little_data(case: Case) -> Iterator[Finding]:
    """Name training sets that are small for what they hold and what is fitted to them, and are memorised.

    N = different training samples; d = (Σ λ)² / Σ λ² directions in which inputs vary (λ = eigenvalues of
    their correlations); P = trainable parameters. Small: N < 15 d and P > 10 N. It counts where the run has
    learned them (at least 0.8 explained) and held-out loss is at least 0.3 of the way behind, twice the
    training loss or more, and rising or flat in the second half. Fresh or augmented samples do not come
    again, so that N is not small there. Harrell, Regression Modeling Strategies, section 4.4 (2001).
    """
    samples, directions = _training_samples(case), _directions(case)
    weights = sum(int(one.get("trainable", 0)) for one in case.facts.get("models", []))
    if not (samples < _PER_DIRECTION * directions and weights > _OVER * samples):
        return
    curve = held_out(case)
    learned, beyond = case.explained, apart(case)
    if learned is None or not learned >= 0.8 or not beyond <= learned - 0.3 or len(curve) < 4:
        return
    if not curve.end >= 2 * case.losses.end or curve.slope(0.5).t < -2:
        return
    yield Finding(
        "too-little-data",
        "warning",
        f"About {samples:.0f} training samples in {directions:.1f} directions are fitted with {weights:,}"
        " parameters, and learned by heart.",
        {
            "training samples": round(samples),
            "directions in which inputs vary": float(f"{directions:.3g}"),
            "parameters": weights,
            "share explained in training": float(f"{learned:.3g}"),
            "share explained on held-out data": float(f"{beyond:.3g}"),
        },
        confidence=0.7,
        effect=f"the held-out loss is {curve.end:.3g} where training has {case.losses.end:.3g}",
        against=("a smaller net or weight decay may do with as many",),
    )


def _training_samples(case: Case) -> float:
    """How many different samples there are, by fingerprints: not more than come by in an epoch."""
    feed = training_feed(case)
    if feed is None:
        return math.nan
    estimate = distinct_samples(case, feed.key)
    by_epoch = case.steps / case.epochs * feed.batch if case.epochs and feed.batch else math.inf
    return min(estimate, by_epoch) if math.isfinite(estimate) else estimate


def _directions(case: Case) -> float:
    relation = case.facts.get("relation") or {}
    found = relation.get("directions")
    return float(found) if isinstance(found, (int, float)) else math.nan
