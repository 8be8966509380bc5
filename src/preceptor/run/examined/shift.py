"""What a run keeps of its training inputs, and the warning where inputs in use are not like them."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from preceptor.data import Prepared
from preceptor.data.shift import Reference, compare
from preceptor.training.folder import RunFolder
from preceptor.training.storage import load_tensors, save_tensors

if TYPE_CHECKING:
    from preceptor.run._run import Run

__all__ = ["keep_reference", "saved_reference", "warn_of_shift"]

_FILE = "reference.safetensors"


def keep_reference(prepared: Prepared, folder: RunFolder | None) -> Reference:
    """Take the statistics of the training inputs, and write them into the run's folder."""
    reference = Reference.fit(prepared.dataset, prepared.split.train)
    if folder is not None:
        tensors, texts = reference.to_tensors()
        save_tensors(folder.path / _FILE, tensors, texts)
    return reference


def saved_reference(folder: RunFolder) -> Reference | None:
    """Return the statistics that a run has kept; None where it has none.

    Raises:
        CheckpointError: they are damaged.
    """
    path = folder.path / _FILE
    if not path.is_file():
        return None
    return Reference.from_tensors(*load_tensors(path))


def warn_of_shift(run: Run, raw: Any, stacklevel: int) -> None:
    """Warn where raw inputs are not distributed as those that the run was trained on."""
    if run.reference is None or run.preprocessor is None or run.preprocessor.encoder.gaps:
        return  # gaps leave no columns to compare
    found = compare(run.reference, raw, run.preprocessor.encoder.names)
    if found is not None:
        warnings.warn(str(found), stacklevel=stacklevel + 1)
