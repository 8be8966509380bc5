"""The labs themselves, a folder for each chapter."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

__all__ = ["ORDER", "load", "titles"]

ORDER = ("likelihood", "graphs", "activations", "optimization", "generalization", "normalization",
         "convolution", "sequences", "systems")  # fmt: skip
"""The chapters, in the order in which they are read."""


@cache
def load() -> None:
    """Import every lab, once."""
    for package in ORDER:
        inside = importlib.import_module(f"{__name__}.{package}")
        for module in pkgutil.iter_modules(inside.__path__):
            importlib.import_module(f"{inside.__name__}.{module.name}")


def titles() -> dict[str, str]:
    """Return what each chapter is about, by its name.

    Example:
        >>> titles()["likelihood"]
        'Linear models, likelihood and losses'
    """
    packages = {chapter: importlib.import_module(f"{__name__}.{chapter}") for chapter in ORDER}
    return {chapter: (package.__doc__ or chapter).rstrip(".") for chapter, package in packages.items()}
