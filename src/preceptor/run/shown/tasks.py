"""What the report shows of tasks whose predictions are neither classes, numbers nor grids."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from preceptor import tasks
from preceptor.data import Part
from preceptor.data._transcripts import TranscriptCoder
from preceptor.data._trees import TreeCoder
from preceptor.report._canvas import Drawing
from preceptor.report._format import count, fixed, label, number, part_name
from preceptor.report._table import Table
from preceptor.report.looks import Look, Row, Shown, stretched
from preceptor.report.summary import worst
from preceptor.run.shown.beside import beside_density, beside_imputation
from preceptor.run.shown.translations import goal, translations_shown
from preceptor.training.dense import disturbed, with_noise
from preceptor.training.evaluate import outputs
from preceptor.training.feeds import in_order
from preceptor.training.purpose import takes_gaps

if TYPE_CHECKING:
    from preceptor.run._run import Run

__all__ = ["Own", "is_own", "own", "share_table"]

_SHARES = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
_SAMPLES = 16


@dataclass(frozen=True)
class Own:
    """What a task shows in place of the usual predictions.

    Attributes:
        goal: what is predicted, in words.
        by_class: measures of each class.
        tables: of examples and comparisons.
        looks: pictures.
        drawings: figures.
    """

    goal: str
    by_class: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    tables: tuple[Table, ...] = ()
    looks: tuple[Look, ...] = ()
    drawings: tuple[Drawing, ...] = ()


def is_own(run: Run) -> bool:
    """Say whether a run's task shows its predictions in its own way."""
    return run.task.name in _SHOW


def own(run: Run) -> Own | None:
    """Return what a run's task shows of validation, or else of training; None for the usual tasks.

    The test set is left alone.
    """
    show = _SHOW.get(run.task.name)
    return show(run) if show is not None else None


def _measured(run: Run) -> tuple[Part, str, Tensor, Tensor] | None:
    """Return the examples that are shown, which they are, and the outputs and targets of those."""
    name = "val" if run.part("val") is not None else "train"
    part = disturbed(run.part(name), with_noise(run.experiment))
    batches = in_order(part, batch_size=64, device=run.predictor.device)
    if part is None or batches is None:
        return None
    return part, name, *outputs(run.predictor, batches)


def _labels(run: Run) -> Own:
    names = run.task.classes  # type: ignore[attr-defined]  # the task's own
    goal, found = f"any of {count(len(names))} labels", _measured(run)
    if found is None:
        return Own(goal)
    part, where, output, target = found
    losses, said = run.task.example_losses(output, target).numpy(), run.task.predict(output)

    def listed(row: Tensor) -> str:
        return label(", ".join(n for n, one in zip(names, row.tolist(), strict=True) if one), 120) or "–"

    rows = tuple(
        (count(part.rows[i]), listed(target[i]), listed(said[i]), number(losses[i])) for i in worst(losses)
    )
    title = f"Worst predictions, {part_name(where)}"
    table = Table(title, ("row", "true", "predicted", "loss"), rows, text=frozenset({0, 1, 2}))
    return Own(goal, run.task.each_class(output, target), (table,))


def _unusual(run: Run) -> Own:
    task = run.task
    assert isinstance(task, tasks.AnomalyDetection)  # noqa: S101 - by its name
    goal, found = "whether an example is unusual", _measured(run)
    if found is None:
        return Own(goal)
    part, where, output, target = found
    scores = task.scores(output).numpy()
    order = [int(i) for i in np.argsort(-scores, kind="stable")[:12]]
    known = {0: "usual", 1: "anomaly"} if task.anomalies else {0: "–"}
    rows = tuple((count(part.rows[i]), number(scores[i]), known[int(target[i])]) for i in order)
    note = f"A score is how many nats the log-density lies below the threshold, {number(task.threshold)}."
    head = ("row", "score", "what it is")
    table = Table(f"Most unusual examples, {part_name(where)}", head, rows, note, text=frozenset({0, 2}))
    captions = [f"row {count(part.rows[i])}, {number(scores[i])}, {known[int(target[i])]}" for i in order]
    looks = _pictures(run, part.rows[order], captions, "unusual", "Most unusual examples", note)
    return Own(goal, task.each_class(output, target), (table,), looks)


def _pictures(
    run: Run, rows: Any, captions: Sequence[str], key: str, title: str, lead: str
) -> tuple[Look, ...]:
    if run.prepared is None or run.prepared.dataset.kind != "images":
        return ()
    images = [np.asarray(run.prepared.dataset.inputs[row]) for row in rows]  # type: ignore[index]  # images are arrays
    shown = tuple(Shown(_grey(image), text) for image, text in zip(images, captions, strict=True))
    return (Look(key, title, lead, (Row("", shown),)),)


def _grey(image: Any) -> Any:
    """Return an image (C, H, W) of any numbers as shades."""
    shades = stretched(np.nan_to_num(image, nan=float(np.nanmin(image)) if np.isfinite(image).any() else 0.0))
    return shades.transpose(1, 2, 0)[..., :3] if len(shades) >= 3 else shades[0]


def _density(run: Run) -> Own:
    goal, found = "the density of an example", _measured(run)
    if found is None or run.prepared is None:
        return Own(goal)
    _, where, output, _ = found
    own_values = run.task.predict(output).double().numpy()
    tables = [beside_density(run, own_values, part_name(where))]
    looks: tuple[Look, ...] = ()
    if hasattr(run.model, "sample") and run.experiment.model.name != "reconstruction-error":
        made = run.sample(_SAMPLES if run.prepared.dataset.kind == "images" else 1000, seed=0)
        if run.prepared.dataset.kind == "images":
            shown = tuple(Shown(_grey(image)) for image in made)
            lead = "New examples, drawn from the density that was learned."
            looks = (Look("samples", "Samples", lead, (Row("", shown),)),)
        else:
            tables.append(_of_samples(run, made))
    return Own(goal, {}, tuple(tables), looks)


def _of_samples(run: Run, made: Any) -> Table:
    """Return mean and deviation of each feature, in the training data and in samples."""
    assert run.prepared is not None  # noqa: S101 - there is a part
    raw = np.asarray(run.prepared.dataset.inputs)[run.prepared.split.train].astype(np.float64)
    names = run.prepared.dataset.feature_names or tuple(map(str, range(made.shape[1])))
    rows = tuple(
        (
            label(name, 40),
            *map(number, (raw[:, i].mean(), made[:, i].mean(), raw[:, i].std(), made[:, i].std())),
        )
        for i, name in enumerate(names[:30])
    )
    head = ("feature", "mean, data", "mean, samples", "deviation, data", "deviation, samples")
    return Table(f"{count(len(made))} samples beside the training data", head, rows)


def _texts(run: Run) -> Own:
    task, found = run.task, _measured(run)
    assert isinstance(task, tasks.Transcription)  # noqa: S101 - by its name
    goal = f"a text of {count(len(task.classes))} symbols"
    if found is None:
        return Own(goal)
    part, where, output, target = found
    losses, coder = task.example_losses(output, target).numpy(), TranscriptCoder(task.classes)
    order = [int(i) for i in worst(losses)]
    said, true = coder.texts(task.predict(output[order])), coder.texts(target[order])
    rows = tuple(
        (count(part.rows[i]), label(a, 60), label(b, 60), number(losses[i]))
        for i, a, b in zip(order, true, said, strict=True)
    )
    title = f"Worst transcriptions, {part_name(where)}"
    table = Table(title, ("row", "true", "transcribed", "loss"), rows, text=frozenset({0, 1, 2}))
    captions = [f"{a} as {b or '–'}" for a, b in zip(true, said, strict=True)]
    lead = "The examples with the largest loss: what is written, and what was read."
    return Own(goal, {}, (table,), _pictures(run, part.rows[order], captions, "strips", title, lead))


def _tags(run: Run) -> Own:
    task, found = run.task, _measured(run)
    assert isinstance(task, tasks.Tagging)  # noqa: S101 - by its name
    goal = f"one of {count(len(task.classes))} tags for each word"
    if found is None or run.prepared is None:
        return Own(goal)
    part, where, output, target = found
    losses, said, rows = task.example_losses(output, target).numpy(), task.predict(output), []
    for i in (int(i) for i in worst(losses)):
        words = str(run.prepared.dataset.inputs[part.rows[i]]).split()  # type: ignore[index]  # an array
        pairs = zip(words, target[i].tolist(), said[i].tolist(), strict=False)
        shown = (
            f"{word}/{task.classes[true]}" + ("" if true == got else f" (not {task.classes[got]})")
            for word, true, got in pairs
        )
        rows.append((count(part.rows[i]), label(" ".join(shown), 240), number(losses[i])))
    head = ("row", "words with their tags, and what was said in place of them", "loss")
    table = Table(f"Worst sentences, {part_name(where)}", head, tuple(rows), text=frozenset({0, 1}))
    return Own(goal, {}, (table,))


def _trees(run: Run) -> Own:
    task, coder = run.task, run.preprocessor.coder if run.preprocessor is not None else None
    assert isinstance(task, tasks.Parsing)  # noqa: S101 - by its name
    goal, found = (
        f"a tree over each sentence, of {count(len(task.classes))} kinds of constituents",
        _measured(run),
    )
    if found is None or run.prepared is None or not isinstance(coder, TreeCoder):
        return Own(goal)
    part, where, output, target = found
    losses, said, rows = task.example_losses(output, target).numpy(), task.predict(output), []
    for i in (int(i) for i in worst(losses)):
        words = str(run.prepared.dataset.inputs[part.rows[i]])  # type: ignore[index]  # an array
        trees = [label(coder.tree(words, one[i].tolist()), 240) for one in (target, said)]
        rows.append((count(part.rows[i]), *trees, number(losses[i])))
    title, head = f"Worst sentences, {part_name(where)}", ("row", "true tree", "what was said", "loss")
    table = Table(title, head, tuple(rows), text=frozenset({0, 1, 2}))
    return Own(goal, task.each_class(*task.compact(output, target)), (table,))


def _gaps(run: Run) -> Own:
    goal, found = "the values that are missing", _measured(run)
    if found is None or run.prepared is None:
        return Own(goal)
    part, where, output, target = found
    tables = (beside_imputation(run, part, output, target, part_name(where)),)
    if run.prepared.dataset.kind != "images":
        return Own(goal, {}, tables)
    x = part.x if isinstance(part.x, Tensor) else part.x[torch.arange(6)]
    whole = run.part(where if where in ("val", "train") else "val")
    rows = []
    for i in range(min(6, len(part.y))):
        filled = torch.where(x[i].isnan(), output[i], x[i])
        true = whole.x[i : i + 1][0] if whole is not None else x[i]
        views = zip((x[i], filled, true), ("given", "filled in", "true"), strict=True)
        pictures = tuple(Shown(_grey(one.cpu().numpy()), text) for one, text in views)
        rows.append(Row(f"row {count(part.rows[i])}", pictures))
    lead = "What was given, black where it is missing; what the network made of it; and what was there."
    return Own(goal, {}, tables, (Look("gaps", "Filled gaps", lead, tuple(rows)),))


def _translations(run: Run) -> Own:
    tables, drawings = translations_shown(run)
    return Own(goal(run), tables=tables, drawings=drawings)


def share_table(run: Run) -> tuple[Table, ...]:
    """Return the headline measure by the share of inputs that are missing; none where none may be."""
    if not takes_gaps(run.experiment) or not isinstance(run.task, tasks.Classification | tasks.Regression):
        return ()
    name = "val" if run.part("val") is not None else "train"
    part = run.part(name)
    if part is None or not isinstance(part.x, Tensor):
        return ()
    rows = []
    for share in _SHARES:
        hidden = torch.rand(part.x.shape, generator=torch.Generator().manual_seed(0)) < share
        x = part.x.masked_fill(hidden.to(part.x.device), torch.nan)
        batches = in_order(Part(x, part.y, part.rows), batch_size=64, device=run.predictor.device)
        assert batches is not None  # noqa: S101 - there are examples
        output, target = outputs(run.predictor, batches)
        meters = run.task.meters()
        for meter in meters.values():
            meter.update(output, target)
        rows.append((f"{share:.0%}", *(fixed(meter.compute()) for meter in meters.values())))
    caption = f"By the share of inputs that are missing, {part_name(name)}"
    return (Table(caption, ("missing", *map(label, run.task.metrics)), tuple(rows)),)


_SHOW: dict[str, Callable[[Run], Own]] = {
    "multi-label": _labels,
    "anomaly-detection": _unusual,
    "density-estimation": _density,
    "imputation": _gaps,
    "translation": _translations,
    "tagging": _tags,
    "parsing": _trees,
    "transcription": _texts,
}
