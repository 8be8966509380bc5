"""Rules: training and evaluation mode of layers that act differently in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from preceptor.diagnosis._order import line_of, step_of, stretches
from preceptor.diagnosis._parts import parts_of
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rule import rule
from preceptor.observation.graph import Node
from preceptor.observation.protocol import Event

__all__: list[str] = []

_DROPS = frozenset(
    {"dropout", "dropout_", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"}
    | {"feature_dropout", "native_dropout"}
)


_UNKNOWN: dict[str, Any] = {"again": True, "renews": False, "random": False, "rate": 0.0}


def _rows(case: Case, phase: str) -> list[dict[str, Any]]:
    """The rows of a phase; what older records lack counts as what nothing follows from."""
    return [_UNKNOWN | row for row in case.record.tables.get("modes", []) if row.get("phase") == phase]


@rule("evaluation-mode-in-training", early=True)
def evaluation_mode_in_training(case: Case) -> Iterator[Finding]:
    """Name training steps with dropout off and running statistics in use.

    Exact: at a training step the model is in evaluation mode, and so are all its dropout and batch
    normalisation layers that stand beside trainable parameters. That counts where it trained in training mode
    before (an evaluation switched it and nothing switched it back), or where dropout is off from the start.
    Frozen parts, batch normalisation that is held in evaluation mode on purpose (alone, or from the start
    with loaded weights) and nets that only carry a gradient to their input do not count. PyTorch manual,
    Autograd mechanics: Evaluation mode (2025).
    """
    rows = _rows(case, "train")
    if len(case.optimizers) == 0:
        return
    for place, row in enumerate(rows):
        off, on = _layers(row, "off"), _layers(row, "on")
        if row["training"] or not off or on or not _trained(case, row):
            continue
        before = any(earlier["model"] == row["model"] and earlier["training"] for earlier in rows[:place])
        loaded = any(event.kind == "load_state_dict" for s in stretches(case) for event in s.events)
        if not before and not row["dropout_off"] and loaded:
            continue
        step = _switched(case, row)
        what = "dropout" if row["dropout_off"] else "batch normalisation"
        since = f"from step {step} on" if before and step is not None else "from the start"
        yield Finding(
            "evaluation-mode-in-training",
            "warning",
            f"{row['class']} trains in evaluation mode {since}: {what} does not act.",
            {
                "dropout layers off": row["dropout_off"],
                "batch normalisation layers off": row["norm_off"],
                "trained in training mode before": before,
                "eval() called at": line_of(case, "eval"),
            },
            exact=True,
            where=line_of(case, "forward", lambda event: event.grad and not event.training)
            or line_of(case, "eval"),
            steps=(row["step"] if step is None else step,),
            effect="nothing regularises the rest of the run"
            if row["dropout_off"]
            else "running statistics are those of the past, or the 0 and 1 that they start with",
            remedy="call model.train() at the beginning of every epoch, after each evaluation",
        )
        return


def _layers(row: dict[str, Any], state: str) -> int:
    return int(row[f"dropout_{state}"]) + int(row[f"norm_{state}"])


def _switched(case: Case, row: dict[str, Any]) -> int | None:
    """The first step whose forward pass recorded gradients in evaluation mode."""
    return step_of(
        case,
        lambda event: (
            event.kind == "forward" and event.grad and not event.training and event.subject == row["class"]
        ),
    )


def _trained(case: Case, row: dict[str, Any]) -> bool:
    """Whether an optimizer moves some parameter of the model."""
    prefix = f"{row['model']}." if row["model"] else ""
    others = tuple(f"{model['name']}." for model in case.facts.get("models", []) if model["name"])
    layers = {
        layer.name
        for layer in parts_of(case).layers
        if layer.name.startswith(prefix) and (prefix or not layer.name.startswith(others))
    }
    return any(
        name.rpartition(".")[0] in layers and len(series) > 0 and bool((series.values > 0).any())
        for name, series in case.signals("update_norm").items()
    )


@rule("training-mode-in-evaluation", early=True)
def training_mode_in_evaluation(case: Case) -> Iterator[Finding]:
    """Name evaluations with dropout on or with statistics of the batch.

    Exact: without gradient, a model is called in which dropout or batch normalisation layers are in training
    mode. Statistics of the batch count only in passes with losses or a loader of their own. Not meant:
    several passes of one batch (predictions are averaged), passes at about every training step (targets,
    teachers), running statistics that are taken anew, several nets with an optimizer each (games, in which
    one net draws samples for the other). PyTorch manual, torch.nn.Module.eval (2025).
    """
    if len(case.optimizers) > 1:
        return
    for row in _rows(case, "evaluation"):
        if not row["training"] or not _layers(row, "on") or row["renews"] or _averages(case, row["source"]):
            continue
        counted = _is_evaluation(case, row["source"])
        if not counted and (not row["dropout_on"] or _passes(case, row["source"]) > case.steps / 2):
            continue
        what = f"dropout of {row['rate']:g}" if row["dropout_on"] else "statistics of each batch"
        yield _in_training_mode(
            f"{row['class']} is evaluated in training mode, with {what}.",
            {"dropout layers on": row["dropout_on"], "batch normalisation layers on": row["norm_on"]},
            _line(row["source"]),
            int(row["step"]),
            drops=bool(row["dropout_on"]),
        )
        return


@rule("training-mode-in-evaluation", early=True)
def training_mode_with_gradient(case: Case) -> Iterator[Finding]:
    """Name evaluations in training mode that record gradients besides.

    Exact: losses of batches from a loader that is not trained from, which no backward pass follows, of a
    model in training mode that has dropout or batch normalisation layers. PyTorch manual,
    torch.nn.Module.eval (2025).
    """
    trained = {
        event.subject.partition(" (")[0]
        for stretch in stretches(case)
        if any(event.kind == "backward" for event in stretch.events)
        for event in _before_backward(stretch.events)
    }
    rows = [row for row in _rows(case, "train") if row["training"] and _layers(row, "on")]
    if not rows or not trained or len(case.optimizers) > 1:
        return
    for name, fact in case.facts.get("evaluations", {}).items():
        loader = name.partition(" ")[2]
        if fact.get("training") and fact.get("grad") and loader and loader not in trained:
            yield _in_training_mode(
                f"{rows[0]['class']} is evaluated in training mode, and with gradients recorded.",
                {"passes": fact.get("passes", 0), "dropout layers on": rows[0]["dropout_on"]},
                _line(name),
                0,
                drops=bool(rows[0]["dropout_on"]),
            )
            return


def _before_backward(events: tuple[Event, ...]) -> Iterator[Event]:
    """Yield the batch that came last before each backward pass."""
    batch = None
    for event in events:
        if event.kind == "batch":
            batch = event
        elif event.kind == "backward" and batch is not None:
            yield batch


def _in_training_mode(title: str, evidence: dict[str, Any], where: str, step: int, *, drops: bool) -> Finding:
    return Finding(
        "training-mode-in-evaluation",
        "warning",
        title,
        evidence,
        exact=True,
        where=where,
        steps=(step,),
        effect="scores are those of a damaged net, and change from call to call"
        if drops
        else "scores depend on the company in the batch, and running statistics take in evaluation data",
        remedy="call model.eval() before evaluation, and model.train() after it",
    )


@rule("training-mode-in-evaluation")
def dropout_that_is_always_on(case: Case) -> Iterator[Finding]:
    """Name a dropout function that does not heed the model's mode.

    Exact: the model is evaluated in evaluation mode, the call draws random numbers, and in the recorded
    training step the only operators in the model that draw some, modules of dropout aside, are functions of
    dropout. Where the model draws others (sampling of latents), or where predictions are averaged over
    several passes of a batch, nothing is said. PyTorch manual, torch.nn.functional.dropout (2025).
    """
    rows = [row for row in _rows(case, "evaluation") if row["random"]]
    if not rows or case.structure is None:
        return
    drawing = [n for graph in case.graphs.values() for n in graph.nodes if n.random and n.module_type]
    loose = [node for node in drawing if not _is_module_s(node)]
    if not loose or any(node.op not in _DROPS for node in loose):
        return
    where = _line(rows[0]["source"])
    if _averages(case, rows[0]["source"]):
        return
    places = list(dict.fromkeys(node.where for node in loose))
    yield Finding(
        "training-mode-in-evaluation",
        "warning",
        f"Dropout stays on in evaluation: the call at {places[0]} does not heed the model's mode.",
        {
            "random numbers in evaluation mode": True,
            "calls of dropout": places[:4],
            "evaluated at": where,
            "options": loose[0].options,
        },
        exact=True,
        where=places[0],
        layers=tuple(dict.fromkeys(node.module or node.module_type for node in loose)),
        steps=(rows[0]["step"],),
        effect="scores are those of a damaged net, and change from call to call",
        remedy="pass training=self.training to F.dropout, or use nn.Dropout",
    )


def _is_module_s(node: Node) -> bool:
    """Whether a module of torch's own heeds the mode for the operator."""
    return "Dropout" in node.module_type or node.module_type in (
        *("RNN", "LSTM", "GRU", "MultiheadAttention", "TransformerEncoderLayer", "TransformerDecoderLayer"),
    )


def _line(source: str) -> str:
    """The user's line in the name of an evaluation."""
    return source.removeprefix("evaluation:").split(" ")[0].split("<")[0]


def _is_evaluation(case: Case, source: str) -> bool:
    """Whether passes from there are evaluations for sure: with losses, or from a loader of their own."""
    known = case.facts.get("evaluations", {})
    plain = source.partition(" of model ")[0]
    if plain in known and _passes(case, source) <= case.steps / 2:
        return True
    loader = plain.partition(" ")[2]
    return any(
        name.partition(" ")[2] == loader and fact.get("training") and not fact.get("grad")
        for name, fact in known.items()
        if name in case.evaluations
    )


def _passes(case: Case, source: str) -> int:
    """At how many training steps a model was called without gradient from a line."""
    where = _line(source)
    return sum(
        stretch.repeats
        for stretch in stretches(case)
        if any(e.kind == "forward" and not e.grad and e.where == where for e in stretch.events)
    )


def _averages(case: Case, source: str) -> bool:
    """Whether one batch passes several times in a row."""
    return any(row["again"] for row in _rows(case, "evaluation") if row["source"] == source)
