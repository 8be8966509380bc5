"""What a prior does to maximum likelihood."""

from __future__ import annotations

import torch
from torch import Tensor

from preceptor.catalogue import get
from preceptor.data import load
from preceptor.labs import Claim, Evidence, Figure, Setup, exact, lab
from preceptor.labs.chapters._tables import standardised

_ALPHAS = (0.1, 1.0, 10.0, 100.0, 1000.0)


@lab(
    "likelihood",
    {
        "flat-prior-is-maximum-likelihood": Claim(
            "With a uniform prior the most probable parameters are those of maximum likelihood.",
            source="Goodfellow, Bengio and Courville, Deep Learning, 2016, section 5.6.1",
        ),
        "gaussian-prior-is-l2": Claim(
            "A Gaussian prior N(0, 1/α) on the weights of linear regression is an L2 penalty ½ α ‖w‖².",
            source="Bishop, Pattern Recognition and Machine Learning, 2006, section 3.3.1",
        ),
    },
    data="7 heads in 10 throws; diabetes, standardised, unit noise",
    rule="the same parameters within 1e-6, relative to their norm, as the closed forms: the share of heads, "
    "least squares, ridge regression for five α from 0.1 to 1,000",
    quick=True,
)
def priors(setup: Setup) -> Evidence:
    """Climb likelihood times prior, and compare with the closed forms."""
    throws = torch.tensor([1.0] * 7 + [0.0] * 3)
    chance = get(
        "maximum-a-posteriori",
        lambda free: get("log-likelihood", throws, free.sigmoid(), family="bernoulli"),
        torch.zeros(1),
        prior="uniform",
    ).sigmoid()
    X, t = standardised(load("diabetes"))

    def fit(w: Tensor) -> Tensor:
        return -(X @ w - t).square().sum() / 2

    flat = get("maximum-a-posteriori", fit, X.new_zeros(X.shape[1]), prior="uniform")
    climbed = [get("maximum-a-posteriori", fit, flat * 0, precision=alpha) for alpha in _ALPHAS]
    ridge = [get("ridge-regression", X, t, weight_decay=alpha).x for alpha in _ALPHAS]
    return Evidence(
        {
            "flat-prior-is-maximum-likelihood": [
                exact("share of heads", abs(float(chance) - 0.7), 1e-6),
                exact("weights of linear regression", _apart(flat, get("normal-equations", X, t).x), 1e-6),
            ],
            "gaussian-prior-is-l2": [
                exact(f"weights at α = {alpha:g}", _apart(w, r), 1e-6)
                for alpha, w, r in zip(_ALPHAS, climbed, ridge, strict=True)
            ],
        },
        Figure("A Gaussian prior shrinks the weights", "precision α of the prior", "‖w‖",
               {"most probable a posteriori": [float(w.norm()) for w in climbed],
                "ridge regression": [float(r.norm()) for r in ridge]}, _ALPHAS, log="x",
               levels={"maximum likelihood": float(flat.norm())}),
    )  # fmt: skip


def _apart(w: Tensor, other: Tensor) -> float:
    return float((w - other).norm() / other.norm())
