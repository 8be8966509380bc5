"""Where the time of a step goes: data, forward, backward, step."""

from __future__ import annotations

from array import array
from time import perf_counter
from typing import Any

import torch

__all__ = ["PARTS", "StepClock"]

PARTS = ("data", "forward", "backward", "step", "evaluation", "other")
_KEPT = 20_000  # step times in memory, then every second one goes
_SYNC_EVERY = 16  # on a GPU only these steps wait for the device; waiting at each would slow it down
_WARM_UP = 3  # steps that pay for allocation and lazy initialisation


class StepClock:
    """Adds up the seconds between laps under the name of the part that ended.

    On a GPU work is queued, so that laps mean something only where the device is waited for: every
    sixteenth step is, and each of those stands for sixteen in the parts.
    """

    def __init__(self, device: torch.device) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self.steps = array("d")
        self.examples = 0
        self.count = 0
        self._gpu = device.type == "cuda"
        self._counting, self._weight = True, 1
        self._last = self._start = perf_counter()

    def begin(self, *, step: bool = True) -> None:
        """Begin a step, or work beside the steps; on a CPU the time since the last lap is ``"other"``."""
        self._counting = not (self._gpu and step) or self.count % _SYNC_EVERY == _WARM_UP
        self._weight = _SYNC_EVERY if self._gpu and step else 1
        if self._gpu:
            if self._counting:
                torch.cuda.synchronize()
            self._last = perf_counter()
        else:
            self.lap("other")
        self._start = self._last

    def lap(self, part: str) -> None:
        """Book the time since the last lap under ``part``."""
        if self._counting:
            if self._gpu:
                torch.cuda.synchronize()
            now = perf_counter()
            self.seconds[part] += self._weight * (now - self._last)
            self._last = now

    def end(self, examples: int) -> None:
        """End a step of that many examples."""
        self.count += 1
        self.examples += examples
        if self._counting and self.count > _WARM_UP:
            self.steps.append(self._last - self._start)
            if len(self.steps) > _KEPT:
                self.steps = self.steps[::2]

    def forecast(self, steps: int) -> float:
        """Return the seconds that an epoch of that many steps takes, by the epoch that has just ended."""
        if not self.steps:  # too few steps for one without warm-up
            return sum(self.seconds.values())
        ordered = sorted(self.steps)
        return 1e-3 * _quantile(ordered, 0.5) * steps + self.seconds["evaluation"]

    def summary(self) -> dict[str, Any]:
        """Return the shares of the parts; median and 95th percentile of a step in milliseconds; counts."""
        total = sum(self.seconds.values()) or 1.0
        ordered = sorted(self.steps)
        return {
            "shares": {part: seconds / total for part, seconds in self.seconds.items()},
            "step_median_ms": _quantile(ordered, 0.5),
            "step_p95_ms": _quantile(ordered, 0.95),
            "steps": self.count,
            "examples": self.examples,
        }


def _quantile(ordered: list[float], q: float) -> float:
    """Return a quantile of sorted seconds, in milliseconds; 0 where there are none."""
    return 1e3 * ordered[min(len(ordered) - 1, int(q * len(ordered)))] if ordered else 0.0
