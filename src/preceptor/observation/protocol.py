"""The protocol trace: which calls a training made, in which order, from which lines; complete and compact."""

from __future__ import annotations

import types
import weakref
from array import array
from collections.abc import Iterator
from itertools import takewhile
from typing import Any, NamedTuple

from preceptor.observation._sites import line_of, user_frame, user_frame_above

__all__ = ["KINDS", "Event", "Phrase", "Protocol"]

KINDS = (
    "optimizer",  # an optimizer was built
    "epoch",  # a data loader began
    "batch",  # a data loader gave a batch
    "epoch_end",  # a data loader was exhausted
    "forward",  # an outermost module was called
    "loss",  # a loss function was called
    "backward",
    "grad",  # torch.autograd.grad
    "zero_grad",
    "scale",  # GradScaler.scale
    "unscale",
    "clip",
    "step",  # an optimizer stepped
    "scaler_step",
    "scaler_update",
    "scheduler",
    "train",
    "eval",
    "state_dict",
    "load_state_dict",
)
_CODES = {kind: code for code, kind in enumerate(KINDS)}
_LONGEST = 240  # events in a phrase; divides by the usual lengths of a repeated pattern
_DISTINCT = 4096
_AT_ONCE = 1024
_END = -1
_ENTRIES = 200_000


class Event(NamedTuple):
    """One call.

    Arguments:
        kind: one of `KINDS`.
        subject: what it was called on: "optimizer 0 (Adam)", "loader 1", "Net", "cross_entropy".
        where: the user's line, "train.py:41".
        caller: the line that called the function of ``where``, "" at the top level of the script.
        training: whether the module was in training mode.
        grad: whether gradients were being recorded.
        flag: for backward, whether gradients of an earlier one were still there; for a schedule, whether it
            is the call that its constructor makes.
    """

    kind: str
    subject: str
    where: str
    caller: str
    training: bool
    grad: bool
    flag: bool

    def __str__(self) -> str:
        marks = "".join(
            text
            for text, on in (
                (" eval mode", self.kind == "forward" and not self.training),
                (" no grad", self.kind in ("forward", "loss") and not self.grad),
                (" onto old gradients", self.kind == "backward" and self.flag),
            )
            if on
        )
        return f"{self.kind} {self.subject}{marks}".strip() + (f" ({self.where})" if self.where else "")


class Phrase(NamedTuple):
    """Consecutive events up to an optimizer's step, or part of a long stretch, ``repeats`` times in a row."""

    events: tuple[Event, ...]
    repeats: int


class Protocol:
    """Events as numbers, interned; a stretch of equal steps takes the room of one.

    Arguments of `note`: the kind, the object it concerns, three flags as bits (1 training mode, 2 gradients
    recorded, 4 see `Event.flag`), and the frame from which the user's line is found.

    Example:
        >>> import sys
        >>> protocol = Protocol()
        >>> for _ in range(1000):
        ...     _ = protocol.note("backward", "loss", 2, sys._getframe())
        ...     _ = protocol.note("step", "sgd", 2, sys._getframe())
        ...     protocol.end_phrase()
        >>> [(len(phrase.events), phrase.repeats) for phrase in protocol]
        [(2, 1000)]
    """

    def __init__(self) -> None:
        self._dropped = 0
        self._events: list[Event] = []
        self._known: dict[tuple[str, int, int, int, int], int] = {}
        self._codes: list[types.CodeType] = []  # kept, so that no two have the same identity
        self._labels: dict[int, tuple[Any, str]] = {}
        self._counts: dict[str, int] = {}
        self._buffer: list[int] = []
        self._begin = 0  # of the phrase under way
        self._cycle: tuple[tuple[int, ...], ...] = ((),)
        self._place = 0  # in the cycle, of the first phrase that is not yet added
        self.repeats = 0
        """How many more phrases of the cycle there have been, not yet added."""
        self._phrases: dict[tuple[int, ...], int] = {(): 0}
        self._order, self._repeats = array("i"), array("q")

    def note(self, kind: str, subject: Any, flags: int, frame: types.FrameType) -> int:
        """Add one event and return its number."""
        if self.repeats:
            self._unroll()
        frame = user_frame(frame)
        key = (kind, id(subject), flags, id(frame.f_code), frame.f_lasti)
        event = self._known.get(key)
        if event is None:
            event = self._learn(key, subject, frame)
        self._buffer.append(event)
        if len(self._buffer) >= _AT_ONCE:
            self._settle()
        return event

    def end_phrase(self) -> None:
        """Close the phrase: an optimizer has stepped."""
        if self.repeats:
            self._unroll()
        # What comes at every step must touch little memory: sorting it out waits until there is more of it.
        self._buffer.append(_END)
        self._begin = len(self._buffer)

    def phrase(self) -> list[int]:
        """Return the numbers of the events since the last phrase ended."""
        return self._buffer[self._begin :]

    def expect(self, cycle: tuple[tuple[int, ...], ...]) -> None:
        """Let phrases that are counted alone be these, in turn, as numbers of events."""
        self._cycle, self._place = cycle, 0

    def skip(self, phrases: int) -> None:
        """Let the phrase under way be another one of the cycle: so many further on, or back."""
        if self.repeats:
            self._unroll()
        self._place = (self._place + phrases) % len(self._cycle)

    @property
    def usual(self) -> tuple[int, ...]:
        """The phrase under way, as the cycle has it."""
        return self._cycle[(self._place + self.repeats) % len(self._cycle)]

    def complete(self) -> None:
        """Let the phrase under way, of which only a part was heard, have all events of the usual one."""
        heard = self.phrase()
        same = takewhile(lambda pair: pair[0] == pair[1], zip(heard, self.usual, strict=False))
        lead = len(list(same))
        others = [number for number in heard if number not in self.usual]
        self._buffer[self._begin :] = [*self.usual[:lead], *others, *self.usual[lead:]]

    def lead(self, kind: str) -> None:
        """Let the phrase under way, of which nothing was heard, begin with the usual events of a kind."""
        if self.repeats:
            self._unroll()
        if not self.phrase():
            self._buffer += takewhile(lambda number: self.event(number).kind == kind, self.usual)

    def _unroll(self) -> None:
        """Add the phrases that were counted alone; what was heard before them is part of the first."""
        repeats, self.repeats = self.repeats, 0
        self.complete()
        self.end_phrase()
        self._settle()
        if len(self._cycle) == 1 and repeats > 1:
            self._close(self.usual, repeats - 1)
        elif len(self._cycle) > 1:
            for place in range(self._place + 1, self._place + repeats):
                self._close(self._cycle[place % len(self._cycle)])
            self._place = (self._place + repeats) % len(self._cycle)

    def _settle(self) -> None:
        """Sort the events that have come since into phrases."""
        if self.repeats:
            self._unroll()
        phrase: list[int] = []
        for number in self._buffer:
            if number != _END:
                phrase.append(number)
            if number == _END or len(phrase) >= _LONGEST:
                self._close(tuple(phrase))
                phrase.clear()
        self._buffer, self._begin = phrase, 0

    def _close(self, words: tuple[int, ...], times: int = 1) -> None:
        number = self._phrases.get(words)
        if number is None:
            if len(self._phrases) >= _DISTINCT:
                self._dropped += times
                return
            number = self._phrases[words] = len(self._phrases)
        if self._order and self._order[-1] == number:
            self._repeats[-1] += times
        elif len(self._order) < _ENTRIES:
            self._order.append(number)
            self._repeats.append(times)
        else:
            self._dropped += times

    @property
    def dropped(self) -> int:
        """How many phrases were not kept because there were too many different ones."""
        self._settle()
        return self._dropped

    def event(self, number: int) -> Event:
        """Return the event of a number that `note` gave."""
        return self._events[number]

    @property
    def current(self) -> tuple[Event, ...]:
        """The events since the last phrase ended."""
        self._settle()
        return tuple(self._events[number] for number in self._buffer)

    def __len__(self) -> int:
        self._settle()
        return sum(self._repeats)

    def __iter__(self) -> Iterator[Phrase]:
        self._settle()
        words = list(self._phrases)
        for number, count in zip(self._order, self._repeats, strict=True):
            yield Phrase(tuple(self._events[i] for i in words[number]), count)

    def typical(self) -> tuple[Event, ...]:
        """Return the events of the phrase that occurred most often; () if there is none."""
        self._settle()
        totals: dict[int, int] = {}
        for number, count in zip(self._order, self._repeats, strict=True):
            totals[number] = totals.get(number, 0) + count
        if not totals:
            return ()
        words = list(self._phrases)
        best = max(totals, key=lambda number: totals[number])
        return tuple(self._events[i] for i in words[best])

    def to_plain(self) -> dict[str, Any]:
        """Return lists and numbers that `from_plain` makes the same protocol of."""
        self._settle()
        return {
            "events": [list(event) for event in self._events],
            "phrases": [list(words) for words in self._phrases],
            "order": self._order.tolist(),
            "repeats": self._repeats.tolist(),
            "current": list(self._buffer),
            "dropped": self._dropped,
        }

    @classmethod
    def from_plain(cls, data: dict[str, Any]) -> Protocol:
        """Return what `to_plain` was given.

        Raises:
            KeyError, ValueError, TypeError, IndexError: the data are not of this form.
        """
        protocol = cls()
        protocol._events = [Event(*event) for event in data["events"]]
        protocol._phrases = {tuple(words): number for number, words in enumerate(data["phrases"])}
        protocol._order, protocol._repeats = array("i", data["order"]), array("q", data["repeats"])
        protocol._buffer, protocol._dropped = list(data["current"]), int(data["dropped"])
        return protocol

    def label(self, kind: str, subject: Any) -> str:
        """Return the name of an object: its class, numbered within its kind; the text itself for a string."""
        if isinstance(subject, str):
            return subject
        known = self._labels.get(id(subject))
        if known is not None:
            return known[1]
        family = _family(kind, subject)
        number = self._counts[family] = self._counts.get(family, -1) + 1
        label = f"{family} {number} ({type(subject).__name__})" if family else type(subject).__name__
        self._labels[id(subject)] = (_watched(subject, self._forget), label)
        return label

    def succeed(self, subject: Any, label: str) -> None:
        """Let ``subject`` take over the name of an object that is gone."""
        self._labels[id(subject)] = (_watched(subject, self._forget), label)

    def _learn(self, key: tuple[str, int, int, int, int], subject: Any, frame: types.FrameType) -> int:
        kind, _, flags, _, _ = key
        above = user_frame_above(frame)
        event = Event(
            kind,
            self.label(kind, subject),
            line_of(frame),
            "" if above is None or above is frame else line_of(above),
            bool(flags & 1),
            bool(flags & 2),
            bool(flags & 4),
        )
        self._codes.append(frame.f_code)
        self._known[key] = len(self._events)
        self._events.append(event)
        return self._known[key]

    def _forget(self, identity: int) -> None:
        """An object is gone: another may get its identity."""
        self._labels.pop(identity, None)
        for key in [key for key in self._known if key[1] == identity]:
            del self._known[key]


def _family(kind: str, subject: Any) -> str:
    if hasattr(subject, "param_groups"):
        return "optimizer"
    if kind in ("epoch", "batch", "epoch_end"):
        return "loader"
    if kind == "scheduler":
        return "schedule"
    return ""


def _watched(subject: Any, forget: Any) -> Any:
    """Return a weak reference that tells of the object's end; the object itself where there can be none."""
    identity = id(subject)
    try:
        return weakref.ref(subject, lambda _: forget(identity))
    except TypeError:
        return subject
