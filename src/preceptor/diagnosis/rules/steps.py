"""Rules: how steps are made: their length, direction, and what the optimizer keeps between them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rule import rule

__all__: list[str] = []

_TELLING = 10
_POSITIVE = frozenset(
    {
        "cross_entropy",
        "nll_loss",
        "mse_loss",
        "l1_loss",
        "smooth_l1_loss",
        "huber_loss",
        "hinge_embedding_loss",
    }
    | {"binary_cross_entropy", "binary_cross_entropy_with_logits", "multi_margin_loss", "triplet_margin_loss"}
)


@rule("clipping-too-tight")
def clipping_too_tight(case: Case) -> Iterator[Finding]:
    """Name clipping that cannot let SGD get anywhere.

    D = η·c·T / (1 − μ) bounds how far T clipped steps move the weights (η = highest learning rate, c = norm
    after clipping, μ = momentum). Named where D < ‖w‖ / 100 at the start, at least nine steps in ten are
    clipped, by a factor of 10 or more, and less than a tenth of the loss is gone. Adam-like optimizers, which
    cancel the factor, do not count, nor gradients that carry a loss scale. Godbole et al., Deep Learning
    Tuning Playbook (2023).
    """
    clipped, norms, kept = (case.signal(name) for name in ("clipped", "clip_norm", "total_grad_norm"))
    if not len(clipped) or not len(kept) or len(case.signal("grad_scale")):
        return
    if [one.get("class") for one in case.optimizers] != ["SGD"]:
        return
    share = float(np.nanmean(clipped.values))
    before, after = float(np.nanmedian(norms.values)), float(np.nanmedian(kept.values))
    group = (case.optimizers[0].get("groups") or [{}])[0]
    rate = max((float(s.values.max()) for s in case.signals("lr").values() if len(s)), default=math.nan)
    weight = math.sqrt(sum(float(s.values[0]) ** 2 for s in case.signals("weight_norm").values() if len(s)))
    way = rate * after * case.steps / max(1e-3, 1 - float(group.get("momentum") or 0.0))
    if not (share >= 0.9 and before >= 10 * after and way < weight / 100 and case.improved < 0.1):
        return
    yield Finding(
        "clipping-too-tight",
        "warning",
        f"{share:.0%} of the gradients are cut, from about {before:.3g} to {after:.3g}: they get nowhere.",
        {"norm before clipping": before, "after": after, "way at most": way, "norm of the weights": weight},
        exact=True,
        where=next((e.where for e in case.events if e.kind == "clip"), ""),
        effect=f"all steps together cannot move the weights by more than {way / weight:.1g} of their norm",
    )


@rule("gradient-ascent", early=True)
def gradient_ascent(case: Case) -> Iterator[Finding]:
    """Name a run that climbs its own loss function.

    What backward starts from is L = −ℓ at every call that was measured (ℓ ≥ 0 the loss function's value), or
    the optimizer maximises L = ℓ, twice or more; and ℓ rises, from the tenth step on, from where that can be
    told. Two optimizers (a game), and inputs that are optimised while the model is not (an attack), do not
    count. Goodfellow, Bengio & Courville, Deep Learning, 4.3 (2016).
    """
    if len(case.optimizers) != 1 or case.facts.get("unoptimized") or len(case.losses) < 2:
        return
    if not any(model.get("trainable") for model in case.facts.get("models", [])):
        return
    groups = case.optimizers[0].get("groups") or [{}]
    maximises = all(bool(group.get("maximize")) for group in groups)
    sign = 1.0 if maximises else -1.0
    calls = [
        c for c in case.loss_calls if c.phase == "train" and c.function in _POSITIVE and c.number("value") > 0
    ]
    values = dict(zip(case.losses.all_steps.tolist(), case.losses.all_values.tolist(), strict=True))
    pairs = [(c, values[c.step]) for c in calls if math.isfinite(values.get(c.step, math.nan))]
    if len(pairs) < 2 or not all(math.isclose(v, sign * c.number("value"), rel_tol=1e-3) for c, v in pairs):
        return
    start, end = sign * case.losses.start, sign * case.losses.end
    rises = end > start + 3 * case.losses.noise
    if len(case.losses) >= _TELLING and not rises:
        return
    call = pairs[0][0]
    how = "the optimizer maximises it" if maximises else "backward starts from its negative"
    yield Finding(
        "gradient-ascent",
        "critical",
        f"{call.function} is driven up, from {start:.4g} to {end:.4g}: {how}."
        if rises
        else f"{call.function} is to be driven up: {how}.",
        {"first": start, "last": end, "calls with the sign turned": len(pairs)},
        exact=True,
        where=call.where,
        effect="every step makes predictions worse",
    )


@rule("optimizer-state-lost", early=True)
def optimizer_state_lost(case: Case) -> Iterator[Finding]:
    """Name an optimizer with running averages that is built again every few steps.

    b/n ≥ 1/10, b = optimizers built on one line, n = steps; at least 10 of them, and at most one model for
    every five. Plain SGD keeps nothing that could be lost; optimizers of cross-validation come with models of
    their own. Kingma & Ba, Adam (2015).
    """
    built: Counter[str] = Counter()
    steps = 0
    for phrase in case.phrases:
        for event in phrase.events:
            steps += phrase.repeats * (event.kind == "step")
            built[event.where] += phrase.repeats * (event.kind == "optimizer")
    kinds = {str(one.get("where", "")): one for one in reversed(case.optimizers) if _keeps_state(one)}
    for where, number in built.items():
        often = number / max(1, steps)
        if where not in kinds or number < 10 or often < 0.1 or 5 * len(case.facts.get("models", [])) > number:
            continue
        yield Finding(
            "optimizer-state-lost",
            "warning" if often >= 0.5 else "info",
            f"{kinds[where].get('class')} is built anew on one line, {number:,} times in {steps:,} steps.",
            {"optimizers built": number, "steps": steps},
            exact=True,
            where=where,
            effect="its running averages start from zero each time",
        )


def _keeps_state(optimizer: dict[str, Any]) -> bool:
    group = (optimizer.get("groups") or [{}])[0]
    return optimizer.get("class") != "SGD" or bool(group.get("momentum"))
