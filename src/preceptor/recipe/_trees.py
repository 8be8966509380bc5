"""Batches of any form: tensors, or tuples, lists and dicts of them, examples along every first axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

__all__ = ["floating", "joined", "mapped", "rows", "size", "tensors", "volume"]


def mapped(change: Callable[[Tensor], Any], tree: Any) -> Any:
    """Return the same form with each tensor changed.

    Example:
        >>> mapped(lambda t: t + 1, {"x": torch.zeros(2), "name": "a"})
        {'x': tensor([1., 1.]), 'name': 'a'}
    """
    return tree_map(lambda leaf: change(leaf) if isinstance(leaf, Tensor) else leaf, tree)


def tensors(tree: Any) -> list[Tensor]:
    """Return the tensors of a batch, in order."""
    return [leaf for leaf in tree_flatten(tree)[0] if isinstance(leaf, Tensor)]


def floating(tree: Any) -> list[Tensor]:
    """Return the tensors of floating-point numbers."""
    return [leaf for leaf in tensors(tree) if leaf.is_floating_point()]


def size(tree: Any) -> int:
    """Return how many examples a batch has: the length of its first tensor; 0 where it has none.

    Example:
        >>> size((torch.zeros(3, 2), torch.zeros(3)))
        3
    """
    found = tensors(tree)
    return len(found[0]) if found and found[0].ndim else 0


def rows(tree: Any, which: Tensor | slice) -> Any:
    """Return some examples of a batch; tensors of another length than the first are kept whole.

    Example:
        >>> rows((torch.arange(4), torch.arange(3)), slice(0, 2))
        (tensor([0, 1]), tensor([0, 1, 2]))
    """
    count = size(tree)
    return mapped(lambda t: t[which] if t.ndim and len(t) == count else t, tree)


def joined(trees: Sequence[Any]) -> Any:
    """Return batches of one form as one batch; what is no tensor is the first one's.

    Raises:
        ValueError: their examples differ in shape or form.
    """
    leaves, form = tree_flatten(trees[0])
    columns = [[leaf] for leaf in leaves]
    for tree in trees[1:]:
        others, other_form = tree_flatten(tree)
        if other_form != form:
            raise ValueError("batches of another form")
        for column, leaf in zip(columns, others, strict=True):
            column.append(leaf)
    return tree_unflatten([_joined(column) for column in columns], form)


def _joined(column: list[Any]) -> Any:
    if not isinstance(column[0], Tensor) or not column[0].ndim:
        return column[0]
    if any(t.shape[1:] != column[0].shape[1:] for t in column):
        raise ValueError("examples of several shapes")
    return torch.cat(column)


def volume(tree: Any) -> int:
    """Return the bytes of a batch's tensors."""
    return sum(t.numel() * t.element_size() for t in tensors(tree))
