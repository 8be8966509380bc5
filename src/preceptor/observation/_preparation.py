"""Reshapes of data before training begins: where axes can be mixed up without any step showing it."""

from __future__ import annotations

import functools
import sys
import types
from typing import Any

from torch import Tensor
from torch.compiler import is_compiling

from preceptor.observation._observer import Observer
from preceptor.observation._sites import line_of, user_frame
from preceptor.observation.attach import Attachment

__all__ = ["Preparation"]

_METHODS = ("reshape", "view")
_MOST = 50
_frame = sys._getframe


class Preparation(Attachment):
    """Notes reshapes that the user's own code makes of data, until the first backward pass; then it detaches.

    Each kind is a row of the table ``reshapes``: ``operator``, ``before`` and ``after`` (shapes), ``where``;
    only such as both merge and split axes could be: two axes longer than 1 or more on both sides. At most 50.

    Example:
        >>> import torch
        >>> from preceptor.observation.watch import Watch
        >>> with Watch() as watch:
        ...     _ = torch.zeros(3, 40).reshape(8, 5, 3)
        >>> [(row["before"], row["after"]) for row in watch.record.tables["reshapes"]]
        [([3, 40], [8, 5, 3])]
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._seen: set[tuple[Any, ...]] = set()
        super().__init__(observer, accelerator=False)

    def _attach(self, accelerator: bool) -> None:
        for name in _METHODS:
            self._wrap(Tensor, name, functools.partial(_reshape, self, name))

    def _note(self, name: str, given: Tensor, made: Tensor, frame: types.FrameType) -> None:
        """Write a reshape down, or detach where training has begun."""
        observer = self._observer
        if observer.steps.backward:
            self.detach()
            return
        if len(self._seen) >= _MOST or observer.within or made.requires_grad or not observer.mine():
            return
        before, after = tuple(given.shape), tuple(made.shape)
        if before == after or min(_axes(before), _axes(after)) < 2 or user_frame(frame) is not frame:
            return
        where = line_of(frame)
        if (where, before, after) not in self._seen:
            self._seen.add((where, before, after))
            row = {"operator": name, "before": list(before), "after": list(after), "where": where}
            observer.record.table("reshapes", row)


def _axes(shape: tuple[int, ...]) -> int:
    return sum(length > 1 for length in shape)


def _reshape(preparation: Preparation, name: str, original: Any) -> Any:
    def call(tensor: Any, *args: Any, **kwargs: Any) -> Any:
        made = original(tensor, *args, **kwargs)
        if is_compiling():
            return made
        try:
            preparation._note(name, tensor, made, _frame(1))
        except Exception as error:  # noqa: BLE001 the program never sees our errors
            preparation.listener.complain("reshape", error)
        return made

    return call
