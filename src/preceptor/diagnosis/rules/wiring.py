"""Rules: layers that are built and left out, and layers that stand in several places."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from preceptor.diagnosis._cuts import above
from preceptor.diagnosis._parts import Layer, Parts, parts_of, settled
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rule import rule

__all__: list[str] = []

_TIED = frozenset({"Embedding", "EmbeddingBag"})  # one for encoder and decoder is common practice


@rule("unused-parameters", early=True)
def unused_parameters(case: Case) -> Iterator[Finding]:
    """Name trainable layers of the program's own modules that no forward pass calls.

    Exact that they do nothing: not called at any look, no gradient, values unchanged. It counts in modules
    that the program defines; of ready-made ones (poolers, heads for other tasks) it is only information.
    Experts and branches that are met now and then change their values or get a gradient. While the run goes
    on it counts only where a layer that is registered later is called (one was left out of the middle) or one
    of equal shape beside it is called twice. PyTorch manual, DistributedDataParallel (2025).
    """
    parts = parts_of(case)
    if parts.looks < 2 or not (case.over or parts.steady) or not settled(case):
        return
    idle = [layer for layer in parts.layers if _unused(parts, layer)]
    if not idle:
        return
    amid = [
        layer for layer in idle if layer.own and (case.over or _followed(parts, layer) or _twin(parts, layer))
    ]
    shown = amid or idle
    size = sum(layer.size for layer in shown)
    names = ", ".join(layer.label for layer in shown[:4]) + (" …" if len(shown) > 4 else "")
    yield Finding(
        "unused-parameters",
        "warning" if amid else "info",
        f"{len(shown)} layer{'s are' if len(shown) > 1 else ' is'} built and never called: {names}.",
        {
            "never called": [layer.name for layer in shown[:8]],
            "numbers": size,
            "training steps looked at": parts.looks,
            "share of all numbers": round(size / max(1, parts.size), 3),
        },
        exact=True,
        where=next((_line(case, twin) for layer in shown if (twin := _twin(parts, layer)) is not None), ""),
        layers=tuple(layer.name for layer in shown),
        steps=(0,),
        effect="the net that trains is smaller than the one that is written down",
        against=() if amid else ("they may belong to something that this run does not use",),
    )


def _line(case: Case, layer: Layer) -> str:
    """The last line from which a layer is called, in a recorded step."""
    lines = [
        node.where for graph in case.graphs.values() for node in graph.nodes if node.module == layer.name
    ]
    return lines[-1] if lines else ""


def _unused(parts: Parts, layer: Layer) -> bool:
    rows = [row for row in parts.apart if row.module == layer.name]
    return (
        layer.registered
        and not layer.called
        and bool(rows)
        and all(row.trainable and not row.reached and not row.changed for row in rows)
    )


def _beside(parts: Parts, layer: Layer) -> Iterator[Layer]:
    """Yield the layers of the same owner, by its path."""
    return (other for other in parts.layers if other.parent == layer.parent and other.owner == layer.owner)


def _followed(parts: Parts, layer: Layer) -> bool:
    """Whether a layer that the same module registers later is called."""
    after = list(parts.layers)[parts.layers.index(layer) + 1 :]
    return any(other.parent == layer.parent and other.called for other in after)


def _twin(parts: Parts, layer: Layer) -> Layer | None:
    """A layer beside it, of the same class and shape, that is called several times in one pass."""
    return next(
        (
            other
            for other in _beside(parts, layer)
            if other.most > 1 and (other.kind, other.shape) == (layer.kind, layer.shape)
        ),
        None,
    )


@rule("shared-module", early=True)
def shared_module(case: Case) -> Iterator[Finding]:
    """Name one layer that stands in several places by accident.

    Exact: within one forward pass a layer is called several times while one of the same class and shape
    beside it is never called; or one object with parameters is registered in several places, as
    ``[layer] * n`` makes it, and is given what it has made itself. Towers of siamese nets, recurrent cells,
    tied embeddings and whatever shares weights without a twin that is left out do not count. PyTorch manual,
    torch.nn.ModuleList (2025).
    """
    parts = parts_of(case)
    if parts.looks < 2 or not (case.over or parts.steady) or not settled(case):
        return
    pairs = [(t, x) for x in parts.layers if _unused(parts, x) and (t := _twin(parts, x)) is not None]
    if pairs:
        twice = list(dict.fromkeys(twin for twin, _ in pairs))
        yield Finding(
            "shared-module",
            "warning",
            f"{twice[0].label} is called {twice[0].most} times in each forward pass, and its twin"
            f" {pairs[0][1].name} never.",
            {
                "called several times": [layer.name for layer in twice[:8]],
                "never called": [layer.name for _, layer in pairs[:8]],
                "calls in one forward pass": twice[0].most,
            },
            exact=True,
            where=_line(case, twice[0]),
            layers=tuple(layer.name for layer in twice),
            steps=(0,),
            effect="one set of weights (and of batch statistics) has to serve two places",
            remedy=f"call {pairs[0][1].name} in its own place",
        )
    for row in parts.repeated:
        if (row.get("together") or row["class"] not in _TIED) and _runs_on_itself(case, parts, row["name"]):
            yield _repeated(row)
            return


def _runs_on_itself(case: Case, parts: Parts, path: str) -> bool:
    """Whether a layer within a module is called several times, and is given what it has made itself."""
    layers = {
        layer.name
        for layer in parts.layers
        if layer.most > 1 and (layer.name == path or layer.name.startswith(f"{path}."))
    }
    for structure in case.structures.values():
        for node in structure.nodes:
            if node.module in layers and any(
                (other.module, other.op) == (node.module, node.op)
                for other in (structure.graph.nodes[index] for index in above(node))
            ):
                return True
    return False


def _repeated(row: dict[str, Any]) -> Finding:
    names, together = row["names"], bool(row.get("together"))
    return Finding(
        "shared-module",
        "warning",
        f"One {row['class']} stands in {len(names)} places ({', '.join(names[:3])}): they share its"
        f" {row['parameters']:,} weights.",
        {"places": names, "numbers": row["parameters"], "in one container": together},
        confidence=0.85 if together else 0.7,
        exact=True,
        layers=tuple(names),
        steps=(0,),
        effect="the net has the depth that is written down with the weights of one layer",
        remedy="make one object for each place: [Layer(...) for _ in range(n)], not [Layer(...)] * n",
        against=("weights may be shared between depths on purpose",),
    )
