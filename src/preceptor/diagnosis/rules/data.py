"""Rules: values that are not finite."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from preceptor.diagnosis._data_entry import line_of_inputs
from preceptor.diagnosis._data_feeds import Feed, training_feed
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rule import rule

__all__: list[str] = []


@rule("invalid-values-in-data", early=True)
def invalid_values(case: Case) -> Iterator[Finding]:
    """Name NaN and ±∞ in inputs or targets that reach the loss.

    n = #{xᵢ is NaN or ±∞} of a training batch as it enters the model, or the target's smallest or largest
    element; with the loss not finite as well; at looks, or in the step whose loss was the first that is not
    finite. Where it stays finite, those elements are masked, replaced, or mean something (−∞ in a mask): then
    it is told as information, for NaN inputs only.
    """
    where, counts = line_of_inputs(case), case.signal("nonfinite_inputs", "train")
    bad = np.flatnonzero(counts.values > 0) if len(counts) else np.empty(0, dtype=int)
    lost = case.losses.first_not_finite is not None
    if len(bad):
        columns = _bad_columns(training_feed(case))
        first = int(counts.steps[bad[0]])
        yield Finding(
            "invalid-values-in-data",
            "critical" if lost else "info",
            f"{int(counts.values[bad[0]]):,} input values of the batch at step {first} are NaN or infinite.",
            {
                "looked-at batches with such values": f"{len(bad)} of {len(counts)}",
                "values at the first of them": int(counts.values[bad[0]]),
                **columns,
                **_first_loss(case),
            },
            exact=lost,
            confidence=1.0 if lost else 0.5,
            where=where,
            steps=(first,),
            effect="the loss, its gradient and then every weight become NaN" if lost else "",
        )
    yield from _of_the_step(case, not len(bad))
    for low, high in ((case.signal("target_min", "train"), case.signal("target_max", "train")),):
        broken = [
            int(s) for s, a, b in zip(low.steps, low.values, high.values, strict=False) if not _finite(a, b)
        ]
        if broken and lost:
            yield Finding(
                "invalid-values-in-data",
                "critical",
                f"Targets of the batch at step {broken[0]} are NaN or infinite.",
                {"looked-at batches with such targets": f"{len(broken)} of {len(low)}", **_first_loss(case)},
                exact=True,
                where=case.loss_call.where if case.loss_call is not None else "",
                steps=(broken[0],),
                effect="the loss, its gradient and then every weight become NaN",
            )


def _of_the_step(case: Case, unseen: bool) -> Iterator[Finding]:
    """What the step was given whose loss was the first that is not finite, where no look fell on it."""
    given = case.facts.get("not_finite")
    targets = case.signal("target_min", "train").values, case.signal("target_max", "train").values
    told = {"input": not unseen, "target": not all(_finite(a, b) for a, b in zip(*targets, strict=False))}
    call = case.loss_call
    lines = {"input": line_of_inputs(case), "target": call.where if call is not None else ""}
    for name, words in (("input", "input values"), ("target", "targets")):
        found = given.get(name) if isinstance(given, dict) else None
        if not isinstance(found, dict) or not found.get("bad") or told[name] or not isinstance(given, dict):
            continue
        step, rows = int(given["step"]), list(found["samples"])
        yield Finding(
            "invalid-values-in-data",
            "critical",
            f"{found['bad']:,} {words} of the batch at step {step} are NaN or infinite, and so is its loss.",
            {
                "values": found["bad"],
                "of": found["of"],
                "samples of the batch": rows,
                "samples in the batch": found["batch"],
                **_first_loss(case),
            },
            exact=True,
            where=lines[name],
            steps=(step,),
            effect="the loss, its gradient and then every weight become NaN",
        )


def _finite(*values: float) -> bool:
    return all(map(math.isfinite, values))


def _first_loss(case: Case) -> dict[str, int]:
    step = case.losses.first_not_finite
    return {} if step is None else {"first step whose loss is not finite": step}


def _bad_columns(feed: Feed | None) -> dict[str, object]:
    if feed is None or feed.columns is None:
        return {}
    bad = feed.columns.bad
    share = float(bad.sum() / max(1.0, (bad + feed.columns.count).sum()))
    concerned = np.flatnonzero(bad > 0)
    return {
        "columns concerned": f"{len(concerned)} of {len(bad)}",
        "first of them": [int(place) for place in concerned[:8]],
        "share of all values": float(f"{share:.3g}"),
    }
