"""Training without an optimizer: parameters that the program changes by hand after each backward pass."""

from __future__ import annotations

import weakref
from typing import Any

from torch import Tensor

__all__ = ["Hand", "leaves_of"]

_MOST = 20_000


class Hand:
    """Stands in for the optimizer of a program that has none.

    Arguments:
        leaves: the tensors that the backward pass gives gradients to.
    """

    def __init__(self, leaves: list[Tensor]) -> None:
        self._leaves = [weakref.ref(leaf) for leaf in leaves]
        self.defaults: dict[str, Any] = {}
        self.looked_at = False
        self.confirmed = False  # an optimizer that was there before the watch may yet step
        self._grad_version = self._version = -1

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """One group with all parameters, as an optimizer has it."""
        return [{"params": [leaf for ref in self._leaves if (leaf := ref()) is not None]}]

    def ran_backward(self) -> None:
        """A backward pass has just ended: remember how things stand."""
        leaf = self._leaves[0]() if self._leaves else None
        if leaf is not None:
            self._version = leaf._version
            self._grad_version = -1 if leaf.grad is None else leaf.grad._version

    def has_stepped(self) -> bool:
        """Whether since then gradients were cleared or parameters changed: what came before was a step."""
        leaf = self._leaves[0]() if self._leaves else None
        if leaf is None or leaf.grad is None:
            return True
        return leaf.grad._version != self._grad_version or leaf._version != self._version


def leaves_of(root: Tensor) -> list[Tensor]:
    """Return the tensors that a backward pass from ``root`` would give gradients to.

    Example:
        >>> import torch
        >>> w = torch.ones(2, requires_grad=True)
        >>> leaves_of((w * 3).sum())[0] is w
        True
    """
    found: dict[int, Tensor] = {}
    seen: set[Any] = set()
    stack = [root.grad_fn]
    while stack and len(seen) < _MOST:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)
        if isinstance(leaf, Tensor):
            found.setdefault(id(leaf), leaf)
        stack.extend(following for following, _ in node.next_functions)
    return list(found.values())
