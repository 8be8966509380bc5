"""Known causes of a shift, each as what would undo it; whether it does is measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from preceptor.data._dataset import Array

if TYPE_CHECKING:
    from preceptor.data.shift._reference import Reference

__all__ = ["Cause", "causes_of", "spelled_otherwise"]

_FACTORS = (255.0, 256.0, 10.0, 100.0, 1000.0, 16.0, 1e6)
_MOST_ROWS = 2000  # examples on which causes are tried
_MOST_COLUMNS = 256  # whose order is found out


@dataclass(frozen=True)
class Cause:
    """What may have been done to the inputs.

    Attributes:
        text: in a word.
        before: the mean distance to training of what is followed.
        after: the same, once it is undone.
    """

    text: str
    before: float
    after: float

    def __str__(self) -> str:
        return f"{self.text}: undone, the distance falls from {self.before:.2f} to {self.after:.2f}"


def causes_of(reference: Reference, raw: Array, names: tuple[str, ...] = ()) -> Iterator[tuple[str, Array]]:
    """Yield what may have been done to inputs, and the inputs with that undone."""
    x = raw.astype(np.float64)
    for factor in _FACTORS:
        yield f"divided by {factor:g}", x * factor
        yield f"multiplied by {factor:g}", x / factor
    if reference.kind == "table":
        yield "standardised already, which the network does itself", x * reference.deviation + reference.mean
    if reference.kind in ("images", "vectors") and reference.pixels.shape[1] == x.shape[1]:
        mean, deviation = (row.reshape(1, -1, *[1] * (x.ndim - 2)) for row in reference.pixels)
        yield "standardised already, which the network does itself", x * deviation + mean
    for top in (1.0, 255.0) if reference.kind != "table" else ():
        yield f"brought to −1 … 1 instead of 0 … {top:g}", (x + 1) * (top / 2)
        yield f"inverted: {top:g} − x", top - x
    if reference.kind == "images" and x.ndim == 4:
        yield from _turned(x)
    if reference.kind in ("vectors", "table") and 1 < x.shape[1] <= _MOST_COLUMNS and len(x) > 1:
        yield from _columns(reference, x)


def _turned(x: Array) -> Iterator[tuple[str, Array]]:
    if x.shape[1] >= 3:
        swapped = x.copy()
        swapped[:, :3] = x[:, 2::-1]
        yield "channels swapped, BGR for RGB", swapped
    yield "upside down", x[:, :, ::-1]
    yield "mirrored", x[:, :, :, ::-1]
    yield "turned by 180°", x[:, :, ::-1, ::-1]
    if x.shape[2] == x.shape[3]:
        yield "rows and columns exchanged", x.transpose(0, 1, 3, 2)
        yield "turned by 90° clockwise", np.rot90(x, 1, axes=(2, 3))
        yield "turned by 90° anticlockwise", np.rot90(x, -1, axes=(2, 3))


def _columns(reference: Reference, x: Array) -> Iterator[tuple[str, Array]]:
    """Yield the columns in the order that suits training best, and each alone on training's scale."""
    from scipy.optimize import linear_sum_assignment

    levels = np.linspace(0, 1, reference.quantiles.shape[1])
    whole = not np.isnan(x).all(axis=0).any()
    own = np.nanquantile(x, levels, axis=0).T if whole else np.empty((0, len(levels)))
    if len(own) == len(reference.quantiles):
        unit = np.maximum(reference.deviation[:, None], 1e-12)
        cost = np.abs(reference.quantiles[:, None] / unit[:, :, None] - own[None] / unit[:, :, None]).mean(
            axis=2
        )
        _, order = linear_sum_assignment(cost)
        if (order != np.arange(len(order))).any():
            moved = [reference.names[i] for i in np.flatnonzero(order != np.arange(len(order)))]
            yield (
                "columns in another order: " + ", ".join(moved[:4]) + (", …" if len(moved) > 4 else ""),
                x[:, order],
            )
    if not whole or reference.kind == "table":  # of whose columns each has a cause of its own
        return
    middle, spread = np.nanmean(x, axis=0), np.nanstd(x, axis=0)
    far = np.abs(middle - reference.mean) / np.maximum(reference.deviation, 1e-12)
    j = int(far.argmax())
    for there, here in (
        (float(reference.deviation[j]), float(spread[j])),
        (float(reference.mean[j]), float(middle[j])),  # surer where values lie far from 0
    ):
        if there * here > 0:
            single = x.copy()
            single[:, j] = x[:, j] * (there / here)
            yield f"{reference.names[j]} in another unit, {here / there:.3g} times training's", single


def spelled_otherwise(values: set[str], known: set[str]) -> tuple[str, str] | None:
    """Return a value that training did not have, and the one there that differs in case and spaces alone.

    Example:
        >>> spelled_otherwise({"Gas"}, {"gas", "oil"})
        ('Gas', 'gas')
    """
    plain = {"".join(value.casefold().split()): value for value in known}
    for value in sorted(values - known):
        close = plain.get("".join(value.casefold().split()))
        if close:
            return value, close
    return None
