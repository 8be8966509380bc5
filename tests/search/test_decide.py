"""Winners, importances, advice and cuts: what is said of trials, and when it is not said."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats

from preceptor.catalogue.procedures import corrected_interval
from preceptor.errors import ConfigError
from preceptor.search.advice import advice, finer
from preceptor.search.cuts import cuts, premature
from preceptor.search.decide import decide
from preceptor.search.importance import importance
from preceptor.search.journal import Result, Trial
from preceptor.search.space import Space
from preceptor.tasks import mean_interval
from preceptor.training.history import History

SPACE = Space.parse(["lr=log:1e-5..1e-1", "dropout=0..0.5", "hidden=16|32|64"])


def tried(values: Sequence[float | None], points: Sequence[dict[str, Any]] | None = None) -> list[Trial]:
    places = points or [{}] * len(values)
    return [
        Trial(i, "random", place, results=[Result(v)])
        for i, (v, place) in enumerate(zip(values, places, strict=True))
    ]


def repeated(*rows: Sequence[float | None]) -> list[Trial]:
    """Row k holds the values of trial k with seeds 1, 2, …"""
    return [
        Trial(100 + 10 * k + s, "seeds", {}, seed=s + 1, repeats=k, results=[Result(value)])
        for k, row in enumerate(rows)
        for s, value in enumerate(row)
    ]


# Winners


def test_a_winner_beyond_noise() -> None:
    verdict = decide(
        tried([0.30, 0.29, 0.31]), repeated([0.3, 0.31, 0.3], [0.4, 0.42, 0.41], [0.5, 0.5, 0.52]), "min"
    )
    assert verdict is not None
    assert verdict.winner == 0  # though trial 1 had the better first value
    assert verdict.within_noise == ()
    assert "better than trials 1 and 2 over 3 new seeds" in str(verdict)


def test_a_winner_within_noise_is_called_so() -> None:
    verdict = decide(tried([0.8, 0.79]), repeated([0.8, 0.7, 0.9], [0.79, 0.75, 0.8]), "max")
    assert verdict is not None
    assert verdict.within_noise == (1,)
    assert "within noise of trial 1" in str(verdict)


def test_differences_are_taken_seed_by_seed() -> None:
    """What all candidates share, a seed's luck, does not count; the interval is the paired t test's."""
    base = [0.2, 0.5, 0.9, 0.4]
    other = [value + 0.05 + 0.001 * i for i, value in enumerate(base)]
    verdict = decide(tried([0.1, 0.2]), repeated(base, other), "min")
    assert verdict is not None
    expected = stats.ttest_rel(other, base).confidence_interval(0.95)
    assert verdict.candidates[1].behind == pytest.approx((expected.low, expected.high))
    assert verdict.candidates[0].interval == pytest.approx(
        stats.t.interval(0.95, 3, np.mean(base), stats.sem(base))
    )


@pytest.mark.slow
def test_noise_is_taken_for_a_difference_as_rarely_as_promised() -> None:
    generator = np.random.default_rng(0)
    wrong = 0
    for _ in range(400):
        verdict = decide(tried([0.0, 0.0, 0.0]), repeated(*generator.normal(size=(3, 4)).tolist()), "min")
        assert verdict is not None
        wrong += len(verdict.within_noise) < 2
    # The winner is the best of three, so differences from it are larger than those of two given trials.
    assert wrong / 400 < 0.1


def test_few_seeds_and_broken_trainings() -> None:
    (alone,) = tried([0.3])
    assert str(decide([alone], [], "min")) == "trial 0: nothing to compare it with"
    assert decide(tried([None]), [], "min") is None
    luck = decide(tried([0.3, 0.4]), repeated([0.3], [0.4]), "min")
    assert "single seed" in str(luck)
    broken = decide(tried([0.3, 0.4]), repeated([0.3, None, 0.3], [0.4, 0.4, 0.41]), "min")
    assert broken is not None
    assert broken.winner == 1
    assert broken.within_noise == ()
    unfinished = repeated([0.3, 0.3], [0.4, 0.4])
    unfinished[3].open = True
    open_ended = decide(tried([0.3, 0.4]), unfinished, "min")
    assert open_ended is not None
    assert open_ended.seeds == 1


def test_intervals() -> None:
    values = [0.91, 0.9, 0.94, 0.92]
    assert mean_interval(values) == pytest.approx(
        stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    )
    low, high = corrected_interval()(values, 25, 75)
    plain = mean_interval(values)
    assert (high - low) / (plain[1] - plain[0]) == pytest.approx(math.sqrt((1 / 4 + 1 / 3) / (1 / 4)))
    assert corrected_interval()([0.9], 1, 4) == (-math.inf, math.inf)
    with pytest.raises(ConfigError, match="training examples"):
        corrected_interval()(values, 1, 0)


# Importance


def planted(formula: Any, trials: int = 60, seed: int = 0) -> list[Trial]:
    generator = np.random.default_rng(seed)
    points = [SPACE.sample(generator) for _ in range(trials)]
    return tried([formula(point, generator) for point in points], points)


@pytest.mark.slow
def test_the_one_that_matters_is_found() -> None:
    found = importance(
        SPACE, planted(lambda p, g: abs(math.log10(p["optimizer.lr"]) + 3) + 0.05 * g.normal()), "min"
    )
    assert found is not None
    assert found.known
    assert found.single[0].keys == ("optimizer.lr",)
    assert found.single[0].share > 0.8
    assert found.single[0].low <= found.single[0].share <= found.single[0].high
    assert all(one.share < 0.1 for one in found.single[1:])


@pytest.mark.slow
def test_shares_are_those_of_a_known_function() -> None:
    """f = x₁ + x₂/2 on uniform x: variances 1 : 1/4, so 80 % and 20 %."""

    def formula(point: dict[str, Any], generator: np.random.Generator) -> float:
        first, second, _ = SPACE.place(point)
        return first + second / 2

    found = importance(SPACE, planted(formula, trials=300), "min")
    assert found is not None
    shares = {one.keys[0]: one.share for one in found.single}
    assert shares["optimizer.lr"] == pytest.approx(0.8, abs=0.08)
    assert shares["model.dropout"] == pytest.approx(0.2, abs=0.08)


@pytest.mark.slow
def test_what_only_two_explain_together_is_a_pair() -> None:
    def formula(point: dict[str, Any], generator: np.random.Generator) -> float:
        first, second, _ = SPACE.place(point)
        return float((first > 0.5) != (second > 0.5))

    found = importance(SPACE, planted(formula, trials=300), "min")
    assert found is not None
    assert found.pairs
    assert set(found.pairs[0].keys) == {"optimizer.lr", "model.dropout"}
    assert found.pairs[0].share > found.single[0].share


@pytest.mark.slow
def test_noise_has_no_importances() -> None:
    found = importance(SPACE, planted(lambda p, g: g.normal()), "min")
    assert found is not None
    assert not found.known
    assert "do not tell" in str(found)
    assert importance(SPACE, planted(lambda p, g: g.normal(), trials=5), "min") is None
    assert importance(SPACE, planted(lambda p, g: 1.0), "min") is None


@pytest.mark.slow
def test_a_diverged_trial_is_the_last_and_no_more() -> None:
    trials = planted(
        lambda p, g: None if p["optimizer.lr"] > 0.03 else abs(math.log10(p["optimizer.lr"]) + 4)
    )
    found = importance(SPACE, trials, "min")
    assert found is not None
    assert found.single[0].keys == ("optimizer.lr",)


# Advice


@pytest.mark.slow
def test_borders() -> None:
    trials = planted(lambda p, g: -math.log10(p["optimizer.lr"]), trials=30)
    said = " ".join(advice(SPACE, trials, "min", importance(SPACE, trials, "min")))
    assert "upper end of log:1e-05..0.1" in said
    assert "dropout" not in said  # it may lie anywhere: it does not matter
    inner = planted(lambda p, g: abs(math.log10(p["optimizer.lr"]) + 3), trials=30)
    assert not [s for s in advice(SPACE, inner, "min", importance(SPACE, inner, "min")) if "end of" in s]
    sizes = Space.parse(["hidden=16|32|64"])
    points = [{"model.hidden": n} for n in (16, 32, 64)]
    assert "upper end of 16|32|64" in advice(sizes, tried([0.3, 0.2, 0.1], points), "min", None)[0]


def test_a_grid_over_one_that_matters_is_advised_against() -> None:
    points = list(Space.parse(["lr=log:1e-5..1e-1:4", "dropout=0..0.5:4"]).grid(4))
    space = Space.parse(["lr=log:1e-5..1e-1", "dropout=0..0.5"])
    trials = tried([abs(math.log10(p["optimizer.lr"]) + 3) for p in points], points)
    said = advice(space, trials, "min", importance(space, trials, "min"), grid=True)
    assert any("has tried 4 values of it in 16 trials" in sentence for sentence in said)


def test_a_finer_space_holds_the_best() -> None:
    trials = planted(lambda p, g: abs(math.log10(p["optimizer.lr"]) + 3), trials=60)
    found = finer(SPACE, trials, "min")
    assert found is not None
    rate = next(d for d in found if d.key == "optimizer.lr")
    assert 1e-5 < rate.low < 1e-3 < rate.high < 1e-1
    assert math.log10(rate.high / rate.low) < 2
    assert finer(SPACE, planted(lambda p, g: g.normal(), trials=6), "min") is None


# Cuts of the rate


def course(losses: Sequence[float], cut: int, factor: float = 0.1) -> History:
    rows = [{"lr": 0.1 * (factor if i >= cut else 1), "train_loss": loss} for i, loss in enumerate(losses)]
    return History(rows)


def test_a_cut_while_the_loss_falls_is_premature() -> None:
    losses = [2.0 - 0.2 * i for i in range(5)] + [1.0 - 0.01 * i for i in range(5)]
    (said,) = premature(course(losses, 5))
    assert "from 0.1 to 0.01 at epoch 6" in said


def test_a_cut_that_helps_is_not() -> None:
    noise = [0.05, -0.05, 0.04, -0.06, 0.05, -0.04]
    plateau = [1.0 + n for n in noise] + [0.6 - 0.02 * i for i in range(5)]
    assert premature(course(plateau, 6)) == ()  # it had stopped falling
    drop = [2.0 - 0.05 * i for i in range(6)] + [1.2 - 0.01 * i for i in range(5)]
    assert premature(course(drop, 6)) == ()  # the gain is real


def test_no_word_on_other_courses() -> None:
    falling = [2.0 - 0.1 * i for i in range(10)]
    assert list(cuts(course(falling, 5, factor=0.9))) == []  # a decay, not a cut
    assert list(cuts(course(falling, 1))) == []  # too little before it
    assert premature(course([*falling[:5], math.nan, *falling[6:]], 5)) == ()


def test_premature_cuts_are_told_of() -> None:
    trials = tried([0.1])
    trials[0].results = [Result(0.1, notes=("the rate was cut",))]
    assert advice(Space([]), trials, "min", None) == ["trial 0: the rate was cut"]
