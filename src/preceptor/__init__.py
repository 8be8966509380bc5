"""Preceptor trains neural networks on PyTorch, watches any PyTorch training, and says what goes wrong in it.

Importing this package imports nothing else; each name below is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from preceptor import catalogue, errors
    from preceptor.run import Evaluation, Run, Watch, diagnose, load, summary, train, watch
    from preceptor.training import Callback, Experiment, History

__all__ = [
    "Callback",
    "Evaluation",
    "Experiment",
    "History",
    "Run",
    "Watch",
    "catalogue",
    "diagnose",
    "errors",
    "load",
    "summary",
    "train",
    "watch",
]

_HOMES = {
    "Callback": "training",
    "Evaluation": "run",
    "Experiment": "training",
    "History": "training",
    "Run": "run",
    "Watch": "run",
    "diagnose": "run",
    "load": "run",
    "summary": "run",
    "train": "run",
    "watch": "run",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("preceptor")
    if name in ("catalogue", "errors"):
        return importlib.import_module(f"preceptor.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(f"preceptor.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'preceptor' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
