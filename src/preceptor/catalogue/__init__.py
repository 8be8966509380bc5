"""What can be named: every building block as a frozen `Entry`, found by name, alias or pattern."""

from preceptor.catalogue import (
    activations,
    architectures,
    initializers,
    losses,
    metrics,
    optimizers,
    output_units,
    schedules,
)
from preceptor.catalogue._entry import Entry
from preceptor.catalogue._registry import entry, find, get, kinds, register

__all__ = [
    "Entry",
    "activations",
    "architectures",
    "entry",
    "find",
    "get",
    "initializers",
    "kinds",
    "losses",
    "metrics",
    "optimizers",
    "output_units",
    "register",
    "schedules",
]
