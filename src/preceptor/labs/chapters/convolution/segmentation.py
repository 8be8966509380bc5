"""U-Net: the path down for context, the path up for place, and what its skips are for."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

import preceptor
from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, exact, lab, more, told

_RONNEBERGER = (
    "Ronneberger, Fischer and Brox, U-Net: Convolutional Networks for Biomedical Image Segmentation, 2015"
)


@lab(
    "convolution",
    {
        "u-net-skips": Claim(
            "U-Net is an encoder and decoder for labels; the skips from the contracting path tell it where "
            "things are: without them regions overlap less.",
            source=_RONNEBERGER,
            instead_of="U-Net is an autoencoder, with a contradiction path",
        ),
        "u-net-size": Claim(
            "Without padding an image of 572×572 gives labels for 388×388 pixels.",
            source=_RONNEBERGER,
            reference="388×388",
        ),
    },
    data="90 images of 32×32 with two discs and a bar in noise, of which the discs are to be found; a U-Net "
    "of "
    "depth 3 with 4 to 32 channels",
    rule="over seeds, the mean IoU on validation images is higher with skips; the size exactly",
)
def u_net(setup: Setup) -> Evidence:
    """Train a small U-Net with its skips and without, on synthetic shapes."""
    x, y = _shapes(setup.size(90, 400), setup.seeds(1)[0])
    seeds, curves = setup.seeds(10, 15), {}
    for name, skips in (("with skips", True), ("without", False)):
        found = preceptor.train_population(
            {"name": "u-net", "base": 4, "depth": 3, "skips": skips}, (x, y), seeds=seeds,
            epochs=setup.size(10, 40), batch_size=8, lr=5e-3, engine="sequential",
            settings={"data.test": 0.0, "data.val": 1 / 3, "data.order": "random",
                      "training.train_examples": 16},
        )  # fmt: skip
        curves[name] = [list(member.history[:, "val_mean_iou"]) for member in found]
    best = {name: [max(each) for each in rows] for name, rows in curves.items()}
    with torch.device("meta"):
        net = get("u-net", (1, 572, 572), 2, padding="valid")
        side = net(torch.zeros(1, 1, 572, 572)).shape[-1]
    checks = {
        "u-net-skips": [more("mean IoU, with skips against without", best["with skips"], best["without"])],
        "u-net-size": [
            exact("side against 388", abs(side - 388)),
            told("parameters of the published network", sum(p.numel() for p in net.parameters())),
        ],
    }
    epochs = list(range(1, len(curves["without"][0]) + 1))
    figure = Figure("Overlap on validation images", "epoch", "mean IoU", curves, epochs)
    return Evidence(checks, figure)


def _shapes(count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return images (N, 32, 32) of two discs and a bar in noise, and masks of the discs."""
    draw = np.random.default_rng(seed)
    rows, columns = np.mgrid[:32, :32]
    images, masks = np.empty((2, count, 32, 32), np.uint8)
    for image, mask in zip(images, masks, strict=True):
        discs = np.zeros((32, 32), bool)
        for _ in range(2):
            i, j, radius = *draw.uniform(4, 28, 2), draw.uniform(1.5, 5)
            discs |= (rows - i) ** 2 + (columns - j) ** 2 < radius**2
        at = int(draw.integers(0, 30))
        bar = (columns if draw.random() < 0.5 else rows) // 2 == at // 2
        image[:] = np.clip(60 + 90 * (discs | bar) + draw.normal(0, 25, (32, 32)), 0, 255)
        mask[:] = discs
    return images, masks
