"""Tracebacks as the program would print them unwatched: frames of ours are left out."""

from __future__ import annotations

import sys
import threading
import traceback
import types
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

__all__ = ["HIDDEN", "hide_frames", "is_ours", "outermost", "without_our_frames"]

HIDDEN = "<preceptor: importlib _bootstrap>"  # what the code of our wrappers gives as its file

_PACKAGE = Path(__file__).parents[1]
# Not the whole package: a program that uses the rest of it as a library sees those frames unwatched, too.
_OURS = (HIDDEN, *(str(_PACKAGE / room / "x")[:-1] for room in ("observation", "cli")))
_BASES: set[types.CodeType] = set()
_WALKS = ("walk_tb", "_walk_tb_with_full_positions")  # the second since Python 3.11

Function = TypeVar("Function", bound=Callable[..., Any])


def is_ours(code: types.CodeType) -> bool:
    """Return whether frames of this code are ours, so that the program's tracebacks leave them out."""
    return code.co_filename.startswith(_OURS)


def outermost(function: Function) -> Function:
    """Mark the function that runs a program: what called it is no part of the program's stack."""
    _BASES.add(function.__code__)
    return function


def without_our_frames(error: BaseException) -> BaseException:
    """Take frames of ours out of an exception's traceback, and out of those that it is chained to.

    The interpreter itself prints what nobody caught, before Python 3.13 without the `traceback` module.

    Example:
        >>> try:
        ...     int("three")
        ... except ValueError as error:
        ...     without_our_frames(error).__traceback__ is not None
        True
    """
    pending, seen = [error], set()
    while pending:
        current = pending.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        BaseException.with_traceback(current, _pruned(current.__traceback__))
        group = getattr(current, "exceptions", ())
        chained = (current.__cause__, current.__context__, *(group if isinstance(group, tuple) else ()))
        pending += [other for other in chained if isinstance(other, BaseException)]
    return error


def _pruned(tb: types.TracebackType | None) -> types.TracebackType | None:
    while tb is not None and is_ours(tb.tb_frame.f_code):
        tb = tb.tb_next
    kept = tb
    while kept is not None and kept.tb_next is not None:
        if is_ours(kept.tb_next.tb_frame.f_code):
            kept.tb_next = kept.tb_next.tb_next
        else:
            kept = kept.tb_next
    return tb


def hide_frames() -> Callable[[], None]:
    """Make `traceback` leave frames of ours out; return a function that gives up this wish.

    Several may wish so at a time: the functions of `traceback` are restored when the last one gives up.

    Example:
        >>> import traceback
        >>> plain = traceback.walk_tb
        >>> first, second = hide_frames(), hide_frames()
        >>> first(), second(), traceback.walk_tb is plain
        (None, None, True)
    """
    _filter.hold()
    held = [True]

    def release() -> None:
        if held:
            held.clear()
            _filter.release()

    return release


class _Filter:
    """Replaces the functions that everything in `traceback` walks by.

    They are replaced rather than called from a wrapper of `StackSummary`, whose frame would move what
    ``walk_stack(None)`` takes for the caller.
    """

    def __init__(self) -> None:
        self.holders = 0
        self.undo: list[Callable[[], None]] = []

    def hold(self) -> None:
        self.holders += 1
        if self.holders > 1:
            return
        for name in _WALKS:
            if hasattr(traceback, name):
                self._replace(traceback, name, _walk_without_ours(getattr(traceback, name)))
        self._replace(traceback, "walk_stack", _walk_stack(traceback.walk_stack))
        self._replace(threading, "excepthook", _thread_hook(threading.excepthook))

    def release(self) -> None:
        self.holders -= 1
        if self.holders == 0:
            for undo in self.undo:
                undo()
            self.undo = []

    def _replace(self, module: types.ModuleType, name: str, replacement: Any) -> None:
        original = getattr(module, name)
        setattr(module, name, replacement)

        def undo() -> None:
            if getattr(module, name) is replacement:
                setattr(module, name, original)

        self.undo.append(undo)


Walk = Callable[[Any], Iterable[tuple[types.FrameType, Any]]]


def _walk_without_ours(original: Walk) -> Walk:
    def walk_tb(tb: Any) -> Iterator[tuple[types.FrameType, Any]]:
        return (found for found in original(tb) if not is_ours(found[0].f_code))

    return walk_tb


def _walk_stack(original: Walk) -> Walk:
    def seen(frame: types.FrameType) -> Iterator[tuple[types.FrameType, Any]]:
        for found in original(frame):
            if found[0].f_code in _BASES:
                return
            if not is_ours(found[0].f_code):
                yield found

    def walk_stack(f: types.FrameType | None) -> Iterator[tuple[types.FrameType, Any]]:
        return seen(sys._getframe(1) if f is None else f)

    return walk_stack


def _thread_hook(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def excepthook(args: Any, /) -> Any:
        if args.exc_value is not None:
            without_our_frames(args.exc_value)
        return original(args)

    return excepthook


_filter = _Filter()
