"""The moment at which a program has imported a module, without a trace in the program."""

from __future__ import annotations

import contextlib
import sys
import types
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from typing import Any

__all__ = ["Arrival"]


class Arrival:
    """Calls ``then`` right after the module ``name`` has been imported for the first time.

    A finder in front of the others asks those for the module, and lets the loader that they give tell when
    it is done. The loader stays the same object: ``__spec__`` and ``__loader__`` are what they always are.

    Example:
        >>> import importlib, sys
        >>> _ = sys.modules.pop("this_example", None), sys.modules.pop("colorsys", None)
        >>> arrival = Arrival("colorsys", lambda: print("here"))
        >>> import colorsys
        here
        >>> arrival in sys.meta_path
        False
    """

    def __init__(self, name: str, then: Callable[[], None]) -> None:
        self.name, self.then = name, then
        sys.meta_path.insert(0, self)

    def remove(self) -> None:
        """Stop waiting."""
        with contextlib.suppress(ValueError):
            sys.meta_path.remove(self)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return what the other finders find, if it is the awaited module."""
        if name != self.name:
            return None
        for finder in list(sys.meta_path):
            find = None if finder is self else getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = find and find(name, path, target)
            if spec is not None:
                self._follow(spec.loader)
                return spec
        return None

    def _follow(self, loader: Any) -> None:
        arrived = self._arrived

        def _call_with_frames_removed(module: types.ModuleType) -> None:
            vars(loader).pop("exec_module", None)
            loader.exec_module(module)
            arrived()

        # Code of this file and name is taken for the import machinery's own, which tracebacks leave out.
        code = _call_with_frames_removed.__code__.replace(co_filename="<frozen importlib._bootstrap>")
        follower = types.FunctionType(
            code, globals(), code.co_name, None, _call_with_frames_removed.__closure__
        )
        with contextlib.suppress(TypeError):  # a loader that takes no attributes cannot be followed
            vars(loader)["exec_module"] = follower

    def _arrived(self) -> None:
        if self in sys.meta_path:
            self.remove()
            self.then()
