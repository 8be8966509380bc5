"""The protocol trace: complete, in order, and no longer than it must be."""

from __future__ import annotations

import gc
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from preceptor.observation.protocol import KINDS, Event, Protocol


class Thing:
    """Something that events are about."""


def _note(protocol: Protocol, kind: str, subject: object = "", flags: int = 0) -> int:
    return protocol.note(kind, subject, flags, sys._getframe())


@pytest.mark.slow
@given(st.lists(st.lists(st.sampled_from(KINDS), min_size=1, max_size=6), max_size=30))
def test_what_went_in_comes_out_in_order(steps: list[list[str]]) -> None:
    protocol = Protocol()
    for step in steps:
        for kind in step:
            _note(protocol, kind)
        protocol.end_phrase()
    read = [[event.kind for event in phrase.events] for phrase in protocol for _ in range(phrase.repeats)]
    assert read == steps
    assert len(protocol) == len(steps)


def test_equal_steps_take_the_room_of_one() -> None:
    protocol = Protocol()
    for step in range(3000):
        for kind in ("zero_grad", "forward", "loss", "backward", "step"):
            _note(protocol, kind)
        if step % 1000 == 999:
            _note(protocol, "eval")
        protocol.end_phrase()
    assert [phrase.repeats for phrase in protocol] == [999, 1, 999, 1, 999, 1]
    assert [event.kind for event in protocol.typical()][-1] == "step"


def test_a_long_evaluation_is_cut_into_equal_stretches() -> None:
    protocol = Protocol()
    for _ in range(12_000):
        for kind in ("batch", "forward", "loss"):
            _note(protocol, kind)
    assert len(list(protocol)) == 1
    assert sum(len(phrase.events) * phrase.repeats for phrase in protocol) == 36_000


def test_events_carry_line_caller_and_flags() -> None:
    protocol = Protocol()

    def inner() -> Event:
        return protocol.event(_note(protocol, "forward", Thing(), 2))

    event = inner()
    assert event.where.startswith("test_protocol.py:")
    assert event.caller.startswith("test_protocol.py:")
    assert (event.training, event.grad, event.flag) == (False, True, False)
    assert str(event).startswith("forward Thing eval mode (")


@pytest.mark.slow
def test_an_object_that_takes_the_place_of_a_dead_one_is_another() -> None:
    protocol = Protocol()
    labels = []
    for _ in range(5):
        thing = Thing()
        labels.append(protocol.event(_note(protocol, "scheduler", thing)).subject)
        del thing
        gc.collect()
    assert labels == [f"schedule {number} (Thing)" for number in range(5)]


def test_memory_is_bounded_whatever_comes() -> None:
    protocol = Protocol()
    for step in range(6000):
        for bit in range(13):
            _note(protocol, KINDS[bit], "", (step >> bit) & 1)
        protocol.end_phrase()
    assert protocol.dropped == 6000 - 4095
    assert len(protocol) == 4095
