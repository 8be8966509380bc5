"""Frames of ours: out of every traceback while they are hidden, and `traceback` as it was afterwards."""

from __future__ import annotations

import sys
import threading
import traceback
from typing import Any

import pytest

from preceptor.observation import _graph_frames, _tracebacks
from preceptor.observation._sites import hidden
from preceptor.observation._tracebacks import HIDDEN, hide_frames, without_our_frames


def between(function: Any) -> Any:
    return function()


ours = hidden(between)


def fails() -> None:
    raise ValueError("a")


def chained() -> None:
    try:
        ours(fails)
    except ValueError as error:
        raise KeyError("b") from error


def names(error: BaseException) -> list[str]:
    tb, found = error.__traceback__, []
    while tb is not None:
        found.append(tb.tb_frame.f_code.co_filename)
        tb = tb.tb_next
    return found


def test_the_name_is_that_of_our_wrappers() -> None:
    assert HIDDEN == _graph_frames.HIDDEN


def test_our_frames_are_left_out_and_nothing_else() -> None:
    plain = [traceback.walk_tb, traceback.walk_stack, threading.excepthook]
    release = hide_frames()
    try:
        ours(fails)
    except ValueError:
        seen = traceback.format_exc()
        last = traceback.format_exc(limit=-2)
    stack = ours(traceback.extract_stack)
    implicit = ours(lambda: traceback.StackSummary.extract(traceback.walk_stack(None)))
    release()
    assert HIDDEN not in seen + last
    assert [line for line in seen.splitlines() if "fails" in line]
    assert last.count("  File ") == 2
    assert HIDDEN not in {frame.filename for frame in [*stack, *implicit]}
    assert implicit[0].name == "<lambda>"
    assert stack[-1].name == "test_our_frames_are_left_out_and_nothing_else"
    assert [traceback.walk_tb, traceback.walk_stack, threading.excepthook] == plain


def test_what_others_put_there_since_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traceback, "walk_tb", traceback.walk_tb)
    release = hide_frames()

    def theirs(tb: Any) -> Any:
        return iter(())

    traceback.walk_tb = theirs
    release()
    assert traceback.walk_tb is theirs


def test_a_chain_of_exceptions() -> None:
    with pytest.raises(KeyError) as caught:
        ours(chained)
    error = caught.value
    assert error.__cause__ is not None
    assert HIDDEN in names(error)
    assert HIDDEN in names(error.__cause__)
    error.__cause__.__context__ = error  # a circle
    assert without_our_frames(error) is error
    assert names(error)[-1] == names(error.__cause__)[-1] == __file__
    assert HIDDEN not in names(error) + names(error.__cause__)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="groups of exceptions came with Python 3.11")
def test_a_group_of_exceptions() -> None:
    group_of = vars(__import__("builtins"))["ExceptionGroup"]
    try:
        ours(fails)
    except ValueError as error:
        group = group_of("several", [error])
    assert HIDDEN in names(group.exceptions[0])
    without_our_frames(group)
    assert HIDDEN not in names(group.exceptions[0])


def test_an_error_in_a_thread(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", threading.__excepthook__)
    release = hide_frames()
    thread = threading.Thread(target=ours, args=(fails,))
    thread.start()
    thread.join()
    release()
    said = capsys.readouterr().err
    assert HIDDEN not in said
    assert "in fails" in said
    assert _tracebacks._filter.holders == 0
