"""Steps, evaluation passes, epochs, and where the time of a step goes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from torch import Tensor

__all__ = ["Clock", "Pass", "Passes", "Steps", "samples_in"]


@dataclass
class Steps:
    """How much has been seen: optimizer steps, evaluation passes, epochs of the loader that is trained from.

    ``train`` counts every step of every optimizer; a program without one steps once per backward pass.
    """

    train: int = 0
    evaluations: int = 0
    epochs: int = 0
    backward: int = 0


class Clock:
    """Seconds spent in each part of a step, summed between two readings.

    Example:
        >>> clock = Clock()
        >>> clock.parts["forward"] += 0.5
        >>> clock.steps = 2
        >>> clock.read()["forward_seconds"]
        0.25
    """

    def __init__(self) -> None:
        self.restart()

    def read(self) -> dict[str, float]:
        """Return the mean seconds per step of each part and of the whole since the last reading."""
        now, steps = time.perf_counter(), max(1, self.steps)
        found = {f"{part}_seconds": seconds / steps for part, seconds in self.parts.items()}
        found["step_seconds"] = max(0.0, now - self._since - self.away) / steps
        self.restart()
        return found

    def restart(self) -> None:
        """Begin anew."""
        self.parts = {"data": 0.0, "forward": 0.0, "backward": 0.0, "optimizer": 0.0}
        self.away, self.steps, self._since = 0.0, 0, time.perf_counter()


@dataclass
class Pass:
    """Losses from one place of the program, one after the other, that no backward pass followed.

    Arguments:
        loss: the sum of the losses, each times its number of samples; on the device where it was computed.
        training: whether the model was in training mode.
        grad: whether gradients were being recorded.
    """

    where: str
    loss: float | Tensor = 0.0
    samples: int = 0
    batches: int = 0
    training: bool = False
    grad: bool = False
    loader: str = ""

    def add(self, loss: float | Tensor, samples: int) -> None:
        """One more batch."""
        self.loss = self.loss + loss * samples
        self.samples += samples
        self.batches += 1

    @property
    def mean(self) -> float | Tensor:
        """The mean loss, each batch weighted by its number of samples."""
        return self.loss / max(1, self.samples)


class Passes:
    """Losses that have not been followed by a backward pass, by the place and loader that they come from."""

    def __init__(self) -> None:
        self.open: dict[Any, Pass] = {}
        self.last: Any = None

    def close(self, *, backward: bool) -> list[Pass]:
        """Return the evaluation passes that have ended, now that training goes on.

        The losses from the place of the last one are what ``backward`` starts from. Other losses with
        gradient are terms of the same sum, unless they are more, of another loader, or of another mode.
        """
        found = self.open
        if backward and self.last is not None:
            main = found.pop(self.last, None)
            if found and main is not None:
                found = {key: value for key, value in found.items() if not _term(value, main)}
        ended = list(found.values())
        self.open, self.last = {}, None
        return ended


def _term(other: Pass, main: Pass) -> bool:
    return (
        other.grad
        and other.batches <= max(1, main.batches)
        and other.loader == main.loader
        and other.training == main.training
    )


def samples_in(args: tuple[Any, ...]) -> int:
    """Return the length of the first tensor that has one, at least 1."""
    for item in args:
        if isinstance(item, Tensor) and item.dim() > 0:
            return max(1, item.size(0))
    return 1
