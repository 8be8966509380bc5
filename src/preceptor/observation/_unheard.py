"""Steps that go by alike: their calls are not told, their losses and rates are written down all the same."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from preceptor.observation._evaluating import Evaluating
from preceptor.observation._given import Given
from preceptor.observation._hand import Hand
from preceptor.observation._looks import Looks
from preceptor.observation._regular import Regular
from preceptor.observation.protocol import Protocol
from preceptor.observation.record import Record

__all__ = ["Unheard"]

_SUSPICIONS = 3


class Unheard(Evaluating):
    """Falls asleep while steps are equal, counts them, and wakes for whatever is not.

    What runs at each of these steps pays for memory that is no longer in the caches, not for instructions:
    so it is one frame around the backward pass and two after the optimizer's step, and no more.
    """

    def __init__(self, record: Record, protocol: Protocol, looks: Looks) -> None:
        super().__init__(record, protocol, looks)
        self.governor = looks.governor
        self.hand: Hand | None = None
        self._fresh: dict[int, Any] = {}  # of optimizers that are at their first steps
        self._closures = False  # backward passes run within optimizer steps
        self._recent: dict[int, int] = {}  # of each optimizer, its last step
        self._rates: dict[tuple[int, int], Any] = {}
        self._regular = Regular(protocol)
        self._partial = False  # of the step under way not all calls were heard
        self._alone: Callable[[], Any]  # the one optimizer that steps, asleep
        self._index, self._phase, self._rate = 0, "train", 0.0  # of it
        self._from: Callable[[], Any]  # the loader that its batches come from
        self._times: dict[str, float] | None = None  # where the time of a step went, before falling asleep
        self._step_started = 0.0
        self._suspicions = 0
        self._given: Given | None = Given()

    # ------------------------------------------------------------------ falling asleep, and waking

    def wake(self) -> None:
        """Hear every call again."""
        if self.asleep:
            self._moved_on()
            self.asleep, self._partial = False, self.begun or self.moved
            self.begun = self.moved = False
            self.steps.backward += len(self.losses)
            self._recent[self._index] = self.steps.train - 1
            self.clock.restart()
            self._step_started = time.perf_counter()

    def _maybe_asleep(self, optimizer: Any) -> None:
        looks = self.looks
        idle = looks.look is None and looks.evaluation is None and looks.kept is None
        idle = idle and not self._fresh and not self._closures
        if idle and self.hand is None and len(self._recent) == 1 and not self.passes.open:
            self.asleep, self.begun, self.moved = True, False, False
            self._times = self.clock.read()
            self._alone, self._index = self.names.optimizers[id(optimizer)]
            self._phase = _phase(self._index)
            self._rate = optimizer.param_groups[0].get("lr")
            loaders = [known.loader for known in self._loaders.values() if known.label == self._loader]
            self._from = loaders[-1] if loaders else _nothing
            self.protocol.usual = usual = tuple(self._regular.known)
            self.scheduling = any(self.protocol.event(number).kind == "scheduler" for number in usual)

    def _moved_on(self) -> None:
        """What is told next comes after the schedule has moved on."""
        if self.moved:
            self.protocol.lead("scheduler")

    def loader_begins(self, loader: Any, iterator: Any, frame: Any) -> None:
        """An epoch over the same loader is nothing to wake for."""
        if self.asleep and (self.begun or self._from() is not loader):
            self.wake()
        self._moved_on()
        super().loader_begins(loader, iterator, frame)

    def loader_ended(self, iterator: Any, frame: Any) -> None:
        known = self._loaders.get(id(iterator))
        if self.asleep and (self.begun or known is None or known.loader() is not self._from()):
            self.wake()
        self._moved_on()
        super().loader_ended(iterator, frame)

    # ------------------------------------------------------------------ steps that go by

    def goes_by(self, optimizer: Any) -> bool:
        if self._alone() is not optimizer:
            self.wake()
            return False
        step = self.steps.train
        self.steps.train = step + 1
        self.begun = self.moved = False
        losses = self.losses
        self.steps.backward += len(losses)
        if len(losses) == 1:
            loss = losses.pop()
            self.numbers.waiting.append(("loss", step, loss, self._phase))
            if type(loss) is float and loss - loss != 0.0:
                self._suspect(step)
        elif losses:
            self._note_loss(step, self._index)
        for group in optimizer.param_groups:
            if group.get("lr") is not self._rate:
                self._rate = group.get("lr")
                self._rates_of(optimizer, self._index, step)
        self.protocol.repeats += 1
        if step + 1 >= self.governor.next:
            self.looks.begin(step + 1, 1)
            if self.looks.look is not None:
                self.wake()
        return True

    # ------------------------------------------------------------------ what is written down of each step

    def _note_loss(self, step: int, index: int) -> None:
        """Write down the loss of a step: the sum of its backward passes."""
        if self.losses:
            total = self.losses[0] if len(self.losses) == 1 else self.numbers.total(self.losses)
            self.numbers.add("loss", step, total, _phase(index))
            self.losses.clear()
            if type(total) is float and total - total != 0.0:
                self._suspect(step)

    def _rates_of(self, optimizer: Any, index: int, step: int) -> None:
        """Write down the learning rates that have changed."""
        for place, group in enumerate(optimizer.param_groups):
            lr = group.get("lr")
            if isinstance(lr, float) and self._rates.get((index, place)) != lr:
                self._rates[index, place] = lr
                self.numbers.add("lr", step, lr, f"{index}.{place}")

    def _suspect(self, step: int) -> None:
        """The loss is not finite: see what the step was given, and look at what follows, a few times."""
        if self._given is not None:
            given, self._given = self._given, None
            self.looks.aside(lambda: given.tell(self.record, step))
        if self._suspicions < _SUSPICIONS:
            self._suspicions += 1
            self.governor.look_closer()


def _phase(index: int) -> str:
    return "train" if index == 0 else f"train:{index}"


def _nothing() -> None:
    return None
