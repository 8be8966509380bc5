"""How much a search may take: trials, time, or optimizer steps."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from preceptor.errors import ConfigError

__all__ = ["Budget"]

_FORM = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)")
_SECONDS = {"s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_COUNTS = {"trial": "trials", "trials": "trials", "step": "steps", "steps": "steps"}


@dataclass(frozen=True)
class Budget:
    """What a search may take at most; None: no limit.

    Attributes:
        trials: new settings that are tried; repetitions of the best with other seeds come on top.
        seconds: of wall clock, over all sittings.
        steps: optimizer steps, over all trials.

    Example:
        >>> Budget.parse("30min"), Budget.parse("50000 steps").steps
        (Budget(trials=None, seconds=1800.0, steps=None), 50000)
    """

    trials: int | None = None
    seconds: float | None = None
    steps: int | None = None

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read ``30min``, ``90s``, ``2h``, ``200trials`` or ``50000steps``.

        Raises:
            ConfigError: another form, or nothing at all.
        """
        found = _FORM.fullmatch(text.strip().lower())
        amount, unit = (float(found[1]), found[2]) if found else (0.0, "")
        if unit in _SECONDS and amount > 0:
            return cls(seconds=amount * _SECONDS[unit])
        if unit in _COUNTS and amount >= 1 and amount.is_integer():
            return cls(**{_COUNTS[unit]: int(amount)})
        raise ConfigError(
            "the budget cannot be read",
            expected="30min, 90s, 2h, 200trials or 50000steps",
            received=repr(text),
        )

    @classmethod
    def of(cls, text: str | None, trials: int | None = None) -> Budget | None:
        """Return the budget of a text, a number of trials, or both; None where nothing was said.

        Raises:
            ConfigError: no trial, or a text that cannot be read.
        """
        if trials is not None and trials < 1:
            raise ConfigError("trials is not usable", expected="one or more", received=f"trials={trials}")
        if text is None:
            return None if trials is None else cls(trials=trials)
        made = cls.parse(text)
        return made if trials is None else replace(made, trials=trials)

    def share(self, seconds: float, steps: int) -> float:
        """Return which share of time or steps is used up; 0 where neither is limited.

        Example:
            >>> Budget(seconds=60.0).share(15.0, 1000)
            0.25
        """
        used = [0.0]
        if self.seconds is not None:
            used.append(seconds / self.seconds)
        if self.steps is not None:
            used.append(steps / self.steps)
        return max(used)
