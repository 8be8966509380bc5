"""Code of ours that torch.compile leaves alone where it meets it while the program runs."""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import torch

from preceptor.observation._listener import HOOKS

__all__ = ["leave_alone", "leave_package_alone"]

_PACKAGE = __name__.rpartition(".")[0]
_done: set[str] = set()


def leave_alone(code: types.CodeType, *, below: bool = False) -> None:
    """Keep torch.compile from compiling calls of ``code`` by themselves, and of code that is nested in it.

    Between two compiled stretches of a program all calls are made with an eye to compiling them as well. That
    torch may trace through such code, as part of a function of the program, is not touched.

    Arguments:
        code: What is not to be compiled.
        below: whether to leave alone everything that it calls, too.
    """
    _skip(code, below)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            leave_alone(constant, below=below)


def leave_package_alone() -> None:
    """Do so for everything in this package that has been imported; what hears of events calls only ours."""
    for name, module in list(sys.modules.items()):
        if name.startswith(_PACKAGE) and name not in _done:
            _done.add(name)
            for function in _functions(module, name):
                leave_alone(function.__code__, below=function.__name__ in HOOKS)


def _functions(owner: Any, module: str) -> Iterator[types.FunctionType]:
    for value in list(vars(owner).values()):
        if isinstance(value, type):
            if value.__module__ == module and value is not owner:
                yield from _functions(value, module)
            continue
        part = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        function = inspect.unwrap(part) if callable(part) else None
        if isinstance(function, types.FunctionType) and function.__module__ == module:
            yield function


def _skipper() -> Callable[[types.CodeType, bool], None]:
    """Return torch's function for it, which has another form in later releases."""
    frames: Any = getattr(getattr(torch._C, "_dynamo", None), "eval_frame", None)
    if hasattr(frames, "set_code_exec_strategy") and hasattr(frames, "_FrameExecStrategy"):
        skip, default = frames._FrameAction.SKIP, frames._FrameAction.DEFAULT
        one, all_below = frames._FrameExecStrategy(skip, default), frames._FrameExecStrategy(skip, skip)
        return lambda code, below: frames.set_code_exec_strategy(code, all_below if below else one)
    if hasattr(frames, "skip_code"):
        return lambda code, below: frames.skip_code(code)
    return lambda code, below: None


_skip = _skipper()
