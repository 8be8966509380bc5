"""Rules: the weights that training starts from: identical units, and scales that do not suit the width."""

from __future__ import annotations

import math
from collections.abc import Iterator

from preceptor.diagnosis._layers import Layer, layers
from preceptor.diagnosis._success import goes_badly
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rule import rule
from preceptor.diagnosis.structure import Structure
from preceptor.observation.graph import Statistics

__all__ = ["identical_units", "scale_of_weights"]

_SMALL = 0.2  # of Glorot's deviation: after two layers 4 % of the signal are left
_LARGE = 4.0  # deviations of 1/√fan_in: about three times He's
_HIGH = 3.0  # times the loss of the best constant answer
_NORMALISING = frozenset({"batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm", "normalize"})
_RANDOM = frozenset({"dropout", "dropout_", "feature_dropout", "alpha_dropout"})


@rule("bad-initialization", early=True)
def identical_units(case: Case) -> Iterator[Finding]:
    """All weights of a layer start as one number, and so do those of the layer behind it.

    Units with equal incoming and equal outgoing weights compute the same and get the same gradient, so they
    stay equal for ever: a layer of n units is one unit. Exact: deviation 0 of both weights in the first
    recorded step. Zeros in a last layer or in the last layer of a residual branch break no symmetry that the
    layer before has broken, and do not count; nor do layers with one unit, norms and biases. Dropout between
    the two makes units differ, slowly; so do biases that
    differ.

    Source: Goodfellow, Bengio & Courville, Deep Learning, section 8.4 (2016).
    """
    structure = case.structure
    if structure is None or min(case.structures) > 0:
        return
    found = layers(structure)
    by_node = {layer.node.index: layer for layer in found}
    for layer in found:
        if layer.rows < 2 or not layer.weight.requires_grad or not _constant(layer):
            continue
        after = [other for other in found if _reads(structure, other, layer, by_node)]
        if after and all(_constant(other) for other in after):
            yield _identical(structure, [one for one in found if _constant(one)], layer)
            return


def _constant(layer: Layer) -> bool:
    s = layer.weight.statistics
    return s is not None and s.finite and s.maximum == s.minimum


def _equal_biases(layer: Layer) -> bool:
    biases = [v.statistics for v in layer.node.inputs if v.kind == "parameter" and len(v.shape) == 1]
    return all(s is not None and s.minimum == s.maximum for s in biases)


def _reads(structure: Structure, layer: Layer, other: Layer, by_node: dict[int, Layer]) -> bool:
    """Whether ``other`` is the layer nearest before ``layer``."""
    for node in structure.chain(layer.node.outputs[0]):
        if node is not layer.node and node.index in by_node:
            return by_node[node.index] is other
    return False


def _identical(structure: Structure, constant: list[Layer], first: Layer) -> Finding:
    value = first.weight.statistics.mean if first.weight.statistics is not None else 0.0
    names = tuple(dict.fromkeys(layer.name for layer in constant))
    noise = any(node.op in _RANDOM and "training=True" in node.options for node in structure.nodes)
    noise = noise or not _equal_biases(first)
    return Finding(
        "bad-initialization",
        "critical",
        f"all weights of {first.name} ({first.rows} units) start as {value:.4g}, and so do those behind it:"
        " its units stay identical",
        {"constant weights": list(names), "value": value, "units": first.rows},
        confidence=0.8 if noise else 1.0,
        exact=not noise,
        where=first.node.where,
        layers=names,
        steps=(0,),
        effect=f"{first.rows} units compute one and the same number",
        remedy="draw weights at random: nn.init.kaiming_normal_ for ReLU, nn.init.xavier_uniform_ for tanh",
    )


@rule("bad-initialization")
def scale_of_weights(case: Case) -> Iterator[Finding]:
    """Initial weights far smaller or larger than the width of layers asks for, in a run that goes badly.

    A layer multiplies the size of its input by about r = √(fan_in · mean w²), and that of gradients by
    √(fan_out · mean w²). Small: 2 mean w² · (fan_in + fan_out) / 4 is below 0.2² of Glorot's for every layer
    of a net with two or more, whose signals then shrink at least five-fold a layer. Large: r > 4 in a layer
    without normalisation behind it, and the first loss is more than three times that of the best constant
    answer, or not finite. Nets with normalisation or residual sums, weights that are zero on purpose, and
    runs that explain at least half of what there is do not count.

    Source: Glorot & Bengio, Understanding the difficulty of training deep feedforward neural networks (2010);
    He et al., Delving Deep into Rectifiers (2015).
    """
    structure = case.structure
    if structure is None or min(case.structures) > 0 or not goes_badly(case):
        return
    first: dict[str, Layer] = {}
    for layer in layers(
        structure
    ):  # of several passes in one step the first: later ones may come after a change
        first.setdefault(layer.name, layer)
    found = list(first.values())
    normed = any(node.op in _NORMALISING for node in structure.nodes)
    large = [layer for layer in found if _gain(layer) > _LARGE and not _is_normed(structure, layer)]
    if large and _starts_high(case, structure):
        yield _large(large, structure, case)
    elif (
        len(found) > 1
        and not normed
        and not _residual(structure)
        and all(_share(one) < _SMALL for one in found)
    ):
        yield _small(found)


def _mean_square(layer: Layer) -> float:
    s = layer.weight.statistics
    return math.nan if s is None else s.std**2 + s.mean**2


def _gain(layer: Layer) -> float:
    """√(fan_in · mean w²)."""
    return math.sqrt(layer.fan_in * _mean_square(layer))


def _share(layer: Layer) -> float:
    """The deviation as a share of Glorot's, √(2 / (fan_in + fan_out)); infinite for zeros."""
    square = _mean_square(layer)
    return math.sqrt(square * (layer.fan_in + layer.rows) / 2) if square > 0 else math.inf


def _is_normed(structure: Structure, layer: Layer) -> bool:
    readers = structure.readers.get(layer.node.outputs[0].index, [])
    return any(node.op in _NORMALISING for node in readers)


def _residual(structure: Structure) -> bool:
    """Whether two learned activations are added within a module: branches may start at nothing."""
    return any(
        node.op in ("add", "add_")
        and node.module_type
        and sum(v.kind == "operator" and v.index in structure.learned for v in node.inputs) > 1
        for node in structure.nodes
    )


def _first_loss(structure: Structure) -> Statistics | None:
    loss = structure.graph.loss
    return loss.statistics if loss is not None else None


def _starts_high(case: Case, structure: Structure) -> bool:
    first = _first_loss(structure)
    if first is None:
        return False
    if not first.finite:
        return True
    return case.chance is not None and first.mean > _HIGH * case.chance


def _large(found: list[Layer], structure: Structure, case: Case) -> Finding:
    worst = max(found, key=_gain)
    first = _first_loss(structure)
    return Finding(
        "bad-initialization",
        "warning",
        f"weights of {worst.name} start {_gain(worst):.0f} times as large as 1/√{worst.fan_in}",
        {
            "gains √(fan_in · mean w²)": {layer.name: round(_gain(layer), 2) for layer in found},
            "usual": "0.6 … 1.4",
            "first loss": None if first is None else first.mean,
            "loss of the best constant answer": case.chance,
        },
        confidence=0.8,
        where=worst.node.where,
        layers=tuple(layer.name for layer in found),
        steps=(0,),
        effect="outputs start far out: units saturate or the first gradients are huge",
        remedy="scale weights with the width: std = √(2 / fan_in) for ReLU, √(1 / fan_in) for tanh",
    )


def _small(found: list[Layer]) -> Finding:
    product = math.prod(_gain(layer) for layer in found)
    return Finding(
        "bad-initialization",
        "warning",
        f"all {len(found)} layers start with weights below a fifth of the usual size: a signal shrinks to"
        f" {product:.1e} of its size",
        {
            "deviation as a share of Glorot's": {layer.name: round(_share(layer), 3) for layer in found},
            "product of the gains": product,
        },
        confidence=0.6,
        where=found[0].node.where,
        layers=tuple(layer.name for layer in found),
        steps=(0,),
        effect="outputs hardly depend on the inputs at first, and gradients shrink by the same factors on the"
        " way back",
        remedy="use torch's own initial weights, nn.init.xavier_uniform_, or kaiming_normal_ before ReLU",
        against=("a larger step or more of them lets small weights grow, too",),
    )
