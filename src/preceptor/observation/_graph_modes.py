"""Our place on torch's stack of function modes: taken and left without moving anybody else's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.nn.modules.module import register_module_forward_pre_hook
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack, _pop_mode, _push_mode
from torch.utils._device import DeviceContext

__all__ = ["insert", "is_on_top", "remove", "remove_later"]


def insert(mode: TorchFunctionMode) -> None:
    """Put a mode below all others but the default device, which torch wants at the bottom.

    Modes take the topmost off when they end: one that was there before us and ends first would take ours.
    """
    above = _taken(_is_default_device)
    _push_mode(mode)
    for other in above:
        _push_mode(other)


def remove(mode: TorchFunctionMode) -> bool:
    """Take a mode off the stack, wherever it stands; return whether it was there."""
    if not any(found is mode for found in _stack()):
        return False
    above = _taken(lambda top: top is mode)
    _pop_mode()
    for other in above:
        _push_mode(other)
    return True


def is_on_top(mode: TorchFunctionMode) -> bool:
    """Whether a mode is the one that operators meet first."""
    stack = _stack()
    return bool(stack) and stack[-1] is mode


def remove_later(mode: TorchFunctionMode, held: Callable[[], bool]) -> None:
    """Take a mode off when a module is called after torch, whose hands it is in, has put it back."""

    def try_again(*_: Any) -> None:
        if remove(mode) or not held():
            handle.remove()

    handle = register_module_forward_pre_hook(try_again)


def _is_default_device(mode: Any) -> bool:
    """Whether it is there by ``torch.set_default_device``, and not by ``with torch.device(...)``."""
    return isinstance(mode, DeviceContext) and hasattr(mode, "old_device")


def _stack() -> list[Any]:
    return list(_get_current_function_mode_stack())


def _taken(until: Callable[[Any], bool]) -> list[Any]:
    """Take modes off until the topmost fulfils ``until``; return them in the order to put them back."""
    found: list[Any] = []
    while (stack := _stack()) and not until(stack[-1]):
        found.append(_pop_mode())
    return found[::-1]
