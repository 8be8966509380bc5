"""Steps that go by alike: where they have for long, one after the other need not be heard call by call."""

from __future__ import annotations

from preceptor.observation.protocol import Event, Protocol

__all__ = ["Regular"]

_OFTEN = 128  # so many equal steps in all, before one is taken to be equal unheard
_RUN = 3  # and so many just now, one after the other
_LONGEST = 8  # steps of optimizers that take turns, until it is the first one's turn again
_MOST = 64
_KINDS = frozenset(
    {"batch", "train", "zero_grad", "forward", "loss", "backward", "clip", "step", "scheduler"}
)


class Regular:
    """Tells when the calls of a step have been the same 128 times, and the last 4 times in a row.

    Where several optimizers take turns, a whole turn is repeated, and each of its steps has been the same 128
    times.

    Arguments:
        protocol: which is asked for the calls of each step, before the step is closed.

    Attributes:
        cycle: of the steps that are expected next, the optimizer's number and the calls, as the protocol's
            numbers.

    Example:
        >>> import sys
        >>> protocol = Protocol()
        >>> regular, told = Regular(protocol), []
        >>> for _ in range(130):
        ...     _ = protocol.note("backward", "", 2, sys._getframe())
        ...     told.append(regular.ended(0))
        ...     protocol.end_phrase()
        >>> told.index(True), [(number, len(calls)) for number, calls in regular.cycle]
        (128, [(0, 1)])
    """

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self.cycle: list[tuple[int, tuple[int, ...]]] = []
        self._known: set[tuple[int, ...]] = set()
        self._past: list[tuple[int, tuple[int, ...]]] = []
        self._counts: dict[tuple[int, ...], int] = {}

    def ended(self, optimizer: int) -> bool:
        """A step of that optimizer is over: return whether the next ones may be taken to be as before."""
        phrase = tuple(self.protocol.phrase())
        past = self._past
        past.append((optimizer, phrase))
        del past[: -2 * _LONGEST]
        if phrase not in self._known and not self._is_usual(phrase):
            return False
        for period in range(1, _LONGEST + 1):
            run = max(_RUN, period)
            if len(past) >= run + period and past[-run:] == past[-run - period : -period]:
                self.cycle = past[-period:]
                return all(calls in self._known for _, calls in self.cycle)
        return False

    def _is_usual(self, phrase: tuple[int, ...]) -> bool:
        if phrase not in self._counts and len(self._counts) >= _MOST:
            return False
        self._counts[phrase] = count = self._counts.get(phrase, 0) + 1
        if count <= _OFTEN or not all(_is_plain(self.protocol.event(number)) for number in phrase):
            return False
        self._known.add(phrase)
        return True


def _is_plain(event: Event) -> bool:
    return event.kind in _KINDS and (event.grad or event.kind not in ("forward", "loss"))
