"""Blocks as a caller gives them, one or a list: names, dicts and objects side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from preceptor.errors import ConfigError
from preceptor.training.build import Objects
from preceptor.training.listed import parse_block
from preceptor.training.own_code import name_of
from preceptor.training.settings import Block

__all__ = ["sort_blocks", "sort_list"]


def sort_list(kind: str, several: Any) -> tuple[list[dict[str, Any]], dict[int, Any]]:
    """Return the blocks by name, and by their place what was made in code.

    Raises:
        ConfigError: something that can be neither.

    Example:
        >>> sort_list("regularizers", ["l1=1e-5", {"name": "max-norm", "limit": 3}])
        ([{'name': 'l1', 'value': 1e-05}, {'name': 'max-norm', 'limit': 3}], {})
    """
    if several == "none":
        return [], {}
    items = several if isinstance(several, list | tuple) else [several]
    named: list[dict[str, Any]] = []
    own: dict[int, Any] = {}
    for at, item in enumerate(items):
        if isinstance(item, str):
            named.append(parse_block(item))
        elif isinstance(item, Block):
            named.append(item.model_dump())
        elif isinstance(item, Mapping):
            named.append(dict(item))
        elif callable(item) or hasattr(item, "attach"):
            own[at] = item
            named.append({"name": name_of(item)})
        else:
            raise ConfigError(
                f"{kind} are not usable",
                expected="catalogue names such as 'l1=1e-5', dicts with 'name', or objects",
                received=f"{type(item).__name__}: {item!r:.60}",
            )
    return named, own


def sort_blocks(blocks: Mapping[str, Any]) -> tuple[Objects, dict[str, Any]]:
    """Tell blocks made in code from blocks named; a dict is a name with options."""
    objects, named = Objects(), {}
    for kind, block in blocks.items():
        if block is None:
            continue
        if isinstance(block, str):
            named[f"{kind}.name"] = block
        elif isinstance(block, Mapping | Block):
            options = block.model_dump() if isinstance(block, Block) else block
            named |= {f"{kind}.{key}": value for key, value in options.items()}
        elif callable(block) or isinstance(block, Optimizer | LRScheduler):
            setattr(objects, kind, block)
        else:
            raise ConfigError(
                f"{kind} is not usable",
                expected="a catalogue name, a dict with 'name', an object or a callable",
                received=f"{type(block).__name__}: {block!r:.60}",
            )
    return objects, named
