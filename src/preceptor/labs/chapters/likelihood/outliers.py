"""What squared and absolute errors make of outliers, and what their names leave open."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, exact, lab, more, near

_KOENKER = "Koenker and Bassett, Regression Quantiles, 1978"
_SLOPE = 2.0


@lab(
    "likelihood",
    {
        "absolute-error-finds-the-median": Claim(
            "The constant of least absolute error is the median, that of least squared error the mean.",
            source="Laplace, Théorie analytique des probabilités, 1812",
            reference="3 and 22 for 1, 2, 3, 4, 100",
        ),
        "absolute-error-resists-outliers": Claim(
            "A few outliers spoil a line that is fitted by squared error, and hardly one by absolute error.",
            source=_KOENKER,
        ),
    },
    data="the numbers 1, 2, 3, 4, 100; lines of 100 points, of slope 2, the last five thirty deviations too "
    "high",
    rule="the constants are 3 and 22 within 0.01; the error of the slope by squared error is more "
    "than twice that by absolute error, the mean of logarithms over 50 samples",
    quick=True,
)
def outliers(setup: Setup) -> Evidence:
    """Fit constants and lines by both losses."""
    numbers = torch.tensor([1.0, 2.0, 3.0, 4.0, 100.0])
    places = torch.linspace(0, 30, 3001)
    mae, mse = get("mae", kind="loss"), get("mse", kind="loss")
    absolute, squared = ([float(f(c.expand(5), numbers)) for c in places] for f in (mae, mse))
    x, t = _points(setup.seeds(50, 500))
    lines = {"squared error": _by_squares(x, t), "absolute error": _by_size(x, t)}
    errors = {name: (line[:, 1] - _SLOPE).abs().log() for name, line in lines.items()}
    order = x[0].argsort()
    shown = {name: (line[0, 0] + line[0, 1] * x[0])[order].tolist() for name, line in lines.items()}
    return Evidence(
        {
            "absolute-error-finds-the-median": [
                near("best constant by absolute error", [float(places[int(np.argmin(absolute))])], 3, 0.01),
                near("best constant by squared error", [float(places[int(np.argmin(squared))])], 22, 0.01),
            ],
            "absolute-error-resists-outliers": [
                more(
                    "logarithm of the slope's error, by squared and by absolute error",
                    errors["squared error"], errors["absolute error"], by=math.log(2),
                )
            ],
        },
        Figure("Lines through points with five outliers", "x", "t",
               {"points": t[0, order].tolist(), **shown}, x[0, order].tolist(), kind="points"),
    )  # fmt: skip


def _points(seeds: list[int]) -> tuple[Tensor, Tensor]:
    """Return places and targets of one line a seed, (seeds, 100) each."""
    x = torch.linspace(-1, 1, 100, dtype=torch.float64).expand(len(seeds), 100)
    noise = [torch.randn(100, generator=torch.Generator().manual_seed(seed)).double() for seed in seeds]
    t = _SLOPE * x + 0.1 * torch.stack(noise)
    t[:, -5:] += 3.0
    return x, t


def _by_squares(x: Tensor, t: Tensor) -> Tensor:
    return torch.stack([get("least-squares", torch.stack([x[0] ** 0, x[0]], 1), each).x for each in t])


def _by_size(x: Tensor, t: Tensor) -> Tensor:
    """Fit all lines at once, at a rate that falls to nothing: the gradient does not get smaller by itself."""
    line = torch.zeros(len(t), 2, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([line], lr=0.1)
    falling = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, 600)
    loss = get("mae", kind="loss", reduction="sum")
    for _ in range(600):
        optimizer.zero_grad()
        loss(line[:, :1] + line[:, 1:] * x, t).backward()
        optimizer.step()
        falling.step()
    return line.detach()


@lab(
    "likelihood",
    {
        "mean-errors-are-averages": Claim(
            "Mean absolute and squared error are averages over the examples, in libraries over the outputs "
            "too; a sum is n·D times as large.",
            source="Goodfellow, Bengio and Courville, Deep Learning, 2016, section 5.1.4",
            instead_of="L1 and L2 loss are the sum of all differences",
        ),
        "cross-entropy-averages-over-examples": Claim(
            "Cross-entropy is divided by the number of examples, whatever the number of labels.",
            source="Goodfellow, Bengio and Courville, Deep Learning, 2016, section 6.2.2.3",
            instead_of="n is the number of labels",
        ),
        "one-half-scales-the-gradient": Claim(
            "A factor ½ before the squared error halves the gradient and leaves the minimum where it is.",
            source="Bishop, Pattern Recognition and Machine Learning, 2006, section 1.1",
        ),
    },
    data="64 random outputs of 5 numbers, and of 10 classes",
    rule="the ratios of sum and mean are 320, 320 and 64, that of the gradients 2, each within 1e-5; both "
    "squared errors are least at the mean of the targets",
    quick=True,
)
def loss_averages(setup: Setup) -> Evidence:
    """Compare each loss's sum with its mean, and the two squared errors' gradients."""
    generator = torch.Generator().manual_seed(setup.seeds(1)[0])
    z, t = torch.randn(2, 64, 5, generator=generator, dtype=torch.float64)
    logits = torch.randn(64, 10, generator=generator, dtype=torch.float64)
    labels = torch.randint(10, (64,), generator=generator)

    def ratio(name: str, output: Tensor, target: Tensor) -> float:
        whole, mean = (get(name, kind="loss", reduction=r)(output, target) for r in ("sum", "mean"))
        return float(whole / mean)

    slopes = [get("gradient", lambda c, f=f: f(c.expand_as(t), t), t.mean(0)) for f in _squares()]
    at = [get("gradient", lambda o, f=f: f(o, t), z) for f in _squares()]
    return Evidence(
        {
            "mean-errors-are-averages": [
                near(f"sum over mean, {name}", [ratio(name, z, t)], 320, within=1e-5)
                for name in ("mae", "mse")
            ],
            "cross-entropy-averages-over-examples": [
                near("sum over mean", [ratio("cross-entropy", logits, labels)], 64, within=1e-5)
            ],
            "one-half-scales-the-gradient": [
                near("gradient without ½ over that with it", (at[0] / at[1]).flatten(), 2, within=1e-9),
                *(exact("slope at the mean of the targets", float(s.abs().max()), 1e-12) for s in slopes),
            ],
        }
    )


def _squares() -> tuple[Any, Any]:
    """Return the squared error of each example without and with the factor ½."""
    return get("mse", kind="loss", per="example"), get("half-mse")
