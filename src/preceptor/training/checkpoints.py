"""When a checkpoint is due, and where it goes."""

from __future__ import annotations

from pathlib import Path
from time import monotonic
from typing import Any

from preceptor.training.storage import load_tree, save_tree

__all__ = ["Checkpoints"]


class Checkpoints:
    """Keeps the latest snapshot of a training in one file, replaced whole or not at all.

    Arguments:
        path: the file.
        seconds: write when the last one is this old; None: never for that reason.
        steps: write after this many optimizer steps; None: never for that reason.
    """

    def __init__(self, path: Path, *, seconds: float | None = 10.0, steps: int | None = None) -> None:
        self.path, self.seconds, self.steps = path, seconds, steps
        self._written = monotonic()

    def due(self, step: int) -> bool:
        """Say whether a checkpoint should be written after this step."""
        if self.steps is not None and step % self.steps == 0:
            return True
        return self.seconds is not None and monotonic() - self._written >= self.seconds

    def save(self, snapshot: dict[str, Any]) -> None:
        """Write a snapshot."""
        save_tree(self.path, snapshot)
        self._written = monotonic()

    def load(self) -> dict[str, Any]:
        """Read the latest snapshot; what a process that was killed left half written is removed."""
        for leftover in self.path.parent.glob(f".{self.path.name}.*.tmp"):
            leftover.unlink(missing_ok=True)
        tree: dict[str, Any] = load_tree(self.path)
        return tree
