"""Segmentation of real images: a U-Net against a baseline that looks at single pixels.

    python benchmarks/segmentation.py isbi2012 --seconds 1800
    python benchmarks/segmentation.py camvid --seconds 3600

Prints the IoU of each class on the test images, the baseline's, and the time. ISBI-2012: cell interiors (1)
and membranes (0) in 30 slices of one volume, cut in blocks; the baseline is the threshold on smoothed grey
values that is best on the training slices. CamVid: street scenes, 11 classes; the baseline names the most
frequent class of each place.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

import preceptor
from preceptor.catalogue.pixels import VOID, overlaps
from preceptor.data import Prepared
from preceptor.training import Callback, State

FILES = {"isbi2012": "isbi2012/isbi2012.npz", "camvid": "camvid/camvid-180x240.npz"}
SETTINGS: dict[str, dict[str, Any]] = {
    "isbi2012": {
        "data.crop": 128,
        "data.val": 0.1,
        "data.test": 0.2,
        "augmentations": ["horizontal-flip", "rotation=180"],
        "loss.name": "cross-entropy-dice",
    },
    "camvid": {
        "data.crop": 160,
        "augmentations": ["horizontal-flip", "scaling=0.2"],
        "loss.name": "cross-entropy-dice",
    },
}


class Until(Callback):
    """Stops a training at the end of the epoch in which its time is up."""

    def __init__(self, seconds: float) -> None:
        self.end = perf_counter() + seconds

    def on_epoch_end(self, state: State) -> None:
        """Look at the clock."""
        row = state.history[-1]
        print(
            f"epoch {row['epoch']:>3}  val IoU {row['val_mean_iou']:.4f}  {row['seconds']:.0f} s", flush=True
        )
        if perf_counter() > self.end:
            state.stop = "time is up"


def counts(target: torch.Tensor, predicted: torch.Tensor, classes: int) -> torch.Tensor:
    """Return the confusion matrix of two masks, (K, K)."""
    counted = target != VOID
    cells = classes * target[counted].long() + predicted[counted].long()
    return torch.bincount(cells, minlength=classes**2).reshape(classes, classes)


def threshold(ready: Prepared) -> torch.Tensor:
    """Return what the best threshold on smoothed grey values, found in training, makes of the test images."""

    def smooth(rows: Any) -> Any:
        return np.stack(
            [gaussian_filter(image[0].astype(float), 1.5) for image in ready.dataset.inputs[rows]]
        )

    train, test = smooth(ready.split.train), smooth(ready.split.test)
    levels = np.quantile(train, np.linspace(0.01, 0.99, 99))
    found = [
        float(overlaps(counts(ready.train.y, torch.from_numpy(train > level), 2), "iou")[1])
        for level in levels
    ]
    return torch.from_numpy(test > levels[int(np.argmax(found))])


def places(ready: Prepared) -> torch.Tensor:
    """Return the most frequent class of each place in training, for every test image."""
    classes = len(ready.preprocessor.classes)
    votes = torch.stack([(ready.train.y == k).sum(0) for k in range(classes)])
    assert ready.test is not None
    return votes.argmax(0).expand(len(ready.test.y), *votes.shape[1:])


def main() -> None:
    """Train, and print a row for each class."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=sorted(FILES))
    parser.add_argument("--data", type=Path, default=Path("shared/data"), help="folder with both data sets")
    parser.add_argument("--seconds", type=float, default=1800, help="of training")
    parser.add_argument("--base", type=int, default=16)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--epochs", type=int, default=1000)
    parser.add_argument("--precision", default="fp32")
    given = parser.parse_args()
    model = {"name": "u-net", "base": given.base, "depth": given.depth, "batch_norm": True}
    started = perf_counter()
    run = preceptor.train(
        model,
        str(given.data / FILES[given.name]),
        lr=given.lr,
        epochs=given.epochs,
        patience=given.epochs,
        monitor="val_mean_iou",
        precision=given.precision,
        out=False,
        settings={"training.train_examples": 0, "training.watch": False, **SETTINGS[given.name]},
        callbacks=[Until(given.seconds)],
    )
    trained = perf_counter() - started
    ready, tested = run.prepared, run.test()
    assert ready is not None
    assert ready.test is not None
    baseline = {"isbi2012": threshold, "camvid": places}[given.name](ready)
    classes = ready.preprocessor.classes
    simple = overlaps(counts(ready.test.y, baseline, len(classes)), "iou").tolist()
    print(f"\n{given.name}: {tested}; {len(run.history)} epochs, {trained:.0f} s")
    print(f"{'class':<14}{'IoU':>8}{'Dice':>8}{'baseline IoU':>15}")
    for name, other in zip(classes, simple, strict=True):
        scores = tested.by_class[name]
        print(f"{name:<14}{scores['IoU']:>8.4f}{scores['Dice']:>8.4f}{other:>15.4f}")
    print(
        f"{'mean':<14}{tested.metrics['mean_iou']:>8.4f}{tested.metrics['dice']:>8.4f}{np.nanmean(simple):>15.4f}"
    )


if __name__ == "__main__":
    main()
