"""The sections of settings: a block with its options, data, training, text, transfer."""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from preceptor.training.listed import read_epoch, read_factor, texts

__all__ = ["Block", "DataSettings", "Settings", "TextSettings", "TrainingSettings", "TransferSettings"]

_PRECISIONS = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16", "half": "fp16"}

_LEVELS = {
    "character": "char",
    "characters": "char",
    "chars": "char",
    "words": "word",
    "punctuation": "punctuated",
    "bpe": "byte-pairs",
    "byte-pair": "byte-pairs",
    "byte-pair-encoding": "byte-pairs",
}


class Settings(BaseModel):
    """Settings that do not change, know no keys but their own, and are written as TOML."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    @field_validator("*", mode="before")
    @classmethod
    def _none(cls, value: Any, info: ValidationInfo) -> Any:
        optional = type(None) in get_args(cls.model_fields[info.field_name or ""].annotation)
        return None if optional and value == "none" else value  # TOML has no null


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


class TextSettings(Settings):
    """How a text becomes symbols, and how much of it is read at once."""

    level: Literal["auto", "char", "word", "punctuated", "byte-pairs"] = Field(
        default="auto", description="what a text falls into"
    )
    lower: bool = Field(default=False, description="make capitals small first")
    vocabulary_size: int | None = Field(default=None, ge=3, description="at most so many symbols")
    min_count: int | Literal["auto"] = Field(
        default="auto", description="how often a symbol must occur in the training text to have an id"
    )
    steps: int | Literal["auto"] = Field(
        default="auto", description="symbols that are read at once, through which gradients go back"
    )
    val_file: str | None = Field(default=None, description="a text of its own to validate on")
    test_file: str | None = Field(default=None, description="a text of its own to test on")
    longest: int | None = Field(
        default=None, ge=2, description="pairs with more symbols on a side are not learned from"
    )
    first_longest: int | None = Field(
        default=None, ge=2, description="the most symbols of a side in the first pass; more with each pass"
    )
    beam: int = Field(default=5, ge=1, description="hypotheses that a translation is searched with")

    @field_validator("level", mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        return _LEVELS.get(value.lower(), value.lower()) if isinstance(value, str) else value

    @field_validator("min_count", "steps")
    @classmethod
    def _counted(cls, value: int | str) -> int | str:
        if isinstance(value, int) and value < 1:
            raise ValueError("an integer ≥ 1, or 'auto'")
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
