"""Steps that go by alike: where they have for long, one after the other need not be heard call by call."""

from __future__ import annotations

from preceptor.observation.protocol import Event, Protocol

__all__ = ["Regular"]

_OFTEN = 128  # so many equal steps in all, before one is taken to be equal unheard
_RUN = 3  # and so many just now, one after the other
_MOST = 64
_KINDS = frozenset({"batch", "train", "zero_grad", "forward", "loss", "backward", "clip", "step", "scheduler"})


class Regular:
    """Tells when the calls of a step have been the same 128 times, and the last 4 times in a row.

    Arguments:
        protocol: which is asked for the calls of each step, before the step is closed.

    Attributes:
        known: the calls of the steps that were alike, as the protocol's numbers; empty before.

    Example:
        >>> import sys
        >>> protocol = Protocol()
        >>> regular, told = Regular(protocol), []
        >>> for _ in range(130):
        ...     _ = protocol.note("backward", "", 2, sys._getframe())
        ...     told.append(regular.ended())
        ...     protocol.end_phrase()
        >>> told.index(True), len(regular.known)
        (128, 1)
    """

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self.known: list[int] = []
        self._last: list[int] = []
        self._run = 0
        self._counts: dict[tuple[int, ...], int] = {}

    def ended(self) -> bool:
        """A step is over: return whether the next one may be taken to be the same."""
        phrase = self.protocol.phrase()
        self._run = self._run + 1 if phrase == self._last else 0
        self._last = phrase
        if phrase != self.known and not self._is_usual(phrase):
            return False
        return self._run >= _RUN

    def _is_usual(self, phrase: list[int]) -> bool:
        key = tuple(phrase)
        if key not in self._counts and len(self._counts) >= _MOST:
            return False
        self._counts[key] = count = self._counts.get(key, 0) + 1
        if count <= _OFTEN or not all(_is_plain(self.protocol.event(number)) for number in phrase):
            return False
        self.known = phrase
        return True


def _is_plain(event: Event) -> bool:
    return event.kind in _KINDS and (event.grad or event.kind not in ("forward", "loss"))
