"""Which value was the first that is not finite: worked out of what the other probes have measured anyway."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from preceptor.observation.look import Look, Probe

__all__ = ["Finite", "found", "offender"]

_FOUND = "finite.found"
_ORDER = ("input", "parameter", "activation", "loss", "gradient", "update")


def found(look: Look) -> list[tuple[str, int, str]]:
    """Return the look's list of what is not finite, to append to: (kind, order within the kind, name)."""
    suspects: list[tuple[str, int, str]] = look.shared.setdefault(_FOUND, [])
    return suspects


def offender(suspects: Iterable[tuple[str, int, str]]) -> tuple[str, str] | None:
    """Return kind and name of the first of them in the order in which a step computes; None without any.

    Example:
        >>> offender([("gradient", 0, "0.weight"), ("activation", 2, "2"), ("activation", 1, "1")])
        ('activation', '1')
    """
    first = min(suspects, key=lambda suspect: (_ORDER.index(suspect[0]), suspect[1]), default=None)
    return None if first is None else (first[0], first[2])


class Finite(Probe):
    """Names the first non-finite value of a step in the table ``offenders``, once for each kind.

    The order is that of the computation: input, parameter (before the step), activation (in forward order),
    loss, gradient, update. Norms, minima and maxima, which the other probes measure, are not finite exactly
    if some element is not (or their sum of squares overflows), so nothing is read a second time.

    Example:
        >>> from preceptor.observation.record import Record
        >>> record, probe = Record(), Finite()
        >>> look = Look(7, "train", record)
        >>> found(look).append(("loss", 0, "train.py:12"))
        >>> probe.end(look)
        >>> look.finish()
        >>> record.tables["offenders"]
        [{'step': 7, 'phase': 'train', 'kind': 'loss', 'name': 'train.py:12', 'also': []}]
    """

    def __init__(self) -> None:
        self._told: set[tuple[str, str]] = set()

    def inputs(self, look: Look, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Prepare: an evaluation pass has no end of its own."""
        if look.phase != "train":
            self._prepare(look)

    def end(self, look: Look) -> None:
        """Leave the verdict for when the numbers are there."""
        self._prepare(look)

    def _prepare(self, look: Look) -> None:
        if "finite.prepared" not in look.shared:
            look.shared["finite.prepared"] = True
            suspects = found(look)
            look.after(lambda: self._judge(look, suspects))

    def _judge(self, look: Look, suspects: list[tuple[str, int, str]]) -> None:
        first = offender(suspects)
        if first is None or (look.phase, first[0]) in self._told:
            return
        self._told.add((look.phase, first[0]))
        also = sorted({kind for kind, _, _ in suspects} - {first[0]}, key=_ORDER.index)
        look.record.table(
            "offenders",
            {"step": look.step, "phase": look.phase, "kind": first[0], "name": first[1], "also": also},
        )
