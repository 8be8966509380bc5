"""One exception tree: every message says what was expected, what was received, and what to try."""

from __future__ import annotations

import difflib
import importlib
import unicodedata
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
    "did_you_mean",
    "import_extra",
    "nearest",
    "printable",
]


_TURNING = frozenset(
    "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)  # they reorder what stands around them


def printable(text: str) -> str:
    """Return text without what a terminal or a page would obey: control characters, turned writing.

    Example:
        >>> printable("a\\x1b[2Jb"), printable("as\\u202ewas")
        ('a�[2Jb', 'as�was')
    """
    if text.isprintable():
        return text
    return "".join(
        c if c in "\n\t" or (unicodedata.category(c) not in ("Cc", "Cs", "Cn") and c not in _TURNING) else "�"
        for c in text
    )


_MANY = 100  # names, of which the first few by letter help nobody


class PreceptorError(Exception):
    """The root of every error that Preceptor raises on purpose. Its message is printable, whatever was read.

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
        lines = [problem, *(f"  {label:<8}  {text}" for label, text in parts if text)]
        super().__init__(printable("\n".join(lines)))


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
        self.name, self.choices, self.suggestions = name, known, nearest(name, known)
        shown = ", ".join(known[:12]) + (f", … ({len(known)} in all)" if len(known) > 12 else "")
        if len(known) > _MANY:
            shown = f"one of {len(known):,} names"
        hint = hint or did_you_mean(name, known)
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


def did_you_mean(name: str, choices: Iterable[str]) -> str | None:
    """Return the hint that a misspelt name gets, None where nothing is spelt like it.

    Example:
        >>> did_you_mean("adma", ["adam", "sgd"])
        "did you mean 'adam'?"
    """
    close = nearest(name, choices)
    return "did you mean " + " or ".join(map(repr, close)) + "?" if close else None


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
