"""Rules: regularisation that is too strong: dropout, weight decay, statistics of tiny batches."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from preceptor.diagnosis._options import named
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rule import rule
from preceptor.diagnosis.structure import AFFINE, REARRANGING, Structure
from preceptor.observation.graph import Node, Value

__all__: list[str] = []

_DROPS = frozenset({"dropout", "dropout_", "alpha_dropout", "feature_alpha_dropout"})
_SQUASHES = frozenset({"sigmoid", "softmax", "log_softmax", "logsigmoid", "tanh", "relu", "exp"})
_STRONG = 0.7  # rate above which wider layers no longer make up for it
_SILENT = 0.05  # share of samples of which a layer lets nothing through
_LEARNED = 0.9
_HALF = 0.5


def _rate(node: Node) -> float:
    """The share that an operator of dropout removes; 0 where it is off or not known."""
    given = named(node)
    if given.get("training", "True") == "False":
        return 0.0
    try:
        return float(given.get("p", given.get("0", "0.5")))
    except ValueError:
        return 0.0


def _dropouts(structure: Structure) -> Iterator[tuple[Node, float]]:
    for node in structure.nodes:
        rate = _rate(node) if node.op in _DROPS and node.inputs else 0.0
        if rate > 0:
            yield node, rate


@rule("dropout-too-strong", early=True)
def dropout_on_the_output(case: Case) -> Iterator[Finding]:
    """Name dropout between the last layer and the loss.

    Exact, from the graph: of what is compared with the targets, dropout is the latest operator but for
    activations and those that rearrange. With rate p it sets a share p of the predictions to 0 and scales the
    others by 1/(1 − p): an error that no weights can remove. Srivastava et al., Dropout (2014).
    """
    for structure in case.structures.values():
        for value in structure.predictions:
            found = _dropped(structure, value)
            if found is None:
                continue
            node, rate = found
            yield Finding(
                "dropout-too-strong",
                "warning",
                f"Dropout of {rate:g} stands on the output: that share of the predictions is set to 0.",
                {"rate": rate, "operator at": node.where},
                exact=True,
                where=node.where,
                layers=(node.module or node.module_type,),
                steps=(0,),
                effect="predictions are erased at random, and the loss counts it as error",
                remedy="remove the dropout behind the last layer",
            )
            return


def _dropped(structure: Structure, value: Value) -> tuple[Node, float] | None:
    for node in structure.chain(value):
        if node.op in _DROPS and _rate(node) > 0:
            return node, _rate(node)
        if node.op not in REARRANGING and node.op not in _SQUASHES:
            return None
    return None


@rule("dropout-too-strong", early=True)
def dropout_on_few_units(case: Case) -> Iterator[Finding]:
    """Name dropout on a layer so narrow that it often lets nothing through.

    All w units of a sample are dropped with probability p^w; exact from rate and width. Named where that is
    at least 5 % and the units feed an affine layer and nothing else (beside a branch that goes around it,
    nothing is lost), unless the task is learned all the same. Srivastava et al., Dropout (2014).
    """
    if (case.explained or 0.0) >= _LEARNED:
        return
    for structure in case.structures.values():
        worst = [
            (rate**width, node, rate, width)
            for node, rate in _dropouts(structure)
            if (width := _width(structure, node)) and rate**width >= _SILENT
        ]
        if not worst:
            continue
        share, node, rate, width = max(worst, key=lambda found: found[0])
        yield Finding(
            "dropout-too-strong",
            "warning",
            f"Dropout of {rate:g} on {width} units lets nothing through for {share:.0%} of the samples.",
            {"rate": rate, "units": width, "share of samples": round(share, 3), "places": len(worst)},
            exact=True,
            where=node.where,
            layers=tuple(dict.fromkeys(one.module or one.module_type for _, one, _, _ in worst)),
            steps=(0,),
            effect="for these samples the prediction is a constant, whatever the input",
            remedy="remove the dropout from narrow layers",
        )
        return


def _width(structure: Structure, node: Node) -> int:
    """Units of a sample that are dropped each for itself, where they feed affine layers alone; else 0."""
    shape = node.inputs[0].shape
    if len(shape) != 2 or not node.outputs:
        return 0
    fed = [user for user in structure.nodes if node.outputs[0] in user.inputs]
    return shape[1] if fed and all(user.op in AFFINE for user in fed) else 0


@rule("dropout-too-strong")
def strong_dropout(case: Case) -> Iterator[Finding]:
    """Name a rate above 0.7 in a run whose training loss stays high.

    What dropout adds to a unit's value x has variance x² p/(1 − p): from p = 0.7 on more than twice the
    signal. Together with less than half of the constant prediction's loss explained (with dropout on), or
    less than half of the loss gone where that is not known; a run that learns is left alone. Srivastava et
    al. found no gain below a kept share of 0.4 and much loss below 0.3; Dropout, figure 9 (2014).
    """
    learned = case.improved if case.explained is None else case.explained
    if learned >= _HALF or case.structure is None:
        return
    strong = [(rate, node) for node, rate in _dropouts(case.structure) if rate > _STRONG]
    if not strong:
        return
    rate, node = max(strong, key=lambda found: found[0])
    kept = math.prod(1 - other for other, _ in strong)
    yield Finding(
        "dropout-too-strong",
        "warning",
        f"Dropout removes {rate:.0%} of the units at {len(strong)} place{'s' if len(strong) > 1 else ''},"
        " and the training loss stays high.",
        {
            "rate": rate,
            "places": [one.where for _, one in strong[:4]],
            "kept by all of them": kept,
            "loss at the end": case.losses.end,
            **({} if case.explained is None else {"explained": round(case.explained, 3)}),
        },
        confidence=0.85,
        where=node.where,
        layers=tuple(dict.fromkeys(one.module or one.module_type for _, one in strong)),
        effect=f"noise of {math.sqrt(rate / max(1 - rate, 1e-6)):.1f} times each value is added in training",
        remedy="lower p to 0.1 to 0.5",
    )


# ---------------------------------------------------------------------- batch normalisation


@rule("batch-norm-small-batch", early=True)
def few_samples_to_normalise(case: Case) -> Iterator[Finding]:
    """Name batch normalisation over so few samples that its statistics are noise.

    The mean of B samples has error σ/√B; positions of one sample are too alike to count as more. Named where
    every recorded training step normalises 2 samples or fewer, or fewer than 8 values in layers without
    positions, in training mode; 3 to 7 samples with positions only as information. A short last batch does
    not count. Wu & He, Group Normalization: error rises steeply below 8 samples (2018).
    """
    rows = [row for row in case.record.tables.get("modes", []) if row.get("phase") == "train"]
    if rows and not any(row["norm_on"] for row in rows):
        return
    found = [
        node
        for structure in case.structures.values()
        for node in structure.nodes
        if node.op == "batch_norm" and node.inputs and node.inputs[0].shape
    ]
    if not found or len(case.structures) < min(2, case.steps):
        return
    node = max(found, key=lambda one: one.inputs[0].shape[0])
    samples, values = node.inputs[0].shape[0], _values(node)
    few = samples <= 2 or values < 8
    if not few and samples >= 8:
        return
    yield Finding(
        "batch-norm-small-batch",
        "warning" if few else "info",
        f"Batch normalisation takes its statistics over {samples} sample{'s' if samples > 1 else ''}.",
        {"samples": samples, "values for each mean": values, "layers": len({one.module for one in found})},
        exact=few,
        confidence=1.0 if few else 0.5,
        where=node.where,
        layers=tuple(dict.fromkeys(one.module for one in found))[:8],
        steps=(0,),
        effect=f"what is subtracted is off by {1 / math.sqrt(samples):.0%} of a deviation, and running"
        " averages fit no batch",
    )


def _values(node: Node) -> int:
    """How many numbers each mean is taken over."""
    shape = node.inputs[0].shape
    return math.prod(shape) // shape[1] if len(shape) > 1 else shape[0]


# ---------------------------------------------------------------------- weight decay


@rule("weight-decay-too-strong")
def decay_that_wins(case: Case) -> Iterator[Finding]:
    """Name a penalty on the weights that outweighs the loss and shrinks the net to nothing.

    With a penalty within the gradient (SGD, Adam) the step follows g + λ w; as long as a weight matrix
    shrinks from its first norm to half of it, ‖λ w‖ > ‖g‖ says that the penalty leads (medians over looks; a
    gradient that has died, below 1/1000 of its first norm, does not count). With decoupled decay (AdamW) the
    weights shrink by exp(−λ Σ η), at least to half. Named where at least half of the weight matrices have
    lost half of their norm, one or more in this way, and less than 90 % of the constant prediction's loss is
    explained.
    Krogh & Hertz, A Simple Weight Decay Can Improve Generalization (1992); Loshchilov & Hutter (2019).
    """
    learned = case.improved >= 0.5 if case.explained is None else case.explained >= _LEARNED
    if learned or len(case.optimizers) != 1:
        return
    optimizer = case.optimizers[0]
    groups = optimizer.get("groups") or [{}]
    decay = float(max(groups, key=lambda group: group.get("parameters", 0)).get("weight_decay") or 0.0)
    if decay <= 0:
        return
    decoupled = "AdamW" in str(optimizer.get("class")) or bool(groups[0].get("decoupled_weight_decay"))
    shapes = {p.name: p.shape for graph in case.graphs.values() for p in graph.module_parameters}
    matrices = [name for name in case.signals("weight_norm") if len(shapes.get(name, ())) > 1]
    shrunk = [name for name in matrices if _kept(case, name) <= 0.5]
    leads = [lead for name in shrunk if (lead := _lead(case, name, decay, decoupled=decoupled)) is not None]
    if not leads or 2 * len(shrunk) < len(matrices):
        return
    lost = [1 - _kept(case, name) for name in shrunk]
    yield Finding(
        "weight-decay-too-strong",
        "warning",
        f"Weight decay of {decay:g} shrinks {len(shrunk)} of {len(matrices)} weight matrices by up to"
        f" {max(lost):.0%}: the penalty outweighs the loss.",
        {
            "weight decay": decay,
            "matrices that shrank": shrunk[:6],
            "norm lost": [round(share, 2) for share in lost[:6]],
            "penalty's gradient ÷ loss's, while shrinking": [round(lead, 2) for lead in leads[:6]],
            "loss at the end": case.losses.end,
            **({} if case.explained is None else {"explained": round(case.explained, 3)}),
        },
        confidence=0.85,
        where=str(optimizer.get("where", "")),
        layers=tuple(shrunk),
        effect="the net is pulled towards zero, and with it its outputs towards a constant",
        remedy=f"lower weight_decay from {decay:g} to {decay / 1000:.0e} or less",
    )


def _kept(case: Case, name: str) -> float:
    norms = case.signal("weight_norm", name).values
    return float(norms[-1] / norms[0]) if len(norms) and norms[0] > 0 else math.nan


def _lead(case: Case, name: str, decay: float, *, decoupled: bool) -> float | None:
    """How far the penalty leads while a matrix loses half of its norm; None where it does not."""
    weights, gradients = case.signal("weight_norm", name), case.signal("grad_norm", name)
    if decoupled:
        rates = case.signal("lr", "0.0")
        total = _area(rates.steps, rates.values, case.steps) * decay
        return total if total >= math.log(2) else None
    steps, at, of = np.intersect1d(weights.steps, gradients.steps, return_indices=True)
    norms, slopes = weights.values[at], gradients.values[of]
    falling = (norms >= norms[0] / 2) & (norms < norms[0]) & (slopes > slopes[0] / 1000) if len(steps) else []
    if not np.any(falling):
        return None
    lead = float(np.median(decay * norms[falling] / slopes[falling]))
    return lead if lead > 1 else None


def _area(steps: np.ndarray, values: np.ndarray, end: int) -> float:
    """The sum over all steps of a value that is written down where it changes."""
    if not len(steps):
        return 0.0
    return float((np.diff([*steps, max(end, int(steps[-1]) + 1)]) * values).sum())
