"""The record that describes one thing that can be named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any

from preceptor.errors import ConfigError, nearest

__all__ = ["Entry"]

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Entry:
    """One building block: what it is called, what it computes, when to use it, and how to make it.

    Attributes:
        kind: the family it belongs to, such as ``"optimizer"``.
        name: the field's standard term, lower case with hyphens.
        summary: one line.
        factory: makes the block; called with what `needs` lists, then with the options.
        aliases: other names in use (libraries, textbooks).
        formula: the mathematics, in symbols that are tied to the options' names.
        shapes: what goes in and what comes out.
        defaults: the options that the factory takes, with their default values.
        when: when to reach for it.
        pitfalls: what goes wrong with it.
        source: paper and year.
        differs: where it differs from the same block in other libraries.
        example: a doctest that is executed by the tests, with `torch` and `get` at hand.
        needs: what the factory waits for at the time of use, such as ``("params",)``.
        traits: facts that other rooms act upon, such as ``{"closure": True}``.
    """

    kind: str
    name: str
    summary: str
    factory: Callable[..., Any]
    aliases: tuple[str, ...] = ()
    formula: str = ""
    shapes: str = ""
    defaults: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    when: str = ""
    pitfalls: str = ""
    source: str = ""
    differs: str = ""
    example: str = ""
    needs: tuple[str, ...] = ()
    traits: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)

    def __post_init__(self) -> None:
        for name in ("defaults", "traits"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def options(self, **given: Any) -> dict[str, Any]:
        """Return the defaults with ``given`` laid over them; raise `ConfigError` on an option it has not."""
        for key in given:
            if key not in self.defaults:
                close = nearest(key, self.defaults)
                raise ConfigError(
                    f"{self.kind} {self.name!r} has no option {key!r}",
                    expected=", ".join(f"{k}={v!r}" for k, v in self.defaults.items()) or "no options",
                    received=f"{key}={given[key]!r}",
                    hint=f"did you mean {close[0]!r}?" if close else None,
                )
            if isinstance(self.defaults[key], bool) and not isinstance(given[key], bool):
                raise ConfigError(
                    f"{self.name}: {key} is not usable",
                    expected="true or false",
                    received=f"{key}={given[key]!r}",
                )
        return {**self.defaults, **given}

    def build(self, *arguments: Any, **options: Any) -> Any:
        """Make the block now, or, where it still `needs` something, return a factory that waits for it."""
        chosen = self.options(**options)
        if self.needs and not arguments:
            return partial(self.factory, **chosen)
        return self.factory(*arguments, **chosen)
