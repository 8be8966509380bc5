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

__all__ = ["VALUE", "listed", "parse_block"]

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
    except tomllib.TOMLDecodeError:
        return text
