"""What a training starts from: the weights of an earlier run, and what is known of its data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from preceptor.data import Preprocessor
from preceptor.errors import CheckpointError
from preceptor.training.experiment import Experiment
from preceptor.training.folder import RunFolder
from preceptor.training.storage import load_tensors

__all__ = ["Source", "going_on", "open_source"]


@dataclass(frozen=True)
class Source:
    """An earlier training, as far as a new one needs it.

    Attributes:
        name: the run's folder, or the file of its weights.
        weights: by name; None where a run goes on, whose weights come from its own checkpoint.
        experiment: its settings; None where there is nothing but weights.
        preprocessor: what was fitted on its training examples.
        classes: in the order of its outputs; empty for numbers.
        examples: how many it learned from.
        data: the fingerprints of its examples and its split.
        noted: what a run that goes on has noted of its own transfer.
    """

    name: str
    weights: Mapping[str, Tensor] | None = None
    experiment: Experiment | None = None
    preprocessor: Preprocessor | None = None
    classes: tuple[str, ...] = ()
    examples: int | None = None
    data: Mapping[str, str] = field(default_factory=dict)
    noted: Mapping[str, Any] | None = None

    @property
    def image_size(self) -> tuple[int, int] | None:
        """(H, W) of its images; None where it saw none."""
        if self.preprocessor is None or self.preprocessor.kind != "images":
            return None
        height, width = self.preprocessor.input_shape[-2:]
        return height, width


def open_source(where: str | Path) -> Source:
    """Open a run's folder, or a file of weights.

    Raises:
        CheckpointError: there is no run, it has not ended, or its weights cannot be read.
    """
    path = Path(where)
    if path.suffix == ".safetensors":
        try:
            return Source(str(where), load_tensors(path)[0])
        except CheckpointError as error:
            raise CheckpointError(
                f"cannot read the weights in {path}",
                expected="a run folder, or a .safetensors file",
                received=error.received,
            ) from error
    folder = RunFolder(path)
    if "classes" not in folder.manifest["signature"]:
        raise CheckpointError(
            f"{path} holds no network",
            expected="a run of a network with predictions",
            received=f"a run of the task {folder.experiment.task}",
        )
    return _of(folder, folder.weights(), str(where))


def going_on(folder: RunFolder) -> Source:
    """Return a run itself as what its preprocessing comes from, when it goes on or is looked at again."""
    return _of(folder, None, str(folder.path), noted=folder.manifest.get("transfer"))


def _of(
    folder: RunFolder,
    weights: Mapping[str, Tensor] | None,
    name: str,
    noted: Mapping[str, Any] | None = None,
) -> Source:
    manifest, preprocessor = folder.manifest, None
    if (folder.path / "preprocessing.json").exists():
        preprocessor = Preprocessor.from_state(folder.preprocessing)
    first = re.match(r"[\d,]+", str(manifest.get("split") or ""))
    return Source(
        name,
        weights,
        folder.experiment,
        preprocessor,
        tuple(manifest["signature"]["classes"]),
        int(first[0].replace(",", "")) if first else None,
        manifest.get("data") or {},
        noted,
    )
