"""Folds: every example is held out once a repeat, by class in proportion, and groups stay together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preceptor.catalogue.procedures import k_fold
from preceptor.data import Dataset
from preceptor.data._targets import codes
from preceptor.errors import ConfigError, DataError

__all__ = ["Fold", "folds", "manner"]


@dataclass(frozen=True, eq=False)
class Fold:
    """One fold of one repeat.

    Attributes:
        repeat: counted from 0.
        fold: counted from 0.
        parts: "train", "val" or "test" for each example; those that are held out are "test".
    """

    repeat: int
    fold: int
    parts: NDArray[np.str_]

    @property
    def held_out(self) -> int:
        """How many examples are held out."""
        return int((self.parts == "test").sum())


def folds(
    dataset: Dataset,
    *,
    count: int = 5,
    repeats: int = 1,
    groups: Any = None,
    val: float = 0.15,
    seed: int = 0,
) -> Iterator[Fold]:
    """Yield the folds of all repeats; repeat r is shuffled with seed + r.

    Within a repeat each example is held out exactly once, and each class has its share in every fold. Of a
    group all examples are on one side: in the fold, in training, or among those that decide when to stop.

    Arguments:
        dataset: what is cut.
        count: k, folds a repeat.
        repeats: how often the whole is cut anew.
        groups: a group for each example, which must not be torn apart; None: each stands for itself.
        val: share of a fold's training examples that decides when to stop; cut where there are groups.
        seed: of the first repeat.

    Raises:
        ConfigError: fewer than two folds, no repeat, or other groups than examples.
        DataError: fewer examples, or groups, than folds.

    Example:
        >>> from preceptor.data import load
        >>> held = [fold.parts == "test" for fold in folds(load("iris"), count=5)]
        >>> [int(one.sum()) for one in held], bool((np.sum(held, axis=0) == 1).all())
        ([30, 30, 30, 30, 30], True)
    """
    labels = _labels(dataset, groups, count)
    together = _checked(dataset, count, repeats, groups)
    shuffled = dataset.target_kind != "masks" or together is not None  # slices are like their neighbours
    for repeat in range(repeats):
        cut = k_fold(count, seed + repeat, shuffled)(len(dataset), labels, together)
        for fold, (train, held) in enumerate(cut):
            parts = np.full(len(dataset), "train", dtype="<U5")
            parts[held] = "test"
            if together is not None and val > 0:
                parts[_validation(train, together, val, seed + repeat)] = "val"
            yield Fold(repeat, fold, parts)


def manner(dataset: Dataset, count: int, groups: Any) -> str:
    """Return how folds are cut, in words.

    Example:
        >>> from preceptor.data import load
        >>> manner(load("iris"), 5, None), manner(load("iris"), 60, None)
        ('stratified', "not stratified: class 'setosa' has 50 examples for 60 folds")
    """
    words = ["in groups"] if groups is not None else []
    if dataset.target_kind == "masks" and groups is None:
        words.append("in blocks of neighbours")
    elif dataset.target_kind == "categories":
        name, fewest = _smallest(dataset)
        enough = fewest >= count
        words.append(
            "stratified"
            if enough
            else f"not stratified: class {name!r} has {fewest} examples for {count} folds"
        )
    else:
        words.append("shuffled")
    return ", ".join(words)


def _labels(dataset: Dataset, groups: Any, count: int) -> NDArray[Any] | None:
    if dataset.target_kind != "categories" or _smallest(dataset)[1] < count:
        return None
    return codes(dataset.targets, dataset.classes)


def _smallest(dataset: Dataset) -> tuple[str, int]:
    sizes = np.bincount(codes(dataset.targets, dataset.classes), minlength=len(dataset.classes))
    least = int(np.where(sizes > 0, sizes, sizes.max() + 1).argmin())
    return dataset.classes[least], int(sizes[least])


def _checked(dataset: Dataset, count: int, repeats: int, groups: Any) -> NDArray[Any] | None:
    for name, value, least in (("folds", count, 2), ("repeats", repeats, 1)):
        if value < least:
            raise ConfigError(
                f"{name} is not usable", expected=f"{least} or more", received=f"{name}={value}"
            )
    together = None if groups is None else np.asarray(groups)
    if together is not None and len(together) != len(dataset):
        raise ConfigError(
            "groups do not belong to these examples",
            expected=f"{len(dataset):,}, one for each",
            received=f"{len(together):,}",
        )
    there = len(dataset) if together is None else len(np.unique(together))
    if there < count:
        what = "examples" if together is None else "groups"
        raise DataError(
            f"there are fewer {what} than folds",
            expected=f"{count} or more",
            received=f"{there:,} {what}",
            hint="fewer folds",
        )
    return together


def _validation(train: NDArray[np.int64], together: NDArray[Any], val: float, seed: int) -> NDArray[np.int64]:
    """Return whole groups of the training examples, about that share of them."""
    from sklearn.model_selection import GroupShuffleSplit

    if len(np.unique(together[train])) < 2:
        return train[:0]
    cut = GroupShuffleSplit(1, test_size=val, random_state=seed)
    _, chosen = next(cut.split(train, groups=together[train]))
    rows: NDArray[np.int64] = train[chosen]
    return rows
