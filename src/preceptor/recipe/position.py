"""Where a training stands: errors on training, validation and test examples, the shape of its curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeGuard

from preceptor import catalogue
from preceptor.diagnosis.curve import Curve
from preceptor.diagnosis.verdict import verdicts
from preceptor.errors import ConfigError
from preceptor.training.experiment import Experiment

__all__ = ["Position", "error_of", "position"]

_LEAST = 5  # epochs: of fewer, curves say nothing


@dataclass(frozen=True)
class Position:
    """Where a training stands, as the decision tree asks for it.

    Errors are shares: of examples named wrong, of variance left unexplained (1 − R²), or, for other measures,
    of the first epoch's loss.

    Attributes:
        train: the error on training examples.
        val: on validation examples; None where none are held out.
        goal: the error that is wanted, or that people or nobody can go below; None: not known.
        noise: half the width of the interval of ``val``: smaller differences say nothing.
        like_training: the error on held-out examples that come from where training's do, for validation
            examples that come from elsewhere; None where all are of one kind.
        test: the error on the test examples, if they were looked at.
        finite: whether the loss was a number to the end.
        chance: the error of a constant answer, as far as it is known.
        curves: names of verdicts on the learning curves, as in `preceptor.diagnosis.verdict`.
        restrained: whether weights, activations or inputs are regularised.
        tried: actions that were tried and did not help.

    Example:
        >>> Position(train=0.01, val=0.06, noise=0.01).gap
        0.05
    """

    train: float
    val: float | None = None
    goal: float | None = None
    noise: float = 0.0
    like_training: float | None = None
    test: float | None = None
    finite: bool = True
    chance: float = 1.0
    curves: frozenset[str] = frozenset()
    restrained: bool = False
    tried: frozenset[str] = field(default_factory=frozenset)

    def __post_init__(self) -> None:
        for name in ("train", "val", "goal", "like_training", "test"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ConfigError(
                    "errors are shares of 0 or more", expected="such as 0.05", received=f"{name}={value}"
                )

    @property
    def gap(self) -> float:
        """By how much validation is worse than training; 0 where nothing is held out."""
        return 0.0 if self.val is None else round(self.val - self.train, 12)

    def after(self, action: str) -> Position:
        """Return the same where an action has not helped."""
        return replace(self, tried=self.tried | {action})

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {**vars(self), "curves": sorted(self.curves), "tried": sorted(self.tried)}


def error_of(name: str, value: float) -> float | None:
    """Return the error that a measure stands for: 1 − it, where 1 is the best there is; None for others.

    Example:
        >>> round(error_of("accuracy", 0.98), 6), error_of("error", 0.25), error_of("mae", 3.0)
        (0.02, 0.25, None)
    """
    key = name.replace("_", "-")
    if key in ("error", "top5-error"):
        return value
    known = catalogue.find(key, "metric")
    traits = known[0].traits if known else {}
    best_is_one = traits.get("better") == "max" and traits.get("targets") != "densities" and key != "psnr"
    return max(0.0, 1.0 - value) if best_is_one and value <= 1 else None


def position(
    history: Sequence[Mapping[str, Any]],
    experiment: Experiment,
    *,
    best: int | None = None,
    examples: int | None = None,
    test: float | None = None,
    chance: float | None = None,
    tried: frozenset[str] = frozenset(),
) -> Position | None:
    """Return where a training stands by its history; None where no epoch was measured.

    Arguments:
        history: a row for each epoch.
        experiment: its settings, with everything decided; ``training.goal`` is a headline measure.
        best: the epoch, from 1, whose weights were kept; default: the last one.
        examples: how many validation examples there are.
        test: the headline measure on the test examples, if they were looked at.
        chance: the share of the commonest class; None: not known, or targets are numbers.
        tried: actions that were tried and did not help.

    Example:
        >>> rows = [{"train_loss": 0.5, "val_loss": 0.6, "train_accuracy": 0.99, "val_accuracy": 0.9}]
        >>> found = position(rows, Experiment(metrics=("accuracy",)), examples=100)
        >>> round(found.train, 3), round(found.val, 3), round(found.noise, 2)
        (0.01, 0.1, 0.06)
    """
    if not history:
        return None
    row = history[min(best or len(history), len(history)) - 1]
    measure = _measure(row, experiment)
    train = _error(row, history, "train", measure)
    val = _error(row, history, "val", measure)
    if train is None:
        return None
    goal = experiment.training.goal
    return Position(
        train=train,
        val=val,
        goal=None if goal is None or measure is None else error_of(measure, goal),
        noise=_noise(val, examples, measure),
        test=None if test is None or measure is None else error_of(measure, test),
        chance=1.0 if chance is None or measure not in ("accuracy", "error") else 1.0 - chance,
        finite=all(_finite(r.get("train_loss_running", r.get("train_loss"))) for r in history),
        curves=_curves(history),
        restrained=_restrained(experiment),
        tried=tried,
    )


def _measure(row: Mapping[str, Any], experiment: Experiment) -> str | None:
    """Return the measure that the errors are of; None: the loss."""
    for name in (*experiment.metrics, "accuracy", "r2"):
        value = row.get(f"train_{name}")
        if _finite(value) and error_of(name, float(value)) is not None:
            return name
    return None


def _error(
    row: Mapping[str, Any], history: Sequence[Mapping[str, Any]], part: str, measure: str | None
) -> float | None:
    if measure is not None:
        value = row.get(f"{part}_{measure}")
        return error_of(measure, float(value)) if _finite(value) else None
    now, first = row.get(f"{part}_loss"), history[0].get("train_loss", history[0].get("train_loss_running"))
    if now is None and part == "train":
        now = row.get("train_loss_running")
    if not (_finite(now) and _finite(first) and first > 0):
        return None
    return max(0.0, now) / first


def _finite(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and math.isfinite(value)


def _noise(val: float | None, examples: int | None, measure: str | None) -> float:
    """Return half of the 95 % interval of a share; for other errors a twentieth of them."""
    if val is None:
        return 0.0
    if examples and measure is not None and measure != "r2":
        share = min(1.0, max(val, 1 / examples))
        return 1.96 * math.sqrt(share * (1 - share) / examples)
    return 0.05 * val


def _curves(history: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    if len(history) < _LEAST:
        return frozenset({"too short to tell"})
    found = {}
    for name in ("train_loss", "val_loss", "train_accuracy", "val_accuracy", "lr"):
        pairs = [(i, r[name]) for i, r in enumerate(history) if isinstance(r.get(name), int | float)]
        if pairs:
            found[name] = Curve([i for i, _ in pairs], [float(v) for _, v in pairs])
    return frozenset(verdict.name for verdict in verdicts(found)) if found else frozenset()


def _restrained(experiment: Experiment) -> bool:
    decay = experiment.optimizer.options.get("weight_decay") or 0.0
    dropout = experiment.model.options.get("dropout") or 0.0
    strong = any(isinstance(v, int | float) and v > 0 for v in (decay, dropout))
    return strong or bool(experiment.regularizers or experiment.augmentations)
