"""Rules: models that are too small for what they are to learn."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from preceptor.diagnosis._narrow import Narrow, narrowest
from preceptor.diagnosis._progress import Progress, progress
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rule import rule
from preceptor.diagnosis.structure import AFFINE, Structure
from preceptor.observation.graph import Node

__all__ = ["too_little_capacity"]

_NARROW, _FEW_UNITS, _TINY = 8, 16, 3
_PER_WEIGHT = 25
_LEFT, _LEFT_BEHIND_A_NECK = 0.4, 0.25
_SURE, _CREEP, _MORE = 3.0, 0.01, 0.15
_DRAWN = (2, 3)  # axes of a picture


@rule("capacity-too-low")
def too_little_capacity(case: Case) -> Iterator[Finding]:
    """The training loss comes to rest far above zero, and the model is small in a way that explains it.

    At rest: as many updates again are not worth their while (`Progress.worth_more`, less than 15 % of the
    loss), steps are of a sensible length, evaluation is no worse than training; and a share r of L₀ (loss of
    a constant prediction) is left. Explained by (a) a bottleneck: all that is predicted for a sample passes
    through b numbers, b at most an eighth of the numbers that are read; and b at most an eighth of the m ≥ 8
    that are predicted, r ≥ 0.25, or 2b < m, b ≤ 16, r ≥ 0.4: predictions vary in b dimensions only. (b) p
    parameters, hidden layers of 16 units at most, for n ≥ 25 p distinct samples, r ≥ 0.4: a larger net would
    cost nothing in variance (of the order p/n); the loss must still creep (3 standard errors, 1 % of it to
    gain), as it does not at a floor of noise, unless 3 units are all. Not for linear models, which are meant
    to be small; a code of two or three numbers from which the input is made again is meant to be drawn, and
    only mentioned. Noisy targets keep the loss as high: a flat loss is no evidence.

    Source: Goodfellow, Bengio & Courville, Deep Learning, section 5.2 (2016); Yang, Dai, Salakhutdinov &
    Cohen, Breaking the Softmax Bottleneck (2018).
    """
    way = progress(case)
    if way.others or case.structure is None or not _rests(case, way):
        return
    left, samples, weights = 1 - (case.explained or 0.0), _samples(case, way), _weights(case)
    narrow = narrowest(case.structure)
    if narrow is not None and _is_neck(narrow, left):
        yield _too_narrow(case, narrow)
        return
    hidden = list(_widths(case.structure))
    small = left > _LEFT and hidden and max(hidden) <= _FEW_UNITS
    if small and weights and samples >= _PER_WEIGHT * weights and (max(hidden) <= _TINY or _creeps(way)):
        yield _too_few_units(case, max(hidden), samples, weights)


def _rests(case: Case, way: Progress) -> bool:
    least = case.explained
    if case.diverged or least is None or not 0.02 < least < 1 - _LEFT_BEHIND_A_NECK or way.updates < 200:
        return False
    ahead = way.forecast
    alike = not len(way.validation) or way.validation.end < 1.2 * case.ending
    return not way.worth_more and ahead.gain < _MORE * ahead.level and alike and _sensible(way)


def _is_neck(narrow: Narrow, left: float) -> bool:
    """Whether a place is so narrow that it explains what is left of the loss."""
    width, outputs = narrow.width, narrow.after
    if width * _NARROW > narrow.before or outputs < _NARROW:
        return False
    if width * _NARROW <= outputs and left > _LEFT_BEHIND_A_NECK:
        return True
    return width <= _FEW_UNITS and 2 * width < outputs and left > _LEFT


def _creeps(way: Progress) -> bool:
    """Whether the loss still falls a little: at a floor of noise so small a net has nothing more to gain."""
    return way.forecast.falling > _SURE and way.forecast.gain >= _CREEP * way.forecast.level


def _sensible(way: Progress) -> bool:
    ratios = way.update_ratios[1]
    return len(ratios) > 0 and 1e-5 < float(ratios[len(ratios) // 2 :].mean()) < 0.1


def _affine(structure: Structure) -> list[Node]:
    return [
        node
        for node in structure.nodes
        if node.op in AFFINE and any(v.kind == "parameter" for v in node.inputs)
    ]


def _widths(structure: Structure) -> Iterator[int]:
    """Units of the hidden layers: of affine operators but the last."""
    for node in _affine(structure)[:-1]:
        shape = node.outputs[0].shape if node.outputs else ()
        if shape:
            yield shape[1] if node.op.startswith("conv") and len(shape) > 2 else shape[-1]


def _samples(case: Case, way: Progress) -> int:
    """How many training samples there are at least, from how often looks met one again.

    Of m draws from n samples m²/(2n) are expected to repeat an earlier one; c repeats, made more by two
    standard deviations, give n ≥ m²/(2(c + 2√c + 1)). There are never more than were fed in one epoch.
    """
    samples = case.record.samples
    if "train" not in samples.keys:
        return 0
    drawn, distinct = samples.seen("train"), samples.overlap("train", "train")[1]
    again = max(0, drawn - distinct)
    estimate = drawn * drawn / (2 * (again + 2 * math.sqrt(again) + 1))
    fed = (way.steps_per_epoch or way.updates) * max(way.batch, 1)
    return max(distinct, int(min(estimate, fed)))


def _weights(case: Case) -> int:
    models = case.facts.get("models", [])
    return max((int(model.get("trainable", 0)) for model in models), default=0)


def _too_narrow(case: Case, narrow: Narrow) -> Finding:
    drawn = narrow.copies and narrow.width in _DRAWN
    return Finding(
        "capacity-too-low",
        "info" if drawn else "warning",
        f"All that is predicted for a sample passes through {narrow.width} number"
        f"{'s' if narrow.width > 1 else ''} ({narrow.name or narrow.where}), between {narrow.before} inputs"
        f" and {narrow.after} outputs; the loss stays at {case.ending:.3g}.",
        _levels(case) | {"width": narrow.width, "inputs": narrow.before, "outputs": narrow.after},
        confidence=0.6,
        where=narrow.where,
        layers=(narrow.name,) if narrow.name else (),
        effect=f"predictions vary in {narrow.width} dimension{'s' if narrow.width > 1 else ''} at most",
        against=(
            "a strong penalty on the weights or noise in the targets keeps the loss as high",
            *(("a code of so few numbers may be meant to be drawn",) if drawn else ()),
        ),
    )


def _too_few_units(case: Case, width: int, samples: int, weights: int) -> Finding:
    return Finding(
        "capacity-too-low",
        "warning",
        f"The loss rests at {case.ending:.3g} with hidden layers of up to {width} units: {weights}"
        " parameters for"
        f" {samples} samples or more.",
        _levels(case) | {"widest hidden layer": width, "parameters": weights, "samples, at least": samples},
        confidence=0.45,
        effect="a larger net could follow the data more closely at no risk of memorising them",
        against=("noise in the targets would keep the loss as high",),
    )


def _levels(case: Case) -> dict[str, Any]:
    found: dict[str, Any] = {
        "loss at the end": case.ending,
        "share of a constant's loss that is gone": case.explained,
    }
    if case.chance is not None:
        found["loss of a constant prediction"] = case.chance
    return found
