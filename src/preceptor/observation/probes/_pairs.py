"""Samples that come again, and whether they come with the same target."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["Pairs"]

_MOST = 2048
_ENOUGH, _PLENTY = 1024, 8192


class Pairs:
    """Counts, for inputs that come more than once, how often another target comes with them.

    rows: pairs seen. again: pairs whose input had come before, at this look or an earlier one. other: those
    of them whose target was not the first one's. known: those of the latter whose target had come with
    some other input before, as where targets are mixed up but not where they change. within, within_other:
    again and other within one batch. At most 2,048 inputs are remembered; what is new after that is not
    counted, and nothing after 1,024 came again or 8,192 were seen.

    Example:
        >>> pairs = Pairs()
        >>> pairs.add([1, 2], [0, 1])
        >>> pairs.add([1, 2], [1, 1])
        >>> pairs.counts["again"], pairs.counts["other"], pairs.counts["known"]
        (2, 1, 1)
    """

    def __init__(self) -> None:
        self.counts = dict.fromkeys(("rows", "again", "other", "known", "within", "within_other"), 0)
        self.seen = 0
        self._first: dict[int, float] = {}
        self._inputs: dict[float, int] = {}  # by target: the first input that had it, -1 once there were two

    @property
    def enough(self) -> bool:
        """Whether so many came again that more would tell nothing new."""
        return self.counts["again"] >= _ENOUGH or self.seen >= _PLENTY

    def add(self, inputs: Sequence[int], targets: Sequence[float]) -> None:
        """Take in one batch: a fingerprint and a target for each sample."""
        known, room = self._first, _MOST - len(self._first)
        new: set[int] = set()
        rows = 0
        for key, target in zip(inputs, targets, strict=False):
            first = known.get(key)
            if first is None:
                if len(new) < room:
                    known[key] = target
                    new.add(key)
                    rows += 1
                    if self._inputs.setdefault(target, key) != key:
                        self._inputs[target] = -1
            else:
                rows += 1
                self._again(key, target, first, key in new)
        self.counts["rows"] += rows
        self.seen += len(inputs)

    def _again(self, key: int, target: float, first: float, within: bool) -> None:
        counts = self.counts
        counts["again"] += 1
        counts["within"] += within
        if target != first:
            counts["other"] += 1
            counts["within_other"] += within
            counts["known"] += self._inputs.get(target, key) != key
