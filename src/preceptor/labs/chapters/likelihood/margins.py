"""When a loss is satisfied: hinge and cross-entropy on classes that can be separated."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, beyond, exact, lab, near

_SOUDRY = "Soudry et al., The Implicit Bias of Gradient Descent on Separable Data, 2018"
_PLACES = tuple(int(n) for n in np.unique(np.geomspace(1, 5_000, 40).astype(int)))


@lab(
    "likelihood",
    {
        "hinge-loss-comes-to-rest": Claim(
            "On classes that can be separated hinge loss gets to exactly 0, and the weights stop.",
            source="Weston and Watkins, Support Vector Machines for Multi-Class Pattern Recognition, 1999",
        ),
        "cross-entropy-never-rests": Claim(
            "On such classes cross-entropy always has a gradient: the weights grow on as the logarithm of "
            "the number of steps.",
            source=_SOUDRY,
        ),
    },
    data="two clouds of 50 points, six deviations apart; full-batch descent at rate 0.5 for 5,000 steps",
    rule="hinge loss and its gradient are exactly 0 at the end, and the weights are those of the middle of "
    "training; cross-entropy's gradient is above 0, and the correlation of the norm with the logarithm of "
    "the step, from step 100 on, is at least 0.99 within 0.01",
    quick=True,
)
def separable_classes(setup: Setup) -> Evidence:
    """Descend both losses on separable clouds, and watch the norm of the weights."""
    generator = torch.Generator().manual_seed(setup.seeds(1)[0])
    y = torch.arange(2).repeat_interleave(50)
    clouds = torch.randn(100, 2, generator=generator).clamp(-2, 2) + 6.0 * (y[:, None] - 0.5)
    x = torch.cat([clouds, torch.ones(100, 1)], 1).double()
    norms, ends = {}, {}
    for name in ("hinge", "cross-entropy"):
        norms[name], ends[name] = _descended(name, x, y)
    late = [i for i, step in enumerate(_PLACES) if step >= 100]
    steps, grown = np.log([_PLACES[i] for i in late]), [norms["cross-entropy"][i] for i in late]
    correlation, growth = np.corrcoef(steps, grown)[0, 1], np.polyfit(steps, grown, 1)[0]
    hinge, entropy = norms["hinge"], ends["cross-entropy"]
    middle = hinge[len(hinge) // 2]
    return Evidence(
        {
            "hinge-loss-comes-to-rest": [
                exact("loss at the end", ends["hinge"][0]),
                exact("gradient at the end", ends["hinge"][1]),
                exact("change of the norm in the second half", abs(hinge[-1] - middle)),
            ],
            "cross-entropy-never-rests": [
                beyond("gradient at the end", entropy[1], 0.0),
                near("correlation of norm and logarithm of the step", [correlation], 1.0, 0.01),
                beyond("growth of the norm while the steps grow by a factor e", growth, 0.05),
            ],
        },
        Figure("Norm of the weights", "steps", "‖w‖", norms, _PLACES, log="x"),
    )  # fmt: skip


def _descended(loss: str, x: Tensor, y: Tensor) -> tuple[list[float], tuple[float, float]]:
    """Return the norm of the weights at the places, and loss and gradient at the end."""
    w = torch.zeros(x.shape[1], 2, dtype=x.dtype, requires_grad=True)
    made = get(loss, kind="loss")
    norms = []
    for step in range(1, _PLACES[-1] + 1):
        value = made(x @ w, y)
        (slope,) = torch.autograd.grad(value, w)
        with torch.no_grad():
            w -= 0.5 * slope
        if step in _PLACES:
            norms.append(float(w.detach().norm()))
    return norms, (float(value.detach()), float(slope.abs().max()))
