"""Shares that add up, medians, and what is foretold from the first epoch."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from preceptor.training import clock
from preceptor.training.clock import PARTS, StepClock

LAPS = st.lists(
    st.tuples(st.sampled_from(["begin", "end", *PARTS]), st.floats(1e-6, 10, allow_nan=False)),
    min_size=1,
    max_size=30,
)


class Time:
    """Stands still until it is told to go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(clock, "perf_counter", lambda: self.now)
        monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)

    def step(self, timer: StepClock, **seconds: float) -> None:
        timer.begin()
        for part, passed in seconds.items():
            self.now += passed
            timer.lap(part)
        timer.end(8)


@pytest.mark.slow
@given(laps=LAPS, device=st.sampled_from(["cpu", "cuda"]))
def test_shares_add_up_to_one(laps: list[tuple[str, float]], device: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        time = Time(patch)
        timer = StepClock(torch.device(device))
        for event, seconds in laps:
            time.now += seconds
            if event == "begin":
                timer.begin()
            elif event == "end":
                timer.end(1)
            else:
                timer.lap(event)
    shares = timer.summary()["shares"]
    assert set(shares) == set(PARTS)
    assert min(shares.values()) >= 0
    total = sum(shares.values())
    assert math.isclose(total, 1.0) or (total == 0 and not any(timer.seconds.values()))


def test_nothing_has_no_shares() -> None:
    summary = StepClock(torch.device("cpu")).summary()
    assert set(summary["shares"].values()) == {0.0}
    assert (summary["step_median_ms"], summary["step_p95_ms"], summary["steps"]) == (0.0, 0.0, 0)


def test_every_second_is_booked_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    time = Time(monkeypatch)
    timer = StepClock(torch.device("cpu"))
    for _ in range(3):
        time.step(timer, data=1, forward=2, backward=3, step=1)
        time.now += 0.5  # a callback
    timer.begin(step=False)
    time.now += 7
    timer.lap("evaluation")
    assert timer.seconds == {"data": 3, "forward": 6, "backward": 9, "step": 3, "evaluation": 7, "other": 1.5}
    assert sum(timer.seconds.values()) == time.now
    assert (timer.count, timer.examples) == (3, 24)


def test_quantiles_leave_out_the_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    time = Time(monkeypatch)
    timer = StepClock(torch.device("cpu"))
    for seconds in [50, 50, 50, *range(1, 101)]:
        time.step(timer, forward=seconds)
    summary = timer.summary()
    assert summary["step_median_ms"] == pytest.approx(51e3)
    assert summary["step_p95_ms"] == pytest.approx(96e3)


def test_a_gpu_is_asked_now_and_then_and_stands_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    time, waits = Time(monkeypatch), [0]
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: waits.__setitem__(0, waits[0] + 1))
    timer = StepClock(torch.device("cuda"))
    for _ in range(160):
        time.step(timer, data=1, forward=2, backward=4, step=1)
    assert waits[0] == 10 * 5
    timer.begin(step=False)
    time.now += 320
    timer.lap("evaluation")
    assert timer.seconds["evaluation"] == 320
    shares = timer.summary()["shares"]
    assert shares == pytest.approx(
        {"data": 0.1, "forward": 0.2, "backward": 0.4, "step": 0.1, "evaluation": 0.2, "other": 0}
    )


def test_the_forecast_is_the_median_step_and_the_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    time = Time(monkeypatch)
    timer = StepClock(torch.device("cpu"))
    for seconds in [90, 90, 90, 2, 2, 2, 30]:
        time.step(timer, forward=seconds)
    timer.begin(step=False)
    time.now += 5
    timer.lap("evaluation")
    assert timer.forecast(7) == pytest.approx(2 * 7 + 5)


def test_the_forecast_of_an_epoch_of_few_steps_is_what_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    time = Time(monkeypatch)
    timer = StepClock(torch.device("cpu"))
    time.step(timer, forward=4)
    timer.begin(step=False)
    time.now += 5
    timer.lap("evaluation")
    assert timer.forecast(1) == 9


def test_memory_stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "_KEPT", 10)
    time = Time(monkeypatch)
    timer = StepClock(torch.device("cpu"))
    for _ in range(200):
        time.step(timer, forward=1)
        assert len(timer.steps) <= 10
    assert timer.count == 200
