"""Checks of option values, shared by the families: what is wrong is said before torch meets it."""

from __future__ import annotations

import math
from typing import Any

from preceptor.errors import ConfigError

__all__ = ["check_choice", "check_count", "check_number"]


def check_number(owner: str, option: str, value: Any, low: float, high: float = math.inf) -> float:
    """Return ``value`` as a float if it lies in [low, high].

    Raises:
        ConfigError: it is not a number, not finite, or out of range.

    Example:
        >>> check_number("mlp", "dropout", 0.5, 0.0, 1.0)
        0.5
    """
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if number and math.isfinite(value) and low <= value <= high:
        return float(value)
    span = f"a number from {low:g} to {high:g}" if math.isfinite(high) else f"a number of at least {low:g}"
    raise ConfigError(f"{owner}: {option} is not usable", expected=span, received=f"{option}={value!r}")


def check_count(owner: str, option: str, value: Any, low: int = 1) -> int:
    """Return ``value`` if it is an integer of at least ``low``.

    Raises:
        ConfigError: it is of another type, or too small.

    Example:
        >>> check_count("mlp", "hidden", 128)
        128
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= low:
        return value
    raise ConfigError(
        f"{owner}: {option} is not usable",
        expected=f"an integer of at least {low}",
        received=f"{option}={value!r}",
    )


def check_choice(owner: str, option: str, value: Any, choices: tuple[str, ...]) -> str:
    """Return ``value`` if it is one of ``choices``.

    Raises:
        ConfigError: it is not.

    Example:
        >>> check_choice("lenet-5", "pooling", "max", ("max", "average"))
        'max'
    """
    if isinstance(value, str) and value in choices:
        return value
    raise ConfigError(
        f"{owner}: {option} is not usable",
        expected=" or ".join(repr(c) for c in choices),
        received=f"{option}={value!r}",
    )
