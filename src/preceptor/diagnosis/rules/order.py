"""Rules: in which order samples come."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from preceptor.diagnosis._data_feeds import training_feed
from preceptor.diagnosis._data_labels import classes
from preceptor.diagnosis._data_order import order
from preceptor.diagnosis._data_outcome import apart, goes_badly
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rule import rule

__all__: list[str] = []

_EXCESS, _SURE = 0.3, 5.0
_NEAR, _RARE = 15, 1e-3
_BETWEEN, _LOOKS, _SMALLEST = 0.5, 8, 4


@rule("data-not-shuffled")
def not_shuffled(case: Case) -> Iterator[Finding]:
    """Name batches whose samples are of one class far more often than chance has it.

    W = the chance that two targets of one batch are equal, P = that of two targets of any batches that were
    looked at; η = (W − P) / (1 − P), 0 for shuffled samples of whatever classes, 1 where every batch is of
    one class. Named for η ≥ 0.3 at 5 standard errors, over at least 4 batches. Full batches (W = P), data
    that were mixed before they were stored, orders within a batch, two optimizers (batches of real and of
    made samples) do not count. Bottou, Stochastic Gradient Descent Tricks (2012), section 4.
    """
    found = order(case)
    if found is None or len(case.optimizers) > 1:
        return
    if not (found.excess >= _EXCESS and found.z >= _SURE):
        return
    sequential = _sequential(case)
    fine = apart(case) >= 0.8 and not goes_badly(case)
    yield Finding(
        "data-not-shuffled",
        "info" if fine else "warning",
        f"Two samples of a batch have the same label with chance {found.within:.0%}, two of any with"
        f" {found.overall:.0%}: batches come sorted by label.",
        {
            "equal labels within a batch": float(f"{found.within:.3g}"),
            "equal labels overall": float(f"{found.overall:.3g}"),
            "batches looked at": found.looks,
            "in standard errors": float(f"{min(found.z, 999.0):.3g}"),
            **({"sampler": sequential[0]} if sequential else {}),
        },
        exact=bool(sequential) and found.excess >= 0.5,
        confidence=min(0.95, 0.6 + 0.4 * found.excess),
        where=sequential[1] if sequential else "",
        effect="each batch pulls towards its own class, and what came before is forgotten",
    )


def _sequential(case: Case) -> tuple[str, str] | None:
    """The sampler that keeps the order, and where its loader is used; None where there is another."""
    feed = training_feed(case)
    if feed is None or not feed.loader:
        return None
    for loader in case.facts.get("loaders", []):
        if loader.get("label") == feed.loader and loader.get("sampler") == "SequentialSampler":
            return "SequentialSampler", str(loader.get("where", ""))
    return None


@rule("data-not-shuffled")
def one_by_one(case: Case) -> Iterator[Finding]:
    """Name single samples, one a step, whose labels stay the same for long.

    Of n pairs of looked-at steps at most 15 apart, k have equal labels; P = the chance that two labels of
    any steps are equal. Named where k or more would happen by chance once in a thousand times (binomial).
    What is drawn at random has k ≈ n P. Bottou, Stochastic Gradient Descent Tricks (2012), section 4.
    """
    feed, known, labels = training_feed(case), classes(case), case.signal("target_mean", "train")
    if feed is None or feed.batch != 1 or len(known.counts) < 2 or len(case.optimizers) > 1:
        return
    near = np.diff(labels.steps) <= _NEAR
    equal, pairs = int(((np.diff(labels.values) == 0) & near).sum()), int(near.sum())
    chance = sum(
        math.comb(pairs, k) * known.alike**k * (1 - known.alike) ** (pairs - k)
        for k in range(equal, pairs + 1)
    )
    if not pairs or chance > _RARE:
        return
    yield Finding(
        "data-not-shuffled",
        "warning",
        f"{equal} of {pairs} samples have the label of the one shortly before; by chance {known.alike:.0%}.",
        {"pairs of near steps": pairs, "with equal labels": equal, "chance of that": float(f"{chance:.2g}")},
        confidence=0.8,
        effect="the model follows the label of the moment, and forgets what came before",
    )


@rule("data-not-shuffled")
def targets_in_order(case: Case) -> Iterator[Finding]:
    """Name batches of a regression whose targets are alike within, and different from batch to batch.

    ρ = Var(batch means) / (Var(batch means) + mean variance within): about 1/B for shuffled batches of B.
    Named for ρ ≥ 0.5 over at least 8 batches of B ≥ 4, where the run goes badly, on training or on new data.
    Full batches and several outputs a sample do not count; series that are read in order often have it so
    and learn well.
    """
    feed = training_feed(case)
    means, stds = case.signal("target_mean", "train"), case.signal("target_std", "train")
    if feed is None or feed.batch < _SMALLEST or len(means) < _LOOKS or len(means) != len(stds):
        return
    if classes(case).counts or len(case.optimizers) > 1 or not _single(case):
        return
    if not (np.isfinite(means.values).all() and np.isfinite(stds.values).all()):
        return
    between, within = float(np.var(means.values)), float(np.mean(stds.values**2))
    share = between / (between + within) if between + within > 0 else 0.0
    if not share >= _BETWEEN or not (goes_badly(case) or apart(case) < 0.5):
        return
    sequential = _sequential(case)
    yield Finding(
        "data-not-shuffled",
        "warning",
        f"{share:.0%} of the targets' variation lies between batches, {1 / feed.batch:.0%} would by chance.",
        {
            "variance of batch means": float(f"{between:.3g}"),
            "mean variance within": float(f"{within:.3g}"),
            "batches looked at": len(means),
            **({"sampler": sequential[0]} if sequential else {}),
        },
        confidence=0.6 if sequential else 0.5,
        where=sequential[1] if sequential else "",
        effect="each batch pulls towards its own targets, and what came before is forgotten",
    )


def _single(case: Case) -> bool:
    call = case.loss_call
    return call is not None and math.prod(call.shape("target")[1:] or (1,)) == 1
