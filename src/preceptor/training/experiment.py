"""An experiment: everything that was chosen for a training, as data to be written, read and compared."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator

from preceptor.errors import ConfigError, DataError, did_you_mean, nearest
from preceptor.files import similar
from preceptor.training.listed import listed, texts
from preceptor.training.settings import (
    Block,
    DataSettings,
    Settings,
    TextSettings,
    TrainingSettings,
    TransferSettings,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Experiment", "parse_assignments"]

_SPELLINGS = {
    "language-modeling": "language-modelling",
    "language-model": "language-modelling",
    "multilabel": "multi-label",
    "multi-label-classification": "multi-label",
    "anomaly": "anomaly-detection",
    "outlier-detection": "anomaly-detection",
    "density": "density-estimation",
    "synthesis": "density-estimation",
}


class Experiment(Settings):
    """All settings of a training; what is ``"auto"`` is decided when data and model are known.

    Example:
        >>> experiment = Experiment.of({"data.source": "digits", "optimizer.lr": 3e-3})
        >>> experiment.optimizer.options
        {'lr': 0.003}
        >>> Experiment.from_toml(experiment.to_toml()) == experiment
        True
    """

    name: str = "auto"
    task: str = "auto"
    metrics: tuple[str, ...] = Field(default=(), description="what is measured, the headline measure first")
    seed: int = Field(default=0, ge=0, lt=2**32, description="of weights, dropout and the order of examples")
    data: DataSettings = DataSettings()
    model: Block = Block(name="auto")
    loss: Block = Block(name="auto")
    optimizer: Block = Block(name="adam")
    schedule: Block = Block(name="constant")
    regularizers: tuple[Block, ...] = Field(default=(), description="regularizers of the catalogue, in order")
    augmentations: tuple[Block, ...] = Field(
        default=(), description="augmentations of the catalogue, in order"
    )
    training: TrainingSettings = TrainingSettings()
    text: TextSettings = TextSettings()
    transfer: TransferSettings = TransferSettings()

    @field_validator("regularizers", "augmentations", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return listed(value)

    @field_validator("task")
    @classmethod
    def _spelt(cls, value: str) -> str:
        return _SPELLINGS.get(value, value)

    @field_validator("name")
    @classmethod
    def _plain(cls, value: str) -> str:
        if not value or not value.isprintable() or value.startswith(".") or set(value) & set("/\\"):
            raise ValueError("a name that a folder can have: no / or \\, and no dot at the beginning")
        return value

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Experiment:
        """Build from nested or dotted keys; a bare string stands for a block of that name.

        Raises:
            ConfigError: an unknown key (the nearest is suggested) or an unusable value.
        """
        nested: dict[str, Any] = {}
        for key, value in settings.items():
            _put(nested, key.split("."), texts(value) if key in _WORDS else value)
        for key, field in cls.model_fields.items():
            if field.annotation is Block and isinstance(nested.get(key), str):
                nested[key] = {"name": nested[key]}
            elif field.annotation is Block and isinstance(nested.get(key), dict):
                nested[key] = {"name": field.default.name, **nested[key]}
        try:
            return cls.model_validate(nested)
        except ValidationError as error:
            raise _config_error(error) from None

    @classmethod
    def read(cls, path: Path) -> Experiment:
        """Read an ``experiment.toml``.

        Raises:
            DataError: there is no such file.
            ConfigError: it is not TOML, or its settings are not usable.
        """
        try:
            return cls.from_toml(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise DataError(
                "no such experiment", expected="a TOML file", received=str(path), hint=similar(path)
            ) from error
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(
                f"cannot read {path}", expected="a TOML file in UTF-8", received=str(error)
            ) from error

    @classmethod
    def from_toml(cls, text: str) -> Experiment:
        """Build from TOML text."""
        try:
            return cls.of(tomllib.loads(text))
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise ConfigError(
                "the experiment is not valid TOML", expected="TOML: key = value", received=str(error)
            ) from error

    def changed(self, settings: Mapping[str, Any]) -> Experiment:
        """Return the experiment with some settings replaced; a new block name drops the old options."""
        flat = self.flat()
        new = [
            f"{k.removesuffix('.name')}."
            for k in settings
            if k.endswith(".name") and settings[k] != flat.get(k)
        ]
        kept = {key: value for key, value in flat.items() if not key.startswith(tuple(new))}
        return Experiment.of({**kept, **settings})

    def flat(self) -> dict[str, Any]:
        """Return all settings under dotted keys, in order."""
        return dict(_flatten(self.model_dump(), ""))

    def chosen(self) -> set[str]:
        """Return the dotted keys that were given rather than left at their defaults."""
        return set(dict(_flatten(self.model_dump(exclude_unset=True), "")))

    def to_toml(self) -> str:
        """Return the experiment as TOML, defaults included."""
        plain = {k: v for k, v in self.model_dump().items() if not isinstance(v, dict)}
        tables = {k: v for k, v in self.model_dump().items() if isinstance(v, dict)}
        parts = [_toml_lines(plain), *(f"\n[{k}]\n{_toml_lines(v)}" for k, v in tables.items())]
        return "".join(parts)


def parse_assignments(assignments: Iterable[str]) -> dict[str, Any]:
    """Parse ``key=value`` texts; values are TOML where they can be, strings otherwise.

    Example:
        >>> parse_assignments(["optimizer.lr=3e-3", "model.hidden=[64, 64]", "optimizer.name=l-bfgs"])
        {'optimizer.lr': 0.003, 'model.hidden': [64, 64], 'optimizer.name': 'l-bfgs'}
    """
    settings: dict[str, Any] = {}
    for text in assignments:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise ConfigError("a setting has no value", expected="key=value", received=text)
        settings[key.strip()] = _value(value.strip())
    return settings


def _value(text: str) -> Any:
    """Read a value as TOML where it is, else as text; in a list, too, text needs no quotes."""
    try:
        return tomllib.loads(f"v = {text}")["v"]
    except (tomllib.TOMLDecodeError, RecursionError):
        inner = text[1:-1]
        if not (text.startswith("[") and text.endswith("]")) or set(inner) & set("[]{}\"'"):
            return text
        return [_value(part.strip()) for part in inner.split(",") if part.strip()]


def _put(nested: dict[str, Any], path: list[str], value: Any) -> None:
    *parents, last = path
    for depth, name in enumerate(parents):
        inner = nested.setdefault(name, {})
        if isinstance(inner, str):  # a block given by its bare name, now with options
            inner = nested[name] = {"name": inner}
        if not isinstance(inner, dict):
            raise ConfigError(
                f"{'.'.join(path[: depth + 1])} has no settings within it",
                expected="a value for the setting itself",
                received=".".join(path),
            )
        nested = inner
    if isinstance(value, Mapping):
        for key, inner_value in value.items():
            _put(nested, [last, *str(key).split(".")], inner_value)
        if not value:
            nested.setdefault(last, {})
    elif last in _BLOCKS and isinstance(nested.get(last), dict) and isinstance(value, str):
        nested[last]["name"] = value
    else:  # what NumPy or torch counted becomes plain numbers, which can be written
        nested[last] = value.tolist() if hasattr(value, "tolist") else value


def _flatten(tree: Mapping[str, Any], prefix: str) -> Iterable[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _config_error(error: ValidationError) -> ConfigError:
    first = error.errors()[0]
    where = [str(part) for part in first["loc"]]
    key = ".".join(where[:2]) if where and where[0] in Experiment.model_fields else ".".join(where)
    if first["type"] == "extra_forbidden":
        holder: Any = Experiment
        for part in where[:-1]:
            holder = holder.model_fields[part].annotation
        known = [".".join([*where[:-1], k]) for k in holder.model_fields]
        close = nearest(key, known, 1) or nearest(where[-1], _LEAVES, 1)
        hint = f"did you mean {_LEAVES.get(close[0], close[0])!r}?" if close else None
        return ConfigError(
            f"unknown setting {key!r}",
            expected=", ".join(known),
            received=f"{key} = {first['input']!r:.60}",
            hint=hint,
        )
    expected = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if first["type"].startswith("model_"):
        expected = f"a table of settings, [{key}]"
    hint = did_you_mean(str(first["input"]), re.findall(r"'([^']+)'", expected))
    return ConfigError(f"{key} is not usable", expected=expected, received=repr(first["input"]), hint=hint)


_WORDS = {f"transfer.{key}" for key in ("freeze", "unfreeze", "lr_factors")}

_BLOCKS = {key for key, field in Experiment.model_fields.items() if field.annotation is Block}

_LEAVES = {
    key.rpartition(".")[2]: key for key in (*Experiment().flat(), "optimizer.lr", "optimizer.weight_decay")
}


def _toml_lines(table: Mapping[str, Any]) -> str:
    return "".join(f"{key} = {_toml(value)}\n" for key, value in table.items())


def _toml(value: Any) -> str:
    if value is None:
        return '"none"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k} = {_toml(v)}" for k, v in value.items()) + "}"
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08X}" for c in escaped) + '"'
