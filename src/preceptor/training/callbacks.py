"""Callbacks: what may look on, or step in, at fixed moments of the loop, in an order that can be seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from preceptor.errors import ConfigError

if TYPE_CHECKING:
    from preceptor.training.state import State

__all__ = ["EVENTS", "Callback", "Callbacks"]

EVENTS = (
    "on_train_begin",
    "on_epoch_begin",
    "on_batch_begin",
    "on_batch_end",
    "on_epoch_end",
    "on_train_end",
    "on_exception",
)


class Callback:
    """Override the moments that you need; each receives the loop's `State`.

    ``order`` decides who goes first (lower earlier; equal ones in the order given). Set
    ``state.stop = "reason"`` to end the training after the current step.

    Example:
        >>> class Stop(Callback):
        ...     def on_epoch_end(self, state):
        ...         state.stop = "seen enough"
        >>> Callbacks([Stop()])
        on_epoch_end: Stop(0)
    """

    order: int = 0

    def on_train_begin(self, state: State) -> None:
        """Before the first step."""

    def on_epoch_begin(self, state: State) -> None:
        """Before an epoch's first step."""

    def on_batch_begin(self, state: State) -> None:
        """Before an optimizer step."""

    def on_batch_end(self, state: State) -> None:
        """After an optimizer step."""

    def on_epoch_end(self, state: State) -> None:
        """After an epoch's evaluation; its row is ``state.history[-1]``."""

    def on_train_end(self, state: State) -> None:
        """After the last step; the best weights are back in the model."""

    def on_exception(self, state: State) -> None:
        """When an exception leaves the loop; it is ``state.exception`` and goes on afterwards."""


class Callbacks:
    """Callbacks in their order; an event calls only those that override it."""

    def __init__(self, callbacks: Iterable[Callback] = ()) -> None:
        listed = list(callbacks)
        for callback in listed:
            if not isinstance(callback, Callback):
                raise ConfigError(
                    "a callback is not a Callback",
                    expected="an instance of preceptor.Callback",
                    received=repr(callback),
                    hint="subclass preceptor.Callback and pass an instance",
                )
        self.ordered = sorted(listed, key=lambda c: c.order)

    def hooks(self, event: str) -> tuple[Callable[[Any], None], ...]:
        """Return the bound methods to call at an event, first to last."""
        return tuple(
            getattr(c, event) for c in self.ordered if getattr(type(c), event) is not getattr(Callback, event)
        )

    def __repr__(self) -> str:
        lines = []
        for event in EVENTS:
            names = [f"{type(c.__self__).__name__}({c.__self__.order})" for c in self.hooks(event)]  # type: ignore[attr-defined]  # hooks are bound methods
            if names:
                lines.append(f"{event}: {' → '.join(names)}")
        return "\n".join(lines) or "no callbacks"
