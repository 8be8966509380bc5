"""What is seen of a training: its signals, the order of its calls, the computational graph of real steps.

`Watch` attaches to whatever trains in this process; `preceptor.observation.capture.capture` records one step
as a `Graph`. Importing this package imports nothing else, so that a program that is about to be watched
imports torch by itself, when it wants to.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from preceptor.observation.capture import Capture
    from preceptor.observation.graph import Graph, Node, Value
    from preceptor.observation.protocol import Event, Protocol
    from preceptor.observation.record import Record
    from preceptor.observation.series import Series
    from preceptor.observation.watch import Watch

__all__ = ["Capture", "Event", "Graph", "Node", "Protocol", "Record", "Series", "Value", "Watch"]

_HOMES = {
    "Capture": "capture",
    "Event": "protocol",
    "Graph": "graph",
    "Node": "graph",
    "Protocol": "protocol",
    "Record": "record",
    "Series": "series",
    "Value": "graph",
    "Watch": "watch",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"preceptor.observation.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'preceptor.observation' has no attribute {name!r}")
