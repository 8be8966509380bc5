"""When a checkpoint is due, and where it goes."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

from preceptor.errors import CheckpointError
from preceptor.training.storage import load_tree, save_tree

__all__ = ["Checkpoints"]


class Checkpoints:
    """Keeps the latest snapshot of a training in one file, replaced whole or not at all.

    The one before it stays beside it, where the disk has links, for the case that the latest is damaged.

    Arguments:
        path: the file.
        seconds: write when the last one is this old; None: never for that reason.
        steps: write after this many optimizer steps; None: never for that reason.

    Attributes:
        notes: what whoever goes on from a snapshot should know of it.
    """

    def __init__(self, path: Path, *, seconds: float | None = 10.0, steps: int | None = None) -> None:
        self.path, self.seconds, self.steps = path, seconds, steps
        self.notes: list[str] = []
        self._written = monotonic()
        self._damaged = False

    @property
    def previous(self) -> Path:
        """Where the snapshot before the latest lies."""
        return self.path.with_name(f"previous{self.path.suffix}")

    @property
    def exist(self) -> bool:
        """Whether there is a snapshot to go on from."""
        return self.path.exists() or self.previous.exists()

    def due(self, step: int) -> bool:
        """Say whether a checkpoint should be written after this step."""
        if self.steps is not None and step % self.steps == 0:
            return True
        return self.seconds is not None and monotonic() - self._written >= self.seconds

    def save(self, snapshot: dict[str, Any]) -> None:
        """Write a snapshot."""
        if not self._damaged:  # first of all the room: while it is written there are two of them, not three
            with suppress(OSError):
                self.previous.unlink(missing_ok=True)
                os.link(self.path, self.previous)
        save_tree(self.path, snapshot)
        self._damaged, self._written = False, monotonic()

    def load(self) -> dict[str, Any]:
        """Read the latest snapshot; what a process that was killed left half written is removed.

        Where it is damaged the one before it is read, and `notes` says so.

        Raises:
            CheckpointError: it is damaged, and so is the one before it, or there is none.
        """
        for leftover in self.path.parent.glob(f".{self.path.name}.*.tmp"):
            leftover.unlink(missing_ok=True)
        tree: dict[str, Any]
        try:
            tree = load_tree(self.path)
        except CheckpointError as error:
            try:
                tree = load_tree(self.previous)
            except CheckpointError:
                raise error from None
            self._damaged = True
            self.notes.append(
                f"{error.problem} ({error.received}); the run goes on from the checkpoint before it,"
                f" {self.previous.name}, of step {tree.get('step', '?')}"
            )
        return tree
