"""A run that another training brought forth: a snapshot of it, or one of many members of it."""

from __future__ import annotations

from dataclasses import dataclass

from preceptor.run._run import Run

__all__ = ["Recorded"]


@dataclass(kw_only=True)
class Recorded(Run):
    """A run that is over when it is made.

    Attributes:
        epoch: whose weights its model has; None where none was measured.
        ended: how its training ended.
    """

    epoch: int | None
    ended: str = "finished"

    @property
    def best_epoch(self) -> int | None:
        """The epoch whose weights it has, from 1."""
        return self.epoch

    @property
    def status(self) -> str:
        """How it ended."""
        return self.ended
