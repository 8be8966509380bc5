"""Reshapes and casts of data before training: what can be mixed up or lost without a step showing it."""

from __future__ import annotations

import functools
import sys
import types
from typing import Any

import torch
from torch import Tensor
from torch.compiler import is_compiling

from preceptor.observation._observer import Observer
from preceptor.observation._sites import line_of, user_frame
from preceptor.observation.attach import Attachment
from preceptor.observation.probes._tensors import dense_sample, floating

__all__ = ["Preparation"]

_METHODS = ("reshape", "view")
_CASTS = ("to", "type", "byte", "char", "short", "int", "long")
_MOST = 50
_ELEMENTS, _FEWEST = 1 << 16, 16
_WHOLE = frozenset({torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64})
_frame = sys._getframe


class Preparation(Attachment):
    """Notes reshapes that the user's own code makes of data, until the first backward pass; then it detaches.

    Each kind is a row of the table ``reshapes``: ``operator``, ``before`` and ``after`` (shapes), ``where``;
    only such as both merge and split axes could be: two axes longer than 1 or more on both sides. At most 50.

    Casts of fractions between −1 and 1 to whole numbers are rows of the table ``casts``: ``operator``,
    ``dtype``, ``shape``, ``where``, ``lost`` = the share of elements that were fractions, of 65,536 at most,
    and are 0 now; ``kept`` = the share that is not 0. At most 50.

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
        for name in _CASTS:
            self._wrap(Tensor, name, functools.partial(_cast, self, name))

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

    def _note_cast(self, name: str, given: Tensor, made: Any, frame: types.FrameType) -> None:
        """Write a cast down that leaves next to nothing of its input."""
        observer = self._observer
        if observer.steps.backward:
            self.detach()
            return
        if not isinstance(made, Tensor) or made.dtype not in _WHOLE or not floating(given):
            return
        if len(self._seen) >= _MOST or observer.within or not observer.mine() or given.device.type != "cpu":
            return
        where = line_of(frame)
        key = (where, name, tuple(given.shape))
        if given.numel() < _FEWEST or key in self._seen or user_frame(frame) is not frame:
            return
        self._seen.add(key)
        with torch._C.DisableTorchFunction(), torch._C._DisableTorchDispatch(), torch.no_grad():
            values = dense_sample(given.detach(), _ELEMENTS)
            if not bool((values.abs() <= 1).all()):
                return
            lost = float((values != values.trunc()).float().mean())
            kept = float((values.trunc() != 0).float().mean())
        if lost > 0:
            row: dict[str, Any] = {"operator": name, "dtype": str(made.dtype).removeprefix("torch.")}
            row |= {"shape": list(given.shape), "where": where, "lost": lost, "kept": kept}
            observer.record.table("casts", row)


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


def _cast(preparation: Preparation, name: str, original: Any) -> Any:
    def call(tensor: Any, *args: Any, **kwargs: Any) -> Any:
        made = original(tensor, *args, **kwargs)
        if is_compiling():
            return made
        try:
            preparation._note_cast(name, tensor, made, _frame(1))
        except Exception as error:  # noqa: BLE001 the program never sees our errors
            preparation.listener.complain("cast", error)
        return made

    return call
