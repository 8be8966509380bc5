"""What is best, the running loss, and the snapshot from which a training goes on."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from preceptor.errors import CheckpointError
from preceptor.training import Problem, State, fit
from preceptor.training.state import RunningLoss
from preceptor.training.storage import load_tree, save_tree

MakeProblem = Callable[..., Problem]
VALUES = st.lists(st.floats(width=32) | st.none(), min_size=1, max_size=12)
FINITE = st.floats(-1e6, 1e6, width=32)


class Judge:
    """All that deciding what is best asks of a problem."""

    def __init__(self, mode: str, needs_closure: bool = False) -> None:
        self.mode, self.needs_closure, self.device = mode, needs_closure, torch.device("cpu")


def after(mode: str, values: list[float | None], min_delta: float = 0.0) -> tuple[State, list[bool]]:
    state = State(cast(Problem, Judge(mode)), epochs=99)
    verdicts = []
    for state.epoch, value in enumerate(values, 1):
        verdicts.append(state.improved(value, min_delta))
    return state, verdicts


class TestImproved:
    @pytest.mark.slow
    @given(values=VALUES, mode=st.sampled_from(["min", "max"]))
    def test_against_a_search_through_all_values(self, values: list[float | None], mode: str) -> None:
        state, verdicts = after(mode, values)
        best = min if mode == "min" else max
        finite = [(v, i) for i, v in enumerate(values, 1) if v is not None and math.isfinite(v)]
        if not finite:
            assert (state.best, state.best_epoch, state.waited) == (None, None, len(values))
            return
        value = best(v for v, _ in finite)
        first = min(i for v, i in finite if v == value)
        assert (state.best, state.best_epoch, state.waited) == (value, first, len(values) - first)
        for epoch, verdict in enumerate(verdicts, 1):
            before = [v for v, i in finite if i < epoch]
            now = next((v for v, i in finite if i == epoch), None)
            assert verdict == (now is not None and all(v != now and best(v, now) == now for v in before))

    @pytest.mark.slow
    @given(
        values=st.lists(FINITE, min_size=1, max_size=12),
        delta=st.floats(0, 10),
        mode=st.sampled_from(["min", "max"]),
    )
    def test_an_improvement_beats_the_last_one_by_min_delta(
        self, values: list[float], delta: float, mode: str
    ) -> None:
        state, verdicts = after(mode, list(values), delta)
        sign = 1 if mode == "min" else -1
        steps = [v for v, improved in zip(values, verdicts, strict=True) if improved]
        assert steps[0] == values[0]
        assert all(sign * b < sign * a - delta for a, b in pairwise(steps))
        assert state.best == steps[-1]
        assert all(sign * v >= sign * state.best - delta for v in values[state.best_epoch or 0 :])

    def test_max_is_min_upside_down(self) -> None:
        values = [3.0, 1.0, None, 2.0, 0.5, math.nan, 0.5]
        assert after("min", values)[1] == after("max", [None if v is None else -v for v in values])[1]

    def test_a_line_search_takes_the_later_of_two_that_float32_cannot_tell_apart(self) -> None:
        state = State(cast(Problem, Judge("min", needs_closure=True)), epochs=9)
        state.epoch = 1
        assert state.improved(1.0, 0.0)
        state.epoch = 2
        assert state.improved(1.0 + 2**-22, 0.0)
        assert (state.best, state.best_epoch, state.waited) == (1.0, 2, 1)
        state.epoch = 3
        assert not state.improved(1.0 + 2**-20, 0.0)
        assert (state.best_epoch, state.waited) == (2, 2)


class TestRunningLoss:
    @pytest.mark.slow
    @given(
        losses=st.lists(st.tuples(st.floats(width=32), st.integers(1, 9)), min_size=1, max_size=20),
        folds=st.sets(st.integers(0, 19)),
    )
    def test_does_not_depend_on_when_it_is_folded(
        self, losses: list[tuple[float, int]], folds: set[int]
    ) -> None:
        """On a GPU losses wait to be fetched; on a CPU each is there at once."""
        at_once, held = RunningLoss(), RunningLoss()
        for i, (value, size) in enumerate(losses):
            at_once.add(torch.tensor(value), size)
            held.pending.append((torch.tensor(value), size))
            if i in folds:
                held.fold()
        held.fold()
        assert (held.examples, held.broken) == (at_once.examples, at_once.broken)
        assert held.total == at_once.total or (math.isnan(held.total) and math.isnan(at_once.total))

    def test_is_the_mean_over_examples(self) -> None:
        running = RunningLoss()
        assert math.isnan(running.mean)
        running.add(torch.tensor(1.0), 30)
        running.pending.append((torch.tensor(4.0), 10))
        assert running.mean == 1.75
        assert running.pending == []

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_notes_what_is_not_finite(self, value: float) -> None:
        running = RunningLoss()
        running.add(torch.tensor(1.0), 1)
        assert not running.broken
        running.add(torch.tensor(value), 1)
        assert running.broken


class TestSnapshot:
    def test_survives_the_disk(self, make_problem: MakeProblem, tmp_path: Path) -> None:
        state = fit(make_problem(max_grad_norm=1.0), epochs=2)
        state.problem.model.load_state_dict(state.last_weights or {})
        save_tree(tmp_path / "s", state.snapshot())
        other = State(make_problem(max_grad_norm=1.0), epochs=2)
        other.load(load_tree(tmp_path / "s"))
        assert (other.epoch, other.batch, other.begun, other.step) == (2, 0, False, state.step)
        assert (other.best, other.best_epoch, other.waited) == (state.best, state.best_epoch, state.waited)
        assert other.history == state.history
        assert other.finished
        for key, value in (state.best_weights or {}).items():
            assert torch.equal(value, (other.best_weights or {})[key])
        for a, b in zip(state.problem.model.parameters(), other.problem.model.parameters(), strict=True):
            assert torch.equal(a, b)
            moments = state.problem.optimizer.state[a], other.problem.optimizer.state[b]
            assert all(torch.equal(value, moments[1][name]) for name, value in moments[0].items())

    @pytest.mark.parametrize(
        "other",
        [
            {"model": lambda: nn.Linear(6, 3)},
            {"model": lambda: nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Dropout(0.3), nn.Linear(9, 3))},
        ],
    )
    def test_of_another_model_is_refused(self, make_problem: MakeProblem, other: dict[str, Any]) -> None:
        tree = fit(make_problem(), epochs=1).snapshot()
        with pytest.raises(CheckpointError, match="does not fit this model and optimizer"):
            State(make_problem(**other), epochs=1).load(tree)

    def test_without_a_schedule_is_refused_by_a_run_that_has_one(self, make_problem: MakeProblem) -> None:
        tree = fit(make_problem(), epochs=1).snapshot()
        problem = make_problem()
        problem.scheduler = torch.optim.lr_scheduler.StepLR(problem.optimizer, 1)
        with pytest.raises(CheckpointError, match="does not fit"):
            State(problem, epochs=1).load(tree)

    def test_an_interrupt_is_over_with_the_resume_and_a_decision_is_not(
        self, make_problem: MakeProblem
    ) -> None:
        tree = fit(make_problem(), epochs=1).snapshot()
        stops = {}
        for reason in ("interrupted", "diverged", "seen enough", None):
            state = State(make_problem(), epochs=9)
            state.load({**tree, "stop": reason})
            stops[reason] = (state.stop, state.finished)
        assert stops == {
            "interrupted": (None, False),
            "diverged": ("diverged", True),
            "seen enough": ("seen enough", True),
            None: (None, False),
        }

    def test_weights_are_a_copy(self, make_problem: MakeProblem) -> None:
        state = State(make_problem(), epochs=1)
        weights = state.weights()
        with torch.no_grad():
            for parameter in state.problem.model.parameters():
                parameter.add_(1)
        assert not any(torch.equal(v, weights[k]) for k, v in state.problem.model.state_dict().items())

    def test_an_estimate_is_for_the_epochs_that_were_run(self, make_problem: MakeProblem) -> None:
        state = State(make_problem(), epochs=9)
        assert state.estimated_seconds is None
        state.forecast = 1.5
        state.history.rows.extend([{"epoch": 1}, {"epoch": 2}])
        assert state.estimated_seconds == 3.0
