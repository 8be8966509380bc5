"""Healthy training programs, and the same with one fault planted: what the diagnosis is measured on.

`HEALTHY` are programs of six families; `PLANTS` are edits of them, each of which puts in one cause;
`NOT_PLANTED` says why a cause has none.
"""

from __future__ import annotations

import _planted_data
import _planted_model
import _planted_optimisation
import _planted_outputs
import _planted_procedure
from _planted_hosts import HEALTHY
from _planted_plant import Plant

__all__ = ["HEALTHY", "NOT_PLANTED", "PLANTS"]

PLANTS: list[Plant] = [
    *_planted_optimisation.PLANTS,
    *_planted_outputs.PLANTS,
    *_planted_data.PLANTS,
    *_planted_model.PLANTS,
    *_planted_procedure.PLANTS,
]

NOT_PLANTED = {
    "slow-data-loading": "counts only where waiting adds up to many seconds; these runs last one or two",
    "memory-growth": "counts only where memory grows by gigabytes; these runs hold megabytes",
}
"""Causes without plants, and why."""
