"""Temperature: how surprising a softmax is."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

import preceptor
from preceptor.catalogue import get
from preceptor.data import load
from preceptor.labs import Claim, Evidence, Figure, Setup, exact, lab, near, rising

_TAUS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 10.0)
_KNOWN = {0.1: 0.0005, 0.5: 0.441, 1.0: 0.832, 2.0: 1.020, 10.0: 1.095, 100.0: 1.0986}
_ACKLEY = "Ackley, Hinton and Sejnowski, A Learning Algorithm for Boltzmann Machines, 1985"


@lab(
    "likelihood",
    {
        "entropy-rises-with-temperature": Claim(
            "The entropy of a softmax rises with its temperature, from 0 to that of equal chances.",
            source=_ACKLEY,
        ),
        "sampling-errors-rise-with-temperature": Claim(
            "Drawn predictions are wrong the more often the higher the temperature; the most probable class "
            "stays the same.",
            source=_ACKLEY,
        ),
    },
    data="logits 1, 2, 3; and a softmax regression on digits, sampled on its validation examples",
    rule="entropies of the three logits are those of softmax(z/τ), within 0.001; mean entropy and share of "
    "wrong draws rise with τ, rank correlation at least 0.9; no most probable class changes",
    quick=True,
)
def softmax_temperature(setup: Setup) -> Evidence:
    """Soften a softmax, measure its entropy, and draw from it."""
    three = torch.tensor([1.0, 2.0, 3.0])
    seed = setup.seeds(1)[0]
    logits, labels = _outputs(seed)
    generator = torch.Generator().manual_seed(seed)
    entropy, wrong, changed = [], [], 0
    for tau in _TAUS:
        chances = get("temperature", logits, temperature=tau).exp()
        entropy.append(float(_entropy(chances).mean()))
        drawn = torch.multinomial(chances, 50, replacement=True, generator=generator)
        wrong.append(float((drawn != labels[:, None]).float().mean()))
        changed += int((chances.argmax(1) != logits.argmax(1)).sum())
    return Evidence(
        {
            "entropy-rises-with-temperature": [
                *(
                    near(f"entropy of 1, 2, 3 at τ = {tau:g}", [_of(three, tau)], known, within=1e-3)
                    for tau, known in _KNOWN.items()
                ),
                rising("mean entropy on digits", _TAUS, entropy),
            ],
            "sampling-errors-rise-with-temperature": [
                rising("share of wrong draws", _TAUS, wrong),
                exact("most probable classes that changed", changed),
            ],
        },
        Figure("Digits, drawn at a temperature", "temperature τ", "share of wrong draws, entropy in nats",
               {"wrong draws": wrong, "entropy": entropy}, _TAUS, log="x"),
    )  # fmt: skip


def _outputs(seed: int) -> tuple[Tensor, Tensor]:
    """Train on digits; return logits and labels of the validation examples."""
    run = preceptor.train("linear", "digits", epochs=20, seed=seed, out=False)
    part = run.part("val")
    assert part is not None  # noqa: S101 - the digits have one
    chances = torch.from_numpy(run.predict_proba(np.asarray(load("digits").inputs)[part.rows]))
    return chances.double().log().clamp_min(-700), part.y


def _entropy(chances: Tensor) -> Tensor:
    entropy: Tensor = torch.special.entr(chances).sum(-1)
    return entropy


def _of(logits: Tensor, tau: float) -> float:
    return float(_entropy(get("temperature", logits, temperature=tau).exp()))
