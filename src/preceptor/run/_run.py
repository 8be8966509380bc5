"""`Run`: a training that is over, or under way, and what can be done with it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from preceptor import data, tasks
from preceptor.data import Part, Prepared, Preprocessor, generators
from preceptor.data.batches import Batches
from preceptor.diagnosis.finding import Finding
from preceptor.errors import CheckpointError, ConfigError, DataError
from preceptor.files import write_json
from preceptor.report.looks import Look
from preceptor.run._diagnosis import Diagnosis, warn
from preceptor.run._evaluation import Evaluation, before_denoising
from preceptor.training.dense import disturbed, with_noise
from preceptor.training.evaluate import evaluate, outputs
from preceptor.training.experiment import Experiment
from preceptor.training.feeds import Feeds, in_order
from preceptor.training.folder import RunFolder
from preceptor.training.history import History
from preceptor.training.inputs import Inputs, make_feeds
from preceptor.training.manifest import now
from preceptor.training.own_code import is_own_code
from preceptor.training.problem import Predictor
from preceptor.training.source import going_on
from preceptor.training.state import State

__all__ = ["Evaluation", "Run"]

Keep: TypeAlias = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass
class Run:
    """A training and its results.

    Attributes:
        experiment: everything that was chosen, defaults included.
        predictor: the model with its task; the weights are those of the best epoch once training is over.
        feeds: where the examples come from; None for a run that was loaded and not yet asked for data.
        prepared: the data in memory; None for a user's own loaders.
        folder: the run's folder; None where nothing is written.
        chosen: the settings that were given rather than left at their defaults.
        state: where the training stands.
        diagnosis: the watch over it, and its findings; None where it was not watched.
        tell: hears of a critical finding as soon as it is made; by default it becomes a warning.
        changes: what was tried and applied, round by round, where the training was attended.
    """

    experiment: Experiment
    predictor: Predictor
    feeds: Feeds | None = None
    prepared: Prepared | None = None
    folder: RunFolder | None = None
    chosen: set[str] = field(default_factory=set)
    state: State | None = None
    ledger: list[dict[str, Any]] = field(default_factory=list)
    preprocessor: Preprocessor | None = None
    recorded: History | None = None
    diagnosis: Diagnosis | None = None
    tell: Callable[[Finding], None] = warn
    changes: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.preprocessor is None and self.feeds is not None:
            self.preprocessor = self.feeds.preprocessor
        if self.folder:
            self.ledger = list(self.folder.manifest["ledger"])

    @property
    def model(self) -> nn.Module:
        """The trained model."""
        return self.predictor.model

    @property
    def task(self) -> tasks.Task:
        """What is predicted, and how it is measured."""
        return self.predictor.task

    @property
    def history(self) -> History:
        """One row an epoch: ``run.history[-1, "val_loss"]``."""
        return self.state.history if self.state else self.recorded or History()

    @property
    def status(self) -> str:
        """How it ended: finished, early stopping, interrupted, diverged, or a callback's words."""
        if self.state is None:
            return str(self.folder.manifest["status"]) if self.folder else "not begun"
        return self.state.stop or ("finished" if self.state.finished else "running")

    @property
    def transfer(self) -> dict[str, Any] | None:
        """What was taken over from an earlier run, layer by layer; None where nothing was."""
        made = getattr(self.predictor, "transfer", None)
        if made is not None:
            plain: dict[str, Any] = made.to_plain()
            return plain
        return self.folder.manifest.get("transfer") if self.folder else None

    @property
    def findings(self) -> list[Finding]:
        """What is wrong with the run, best guess first; empty where nothing is, or nothing was watched."""
        return self.diagnosis.findings if self.diagnosis else []

    @property
    def best_epoch(self) -> int | None:
        """The epoch whose weights were best by the monitored value, from 1."""
        if self.state:
            return self.state.best_epoch
        recorded = self.folder.manifest.get("best_epoch") if self.folder else None
        return None if recorded is None else int(recorded)

    def finish(self) -> None:
        """Write history and weights into the folder, once the loop has ended."""
        state = self.state
        if not self.folder or state is None:
            return
        self.folder.write("history.csv", state.history.to_csv())
        self.keep_findings()
        if self.diagnosis is not None:
            self.diagnosis.watch.observed.save(self.folder.path / "record")
        self.folder.write_weights("best", state.best_weights or state.weights())
        if state.last_weights is not None:
            self.folder.write_weights("last", state.last_weights)
        self.folder.update_manifest(
            status=self.status,
            best_epoch=state.best_epoch,
            timing=state.clock.summary() if state.clock.count else self.folder.manifest.get("timing"),
        )

    def keep_findings(self) -> None:
        """Write the findings, as they are known now, into the folder."""
        if self.folder and self.diagnosis is not None:
            findings = {"findings": [finding.to_plain() for finding in self.findings]}
            write_json(self.folder.path / "findings.json", findings)

    def test(self) -> Evaluation:
        """Measure on the test set, and enter the look into the ledger: later looks say that they are later.

        Raises:
            DataError: no test examples were held out.
        """
        return self.evaluate("test")

    def evaluate(self, on: Any = "val") -> Evaluation:
        """Measure on ``"train"``, ``"val"`` or ``"test"``, on a file, or on ``(x, y)``.

        Raises:
            DataError: there are no such examples, or their targets are missing.
        """
        part, batches = self._batches(on)
        with generators.seeded(self.experiment.seed):  # a loader draws from them, whatever its order
            measured = evaluate(self.predictor, batches)
            output, target = outputs(self.predictor, batches, self.task.compact)
            before = before_denoising(self.task, batches)
        loss = measured.pop("loss")
        interval = self.task.interval(output, target)
        looks = self._enter(part, len(target), measured, interval) if part == "test" else 0
        by_class = self.task.by_class(output.sum(0)) if isinstance(self.task, tasks.Segmentation) else {}
        return Evaluation(part, len(target), loss, measured, interval, looks, by_class, before)

    def predict(self, x: Any) -> NDArray[Any]:
        """Predict for new examples: classes as they were called in the data, or numbers in their own units.

        Masks hold the values that the masks of the data have; images may be of any size.

        Arguments:
            x: inputs of the training data's form, or a file or DataFrame with the same columns.
        """
        made = self._outputs(x, lambda output, target: (self.task.predict(output), target))
        if isinstance(self.task, tasks.Segmentation) and self.preprocessor is not None:
            return self.preprocessor.decode_masks(made)
        predicted: NDArray[Any] = made.numpy()
        if self.task.name == "regression" and predicted.shape[1] == 1:
            return predicted.reshape(-1)
        classes = self.preprocessor.classes if self.preprocessor else ()
        if not classes:
            return predicted
        whole = all(name.lstrip("-").isdigit() for name in classes)
        labels: NDArray[Any] = np.array([int(name) for name in classes] if whole else classes)
        named: NDArray[Any] = labels[predicted]
        return named

    def predict_proba(self, x: Any) -> NDArray[Any]:
        """Return each class's probability for new examples: N × classes.

        Raises:
            ConfigError: the task has no classes.
        """
        probabilities = self.task.probabilities(self._outputs(x))
        if probabilities is None:
            raise ConfigError("a regression has no class probabilities", hint="run.predict(x)")
        return probabilities.numpy()

    def report(self, path: Path | str | None = None) -> Path:
        """Write the report as one HTML file; default: ``report.html`` in the run's folder. Return its path.

        Raises:
            ConfigError: neither a path nor a run folder.
        """
        from preceptor.report import write
        from preceptor.run._summary import summarize

        if path is None:
            if self.folder is None:
                raise ConfigError("the run has no folder", expected="run.report('report.html')")
            path = self.folder.path / "report.html"
        return write(summarize(self), Path(path))

    def look(self, *what: str, out: Path | str | None = None, examples: int = 6) -> list[Look]:
        """Return pictures of what the network sees: its weights, its maps, and what its predictions rest on.

        Arguments:
            what: ``"filters"``, ``"maps"``, ``"saliency"``, ``"occlusion"``, ``"augmentation"``,
                ``"examples"``, ``"classes"`` or ``"confusions"``; none: all of them.
            out: write a PNG file of each into this folder.
            examples: how many images are explained, the worst mistakes and the surest hits.

        Returns:
            A look each; without rows where the model or the data do not allow it, which its lead explains.

        Raises:
            ConfigError: an unknown look.
            DataError: the run's data were given in code, and the run was loaded.
        """
        from preceptor.report.looks import save
        from preceptor.run._look import WHAT, look_at
        from preceptor.run._summary import predicted

        self._ensure_data()
        looks = look_at(
            self, what or tuple(WHAT), predictions=predicted(self), examples=examples, thorough=True
        )
        for look in looks if out is not None else ():
            if look.rows:
                save(look, Path(str(out)))
        return looks

    def part(self, name: str) -> Part | None:
        """Return the prepared examples of ``"train"``, ``"val"`` or ``"test"``; None where there are none."""
        return getattr(self.prepared, name) if self.prepared else None

    def _outputs(self, x: Any, keep: Keep | None = None) -> Tensor:
        if self.preprocessor is not None:
            raw, _ = self._read(x, self.preprocessor)
            for column, values in self.preprocessor.unseen(raw).items():
                shown = ", ".join(map(repr, values[:6]))
                warnings.warn(
                    f"column {column!r}: not seen in training, taken as none: {shown}", stacklevel=3
                )
            inputs = self.preprocessor.inputs(raw)
        elif isinstance(x, str | Path):
            raise DataError(
                "a run on your own loaders predicts for tensors",
                expected="inputs of the form that the loader yielded",
                received=repr(str(x)),
                hint="run.predict(x) in Python",
            )
        else:
            inputs = torch.as_tensor(x)
        if not len(inputs):
            raise DataError("there is nothing to predict", expected="at least one example", received="none")
        grid = isinstance(self.task, tasks.Segmentation | tasks.Reconstruction) and inputs.ndim == 4
        dummy = torch.zeros((len(inputs), 1, 1) if grid else len(inputs), dtype=torch.long)
        batches = in_order(
            Part(inputs, dummy, np.arange(len(inputs))), batch_size=64, device=self.predictor.device
        )
        assert batches is not None  # noqa: S101 - there is at least one example
        return outputs(self.predictor, batches, keep)[0]

    def _read(self, source: Any, preprocessor: Preprocessor) -> tuple[Any, Any]:
        images = self.experiment.data
        return data.read_inputs(
            source, preprocessor, image_size=images.image_size, image_fit=images.image_fit
        )

    def _batches(self, on: Any) -> tuple[str, Batches]:
        if isinstance(on, str) and on in ("train", "val", "test"):
            self._ensure_data()
            assert self.feeds is not None  # noqa: S101 - just made sure
            batches = {"train": self.feeds.probe, "val": self.feeds.val, "test": self.feeds.test}[on]
            if on == "train" and self.prepared is not None:
                seen = disturbed(self.prepared.train, with_noise(self.experiment))
                batches = in_order(seen, batch_size=64, device=self.predictor.device)
            if batches is None:
                raise DataError(
                    f"there are no {on} examples",
                    expected=f"a run that holds some out: {on}=0.15",
                    received=self.prepared.split.text if self.prepared else f"no {on} loader",
                )
            return on, batches
        if self.preprocessor is None:
            raise DataError(
                "a run on your own loaders is evaluated on its own parts", expected="train, val or test"
            )
        raw, target = self._read(on, self.preprocessor)
        if self.preprocessor.target_kind == "inputs":
            target = raw
        if target is None:
            raise DataError(
                "the targets are missing", expected="the column that was predicted", received=str(on)[:80]
            )
        x, y = self.preprocessor.inputs(raw), self.preprocessor.targets(target)
        seen = disturbed(Part(x, y, np.arange(len(y))), with_noise(self.experiment))
        batches = in_order(seen, batch_size=64, device=self.predictor.device)
        if batches is None:
            raise DataError("there is nothing to evaluate", expected="at least one example", received="none")
        return Path(on).name if isinstance(on, str | Path) else "data", batches

    def _ensure_data(self) -> None:
        if self.feeds is not None:
            return
        source = self.experiment.data.source
        if source == "arrays" or self.preprocessor is None:
            raise DataError(
                "the run's data were given in code, and are not kept",
                expected="a run on data that have a name or a path",
                received=source,
                hint="give new data: run.evaluate((x, y))",
            )
        inputs = Inputs(
            source,
            own_model=is_own_code(self.experiment.model.name),
            source=going_on(self.folder) if self.folder else None,
        )
        self.feeds, self.prepared, _ = make_feeds(self.experiment, inputs, self.predictor.device)
        recorded = self.folder.manifest.get("data") if self.folder else None
        if recorded and self.prepared and recorded["split"] != self.prepared.split.fingerprint:
            raise CheckpointError(
                "the data have changed since the run",
                expected=f"fingerprint {recorded['split'][:12]}",
                received=self.prepared.split.fingerprint[:12],
                hint="restore the data; other data can be evaluated by naming their file",
            )

    def _enter(self, part: str, n: int, metrics: dict[str, float], interval: Any) -> int:
        look = len(self.ledger) + 1
        self.ledger.append(
            {
                "look": look,
                "when": now(),
                "best_epoch": self.best_epoch,
                "part": part,
                "n": n,
                "metrics": metrics,
                "interval": interval,
            }
        )
        if self.folder:
            self.folder.update_manifest(ledger=self.ledger)
        return len(self.ledger)

    def __repr__(self) -> str:
        where = f" in {self.folder.path}" if self.folder else ""
        return f"<Run {self.experiment.name}: {self.status}, best epoch {self.best_epoch}{where}>"
