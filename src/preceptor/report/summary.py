"""What a report is made from: plain frozen records that any training, ours or another's, can fill."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from preceptor.errors import DataError
from preceptor.report._canvas import Drawing
from preceptor.report._table import Table
from preceptor.report.ensemble import EnsembleSummary
from preceptor.report.looks import Look
from preceptor.report.recipe import RecipeSummary
from preceptor.report.text import TextSummary

if TYPE_CHECKING:
    from preceptor.diagnosis.finding import Finding
    from preceptor.observation.graph import Graph
    from preceptor.observation.record import Record

__all__ = [
    "AuditSummary",
    "DataSummary",
    "Feature",
    "Indexed",
    "Layer",
    "ModelSummary",
    "Parent",
    "Predictions",
    "Reuse",
    "Setting",
    "Summary",
    "TestLook",
    "Timing",
    "Watched",
    "worst",
]

WORST_SHOWN = 12


class Indexed(Protocol):
    """Anything that gives one item per example index: an array, a list, or a dict of the few that matter."""

    def __getitem__(self, index: int, /) -> Any: ...


class Feature(NamedTuple):
    """One input column of a table, as the training part shows it (numbers are None for categories)."""

    name: str
    kind: str
    mean: float | None = None
    std: float | None = None
    min: float | None = None
    max: float | None = None
    missing: int = 0


class Layer(NamedTuple):
    """One leaf module: its path in the model, its type, its output shape or sizes, its parameter count."""

    path: str
    type: str
    shape: str
    parameters: int


@dataclass(frozen=True)
class Setting:
    """One setting of the run: the value in force, the default, and whether the user chose it."""

    key: str
    value: Any
    default: Any
    chosen: bool


@dataclass(frozen=True)
class DataSummary:
    """The experience E in numbers.

    Attributes:
        rows: label and value pairs, such as ``("examples", "1,797")``.
        class_counts: part, then class name, then number of examples; empty for numbers.
        notes: what was inferred, dropped or missing.
        features: one `Feature` per input column; empty for images and tensors.
    """

    rows: tuple[tuple[str, str], ...] = ()
    class_counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    features: tuple[Feature, ...] = ()


@dataclass(frozen=True)
class AuditSummary:
    """What was seen when the data were looked over.

    Attributes:
        remarks: level (``"warning"``, ``"info"`` or ``"skipped"``), what was seen, the rows that it is about,
            and what to do.
        passed: what is said of each check that found nothing.
        facts: label and text.
        seconds: how long it took.
    """

    remarks: tuple[tuple[str, str, tuple[int, ...], str], ...] = ()
    passed: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class ModelSummary:
    """The model: its name, a description (a line, or the module's repr), its size and its layers."""

    name: str
    text: str
    parameters: int
    layers: tuple[Layer, ...] = ()


@dataclass(frozen=True, eq=False)
class Predictions:
    """What the model says about one part of the data, example by example.

    Attributes:
        kind: ``"classification"`` or ``"regression"``.
        part: which part was predicted, such as ``"val"`` or ``"test"``.
        target: class indices, or numbers in their original units; shape (N,) or, for numbers, (N, D).
        predicted: same shape and units as ``target``.
        losses: the loss of each example, shape (N,).
        rows: the example's row number in the source, shape (N,).
        classes: display names of the K classes; empty for numbers.
        probabilities: shape (N, K), or None.
        images: raw values C×H×W per example index, at least at those that `worst` gives; or None.
        units: the unit of the target, or an empty string.

    Raises:
        DataError: the lengths differ, or ``kind`` is unknown.
    """

    kind: str
    part: str
    target: NDArray[Any]
    predicted: NDArray[Any]
    losses: NDArray[Any]
    rows: NDArray[Any]
    classes: tuple[str, ...] = ()
    probabilities: NDArray[Any] | None = None
    images: Indexed | None = None
    units: str = ""

    def __post_init__(self) -> None:
        if self.kind not in ("classification", "regression"):
            raise DataError(
                "predictions are of an unknown kind",
                expected="'classification' or 'regression'",
                received=f"kind={self.kind!r}",
            )
        lengths = {name: len(getattr(self, name)) for name in ("target", "predicted", "losses", "rows")}
        if self.probabilities is not None:
            lengths["probabilities"] = len(self.probabilities)
        if len(set(lengths.values())) != 1:
            raise DataError(
                "predictions of different lengths cannot be shown together",
                expected="one entry per example in each of " + ", ".join(lengths),
                received=", ".join(f"{name}: {n}" for name, n in lengths.items()),
            )

    def __len__(self) -> int:
        return len(self.target)


@dataclass(frozen=True)
class TestLook:
    """What a look at the test set gave.

    Attributes:
        metrics: values by name; the first is the headline measure.
        n: number of test examples.
        looks: how often this test set has been looked at for this run, this look included.
        interval: the headline measure's 95 % interval, or None.
    """

    __test__ = False  # the name makes pytest take it for a test class

    metrics: Mapping[str, float]
    n: int
    looks: int = 1
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Reuse:
    """What was taken over from an earlier run.

    Attributes:
        lines: what was said of it: what was loaded, what speaks for the transfer and against it.
        layers: name, what became of the weights, when they learn, and the factor of their learning rate.
    """

    lines: tuple[str, ...]
    layers: tuple[tuple[str, str, str, float], ...] = ()


@dataclass(frozen=True)
class Timing:
    """Where the time went.

    Attributes:
        shares: fraction of the wall time by name (data, forward, backward, step, evaluation, other).
        step_median_ms, step_p95_ms: milliseconds of one optimisation step.
        estimated_seconds: what was foretold before training; None where nothing was.
        actual_seconds: what it took.
        steps: optimisation steps taken.
        examples_per_second: training examples per second of training.
        computed_in: device and precision, and what was measured to choose it.
    """

    shares: Mapping[str, float]
    step_median_ms: float | None
    step_p95_ms: float | None
    estimated_seconds: float | None
    actual_seconds: float
    steps: int
    examples_per_second: float | None
    computed_in: str = ""


@dataclass(frozen=True, eq=False)
class Watched:
    """What a watch over the run saw, and what that means.

    Attributes:
        record: the signals.
        graphs: the graphs of some steps.
        findings: best guess first; None where nobody has judged.
        find: gives the path of a file of the user's by its name: its lines are shown beside findings.
    """

    record: Record
    graphs: Mapping[int, Graph] = field(default_factory=dict)
    findings: tuple[Finding, ...] | None = None
    find: Callable[[str], Path | None] | None = None


@dataclass(frozen=True)
class Parent:
    """The run that this one was made from, and what became different.

    Attributes:
        folder: where it lies.
        said: the changes that were asked for, in words.
        settings: key, value there and value here, of each that differs.
        results: history key, value there and value here, at the best epoch of each.
        notes: what makes the comparison weaker than it looks.
    """

    folder: str
    said: tuple[str, ...] = ()
    settings: tuple[tuple[str, Any, Any], ...] = ()
    results: tuple[tuple[str, Any, Any], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Summary:
    """One training run, as much of it as a person wants to read.

    Attributes:
        name, folder: the run's name and where it lies.
        task, measure, experience: what was asked: the task T, the performance measure P, the experience E.
        status: how the run ended, in words.
        history: one row per epoch: epoch, train_loss, train_loss_running, val_loss, train_<metric>,
            val_<metric>, lr, seconds; None, NaN and infinities are gaps.
        best_epoch: the epoch whose weights were kept, or None.
        monitor: the history key that decided it, such as ``"val_loss"``.
        looks: pictures of what the network sees.
        by_class: measures of each class of pixels, or of each label; empty for other tasks.
        audit: what was seen of the data beforehand; None where nobody looked.
        drawings: figures that a task draws of its own.
        tables: what else a task shows: examples, comparisons with simple methods.
        text: what a network that continues texts writes, and what surprises it; None for others.
        recipe: what was checked beforehand, where the run stands, and what is next; None: not known.
        ensemble: the members, where several runs predict together; None for one run.
        watched: what was seen of it, and what was found wrong; None where it was not watched.
        parent: the run that it was made from, and what changed; None where there is none.

    Example:
        >>> one = Summary("digits", None, "ten classes", "accuracy", "1,797 images", "finished",
        ...               [{"epoch": 1, "train_loss": 0.9, "val_loss": 0.8}], 1, "val_loss")
        >>> one.history[0]["val_loss"]
        0.8
    """

    name: str
    folder: str | None
    task: str
    measure: str
    experience: str
    status: str
    history: Sequence[Mapping[str, float | int | str | None]]
    best_epoch: int | None
    monitor: str
    settings: tuple[Setting, ...] = ()
    data: DataSummary = field(default_factory=DataSummary)
    model: ModelSummary = field(default_factory=lambda: ModelSummary("", "", 0))
    predictions: Predictions | None = None
    test: TestLook | None = None
    timing: Timing | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    reuse: Reuse | None = None
    looks: tuple[Look, ...] = ()
    by_class: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    audit: AuditSummary | None = None
    tables: tuple[Table, ...] = ()
    drawings: tuple[Drawing, ...] = ()
    ensemble: EnsembleSummary | None = None
    recipe: RecipeSummary | None = None
    text: TextSummary | None = None
    watched: Watched | None = None
    parent: Parent | None = None


def worst(losses: NDArray[Any], n: int = WORST_SHOWN) -> NDArray[np.intp]:
    """Return the indices of the n largest losses, largest first; one that is not a number precedes all.

    Example:
        >>> worst(np.array([0.1, 3.0, float("nan"), 2.0]), n=3).tolist()
        [2, 1, 3]
    """
    values = np.asarray(losses, dtype=np.float64)
    order = np.argsort(-np.where(np.isnan(values), np.inf, values), kind="stable")
    return order[:n]
