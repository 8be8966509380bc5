"""The ledger of looks at the test set: one look is free, another needs a reason, and all are counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from preceptor.errors import CheckpointError, ConfigError
from preceptor.training.folder import RunFolder

__all__ = ["looks_elsewhere", "refuse_another_look"]


def refuse_another_look(
    ledger: Sequence[Mapping[str, Any]], again: str | None, folder: RunFolder | None
) -> None:
    """Raise `ConfigError` where a test set that has been looked at would be looked at without a reason.

    Arguments:
        ledger: the looks so far.
        again: why it is to be looked at again.
        folder: of the run, for the command that does it.
    """
    if again is not None and not again.strip():
        raise ConfigError(
            "no reason was given to look at the test set again",
            expected="a few words, which go into the ledger",
            received=repr(again),
        )
    if not ledger or again is not None:
        return
    last = ledger[-1]
    (name, value), *_ = last["metrics"].items()
    command = f'preceptor evaluate {folder.path} --again "REASON", ' if folder else ""
    raise ConfigError(
        "the test set has been looked at already",
        expected="one look, after everything is chosen; validation for all else (--on val)",
        received=f"look {len(ledger) + 1}; look {len(ledger)} gave {name} {value:.3f} on {last['when']}",
        hint=f'{command}again="reason" in Python; it is entered into the ledger',
    )


def looks_elsewhere(folder: RunFolder | None) -> int:
    """Return how often the runs beside this one have looked at a test set of the same data."""
    data = folder.manifest.get("data") if folder else None
    if folder is None or not data:
        return 0
    own = folder.path.resolve()
    beside = (path.parent for path in sorted(own.parent.glob("*/manifest.json")) if path.parent != own)
    return sum(_looks(path, data["examples"]) for path in beside)


def _looks(path: Any, examples: str) -> int:
    try:
        manifest = RunFolder(path).manifest
    except CheckpointError:  # half deleted, or another program's
        return 0
    data, ledger = manifest.get("data"), manifest["ledger"]
    same = isinstance(data, dict) and data.get("examples") == examples
    return len(ledger) if same and isinstance(ledger, list) else 0
