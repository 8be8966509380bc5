"""Whether inputs and targets have to do with each other, from a few hundred pairs of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Specimens", "directions", "distance_correlation", "neighbours", "relation"]

_Array = NDArray[np.floating[Any]]
_MOST = 256
_AT = (16, 32, 64, 128, 256)
_FEWEST = 8


class Specimens:
    """At most 256 pairs of an input row and what it is to give, each input once; they are not stored on disk.

    Example:
        >>> specimens = Specimens()
        >>> rows, aims = np.array([[0.0, 1.0], [2.0, 0.5], [0.0, 1.0]]), np.array([[1.0], [0.0], [1.0]])
        >>> specimens.add([7, 8, 7], rows, aims, labels=True)
        >>> specimens.count
        2
    """

    def __init__(self) -> None:
        self.inputs: _Array = np.empty((0, 0), np.float32)
        self.targets: _Array = np.empty((0, 0), np.float32)
        self.labels = True
        self._known: set[int] = set()
        self._told = 0

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._known)

    @property
    def full(self) -> bool:
        """Whether no more are wanted."""
        return len(self._known) >= _MOST

    def add(self, keys: list[int], inputs: _Array, targets: _Array, labels: bool) -> None:
        """Take in rows of both; ``labels``: the targets are classes, whose numbers have no order.

        Rows of another length than the first ones' are left out.
        """
        if not self._known:
            self.inputs = np.empty((_MOST, inputs.shape[1]), np.float32)
            self.targets = np.empty((_MOST, targets.shape[1]), np.float32)
        if inputs.shape[1:] != self.inputs.shape[1:] or targets.shape[1:] != self.targets.shape[1:]:
            return
        self.labels = self.labels and labels
        for place, key in enumerate(keys[: min(len(inputs), len(targets))]):
            if key not in self._known and not self.full:
                self.inputs[self.count], self.targets[self.count] = inputs[place], targets[place]
                self._known.add(key)

    def tell(self) -> dict[str, Any] | None:
        """Return the relation where many more pairs have come since it was last worked out."""
        reached = sum(self.count >= n for n in _AT)
        if reached <= self._told:
            return None
        self._told = reached
        return relation(self.inputs[: self.count], self.targets[: self.count], labels=self.labels)


def relation(x: _Array, y: _Array, *, labels: bool) -> dict[str, Any]:
    """Measure how far rows of ``x`` and ``y`` (samples × columns) depend on each other.

    Columns are standardised, constant ones and rows that are not finite left out. ``correlation``: see
    `distance_correlation`. ``near`` = mean over samples of d(yᵢ, yⱼ), j = the sample whose x is nearest to
    xᵢ; ``apart`` = the mean of d over all pairs; ``spread`` = √(2/n) times the deviation of d, at most the
    standard deviation of ``near`` where neighbours are strangers (two may be each other's nearest); d = 1
    where classes differ, else the squared distance. ``directions``: see `directions`. ``distinct``: how many
    values each column of ``x`` has.
    """
    good = np.isfinite(x).all(1) & np.isfinite(y).all(1)
    found: dict[str, Any] = {"rows": int(good.sum()), "columns": x.shape[1], "labels": labels}
    if found["rows"] < _FEWEST:
        return found
    x, y = _standard(x[good]), y[good] if labels else _standard(y[good])
    if x.shape[1] == 0 or y.shape[1] == 0 or (y == y[0]).all():
        return found
    far, aims = _distances(x), _distances(y)
    aims = (aims > 0).astype(x.dtype) if labels else aims
    found["correlation"] = distance_correlation(np.sqrt(far), np.sqrt(aims))
    found["near"], found["apart"], found["spread"] = neighbours(far, aims)
    found["directions"] = directions(x)
    found["distinct"] = [int(n) for n in (np.diff(np.sort(x, 0), axis=0) > 0).sum(0) + 1]
    return found


def distance_correlation(a: _Array, b: _Array) -> float:
    """Return the bias-corrected squared distance correlation of two n × n matrices of distances.

    R = ⟨A, B⟩ / √(⟨A, A⟩ ⟨B, B⟩); A, B = the distances, U-centred. Its mean is 0 for independent
    samples; n R + 1 is then at most as large as a χ² variable of one degree of freedom
    (Székely & Rizzo 2014; Shen, Panda & Vogelstein 2022).

    Example:
        >>> x = np.arange(20.0)
        >>> a = abs(x[:, None] - x[None])
        >>> round(distance_correlation(a, a), 6)
        1.0
    """
    a, b = _centred(a), _centred(b)
    within = float((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / np.sqrt(within)) if within > 0 else 0.0


def directions(x: _Array) -> float:
    """Return in how many directions standardised rows vary: (Σ λ)² / Σ λ², λ = eigenvalues of xᵀx / n.

    From 1, where all columns go together, to the number of columns, where none do.
    """
    matrix = (x.T @ x if x.shape[1] <= x.shape[0] else x @ x.T) / len(x)
    return float(np.trace(matrix) ** 2 / (matrix * matrix).sum())


def neighbours(far: _Array, aims: _Array) -> tuple[float, float, float]:
    """Return the mean distance of nearest neighbours' targets, of all pairs, and its deviation by chance."""
    n = len(far)
    off = far.copy()
    np.fill_diagonal(off, np.inf)
    near = aims[np.arange(n), off.argmin(1)].mean()
    pairs = n * (n - 1)
    mean = aims.sum() / pairs
    variance = max(0.0, (aims * aims).sum() / pairs - mean * mean)
    return float(near), float(mean), float(np.sqrt(2 * variance / n))


def _standard(x: _Array) -> _Array:
    with np.errstate(over="ignore", invalid="ignore"):
        spread = x.std(0)
        moving = np.isfinite(spread) & (spread > 0)
        standard: _Array = (x[:, moving] - x[:, moving].mean(0)) / spread[moving]
    return standard


def _distances(x: _Array) -> _Array:
    squares = (x * x).sum(1)
    distances: _Array = squares[:, None] + squares[None] - 2 * (x @ x.T)
    np.maximum(distances, 0, out=distances)
    np.fill_diagonal(distances, 0)
    return distances


def _centred(d: _Array) -> _Array:
    n = len(d)
    rows = d.sum(0) / (n - 2)
    centred: _Array = d - rows[:, None] - rows[None] + d.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(centred, 0)
    return centred
