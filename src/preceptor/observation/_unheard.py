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


class _Expected:
    """A step that is expected: of which optimizer, and its learning rate when it stepped last."""

    __slots__ = ("alone", "index", "phase", "rate")

    def __init__(self, alone: Callable[[], Any], index: int) -> None:
        self.alone, self.index, self.phase = alone, index, _phase(index)
        self.rate = alone().param_groups[0].get("lr")


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
        self._turn: list[_Expected] = []  # asleep, of the optimizers that step, which then begin again
        self._at = 0  # in that turn
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
            for expected in self._turn:
                self._recent[expected.index] = self.steps.train - 1
            self.clock.restart()
            self._step_started = time.perf_counter()

    def _maybe_asleep(self) -> None:
        looks = self.looks
        idle = looks.look is None and looks.evaluation is None and looks.kept is None
        idle = idle and not self._fresh and not self._closures
        cycle = self._regular.cycle
        known = {index: alone for alone, index in self.names.optimizers.values() if alone() is not None}
        idle = idle and {index for index, _ in cycle} == self._recent.keys() <= known.keys()
        if idle and self.hand is None and not self.passes.open:
            self.asleep, self.begun, self.moved = True, False, False
            self._times = self.clock.read()
            self._turn, self._at = [_Expected(known[index], index) for index, _ in cycle], 0
            loaders = [known.loader for known in self._loaders.values() if known.label == self._loader]
            self._from = loaders[-1] if loaders else _nothing
            self.protocol.expect(tuple(calls for _, calls in cycle))
            numbers = {number for _, calls in cycle for number in calls}
            self.scheduling = any(self.protocol.event(number).kind == "scheduler" for number in numbers)

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
        expected = self._turn[self._at]
        if expected.alone() is not optimizer:
            places = [place for place, one in enumerate(self._turn) if one.alone() is optimizer]
            if places:
                self.protocol.skip(places[0] - self._at)
            self.wake()
            return False
        self._at = (self._at + 1) % len(self._turn)
        step = self.steps.train
        self.steps.train = step + 1
        self.begun = self.moved = False
        losses = self.losses
        self.steps.backward += len(losses)
        if len(losses) == 1:
            loss = losses.pop()
            self.numbers.waiting.append(("loss", step, loss, expected.phase))
            if type(loss) is float and loss - loss != 0.0:
                self._suspect(step)
        elif losses:
            self._note_loss(step, expected.index)
        for group in optimizer.param_groups:
            if group.get("lr") is not expected.rate:
                expected.rate = group.get("lr")
                self._rates_of(optimizer, expected.index, step)
        self.protocol.repeats += 1
        if step + 1 >= self.governor.next:
            self.looks.begin(step + 1, len(self._recent))
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
