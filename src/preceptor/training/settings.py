"""What every section of settings is, and the settings of texts."""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

__all__ = ["Settings", "TextSettings"]

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
