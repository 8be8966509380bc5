"""An experiment: everything that was chosen for a training, as data to be written, read and compared."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from preceptor.errors import ConfigError, DataError, nearest
from preceptor.training.listed import listed, read_epoch, read_factor, texts
from preceptor.training.settings import Settings, TextSettings

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Block", "DataSettings", "Experiment", "TrainingSettings", "TransferSettings"]


_PRECISIONS = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16", "half": "fp16"}
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


class Block(BaseModel):
    """A building block by name, with its options: ``{"name": "adam", "lr": 1e-3}``."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str

    @model_validator(mode="before")
    @classmethod
    def _none(cls, values: Any) -> Any:
        return (
            {k: None if v == "none" else v for k, v in values.items()} if isinstance(values, dict) else values
        )

    @property
    def options(self) -> dict[str, Any]:
        """The options beside the name."""
        return dict(self.model_extra or {})


class DataSettings(Settings):
    """Where the examples come from, how they are split and scaled."""

    source: str = Field(default="arrays", description="a built-in set, a file or a folder")
    target: str | None = Field(default=None, description="the column to predict, for tables")
    val: float = Field(default=0.15, ge=0, lt=1, description="share of the examples to validate on")
    test: float = Field(default=0.15, ge=0, lt=1, description="share of the examples to test on, once")
    seed: int = Field(default=0, ge=0, description="of the split, apart from the training's")
    bag: int | None = Field(
        default=None, ge=0, description="learn from examples drawn with replacement, by this seed"
    )
    bag_share: float = Field(
        default=1.0, gt=0, le=1, description="size of the bag, of the examples there are"
    )
    scale: Literal["auto", "standard", "none"] = "auto"
    order: Literal["auto", "random", "blocks"] = Field(
        default="auto", description="of the split; blocks keep neighbours together, as masks' slices need"
    )
    crop: int | None = Field(
        default=None, ge=1, description="train on random windows of this size: masks, denoising"
    )
    ignore: str | int = Field(default="auto", description="the class of pixels that does not count")
    noise: float = Field(
        default=0.5,
        ge=0,
        description="what denoising removes, in standard deviations of the inputs as scaled",
    )
    missing: float = Field(
        default=0.3, gt=0, lt=1, description="share of the values that imputation hides, to be found again"
    )
    anomalies: tuple[str, ...] = Field(
        default=("auto",), description="classes that are unusual: measured on, not learned from"
    )
    beam: int = Field(default=1, ge=1, description="beginnings kept in decoding a transcription; 1: greedy")
    contamination: float = Field(
        default=0.05, ge=0, lt=1, description="share of usual examples that anomaly detection may flag"
    )
    image_size: int | tuple[int, int] | Literal["auto"] = Field(
        default="auto", description="pixels that images are brought to: a number, or [H, W]"
    )
    image_fit: Literal["crop", "pad", "stretch"] = Field(
        default="crop", description="what is done with images of another size"
    )
    audit: Literal["quick", "full", "none"] = Field(
        default="quick", description="look the data over before training"
    )

    @field_validator("anomalies", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        several = value if isinstance(value, list | tuple) else [value]
        return [str(one) for one in several if one not in ("none", None)]


class TrainingSettings(Settings):
    """How the loop runs."""

    epochs: int = Field(default=100, ge=1)
    batch_size: int | Literal["auto", "full"] = Field(default="auto")
    grad_accumulation: int = Field(default=1, ge=1, description="batches to one optimizer step")
    max_grad_norm: float | None = Field(default=None, gt=0, description="clip the gradient's norm to this")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        default="fp32", description="fp32, or autocast to half precision; auto measures which is faster"
    )
    compile: bool = Field(default=False, description="compile the model with torch.compile")
    memory_format: Literal["auto", "contiguous", "channels-last"] = Field(
        default="auto", description="the layout of convolutions' weights; channels-last is faster on CPUs"
    )
    batch_norm: Literal["moving-average", "population"] = Field(
        default="moving-average", description="which statistics batch normalisation is measured with"
    )
    monitor: str = Field(default="auto", description="the history key that decides which epoch is best")
    mode: Literal["auto", "min", "max"] = "auto"
    patience: int | None = Field(default=10, ge=1, description="epochs without improvement before stopping")
    min_delta: float = Field(default=0.0, ge=0, description="what counts as an improvement")
    goal: float | None = Field(
        default=None,
        description="the headline measure that is wanted: what people reach, or nobody can better",
    )
    restore_best: bool = True
    train_examples: int | Literal["auto"] = Field(
        default="auto", description="training examples on which train_loss is measured; 0: not measured"
    )
    device: str = "auto"
    deterministic: bool = False
    shard: Literal["fully"] | None = Field(
        default=None,
        description="what several processes cut up: nothing, or weights, gradients and moments",
    )
    watch: bool = Field(default=True, description="look on while it trains, and judge the run")
    checkpoint_seconds: float | None = Field(default=10.0, ge=0, description="seconds between checkpoints")
    checkpoint_steps: int | None = Field(default=None, ge=1, description="steps between checkpoints")

    @field_validator("precision", mode="before")
    @classmethod
    def _abbreviated(cls, value: Any) -> Any:
        return _PRECISIONS.get(value, value) if isinstance(value, str) else value

    @field_validator("batch_size", "train_examples")
    @classmethod
    def _counted(cls, value: int | str, info: ValidationInfo) -> int | str:
        least, word = (1, "full") if info.field_name == "batch_size" else (0, "auto")
        if isinstance(value, int) and value < least:
            raise ValueError(f"an integer ≥ {least}, or {word!r}")
        return value


class TransferSettings(Settings):
    """What is taken over from an earlier run, what of it is frozen, and how fast the rest learns."""

    source: str | None = Field(default=None, description="a run folder, or a .safetensors file")
    freeze: tuple[str, ...] = Field(default=(), description="layers that do not learn")
    unfreeze: tuple[str, ...] = Field(default=(), description="EPOCH=LAYERS: they learn from then on")
    layer_lr_decay: float | None = Field(default=None, gt=0, le=1, description="of the rate, a layer")
    lr_factors: tuple[str, ...] = Field(default=(), description="LAYERS=FACTOR of the rate")
    head: Literal["by-classes", "keep", "new"] = "by-classes"
    inputs: Literal["source", "own"] = Field(default="source", description="whose scaling and image size")
    cache_features: Literal["where-possible", "always", "never"] = Field(
        default="where-possible", description="compute what a frozen part gives once"
    )
    check: bool = Field(default=True, description="say what speaks for the transfer, and against it")

    @field_validator("freeze", "unfreeze", "lr_factors", mode="before")
    @classmethod
    def _texts(cls, value: Any) -> Any:
        return texts(value)

    @field_validator("unfreeze", "lr_factors")
    @classmethod
    def _pairs(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for text in value:
            (read_epoch if info.field_name == "unfreeze" else read_factor)(text)
        return value

    @property
    def active(self) -> bool:
        """Whether anything is taken over, frozen, or learned at a rate of its own."""
        return bool(self.source or self.freeze or self.unfreeze or self.lr_factors or self.layer_lr_decay)

    @property
    def thaws(self) -> list[tuple[int, str]]:
        """The epochs, from 1, and what learns from then on."""
        return sorted(read_epoch(text) for text in self.unfreeze)

    @property
    def factors(self) -> list[tuple[str, float]]:
        """The layers that have a factor of their own."""
        return [read_factor(text) for text in self.lr_factors]


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
            raise DataError("no such experiment", expected="a TOML file", received=str(path)) from error
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(
                f"cannot read {path}", expected="a TOML file in UTF-8", received=str(error)
            ) from error

    @classmethod
    def from_toml(cls, text: str) -> Experiment:
        """Build from TOML text."""
        try:
            return cls.of(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
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
        try:
            settings[key.strip()] = tomllib.loads(f"v = {value}")["v"]
        except tomllib.TOMLDecodeError:
            settings[key.strip()] = value.strip()
    return settings


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
    return ConfigError(f"{key} is not usable", expected=expected, received=repr(first["input"]))


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
