"""The order of callbacks, and which of them an event reaches."""

from __future__ import annotations

from typing import cast

import pytest

from preceptor.errors import ConfigError
from preceptor.training import Callback, State
from preceptor.training.callbacks import EVENTS, Callbacks

HEARD: list[str] = []


class Epochs(Callback):
    order = 5

    def on_epoch_end(self, state: State) -> None:
        HEARD.append("Epochs")


class First(Callback):
    order = -1

    def on_epoch_end(self, state: State) -> None:
        HEARD.append("First")

    def on_train_end(self, state: State) -> None:
        HEARD.append("First at the end")


class Derived(Epochs):
    pass


def test_lower_orders_go_first_and_equal_ones_as_given() -> None:
    one, two = Epochs(), Derived()
    assert Callbacks([one, First(), two]).ordered[1:] == [one, two]
    HEARD.clear()
    for hook in Callbacks([two, one, First()]).hooks("on_epoch_end"):
        hook(cast(State, None))
    assert HEARD == ["First", "Epochs", "Epochs"]


def test_only_those_that_override_an_event_are_called() -> None:
    callbacks = Callbacks([Epochs(), First(), Callback()])
    assert {event: len(callbacks.hooks(event)) for event in EVENTS} == {
        **dict.fromkeys(EVENTS, 0),
        "on_epoch_end": 2,
        "on_train_end": 1,
    }


def test_the_order_can_be_seen() -> None:
    assert repr(Callbacks([Derived(), First()])) == (
        "on_epoch_end: First(-1) → Derived(5)\non_train_end: First(-1)"
    )
    assert repr(Callbacks()) == "no callbacks"


@pytest.mark.parametrize("wrong", [print, First, "early stopping"])
def test_what_is_no_callback_is_refused(wrong: object) -> None:
    with pytest.raises(ConfigError, match=r"not a Callback[\s\S]*subclass preceptor.Callback"):
        Callbacks([wrong])  # type: ignore[list-item]


def test_every_event_has_a_method() -> None:
    assert {name for name in vars(Callback) if name.startswith("on_")} == set(EVENTS)
    for event in EVENTS:
        getattr(Callback(), event)(cast(State, None))  # does nothing, and takes the state
