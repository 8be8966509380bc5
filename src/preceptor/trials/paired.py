"""The paired rerun: twins of one of our own trainings, one change apart, on the same data and split."""

from __future__ import annotations

import copy
import math
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from torch import nn

from preceptor.data import Prepared, generators
from preceptor.data.batches import LoaderBatches, TensorBatches
from preceptor.errors import PreceptorError
from preceptor.training.build import Objects, batch_size_for, build, choose_device
from preceptor.training.callbacks import Callback
from preceptor.training.dense import with_noise
from preceptor.training.evaluate import evaluate
from preceptor.training.experiment import Experiment
from preceptor.training.feeds import Feeds, feeds_from_prepared
from preceptor.training.history import History
from preceptor.training.inputs import Inputs, make_feeds
from preceptor.training.loop import fit
from preceptor.training.state import State
from preceptor.trials.change import Change
from preceptor.trials.own import settings_of
from preceptor.trials.trial import MEASURES, Trial

__all__ = ["Paired", "measure_of", "outcome"]

_KNOWN = {"accuracy": "accuracy", "r2": "explained"}  # headline measures that a trial knows
_WORST = {"accuracy": 0.0, "explained": -1.0, "loss": math.inf}


def measure_of(experiment: Experiment, examples: int, cause: str = "") -> str:
    """Return what twins are judged by: the headline measure, or the loss.

    The loss decides where a trial does not know the headline measure; where one validation example more or
    less would be a difference that matters (1/n > least); and against overfitting, which shows in the loss
    long before a class changes.

    Example:
        >>> digits, other = Experiment(metrics=("accuracy", "macro_f1")), Experiment(metrics=("rmse",))
        >>> measure_of(digits, 270), measure_of(digits, 23), measure_of(digits, 270, "overfitting")
        ('accuracy', 'loss', 'loss')
        >>> measure_of(other, 270)
        'loss'
    """
    headline = _KNOWN.get(experiment.metrics[0] if experiment.metrics else "", "loss")
    few = headline == "accuracy" and examples * MEASURES[headline].least < 1
    return "loss" if few or cause == "overfitting" else headline


def outcome(history: History, experiment: Experiment, measure: str) -> float:
    """Return what a training came to on validation: the value of the epoch whose weights it ends with.

    A training that measured nothing finite has the measure's worst value. R² ends at −1: worse than that is
    all the same.

    Example:
        >>> rows = [{"val_loss": 0.5, "val_accuracy": 0.8}, {"val_loss": 0.9, "val_accuracy": 0.7}]
        >>> outcome(History(rows), Experiment.of({"training.monitor": "val_loss"}), "accuracy")
        0.8
    """
    settings, rows = experiment.training, history.rows
    mode = "max" if settings.mode == "max" else "min"
    best = history.best(settings.monitor, mode) if settings.restore_best else len(rows) - 1
    name = {"explained": "r2"}.get(measure, measure)
    value = rows[best].get(f"val_{name}") if rows and best is not None else None
    if not isinstance(value, int | float) or not math.isfinite(value):
        return _WORST[measure]
    return max(float(value), -1.0) if measure == "explained" else float(value)


@dataclass(frozen=True)
class _Twin:
    """What a twin left: what was measured, the steps it took, and the validation loss that it began with."""

    history: History
    steps: int
    start: float

    def value(self, experiment: Experiment, measure: str, *, at_most: float) -> float:
        """Return what it came to. A loss above ``at_most`` is lost: by how much says nothing.

        One pair's astronomic gain would hide that all the others gain too.
        """
        value = outcome(self.history, experiment, measure)
        return min(value, at_most) if measure == "loss" and math.isfinite(value) else value


@dataclass
class Paired:
    """Trains pairs of twins: the run's settings, and the same with one change; all else is equal.

    Twin and run differ in nothing but their length: the first pair's unchanged twin takes the run's own steps
    to the last bit, the further pairs have the next seeds. Nobody watches, nothing is written, and the
    caller's random generators are left as they were. The test examples are not looked at.

    Arguments:
        experiment: the run's settings, with everything decided.
        inputs: its data, as they were given.
        objects: its blocks that were made in code; a module stands as it was before training.
        passes: epochs that the unchanged twin takes at most; parts of one count.
        pairs: pairs of a trial; a change that one of them shows to be worse is given up at once.
        seconds: no pair is begun after this time; None: no limit.
        prepared: the run's data as they were prepared, where they lie in memory: not to do it for each twin.
    """

    experiment: Experiment
    inputs: Inputs
    objects: Objects
    passes: float
    pairs: int = 4
    seconds: float | None = None
    prepared: Prepared | None = None
    _known: dict[int, _Twin] = field(default_factory=dict)
    _examples: int = 0
    _begun: float = field(default_factory=monotonic)

    @property
    def over(self) -> bool:
        """Whether the time is used up."""
        return self.seconds is not None and monotonic() - self._begun > self.seconds

    def compare(self, change: Change, *, cause: str = "") -> Trial | None:
        """Return what pairs of twins show of a change; None where no pair could be trained.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed meanwhile.
        """
        measure = ""
        baseline: list[float] = []
        changed: list[float] = []
        steps = 0
        for pair in range(self.pairs):
            if self.over:
                break
            try:
                unchanged, other = self._unchanged(pair), self._twin(pair, change)
            except PreceptorError:  # settings that do not go together: no trial, and no remedy
                return None
            measure = measure_of(self.experiment, self._examples, "" if change.kind == "loss" else cause)
            steps = max(steps, unchanged.steps)
            before, after = (
                twin.value(self.experiment, measure, at_most=unchanged.start) for twin in (unchanged, other)
            )
            baseline.append(before)
            changed.append(after)
            if not (after > before if MEASURES[measure].higher else after < before):
                break
        if not baseline:
            return None
        return Trial((change,), measure, tuple(baseline), tuple(changed), steps, "validation")

    def _unchanged(self, pair: int) -> _Twin:
        if pair not in self._known:
            self._known[pair] = self._twin(pair)
        return self._known[pair]

    def _twin(self, pair: int, change: Change | None = None) -> _Twin:
        """Train one twin."""
        seed = (self.experiment.seed + pair) % 2**32
        settings = settings_of(change, self.experiment) if change else {}
        experiment = self.experiment.changed({**settings, "seed": seed})
        longer = experiment.training.epochs / self.experiment.training.epochs
        with ExitStack() as fenced:
            feeds = self._feeds(experiment, fenced)
            fenced.enter_context(generators.seeded(seed))
            fenced.enter_context(generators.deterministic(experiment.training.deterministic))
            problem, experiment = build(
                experiment, feeds, self._objects(), choose_device(experiment.training.device)
            )
            each = max(1, -(-len(feeds.train) // experiment.training.grad_accumulation))
            until = _Until(math.ceil(self.passes * longer * each), feeds)
            state = fit(
                problem,
                epochs=experiment.training.epochs,
                patience=experiment.training.patience,
                min_delta=experiment.training.min_delta,
                restore_best=experiment.training.restore_best,
                callbacks=[until],
            )
        if state.stop == "interrupted":
            raise KeyboardInterrupt
        return _Twin(History([*state.history.rows, *until.rows]), state.step, until.start)

    def _feeds(self, experiment: Experiment, fenced: ExitStack) -> Feeds:
        """Return the twin's data; a loader of the user's begins where it stands, and is put back there."""
        device = choose_device(experiment.training.device)
        if self.prepared is not None and experiment.data == self.experiment.data:
            feeds = feeds_from_prepared(
                self.prepared,
                batch_size=batch_size_for(experiment, len(self.prepared.train.y)),
                train_examples=experiment.training.train_examples,
                device=device,
                seed=experiment.seed,
                crop=experiment.data.crop,
                noise=with_noise(experiment),
            )
        else:
            feeds, _, _ = make_feeds(experiment, self.inputs, device)
        if isinstance(feeds.val, TensorBatches):
            self._examples = len(feeds.val.y)
        elif feeds.val is not None:
            self._examples = len(feeds.val) * feeds.val.batch_size
        for batches in (feeds.train, feeds.probe, feeds.val):
            if isinstance(batches, LoaderBatches):
                fenced.enter_context(_Kept(batches))
        return feeds

    def _objects(self) -> Objects:
        given = self.objects.model
        model = copy.deepcopy(given) if isinstance(given, nn.Module) else given
        return Objects(
            model,
            self.objects.loss,
            self.objects.optimizer,
            self.objects.schedule,
            source=self.objects.source,
        )


class _Kept(AbstractContextManager[None]):
    """Puts the generators of a loader back where they were."""

    def __init__(self, batches: LoaderBatches) -> None:
        self.batches, self.before = batches, batches.state_dict()

    def __exit__(self, *details: object) -> None:
        self.batches.load_state_dict(self.before, again=False)


class _Until(Callback):
    """Measures a twin at its start, and where it ends after a number of steps, within an epoch too."""

    order = 100

    def __init__(self, steps: int, feeds: Feeds) -> None:
        self.steps, self.val = steps, feeds.val
        self.rows: list[dict[str, Any]] = []
        self.start = math.inf

    def on_train_begin(self, state: State) -> None:
        """Measure, and leave all generators as they were."""
        before = self.val.state_dict() if self.val is not None else {}
        start = self._measure(state).get("val_loss", math.inf)
        self.start = start if math.isfinite(start) else math.inf
        if self.val is not None:
            self.val.load_state_dict(before, again=False)

    def on_batch_end(self, state: State) -> None:
        """Stop, if it is time."""
        if state.step < self.steps or state.stop:
            return
        state.stop = "as far as twins go"
        if state.batch < len(state.problem.train):
            self.rows.append(self._measure(state))

    def _measure(self, state: State) -> dict[str, Any]:
        measured = evaluate(state.problem, self.val) if self.val is not None else {}
        return {f"val_{name}": value for name, value in measured.items()}
