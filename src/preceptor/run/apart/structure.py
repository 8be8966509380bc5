"""`StructureRun`: clusters or components of data without targets, their folder, and what they say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from preceptor import data as reading
from preceptor.catalogue import entry
from preceptor.catalogue.structures import Clusters, PrincipalComponents, Structure
from preceptor.data import Part, Prepared, Preprocessor
from preceptor.data._anomalies import as_anomalies
from preceptor.errors import CheckpointError, ConfigError, DataError, nearest
from preceptor.report._format import count, fixed, label, number
from preceptor.report._table import Table
from preceptor.report.summary import Summary
from preceptor.run._evaluation import Evaluation
from preceptor.run.apart.refusal import Apart
from preceptor.training.experiment import Experiment
from preceptor.training.folder import RunFolder
from preceptor.training.history import History
from preceptor.training.manifest import origin, versions

__all__ = ["StructureRun", "describe", "holds_structure", "is_structure", "load_structure"]

_TASKS = {
    "clustering": "k-means",
    "principal-components": "principal-component-analysis",
    "dimensionality-reduction": "principal-component-analysis",
}
_KINDS = {"k-means": Clusters, "principal-component-analysis": PrincipalComponents}
_SETTINGS = ("task", "name", "seed", "data.source", "data.target", "data.test", "data.seed", "data.scale",
             "model.name")  # fmt: skip


def is_structure(task: Any, experiment: Experiment | None) -> bool:
    """Return whether structure is asked for, in place of predictions.

    Example:
        >>> is_structure("clustering", None), is_structure(None, Experiment())
        (True, False)
    """
    return (task if task is not None else experiment.task if experiment else None) in [*_TASKS]


@dataclass
class StructureRun(Apart):
    """Clusters or principal components that were found in training examples.

    Attributes:
        experiment: everything that was chosen, defaults included.
        found: the clusters or components, of the scaled examples.
        preprocessor: what scales new examples.
        history: a row a round of k-means, or one row.
        prepared: the data; None for a run that was loaded.
        labels: classes that are known of the data, and were not looked at; None where there are none.
        folder: the run's folder; None where nothing is written.
    """

    experiment: Experiment
    found: Structure
    preprocessor: Preprocessor
    history: History
    prepared: Prepared | None = None
    labels: NDArray[Any] | None = None
    folder: RunFolder | None = None
    status: str = "finished"
    holds: ClassVar[str] = "clusters or components"

    def predict(self, x: Any) -> NDArray[Any]:
        """Return the cluster of each new example, (N,), or its coordinates, (N, components)."""
        raw, _ = reading.read_inputs(x, self.preprocessor)
        return self.found.say(_flat(self.preprocessor.inputs(raw)))

    def evaluate(self, on: Any = "test") -> Evaluation:
        """Measure on ``"test"`` or ``"train"``, or on other data.

        Raises:
            DataError: there are no such examples.
        """
        if isinstance(on, str) and on in ("train", "val", "test"):
            part = self._part("test" if on == "val" else on)
            if part is None:
                raise DataError(f"there are no {on} examples", expected="data.test=0.15", received="none")
            return Evaluation(on, len(part.rows), float("nan"), self._measures(part), None)
        raw, _ = reading.read_inputs(on, self.preprocessor)
        x = _flat(self.preprocessor.inputs(raw))
        return Evaluation("data", len(x), float("nan"), self.found.measures(x), None)

    def _part(self, name: str) -> Part | None:
        if self.prepared is None:
            self.prepared, self.labels = _read(self.experiment.data.source, self.experiment)
        found: Part | None = getattr(self.prepared, name)
        return found

    def _measures(self, part: Part) -> dict[str, float]:
        x = _flat(part.x)
        measured = self.found.measures(x)
        if self.labels is not None and isinstance(self.found, Clusters):
            from sklearn.metrics import adjusted_rand_score

            known = self.labels[part.rows]
            measured["adjusted_rand"] = float(adjusted_rand_score(known, self.found.say(x)))
        return measured

    def report(self, path: Path | str | None = None) -> Path:
        """Write the report as one HTML file; default: ``report.html`` in the run's folder. Return its path.

        Raises:
            ConfigError: neither a path nor a run folder.
        """
        from preceptor.report import write

        if path is None:
            if self.folder is None:
                raise ConfigError("the run has no folder", expected="run.report('report.html')")
            path = self.folder.path / "report.html"
        return write(self._summary(), Path(path))

    def _summary(self) -> Summary:
        train, test = self._part("train"), self._part("test")
        assert self.prepared is not None and train is not None  # noqa: S101, PT018 - there was something to look at
        parts = [(name, part) for name, part in (("train", train), ("test", test)) if part is not None]
        measured = [(name, self._measures(part)) for name, part in parts]
        rows = tuple((name, *(number(v) for v in values.values())) for name, values in measured)
        head = ("examples", *(label(name.replace("_", " ")) for name in measured[0][1]))
        return Summary(
            name=self.experiment.name,
            folder=str(self.folder.path) if self.folder else None,
            task=f"{self.experiment.task}: {self.experiment.model.name}",
            measure=", ".join(head[1:]),
            experience=f"{self.prepared.dataset.text}; {count(len(train.rows))} of them looked at",
            status=self.status,
            history=self.history.rows,
            best_epoch=None,
            monitor="train_inertia",
            notes=tuple(self.preprocessor.describe()),
            tables=(Table("Measures", head, rows), *self._tables(train)),
        )

    def _tables(self, train: Part) -> tuple[Table, ...]:
        if isinstance(self.found, PrincipalComponents):
            shares = self.found.shares
            lines = tuple(
                (str(i + 1), fixed(one), fixed(all_))
                for i, (one, all_) in enumerate(zip(shares, shares.cumsum(), strict=True))
            )
            return (Table("Share of the variance", ("component", "share", "so far"), lines),)
        said = self.found.say(_flat(train.x))
        names, known = ["–"], np.full(len(said), "–")
        if self.labels is not None:
            known = self.labels[train.rows].astype(str)
            names = sorted(set(known.tolist()))[:12]
        rows = tuple(
            (
                str(k),
                count((said == k).sum()),
                *(count(((said == k) & (known == name)).sum()) for name in names),
            )
            for k in range(int(said.max()) + 1)
        )
        return (Table("Clusters, training examples", ("cluster", "examples", *map(label, names)), rows),)

    def __repr__(self) -> str:
        return f"<StructureRun {self.experiment.name}: {self.experiment.model.name}>"


def describe(
    data: Any,
    chosen: Mapping[str, Any] | None = None,
    *,
    experiment: Experiment | None = None,
    out: Path | str | bool | None = None,
) -> StructureRun:
    """Find clusters or principal components in data, and write a run folder.

    Arguments:
        data: as `preceptor.train` takes them; targets are not needed, and not looked at.
        chosen: settings by dotted key: ``task``, ``model.name``, ``model.clusters``, ``model.components``.
        experiment: settings to start from.
        out: the run's folder; default: the next ``runs/<data>-<n>``; False: nothing is written.

    Raises:
        ConfigError: a setting that this has not.
        DataError: data that cannot be read.

    Example:
        >>> run = describe("iris", {"task": "clustering", "model.clusters": 3}, out=False)
        >>> run.evaluate("train").metrics["adjusted_rand"] > 0.5
        True
    """
    settings = _settings(data, dict(chosen or {}), experiment)
    started = perf_counter()
    prepared, labels = _read(data if data is not None else settings.data.source, settings)
    found: Structure = entry(settings.model.name, "structure").build(
        _flat(prepared.train.x), **settings.model.options
    )
    name = prepared.dataset.name if settings.name == "auto" else settings.name
    settings = settings.changed({"name": name})
    inertias = found.inertias.tolist() if isinstance(found, Clusters) else [float("nan")]
    seconds = (perf_counter() - started) / len(inertias)
    rows = [{"epoch": i, "train_inertia": v, "seconds": seconds} for i, v in enumerate(inertias, 1)]
    run = StructureRun(settings, found, prepared.preprocessor, History(rows), prepared, labels)
    if out is not False:
        run.folder = _written(run, sorted(chosen or {}), out)
    return run


def _read(source: Any, settings: Experiment) -> tuple[Prepared, NDArray[Any] | None]:
    dataset = reading.load(source, target=settings.data.target, labelled=False)
    labels = dataset.targets if dataset.target_kind == "categories" else None
    scale = "standard" if settings.data.scale == "auto" else settings.data.scale
    plain = replace(as_anomalies(dataset), target_kind="anomalies", classes=())
    prepared = reading.prepare(
        plain, val=0, test=settings.data.test, seed=settings.data.seed, scale=scale, target_kind="anomalies"
    )
    return prepared, labels


def _flat(x: Any) -> NDArray[np.float64]:
    values: Any = x if isinstance(x, torch.Tensor) else x[:]
    flat: NDArray[np.float64] = values.flatten(1).double().numpy()
    return flat


def _settings(data: Any, chosen: dict[str, Any], experiment: Experiment | None) -> Experiment:
    base = {k: v for k, v in experiment.flat().items() if k in experiment.chosen()} if experiment else {}
    given = {k: v for k, v in {**base, **chosen}.items() if v is not None}
    task = str(given.pop("task"))
    name = given.pop("model.name", given.pop("model", "auto"))
    found = entry(_TASKS[task] if name == "auto" else str(name), "structure")
    if found.name != _TASKS[task]:
        raise ConfigError(f"{found.name} does not suit {task}", expected=_TASKS[task], received=found.name)
    own = {key.partition(".")[2]: given.pop(key) for key in list(given) if key.startswith("model.")}
    known = [*_SETTINGS, *(f"model.{key}" for key in found.defaults)]
    usual = Experiment().flat()
    strange = [k for k, v in given.items() if k not in known and usual.get(k) != v]
    if strange:
        close = nearest(strange[0], known, 1)
        raise ConfigError(
            f"{task} has no setting {strange[0]!r}",
            expected=", ".join(known),
            received=strange[0],
            hint=f"did you mean {close[0]!r}?" if close else None,
        )
    if "seed" in found.defaults and "seed" in given:
        own = {"seed": given["seed"], **own}
    decided = {key: value for key, value in given.items() if key in _SETTINGS}
    if isinstance(data, str | Path):
        decided["data.source"] = str(data)
    model = {"name": found.name, **found.options(**own)}
    return Experiment.of({**decided, "task": task, "model": model})


def _written(run: StructureRun, chosen: list[str], out: Any) -> RunFolder:
    facts = {
        "status": run.status,
        "chosen": chosen,
        "signature": {"kind": "structure"},
        "data": None,
        "versions": versions(),
        "ledger": [],
        **origin(),
    }
    files = {
        "experiment.toml": run.experiment.to_toml(),
        "manifest.json": json.dumps(facts, indent=1) + "\n",
        "preprocessing.json": json.dumps(run.preprocessor.to_state()) + "\n",
        "history.csv": run.history.to_csv(),
    }
    folder = RunFolder.create(run.experiment.name, files, out=out if isinstance(out, str | Path) else None)
    arrays = {name: torch.from_numpy(np.ascontiguousarray(v)) for name, v in run.found.to_arrays().items()}
    folder.write_weights("best", arrays)
    return folder


def holds_structure(folder: RunFolder) -> bool:
    """Say whether a folder holds clusters or components."""
    return bool(folder.manifest["signature"].get("kind") == "structure")


def load_structure(path: Path | str) -> StructureRun:
    """Load clusters or components from their folder.

    Raises:
        CheckpointError: no such run, or damaged files.
    """
    folder = RunFolder(path)
    experiment = folder.experiment
    try:
        arrays = {name: value.double().numpy() for name, value in folder.weights().items()}
        found = _KINDS[experiment.model.name](**arrays)
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"cannot read {folder.path}", received=repr(error)) from error
    preprocessor = Preprocessor.from_state(folder.preprocessing)
    return StructureRun(experiment, found, preprocessor, folder.history, folder=folder)
