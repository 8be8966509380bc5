"""One exception tree: every message says what was expected, what was received, and what to try."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType

__all__ = [
    "CheckpointError",
    "ConfigError",
    "DataError",
    "ExtraMissing",
    "ModelError",
    "OutOfMemory",
    "PreceptorError",
    "ProcessFailed",
    "StorageError",
    "UnknownName",
    "import_extra",
    "nearest",
]


class PreceptorError(Exception):
    """The root of every error that Preceptor raises on purpose.

    Arguments:
        problem: what is wrong, in one sentence.
        expected: what would have been right.
        received: what was found instead, with name, value, shape or dtype.
        hint: the next thing to try.

    Example:
        >>> print(PreceptorError("batch_size is not usable", expected="an integer ≥ 1", received="0"))
        batch_size is not usable
          expected  an integer ≥ 1
          received  0
    """

    told = False  # whether another process of the same training has said it

    def __init__(
        self,
        problem: str,
        *,
        expected: str | None = None,
        received: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.problem, self.expected, self.received, self.hint = problem, expected, received, hint
        parts = (("expected", expected), ("received", received), ("try", hint))
        super().__init__("\n".join([problem, *(f"  {label:<8}  {text}" for label, text in parts if text)]))


class ConfigError(PreceptorError, ValueError):
    """A setting has a name, type or value that cannot be used."""


class DataError(PreceptorError, ValueError):
    """Data that are missing, malformed, or that do not suit the task."""


class ModelError(PreceptorError, ValueError):
    """A model that cannot be built, or whose output does not fit the targets."""


class UnknownName(PreceptorError, KeyError):
    """A name that the catalogue, a table or a configuration does not hold."""

    def __init__(self, what: str, name: str, choices: Iterable[str], *, hint: str | None = None) -> None:
        known = sorted(set(choices))
        self.name, self.suggestions = name, nearest(name, known)
        shown = ", ".join(known[:12]) + (f", … ({len(known)} in all)" if len(known) > 12 else "")
        if hint is None and self.suggestions:
            hint = "did you mean " + " or ".join(repr(s) for s in self.suggestions) + "?"
        super().__init__(
            f"unknown {what} {name!r}", expected=shown or "(none exist)", received=repr(name), hint=hint
        )

    __str__ = Exception.__str__  # KeyError would show the repr, with every newline escaped


class ExtraMissing(PreceptorError, ImportError):
    """An optional dependency is needed and is not installed."""


class StorageError(PreceptorError, OSError):
    """A file could not be written or read; whatever was there before is intact."""


class CheckpointError(PreceptorError):
    """A run folder or checkpoint that cannot be resumed from or read."""


class OutOfMemory(PreceptorError, MemoryError):
    """The machine or device ran out of memory."""


class ProcessFailed(PreceptorError, RuntimeError):
    """Another process of the same training failed, and this one cannot go on without it."""


def nearest(name: str, choices: Iterable[str], n: int = 2) -> list[str]:
    """Return up to ``n`` of ``choices`` that are spelt most like ``name``; swapped letters count least.

    Example:
        >>> nearest("adma", ["adamax", "adam", "sgd", "rmsprop"])
        ['adam', 'adamax']
    """
    close = difflib.get_close_matches(name, list(choices), n=max(n, 5), cutoff=0.6)
    return sorted(close, key=lambda choice: sorted(choice) != sorted(name))[:n]


def import_extra(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import an optional module, or raise `ExtraMissing` that names the extra which brings it.

    Example:
        >>> import_extra("math", extra="none", purpose="a square root").sqrt(4.0)
        2.0
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ExtraMissing(
            f"{purpose} needs the package {module.partition('.')[0]!r}",
            received=str(error),
            hint=f"pip install 'preceptor[{extra}]'",
        ) from error
