"""Cross-validation: the whole procedure, preparation included, on each fold, with an honest interval."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data import Dataset as TorchDataset

from preceptor.catalogue.procedures import corrected_interval
from preceptor.data import Dataset, Table, load, split
from preceptor.data._dataset import fingerprint, take
from preceptor.data._targets import retarget
from preceptor.errors import ConfigError, DataError
from preceptor.run import Run, train
from preceptor.search._given import sort_out
from preceptor.search._work import Given, arguments
from preceptor.search.folds import Fold, manner
from preceptor.search.folds import folds as cut_folds
from preceptor.tasks import KIND_OF_TASK
from preceptor.training.experiment import Experiment
from preceptor.training.own_code import is_own_code

__all__ = ["CrossValidation", "FoldResult", "cross_validate"]


@dataclass(frozen=True)
class FoldResult:
    """What one fold came to.

    Attributes:
        repeat, fold: counted from 0.
        n: examples that were held out.
        trained_on: the others, those that decided when to stop among them.
        loss: on the examples held out.
        metrics: on the same.
        best_epoch: of the training.
        status: how the training ended.
        seconds: training time.
    """

    repeat: int
    fold: int
    n: int
    trained_on: int
    loss: float
    metrics: Mapping[str, float]
    best_epoch: int | None
    status: str
    seconds: float


@dataclass
class CrossValidation:
    """The folds' results and what they say together.

    Attributes:
        name: of the data.
        metric: the headline measure.
        manner: how the folds were cut.
        examples: how many took part.
        settings: all settings of the first fold's training, with everything decided.
        folds: one result a fold.
    """

    name: str
    metric: str
    manner: str
    examples: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    folds: list[FoldResult] = field(default_factory=list)

    @property
    def repeats(self) -> int:
        """How often the data were cut anew."""
        return 1 + max((one.repeat for one in self.folds), default=-1)

    def values(self, metric: str | None = None) -> list[float]:
        """Return a measure of each fold; default: the headline measure."""
        name = metric or self.metric
        return [one.loss if name == "loss" else one.metrics[name] for one in self.folds]

    def mean(self, metric: str | None = None) -> float:
        """Return its mean over the folds."""
        return statistics.fmean(self.values(metric))

    def deviation(self, metric: str | None = None) -> float:
        """Return its standard deviation over the folds; NaN for a single one."""
        values = self.values(metric)
        return statistics.stdev(values) if len(values) > 1 else math.nan

    def interval(self, metric: str | None = None, level: float = 0.95) -> tuple[float, float]:
        """Return the interval of its mean, corrected for training sets that overlap (Nadeau and Bengio)."""
        held, others = (
            statistics.fmean(getattr(one, name) for one in self.folds) for name in ("n", "trained_on")
        )
        return corrected_interval(level)(self.values(metric), held, others)

    def __str__(self) -> str:
        low, high = self.interval()
        return (
            f"{self.metric} {self.mean():.3f} ± {self.deviation():.3f} over {len(self.folds)} folds "
            f"(95 % interval {low:.3f}–{high:.3f}, corrected for overlap)"
        )

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {
            "name": self.name,
            "metric": self.metric,
            "manner": self.manner,
            "examples": self.examples,
            "mean": self.mean(),
            "deviation": self.deviation(),
            "interval": list(self.interval()),
            "folds": [{**vars(one), "metrics": dict(one.metrics)} for one in self.folds],
            "settings": dict(self.settings),
        }


def cross_validate(
    model: Any = None,
    data: Any = None,
    *,
    folds: int = 5,
    repeats: int = 1,
    groups: Any = None,
    seed: int = 0,
    tell: Callable[[FoldResult], None] | None = None,
    experiment: Experiment | None = None,
    **training: Any,
) -> CrossValidation:
    """Train once for each fold on the others, and measure on the examples that were held out.

    Everything is done anew for each fold, scaling and encoding included, on its own training examples. When
    to stop is decided on examples cut from those, never on the fold: that would flatter the result. Nothing
    is written.

    Arguments:
        model: as in `preceptor.train`; a module is copied for each fold.
        data: as in `preceptor.train`, but for loaders and data sets that do not lie in memory.
        folds: k.
        repeats: how often the examples are cut into folds anew.
        groups: a column of the table, or a group for each example: none is torn apart. A column is taken
            out of the inputs.
        seed: of the cuts; trainings have the experiment's own.
        tell: hears of each fold that has ended.
        experiment: settings to start from.
        training: further arguments of `preceptor.train`. ``test`` keeps a share of the examples out of it
            all; default: none.

    Returns:
        Results fold by fold, with mean, deviation, and an interval that knows that folds share examples.

    Raises:
        PreceptorError: something does not fit.

    Example:
        >>> result = cross_validate("linear", "iris", folds=3, epochs=20, lr=0.05)
        >>> sum(one.n for one in result.folds), result.mean() > 0.8
        (150, True)
    """
    chosen, given = sort_out(model, data, experiment, training)
    dataset = _dataset(chosen, given)
    dataset, together = _grouped(dataset, groups)
    dataset, together = _without_test(dataset, together, float(chosen.pop("data.test", 0.0)), chosen)
    val = float(chosen.get("data.val", 0.15))
    settings = {"training.watch": False, **chosen, **_scale(chosen, given)}
    settings.pop("data.source", None)
    settings.pop("data.target", None)
    result = CrossValidation(dataset.name, "", manner(dataset, folds, together), len(dataset))
    for fold in cut_folds(dataset, count=folds, repeats=repeats, groups=together, val=val, seed=seed):
        run = _trained(dataset, fold, settings, given)
        measured = run.evaluate("test")
        if not result.metric:
            result.metric = next(iter(measured.metrics))
            result.settings = run.experiment.flat()
        one = FoldResult(
            fold.repeat,
            fold.fold,
            measured.n,
            len(dataset) - measured.n,
            measured.loss,
            measured.metrics,
            run.best_epoch,
            run.status,
            sum(float(row.get("seconds") or 0.0) for row in run.history),
        )
        result.folds.append(one)
        if tell is not None:
            tell(one)
    return result


def _trained(dataset: Dataset, fold: Fold, settings: Mapping[str, Any], given: Given) -> Run:
    data = replace(dataset, part=fold.parts)
    others = {k: v for k, v in arguments(settings, given).items() if k != "data"}
    run = train(data=data, experiment=Experiment.of(settings), out=False, **others)
    if run.status == "interrupted":
        raise KeyboardInterrupt
    if run.best_epoch is None:
        raise DataError(
            f"fold {fold.fold + 1} of repeat {fold.repeat + 1} came to nothing",
            expected="at least one epoch with a finite loss",
            received=run.status,
            hint="a smaller learning rate",
        )
    return run


def _dataset(chosen: Mapping[str, Any], given: Given) -> Dataset:
    source = chosen.get("data.source") if given.data is None else given.data
    if source is None or (isinstance(source, str) and source in ("arrays", "auto")):
        raise DataError(
            "no data were given", expected="a name, a file, a folder or (x, y)", received="nothing"
        )
    if "val" in given.blocks or "test" in given.blocks:
        raise ConfigError(
            "cross-validation cuts the data itself",
            expected="shares, such as val=0.15",
            received="other data",
        )
    if isinstance(source, DataLoader | TorchDataset) and not isinstance(source, TensorDataset):
        raise DataError(
            "cross-validation needs data that lie in memory",
            expected="a name, a file, a folder, (x, y), a DataFrame or a TensorDataset",
            received=type(source).__name__,
        )
    images = {key: chosen[f"data.{key}"] for key in ("image_size", "image_fit") if f"data.{key}" in chosen}
    dataset = load(source, target=chosen.get("data.target"), **images)
    dataset = retarget(dataset, KIND_OF_TASK.get(chosen.get("task", "auto")))
    if dataset.part is not None:  # the source's own test examples stay out of it
        rows = (dataset.part != "test").nonzero()[0]
        return _taken(replace(dataset, part=None), rows)
    return dataset


def _grouped(dataset: Dataset, groups: Any) -> tuple[Dataset, Any]:
    """Return the data without the column that names the groups, and the groups."""
    if not isinstance(groups, str):
        return dataset, groups
    if not isinstance(dataset.inputs, Table):
        raise ConfigError(
            "only a table has a column of groups", expected="a group for each example", received=repr(groups)
        )
    column = dataset.inputs.column(groups)
    rest = Table(tuple(c for c in dataset.inputs.columns if c.name != groups))
    names = tuple(name for name in dataset.feature_names if name != groups)
    return replace(dataset, inputs=rest, feature_names=names), column.values


def _without_test(
    dataset: Dataset, together: Any, share: float, chosen: Mapping[str, Any]
) -> tuple[Dataset, Any]:
    """Return the data without the examples that a training with these settings would test on."""
    if not share:
        return dataset, together
    if together is not None:
        raise ConfigError(
            "a test set of its own is not cut by groups", expected="groups or test", received="both"
        )
    return _taken(
        dataset, split(dataset, val=0.0, test=share, seed=int(chosen.get("data.seed", 0))).train
    ), None


def _taken(dataset: Dataset, rows: Any) -> Dataset:
    inputs, targets = take(dataset.inputs, rows), dataset.targets[rows]
    return replace(dataset, inputs=inputs, targets=targets, fingerprint=fingerprint(inputs, targets))


def _scale(chosen: Mapping[str, Any], given: Given) -> dict[str, str]:
    """Return the scaling of data that have a name: in memory they would count as arrays of one's own."""
    own = "model" in given.blocks or is_own_code(str(chosen.get("model.name", "")))
    named = given.data is None and chosen.get("data.scale", "auto") == "auto"
    return {"data.scale": "standard"} if own and named else {}
