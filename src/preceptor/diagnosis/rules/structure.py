"""Rules: the order of layers: linear ones with nothing between."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from preceptor.diagnosis._layers import Layer, before, layers
from preceptor.diagnosis._success import goes_badly
from preceptor.diagnosis._terms import terms
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rule import rule
from preceptor.diagnosis.structure import Structure
from preceptor.observation.graph import Node, Value

__all__ = ["linear_net", "linear_pairs"]

_WELL = 0.6
_LOOKUPS = frozenset({"embedding", "embedding_bag"})


@rule("missing-nonlinearity", early=True)
def linear_net(case: Case) -> Iterator[Finding]:
    """All layers of a net follow each other without any nonlinearity: W₂ (W₁ x + b₁) + b₂ = W x + b.

    Exact: between the first and the last of two layers or more, the graph holds nothing but rearranging,
    dropout, average pooling, batch normalisation and plain factors. A layer that is narrower than both ends
    (a low-rank factorisation, a linear autoencoder) is a constraint that one layer has not: two layers
    around it do not count, more do, as the others add nothing. Nor do nets with residual sums, recurrence,
    attention or layer normalisation.

    Source: Goodfellow, Bengio & Courville, Deep Learning, section 6.1 (2016).
    """
    structure = case.structure
    if structure is None:
        return
    by_node = {layer.node.index: layer for layer in layers(structure)}
    for chain in _chains(structure, by_node):
        whole = _from_outside(structure, chain[0]) and _is_last(structure, chain[-1])
        if whole and any(_spare(a, b) for a, b in pairwise(chain)):
            yield _linear(chain)
            return


def _spare(first: Layer, second: Layer) -> bool:
    """Whether the first of two layers is no narrower than both its sides: one could do the work of both."""
    return first.rows >= min(first.fan_in, second.rows)


def _chains(structure: Structure, by_node: dict[int, Layer]) -> Iterator[list[Layer]]:
    """Yield the longest rows of layers with nothing between, each from its first to its last."""
    follows = {index: _layer_before(structure, layer, by_node) for index, layer in by_node.items()}
    inner = {layer.node.index for layer in follows.values() if layer is not None}
    for index, layer in by_node.items():
        if index in inner:
            continue
        chain = [layer]
        while (previous := follows[chain[0].node.index]) is not None and len(chain) <= len(by_node):
            chain.insert(0, previous)
        if len(chain) > 1:
            yield chain


def _layer_before(structure: Structure, layer: Layer, by_node: dict[int, Layer]) -> Layer | None:
    last: Node | None = None
    for last in before(structure, layer):
        if last.index in by_node:
            return by_node[last.index]
    return None


def _from_outside(structure: Structure, first: Layer) -> bool:
    """Whether what the first layer reads comes from outside: inputs, or rows of a table."""
    if first.data.index not in structure.learned:
        return True
    made = list(before(structure, first))
    return bool(made) and made[-1].op in _LOOKUPS


def _is_last(structure: Structure, last: Layer) -> bool:
    """Whether no operator with parameters stands between a layer and what is compared with targets."""
    for value in [term.prediction for term in terms(structure)] or structure.predictions:
        for node in structure.chain(value):
            if any(read.kind == "parameter" for read in node.inputs):
                if node is last.node:
                    return True
                break
    return False


def _linear(chain: list[Layer]) -> Finding:
    names = [layer.name for layer in chain]
    widths = [chain[0].fan_in, *(layer.rows for layer in chain)]
    narrow = min(widths[1:-1]) < min(widths[0], widths[-1])
    needed = "two layers" if narrow else "one layer"
    return Finding(
        "missing-nonlinearity",
        "warning",
        f"all {len(chain)} layers follow each other with nothing between: the net is one linear map"
        f" {'→'.join(map(str, widths))}",
        {"layers": names, "widths": widths, "operators between": "none"},
        exact=True,
        where=chain[-1].node.where,
        layers=tuple(names),
        effect=f"the {len(chain)} layers can do nothing that {needed} could not",
        remedy="put an activation (ReLU, GELU, tanh) between the layers",
    )


@rule("missing-nonlinearity")
def linear_pairs(case: Case) -> Iterator[Finding]:
    """Two layers within a net follow each other with nothing between.

    They make one linear map of rank min(widths). Counts where both are trained, full convolutions or dense
    layers, the value between is read by the second alone, and it is not narrower than both sides: then
    nothing is gained by the first one. Bottlenecks, depthwise convolutions, upsampling convolutions,
    projections with several readers do not count. One pair may be meant and counts where less than 0.6 of
    what there is to explain was explained; two pairs or more in a row, three layers of which one would do,
    count however the run goes.

    Source: Goodfellow, Bengio & Courville, Deep Learning, section 6.1 (2016).
    """
    structure = case.structure
    if structure is None:
        return
    by_node = {layer.node.index: layer for layer in layers(structure)}
    pairs = []
    for layer in by_node.values():
        previous = _layer_before(structure, layer, by_node)
        if previous is not None and _idle(structure, previous, layer):
            pairs.append((previous, layer))
    in_a_row = {b.node.index for _, b in pairs} & {a.node.index for a, _ in pairs}
    if not pairs or not (in_a_row or goes_badly(case, below=_WELL)) or next(linear_net(case), None):
        return
    first, second = pairs[0]
    named = list(dict.fromkeys(f"{a.name} → {b.name}" for a, b in pairs))
    yield Finding(
        "missing-nonlinearity",
        "warning",
        f"{first.name} and {second.name} follow each other with no activation between"
        + (f", and so do {len(named) - 1} more pairs" if len(named) > 2 else ""),
        {
            "layers": named,
            "widths": [first.fan_in, first.rows, second.rows],
        },
        confidence=0.7,
        where=second.node.where,
        layers=tuple(dict.fromkeys(name for pair in pairs for name in (pair[0].name, pair[1].name))),
        effect="the two layers are one linear map",
        remedy="put an activation (ReLU, GELU, tanh) between them, or drop one",
    )


def _idle(structure: Structure, first: Layer, second: Layer) -> bool:
    """Whether the first layer adds nothing that the second could not do alone."""
    if not _spare(first, second):
        return False
    if first.grouped or second.grouped or first.node.op.startswith("conv_transpose"):
        return False
    if not (first.weight.requires_grad and second.weight.requires_grad) or first.weight is second.weight:
        return False
    return all(_readers(structure, value) == 1 for value in _between(structure, first, second))


def _between(structure: Structure, first: Layer, second: Layer) -> Iterator[Value]:
    for node in before(structure, second):
        yield node.outputs[0]
        if node is first.node:
            return


def _readers(structure: Structure, value: Value) -> int:
    return len(structure.readers.get(value.index, ()))
