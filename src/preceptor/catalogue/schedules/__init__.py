"""Schedules: how the learning rate changes over a run; stepped once after every optimizer step.

All but ``controller`` and ``plateau`` are functions of the number of steps alone: a run that resumes needs
nothing but that number. An epoch counts in fractions: after half of its steps, half an epoch has passed.
"""

from preceptor.catalogue.schedules.annealing import cosine, cosine_restarts, cyclic, linear, one_cycle
from preceptor.catalogue.schedules.controlled import controller
from preceptor.catalogue.schedules.decays import (
    constant,
    exponential,
    inverse_square_root,
    inverse_time,
    manual,
    natural_exponential,
    step,
)
from preceptor.catalogue.schedules.reactive import plateau

__all__ = [
    "constant",
    "controller",
    "cosine",
    "cosine_restarts",
    "cyclic",
    "exponential",
    "inverse_square_root",
    "inverse_time",
    "linear",
    "manual",
    "natural_exponential",
    "one_cycle",
    "plateau",
    "step",
]
