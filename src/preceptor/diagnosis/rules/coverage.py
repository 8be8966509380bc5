"""Rules: parameters that no gradient reaches, that no optimizer holds, or that are frozen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from preceptor.diagnosis._aimed import moves_inputs
from preceptor.diagnosis._cuts import Cut, cut_after, enters, whole_cut
from preceptor.diagnosis._parts import Apart, Parts, parts_of, settled, share_drawn
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rule import rule

__all__: list[str] = []

_RANDOM = 0.5  # share of elements that look drawn at random, from which on they were not trained before
_RESERVOIRS = frozenset({"RNN", "RNNCell"})  # plain recurrences are frozen on purpose now and then


def _idle(case: Case) -> list[dict[str, Any]]:
    """Optimizers whose parameters had no gradient at any step though a backward pass came before each."""
    return [
        optimizer
        for optimizer in case.optimizers
        if (counts := optimizer.get("gradients") or {}).get("steps", 0) >= 2
        and counts["none"] == counts["backward"] == counts["steps"]
        and not counts["cleared"]
    ]


def _names(rows: list[Apart]) -> str:
    modules = list(dict.fromkeys(row.module or row.name for row in rows))
    shown = ", ".join(modules[:3])
    return shown if len(modules) <= 3 else f"{shown} and {len(modules) - 3} more"


@rule("parameters-not-optimized", early=True)
def parameters_not_optimized(case: Case) -> Iterator[Finding]:
    """Name trainable parameters that get a gradient and that no optimizer has ever held.

    Exact that they never move: gradients reach them, their values do not change, no optimizer holds them.
    Whether by accident: an optimizer has nothing but parameters without any gradient (it holds those of
    another model), or they stand as they were drawn at random: then what trains stands on random features.
    What was trained or loaded before (features that are only read out), what the program moves by hand, what
    is too small to tell, and nets whose inputs are moved in their stead (adversarial examples) are not named,
    or only as information. PyTorch manual, torch.optim (2025).
    """
    parts = parts_of(case)
    left = [
        row for row in parts.apart if row.trainable and row.reached and row.held is None and not row.changed
    ]
    if not left or not settled(case):
        return
    idle, drawn = _idle(case), share_drawn(left)
    loose = [layer for layer in parts.layers if not layer.registered and layer.called]
    size, total = sum(row.size for row in left), max(1, parts.size)
    accident = bool(idle) or (drawn is not None and drawn >= _RANDOM and not moves_inputs(case))
    severity = "info" if not accident else "critical" if idle or size > total / 2 else "warning"
    if idle:
        title = f"{idle[0]['label']} holds none of the parameters that the loss reaches: nothing is trained."
    else:
        title = f"No optimizer holds {_names(left)}: {size:,} of {total:,} numbers never move."
    listed = [layer for layer in loose if any(row.module == layer.name for row in left)]
    yield Finding(
        "parameters-not-optimized",
        severity,  # type: ignore[arg-type]  # one of the severities
        title,
        {
            "parameters without an optimizer": [row.name for row in left[:8]],
            "numbers": size,
            "share of the layers that were called": round(size / total, 3),
            "look drawn at random": drawn,
            "not among the model's submodules": [layer.label for layer in listed[:4]],
            "optimizer built at": next((str(o.get("where", "")) for o in idle or case.optimizers), ""),
        },
        exact=True,
        where=next((str(o.get("where", "")) for o in idle or case.optimizers), ""),
        layers=tuple(dict.fromkeys(row.module for row in left)),
        steps=(0,),
        effect="they keep the values they started with; what is trained has to make do with them",
        remedy="keep the layers in nn.ModuleList or as attributes, so that model.parameters() has them"
        if listed
        else "",
        against=()
        if accident
        else ("they may have been trained before, and be left as they are on purpose",),
    )


@rule("frozen-parameters", early=True)
def frozen_parameters(case: Case) -> Iterator[Finding]:
    """Name frozen weights on the way to the prediction that stand as they were drawn at random.

    requires_grad=False in an embedding, linear or convolution layer whose output enters the prediction; its
    numbers pass the tests for independent draws of one distribution, which weights that were trained fail.
    Frozen parts that were trained or loaded, targets and teachers, moving averages (they change), recurrent
    reservoirs and random Fourier features (frozen factors within sin or cos) do not count, nor a run that
    has learned the task all the same, nor one that moves its inputs (transfer of style, what a unit looks
    for). PyTorch manual, torch.nn.Embedding.from_pretrained (2025).
    """
    if case.structure is None or (case.explained or 0.0) >= 0.95:
        return
    parts = parts_of(case)
    frozen = [
        row
        for row in parts.apart
        if not row.trainable and not row.changed and row.drawn and row.kind not in _RESERVOIRS
        and enters(case.structure, row.name)
    ]  # fmt: skip
    if not frozen or not settled(case) or moves_inputs(case):
        return
    size, total = sum(row.size for row in frozen), max(1, parts.size)
    frozen_rows = [row for row in parts.apart if not row.trainable and not row.changed]
    if (share_drawn(frozen_rows) or 0.0) < _RANDOM:
        return
    yield Finding(
        "frozen-parameters",
        "warning",
        f"{_names(frozen)} is frozen at random values: {size:,} of {total:,} numbers cannot learn.",
        {
            "frozen": [row.name for row in frozen[:8]],
            "numbers": size,
            "distribution": frozen[0].drawn,
            "held by an optimizer": any(row.held is not None for row in frozen),
        },
        confidence=0.9,
        layers=tuple(dict.fromkeys(row.module for row in frozen)),
        steps=(0,),
        effect="the rest of the net learns on top of random features",
        remedy="set requires_grad_(True) before the optimizer is built (Embedding.from_pretrained:"
        " freeze=False)",
        against=("weights that were drawn at random may be frozen on purpose",),
    )


@rule("detached-graph", early=True)
def detached_graph(case: Case) -> Iterator[Finding]:
    """Name a loss whose gradient reaches nothing that is trained.

    Exact: backward ran before each of an optimizer's first steps, none of its parameters had a gradient at
    any of them, and no parameter outside of it had one either. The graph says where the way is cut: the
    operator in front of the loss whose input has a gradient to give and whose output has not. PyTorch
    manual, Tensor.detach (2025).
    """
    idle, parts = _idle(case), parts_of(case)
    if not idle or any(row.reached and row.trainable and not row.changed for row in parts.apart):
        return
    if not parts.layers and any(v.gradient for graph in case.graphs.values() for v in graph.parameters):
        return
    cut = next((found for s in case.structures.values() if (found := whole_cut(s)) is not None), None)
    yield Finding(
        "detached-graph",
        "critical",
        f"The loss is cut off from the model: no parameter of {idle[0]['label']} ever gets a gradient"
        + (f" ({cut.text})." if cut else "."),
        {
            "steps that were followed": idle[0]["gradients"]["steps"],
            "without any gradient": idle[0]["gradients"]["none"],
            **({"cut by": cut.op, "at": cut.where} if cut else {}),
        },
        exact=True,
        where=cut.where if cut else "",
        layers=(cut.layer,) if cut and cut.layer else (),
        steps=(0, 1),
        effect="backward runs and changes nothing: the weights stay as they are",
        remedy=f"pass on the tensor itself: no {cut.op} between model and loss" if cut else "",
    )


@rule("detached-graph", early=True)
def detached_part(case: Case) -> Iterator[Finding]:
    """Name trained layers that run, and from which no gradient comes back because the way is cut.

    Exact that nothing comes back: an optimizer holds the parameters, their layer is called at every look, no
    gradient reaches them, their values stay. Either the layer runs without recording gradients, or the graph
    has an operator between it and the loss that passes values on and no gradient. Whether by accident: the
    weights look drawn at random, or are too few to tell; weights that were trained before are often read
    like that on purpose. PyTorch manual, Tensor.detach (2025).
    """
    if not settled(case) or _idle(case):
        return
    parts = parts_of(case)
    rows = [r for r in parts.apart if r.trainable and r.held is not None and not (r.reached or r.changed)]
    cuts: dict[str, tuple[Cut, list[Apart]]] = {}
    for row in rows:
        cut = _cut_of(case, parts, row)
        if cut is not None:
            cuts.setdefault(cut.where, (cut, []))[1].append(row)
    for cut, cut_off in cuts.values():
        drawn = share_drawn(cut_off)
        accident = drawn is None or drawn >= _RANDOM
        size = sum(row.size for row in cut_off)
        yield Finding(
            "detached-graph",
            "warning" if accident else "info",
            f"No gradient comes back to {_names(cut_off)}: {cut.text}.",
            {
                "cut by": cut.op,
                "at": cut.where,
                "parameters without a gradient": [row.name for row in cut_off[:8]],
                "numbers": size,
                "look drawn at random": drawn,
            },
            confidence=0.95 if drawn else 0.7,
            exact=True,
            where=cut.where,
            layers=tuple(dict.fromkeys(row.module for row in cut_off)),
            steps=(0,),
            effect=f"{size:,} numbers that the optimizer holds never move",
            against=() if drawn else ("the way may be cut on purpose",),
        )


def _cut_of(case: Case, parts: Parts, row: Apart) -> Cut | None:
    layer = parts.layer(row.module)
    if layer is None or layer.called == 0:
        return None
    if layer.gradless == layer.called:
        return Cut("no_grad", "", layer.name, "it runs without recording gradients")
    return next((c for s in case.structures.values() if (c := cut_after(s, row.name)) is not None), None)
