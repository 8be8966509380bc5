"""Blocks of which there may be several, as they are written: ``"l1=1e-5"``, ``"elastic-net, ratio=0.3"``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from preceptor.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["VALUE", "listed", "parse_block", "read_epoch", "read_factor", "texts"]

VALUE = "value"
"""The option that stands for a block's first one, until the block itself is known."""


def listed(value: Any) -> Any:
    """Return one block, or several, as a list of name and options each; other things as they are.

    Example:
        >>> listed("dropout")
        [{'name': 'dropout'}]
        >>> listed(["l1=1e-5", {"name": "max-norm", "limit": 3}])
        [{'name': 'l1', 'value': 1e-05}, {'name': 'max-norm', 'limit': 3}]
    """
    if value is None or (isinstance(value, str) and value.strip() in ("", "none")):
        return []
    several = [value] if isinstance(value, str | Mapping) or hasattr(value, "options") else value
    if not isinstance(several, list | tuple):
        return value
    return [parse_block(one) if isinstance(one, str) else one for one in several]


def parse_block(text: str) -> dict[str, Any]:
    """Return name and options of a block that is written ``name``, ``name=value`` or ``name, option=value``.

    The value behind the name is the block's first option. Values are TOML where they can be, else text.

    Raises:
        ConfigError: an option has no value.

    Example:
        >>> parse_block("l1=1e-5, method=proximal")
        {'name': 'l1', 'value': 1e-05, 'method': 'proximal'}
    """
    first, *rest = _split(text)
    name, equals, value = (part.strip() for part in first.partition("="))
    block: dict[str, Any] = {"name": name}
    if equals:
        block[VALUE] = _value(value)
    for option in rest:
        key, equals, value = (part.strip() for part in option.partition("="))
        if not equals or not key:
            raise ConfigError("an option has no value", expected="name=value, option=value", received=text)
        block[key] = _value(value)
    return block


def texts(value: Any) -> Any:
    """Return words, a list of words, or a mapping to or from words, as texts; other things as they are.

    Example:
        >>> texts("head"), texts({3: "all", "head": 2.0}), texts(None)
        (('head',), ('3=all', 'head=2.0'), ())
    """
    if value is None or (isinstance(value, str) and value.strip() in ("", "none")):
        return ()
    if isinstance(value, str | int):
        return (str(value),)
    if isinstance(value, Mapping):
        return tuple(f"{key}={one}" for key, one in value.items())
    return tuple(str(one) for one in value) if isinstance(value, list | tuple) else value


def read_epoch(text: str) -> tuple[int, str]:
    """Return epoch and layers of ``EPOCH=LAYERS``; an epoch alone stands for all layers.

    Raises:
        ValueError: the epoch is no number of at least 1.

    Example:
        >>> read_epoch("5=last-2"), read_epoch("8")
        ((5, 'last-2'), (8, 'all'))
    """
    epoch, _, words = (part.strip() for part in text.partition("="))
    if not epoch.isdecimal() or int(epoch) < 1:
        raise ValueError("EPOCH=LAYERS, such as 5=last-2, or an epoch alone for all layers")
    return int(epoch), words or "all"


def read_factor(text: str) -> tuple[str, float]:
    """Return layers and factor of ``LAYERS=FACTOR``.

    Raises:
        ValueError: there is no factor of at least 0.

    Example:
        >>> read_factor("features.*=0.1")
        ('features.*', 0.1)
    """
    words, _, factor = (part.strip() for part in text.rpartition("="))
    try:
        number = float(factor)
    except ValueError:
        number = -1.0
    if not words or not 0 <= number < float("inf"):
        raise ValueError("LAYERS=FACTOR, such as features.*=0.1, the factor at least 0")
    return words, number


def _split(text: str) -> list[str]:
    """Split at the commas that stand in no brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "[{(") - (character in "]})")
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"v = {text}")["v"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return text
