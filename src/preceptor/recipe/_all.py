"""All checks, in the order in which they are done: each module enters its own when it is imported."""

from __future__ import annotations

import importlib

from preceptor.recipe.check import CHECKS

__all__ = ["CHECKS"]

for _name in ("outputs", "modes", "gradient", "units", "few", "many"):
    importlib.import_module(f"preceptor.recipe._checks_{_name}")
