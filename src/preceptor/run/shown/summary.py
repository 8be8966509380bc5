"""From a run to the plain records that the report is made from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from preceptor.data import Table
from preceptor.data.audit import CHECKS
from preceptor.report.looks import Look
from preceptor.report.summary import (
    AuditSummary,
    DataSummary,
    Feature,
    Layer,
    ModelSummary,
    Predictions,
    Reuse,
    Setting,
    Summary,
    TestLook,
    Timing,
)
from preceptor.run.examined.advice import recipe_summary
from preceptor.run.shown.dense import is_dense, overlaid
from preceptor.run.shown.look import IN_REPORT, look_at
from preceptor.run.shown.tasks import Own, is_own, own, share_table
from preceptor.run.shown.texts import text_summary
from preceptor.run.shown.watched import parent, watched
from preceptor.training.evaluate import outputs
from preceptor.training.experiment import Experiment
from preceptor.training.feeds import in_order
from preceptor.training.manifest import versions
from preceptor.training.speed import Speed

if TYPE_CHECKING:
    from preceptor.run._run import Run

__all__ = ["predicted", "summarize"]

_STATUS = {
    "finished": "finished: all epochs were run",
    "early stopping": "stopped early: no improvement for as long as patience allows",
    "interrupted": "interrupted: go on with preceptor train --resume",
    "diverged": "diverged: the loss was no longer a finite number",
}


def summarize(run: Run) -> Summary:
    """Return what the report shows of a run; the test set is not looked at for it."""
    data, predictions = _data(run), predicted(run)
    shown = own(run) or Own(_goal(run))
    overlays, by_class = overlaid(run) if is_dense(run) else (None, shown.by_class)
    return Summary(
        name=run.experiment.name,
        folder=str(run.folder.path) if run.folder else None,
        task=_task(run, shown.goal),
        measure=f"{next(iter(run.task.metrics), run.task.loss)}; the epoch is chosen by {_monitor(run)}",
        experience=_experience(run),
        status=_STATUS.get(run.status, run.status),
        history=run.history.rows,
        best_epoch=run.best_epoch,
        monitor=run.experiment.training.monitor,
        settings=_settings(run),
        data=data,
        model=_model(run),
        predictions=predictions,
        test=_test(run),
        timing=_timing(run),
        versions=run.folder.manifest["versions"] if run.folder else versions(),
        notes=(*run.notes, *(run.prepared.preprocessor.describe() if run.prepared else ())),
        reuse=_reuse(run),
        looks=(*((overlays,) if overlays else ()), *shown.looks, *_looks(run, predictions)),
        by_class=by_class,
        audit=_audited(run),
        recipe=recipe_summary(run),
        text=text_summary(run),
        tables=(*shown.tables, *share_table(run)),
        drawings=shown.drawings,
        watched=watched(run),
        parent=parent(run),
    )


def _looks(run: Run, predictions: Predictions | None) -> tuple[Look, ...]:
    """Return the pictures that cost little; the model says no more than a sentence where it allows none."""
    if run.preprocessor is not None and len(run.preprocessor.input_shape) != 3:
        return ()
    return tuple(look for look in look_at(run, IN_REPORT, predictions=predictions) if look.rows)


def _audited(run: Run) -> AuditSummary | None:
    if run.audit is None:
        return None
    remarks = tuple(
        (one.level, one.text, one.rows, one.remedy) for said in run.audit.remarks.values() for one in said
    )
    passed = tuple(check.clean for check in CHECKS if run.audit.remarks.get(check.name) == ())
    return AuditSummary(remarks, passed, run.audit.facts, run.audit.seconds)


def _reuse(run: Run) -> Reuse | None:
    transfer = run.transfer
    if transfer is None:
        return None
    layers = (
        (str(row["layer"]), str(row["weights"]), str(row["learns"]), float(row["factor"]))
        for row in transfer["layers"]
    )
    return Reuse(tuple(map(str, transfer["lines"])), tuple(layers))


def _goal(run: Run) -> str:
    if run.coder is not None:
        return f"which of {len(run.coder):,} symbols comes next in a text"
    classes = getattr(run.task, "classes", ())
    goal = f"one of {len(classes)} classes" if classes else "a number" if run.task.outputs == 1 else "numbers"
    if is_dense(run):
        goal = f"{goal} for each pixel" if classes else "each pixel of the image"
    return goal


def _task(run: Run, goal: str) -> str:
    target = run.prepared.dataset.target_name if run.prepared else None
    return f"{run.task.name}: predict {goal}" + (f", {target}" if target else "")


def _monitor(run: Run) -> str:
    settings = run.experiment.training
    return f"{settings.monitor} ({'smaller' if settings.mode == 'min' else 'larger'} is better)"


def _experience(run: Run) -> str:
    epochs = len(run.history)
    text = run.feeds.text if run.feeds else None
    if text is not None:
        return f"{text.describe()}; {epochs} epochs over {len(text.parts['train']):,} symbols"
    if run.coder is not None:
        return f"a text, by a vocabulary of {len(run.coder):,} symbols; {epochs} epochs"
    if run.prepared is None:
        return f"the user's own batches, {epochs} epochs"
    split = run.prepared.split
    return (
        f"{run.prepared.dataset.text}; split {split.text}; {epochs} epochs over {len(split.train):,} examples"
    )


def _settings(run: Run) -> tuple[Setting, ...]:
    defaults = Experiment().flat()
    return tuple(
        Setting(key, value, defaults.get(key, "auto"), key in run.chosen)
        for key, value in run.experiment.flat().items()
    )


def _model(run: Run) -> ModelSummary:
    layers = tuple(
        Layer(path or "model", type(module).__name__, _shape(module), _count(module))
        for path, module in run.model.named_modules()
        if not list(module.children())
    )
    name = run.experiment.model.name.rpartition(":")[2]
    return ModelSummary(name, repr(run.model), _count(run.model), layers)


def _shape(module: nn.Module) -> str:
    weight = getattr(module, "weight", None)
    return "×".join(map(str, weight.shape)) if isinstance(weight, torch.Tensor) else ""


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _data(run: Run) -> DataSummary:
    if run.feeds is not None and run.feeds.text is not None:
        text = run.feeds.text
        facts = (("source", text.origin), ("text", text.describe()), ("fingerprint", text.fingerprint[:16]))
        return DataSummary(facts, notes=tuple(text.notes()))
    if run.prepared is None:
        return DataSummary()
    dataset, split = run.prepared.dataset, run.prepared.split
    parts = {"train": split.train, "val": split.val, "test": split.test}
    rows = (
        ("source", dataset.origin),
        ("examples", f"{len(dataset):,}"),
        ("kind", dataset.kind),
        ("split", split.text),
        ("fingerprint", dataset.fingerprint[:16]),
    )
    counts: dict[str, dict[str, int]] = {}
    if run.prepared.preprocessor.classes:
        targets = run.prepared.preprocessor.targets(dataset.targets)
        names = run.prepared.preprocessor.classes
        kind = run.prepared.preprocessor.target_kind
        names = ("usual", "anomaly") if kind == "anomalies" else names
        for part, chosen in parts.items():
            taken = targets[torch.from_numpy(chosen)].numpy()
            if kind == "labels":
                found = taken.sum(0).astype(int)
            else:  # 255 in a mask and −1 behind a text do not count
                found = np.bincount(taken[taken >= 0].reshape(-1), minlength=len(names))[: len(names)]
            counts[part] = dict(zip(names, found.tolist(), strict=True))
    return DataSummary(rows, counts, tuple(dataset.notes), _features(dataset.inputs, dataset, split.train))


def _features(inputs: Any, dataset: Any, train: Any) -> tuple[Feature, ...]:
    if isinstance(inputs, Table):
        return tuple(_feature(c.name, c.kind, c.values[train], c.missing[train]) for c in inputs.columns)
    if dataset.kind != "vectors":
        return ()
    names = dataset.feature_names or tuple(f"feature {i}" for i in range(inputs.shape[1]))
    values = np.asarray(inputs[train])
    nothing = np.zeros(len(values), dtype=bool)
    return tuple(_feature(name, "number", values[:, i], nothing) for i, name in enumerate(names))


def _feature(name: str, kind: str, values: Any, missing: Any) -> Feature:
    if kind != "number" or missing.all():
        return Feature(name, kind, missing=int(missing.sum()))
    present = values[~missing].astype(np.float64)
    mean, std, low, high = map(float, (present.mean(), present.std(), present.min(), present.max()))
    return Feature(name, kind, mean, std, low, high, int(missing.sum()))


def predicted(run: Run) -> Predictions | None:
    """Predict validation, or training where there is none: the test set is left alone.

    None for a user's own loaders, and where predictions lie on a grid, of which `overlaid` shows some.
    """
    if is_dense(run) or is_own(run):
        return None
    name = "val" if run.part("val") is not None else "train"
    part = run.part(name)
    batches = in_order(part, batch_size=64, device=run.predictor.device)
    if part is None or batches is None or run.prepared is None:
        return None
    output, target = outputs(run.predictor, batches)
    losses = run.task.example_losses(output, target).numpy()
    dataset, said = run.prepared.dataset, run.task.predict(output)
    probabilities = run.task.probabilities(output)
    regression = run.task.name == "regression"
    images = None
    if dataset.kind == "images":
        images = _Images(dataset.inputs, part.rows)
    return Predictions(
        kind="regression" if regression else "classification",
        part=name,
        target=(run.task.predict(target) if regression else target).numpy(),
        predicted=said.numpy(),
        losses=losses,
        rows=part.rows,
        classes=tuple(run.prepared.preprocessor.classes),
        probabilities=None if probabilities is None else probabilities.numpy(),
        images=images,
    )


class _Images:
    """The raw images of a part by their place in it."""

    def __init__(self, inputs: Any, rows: Any) -> None:
        self.inputs, self.rows = inputs, rows

    def __getitem__(self, index: int) -> Any:
        return np.asarray(self.inputs[self.rows[index]])


def _test(run: Run) -> TestLook | None:
    if not run.ledger:
        return None
    last = run.ledger[-1]
    interval = last.get("interval")
    return TestLook(last["metrics"], last["n"], len(run.ledger), tuple(interval) if interval else None)


def _computed_in(run: Run) -> str:
    recorded = run.folder.manifest.get("speed") if run.folder else None
    speed = Speed(**recorded) if recorded else getattr(run.predictor, "speed", None)
    return str(speed or "")


def _timing(run: Run) -> Timing | None:
    if run.state is None:
        return None
    facts = run.state.clock.summary()
    seconds = sum(row["seconds"] for row in run.history)
    return Timing(
        shares=facts["shares"],
        step_median_ms=facts["step_median_ms"],
        step_p95_ms=facts["step_p95_ms"],
        estimated_seconds=run.state.estimated_seconds,
        actual_seconds=seconds,
        steps=facts["steps"],
        examples_per_second=facts["examples"] / seconds if seconds else None,
        computed_in=_computed_in(run),
    )
