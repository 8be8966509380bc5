"""Runs side by side: which settings differ, what came of it, and whether that is more than noise."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from preceptor.training import RunFolder

__all__ = ["Comparison", "Difference", "Group", "compare", "difference"]

_MACHINE = frozenset({"name", "training.device", "training.checkpoint_seconds", "training.checkpoint_steps"})
_SEED = "seed"
_LEVEL = 0.95
_ABSENT = "–"


@dataclass(frozen=True)
class Group:
    """Runs that differ in nothing but their seed.

    Attributes:
        name: the first run's.
        seeds: one a run.
        metrics: history key → one value a run, of those that all of them have.
    """

    name: str
    seeds: tuple[int, ...]
    metrics: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class Difference:
    """How far one group's mean lies from the first group's.

    Attributes:
        metric: of what.
        group: of whom.
        mean: the difference of the means.
        low, high: its 95 % interval.
        pairs: how many seeds both have, where they are the same and so make pairs; else 0.
    """

    metric: str
    group: str
    mean: float
    low: float
    high: float
    pairs: int

    @property
    def noise(self) -> bool:
        """Whether a difference of nothing lies within the interval."""
        return self.low <= 0 <= self.high

    def __str__(self) -> str:
        by = f"{self.pairs} pairs of seeds" if self.pairs else "seeds of each"
        verdict = "within the noise of seeds" if self.noise else "more than the noise of seeds"
        return (
            f"{self.group}: {self.metric} {self.mean:+.4f} (95 % interval {self.low:+.4f} to "
            f"{self.high:+.4f}, {by}): {verdict}"
        )


@dataclass(frozen=True)
class Comparison:
    """The settings in which runs differ, and their results at the best epoch.

    Attributes:
        runs: the runs' names.
        settings: dotted key → one value a run, where they differ.
        metrics: history key → one value a run, at each run's own best epoch.
        notes: what makes the comparison weaker than it looks.
        groups: the runs by their settings, seeds aside.
        differences: of every further group from the first, where both have several seeds.
    """

    runs: list[str]
    settings: dict[str, tuple[Any, ...]]
    metrics: dict[str, tuple[Any, ...]]
    notes: list[str]
    groups: list[Group] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)


def compare(folders: Sequence[RunFolder]) -> Comparison:
    """Compare runs by their folders."""
    flats = [folder.experiment.flat() for folder in folders]
    keys = list(dict.fromkeys(key for flat in flats for key in flat))
    values = {key: tuple(flat.get(key, _ABSENT) for flat in flats) for key in keys if key not in _MACHINE}
    settings = {key: given for key, given in values.items() if len(set(map(repr, given))) > 1}
    bests = [_best(folder) for folder in folders]
    names = list(dict.fromkeys(key for best in bests for key in best if key not in ("seconds", "lr")))
    metrics = {name: tuple(best.get(name) for best in bests) for name in names}
    tests = [_last_test(folder) for folder in folders]
    for name in dict.fromkeys(key for test in tests for key in test):
        metrics[f"test_{name}"] = tuple(test.get(name) for test in tests)
    groups = _groups(folders, settings, flats, bests)
    return Comparison(
        [str(f.path) for f in folders],
        settings,
        metrics,
        list(_notes(folders, settings, groups)),
        groups,
        [found for group in groups[1:] for found in _differences(groups[0], group)],
    )


def _best(folder: RunFolder) -> dict[str, Any]:
    epoch = folder.manifest.get("best_epoch")
    return {} if epoch is None else folder.history[epoch - 1]


def _last_test(folder: RunFolder) -> dict[str, Any]:
    ledger = folder.manifest["ledger"]
    return {**ledger[-1]["metrics"], "looks": len(ledger)} if ledger else {}


def _groups(
    folders: Sequence[RunFolder],
    settings: Mapping[str, tuple[Any, ...]],
    flats: Sequence[Mapping[str, Any]],
    bests: Sequence[Mapping[str, Any]],
) -> list[Group]:
    """Put runs together that differ in nothing but their seed, and saw the same examples."""
    members: dict[tuple[str, ...], list[int]] = {}
    for i, folder in enumerate(folders):
        key = [repr(given[i]) for name, given in settings.items() if name != _SEED]
        members.setdefault((*key, _split(folder)), []).append(i)
    return [
        Group(
            str(folders[rows[0]].path),
            tuple(int(flats[i][_SEED]) for i in rows),
            {
                name: tuple(float(bests[i][name]) for i in rows)
                for name in bests[rows[0]]
                if name.startswith("val_") and all(_is_number(bests[i].get(name)) for i in rows)
            },
        )
        for rows in members.values()
    ]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _split(folder: RunFolder) -> str:
    return str((folder.manifest.get("data") or {}).get("split"))


def _differences(first: Group, other: Group) -> Iterable[Difference]:
    for metric, values in first.metrics.items():
        found = difference(dict(zip(first.seeds, values, strict=True)), _by_seed(other, metric))
        if found is not None:
            yield Difference(metric, f"{other.name} beside {first.name}", *found)


def _by_seed(group: Group, metric: str) -> dict[int, float]:
    return dict(zip(group.seeds, group.metrics.get(metric, ()), strict=False))


def difference(a: Mapping[int, float], b: Mapping[int, float]) -> tuple[float, float, float, int] | None:
    """Return how far b's mean lies above a's, the ends of its 95 % interval, and the number of pairs.

    Where both have the same seeds, by Student's t of the paired differences; else by Welch's t with
    s² = s_a²/n_a + s_b²/n_b. None with fewer than two seeds of each, or where no value varies: a measure that
    moves in steps as wide as one of few examples says nothing of noise.

    Arguments:
        a: seed → value.
        b: the same of the other.

    Source:
        Welch, The Generalization of "Student's" Problem, 1947.

    Example:
        >>> mean, low, high, pairs = difference({0: 0.90, 1: 0.92, 2: 0.91}, {0: 0.93, 1: 0.94, 2: 0.95})
        >>> f"{mean:.3f} ({low:.3f} to {high:.3f}), {pairs}"
        '0.030 (0.005 to 0.055), 3'
    """
    from scipy.stats import t

    if min(len(a), len(b)) < 2:
        return None
    if set(a) == set(b):
        gaps = [b[seed] - a[seed] for seed in a]
        mean, error, free, pairs = (
            statistics.fmean(gaps),
            statistics.stdev(gaps) / math.sqrt(len(gaps)),
            len(gaps) - 1.0,
            len(gaps),
        )
    else:
        parts = [statistics.variance(group.values()) / len(group) for group in (a, b)]
        mean, error, pairs = (
            statistics.fmean(b.values()) - statistics.fmean(a.values()),
            math.sqrt(sum(parts)),
            0,
        )
        weight = sum(part**2 / (len(group) - 1) for part, group in zip(parts, (a, b), strict=True))
        free = sum(parts) ** 2 / weight if weight else 1.0
    if error == 0:
        return None
    half = float(t.ppf((1 + _LEVEL) / 2, free)) * error
    return mean, mean - half, mean + half, pairs


def _notes(
    folders: Sequence[RunFolder], settings: Mapping[str, Any], groups: Sequence[Group]
) -> Iterable[str]:
    if len({_split(folder) for folder in folders}) > 1:
        yield "the runs did not see the same examples in the same split: their figures do not compare"
    if "augmentations" in settings:
        yield "the runs were augmented differently: nets compare only under the same augmentation"
    if len({str(folder.manifest.get("versions", {}).get("torch")) for folder in folders}) > 1:
        yield "the runs were made with different versions of torch"
    changes = _changes(settings)
    if changes and len(groups) > 1 and any(len(group.seeds) == 1 for group in groups):
        yield (
            "one seed of a run: whether a difference is more than the noise of seeds cannot be told; train "
            "each with --seed 1, 2, … and compare all of them"
        )
    if len(changes) > 1:
        yield f"{len(changes)} settings differ: which one made the difference cannot be told"


def _changes(settings: Mapping[str, tuple[Any, ...]]) -> list[str]:
    """Return what differs, a block of another name with its options as one change, the seed not counted."""
    renamed = tuple(f"{key.removesuffix('.name')}." for key in settings if key.endswith(".name"))
    return [
        key
        for key in settings
        if key != _SEED and (key.endswith(".name") or not key.startswith(renamed or ("\0",)))
    ]
