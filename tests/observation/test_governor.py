"""The governor keeps what looking takes within its share."""

from __future__ import annotations

import itertools

import pytest

from preceptor.observation import governor as module
from preceptor.observation.governor import BUDGETS, Governor


class Time:
    """A clock that the test moves."""

    now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr(module, "time", time)
    return time


def _run(governor: Governor, clock: Time, steps: int, step_seconds: float, look_seconds: float) -> list[int]:
    looked = []
    for step in range(steps):
        if governor.due(step):
            looked.append(step)
            clock.now += look_seconds
            governor.looked(look_seconds)
        clock.now += step_seconds
    return looked


@pytest.mark.parametrize("level", BUDGETS)
@pytest.mark.parametrize("step_seconds", [2e-4, 1e-3, 5e-2])
@pytest.mark.parametrize("look_seconds", [1e-4, 1e-3, 2e-2])
def test_the_share_is_kept_in_the_long_run(
    clock: Time, level: str, step_seconds: float, look_seconds: float
) -> None:
    governor = Governor(level)
    start = clock.now
    looked = _run(governor, clock, 40_000, step_seconds, look_seconds)
    elapsed = clock.now - start
    early = 11 * look_seconds
    if level == "full":
        assert looked == list(range(40_000))
    else:
        assert len(looked) * look_seconds <= BUDGETS[level] * elapsed + early
        assert looked[:6] == [0, 1, 2, 3, 5, 8]


def test_slow_steps_are_looked_at_every_tenth(clock: Time) -> None:
    looked = _run(Governor("standard"), clock, 400, 0.06, 1e-3)
    late = [step for step in looked if step > 100]
    assert {b - a for a, b in itertools.pairwise(late)} == {10}


def test_a_suspicion_brings_looks_whatever_they_take(clock: Time) -> None:
    governor = Governor("economy")
    _run(governor, clock, 200, 1e-4, 1.0)
    governor.look_closer(2)
    assert [governor.due(step) for step in (200, 201, 202)] == [True, True, False]


def test_a_short_run_is_seen_to_its_end(clock: Time) -> None:
    looked = _run(Governor("standard"), clock, 1000, 1e-3, 1e-3)
    assert max(looked) > 600
    assert len(looked) <= 22


def test_looks_far_apart_keep_to_three_times_the_share(clock: Time) -> None:
    looked = _run(Governor("standard"), clock, 2000, 1e-4, 2e-3)
    assert [step for step in looked if step > 100] == []
