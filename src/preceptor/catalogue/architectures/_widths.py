"""Widths of networks: lists of them checked, published ones made narrower or wider."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from preceptor.catalogue._checks import check_count, check_number
from preceptor.errors import ConfigError

__all__ = ["check_widths", "scaled"]


def check_widths(owner: str, option: str, value: Any) -> tuple[int, ...]:
    """Return one width, or a list of them, as a tuple of positive integers.

    Raises:
        ConfigError: they are something else.

    Example:
        >>> check_widths("mlp", "hidden", 64), check_widths("mlp", "hidden", [64, 32])
        ((64,), (64, 32))
    """
    if isinstance(value, (str, bytes)) or not isinstance(value, (int, Sequence)):
        raise ConfigError(
            f"{owner}: {option} is not usable",
            expected="the width of one layer, or a list of widths",
            received=f"{option}={value!r}",
            hint=f"{option}=[128, 64]",
        )
    widths = (value,) if isinstance(value, int) else tuple(value)
    return tuple(check_count(owner, option, width) for width in widths)


def scaled(owner: str, width: float, channels: Sequence[int], multiple: int = 1) -> tuple[int, ...]:
    """Return published widths times ``width``, each a positive multiple of ``multiple``.

    Raises:
        ConfigError: ``width`` is no number above 0.

    Example:
        >>> scaled("alexnet", 0.1, (96, 256, 384), multiple=2)
        (10, 26, 38)
    """
    factor = check_number(owner, "width", width, 1e-4)
    return tuple(max(1, round(channel * factor / multiple)) * multiple for channel in channels)
