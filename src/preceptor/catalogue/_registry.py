"""The register of everything that can be named: look up by name or alias, list by pattern, build."""

from __future__ import annotations

import fnmatch
import inspect
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from preceptor.catalogue._entry import Entry
from preceptor.errors import ConfigError, UnknownName

__all__ = ["entry", "find", "get", "kinds", "register"]

_F = TypeVar("_F", bound=Callable[..., Any])
_by_kind: dict[str, dict[str, Entry]] = {}
_alias: dict[tuple[str, str], str] = {}


def _normal(name: str) -> str:
    return name.strip().lower().replace("_", "-").replace(" ", "-")


def register(new: Entry) -> Entry:
    """Add an entry; its name and aliases must be new within its kind.

    Raises:
        ConfigError: a name or alias of the same kind is already taken.
    """
    names = [_normal(n) for n in (new.name, *new.aliases)]
    for name in names:
        if (new.kind, name) in _alias:
            raise ConfigError(f"{new.kind} {name!r} is registered twice", received=new.name)
    for name in names:
        _alias[new.kind, name] = new.name
    _by_kind.setdefault(new.kind, {})[new.name] = new
    return new


def registered(**record: Any) -> Callable[[_F], _F]:
    """Decorate a factory with its entry: ``@registered(kind="activation", name="relu", …)``.

    What the factory itself says is taken from it: the first line of its docstring is the summary, parameters
    with a default value are the options, positional parameters without one are what the block needs.
    """

    def decorate(factory: _F) -> _F:
        parameters = inspect.signature(factory).parameters.values()
        said = {
            "summary": (inspect.getdoc(factory) or "").partition("\n")[0],
            "defaults": {p.name: p.default for p in parameters if p.default is not p.empty},
            "needs": tuple(
                p.name for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
            ),
        }
        record["example"] = inspect.cleandoc(record.get("example", ""))
        register(Entry(factory=factory, **{**said, **record}))
        return factory

    return decorate


def kinds() -> dict[str, int]:
    """Return every kind with its number of entries.

    Example:
        >>> kinds()["optimizer"] > 5
        True
    """
    return {kind: len(_by_kind[kind]) for kind in sorted(_by_kind)}


def find(pattern: str = "*", kind: str | None = None) -> list[Entry]:
    """List the entries whose name or an alias matches a wildcard pattern, by kind and name.

    Example:
        >>> [e.name for e in find("lenet-5*")]
        ['lenet-5', 'lenet-5-original']
    """
    pattern = _normal(pattern)
    return [
        e
        for k in sorted(_by_kind)
        if kind is None or k == _kind(kind)
        for _, e in sorted(_by_kind[k].items())
        if any(fnmatch.fnmatchcase(_normal(n), pattern) for n in (e.name, *e.aliases))
    ]


def _kind(kind: str) -> str:
    singular = _normal(kind)
    for candidate in (
        singular,
        *(singular.removesuffix(end) for end in ("s", "es")),
        singular.removesuffix("ies") + "y",
    ):
        if candidate in _by_kind:
            return candidate
    raise UnknownName("kind", kind, _by_kind)


def entry(name: str, kind: str | None = None) -> Entry:
    """Return the entry of that name or alias.

    Raises:
        UnknownName: nothing is called so; the message suggests the nearest names.
        ConfigError: several kinds have the name and ``kind`` was not given.

    Example:
        >>> entry("cross_entropy").name
        'cross-entropy'
    """
    among: Iterable[str] = _by_kind if kind is None else [_kind(kind)]
    if ":" in name and "architecture" in among:
        from preceptor.catalogue.architectures.providers import provided

        if (network := provided(name)) is not None:
            return network
    wanted = _normal(name)
    hits = [_by_kind[k][_alias[k, wanted]] for k in among if (k, wanted) in _alias]
    if len(hits) == 1:
        return hits[0]
    if hits:
        raise ConfigError(
            f"{name!r} names several things",
            expected="one kind of " + ", ".join(h.kind for h in hits),
            hint=f"kind={hits[0].kind!r}",
        )
    known = [n for k, n in _alias if k in among]
    raise UnknownName(kind or "name", name, known)


def get(name: str, *arguments: Any, kind: str | None = None, **options: Any) -> Any:
    """Build the block of that name: the product of its factory.

    A block that still needs something at the time of use (an optimizer its parameters, a schedule its
    optimizer) comes back as a factory with the options bound, unless ``arguments`` bring it.

    Example:
        >>> get("relu")
        ReLU()
        >>> import torch
        >>> make = get("adam", lr=3e-3)
        >>> make([torch.zeros(2, requires_grad=True)]).defaults["lr"]
        0.003
    """
    return entry(name, kind).build(*arguments, **options)
