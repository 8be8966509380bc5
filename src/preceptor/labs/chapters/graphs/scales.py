"""The scale of the inputs, as gradients and rates see it."""

from __future__ import annotations

import math

from torch import Tensor

from preceptor.catalogue import get
from preceptor.data import load
from preceptor.labs import Claim, Evidence, Figure, Setup, beyond, exact, lab, near
from preceptor.labs.chapters._tables import standardised

_SCALE = 1000.0


@lab(
    "graphs",
    {
        "gradients-scale-with-inputs": Claim(
            "With inputs times 1,000 the gradients of the weights are 1,000 times as large, for the same "
            "gradient that arrives from above.",
            source="LeCun, Bottou, Orr and Müller, Efficient BackProp, 1998, section 4.3",
        ),
        "rates-scale-with-inputs-squared": Claim(
            "With inputs times 1,000 the learning rate has to be 10⁶ times as small.",
            source="LeCun, Bottou, Orr and Müller, Efficient BackProp, 1998, section 5.1",
            instead_of="multiply the inputs by 1,000, and lower the learning rate by that factor",
        ),
    },
    data="linear regression on diabetes, standardised and times 1,000; 50 steps from weights 0",
    rule="the ratio of the gradients is 1,000 and that of the largest stable rates 1e-6, within 1e-9 of "
    "themselves; with the rate lowered by 1,000 the loss grows beyond 1e100, with a rate lowered by 10⁶ the "
    "predictions are those of the unscaled inputs within 1e-9",
    quick=True,
)
def scaled_inputs(setup: Setup) -> Evidence:
    """Scale the inputs, and descend at three rates."""
    X, t = standardised(load("diabetes"))
    found = get("input-scale", X, -t, scale=_SCALE)
    rate = found["stable_rate"] / 4
    plain, at_plain = _descended(X, t, rate)
    bold, _ = _descended(_SCALE * X, t, rate / _SCALE)
    careful, at_careful = _descended(_SCALE * X, t, rate / _SCALE**2)
    return Evidence(
        {
            "gradients-scale-with-inputs": [
                near("ratio of the gradients", [found["gradient_ratio"]], _SCALE, within=1e-6)
            ],
            "rates-scale-with-inputs-squared": [
                near("ratio of the stable rates × 10⁶", [found["rate_ratio"] * 1e6], 1.0, within=1e-9),
                beyond("loss after 50 steps at a rate lowered by 1,000", bold[-1], 1e100),
                exact("predictions at a rate / 10⁶", float((at_plain - at_careful).abs().max()), 1e-9),
            ],
        },
        Figure("Loss by step", "step", "mean squared error",
               {"inputs as they are": plain, "× 1,000, rate / 1,000": [min(v, 1e30) for v in bold],
                "× 1,000, rate / 10⁶": careful}, list(range(len(plain))), log="y"),
        note="The figure ends at 1e30; the curve of the rate lowered by 1,000 alone does not.",
    )  # fmt: skip


def _descended(X: Tensor, t: Tensor, rate: float, steps: int = 50) -> tuple[list[float], Tensor]:
    """Return the loss before each step and after the last, and the predictions."""
    w = X.new_zeros(X.shape[1])
    losses = []
    for _ in range(steps):
        losses.append(float((X @ w - t).square().mean()))
        w = w - rate * X.T @ (X @ w - t) / len(X)
    losses.append(float((X @ w - t).square().mean()))
    return [loss if math.isfinite(loss) else math.inf for loss in losses], X @ w
