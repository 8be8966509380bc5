"""What the latest step was given, for the one moment at which its loss turns out not to be finite."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import Tensor

from preceptor.observation.probes._tensors import floating
from preceptor.observation.record import Record

__all__ = ["Given"]

_ELEMENTS = 1 << 24
_COLUMNS = 8


class Given:
    """Knows the latest input of the outermost module and the latest target of a loss, without keeping them.

    ``facts["not_finite"]``, written once: ``step`` of the first loss that is not finite, and for "input" and
    "target", where they still exist, are floating and not huge: ``bad`` = #{xᵢ is NaN or ±∞}, ``of`` = all
    elements, ``samples`` = the rows that hold them, of ``batch``.

    Example:
        >>> given, record = Given(), Record()
        >>> x = torch.tensor([[1.0, 2.0], [3.0, float("nan")]])
        >>> given.inputs((x,))
        >>> given.tell(record, 7)
        >>> record.facts["not_finite"]
        {'step': 7, 'input': {'bad': 1, 'of': 4, 'samples': [1], 'batch': 2}}
    """

    def __init__(self) -> None:
        self._input: weakref.ref[Tensor] | None = None
        self._target: weakref.ref[Tensor] | None = None

    def inputs(self, args: Any) -> None:
        """The outermost module is called with these."""
        if args and isinstance(args[0], Tensor) and not args[0].requires_grad:  # else another model made it
            self._input = weakref.ref(args[0])

    def targets(self, args: Any) -> None:
        """A loss function was called with these."""
        if len(args) > 1 and isinstance(args[1], Tensor):
            self._target = weakref.ref(args[1])

    def tell(self, record: Record, step: int) -> None:
        """Write down which elements are not finite."""
        fact: dict[str, Any] = {"step": step}
        for name, ref in (("input", self._input), ("target", self._target)):
            tensor = None if ref is None else ref()
            if floating(tensor) and tensor.numel() <= _ELEMENTS:
                fact[name] = _measured(tensor.detach())
        record.facts["not_finite"] = fact


def _measured(tensor: Tensor) -> dict[str, Any]:
    bad = ~torch.isfinite(tensor.reshape(tensor.shape[0], -1) if tensor.dim() else tensor.reshape(1, 1))
    rows = bad.any(1).nonzero().flatten()[:_COLUMNS]
    count = int(bad.sum())
    return {"bad": count, "of": bad.numel(), "samples": rows.tolist(), "batch": bad.shape[0]}
