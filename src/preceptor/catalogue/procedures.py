"""Procedures: how settings are chosen and trainings compared: functions of settings, labels and results."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preceptor.catalogue._checks import check_count
from preceptor.catalogue._registry import registered
from preceptor.errors import ConfigError

__all__ = [
    "corrected_interval",
    "drawn",
    "grid_search",
    "hyperparameter_inventory",
    "k_fold",
    "log_uniform",
    "manual_search",
    "random_search",
    "staged_search",
    "successive_halving",
]

_KIND = "procedure"
_Point = dict[str, Any]
_Groups = (
    ("architecture", ("model.",)),
    ("iterations", ("training.epochs", "training.patience", "training.min_delta", "training.restore_best")),
    ("learning rate", ("optimizer.", "schedule.", "training.max_grad_norm")),
    ("regularisation", ("regularizers", "augmentations", "loss.")),
    ("batch size", ("training.batch_size", "training.grad_accumulation")),
)


@registered(
    kind=_KIND,
    name="manual-search",
    aliases=("s-manual", "babysitting"),
    formula="{key: (before, after)} where two settings differ; one key is one change",
    shapes="(settings before, settings after) → dict of pairs",
    when="the most common search of all: a person changes one thing, looks, and notes why",
    pitfalls="with two changes at once nobody knows which one helped; what is not written down is tried "
    "again",
    source="Bergstra and Bengio, Random Search for Hyper-Parameter Optimization, 2012",
    example="""
        >>> get('manual-search')({'lr': 0.1, 'hidden': 64}, {'lr': 0.01, 'hidden': 64})
        {'lr': (0.1, 0.01)}
        """,
)
def manual_search() -> Callable[[Mapping[str, Any], Mapping[str, Any]], dict[str, tuple[Any, Any]]]:
    """What a person changed from one training to the next."""

    def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
        pairs = {key: (before.get(key), after.get(key)) for key in dict.fromkeys([*before, *after])}
        return {key: (old, new) for key, (old, new) in pairs.items() if repr(old) != repr(new)}

    return differences


@registered(
    kind=_KIND,
    name="grid-search",
    aliases=("s-grid", "parameter-grid"),
    formula="V₁ × V₂ × … × V_d, the last one running fastest: |V₁| · |V₂| · … · |V_d| points",
    shapes="({key: values}) → list of {key: value}",
    when="one or two hyperparameters of few values each, where all combinations are wanted",
    pitfalls="each hyperparameter that does not matter multiplies the trials and shows nothing; scales of "
    "several decades need points at equal ratios, .1, .01, .001",
    source="LaValle, Branicky and Lindemann, On the Relationship between Classical Grid Search and "
    "Probabilistic Roadmaps, 2004",
    example="""
        >>> get('grid-search')({'lr': [0.1, 0.01], 'hidden': [64]})
        [{'lr': 0.1, 'hidden': 64}, {'lr': 0.01, 'hidden': 64}]
        """,
)
def grid_search() -> Callable[[Mapping[str, Sequence[Any]]], list[_Point]]:
    """Every combination of the values of all hyperparameters."""

    def points(values: Mapping[str, Sequence[Any]]) -> list[_Point]:
        return [dict(zip(values, point, strict=True)) for point in itertools.product(*values.values())]

    return points


def drawn(values: Mapping[str, Callable[[float], Any]], generator: np.random.Generator) -> _Point:
    """Return a point, each hyperparameter drawn by itself through its quantile function."""
    places = generator.random(len(values))
    return {key: at(float(place)) for (key, at), place in zip(values.items(), places, strict=True)}


@registered(
    kind=_KIND,
    name="random-search",
    aliases=("s-random", "randomized-search", "parameter-sampler"),
    formula="x_i = F_i⁻¹(u_i) with u_i uniform on [0, 1), for each hyperparameter i and each trial anew; "
    "trial k has a generator of its own, seeded with (seed, k)",
    shapes="({key: quantile function}) → list of {key: value}, as many as trials",
    when="three hyperparameters or more, or when it is not known which one matters: n trials see n values "
    "of each",
    pitfalls="the best of many values on one validation set is better than it will be again",
    source="Bergstra and Bengio, Random Search for Hyper-Parameter Optimization, 2012",
    example="""
        >>> rate = get('log-uniform', low=1e-4, high=1e-1)
        >>> points = get('random-search', trials=3)({'lr': rate, 'dropout': lambda u: 0.5 * u})
        >>> len({point['lr'] for point in points}), len({point['dropout'] for point in points})
        (3, 3)
        """,
)
def random_search(
    trials: int = 20, seed: int = 0
) -> Callable[[Mapping[str, Callable[[float], Any]]], list[_Point]]:
    """Points drawn at random, every hyperparameter by itself."""
    check_count("random-search", "trials", trials)

    def points(values: Mapping[str, Callable[[float], Any]]) -> list[_Point]:
        return [drawn(values, np.random.default_rng([seed, k])) for k in range(trials)]

    return points


@registered(
    kind=_KIND,
    name="log-uniform",
    aliases=("s-log", "loguniform", "reciprocal", "log-scale-sampling"),
    formula="F⁻¹(u) = low · (high / low)^u: as many values in each decade",
    shapes="(u, a number or array in [0, 1]) → values between low and high",
    when="learning rates, decays and strengths, whose right size is not known: 10**uniform(−6, −3)",
    pitfalls="drawn linearly, nine of ten values fall into the top decade; a bound of zero has no logarithm; "
    "bounds may stand either way round here, NumPy's own generator refuses them reversed",
    source="Bergstra and Bengio, Random Search for Hyper-Parameter Optimization, 2012",
    example=">>> [float(f'{get(\"log-uniform\", low=1e-6, high=1e-3)(u):.3g}') for u in (0, 1/3, 2/3, 1)]\n"
    "[1e-06, 1e-05, 0.0001, 0.001]",
)
def log_uniform(low: float = 1e-5, high: float = 1e-1) -> Callable[[Any], Any]:
    """Values spread evenly over the decades between two bounds."""
    least, most = sorted((low, high))
    if not (0 < least < most < math.inf):
        raise ConfigError(
            "log-uniform needs two bounds above 0",
            expected="0 < low < high < ∞",
            received=f"low={low!r}, high={high!r}",
        )
    span = math.log(most / least)
    return lambda u: least * np.exp(span * np.asarray(u)) if np.ndim(u) else least * math.exp(span * u)


@registered(
    kind=_KIND,
    name="staged-search",
    aliases=("s-stage", "coordinate-wise-search"),
    formula="all keys that are not named, then each named stage in turn; the best of a stage is kept in "
    "the next",
    shapes="(keys) → list of tuples of keys",
    when="many hyperparameters: all others first, then learning rate and batch size together, over batches "
    "of 32, 64, 128, 256, for a larger batch allows a higher rate",
    pitfalls="what depends on each other must be in one stage; an early stage is judged at the base's rate",
    source="Bengio, Practical Recommendations for Gradient-Based Training of Deep Architectures, 2012",
    example="""
        >>> get('staged-search')(['optimizer.lr', 'model.hidden', 'training.batch_size'])
        [('model.hidden',), ('optimizer.lr', 'training.batch_size')]
        """,
)
def staged_search(
    then: Sequence[Sequence[str]] = (("optimizer.lr", "training.batch_size"),),
) -> Callable[[Sequence[str]], list[tuple[str, ...]]]:
    """Some hyperparameters are tuned after the others."""

    def stages(keys: Sequence[str]) -> list[tuple[str, ...]]:
        later = [tuple(key for key in stage if key in keys) for stage in then]
        named = {key for stage in later for key in stage}
        return [stage for stage in (tuple(k for k in keys if k not in named), *later) if stage]

    return stages


@registered(
    kind=_KIND,
    name="successive-halving",
    aliases=("halving", "s-halving"),
    formula="rung i: ⌊n / ηⁱ⌋ trials up to ε / η^(s − i) epochs, i = 0 … s with s = ⌊log_η min(n, ε)⌋",
    shapes="(n trials, ε epochs of a whole training) → tuple of (epochs, trials), a rung each",
    when="many trials whose first epochs tell which of them are hopeless",
    pitfalls="what starts slowly is thrown out: low rates, warm-up, strong regularisation; a rate that was "
    "cut early looks better at a rung than it ends",
    source="Jamieson and Talwalkar, Non-stochastic Best Arm Identification and Hyperparameter "
    "Optimization, 2016",
    example=">>> get('successive-halving')(27, 81)\n((3, 27), (9, 9), (27, 3), (81, 1))",
)
def successive_halving(eta: int = 3) -> Callable[[int, int], tuple[tuple[int, int], ...]]:
    """Many trials a little, the best of them on and on."""
    if eta < 2:
        raise ConfigError(
            "eta is not usable", expected="2 or more: one in eta goes on", received=f"eta={eta!r}"
        )

    def rungs(trials: int, epochs: int) -> tuple[tuple[int, int], ...]:
        last = math.floor(math.log(max(1, min(trials, epochs)), eta) + 1e-9)
        return tuple(
            (max(1, round(epochs / eta ** (last - i))), max(1, trials // eta**i)) for i in range(last + 1)
        )

    return rungs


@registered(
    kind=_KIND,
    name="hyperparameter-inventory",
    aliases=("hp-list", "hyperparameters"),
    formula="all settings of a training under: architecture, iterations, learning rate, regularisation, "
    "batch size, others",
    shapes="(settings by dotted key) → {group: {key: value}}",
    when="before a search, and with every result: a setting that nobody wrote down cannot be repeated",
    pitfalls="defaults are hyperparameters, too",
    source="Goodfellow, Bengio and Courville, Deep Learning, 2016, section 11.4",
    example="""
        >>> get('hyperparameter-inventory')({'model.name': 'mlp', 'training.epochs': 3, 'seed': 0})
        {'architecture': {'model.name': 'mlp'}, 'iterations': {'training.epochs': 3}, 'others': {'seed': 0}}
        """,
)
def hyperparameter_inventory() -> Callable[[Mapping[str, Any]], dict[str, dict[str, Any]]]:
    """Everything that was chosen for a training, by what it is about."""

    def group(key: str) -> str:
        return next((name for name, starts in _Groups if key.startswith(starts)), "others")

    def inventory(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        order = [*(name for name, _ in _Groups), "others"]
        found = {name: {k: v for k, v in settings.items() if group(k) == name} for name in order}
        return {name: part for name, part in found.items() if part}

    return inventory


@registered(
    kind=_KIND,
    name="k-fold-cross-validation",
    aliases=("k-fold", "kfold", "cross-validation"),
    formula="the examples in k parts of sizes that differ by one at most; part j is held out while the "
    "others are trained on, j = 1 … k; by class in proportion where labels are given",
    shapes="(n examples, labels (n,) or None, groups (n,) or None) → list of (training rows, rows held out)",
    when="few examples, where one validation set says little",
    pitfalls="preparation must be fitted within each fold; folds share training examples, so their scores "
    "are not independent; what belongs together needs groups",
    source="Stone, Cross-Validatory Choice and Assessment of Statistical Predictions, 1974",
    example="""
        >>> [len(held) for _, held in get('k-fold-cross-validation', folds=3)(10)]
        [4, 3, 3]
        """,
)
def k_fold(
    folds: int = 5, seed: int = 0, shuffle: bool = True
) -> Callable[..., list[tuple[NDArray[np.int64], NDArray[np.int64]]]]:
    """Every example is held out once."""
    check_count("k-fold-cross-validation", "folds", folds)

    def cut(
        n: int, labels: Any = None, groups: Any = None
    ) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        from sklearn import model_selection as parts

        kinds = {
            (False, False): parts.KFold,
            (True, False): parts.StratifiedKFold,
            (False, True): parts.GroupKFold,
            (True, True): parts.StratifiedGroupKFold,
        }
        if not 2 <= folds <= n:
            raise ConfigError(
                "the examples cannot be cut so", expected=f"from 2 to {n} folds", received=f"folds={folds}"
            )
        options = {"shuffle": True, "random_state": seed} if shuffle else {}
        splitter = kinds[labels is not None, groups is not None](folds, **options)
        return list(splitter.split(np.arange(n), labels, groups))

    return cut


@registered(
    kind=_KIND,
    name="corrected-resampled-interval",
    aliases=("nadeau-bengio", "corrected-resampled-t-test"),
    formula="mean ± t₍J−1₎ · s · √(1/J + n₂/n₁), with J folds over all repeats, s their standard deviation, "
    "n₂ examples held out of a fold and n₁ that it trains on",
    shapes="(values (J,), n₂, n₁) → (low, high)",
    when="scores of folds or of repeated splits, whose training sets overlap",
    pitfalls="without n₂/n₁ the folds would count as independent, and the interval be far too short",
    source="Nadeau and Bengio, Inference for the Generalization Error, 2003",
    example="""
        >>> low, high = get('corrected-resampled-interval')([0.90, 0.92, 0.94, 0.91, 0.93], 20, 80)
        >>> round(low, 3), round(high, 3)
        (0.891, 0.949)
        """,
)
def corrected_interval(level: float = 0.95) -> Callable[[Sequence[float], float, float], tuple[float, float]]:
    """The interval of a mean over folds, whose training sets overlap."""

    def interval(values: Sequence[float], held_out: float, trained_on: float) -> tuple[float, float]:
        from scipy.stats import t

        if trained_on <= 0:
            raise ConfigError(
                "the folds have no training examples", expected="more than none", received=str(trained_on)
            )
        count = len(values)
        if count < 2 or not all(map(math.isfinite, values)):
            return -math.inf, math.inf
        spread = float(np.std(values, ddof=1)) * math.sqrt(1 / count + held_out / trained_on)
        mean, half = float(np.mean(values)), float(t.ppf((1 + level) / 2, count - 1)) * spread
        return mean - half, mean + half

    return interval
