"""Whose line it is: the user's innermost frame, and calls made as if from the caller's own line."""

from __future__ import annotations

import functools
import sys
import sysconfig
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

__all__ = [
    "HIDDEN",
    "call_as",
    "caller_of_hook",
    "kind_of_file",
    "line_of",
    "name_in_frame",
    "unwrapped",
    "user_line",
]

# What the code of our wrappers gives as its file. `warnings` skips frames of files whose names hold both
# words when it counts levels; torch.compile would refuse to trace them if it began with "<frozen importlib".
HIDDEN = "<preceptor: importlib _bootstrap>"

_PACKAGE = str(Path(__file__).parents[1])
_OWN = (_PACKAGE, HIDDEN)
_TORCH = str(Path(torch.__file__).parent)
_LIBRARY = tuple({sysconfig.get_paths()[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")})
_OVERRIDES = torch.overrides.handle_torch_function.__code__
_HAS_PROXY = sys.version_info >= (3, 13)


@functools.cache
def kind_of_file(filename: str) -> int:
    """Return 0 for the user's own file, 1 for another library, 2 for torch, Preceptor or generated code."""
    if filename.startswith((_PACKAGE, _TORCH)) or (
        filename.startswith("<") and not filename.startswith("<doctest")
    ):
        return 2
    if filename.startswith(_LIBRARY) or "site-packages" in filename or "dist-packages" in filename:
        return 1
    return 0


@functools.cache
def _basename(filename: str) -> str:
    return Path(filename).name


def line_of(frame: types.FrameType) -> str:
    """Return "train.py:41".

    Example:
        >>> import sys
        >>> line_of(sys._getframe()).rpartition(":")[2].isdigit()
        True
    """
    return f"{_basename(frame.f_code.co_filename)}:{frame.f_lineno}"


def user_line(frame: types.FrameType | None) -> tuple[str, types.FrameType | None]:
    """Return the user's innermost line as "train.py:41", and its frame.

    Without a frame of the user's own, the innermost of any library but torch.
    """
    second: types.FrameType | None = None
    while frame is not None:
        kind = kind_of_file(frame.f_code.co_filename)
        if kind == 0:
            break
        if kind == 1 and second is None:
            second = frame
        frame = frame.f_back
    frame = frame or second
    return ("", None) if frame is None else (line_of(frame), frame)


def name_in_frame(frame: types.FrameType | None, value: object) -> str:
    """Return the variable that holds ``value``, where looking costs nothing and keeps nothing alive.

    Before Python 3.13 reading a function's locals keeps them alive: only names of modules are looked up.
    """
    if frame is None or (frame.f_code.co_flags & 2 and not _HAS_PROXY):  # CO_NEWLOCALS: a function
        return ""
    for name, found in list(frame.f_locals.items()):
        if found is value and not name.startswith("_"):
            return str(name)
    return ""


def caller_of_hook(frame: types.FrameType) -> types.FrameType:
    """Return the frame that called the operator, given the frame that called our mode."""
    current: types.FrameType = frame
    if current.f_code is _OVERRIDES and current.f_back is not None and current.f_back.f_back is not None:
        current = current.f_back.f_back
    while current.f_code.co_filename.startswith(_OWN) and current.f_back is not None:
        current = current.f_back
    return current


def unwrapped(func: Callable[..., Any]) -> Callable[..., Any]:
    """Return torch's own function where ``func`` is a wrapper of ours around it."""
    while isinstance(func, types.FunctionType) and func.__code__.co_filename.startswith(_OWN):
        inner = getattr(func, "__wrapped__", None)
        if inner is None:
            break
        func = inner
    return func


_BODY = (lambda func, args, kwargs: func(*args, **kwargs)).__code__


@functools.lru_cache(maxsize=4096)
def _code(filename: str, line: int, name: str) -> types.CodeType:
    return _BODY.replace(co_filename=filename, co_firstlineno=line, co_name=name)


def call_as(frame: types.FrameType, func: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Call ``func`` so that a warning that it gives names the line of ``frame``, as it would without us.

    Example:
        >>> import sys
        >>> call_as(sys._getframe(), max, (1, 2), {})
        2
    """
    code = _code(frame.f_code.co_filename, frame.f_lineno or 1, frame.f_code.co_name)
    return types.FunctionType(code, frame.f_globals)(func, args, kwargs)
