"""Rules: hidden units: saturating ones in a row, and dead ones."""

from __future__ import annotations

import math
from collections.abc import Iterator

from preceptor.diagnosis._layers import Layer, layers
from preceptor.diagnosis._progress import progress
from preceptor.diagnosis._success import goes_badly
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rule import rule
from preceptor.diagnosis.structure import Structure
from preceptor.observation.graph import Node, Statistics

__all__ = ["dead_layers", "vanishing_behind_sigmoids"]

_SATURATING = frozenset({"sigmoid", "tanh", "hardsigmoid", "hardtanh", "softsign"})
_STEEPEST = 0.26  # a sigmoid's ¼ and a little
_TWO_SIGMOIDS = 0.07  # 1/16 and a little: two sigmoids at their steepest
_VANISHED = 1e-2
_DEAD = 0.9
_LEARNED = 0.9


@rule("unsuitable-hidden-activation")
def vanishing_behind_sigmoids(case: Case) -> Iterator[Finding]:
    """Gradients vanish behind two or more saturating activations, in a run that goes badly or is unfinished.

    Going back through φ a gradient is multiplied by φ′ ≤ ¼ for a sigmoid; its mean is known from the
    outputs: E σ′ = E a − E a², E tanh′ = 1 − E a². Counts where two hidden activations or more have E φ′ ≤ ¼
    (any sigmoid, saturated others) with a product below 0.07, and the gradient at the output of the first
    layer was below a hundredth of that at the last one's in the first recorded steps, both measured. A run
    is unfinished where less than 0.9 is learned and as many updates again are worth their while. One
    hidden sigmoid, gates of recurrent cells, output units, nets with normalisation or residual sums between
    do not count.

    Source: Glorot & Bengio, Understanding the difficulty of training deep feedforward neural networks (2010).
    """
    structure = case.structure
    if structure is None or not (goes_badly(case) or _unfinished(case)):
        return
    by_node = {layer.node.index: layer for layer in layers(structure)}
    chain = _longest(structure, by_node)
    if len(chain) < 3:
        return
    units = [
        node for node in _between(structure, chain) if node.op in _SATURATING and _slope(node) <= _STEEPEST
    ]
    slopes = [_slope(node) for node in units]
    product = math.prod(slopes)
    ratio = _gradient(chain[0]) / _gradient(chain[-1]) if _gradient(chain[-1]) > 0 else math.nan
    if len(units) < 2 or not product < _TWO_SIGMOIDS or not ratio < _VANISHED:
        return
    kinds = ", ".join(dict.fromkeys(node.op for node in units))
    yield Finding(
        "unsuitable-hidden-activation",
        "warning",
        f"the gradient shrinks to {ratio:.1e} on its way back through {len(units)} hidden {kinds} layers",
        {
            "gradient at the first layer ÷ at the last": ratio,
            "mean derivatives of the activations": [round(slope, 4) for slope in slopes],
            "their product": product,
        },
        confidence=0.6,
        where=units[0].where,
        layers=tuple(dict.fromkeys(node.module for node in units if node.module)),
        steps=(min(case.structures),),
        effect="the first layers hardly move while the last one learns",
        remedy="use ReLU, GELU or tanh in hidden layers, with initial weights that suit them",
        against=("initial weights that are too small shrink gradients as well",),
    )


def _unfinished(case: Case) -> bool:
    way = progress(case)
    return way.measured and way.learned < _LEARNED and way.worth_more


def _longest(structure: Structure, by_node: dict[int, Layer]) -> list[Layer]:
    """The layers on the way from the inputs to a prediction, first one first."""
    chains = []
    for value in structure.predictions:
        made = [by_node[node.index] for node in structure.chain(value) if node.index in by_node]
        chains.append(made[::-1])
    return max(chains, key=len, default=[])


def _between(structure: Structure, chain: list[Layer]) -> list[Node]:
    """The operators between the first and the last layer."""
    nodes = list(structure.chain(chain[-1].node.outputs[0]))
    begin = chain[0].node.index
    return [node for node in nodes if begin < node.index < chain[-1].node.index]


def _slope(node: Node) -> float:
    """The mean derivative of an activation, from its outputs."""
    s = node.outputs[0].statistics if node.outputs else None
    if s is None:
        return 1.0
    square = s.std**2 + s.mean**2
    return max(0.0, s.mean - square if node.op == "sigmoid" else 1 - square) if node.op != "hardtanh" else 1.0


def _gradient(layer: Layer) -> float:
    """Root mean square of the gradient at a layer's output."""
    s: Statistics | None = layer.node.outputs[0].gradient
    return math.nan if s is None or not s.finite else math.hypot(s.mean, s.std)


@rule("unsuitable-hidden-activation", "unsuitable-output-activation")
def dead_layers(case: Case) -> Iterator[Finding]:
    """Nearly all units of a ReLU layer are dead at the end of a run that goes badly.

    A ReLU whose input is below 0 for every sample has output 0 and gradient 0, and never comes back. Counts
    where at least nine tenths of a layer's units were 0 on all rows of the last looks (256 rows or more,
    never one batch). What killed them (a step that was too large, unscaled inputs) is the deeper cause where
    it is found.

    Source: Maas, Hannun & Ng, Rectifier Nonlinearities Improve Neural Network Acoustic Models (2013).
    """
    outputs = {node.module for node in _makers(case.structure)}
    if not goes_badly(case):
        return
    dead = {
        layer: (float(series.values[0]), float(series.values[-1]))
        for layer, series in case.signals("inactive_units").items()
        if len(series.values) and series.values[-1] >= _DEAD
    }
    if not dead:
        return
    worst = max(dead, key=lambda layer: dead[layer][1])
    yield Finding(
        "unsuitable-output-activation" if worst in outputs else "unsuitable-hidden-activation",
        "warning",
        f"{dead[worst][1]:.0%} of the units of {worst} are dead: 0 for every sample",
        {
            "dead units, first and last look": {
                layer: [round(a, 3), round(b, 3)] for layer, (a, b) in dead.items()
            }
        },
        confidence=0.4,
        layers=tuple(dead),
        effect="dead units pass nothing on, and no gradient back",
        remedy="leave the output without a ReLU, or use softplus"
        if worst in outputs
        else "lower the learning rate, scale the inputs, or use LeakyReLU or GELU",
        against=("a step that is too large and unscaled inputs kill units as well",),
    )


def _makers(structure: Structure | None) -> Iterator[Node]:
    """The operators that make the predictions."""
    for value in structure.predictions if structure is not None else ():
        node = structure.maker(value) if structure is not None else None
        if node is not None:
            yield node
