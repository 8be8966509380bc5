"""What ``preceptor predict`` writes where predictions lie on a grid: an .npz file, or each class's share."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preceptor.errors import ConfigError
from preceptor.files import atomic
from preceptor.run import Run

__all__ = ["write_arrays", "write_grids"]


def write_grids(run: Run, predictions: NDArray[Any], out: Path | None) -> str:
    """Write masks or images to an .npz file; without one, return each image's shares of the classes as CSV.

    Arguments:
        run: that predicted.
        predictions: masks (N, H, W) with the values of the data's masks, or images (N, C, H, W).
        out: the file.

    Raises:
        ConfigError: images without a file, or a file of another kind.
    """
    classes = run.preprocessor.classes if run.preprocessor else ()
    if out is None and classes:
        return _shares(run, predictions)
    return write_arrays({"mask" if classes else "image": predictions}, out)


def write_arrays(arrays: dict[str, Any], out: Path | None) -> str:
    """Write arrays to an .npz file, and return what is left to be printed: nothing.

    Raises:
        ConfigError: no file, or one of another kind.
    """
    if out is None or out.suffix.lower() != ".npz":
        raise ConfigError(
            "predictions of this form belong into an .npz file",
            expected="--out FILE.npz",
            received=f"--out {out}" if out else "no --out",
        )
    with atomic(out) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)
    return ""


def _shares(run: Run, masks: NDArray[Any]) -> str:
    coder: Any = run.preprocessor.coder if run.preprocessor else None
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["row", *coder.classes])
    for row, mask in enumerate(masks, 1):
        writer.writerow([row, *(f"{float(np.mean(mask == value)):.4f}" for value in coder.values)])
    return text.getvalue()
