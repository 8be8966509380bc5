"""Rules: how many samples there are."""

from __future__ import annotations

import math
from collections.abc import Iterator

from preceptor.diagnosis._data_feeds import distinct_samples, training_feed
from preceptor.diagnosis._data_outcome import apart, held_out
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rule import rule

__all__: list[str] = []

_PER_DIRECTION, _OVER = 15, 10


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
