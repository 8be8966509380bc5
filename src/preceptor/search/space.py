"""What is searched: hyperparameters and the values that each may take."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from preceptor.catalogue.procedures import drawn, grid_search, log_uniform
from preceptor.errors import ConfigError, UnknownName
from preceptor.training.experiment import Experiment
from preceptor.trials.change import KINDS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Dimension", "Point", "Space", "setting_of", "value_of", "written"]

Point = dict[str, Any]
"""A value for each hyperparameter, by the dotted key of its setting."""

_RANGE = re.compile(r"(log:)?\s*([^.\s]\S*?|\.\d\S*?)\s*\.\.\s*(\S+?)(?::(\d+))?")
_WHOLE = re.compile(r"[+-]?\d+")
_FORMS = "log:1e-5..1e-1, 0..0.5, 32..256 or 64|128|256"
_MEASURES = frozenset(
    {"name", "task", "seed", "metrics", "training.monitor", "training.mode", "training.device"}
)
"""Settings that are no hyperparameters: with another one, other things are measured, or nothing changes."""
_LINEAR_DECADES = 100.0  # a linear range as wide as that spends 90 % of its values on the top decade


@dataclass(frozen=True)
class Dimension:
    """One hyperparameter.

    Attributes:
        key: the dotted key of its setting.
        values: what it may be, where that is a list; else empty.
        low: the least value of a range.
        high: the greatest.
        log: whether it is drawn evenly on a logarithmic scale.
        whole: whether it is a whole number.
        points: how many values a grid takes of it; None: as many as there is room for.

    Example:
        >>> rate = Dimension.parse("lr", "log:1e-5..1e-1")
        >>> rate.key, rate.at(0.0), rate.at(1.0)
        ('optimizer.lr', 1e-05, 0.1)
        >>> [float(f"{value:.3g}") for value in rate.grid(3)]
        [1e-05, 0.001, 0.1]
    """

    key: str
    values: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False
    points: int | None = None

    @classmethod
    def parse(cls, key: str, given: Any) -> Dimension:
        """Read one: ``log:a..b``, ``a..b``, ``x|y|z``, or a list of values; ``:n`` at the end: n grid points.

        The bounds of a range may stand either way round.

        Raises:
            ConfigError: neither of these forms, bounds that cannot be used, or no hyperparameter.
            UnknownName: there is no such setting.
        """
        where = setting_of(key)
        if isinstance(given, Dimension):
            return given
        if isinstance(given, str) and "|" not in given:
            return _range(where, given.strip())
        values = [value_of(part) for part in given.split("|")] if isinstance(given, str) else _plain(given)
        if not isinstance(values, list | tuple):
            raise _unreadable(where, given)
        plain = tuple(_plain(value) for value in values)
        if len({repr(value) for value in plain}) < max(2, len(plain)):
            raise ConfigError(
                f"{where} has nothing to choose from",
                expected="two or more different values, such as 64|128|256",
                received=str(given),
                hint=f"--set {where}=… for a single one",
            )
        return cls(where, plain)

    @property
    def is_range(self) -> bool:
        """Whether it is a range of numbers rather than a list."""
        return not self.values

    @property
    def size(self) -> float:
        """How many values there are; infinite for a range of real numbers."""
        if self.values:
            return len(self.values)
        return self.high - self.low + 1 if self.whole else math.inf

    @property
    def ordered(self) -> bool:
        """Whether its values are numbers, so that some lie at a border."""
        return self.is_range or all(_is_number(value) for value in self.values)

    def at(self, unit: float) -> Any:
        """Return the value at a place between 0 and 1: evenly spread, on the scale of the range."""
        if self.values:
            return self.values[min(int(unit * len(self.values)), len(self.values) - 1)]
        reach = 0.5 if self.whole else 0.0  # each whole number has its share, those at the ends too
        low, high = self.low - reach, self.high + reach
        value = log_uniform(low, high)(unit) if self.log else low + unit * (high - low)
        if self.whole:
            return int(min(max(round(value), self.low), self.high))
        return float(min(max(value, self.low), self.high))

    def place(self, value: Any) -> float:
        """Return where a value lies, between 0 and 1: the inverse of `at`."""
        if self.values:
            at = next((i for i, one in enumerate(self.values) if _same(one, value)), None)
            if at is None:
                raise ConfigError(f"{self.key} has no such value", expected=self.text, received=repr(value))
            return (at + 0.5) / len(self.values)
        reach = 0.5 if self.whole else 0.0
        low, high = self.low - reach, self.high + reach
        return math.log(value / low) / math.log(high / low) if self.log else (value - low) / (high - low)

    def grid(self, points: int) -> list[Any]:
        """Return its values for a grid: all of a list, else ``points`` of them from one end to the other."""
        if self.values:
            return list(self.values)
        n = self.points or points
        if self.whole:
            n = min(n, int(self.size))
        if n == 1:
            return [self.at(0.5)]
        ends = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        inner = [ends[0] + (ends[1] - ends[0]) * i / (n - 1) for i in range(1, n - 1)]
        values = [self.low, *(math.exp(v) if self.log else v for v in inner), self.high]
        return list(dict.fromkeys(round(v) for v in values)) if self.whole else values

    @property
    def text(self) -> str:
        """How it is written.

        Example:
            >>> Dimension.parse("hidden", [64, 128]).text, Dimension.parse("lr", "log:1e-1..1e-5").text
            ('64|128', 'log:1e-05..0.1')
        """
        if self.values:
            return "|".join(written(value) for value in self.values)
        bounds = "..".join(str(int(v)) if self.whole else repr(v) for v in (self.low, self.high))
        return ("log:" if self.log else "") + bounds + (f":{self.points}" if self.points else "")


class Space(tuple[Dimension, ...]):
    """The hyperparameters that are searched, each once, in the order in which they were given.

    Raises:
        ConfigError: one of them is given twice.

    Example:
        >>> space = Space.parse(["lr=log:1e-4..1e-1", "model.hidden=64|128|256"])
        >>> space.keys
        ('optimizer.lr', 'model.hidden')
        >>> len(space.grid(4))
        12
    """

    __slots__ = ()

    def __new__(cls, dimensions: Sequence[Dimension]) -> Space:
        """Check the keys."""
        keys = [dimension.key for dimension in dimensions]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise ConfigError(f"{twice} is given twice", expected="each hyperparameter once", received=twice)
        return super().__new__(cls, dimensions)

    @classmethod
    def parse(cls, given: Mapping[str, Any] | Sequence[str]) -> Space:
        """Read ``KEY=VALUES`` texts, or a mapping from keys to values."""
        if isinstance(given, Mapping):
            return cls([Dimension.parse(key, value) for key, value in given.items()])
        dimensions = []
        for text in given:
            key, equals, values = text.partition("=")
            if not equals or not key.strip() or not values.strip():
                raise ConfigError("a space has no values", expected=f"KEY={_FORMS}", received=text)
            dimensions.append(Dimension.parse(key.strip(), values.strip()))
        return cls(dimensions)

    @property
    def keys(self) -> tuple[str, ...]:
        """The settings that are searched."""
        return tuple(dimension.key for dimension in self)

    @property
    def size(self) -> float:
        """How many points there are; infinite with a range of real numbers."""
        return math.prod(dimension.size for dimension in self)

    def sample(self, generator: np.random.Generator) -> Point:
        """Return a point, every hyperparameter drawn by itself."""
        return drawn({dimension.key: dimension.at for dimension in self}, generator)

    def grid(self, points: int) -> list[Point]:
        """Return every combination, with ``points`` values of a range that does not say how many."""
        return grid_search()({dimension.key: dimension.grid(points) for dimension in self})

    def points_for(self, trials: int | None) -> int:
        """Return how many values of each range make a grid of at most so many trials; without a limit 5.

        Example:
            >>> Space.parse(["lr=log:1e-4..1e-1", "hidden=64|128"]).points_for(20)
            10
        """
        if trials is None:
            return 5
        free = sum(d.is_range and d.points is None for d in self)
        fixed = math.prod(len(d.grid(1)) if d.values else d.points or 1 for d in self)
        return max(2, int((trials / fixed) ** (1 / free) + 1e-9)) if free else 1

    def place(self, point: Mapping[str, Any]) -> list[float]:
        """Return where a point lies, each coordinate between 0 and 1."""
        return [dimension.place(point[dimension.key]) for dimension in self]

    def only(self, keys: Sequence[str]) -> Space:
        """Return the part of it with these keys."""
        return Space([dimension for dimension in self if dimension.key in keys])

    def to_plain(self) -> dict[str, str]:
        """Return it as text by key, from which `parse` makes it again."""
        return {dimension.key: dimension.text for dimension in self}

    def advice(self) -> list[str]:
        """Say where a linear scale leaves most of a range untried."""
        return [
            f"{d.key} ranges over {math.log10(d.high / d.low):.1f} decades on a linear scale, which spends "
            f"nine values of ten on the last of them: log:{d.text}"
            for d in self
            if d.is_range and not d.log and d.low > 0 and d.high >= _LINEAR_DECADES * d.low
        ]


def setting_of(key: str) -> str:
    """Return the dotted key of a setting that may go by a shorter name.

    Raises:
        UnknownName: there is no such setting.
        ConfigError: a setting that is no hyperparameter.

    Example:
        >>> setting_of("lr"), setting_of("hidden"), setting_of("optimizer"), setting_of("patience")
        ('optimizer.lr', 'model.hidden', 'optimizer.name', 'training.patience')
    """
    flat = Experiment().flat()
    blocks = {name.removesuffix(".name") for name in flat if name.endswith(".name")}
    short = {name.rpartition(".")[2]: name for name in flat if not name.endswith(".name")}
    short |= {kind: made.setting for kind, made in KINDS.items() if made.setting}
    where = key if key in flat else short.get(key, key)
    if where in blocks:
        where = f"{where}.name"
    option_of_block = where.partition(".")[0] in blocks and where.count(".") == 1
    if where not in flat and not option_of_block:
        raise UnknownName("hyperparameter", key, [*short, *flat])
    if where in _MEASURES or (where.startswith("data.") and where != "data.scale"):
        raise ConfigError(
            f"{where} is no hyperparameter",
            expected="a setting of model, optimizer, schedule, regularization or training",
            received=key,
            hint="what is measured must be the same in every trial: --set gives it for all of them",
        )
    return where


def value_of(text: str) -> Any:
    """Return a value as TOML has it, or the text itself; lists become tuples.

    Example:
        >>> value_of("64"), value_of("1e-3"), value_of("[64, 32]"), value_of("relu"), value_of("none")
        (64, 0.001, (64, 32), 'relu', 'none')
    """
    try:
        value = tomllib.loads(f"v = {text.strip()}")["v"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return text.strip()
    return tuple(value) if isinstance(value, list) else value


def _range(key: str, text: str) -> Dimension:
    found = _RANGE.fullmatch(text)
    if found is None:
        raise _unreadable(key, text)
    log, low, high, points = found.groups()
    whole = bool(_WHOLE.fullmatch(low) and _WHOLE.fullmatch(high))
    try:
        bounds = sorted((float(low), float(high)))
    except ValueError:
        raise _unreadable(key, text) from None
    if not all(map(math.isfinite, bounds)) or bounds[0] == bounds[1]:
        raise ConfigError(
            f"the bounds of {key} are not usable", expected="two different finite numbers", received=text
        )
    if log and bounds[0] <= 0:
        raise ConfigError(
            f"{key} has no logarithmic scale",
            expected="bounds above 0",
            received=text,
            hint="0|1e-5|1e-4|1e-3 has the zero, too",
        )
    if points is not None and int(points) < 1:
        raise ConfigError(f"{key} has no grid points", expected="at least one", received=text)
    low_end, high_end = bounds
    return Dimension(
        key,
        low=low_end,
        high=high_end,
        log=bool(log),
        whole=whole,
        points=int(points) if points else None,
    )


def _unreadable(key: str, given: Any) -> ConfigError:
    return ConfigError(
        f"the values of {key} cannot be read",
        expected=f"one of the forms {_FORMS}",
        received=repr(given),
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _plain(value: Any) -> Any:
    value = value.tolist() if hasattr(value, "tolist") else value  # what NumPy or torch counted
    return tuple(value) if isinstance(value, list) else value


def _same(one: Any, other: Any) -> bool:
    if isinstance(other, list):
        other = tuple(other)
    if _is_number(one) and _is_number(other):
        return math.isclose(one, other, rel_tol=1e-9)
    return type(one) is type(other) and bool(one == other)


def written(value: Any) -> str:
    """Return a value as it is written in a space.

    Example:
        >>> written((64, 32)), written(0.001), written(True)
        ('[64, 32]', '0.001', 'true')
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(f'"{v}"' if isinstance(v, str) else written(v) for v in value) + "]"
    return repr(value) if isinstance(value, float) else str(value)
