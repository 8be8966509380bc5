"""What a look at some examples showed."""

from __future__ import annotations

from dataclasses import dataclass, field

from preceptor import tasks
from preceptor.data.batches import Batches

__all__ = ["Evaluation", "before_denoising"]


@dataclass(frozen=True)
class Evaluation:
    """What a look at some examples showed.

    Attributes:
        part: which examples: ``"test"``, ``"val"``, ``"train"`` or a file's name.
        n: how many.
        loss: their mean loss.
        metrics: the task's metrics by name, the headline measure first.
        interval: a 95 % interval for the headline measure.
        looks: how often the test set has been looked at, this time included; 0 for other parts.
        elsewhere: how often the runs beside this one have looked at a test set of the same data.
        trained_on: how many of these examples were trained on, as far as their fingerprints tell.
        by_class: measures of each class of pixels; empty for other tasks.
        before: the headline measure of the noisy inputs themselves; None but for denoising.
        notes: what else is to be known, a line each.
    """

    part: str
    n: int
    loss: float
    metrics: dict[str, float]
    interval: tuple[float, float] | None
    looks: int = 0
    by_class: dict[str, dict[str, float]] = field(default_factory=dict)
    before: float | None = None
    notes: tuple[str, ...] = ()
    elsewhere: int = 0
    trained_on: int = 0

    def __str__(self) -> str:
        (name, value), *_ = self.metrics.items()
        low, high = self.interval or (float("nan"), float("nan"))
        look = f"{_ordinal(self.looks)} look at the test set; " if self.looks else ""
        warning = ""
        if self.looks > 1:
            warning = "\nwhat is chosen after looking at the test set is no longer tested by it"
        if self.elsewhere:
            warning += (
                f"\nlooks of the runs beside this one at the same data: {self.elsewhere}; "
                "the best of several is better than it will be on new data"
            )
        if self.trained_on:
            warning += f"\n{self.trained_on:,} of these examples were trained on: that is no test"
        if self.before is not None:
            warning = f"\nbefore: {name} {self.before:.3f} of the noisy inputs{warning}"
        told = "".join(f"\n{note}" for note in self.notes)
        sure = f"95 % interval {low:.3f}–{high:.3f}, " if self.interval else ""
        return f"{name} {value:.3f} ({look}{sure}n = {self.n:,}){told}{warning}"


def before_denoising(task: tasks.Task, batches: Batches) -> float | None:
    """Return the headline measure of the noisy inputs themselves; None for other tasks."""
    if not isinstance(task, tasks.Denoising):
        return None
    (meter, *_) = task.meters().values()
    for x, y in batches.epoch():
        meter.update(x, y)
    return meter.compute()


def _ordinal(n: int) -> str:
    return {1: "first", 2: "second", 3: "third"}.get(n, f"{n}th")
