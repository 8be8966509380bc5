"""How a run gets on: the way its weights went, its rate and schedule, its epochs, what more would bring."""

from __future__ import annotations

import math
import weakref
from collections.abc import Collection
from functools import cached_property
from typing import Any

import numpy as np

from preceptor.diagnosis._aimed import moves_inputs
from preceptor.diagnosis._usual import usual_rates
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.curve import Curve, Floats, Forecast
from preceptor.observation.series import Series

__all__ = ["Progress", "progress"]

_EPOCHS = 8
_DECAYED = 0.1
_MOST_EPOCHS = 1 << 14
_STRAIGHT, _KEPT = 0.8, 0.8
_NOTHING = 0.05
_SURE = 3.0
_WORTH, _WORTH_OF_MANY = {50: 0.02, 100: 0.05}, 0.1  # by updates
_known: weakref.WeakKeyDictionary[Case, Progress] = weakref.WeakKeyDictionary()


def progress(case: Case) -> Progress:
    """Return the progress of a case, worked out once for all rules that ask."""
    found = _known.get(case)
    if found is None:
        found = _known[case] = Progress(case)
    return found


class Progress:
    """The first optimizer's run: the model that is trained, or the first of several in a row.

    Arguments:
        case: the run.
    """

    def __init__(self, case: Case) -> None:
        self._held = weakref.ref(case)  # the case is the key under which this is kept

    @property
    def _case(self) -> Case:
        case = self._held()
        if case is None:
            raise ReferenceError("the case of this progress is gone")
        return case

    # ------------------------------------------------------------------ the optimizer

    @cached_property
    def optimizer(self) -> dict[str, Any]:
        """The facts of the first optimizer; empty where none was seen."""
        return next(iter(self._case.optimizers), {})

    @property
    def kind(self) -> str:
        """Its class."""
        return str(self.optimizer.get("class", ""))

    @property
    def where(self) -> str:
        """The line that built it."""
        return str(self.optimizer.get("where", ""))

    @cached_property
    def groups(self) -> list[dict[str, Any]]:
        """Settings of its parameter groups."""
        return list(self.optimizer.get("groups", []))

    def setting(self, name: str, default: float = 0.0) -> float:
        """A number among the first group's settings."""
        value = next(iter(self.groups), {}).get(name, default)
        return float(value) if isinstance(value, (int, float)) else default

    @cached_property
    def momentum(self) -> float:
        """μ of SGD and RMSprop; 0 elsewhere: moments of adaptive methods do not lengthen steps."""
        return min(self.setting("momentum"), 0.999)

    @cached_property
    def rates(self) -> Series:
        """The learning rate of the group with the largest one, where it changes."""
        found = [s for s in self._case.signals("lr").values() if s.subject.startswith("0.") and len(s)]
        return max(found, key=lambda series: float(series.values.max()), default=Series("lr"))

    @property
    def rate(self) -> float:
        """The largest learning rate of the run."""
        return float(self.rates.values.max()) if len(self.rates) else self.setting("lr", math.nan)

    @cached_property
    def rate_facts(self) -> dict[str, Any]:
        """What speaks of the rate itself, in words."""
        low, high = usual_rates(self.kind, self.momentum)
        found: dict[str, Any] = {"optimizer": self.kind, "learning rate": self.rate}
        if self.momentum:
            found["momentum"] = self.momentum
        if low > 0 and math.isfinite(high):
            found["usual for it"] = f"{low:g} … {high:g}"
        return found

    @cached_property
    def rate_sum(self) -> float:
        """Σₜ ηₜ / (1 − μ): how far the run's steps go together, for a gradient of norm 1."""
        steps = self.updates or self._case.steps
        if not len(self.rates):
            return self.rate * steps / (1 - self.momentum)
        at, values = self.rates.steps, self.rates.values
        ends = np.append(at[1:], max(int(at[-1]), self.last_step) + 1)
        return float(np.sum(values * (ends - at))) / (1 - self.momentum)

    @cached_property
    def last_step(self) -> int:
        """The step of its last loss."""
        return int(self._case.losses.steps[-1]) if len(self._case.losses) else self._case.steps

    @cached_property
    def decayed(self) -> bool:
        """Whether a schedule has brought the rate below a tenth of its largest: the run ended as planned."""
        values = self.rates.values
        return len(values) > 1 and float(values[-1]) < _DECAYED * float(values.max())

    @cached_property
    def others(self) -> bool:
        """Whether one loss does not tell how training goes.

        Another optimizer steps while this one does (two players, parts trained in turns), or inputs are moved
        while the net stays as it is.
        """
        if moves_inputs(self._case):
            return True
        first, last = self._span("train")
        spans = [self._span(phase) for phase in self._case.phases if phase.startswith("train:")]
        return any(begin < last and end > first for begin, end in spans)

    def _span(self, phase: str) -> tuple[int, int]:
        steps = self._case.curve(phase).all_steps
        return (int(steps[0]), int(steps[-1])) if len(steps) else (0, -1)

    # ------------------------------------------------------------------ epochs and batches

    @cached_property
    def steps_per_epoch(self) -> int:
        """Updates that one pass over the data makes; 0 where passes cannot be told."""
        if not self._case.epochs or self._case.steps < self._case.epochs:
            return 0
        return max(1, round(self._case.steps / self._case.epochs))

    @cached_property
    def updates(self) -> int:
        """How many updates it made."""
        return int(self._case.signal("loss", "train").counts.sum())

    @cached_property
    def passes(self) -> float:
        """How often this run went over its data; NaN where that cannot be told."""
        if not self.steps_per_epoch:
            return math.nan
        return max(1.0, self.updates / self.steps_per_epoch)

    @cached_property
    def losses(self) -> Curve:
        """The training loss; where there are eight epochs or more their means, without noise of batches."""
        curve, per = self._case.losses, self.steps_per_epoch
        if not per or self.passes < _EPOCHS or len(curve) < 2 * _EPOCHS or self.passes > _MOST_EPOCHS:
            return curve
        epochs = (curve.steps - curve.steps[0]) // per
        counts = np.bincount(epochs)
        means = np.bincount(epochs, weights=curve.values) / np.maximum(counts, 1)
        whole = np.flatnonzero(
            counts >= max(1, per // 2) if curve.all_steps.size == self._case.steps else counts
        )
        return Curve(curve.steps[0] + whole * per, means[whole])

    @cached_property
    def batch(self) -> int:
        """Samples of a training batch; 0 where unknown."""
        rows = self._case.record.tables.get("batches", [])
        for what in ("input", "target"):
            shapes = [
                row.get("shape") for row in rows if row.get("phase") == "train" and row.get("what") == what
            ]
            sizes = [int(shape[0]) for shape in shapes if shape]
            if sizes:
                return max(sizes)
        return 0

    # ------------------------------------------------------------------ how far it got

    @cached_property
    def scale(self) -> float:
        """The loss of a constant prediction, else the loss at the start: what progress is measured by."""
        chance = self._case.chance
        return chance if chance is not None and chance > 0 else self._case.losses.start

    @cached_property
    def forecast(self) -> Forecast:
        """What as many steps again would bring."""
        return self.losses.forecast

    @cached_property
    def learned(self) -> float:
        """The share of a constant prediction's loss that is gone, else of the first loss; at most 1."""
        found = self._case.explained if self._case.explained is not None else self._case.improved
        return min(found, 1.0) if math.isfinite(found) else 0.0

    @property
    def measured(self) -> bool:
        """Whether the loss of a constant prediction is known: without it nobody knows what a good loss is."""
        return self._case.explained is not None

    @property
    def nothing_learned(self) -> bool:
        """Whether the loss at the end is hardly better than a constant prediction's, else than the first."""
        return self.learned <= _NOTHING

    @cached_property
    def fall(self) -> float:
        """How far the line through the second half falls."""
        return -float(self.losses.slope(0.5, 1.0).change)

    @cached_property
    def straight_on(self) -> bool:
        """Whether updates ten steps and more apart go the same way, and the slope along the way is kept."""
        return self.straight >= _STRAIGHT and self.slope_kept >= _KEPT

    @cached_property
    def worth(self) -> float:
        """The expected gain of as many steps again, as a share of `scale`."""
        return self.forecast.gain / self.scale if self.scale > 0 else 0.0

    @property
    def worth_more(self) -> bool:
        """Whether the loss falls beyond noise, and as many steps again should bring a gain that matters.

        3 standard errors; a gain of 0.1 `scale` and a tenth of the level, for up to 100 updates 0.05 `scale`,
        for up to 50, where noise hides more, 0.02 `scale` and a twentieth.
        """
        ahead, updates = self.forecast, self.updates
        if ahead.falling < _SURE or self.stalled:
            return False
        share = next((share for most, share in _WORTH.items() if updates <= most), _WORTH_OF_MANY)
        return self.worth >= share and ahead.gain >= min(0.1, 2.5 * share) * ahead.level

    @cached_property
    def validation(self) -> Curve:
        """The evaluation with the most passes, of several the worst at the end; empty for one or two."""
        curves = [curve for curve in self._case.evaluations.values() if len(curve) >= 3]
        if not curves:
            return Curve()
        most = max(len(curve) for curve in curves)
        long = [curve for curve in curves if len(curve) >= most / 2]
        return max(long, key=lambda curve: curve.end if curve.end == curve.end else math.inf)

    @cached_property
    def stalled(self) -> bool:
        """Whether the validation loss has not come down any more for a fifth of the run, beyond its noise."""
        curve = self.validation
        if len(curve) < 5:
            return False
        last = max(2, len(curve) // 5)
        late, before = curve.values[-last:], curve.values[:-last]
        return bool(late.min() > before.min() - max(curve.noise, 0.01 * abs(float(before.min()))))

    # ------------------------------------------------------------------ the way of the weights

    def total(self, name: str, only: Collection[str] | None = None) -> tuple[Floats, Floats]:
        """√Σ of a norm over parameters (those of ``only``): the steps of looks, and values."""
        squares: dict[int, float] = {}
        for subject, series in self._case.signals(name).items():
            if only is not None and subject not in only:
                continue
            for step, value in series:
                squares[step] = squares.get(step, 0.0) + value * value
        steps = sorted(step for step in squares if step <= self.last_step)
        return np.array(steps, dtype=float), np.sqrt(np.array([squares[step] for step in steps]))

    @cached_property
    def update_ratios(self) -> tuple[Floats, Floats]:
        """‖Δ‖/‖w‖ over all parameters: steps, values."""
        steps, moved = self.total("update_norm")
        _, weights = self.total("weight_norm")
        if len(moved) != len(weights):
            return np.empty(0), np.empty(0)
        there = weights > 0
        with np.errstate(invalid="ignore"):  # of a run that broke down both are infinite
            return steps[there], moved[there] / weights[there]

    @cached_property
    def travelled(self) -> float:
        """‖w − w₀‖/‖w₀‖ over all parameters with a gradient, when last looked at; NaN where not known."""
        pulled = [name for name, series in self._case.signals("grad_norm").items() if len(series)]
        _, way = self.total("distance", pulled)
        _, weights = self.total("weight_norm", pulled)
        return float(way[-1] / weights[0]) if len(way) and len(weights) and weights[0] > 0 else math.nan

    @cached_property
    def looked_until(self) -> float:
        """The share of the run after which it was last looked at."""
        steps, _ = self.total("update_norm")
        return float(steps[-1] + 1) / max(1.0, self.last_step + 1) if len(steps) else 0.0

    def along(self, name: str, apart: int = 10, since: int = 0) -> Floats:
        """A signal between looks that lie ``apart`` steps apart or more, of the first optimizer."""
        series = self._case.signal(name, "0")
        looks, _ = self.total("update_norm")
        values = []
        for step, value in series:
            before = looks[looks < step]
            if step >= since and len(before) and step - before[-1] >= apart and step <= self.last_step:
                values.append(value)
        return np.array(values)

    @cached_property
    def straight(self) -> float:
        """The median cosine of updates 10 steps or more apart: near 1 where all go one way; NaN unknown."""
        values = self.along("update_cosine")
        return float(np.median(values)) if len(values) >= 3 else math.nan

    @cached_property
    def slope_kept(self) -> float:
        """What is left of the slope along the way after 10 steps or more, the median; NaN where unknown."""
        values = self.along("slope_kept")
        return float(np.median(values)) if len(values) >= 3 else math.nan

    @cached_property
    def moves(self) -> bool:
        """Whether the weights change at all."""
        _, moved = self.total("update_norm")
        return bool(len(moved)) and bool(np.any(moved > 0))
