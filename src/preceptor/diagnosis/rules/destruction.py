"""Rules: preparation that destroys inputs."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from preceptor.diagnosis._data_entry import line_of_inputs
from preceptor.diagnosis._data_feeds import training_feed
from preceptor.diagnosis._data_outcome import goes_badly
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rule import rule

__all__: list[str] = []

_ROWS = 16
_CONSTANT, _FEW_COLUMNS = 0.95, 8
_LOST, _WHOLE = 0.1, ("uint8", "int8", "int16", "int32", "int64")


@rule("inconsistent-preprocessing")
def destroyed_inputs(case: Case) -> Iterator[Finding]:
    """Name inputs that nothing is left of: nearly all columns constant, or samples that became equal.

    c = #{j: σ_j = 0} / #j ≥ 0.95 over the looked-at training batches; or at least half of a batch's samples
    are equal to another one in it, of sixteen columns and more, and three in ten of those have another
    target. It counts where targets vary and the run goes badly. Few bits, short codes, rare words and blank
    borders do not reach these shares.
    """
    feed, deviation = training_feed(case), case.signal("target_std", "train")
    if feed is None or feed.columns is None or not (len(deviation) and float(np.max(deviation.values)) > 0):
        return
    if not goes_badly(case) or len(case.optimizers) > 1:
        return
    known = feed.columns.count >= _ROWS
    constant = float(np.mean(~feed.columns.moving[known])) if known.any() else 0.0
    pairs = case.facts.get("pairs") or {}
    rows, within, other = (int(pairs.get(name, 0)) for name in ("rows", "within", "within_other"))
    equal = rows >= 64 and within >= rows / 2 and other >= 0.3 * within and feed.columns.of >= _ROWS
    if constant >= _CONSTANT and (feed.columns.of >= _FEW_COLUMNS or constant == 1.0):
        title = f"{constant:.0%} of the input columns are constant: preparation left nothing to learn from."
    elif equal:
        title = f"{within / rows:.0%} of the samples equal another one of their batch, with other targets."
    else:
        return
    yield Finding(
        "inconsistent-preprocessing",
        "critical",
        title,
        {
            "constant columns": constant,
            "samples": rows,
            "equal to another one": within,
            "with another target": other,
        },
        confidence=0.85,
        where=line_of_inputs(case),
        effect="inputs do not tell samples apart",
        remedy="look at what preparation returns: integer division, casts to whole numbers, clipping, masks",
    )


@rule("inconsistent-preprocessing", early=True)
def truncated_inputs(case: Case) -> Iterator[Finding]:
    """Name inputs that were fractions within −1 … 1 when they were cast to whole numbers.

    Of x with |x| ≤ 1, trunc(x) leaves ±1 and 0: scaled pixels, probabilities, standardised values lose all
    but their extremes. Exact, from the cast before training: at least a tenth of its elements were fractions
    that became 0, its samples are as large as the model's, and what the model is fed with is whole numbers
    within −1 … 1. Bits that were drawn or compared are no fractions, and do not count.
    """
    feed = training_feed(case)
    if feed is None or feed.columns is None or (not feed.floating and feed.dtype not in _WHOLE):
        return
    low, high = feed.columns.low, feed.columns.high
    if not (np.isin(low, (-1, 0, 1)).all() and np.isin(high, (-1, 0, 1)).all()):
        return
    size = math.prod(feed.shape)
    for row in case.record.tables.get("casts", []):
        shape = tuple(row["shape"])
        if row["lost"] < _LOST or size not in (math.prod(shape), math.prod(shape[1:])):
            continue
        yield Finding(
            "inconsistent-preprocessing",
            "critical" if goes_badly(case) else "warning",
            f"{row['operator']} at {row['where']} cuts inputs off to whole numbers: {row['lost']:.0%} of them"
            " were fractions within −1 … 1, and are 0 now.",
            {"fractions that became 0": row["lost"], "not 0 afterwards": row["kept"], "type": row["dtype"]},
            exact=True,
            where=row["where"],
            effect="nothing but the extremes is left of the inputs",
            remedy="scale after the cast, or leave it out",
        )
        return
