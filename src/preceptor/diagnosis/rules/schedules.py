"""Rules: learning-rate schedules that count the wrong thing, or drive the rate away."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from preceptor.diagnosis._order import count, line_of, stretches
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.curve import Curve
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rule import rule

__all__: list[str] = []

_NOTHING = 0.01  # of its peak: a rate at which next to nothing moves
_ABSURD = 1e-6  # of its peak: nobody lays a decay out for that
_LEARNED = 0.9  # explained share from which on it does not matter that nothing moves any more
_PERIODS = {"CosineAnnealingLR": "T_max", "StepLR": "step_size"}


@dataclass(frozen=True)
class Rate:
    """The learning rate of an optimizer's first group, as it changed.

    Attributes:
        steps, values: where it changed, and to what.
        end: the number of steps of the run.
    """

    steps: np.ndarray[Any, Any]
    values: np.ndarray[Any, Any]
    end: int

    @property
    def peak(self) -> float:
        """Its highest value."""
        return float(self.values.max())

    def low_from(self, share: float) -> int | None:
        """Return the step from which on it is at most ``share`` of its peak for ever; None without one."""
        above = np.flatnonzero(self.values > 1.001 * share * self.peak)
        place = int(above[-1]) + 1
        return int(self.steps[place]) if place < len(self.values) else None


def _rates(case: Case) -> Iterator[tuple[dict[str, Any], Rate]]:
    for optimizer in case.optimizers:
        series = case.signal("lr", f"{optimizer.get('number', 0)}.0")
        if len(series) > 1 and float(np.max(series.values)) > 0:
            yield optimizer, Rate(np.asarray(series.steps), np.asarray(series.values), case.steps)


@rule("scheduler-misuse")
def rate_driven_to_nothing(case: Case) -> Iterator[Finding]:
    """Name a learning rate that is gone long before the run is over, while the loss was still to fall.

    η(t) ≤ η_max / 100 from a step c on, c before half of the run. It counts where the task is not learned
    (less than 90 % of the constant prediction's loss explained) and the loss was falling until c, or c came
    within the first tenth, or η ends below η_max / 10⁶; a rate that was lowered because the loss had stopped
    falling was not the cause, nor is a decay that ends with the run. Named with where the schedule steps and
    how often that is. PyTorch manual, torch.optim: How to adjust learning rate (2025).
    """
    for optimizer, rate in _rates(case):
        since = rate.low_from(_NOTHING)
        if since is None or since > case.steps / 2 or (case.explained or 0.0) >= _LEARNED:
            continue
        schedule = _schedule_of(case, optimizer)
        last = float(rate.values[-1])
        gone = since <= case.steps / 10 or last <= _ABSURD * rate.peak
        at_once = gone and schedule.get("class") != "ReduceLROnPlateau"
        if not at_once and not _fell(case.losses, since):
            continue
        steps, each = _how_often(case, schedule)
        worthless = at_once and last <= _NOTHING**2 * rate.peak
        yield Finding(
            "scheduler-misuse",
            "critical" if worthless else "warning",
            f"The learning rate falls from {rate.peak:.3g} to {_at(rate, since):.3g} within {since} of"
            f" {case.steps} steps, and stays there{f': {each}' if each else ''}.",
            {
                "highest rate": rate.peak,
                "last rate": last,
                "below a hundredth from step": since,
                "schedule": schedule.get("class", ""),
                "settings": schedule.get("settings", {}),
                "calls of the schedule": steps,
                "loss at that step": round(_level(case.losses, since), 4),
                "loss at the end": round(case.losses.end, 4),
            },
            confidence=0.95,
            where=_where(case, schedule),
            steps=(since,),
            effect=f"in the last {1 - since / max(1, case.steps):.0%} of the run next to nothing moves",
            remedy=_remedy(case, schedule),
        )
        return


def _fell(losses: Curve, until: int) -> bool:
    """Whether the loss was falling for sure until a step."""
    part = Curve(*((a[: int(np.searchsorted(losses.steps, until))]) for a in (losses.steps, losses.values)))
    return len(part) >= 8 and part.slope(0.5, 1.0).t < -2


def _level(losses: Curve, step: int) -> float:
    place = int(np.searchsorted(losses.steps, step))
    near = losses.values[max(0, place - 5) : place + 5]
    return float(np.mean(near)) if len(near) else math.nan


def _at(rate: Rate, step: int) -> float:
    return float(rate.values[int(np.searchsorted(rate.steps, step, side="right")) - 1])


@rule("scheduler-misuse", early=True)
def period_within_an_epoch(case: Case) -> Iterator[Finding]:
    """Name a cosine whose whole way down fits into an epoch though it is meant to last for the run.

    Exact: torch's cosine schedule runs from its peak to its floor in T_max calls and up again in the next
    T_max; it is called at every step of the optimizer, and 2 T_max calls are fewer than the steps of one
    epoch. So the rate swings up and down within each epoch. Warm restarts and cyclic schedules have classes
    of their own. Loshchilov & Hutter, SGDR (2017).
    """
    for schedule in case.facts.get("schedules", []):
        settings, calls = schedule.get("settings", {}), _calls(case, schedule)
        period, epoch = settings.get("T_max"), _steps_per_epoch(case)
        if schedule["class"] != "CosineAnnealingLR" or not isinstance(period, int) or not epoch:
            continue
        if calls < 0.9 * _steps_of(case, schedule) or 2 * period >= epoch or calls < 4 * period:
            continue
        yield Finding(
            "scheduler-misuse",
            "warning",
            f"The learning rate swings up and down every {2 * period} steps: T_max is {period}, and the"
            f" schedule is called at each of {epoch:.0f} steps of an epoch.",
            {"T_max": period, "steps in an epoch": round(epoch), "calls of the schedule": calls},
            exact=True,
            where=_where(case, schedule),
            steps=(period,),
            effect="the run has no decay: it ends wherever the swing happens to be",
            remedy="call the schedule once per epoch, or set T_max to epochs × steps per epoch",
        )
        return


@rule("scheduler-misuse")
def schedule_that_never_unfolds(case: Case) -> Iterator[Finding]:
    """Name a one-cycle schedule that is called too rarely to reach its peak.

    Exact: it was laid out for N calls and starts at max_lr / 25; it is called less often than the optimizer
    steps (once per epoch, say), and the run ended before a tenth of N, while still warming up. PyTorch
    manual, OneCycleLR: to be stepped after every batch (2025).
    """
    for schedule in case.facts.get("schedules", []):
        total, calls = schedule.get("settings", {}).get("total_steps"), _calls(case, schedule)
        if schedule["class"] != "OneCycleLR" or not isinstance(total, int) or not calls:
            continue
        steps = _steps_of(case, schedule)
        if calls > total / 10 or steps < 2 * calls or steps < total / 2:
            continue
        yield Finding(
            "scheduler-misuse",
            "warning",
            f"The one-cycle schedule was called {calls} times of {total}: the learning rate never leaves its"
            " warm-up.",
            {"laid out for calls": total, "calls": calls, "steps of the optimizer": steps},
            exact=True,
            where=_where(case, schedule),
            effect="the rate stays at a small fraction of max_lr for the whole run",
            remedy="call scheduler.step() after every optimizer.step()",
        )
        return


@rule("scheduler-misuse")
def rate_that_rises(case: Case) -> Iterator[Finding]:
    """Name a learning rate that grows to the end and takes the run with it.

    η at the end is its peak and at least 10 times the one at the start, it grew through the second half, and
    the loss ends not finite or well above its best (by more than 10 deviations of its noise and a third of
    all that had been gained). Warm-up ends before, and cycles come down again. Smith, Cyclical Learning Rates
    for Training Neural Networks (2017).
    """
    for optimizer, rate in _rates(case):
        first, last = float(rate.values[0]), float(rate.values[-1])
        late = rate.values[rate.steps >= case.steps / 2]
        if last < rate.peak or last < 10 * first or len(late) < 2 or not bool((np.diff(late) >= 0).all()):
            continue
        losses = case.losses
        worse = losses.end - losses.best
        if not (case.diverged or worse > max(10 * losses.noise, (losses.start - losses.best) / 3)):
            continue
        schedule = _schedule_of(case, optimizer)
        yield Finding(
            "scheduler-misuse",
            "warning",
            f"The learning rate rises from {first:.3g} to {last:.3g} until the end, and the loss with it.",
            {"first rate": first, "last rate": last, "best loss": losses.best, "loss at the end": losses.end},
            confidence=0.9,
            where=_where(case, schedule),
            effect="steps become too long for what has been learned",
            remedy="let the rate fall after a short warm-up (a factor gamma below 1)",
        )
        return


@rule("scheduler-misuse", early=True)
def schedule_before_the_optimizer(case: Case) -> Iterator[Finding]:
    """Tell of a schedule that is called before the optimizer's first step; a first value is left out.

    Exact, from the order of calls; harmless for most runs, so only information. PyTorch manual, torch.optim:
    How to adjust learning rate (2025).
    """
    for stretch in stretches(case):
        for event in stretch.events:
            if event.kind == "step":
                return
            if event.kind == "scheduler" and not event.flag:
                yield Finding(
                    "scheduler-misuse",
                    "info",
                    f"{event.subject} is called before the optimizer's first step: its first rate is"
                    " skipped.",
                    exact=True,
                    where=event.where,
                    steps=(0,),
                    effect="the first value of the schedule is never used",
                    remedy="call scheduler.step() after optimizer.step()",
                )
                return


# ---------------------------------------------------------------------- what is known of schedules


def _schedule_of(case: Case, optimizer: dict[str, Any]) -> dict[str, Any]:
    schedules: list[dict[str, Any]] = case.facts.get("schedules", [])
    return next((s for s in schedules if s.get("optimizer") == optimizer.get("number")), {})


def _calls(case: Case, schedule: dict[str, Any]) -> int:
    """How often the program has called a schedule."""
    return count(case, "scheduler", lambda e: not e.flag and e.subject == schedule.get("label"))


def _steps_of(case: Case, schedule: dict[str, Any]) -> int:
    """How many steps the schedule's optimizer has made."""
    label = next((o["label"] for o in case.optimizers if o["number"] == schedule.get("optimizer")), "")
    return count(case, "step", lambda e: e.subject == label)


def _steps_per_epoch(case: Case) -> float:
    return case.steps / case.epochs if case.epochs else 0.0


def _where(case: Case, schedule: dict[str, Any]) -> str:
    label = schedule.get("label")
    return line_of(case, "scheduler", lambda e: not e.flag and e.subject == label) or str(
        schedule.get("where", "")
    )


def _how_often(case: Case, schedule: dict[str, Any]) -> tuple[int, str]:
    """How often a schedule was called, and a few words about it where that is the point."""
    calls = _calls(case, schedule) if schedule else 0
    if not calls or calls < 0.9 * _steps_of(case, schedule):
        return calls, ""
    name = _PERIODS.get(schedule["class"], "")
    period = schedule.get("settings", {}).get(name)
    lasts = f" with {name}={period}" if period is not None else ""
    return calls, f"{schedule['class']}{lasts} is called after every batch"


def _remedy(case: Case, schedule: dict[str, Any]) -> str:
    if not schedule:
        return "let the rate fall to nothing at the end of the run, not before"
    if _calls(case, schedule) >= 0.9 * _steps_of(case, schedule):
        return "call scheduler.step() once per epoch, or count its lengths in batches"
    return "stretch the schedule to the length of the run"
