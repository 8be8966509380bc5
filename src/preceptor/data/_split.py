"""Splits into training, validation and test rows, with a fingerprint."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from preceptor.data._dataset import Array, Dataset
from preceptor.data._targets import class_name, codes
from preceptor.errors import ConfigError, DataError

__all__ = ["Split", "split"]

_ORDERS = ("auto", "random", "blocks")


@dataclass(frozen=True, eq=False)
class Split:
    """Which rows are for what.

    Attributes:
        train: row indices, int64.
        val: row indices; empty where there is no such part.
        test: row indices; empty where there is no such part.
        stratified: whether every class has its share in every part that was cut.
        seed: what the cut was drawn with.
        fingerprint: SHA-256 over the data set's fingerprint and the rows of each part.
        text: ``"1,257/270/270 (stratified, seed 0)"``.
    """

    train: Array
    val: Array
    test: Array
    stratified: bool
    seed: int
    fingerprint: str
    text: str


def split(
    dataset: Dataset, *, val: float = 0.15, test: float = 0.15, seed: int = 0, order: str = "auto"
) -> Split:
    """Cut validation and test rows from a data set, class by class in proportion where that is possible.

    Each class has n_k·n_cut/n rows in the cut, rounded up or down, so its count is off by less than one.
    Where a class is too small for that, the cut is plain, and the text says why. A part that the source
    itself fixes stays as it is; only what it lacks is cut, as a fraction of its training rows.

    In blocks, the first rows are for training, the next for validation, the last for the test: neighbours
    that are alike, as the slices of a volume or the frames of a film, do not come to lie in two parts.

    Arguments:
        dataset: what to split.
        val: fraction for validation, 0 ≤ val < 1; 0 gives an empty part.
        test: fraction for the test, 0 ≤ test < 1.
        seed: the same seed gives the same split.
        order: ``"random"``, ``"blocks"``, or ``"auto"``: blocks for images with masks, else random.

    Raises:
        ConfigError: fractions outside [0, 1), or that leave nothing; a seed outside 0 … 2³²−1; another order.
        DataError: a part would be empty.

    Example:
        >>> from preceptor.data import load
        >>> split(load("digits")).text
        '1,257/270/270 (stratified, seed 0)'
    """
    _check(val, test, seed)
    if order not in _ORDERS:
        raise ConfigError("order is not usable", expected=", ".join(_ORDERS), received=repr(order))
    blocks = order == "blocks" or (order == "auto" and dataset.target_kind == "masks")
    parts = dataset.part if dataset.part is not None else np.full(len(dataset), "train")
    fixed = {name: np.flatnonzero(parts == name) for name in ("val", "test") if (parts == name).any()}
    pool = np.flatnonzero(parts == "train")
    counts = {
        name: _count(name, fraction, len(pool))
        for name, fraction in (("test", test), ("val", val))
        if fraction > 0 and name not in fixed
    }
    if sum(counts.values()) >= len(pool):
        raise DataError(
            "the training part is empty",
            expected="rows left to train on",
            received=f"{len(pool):,} rows, of which {sum(counts.values()):,} are for validation and test",
            hint="smaller fractions",
        )
    labels = None
    if dataset.target_kind == "categories" and not blocks:
        labels = codes(dataset.targets, dataset.classes)
    cut, why_plain = _cut_all(pool, counts, labels, dataset.classes, None if blocks else seed)
    rows = {"val": np.empty(0, np.int64), "test": np.empty(0, np.int64), **fixed, **cut}
    if dataset.target_kind == "anomalies" and dataset.classes:
        rows = _usual_to_learn_from(rows, np.isin([class_name(y) for y in dataset.targets], dataset.classes))
    stratified = labels is not None and bool(counts) and why_plain is None
    manner = [f"{' and '.join(fixed)} as given"] if fixed else []
    if counts:
        drawn = ["stratified" if stratified else why_plain or "random", f"seed {seed}"]
        manner += ["in blocks"] if blocks else drawn
    sizes = "/".join(f"{len(rows[name]):,}" for name in ("train", "val", "test"))
    return Split(
        train=rows["train"],
        val=rows["val"],
        test=rows["test"],
        stratified=stratified,
        seed=seed,
        fingerprint=_fingerprint(dataset, rows),
        text=f"{sizes} ({', '.join(manner)})" if manner else sizes,
    )


def _check(val: float, test: float, seed: int) -> None:
    for name, fraction in (("val", val), ("test", test)):
        if not 0 <= fraction < 1:
            raise ConfigError(
                f"{name} is not usable", expected="a fraction, 0 ≤ fraction < 1", received=f"{fraction!r}"
            )
    if val + test >= 1:
        raise ConfigError(
            "nothing is left to train on", expected="val + test < 1", received=f"val={val!r}, test={test!r}"
        )
    if not 0 <= seed < 2**32:
        raise ConfigError("seed is not usable", expected="an integer, 0 ≤ seed < 2³²", received=repr(seed))


def _count(name: str, fraction: float, rows: int) -> int:
    count = int(fraction * rows + 0.5)
    if count == 0:
        raise DataError(
            f"the {name} part would be empty",
            expected=f"{name} ≥ {0.5 / rows:.2g} for {rows:,} rows"
            if rows
            else "training rows to cut it from",
            received=f"{name}={fraction!r}",
            hint=f"a larger fraction, or {name}=0 for no such part",
        )
    return count


def _cut_all(
    pool: Array, counts: dict[str, int], labels: Array | None, classes: tuple[str, ...], seed: int | None
) -> tuple[dict[str, Array], str | None]:
    """Return each part's rows, and why the cut is not stratified; None where it is, or has no classes.

    Without a seed the rows stay in their order, and the last ones are for the test.
    """
    if seed is None:
        ends = np.cumsum([len(pool) - sum(counts.values()), counts.get("val", 0)])
        blocks = dict(zip(("train", "val", "test"), np.split(pool, ends), strict=True))
        return {name: rows for name, rows in blocks.items() if name == "train" or name in counts}, None
    from sklearn.model_selection import train_test_split

    why = None
    for by in (labels, None):
        rows: dict[str, Array] = {}
        rest = pool
        for name, count in counts.items():
            obstacle = _obstacle(by[rest], count, classes) if by is not None else None
            if obstacle:
                why = f"not stratified: {obstacle}"
                break
            rest, rows[name] = train_test_split(
                rest, test_size=count, random_state=seed, stratify=by[rest] if by is not None else None
            )
        else:
            rows["train"] = rest
            break
    return rows, why


def _usual_to_learn_from(rows: dict[str, Array], unusual: Array) -> dict[str, Array]:
    """Return the rows, the unusual ones of training moved into validation and test in proportion."""
    moved = rows["train"][unusual[rows["train"]]]
    held = {name: len(rows[name]) for name in ("val", "test")}
    for_val = round(len(moved) * held["val"] / max(sum(held.values()), 1))
    return {
        "train": rows["train"][~unusual[rows["train"]]],
        "val": np.concatenate([rows["val"], moved[:for_val]]) if held["val"] else rows["val"],
        "test": np.concatenate([rows["test"], moved[for_val:]]) if held["test"] else rows["test"],
    }


def _obstacle(labels: Array, count: int, classes: tuple[str, ...]) -> str | None:
    """Say why a stratified cut of ``count`` rows is impossible; None where it is possible."""
    present, sizes = np.unique(labels, return_counts=True)
    if sizes.min() < 2:
        return f"class {classes[present[sizes.argmin()]]!r} is too small"
    if min(count, len(labels) - count) < len(present):
        return f"{min(count, len(labels) - count)} rows for {len(present)} classes"
    return None


def _fingerprint(dataset: Dataset, rows: dict[str, Array]) -> str:
    digest = hashlib.sha256(dataset.fingerprint.encode())
    for name in ("train", "val", "test"):
        digest.update(f"{name}{len(rows[name])}".encode())
        digest.update(rows[name].astype("<i8").tobytes())
    return digest.hexdigest()
