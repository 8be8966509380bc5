"""What a loss asks for: probabilities, or decisions."""

from __future__ import annotations

import torch
from torch import Tensor

from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, exact, lab, told

_CHANCES = (0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9)
_GNEITING = "Gneiting and Raftery, Strictly Proper Scoring Rules, Prediction, and Estimation, 2007"
_LOSSES = {"cross-entropy": "binary-cross-entropy", "squared error": "mse", "absolute error": "mae"}


@lab(
    "likelihood",
    {
        "cross-entropy-asks-for-probabilities": Claim(
            "Cross-entropy is least where the output is the true probability.", source=_GNEITING
        ),
        "absolute-error-asks-for-decisions": Claim(
            "Absolute error and accuracy do not ask for probabilities: 0 and 1 do at least as well.",
            source=_GNEITING,
        ),
    },
    data="eight kinds of inputs with chances from 0.1 to 0.9 of the label 1, 40,000 draws of each",
    rule="trained by cross-entropy and by squared error, each output is the chance within 0.01; by absolute "
    "error it is 0 or 1 within 0.01; accuracy does not tell the true chances from 0 and 1",
    quick=True,
)
def scoring_rules(setup: Setup) -> Evidence:
    """Train one logit for each kind of input, by three losses."""
    generator = torch.Generator().manual_seed(setup.seeds(1)[0])
    chance = torch.tensor(_CHANCES)
    labels = (torch.rand(40_000, len(chance), generator=generator) < chance).float()
    found = {shown: _trained(name, labels.mean(0)) for shown, name in _LOSSES.items()}
    decisions = chance.round()
    apart = {name: float((q - chance).abs().max()) for name, q in found.items()}
    right = [float((q.round() == labels).float().mean()) for q in (chance, decisions)]
    best = [
        float(get("proper-scoring-rule", chance, score=s).sub(chance).abs().max()) for s in ("log", "brier")
    ]
    return Evidence(
        {
            "cross-entropy-asks-for-probabilities": [
                exact("largest distance from the chance by cross-entropy", apart["cross-entropy"], 0.01),
                exact("largest distance from the chance by squared error", apart["squared error"], 0.01),
                told("the same without draws, by both", max(best)),
            ],
            "absolute-error-asks-for-decisions": [
                exact(
                    "largest distance from 0 or 1 by absolute error",
                    float((found["absolute error"] - decisions).abs().max()),
                    0.01,
                ),
                exact("difference in accuracy of the true chances and 0 and 1", abs(right[0] - right[1])),
                told("accuracy of both", right[0]),
            ],
        },
        Figure("Outputs after training", "true chance", "output",
               {name: q.tolist() for name, q in found.items()}, _CHANCES, kind="points"),
    )  # fmt: skip


def _trained(loss: str, share: Tensor) -> Tensor:
    """Return the outputs that minimise the mean loss over labels of which that share is 1."""
    made = get(loss, kind="loss", reduction="none")
    z = torch.zeros_like(share, requires_grad=True)
    optimizer = torch.optim.Adam([z], lr=0.1)
    for _ in range(500):
        optimizer.zero_grad()
        output = z if loss == "binary-cross-entropy" else z.sigmoid()
        each = share * made(output, torch.ones_like(z)) + (1 - share) * made(output, torch.zeros_like(z))
        each.sum().backward()
        optimizer.step()
    return z.detach().sigmoid()
