"""Preceptor trains neural networks on PyTorch, watches any PyTorch training, and says what goes wrong in it.

Importing this package imports nothing else; each name below is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from preceptor import catalogue, errors
    from preceptor.run import (
        Evaluation,
        Population,
        Run,
        Watch,
        assert_healthy,
        assert_learns,
        audit,
        check,
        diagnose,
        drop_test,
        load,
        lr_test,
        summary,
        train,
        train_population,
        watch,
    )
    from preceptor.search import cross_validate, tune
    from preceptor.training import Callback, Experiment, History, MLflow, TensorBoard

__all__ = [
    "Callback",
    "Evaluation",
    "Experiment",
    "History",
    "MLflow",
    "Population",
    "Run",
    "TensorBoard",
    "Watch",
    "assert_healthy",
    "assert_learns",
    "audit",
    "catalogue",
    "check",
    "cross_validate",
    "diagnose",
    "drop_test",
    "errors",
    "load",
    "lr_test",
    "summary",
    "train",
    "train_population",
    "tune",
    "watch",
]

_HOMES = {
    "Callback": "training",
    "Evaluation": "run",
    "Experiment": "training",
    "History": "training",
    "MLflow": "training",
    "Population": "run",
    "Run": "run",
    "TensorBoard": "training",
    "Watch": "run",
    "assert_healthy": "run",
    "assert_learns": "run",
    "audit": "run",
    "check": "run",
    "cross_validate": "search",
    "diagnose": "run",
    "drop_test": "run",
    "load": "run",
    "lr_test": "run",
    "summary": "run",
    "train": "run",
    "train_population": "run",
    "tune": "search",
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
