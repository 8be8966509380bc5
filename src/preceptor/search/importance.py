"""How much each hyperparameter mattered, by a random forest over the trials."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from preceptor.search.journal import Trial
from preceptor.search.space import Space

__all__ = ["Importance", "Importances", "importance"]

_FEWEST = 8  # trials; a forest on fewer repeats them
_TREES, _PLACES, _BACKGROUND = 64, 24, 128
_DRAWS = 200  # of the trees, for the interval
_KNOWN = 0.1  # share of the variance that the forest must explain of trials it was not grown on
_PAIRS = 3


@dataclass(frozen=True)
class Importance:
    """The share of the variance of results that lies in some hyperparameters.

    Attributes:
        keys: one hyperparameter, or two for what only both together explain.
        share: between 0 and 1.
        low, high: a 95 % interval, from drawing the trees of the forest anew.
    """

    keys: tuple[str, ...]
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Importances:
    """What the forest says of all of them.

    Attributes:
        single: each hyperparameter by itself, the most important first.
        pairs: the largest shares that only two together explain.
        explained: R² on the trials that a tree was not grown on; below 0.1 the shares mean nothing.
        trials: how many there were.
    """

    single: tuple[Importance, ...]
    pairs: tuple[Importance, ...]
    explained: float
    trials: int

    @property
    def known(self) -> bool:
        """Whether the shares mean anything."""
        return self.explained >= _KNOWN

    def of(self, key: str) -> Importance | None:
        """Return the share of one hyperparameter."""
        return next((one for one in self.single if one.keys == (key,)), None)

    def __str__(self) -> str:
        if not self.known:
            return (
                f"{self.trials} trials do not tell which hyperparameter matters (a forest explains "
                f"{max(self.explained, 0.0):.0%} of what it has not seen)"
            )
        return " · ".join(
            f"{one.keys[0]} {one.share:.0%} ({one.low:.0%} … {one.high:.0%})" for one in self.single
        )


def importance(space: Space, trials: Sequence[Trial], mode: str, *, seed: int = 0) -> Importances | None:
    """Return how much of the variance of results lies in each hyperparameter; None for too few trials.

    A random forest f is fitted to the ranks of the results (a trial that came to nothing has the last
    one), so that one diverged trial does not count more than all others. Over the whole space,

        share_i = Var(E[f | x_i]) / Var(f),

    tree by tree, averaged over the trees; a pair's share is what its joint mean explains beyond both. Where
    trials crowd in one region, as with a sampler that learns, the forest knows the rest from little.

    Arguments:
        space: what was searched.
        trials: those that have ended.
        mode: "min" or "max".
        seed: of the forest.

    Source:
        Hutter, Hoos and Leyton-Brown, An Efficient Approach for Assessing Hyperparameter Importance, 2014.
    """
    ended = [trial for trial in trials if trial.result is not None and trial.repeats is None]
    ended = [trial for trial in ended if all(key in trial.settings for key in space.keys)]
    if len(ended) < _FEWEST or not space:
        return None
    from scipy.stats import qmc
    from sklearn.ensemble import RandomForestRegressor

    x = np.array([space.place(trial.settings) for trial in ended])
    y = _ranks(ended, mode)
    if np.ptp(y) == 0:
        return None
    forest = RandomForestRegressor(_TREES, oob_score=True, min_samples_leaf=2, random_state=seed, n_jobs=1)
    forest.fit(x, y)
    generator = np.random.default_rng(seed)
    even = qmc.Sobol(len(space), scramble=False).random(_BACKGROUND)  # its variances are those of the space
    background = even + 0.5 / _BACKGROUND
    trees = [tree.predict for tree in forest.estimators_]
    total = np.array([predict(background.astype(np.float32)).var() for predict in trees])
    means = [_marginals(trees, background, (i,)) for i in range(len(space))]
    parts: dict[tuple[int, ...], NDArray[np.float64]] = {
        (i,): mean.var(axis=1) for i, mean in enumerate(means)
    }
    for i, j in itertools.combinations(range(len(space)), 2):
        both = _marginals(trees, background, (i, j)).var(axis=1)
        parts[i, j] = np.maximum(0.0, both - parts[i,] - parts[j,])
    draws = generator.integers(_TREES, size=(_DRAWS, _TREES))
    shares = [_share(space, key, part, total, draws) for key, part in parts.items()]
    by_share = sorted(shares, key=lambda one: -one.share)
    return Importances(
        tuple(one for one in by_share if len(one.keys) == 1),
        tuple(one for one in by_share if len(one.keys) == 2 and one.share > 0)[:_PAIRS],
        float(forest.oob_score_),
        len(ended),
    )


def _ranks(trials: Sequence[Trial], mode: str) -> NDArray[np.float64]:
    from scipy.stats import rankdata

    sign = 1.0 if mode == "min" else -1.0
    values = np.array([np.inf if t.value is None else sign * t.value for t in trials])
    ranks: NDArray[np.float64] = rankdata(values) / len(values)
    return ranks


def _marginals(
    trees: Sequence[object], background: NDArray[np.float64], axes: tuple[int, ...]
) -> NDArray[np.float64]:
    """Return each tree's mean over the background at places along some axes, trees × places."""
    count = _PLACES if len(axes) == 1 else 8
    line = (np.arange(count) + 0.5) / count
    places = np.array(list(itertools.product(line, repeat=len(axes))))
    points = np.repeat(background[None], len(places), axis=0)
    points[:, :, list(axes)] = places[:, None]
    flat = points.reshape(-1, background.shape[1]).astype(np.float32)
    made = [predict(flat).reshape(len(places), -1).mean(axis=1) for predict in trees]  # type: ignore[operator]  # each predicts from flat settings
    return np.array(made)


def _share(
    space: Space,
    axes: tuple[int, ...],
    part: NDArray[np.float64],
    total: NDArray[np.float64],
    draws: NDArray[np.int64],
) -> Importance:
    each = np.clip(part / np.where(total > 0, total, 1.0), 0.0, 1.0)
    low, high = np.quantile(each[draws].mean(axis=1), (0.025, 0.975))
    return Importance(tuple(space.keys[i] for i in axes), float(each.mean()), float(low), float(high))
