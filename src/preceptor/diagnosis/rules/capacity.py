"""Rules: models that are too small for what they are to learn."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from preceptor.diagnosis._progress import Progress, progress
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rule import rule
from preceptor.diagnosis.structure import AFFINE, Structure
from preceptor.observation.graph import Node

__all__ = ["too_little_capacity"]

_NARROW, _FEW_UNITS, _TINY = 8, 16, 3
_PER_WEIGHT = 50
_LEFT = 0.4
_SURE, _CREEP = 3.0, 0.01


@dataclass(frozen=True)
class _Narrow:
    """A layer between wider ones."""

    name: str
    width: int
    before: int
    after: int
    where: str


@rule("capacity-too-low")
def too_little_capacity(case: Case) -> Iterator[Finding]:
    """The training loss comes to rest far above zero, and the model is small in a way that explains it.

    The loss is flat (as many updates again should bring less than 5 % of it), at least 0.4 of L₀ is left
    (L₀ = loss of a constant prediction), steps are of a sensible length and evaluation is no worse than
    training. Explained by (a) a bottleneck: all that is predicted passes through b numbers, b at most an
    eighth of both the inputs before it and the m outputs that are asked for, m ≥ 8: predictions vary in b
    dimensions only; or (b) p parameters, hidden layers of 16 units at most, for n ≥ 50 p distinct samples:
    a larger net would cost nothing in variance (of the order p/n); the loss must still creep (3 standard
    errors, 1 % of it to gain), as it does not at a floor of noise, unless 3 units are all. Not for linear
    models, which are meant to be small. Noisy targets keep the loss as high: a flat loss is no evidence.

    Source: Goodfellow, Bengio & Courville, Deep Learning, section 5.2 (2016).
    """
    way = progress(case)
    if way.others or case.structure is None or not _rests(case, way):
        return
    hidden = list(_widths(case.structure))
    narrow = _bottleneck(case.structure)
    if narrow is not None:
        yield _too_narrow(case, narrow)
        return
    samples, weights = _samples(case, way), _weights(case)
    small = hidden and max(hidden) <= _FEW_UNITS
    if small and weights and samples >= _PER_WEIGHT * weights and (max(hidden) <= _TINY or _creeps(way)):
        yield _too_few_units(case, max(hidden), samples, weights)


def _rests(case: Case, way: Progress) -> bool:
    if case.diverged or case.explained is None or not 0.02 < case.explained < 1 - _LEFT or way.updates < 200:
        return False
    ahead = way.forecast
    alike = not len(way.validation) or way.validation.end < 1.2 * case.ending
    return ahead.gain < 0.1 * ahead.level and alike and _sensible(way)


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


def _bottleneck(structure: Structure) -> _Narrow | None:
    """The narrowest layer that all predictions pass through, if it is far narrower than both its sides."""
    predictions = structure.predictions
    if len(predictions) != 1 or len(predictions[0].shape) != 2:
        return None
    outputs = predictions[0].shape[-1]
    chain = [node for node in structure.chain(predictions[0]) if node.op == "linear" and node.outputs]
    if len(chain) < 3 or any(len(node.outputs[0].shape) != 2 for node in chain):
        return None
    inputs = next((v.shape[-1] for v in chain[-1].inputs if v.kind != "parameter" and v.shape), 0)
    narrow = min(chain[1:], key=lambda node: node.outputs[0].shape[-1])
    width = narrow.outputs[0].shape[-1]
    if outputs < _NARROW or width * _NARROW > min(inputs, outputs) or not _only_way(structure, narrow):
        return None
    return _Narrow(narrow.module, width, inputs, outputs, narrow.where)


def _only_way(structure: Structure, narrow: Node) -> bool:
    """Whether nothing that comes before the layer is used after it: no connection leads past it."""
    made = narrow.outputs[0].index
    before = {v.index for node in structure.nodes if node.index < narrow.index for v in node.outputs}
    return not any(
        value.index in before and value.index in structure.learned and value.index != made
        for node in structure.nodes
        if node.index > narrow.index
        for value in node.inputs
    )


def _samples(case: Case, way: Progress) -> int:
    """How many training samples there are at least, from how often looks met one again.

    Of m draws from n samples m²/(2n) are expected to repeat an earlier one; c repeats, made more by two
    standard deviations, give n ≥ m²/(2(c + 2√c + 1)). There are never more than were fed.
    """
    samples = case.record.samples
    if "train" not in samples.keys:
        return 0
    drawn, distinct = samples.seen("train"), samples.overlap("train", "train")[1]
    again = max(0, drawn - distinct)
    estimate = drawn * drawn / (2 * (again + 2 * math.sqrt(again) + 1))
    return max(distinct, int(min(estimate, way.updates * max(way.batch, 1))))


def _weights(case: Case) -> int:
    models = case.facts.get("models", [])
    return max((int(model.get("trainable", 0)) for model in models), default=0)


def _too_narrow(case: Case, narrow: _Narrow) -> Finding:
    return Finding(
        "capacity-too-low",
        "warning",
        f"All that is predicted passes through {narrow.width} numbers ({narrow.name}), between"
        f" {narrow.before} inputs"
        f" and {narrow.after} outputs; the loss stays at {case.ending:.3g}.",
        _levels(case) | {"width": narrow.width, "inputs": narrow.before, "outputs": narrow.after},
        confidence=0.6,
        where=narrow.where,
        layers=(narrow.name,) if narrow.name else (),
        effect=f"predictions vary in {narrow.width} dimensions at most",
        against=("a strong penalty on the weights keeps the loss as high",),
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
