"""What the trials say of the space: where it is too narrow, where to look closer, what to do otherwise."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from preceptor.search.importance import Importances
from preceptor.search.journal import Trial, ranking
from preceptor.search.space import Dimension, Space

__all__ = ["advice", "finer"]

_BORDER = 0.1  # of a range, at each end
_IMPORTANT, _DOMINANT = 0.1, 0.6
_TOP = 0.2  # of the trials
_FEWEST = 8
_MARGIN = 0.25  # of the width of what is best, on each side


def advice(
    space: Space, trials: Sequence[Trial], mode: str, importances: Importances | None, *, grid: bool = False
) -> list[str]:
    """Return what is worth doing after a search, a sentence each.

    Example:
        >>> from preceptor.search.journal import Result
        >>> space = Space.parse(["lr=log:1e-4..1e-2"])
        >>> rates = [1e-4 * 10 ** (i / 4) for i in range(9)]
        >>> tried = [Trial(i, "", {"optimizer.lr": lr}, results=[Result(-lr)]) for i, lr in enumerate(rates)]
        >>> print(*advice(space, tried, "min", None))
        the best optimizer.lr, 0.01, lies at the upper end of log:0.0001..0.01: look beyond it
    """
    best = ranking(trials, mode)
    said = list(space.advice())
    if best:
        said += _borders(space, best[0], importances)
        said += _fewer_values(space, trials, importances) if grid else ()
        said += dict.fromkeys(
            f"trial {t.number}: {note}" for t in trials if t.result for note in t.result.notes
        )
    return said


def _borders(space: Space, best: Trial, importances: Importances | None) -> Iterator[str]:
    for dimension in space:
        known = importances.of(dimension.key) if importances and importances.known else None
        matters = known is None or known.share >= _IMPORTANT
        end = _end(dimension, best) if dimension.ordered and matters else ""
        if end:
            value = best.settings[dimension.key]
            yield (
                f"the best {dimension.key}, {_short(value)}, lies at the {end} end of {dimension.text}: "
                "look beyond it"
            )


def _end(dimension: Dimension, best: Trial) -> str:
    value = best.settings[dimension.key]
    if dimension.values:
        return {min(dimension.values): "lower", max(dimension.values): "upper"}.get(value, "")
    place = dimension.place(value)
    return "lower" if place < _BORDER else "upper" if place > 1 - _BORDER else ""


def _fewer_values(space: Space, trials: Sequence[Trial], importances: Importances | None) -> Iterator[str]:
    """Say what a grid has left untried of the one hyperparameter that matters."""
    first = importances.single[0] if importances and importances.known else None
    if first is None or first.share < _DOMINANT or len(space) < 2:
        return
    tried = len({repr(trial.settings.get(first.keys[0])) for trial in trials})
    if tried < len(trials):
        yield (
            f"{first.keys[0]} makes {first.share:.0%} of the difference, and the grid has tried {tried} "
            f"values of it in {len(trials)} trials: --method random would have tried {len(trials)}"
        )


def finer(space: Space, trials: Sequence[Trial], mode: str) -> Space | None:
    """Return the part of a space around its best fifth of the trials; None where that is not clearly smaller.

    Ranges go from the least to the greatest value of the best, and a quarter of that further on both sides;
    lists keep the values that the best have.

    Example:
        >>> from preceptor.search.journal import Result
        >>> space = Space.parse(["lr=log:1e-5..1e-1"])
        >>> tried = [Trial(i, "", {"optimizer.lr": 1e-5 * 10 ** (i / 5)}, results=[Result(abs(i - 10))])
        ...          for i in range(20)]
        >>> finer(space, tried, "min").to_plain()
        {'optimizer.lr': 'log:0.00028..0.0022'}
    """
    ranked = [t for t in ranking(trials, mode) if t.repeats is None and set(space.keys) <= set(t.settings)]
    if len(ranked) < _FEWEST:
        return None
    best = ranked[: max(3, math.ceil(_TOP * len(ranked)))]
    made = [_narrowed(dimension, best) for dimension in space]
    smaller = math.prod(_width(new, old) for new, old in zip(made, space, strict=True)) < 0.5
    kept = [dimension for dimension in made if dimension.size > 1]
    return Space(kept) if smaller and kept else None


def _narrowed(dimension: Dimension, best: Sequence[Trial]) -> Dimension:
    values = [trial.settings[dimension.key] for trial in best]
    if dimension.values:
        kept = tuple(value for value in dimension.values if value in values)
        return replace(dimension, values=kept)
    places = [dimension.place(value) for value in values]
    margin = _MARGIN * (max(places) - min(places))
    low, high = (dimension.at(min(1.0, max(0.0, p))) for p in (min(places) - margin, max(places) + margin))
    if not dimension.whole:
        low, high = (float(f"{value:.2g}") for value in (low, high))
    return replace(dimension, low=low, high=high) if low < high else dimension


def _width(new: Dimension, old: Dimension) -> float:
    if old.values:
        return len(new.values) / len(old.values)
    return old.place(new.high) - old.place(new.low)


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
