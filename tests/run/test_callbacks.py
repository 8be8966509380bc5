"""Callbacks: the events, their order, stopping, and what is seen of an exception."""

from __future__ import annotations

from typing import Any

import pytest

import preceptor
from preceptor.training import State
from preceptor.training.callbacks import EVENTS

from .conftest import QUICK, Points, net


class Log(preceptor.Callback):
    """Notes every event with the loop's counters."""

    def __init__(self, name: str = "", order: int = 0, log: list[Any] | None = None) -> None:
        self.name, self.order = name, order
        self.log: list[Any] = [] if log is None else log

    def note(self, event: str, state: State) -> None:
        self.log.append((self.name + event.removeprefix("on_"), state.epoch, state.step))


for _event in EVENTS:
    setattr(Log, _event, lambda self, state, event=_event: self.note(event, state))


def test_every_event_in_its_place(points: Points) -> None:
    log = Log()
    preceptor.train(
        net, (points.x, points.y), callbacks=[log], batch_size=100, val=0, test=0, epochs=2, out=False
    )
    steps = [
        ("batch_begin", 0),
        ("batch_end", 1),
        ("batch_begin", 1),
        ("batch_end", 2),
        ("batch_begin", 2),
        ("batch_end", 3),
    ]
    assert log.log == [
        ("train_begin", 0, 0),
        ("epoch_begin", 0, 0),
        *((event, 0, step) for event, step in steps),
        ("epoch_end", 1, 3),
        ("epoch_begin", 1, 3),
        *((event, 1, step + 3) for event, step in steps),
        ("epoch_end", 2, 6),
        ("train_end", 2, 6),
    ]


def test_a_batch_event_for_each_step_of_accumulated_batches(points: Points) -> None:
    log = Log()
    preceptor.train(
        net,
        (points.x, points.y),
        callbacks=[log],
        batch_size=50,
        grad_accumulation=3,
        val=0,
        test=0,
        epochs=1,
        out=False,
    )
    assert [event for event, *_ in log.log].count("batch_end") == 2


def test_order_decides_who_is_first(points: Points) -> None:
    log: list[Any] = []
    callbacks = [Log("c ", 5, log), Log("a ", -5, log), Log("b1 ", 0, log), Log("b2 ", 0, log)]
    preceptor.train(net, (points.x, points.y), callbacks=callbacks, **QUICK)
    assert [name for name, *_ in log[:4]] == [
        "a train_begin",
        "b1 train_begin",
        "b2 train_begin",
        "c train_begin",
    ]
    assert [name.split()[0] for name, *_ in log] == ["a", "b1", "b2", "c"] * (len(log) // 4)


def test_the_row_is_there_at_the_end_of_an_epoch(points: Points) -> None:
    rows = []

    class Reads(preceptor.Callback):
        def on_epoch_end(self, state: State) -> None:
            rows.append(state.history[-1])

    run = preceptor.train(net, (points.x, points.y), callbacks=[Reads()], **QUICK)
    assert rows == list(run.history)


@pytest.mark.parametrize("event", ["on_batch_end", "on_epoch_end", "on_epoch_begin", "on_batch_begin"])
def test_stopping(points: Points, event: str) -> None:
    class Stops(preceptor.Callback):
        pass

    def stop(self: Any, state: State) -> None:
        if state.epoch == 1:
            state.stop = "seen enough"

    setattr(Stops, event, stop)
    log = Log()
    run = preceptor.train(
        net, (points.x, points.y), callbacks=[Stops(), log], epochs=9, batch_size=50, out=False
    )
    assert run.status == "seen enough"
    assert len(run.history) == 1
    assert log.log[-1][0] == "train_end"
    assert run.test().n == 32


def test_stopping_before_anything(points: Points) -> None:
    class Stops(preceptor.Callback):
        def on_train_begin(self, state: State) -> None:
            state.stop = "not today"

    run = preceptor.train(net, (points.x, points.y), callbacks=[Stops()], **QUICK)
    assert (run.status, len(run.history), run.best_epoch) == ("not today", 0, None)


@pytest.mark.parametrize("event", EVENTS[:-1])
def test_an_exception_goes_on_and_is_seen(points: Points, tmp_path: Any, event: str) -> None:
    class Fails(preceptor.Callback):
        order = 1

    def fail(self: Any, state: State) -> None:
        raise LookupError("as it always does")

    setattr(Fails, event, fail)
    seen: list[Any] = []

    class Sees(preceptor.Callback):
        def on_exception(self, state: State) -> None:
            seen.append(state.exception)

    with pytest.raises(LookupError, match="as it always does"):
        preceptor.train(
            net, (points.x, points.y), callbacks=[Fails(), Sees()], epochs=2, out=tmp_path / "run"
        )
    if event != "on_train_end":  # by then the loop is over
        assert [str(error) for error in seen] == ["as it always does"]
    folder = preceptor.training.RunFolder(tmp_path / "run")  # type: ignore[attr-defined]
    assert folder.manifest["status"] == "failed"


def test_after_an_exception_a_resume_goes_on(points: Points, tmp_path: Any) -> None:
    class Fails(preceptor.Callback):
        def on_batch_end(self, state: State) -> None:
            if state.step == 7:
                raise LookupError

    given = {"model": net, "data": (points.x, points.y), "epochs": 4, "batch_size": 50}
    every = {"training.checkpoint_steps": 1}
    whole = preceptor.train(**given, out=tmp_path / "whole")
    with pytest.raises(LookupError):
        preceptor.train(**given, out=tmp_path / "run", callbacks=[Fails()], settings=every)
    resumed = preceptor.train(**given, out=tmp_path / "run", resume=True)
    assert resumed.status == "finished"
    assert resumed.history.without("seconds") == whole.history.without("seconds")


def test_a_callback_that_forgets_its_base_is_refused(points: Points) -> None:
    with pytest.raises(preceptor.errors.ConfigError, match="a callback is not a Callback"):
        preceptor.train(net, (points.x, points.y), callbacks=[object()], **QUICK)  # type: ignore[list-item]


def test_on_start_sees_the_run_before_its_first_step(points: Points) -> None:
    log = Log()
    seen = []

    def on_start(run: preceptor.Run) -> list[preceptor.Callback]:
        seen.append((run.status, run.prepared is not None, len(run.history)))
        return [log]

    preceptor.train(net, (points.x, points.y), on_start=on_start, **QUICK)
    assert seen == [("not begun", True, 0)]
    assert log.log[0] == ("train_begin", 0, 0)
