"""The governor: how often to look, so that looking stays within a share of the program's own time."""

from __future__ import annotations

import math
import time

__all__ = ["BUDGETS", "Governor"]

BUDGETS = {"economy": 0.001, "standard": 0.015, "full": math.inf}
_CADENCES = {"economy": 20, "standard": 10, "full": 1}
_EARLY = frozenset((0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89))
_LAST_EARLY = max(_EARLY)
_RARE, _APART, _LOOSER = 144, 1.6, 4.0
_PAUSE = 5  # steps until the next question, where a look would have been too much


class Governor:
    """Decides at which steps to look.

    A look is due at a few early steps, and later when at least ``cadence`` steps have passed and

        spent + expected ≤ share · elapsed,

    where spent is the time that looking has taken so far, expected the usual time of a look, elapsed the
    time since the first step. What early looks take counts, and is paid off by the steps that follow. So
    that a run which is over before they are paid off is still seen as a whole, a look is also due at steps
    144, 230, 368, …, each 1.6 times the one before, as long as that stays within four times the share.

    Arguments:
        level: "economy", "standard" or "full".
        budget: the share; default: the level's.

    Example:
        >>> governor = Governor("standard")
        >>> [step for step in range(12) if governor.due(step)]
        [0, 1, 2, 3, 5, 8]
    """

    def __init__(self, level: str = "standard", budget: float | None = None) -> None:
        self.share = BUDGETS[level] if budget is None else budget
        self.cadence = _CADENCES[level]
        self.spent = 0.0
        self.looks = 0
        self._expected = 1e-3
        self._start: float | None = None
        self._last = -self.cadence
        self._closer = 0
        self._rare = _RARE
        self.next = 0
        """No look is due before this step: there is no need to ask."""

    def due(self, step: int) -> bool:
        """Whether to look at ``step``; call before steps in order, from ``next`` on."""
        self.next = step + 1 if step < _LAST_EARLY or self._closer > 1 else step + _PAUSE
        now = time.perf_counter()
        if self._start is None:
            self._start = now
        if self._closer > 0:
            self._closer -= 1
        elif step not in _EARLY and not self._affordable(step, now):
            return False
        self._last = step
        if step >= self._rare:
            self._rare = int(step * _APART)
        if step >= _LAST_EARLY and not self._closer:
            self.next = step + self.cadence
        return True

    def looked(self, seconds: float) -> None:
        """A look has taken ``seconds``."""
        self.spent += seconds
        self.looks += 1
        weight = max(0.2, 1 / self.looks)
        self._expected += weight * (seconds - self._expected)

    @property
    def closer(self) -> bool:
        """Whether something is suspected."""
        return self._closer > 0

    def took(self, seconds: float) -> None:
        """Something else of ours, such as recording a graph, has taken ``seconds``."""
        self.spent += seconds

    def look_closer(self, steps: int = 2) -> None:
        """Something is suspicious: look at the next ``steps`` steps, whatever it takes."""
        self._closer = max(self._closer, steps)
        self.next = 0

    def affords(self, seconds: float) -> bool:
        """Whether ``seconds`` more would stay within the budget."""
        if self._start is None:
            return True
        return self.spent + seconds <= self.share * (time.perf_counter() - self._start)

    def _affordable(self, step: int, now: float) -> bool:
        if step - self._last < self.cadence or self._start is None:
            return False
        share = self.share * (_LOOSER if step >= self._rare else 1.0)
        return self.spent + self._expected <= share * (now - self._start)
