"""Softmax in floating point."""

from __future__ import annotations

import math

import torch

from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, beyond, exact, lab

_GOODFELLOW = "Goodfellow, Bengio and Courville, Deep Learning, 2016, section 4.1"
_SCALES = (1, 10, 30, 100, 300, 1000)


@lab(
    "likelihood",
    {
        "softmax-ignores-shifts": Claim(
            "Adding one number to all logits changes no probability.", source=_GOODFELLOW
        ),
        "naive-softmax-overflows": Claim(
            "Written as e^z / Σ e^z a softmax of large logits is NaN; with the largest logit taken off "
            "first it is exact.",
            source=_GOODFELLOW,
        ),
    },
    data="256 rows of ten random logits, times 1 to 1,000, in float32; the truth in float64",
    rule="probabilities of shifted logits differ by at most 1e-12 in float64; of logits × 1,000 the naive "
    "form has NaN, the stable one and its cross-entropy differ from float64 by at most 1e-6, relative",
    quick=True,
)
def softmax_arithmetic(setup: Setup) -> Evidence:
    """Compute softmaxes of larger and larger logits in two ways."""
    generator = torch.Generator().manual_seed(setup.seeds(1)[0])
    z = torch.randn(256, 10, generator=generator)
    labels = torch.randint(10, (256,), generator=generator)
    softmax, loss = get("softmax", kind="output-unit"), get("cross-entropy", kind="loss")
    shifts = [
        float((softmax(z.double() + c) - softmax(z.double())).abs().max()) for c in (-500.0, 1.0, 500.0)
    ]
    bad, wrong = [], []
    for scale in _SCALES:
        exponents = (z * scale).exp()
        naive = exponents / exponents.sum(1, keepdim=True)
        bad.append(float(naive.isnan().any(1).float().mean()))
        wrong.append(float((softmax(z * scale) - softmax((z * scale).double())).abs().max()))
    large = z * 1000
    entropy, truth = float(loss(large, labels)), float(loss(large.double(), labels))
    return Evidence(
        {
            "softmax-ignores-shifts": [exact("largest change of a probability", max(shifts), 1e-12)],
            "naive-softmax-overflows": [
                beyond("share of rows with NaN in the naive form of logits × 1,000", bad[-1], 0.9),
                exact("largest error of the stable form", max(wrong), 1e-6),
                exact("relative error of cross-entropy on logits × 1,000", abs(entropy / truth - 1), 1e-6),
                exact("cross-entropies that are not finite", float(not math.isfinite(entropy))),
            ],
        },
        Figure("Rows that the naive softmax spoils", "scale of the logits", "share of rows with NaN",
               {"naive": bad, "stable": [0.0] * len(bad)}, _SCALES, log="x"),
    )  # fmt: skip
