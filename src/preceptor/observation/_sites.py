"""Where in the program an event comes from, and frames of ours that the program does not see."""

from __future__ import annotations

import itertools
import types
from typing import Any

from preceptor.observation._graph_frames import HIDDEN, kind_of_file, line_of
from preceptor.observation._uncompiled import leave_alone

__all__ = ["HIDDEN", "column_of", "hidden", "line_of", "user_frame", "user_frame_above"]


class _Kinds(dict[str, int]):
    def __missing__(self, filename: str) -> int:
        kind = self[filename] = kind_of_file(filename)
        return kind


_kinds = _Kinds()


def hidden(function: Any) -> types.FunctionType:
    """Return ``function`` with code that `warnings` skips when it counts the levels of the stack.

    A wrapper that stands between the program and torch must not move a warning to another line.

    Example:
        >>> def wrapper(): return 1
        >>> hidden(wrapper)(), hidden(wrapper).__code__.co_filename == HIDDEN
        (1, True)
    """
    code = function.__code__.replace(co_filename=HIDDEN)
    clone = types.FunctionType(
        code, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    leave_alone(code)
    clone.__kwdefaults__ = function.__kwdefaults__
    clone.__dict__.update(function.__dict__)
    return clone


def column_of(frame: types.FrameType) -> int | None:
    """Return the column at which the call that a frame is making begins; None where Python does not tell.

    Example:
        >>> import sys
        >>> column_of(sys._getframe()) in (0, None)
        True
    """
    positions = getattr(frame.f_code, "co_positions", None)
    if positions is None or frame.f_lasti < 0:
        return None
    found = next(itertools.islice(positions(), frame.f_lasti // 2, None), None)
    return None if found is None else found[2]


def user_frame(frame: types.FrameType) -> types.FrameType:
    """Return the innermost frame of the user's own files; else of another library; else the outermost."""
    library = None
    current: types.FrameType | None = frame
    while current is not None:
        kind = _kinds[current.f_code.co_filename]
        if kind == 0:
            return current
        if kind == 1 and library is None:
            library = current
        frame, current = current, current.f_back
    return library or frame


def user_frame_above(frame: types.FrameType) -> types.FrameType | None:
    """Return the frame of the user's own files that called the function of ``frame``; None at the top."""
    current = frame.f_back
    while current is not None and _kinds[current.f_code.co_filename] != 0:
        current = current.f_back
    return current
