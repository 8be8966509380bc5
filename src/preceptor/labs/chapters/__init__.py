"""The labs themselves, a folder for each chapter."""

from __future__ import annotations

import importlib
import pkgutil

__all__ = ["ORDER", "load"]

ORDER = ("likelihood", "graphs", "activations", "optimization", "generalization", "normalization",
         "convolution", "sequences", "systems")  # fmt: skip
"""The chapters, in the order in which they are read."""


def load() -> None:
    """Import every lab, once."""
    for package in ORDER:
        inside = importlib.import_module(f"{__name__}.{package}")
        for module in pkgutil.iter_modules(inside.__path__):
            importlib.import_module(f"{inside.__name__}.{module.name}")
