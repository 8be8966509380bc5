"""Watch: attach to whatever trains in this process, and keep a record of it."""

from __future__ import annotations

import math
import os
import time
import weakref
from typing import Any

from torch import Tensor

from preceptor.errors import ConfigError, UnknownName
from preceptor.observation import probes
from preceptor.observation._looks import _EARLY_GRAPH, _GRAPHS, Looks
from preceptor.observation._names import Names
from preceptor.observation._numbers import number
from preceptor.observation._observer import Observer
from preceptor.observation._preparation import Preparation
from preceptor.observation.attach import Attachment
from preceptor.observation.governor import BUDGETS, Governor
from preceptor.observation.graph import Graph
from preceptor.observation.kept import Kept
from preceptor.observation.observed import Observed
from preceptor.observation.protocol import Protocol
from preceptor.observation.record import Record
from preceptor.observation.steps import Steps

__all__ = ["LEVELS", "Watch"]

LEVELS = tuple(BUDGETS)
_MOST_NOTES = 50
_running: weakref.WeakSet[Watch] = weakref.WeakSet()


def graph_memory(steps: int, each: int, memory: int = 256 << 20) -> int:
    """Return the bytes that graphs hold after so many steps: of the first, of an early one, of the latest.

    Arguments:
        steps: that were looked on at.
        each: bytes of weights and batch, which a graph needs to be run anew.
        memory: of the watch; a graph that takes more than its share is not held.

    Example:
        >>> graph_memory(1, 1000), graph_memory(10, 1000), graph_memory(100, 1000)
        (1000, 2000, 3000)
    """
    if each > memory // _GRAPHS:
        return 0
    return each * min(_GRAPHS, sum(steps > at for at in (0, _EARLY_GRAPH, 10 * _EARLY_GRAPH)))


class Watch:
    """Watches every PyTorch training of this thread between `start` and `stop`, changing no bit of it.

    Arguments:
        level: "economy" (losses, protocol, norms now and then), "standard", or "full" (look at every step).
        budget: share of the program's time that looking may take; default: 0.001, 0.015, unbounded by level.
        memory: bytes that record and graphs may take together.
        trials: whether to keep steps with their batches, up to half of ``memory`` more, to try remedies on.

    Example:
        >>> import torch
        >>> layer = torch.nn.Linear(2, 1)
        >>> optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
        >>> with Watch() as watch:
        ...     for _ in range(3):
        ...         torch.nn.functional.mse_loss(layer(torch.ones(4, 2)), torch.ones(4, 1)).backward()
        ...         optimizer.step()
        >>> watch.steps.train, len(watch.record.signal("loss", phase="train"))
        (3, 3)
    """

    def __init__(
        self,
        level: str = "standard",
        budget: float | None = None,
        memory: int = 256 << 20,
        *,
        trials: bool = False,
    ) -> None:
        if level not in LEVELS:
            raise UnknownName("level", str(level), LEVELS)
        if budget is not None and not (math.isfinite(budget) and 0 < budget <= 1):
            raise ConfigError(
                "budget is not usable", expected="a share of the time, 0 < budget ≤ 1", received=repr(budget)
            )
        self.level = level
        self._record = Record(memory=memory // 4)
        self.protocol = Protocol()
        self.notes: list[str] = []
        self.seconds = 0.0
        self._more_notes = 0
        self._looks = Looks(
            self._record,
            Names(),
            getattr(probes, level)(),
            Governor(level, budget),
            memory=memory // 2,
            complain=self._complain,
            kept=Kept(memory=memory // 2) if trials else None,
        )
        self._observer = Observer(self._record, self.protocol, self._looks, self._note)
        self._attachment: Attachment | None = None
        self._preparation: Preparation | None = None
        self._outer: Watch | None = None

    def start(self) -> Watch:
        """Attach. What is there already, models and optimizers included, is met when it is next used.

        A watch that is running already looks away until this one stops, and says so in its notes.
        """
        if self not in _running:
            self._outer = Watch.current()
            if self._outer is not None:
                self._outer._look_away()
            self._attachment = Attachment(self._observer)
            self._preparation = Preparation(self._observer)
            self._started = time.perf_counter()
            _running.add(self)
        elif not self.running and Watch.current() is None:
            self._attachment = Attachment(self._observer)
            if not self.steps.backward:
                self._preparation = Preparation(self._observer)
        return self

    def pause(self) -> Watch:
        """Look away until `start` is called again: what happens meanwhile costs nothing and is not seen."""
        self._looks.stop()
        self._detach()
        return self

    def saw(self, loss: Tensor) -> None:
        """Count a step that was taken while the watch looked away, and note its loss."""
        steps = self._observer.steps
        self._observer.numbers.add("loss", steps.train, number(loss), "train")
        steps.train += 1

    @staticmethod
    def current() -> Watch | None:
        """Return the watch that is attached now, if any."""
        return next((watch for watch in _running if watch.running), None)

    def stop(self) -> Watch:
        """Detach: every patched name is as it was. A second call does nothing."""
        if self in _running:
            _running.discard(self)
            try:
                self._observer.finish()
            except Exception as error:  # noqa: BLE001 the program never sees our errors
                self._observer.complain("finish", error)
            finally:
                self._detach()
            self.seconds += time.perf_counter() - self._started
            self._say_what_was_not_seen()
            outer, self._outer = self._outer, None
            if outer is not None and outer in _running:
                outer._attachment = Attachment(outer._observer)
        return self

    @property
    def running(self) -> bool:
        """Whether it is attached."""
        return self._attachment is not None

    def _detach(self) -> None:
        attachment, self._attachment = self._attachment, None
        preparation, self._preparation = self._preparation, None
        for attached in (attachment, preparation):
            if attached is not None:
                attached.detach()

    def _look_away(self) -> None:
        self.pause()
        self._note(f"from step {self.steps.train} on another watch took over for a while")

    def __enter__(self) -> Watch:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()

    @property
    def record(self) -> Record:
        """What has been measured so far."""
        self._observer.numbers.flush()
        return self._record

    @property
    def steps(self) -> Steps:
        """How many steps, evaluation passes and epochs have been seen."""
        return self._observer.steps

    @property
    def graphs(self) -> dict[int, Graph]:
        """The computational graphs of the steps that were recorded."""
        return dict(self._looks.graphs)

    def graph(self, step: int | None = None) -> Graph:
        """Return the graph of ``step``, or of the recorded step nearest to it; default: the latest.

        Raises:
            ConfigError: no graph has been recorded.
        """
        graphs = self._looks.graphs
        if not graphs:
            raise ConfigError(
                "no graph has been recorded",
                expected="at least one training step with a backward pass",
                received=f"{self.steps.train} steps",
                hint="; ".join(self.notes) or None,
            )
        return graphs[max(graphs) if step is None else min(graphs, key=lambda at: (abs(at - step), at))]

    @property
    def kept(self) -> Kept | None:
        """The steps that were kept for trials; None where none were asked for."""
        return self._looks.kept

    @property
    def observed(self) -> Observed:
        """All that has been seen so far, for a diagnosis or to be saved."""
        return Observed(self.record, self.protocol, self.graphs, vars(self.steps).copy(), list(self.notes))

    def summary(self) -> dict[str, Any]:
        """Return what was seen, as plain JSON values."""
        governor = self._looks.governor
        return {
            "level": self.level,
            "steps": vars(self.steps).copy(),
            "seconds": self.seconds,
            "looks": governor.looks,
            "look_seconds": governor.spent,
            "graphs": {
                str(step): {"operators": len(graph), "loss": str(graph.loss)}
                for step, graph in self.graphs.items()
            },
            "typical_step": [str(event) for event in self.protocol.typical()],
            "signals": self.record.names,
            "facts": self.record.facts,
            "notes": list(self.notes),
        }

    def _note(self, text: str) -> None:
        if text in self.notes:
            return
        if len(self.notes) < _MOST_NOTES:
            self.notes.append(text)
        else:
            self._more_notes += 1

    def _complain(self, hook: str, error: Exception) -> None:
        self._observer.complain(hook, error)

    def _say_what_was_not_seen(self) -> None:
        steps = self.steps
        if steps.backward == 0:
            self._note("no backward pass was seen: nothing was trained through torch.autograd in this thread")
        elif not self._looks.names.optimizers:
            self._note("no torch.optim optimizer was seen: each backward pass counts as a step")
        if self.protocol.dropped:
            self._note(f"{self.protocol.dropped} stretches of the protocol were too varied to be kept")


def _leave_in_child() -> None:
    for watch in list(_running):
        watch._observer.leave()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_in_child)
