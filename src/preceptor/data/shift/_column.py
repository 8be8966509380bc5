"""What happened to one column of numbers, as what would undo it; whether it does is measured."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from preceptor.data._two_samples import quantile_distance

__all__ = ["cause_of_column", "filled_in"]

_ROUND = (10.0, 100.0, 1000.0, 1e6, 255.0, 60.0, 3600.0, 24.0, 12.0, 7.0, 365.25)
_UNITS = {
    2.54: "inches to centimetres",
    25.4: "inches to millimetres",
    0.3048: "feet to metres",
    10.7639: "square metres to square feet",
    1.609344: "miles to kilometres",
    0.45359237: "pounds to kilograms",
    28.349523: "ounces to grams",
    3.785411784: "gallons to litres",
    4.184: "calories to joules",
    math.pi / 180: "degrees to radians",
    18.0182: "mmol/l to mg/dl of glucose",
}
_TURNED = {value: " to ".join(reversed(name.split(" to "))) for value, name in _UNITS.items()}
_HALVED = 0.5  # of the distance that must be gone
_CHANCE = 1.95  # × √(1/n + 1/m): the distance that one in a thousand pairs of samples of one kind has
_SAID = 3  # causes that explain it alike
_CODE = 0.05  # of the values that are one number, which training had nowhere near

Column = NDArray[np.float64]


def cause_of_column(
    kept: Column, n: int, mean: float, deviation: float, present: Column, before: float
) -> str:
    """Return what would explain how a column differs from training's; "" where nothing does.

    Tried are plain factors, changes of unit, a sign and what standardises; the one that leaves least is
    named if what it leaves is not beyond chance at 0.1 %. A shift by a constant and a factor of any size are
    fitted, so that they leave less by nature: they are named where none of those explains it as well. Where
    few values leave it open which of several it was, all are named.

    Arguments:
        kept: quantiles of training's values.
        n: how many these stand for.
        mean: of training's values.
        deviation: of training's values.
        present: the values now.
        before: the distance of their distributions.

    Example:
        >>> x = np.random.default_rng(0).normal(50, 9, 400)
        >>> kept = np.quantile(x, np.linspace(0, 1, 65))
        >>> cause_of_column(kept, 400, 50.0, 9.0, x[:90] * 100, 1.0)
        'multiplied by 100'
        >>> cause_of_column(kept, 400, 50.0, 9.0, x * 1.8 + 32, 1.0)
        'multiplied by 1.8 and 32 added, as degrees Celsius to Fahrenheit'
    """
    unit = math.sqrt(1 / n + 1 / len(present))
    limit = min(_HALVED * before, _CHANCE * unit)
    named, fitted = (
        sorted((quantile_distance(kept, n, undone)[0] + handicap, text) for text, undone, handicap in tried)
        for tried in (_named(mean, deviation, present), _fitted(deviation, kept, present))
    )
    best = fitted[0][0] if fitted else math.inf
    alike = min(limit, best + unit, named[0][0] + unit / 2)
    said = [text for left, text in named if left <= alike][:_SAID]
    if not said and best <= limit:
        return fitted[0][1]
    return ", or ".join(said)


def _named(mean: float, deviation: float, present: Column) -> Iterator[tuple[str, Column, float]]:
    """Yield what may have been done, the values with that undone, and by how much it must be better."""
    for factor in _ROUND:
        yield f"multiplied by {factor:g}", present / factor, 0.0
        yield f"divided by {factor:g}", present * factor, 0.0
    for factor, name in _UNITS.items():
        yield f"multiplied by {factor:.4g}, as {name}", present / factor, 0.01
        yield f"divided by {factor:.4g}, as {_TURNED[factor]}", present * factor, 0.01
    yield "multiplied by 1.8 and 32 added, as degrees Celsius to Fahrenheit", (present - 32) / 1.8, 0.01
    yield "as degrees Fahrenheit to Celsius", present * 1.8 + 32, 0.01
    yield "273.15 added, as degrees Celsius to kelvin", present - 273.15, 0.01
    yield "273.15 taken away, as kelvin to degrees Celsius", present + 273.15, 0.01
    yield "with the other sign", -present, 0.0
    if deviation > 0:
        yield "standardised already", present * deviation + mean, 0.0
        if (present > 0).all():
            yield "exp of what it was", np.log(present), 0.01
        if present.max() < 700:
            yield "the logarithm of what it was", np.exp(present), 0.01


def _fitted(deviation: float, kept: Column, present: Column) -> Iterator[tuple[str, Column, float]]:
    """Yield a shift and a factor that bring middle or spread to training's."""
    shift = float(np.median(present) - kept[len(kept) // 2])
    if deviation > 0:
        yield f"shifted by {shift:+.4g} ({shift / deviation:+.2g} deviations)", present - shift, 0.0
    spread = float(np.subtract(*np.quantile(present, [0.75, 0.25])))
    known = float(kept[3 * (len(kept) - 1) // 4] - kept[(len(kept) - 1) // 4])
    if spread > 0 and known > 0:
        factor = spread / known
        yield f"{factor:.3g} times training's", present / factor, 0.0


def filled_in(kept: Column, present: Column) -> tuple[float, float] | None:
    """Return a number that stands for many values and lies beyond training's, and its share: a code.

    Example:
        >>> filled_in(np.linspace(0, 9, 65), np.array([1.0, 2, 3, -999, -999]))
        (-999.0, 0.4)
    """
    values, counts = np.unique(present, return_counts=True)
    at = int(counts.argmax())
    value, share = float(values[at]), float(counts[at] / len(present))
    beyond = not kept[0] <= value <= kept[-1]
    return (value, share) if beyond and counts[at] > 1 and _CODE <= share < 1 else None
