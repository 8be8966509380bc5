"""How trials are chosen: the right ones, the same after a crash, and random ones find a planted optimum."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from preceptor.errors import ConfigError
from preceptor.search.journal import Result, Trial
from preceptor.search.methods import Further, Grid, Halving, Method, Proposal, RandomSearch, Repeats
from preceptor.search.space import Space

PLANE = Space.parse(["lr=log:1e-5..1e-1", "dropout=0..0.5"])


def play(
    method: Method, value: Callable[[dict[str, Any], int], float | None], *, full: int = 27, mode: str = "min"
) -> list[Trial]:
    """Run a method to its end, each training being a formula of settings and epochs."""
    trials: list[Trial] = []
    while True:
        move = method.next(trials, mode)
        if move is None:
            return trials
        if isinstance(move, Further):
            trial, epochs = trials[move.number], move.epochs
        else:
            trial = Trial(len(trials), "", move.settings, seed=move.seed or 0, repeats=move.repeats)
            trials.append(trial)
            epochs = move.epochs
        status = "finished" if epochs is None else "paused"
        trial.results.append(
            Result(value(trial.settings, epochs or full), epochs=epochs or full, status=status)
        )


def bowl(point: dict[str, Any], epochs: int) -> float:
    return abs(math.log10(point["optimizer.lr"]) + 3) + 1 / epochs


def test_grid_tries_all_combinations_once() -> None:
    trials = play(Grid(Space.parse(["lr=log:1e-3..1e-1:3", "hidden=16|32"])), bowl)
    assert len({repr(trial.settings) for trial in trials}) == len(trials) == 6


def test_a_grid_too_large_is_sampled() -> None:
    space = Space.parse(["lr=log:1e-3..1e-1:5", "hidden=16|32|64"])
    method = Grid(space, trials=6)
    assert not method.whole
    points = [trial.settings for trial in play(method, bowl)]
    assert len({repr(point) for point in points}) == 6
    assert len({point["optimizer.lr"] for point in points}) > 2
    assert Grid(space, trials=6).points == points


def test_random_search_has_as_many_values_as_trials() -> None:
    trials = play(RandomSearch(PLANE, 20), bowl)
    for key in PLANE.keys:
        assert len({trial.settings[key] for trial in trials}) == 20


def test_random_search_goes_on_as_it_would_have() -> None:
    whole = play(RandomSearch(PLANE, 12, seed=(3,)), bowl)
    again = RandomSearch(PLANE, 12, seed=(3,)).next(whole[:7], "min")
    assert again == Proposal(whole[7].settings)
    assert RandomSearch(PLANE, 12, seed=(4,)).next(whole[:7], "min") != again


def test_a_finite_space_is_tried_out_and_no_more() -> None:
    space = Space.parse(["hidden=16|32", "patience=1..3"])
    trials = play(RandomSearch(space), bowl_of_nothing)
    assert len({repr(trial.settings) for trial in trials}) == len(trials) == 6


def bowl_of_nothing(point: dict[str, Any], epochs: int) -> None:
    return None


def test_halving_trains_the_best_on() -> None:
    trials = play(Halving(PLANE, 27, 27, eta=3), bowl)
    assert [sum(len(t.results) > rung for t in trials) for rung in range(5)] == [27, 9, 3, 1, 0]
    assert [result.epochs for result in max(trials, key=lambda t: len(t.results)).results] == [1, 3, 9, 27]
    best = min(trials, key=lambda t: bowl(t.settings, 27))
    assert len(best.results) == 4
    spent = sum(trial.results[-1].epochs for trial in trials)
    assert spent == 18 * 1 + 6 * 3 + 2 * 9 + 27  # nobody is trained again from the beginning


def test_halving_by_the_larger_value() -> None:
    trials = play(Halving(PLANE, 9, 9, eta=3), lambda p, e: -bowl(p, e), full=9, mode="max")
    assert len(min(trials, key=lambda t: bowl(t.settings, 9)).results) == 3


def test_halving_waits_for_all_of_a_rung() -> None:
    method = Halving(PLANE, 3, 9, eta=3)
    trials = [Trial(i, "", {"optimizer.lr": 0.1 / (i + 1), "model.dropout": 0.1}) for i in range(3)]
    for trial in trials[:2]:
        trial.results.append(Result(0.5, status="paused"))
    trials[2].open = True
    assert method.next(trials, "min") is None
    trials[2].open = False
    trials[2].results.append(Result(0.4, status="early stopping"))  # at its end already
    assert method.next(trials, "min") is None
    trials[1].results[0] = Result(0.1, status="paused")
    assert method.next(trials, "min") == Further(1, None)


def test_halving_drops_what_came_to_nothing() -> None:
    trials = play(
        Halving(PLANE, 9, 9), lambda p, e: None if p["model.dropout"] > 0.05 else bowl(p, e), full=9
    )
    assert all(len(trial.results) == 1 for trial in trials if trial.settings["model.dropout"] > 0.05)


def test_halving_with_few_epochs() -> None:
    assert Halving(PLANE, 27, 1).rungs == ((1, 27),)
    assert Halving(PLANE, 2, 100).rungs == ((100, 2),)
    with pytest.raises(ConfigError, match="eta"):
        Halving(PLANE, 27, 9, eta=1)


def test_repeats_by_seed() -> None:
    best = [Trial(4, "", {"a.b": 1}), Trial(2, "", {"a.b": 2})]
    trials = play(Repeats(best, (1, 2)), bowl_of_nothing)
    assert [(t.seed, t.repeats) for t in trials] == [(1, 4), (1, 2), (2, 4), (2, 2)]
    assert Repeats(best, (1, 2)).next(trials[1:], "min") == Proposal({"a.b": 1}, seed=1, repeats=4)


def best_of_nine(method: Callable[[int], Method], centre: float, seed: int) -> float:
    def peak(point: dict[str, Any], epochs: int) -> float:
        place = (math.log10(point["optimizer.lr"]) + 5) / 4
        return math.exp(-(((place - centre) / 0.1) ** 2))

    return max(trial.value or 0.0 for trial in play(method(seed), peak))


def test_random_beats_grid_where_one_hyperparameter_matters() -> None:
    """Bergstra and Bengio's figure: nine trials see three values on a grid, and nine at random."""
    centres = np.random.default_rng(0).random(300)
    grid, random = (
        np.array([best_of_nine(method, centre, k) for k, centre in enumerate(centres)])
        for method in (lambda seed: Grid(PLANE, 9), lambda seed: RandomSearch(PLANE, 9, (seed,)))
    )
    gain = random - grid
    error = gain.std(ddof=1) / math.sqrt(len(gain))
    assert gain.mean() - 3 * error > 0.05
    assert (gain > 0).mean() > 0.55
