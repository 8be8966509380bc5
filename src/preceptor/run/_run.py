"""`Run`: a training that is over, or under way, and what can be done with it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from preceptor import tasks
from preceptor.catalogue.schedules.controlled import Controller
from preceptor.data import Part, Prepared, Preprocessor, generators
from preceptor.data.audit import Audit
from preceptor.data.batches import Batches
from preceptor.data.shift import Reference
from preceptor.data.text import TextCoder
from preceptor.diagnosis.finding import Finding, Findings
from preceptor.errors import ConfigError
from preceptor.recipe import Checks
from preceptor.recipe.tree import Advice
from preceptor.report.looks import Look
from preceptor.run._answers import answers, sampled, scored
from preceptor.run._evaluation import Evaluation, before_denoising
from preceptor.run._fitted import fit_task
from preceptor.run._given import ensure_data, examples_of, in_words, network_outputs
from preceptor.run._ledger import looks_elsewhere, refuse_another_look
from preceptor.run.examined.diagnosis import Diagnosis, warn, warn_of
from preceptor.run.text.language import OnText, measured_text, text_batches
from preceptor.run.text.translate import OnPairs, translate
from preceptor.run.text.translation import Judged, measured_pairs, pair_batches
from preceptor.training.evaluate import evaluate, outputs
from preceptor.training.experiment import Experiment
from preceptor.training.feeds import Feeds
from preceptor.training.folder import RunFolder
from preceptor.training.history import History
from preceptor.training.manifest import now
from preceptor.training.pairs import TextPairs
from preceptor.training.problem import Predictor
from preceptor.training.state import State

if TYPE_CHECKING:
    from preceptor.run._export import Exported

__all__ = ["Evaluation", "Run"]


@dataclass
class Run(OnText, OnPairs):
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
        translations: of parts that were measured, where sentences are translated.
        checks: what was checked before the training; None where nothing was.
        coder: the vocabulary, where a text is continued.
        samples: what the network wrote at the ends of some epochs, where a text is continued.
        audit: what was wrong with the data before training; None where nobody looked.
        reference: statistics of the training inputs, with which inputs in use are compared.
        familiar: how many of the examples evaluated last were trained on.
        notes: what was done otherwise than was asked for: batches taken in parts, a damaged checkpoint.
        say: hears of such a note at once; by default it becomes a warning.
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
    checks: Checks | None = None
    coder: TextCoder | None = None
    samples: list[dict[str, Any]] = field(default_factory=list)
    translations: dict[str, Judged] = field(default_factory=dict)
    audit: Audit | None = None
    reference: Reference | None = None
    familiar: int = field(default=0, repr=False)
    notes: list[str] = field(default_factory=list)
    say: Callable[[str], None] = warn_of

    def __post_init__(self) -> None:
        if self.preprocessor is None and self.feeds is not None:
            self.preprocessor = self.feeds.preprocessor
        if self.coder is None and self.feeds is not None and self.feeds.text is not None:
            self.coder = self.feeds.text.coder
        if self.folder:
            manifest = self.folder.manifest
            self.ledger, self.notes = list(manifest["ledger"]), list(manifest.get("notes", ()))

    def note(self, text: str) -> None:
        """Tell, and keep, what is done otherwise than was asked for."""
        self.notes.append(text)
        self.say(text)

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
    def findings(self) -> Findings:
        """What is wrong with the run, best guess first; empty where nothing is, or nothing was watched."""
        return Findings(self.diagnosis.findings if self.diagnosis else ())

    @property
    def advice(self) -> Advice | None:
        """What to do next by the recipe, from the errors on training and validation; None where unknown."""
        from preceptor.run.examined.advice import advise

        return advise(self)

    @property
    def best_epoch(self) -> int | None:
        """The epoch whose weights were best by the monitored value, from 1."""
        if self.state:
            return self.state.best_epoch
        recorded = self.folder.manifest.get("best_epoch") if self.folder else None
        return None if recorded is None else int(recorded)

    def finish(self) -> None:
        """Write history and weights into the folder, once the loop has ended."""
        fit_task(self)
        state = self.state
        if not self.folder or state is None:
            return
        self.folder.write("history.csv", state.history.to_csv())
        if self.samples:
            self.folder.write_json("samples.json", {"samples": self.samples})
        self.keep_findings()
        if self.diagnosis is not None:
            self.diagnosis.watch.observed.save(self.folder.path / "record")
        self.folder.write_weights("best", state.best_weights or state.weights())
        if state.last_weights is not None:
            self.folder.write_weights("last", state.last_weights)
        self.folder.seal(
            status=self.status,
            best_epoch=state.best_epoch,
            notes=self.notes,
            timing=state.clock.summary() if state.clock.count else self.folder.manifest.get("timing"),
            **_reasons(state),
        )

    def keep_findings(self) -> None:
        """Write the findings, as they are known now, into the folder."""
        if self.folder and self.diagnosis is not None:
            findings = {"findings": [finding.to_plain() for finding in self.findings]}
            self.folder.write_json("findings.json", findings)

    def test(self, again: str | None = None) -> Evaluation:
        """Measure on the test set, and enter the look into the ledger.

        Arguments:
            again: why, where it has been looked at already.

        Raises:
            DataError: no test examples were held out.
            ConfigError: it has been looked at, and no reason is given to do so again.
        """
        return self.evaluate("test", again)

    def evaluate(self, on: Any = "val", again: str | None = None) -> Evaluation:
        """Measure on ``"train"``, ``"val"`` or ``"test"``, on a file, or on ``(x, y)``.

        Arguments:
            on: which examples.
            again: why the test set is looked at, where it has been already.

        Raises:
            DataError: there are no such examples, or their targets are missing.
            ConfigError: the test set has been looked at, and no reason is given to do so again.
        """
        if not (isinstance(on, str) and on == "test"):
            return self._evaluated(on)
        with self.folder.held("evaluating", again=True) if self.folder else nullcontext():
            if self.folder:  # others may have looked since this was loaded
                self.ledger = list(self.folder.manifest["ledger"])
            refuse_another_look(self.ledger, again, self.folder)
            return self._evaluated(on, again)

    def _evaluated(self, on: Any, again: str | None = None) -> Evaluation:
        part, batches = self._batches(on)
        with generators.seeded(self.experiment.seed):  # a loader draws from them, whatever its order
            found = self._measured(part, batches)
        if part != "test":
            return replace(found, trained_on=self.familiar if part not in ("train", "val") else 0)
        elsewhere = looks_elsewhere(self.folder)
        look = {"n": found.n, "metrics": found.metrics, "interval": found.interval}
        self._enter({"part": part, **look, "elsewhere": elsewhere, "reason": again})
        return replace(found, looks=len(self.ledger), elsewhere=elsewhere)

    def _measured(self, part: str, batches: Batches) -> Evaluation:
        if self.coder is not None:
            return measured_text(self, part, batches)
        if isinstance(batches, TextPairs):
            return measured_pairs(self, part, batches)
        measured = evaluate(self.predictor, batches)
        output, target = outputs(self.predictor, batches, self.task.compact)
        before = before_denoising(self.task, batches)
        loss, interval = measured.pop("loss"), self.task.interval(output, target)
        by_class = self.task.each_class(output, target)
        return Evaluation(part, len(target), loss, measured, interval, 0, by_class, before)

    def predict(self, x: Any) -> NDArray[Any]:
        """Predict for new examples: classes as they were called in the data, or numbers in their own units.

        Masks hold the values that the masks of the data have; images may be of any size. Of several labels
        1 says that one holds, of anomalies that an example is one; of densities it is log p(x). Imputation
        returns the examples with their gaps filled.

        Arguments:
            x: inputs of the training data's form, or a file or DataFrame with the same columns.
        """
        if isinstance(self.task, tasks.Translation):
            texts = Path(x) if isinstance(x, str) and Path(x).is_file() else x
            return np.array([one.text for one in translate(self, texts)], dtype=object)
        made = network_outputs(self, x, lambda output, target: (self.task.predict(output), target))
        if (answered := answers(self, x, made)) is not None:
            return answered
        if isinstance(self.task, tasks.Segmentation) and self.preprocessor is not None:
            return self.preprocessor.decode_masks(made)
        predicted: NDArray[Any] = made.numpy()
        if self.task.name == "regression" and predicted.shape[1] == 1:
            return predicted.reshape(-1)
        return in_words(self, predicted)

    def predict_proba(self, x: Any) -> NDArray[Any]:
        """Return each class's probability for new examples: N × classes.

        Raises:
            ConfigError: the task has no classes.
        """
        probabilities = self.task.probabilities(network_outputs(self, x))
        if probabilities is None:
            raise ConfigError(f"a {self.task.name} has no class probabilities", hint="run.predict(x)")
        return probabilities.numpy()

    def scores(self, x: Any) -> NDArray[Any]:
        """Return how unusual each example is, in nats below the threshold: above 0 it is an anomaly."""
        return scored(self, x)

    def sample(self, count: int, seed: int | None = None) -> NDArray[Any]:
        """Draw new examples from the density that was learned, (count, …), in the units of the data."""
        return sampled(self, count, seed)

    def report(self, path: Path | str | None = None) -> Path:
        """Write the report as one HTML file; default: ``report.html`` in the run's folder. Return its path.

        Raises:
            ConfigError: neither a path nor a run folder.
        """
        from preceptor.report import write
        from preceptor.run.shown.summary import summarize

        if path is None:
            if self.folder is None:
                raise ConfigError("the run has no folder", expected="run.report('report.html')")
            path = self.folder.path / "report.html"
        return write(summarize(self), Path(path))

    def export(self, path: Path | str | None = None, to: str = "safetensors") -> Exported:
        """Write the network for other programs, as ``"safetensors"``, ``"torch-export"`` or ``"onnx"``.

        What was written is loaded again and compared with the network; see `preceptor.run._export.export`.

        Raises:
            UnknownName: there is no such form.
            ModelError: the network cannot be exported so, or the file computes something else.
            ExtraMissing: ``"onnx"`` needs ``preceptor[onnx]``.
        """
        from preceptor.run._export import export

        return export(self, path, to)

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
        from preceptor.run.shown.look import WHAT, look_at
        from preceptor.run.shown.summary import predicted

        ensure_data(self)
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

    def _batches(self, on: Any) -> tuple[str, Batches]:
        if self.coder is not None:
            return text_batches(self, on)
        if isinstance(self.task, tasks.Translation):
            return pair_batches(self, on)
        return examples_of(self, on)

    def _enter(self, look: dict[str, Any]) -> None:
        entry = {"look": len(self.ledger) + 1, "when": now(), "best_epoch": self.best_epoch, **look}
        self.ledger.append(entry)
        if self.folder:
            self.folder.update_manifest(ledger=self.ledger)

    def _repr_html_(self) -> str:
        from preceptor.run.shown.brief import notebook_html

        return notebook_html(self)

    def __repr__(self) -> str:
        where = f" in {self.folder.path}" if self.folder else ""
        return f"<Run {self.experiment.name}: {self.status}, best epoch {self.best_epoch}{where}>"


def _reasons(state: State) -> dict[str, Any]:
    """Return why the rate was changed, where a controller did that."""
    scheduler = state.problem.scheduler
    return {"rates": scheduler.log} if isinstance(scheduler, Controller) else {}
