"""What inputs of one sign do to the signs of gradients, and to the way that a descent takes."""

from __future__ import annotations

import torch
from torch import Tensor

from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, above, exact, lab, more

_LECUN = "LeCun, Bottou, Orr and Müller, Efficient BackProp, 1998"
_BATCHES = (1, 4, 16, 64)


def _agreement(activation: str, seed: int, batch: int) -> float:
    """Return the share of a unit's weights whose gradient has the sign of the unit's majority, the mean."""
    torch.manual_seed(seed)
    net = get(
        "mlp", (20,), 3, hidden=[30, 30], activation=activation, init="lecun-normal", kind="architecture"
    )
    loss = torch.nn.functional.cross_entropy(net(torch.randn(batch, 20)), torch.randint(3, (batch,)))
    (slope,) = torch.autograd.grad(loss, [net[2].weight])
    positive = (slope > 0).float().mean(1)
    return float(torch.maximum(positive, 1 - positive).mean())


def _descent(x: Tensor, y: Tensor) -> tuple[int, float]:
    """Return the steps to a distance of 1e-3, and the length of the way over the direct one.

    Gradient descent from zero at its best constant rate, 2 / (largest + smallest curvature).
    """
    H, b = x.T @ x / len(x), x.T @ y / len(x)
    curvatures = torch.linalg.eigvalsh(H)
    goal, rate = torch.linalg.solve(H, b), 2 / (curvatures[0] + curvatures[-1])
    w, way, steps = torch.zeros_like(b), 0.0, 0
    while torch.linalg.vector_norm(w - goal) > 1e-3 * torch.linalg.vector_norm(goal) and steps < 100_000:
        step = rate * (H @ w - b)
        w, way, steps = w - step, way + float(torch.linalg.vector_norm(step)), steps + 1
    return steps, way / float(torch.linalg.vector_norm(goal))


def _both_descents(seed: int) -> tuple[tuple[int, float], tuple[int, float]]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(400, 10, generator=generator, dtype=torch.float64)
    w = torch.randn(10, generator=generator, dtype=torch.float64)
    centred = x - x.mean(0)
    return _descent(x, x @ w), _descent(centred, centred @ w)


@lab(
    "activations",
    {
        "positive-inputs-one-sign": Claim(
            "Where all inputs of a unit are positive, as behind sigmoids, one example's gradients of all its "
            "weights have one sign.",
            source=_LECUN,
        ),
        "batches-mix-signs": Claim(
            "Summed over a batch the signs mix, also behind sigmoids: one direction for all weights is a "
            "matter "
            "of one example and one unit.",
            source=_LECUN,
            instead_of="Behind sigmoids all weights are updated in the same direction.",
        ),
        "centred-inputs-shorten": Claim(
            "Centred inputs make the problem better conditioned: gradient descent zig-zags less, on a "
            "shorter "
            "way, in fewer steps.",
            source=_LECUN,
            instead_of="Inputs are centred so that gradients become independent.",
        ),
    },
    data="standard normal examples through 30 sigmoids into 30 more; linear regression on ten features "
    "uniform in 0 … 1, 400 examples",
    rule="agreement exactly 1 for one example behind sigmoids, one weight in a hundred at least disagrees "
    "in a batch of 64; steps and way "
    "of descent at its best rate at least twice, and more, on raw inputs",
    quick=True,
)
def gradient_signs(setup: Setup) -> Evidence:
    """Count agreeing signs, and measure the way of a descent, with and without centred inputs."""
    seeds = setup.seeds(20, 100)
    agreed = {
        name: [[_agreement(name, seed, batch) for batch in _BATCHES] for seed in seeds]
        for name in ("sigmoid", "tanh")
    }
    raw, centred = zip(*(_both_descents(seed) for seed in seeds), strict=True)
    checks = {
        "positive-inputs-one-sign": [
            exact(
                "agreement behind sigmoids, one example, less 1", max(1 - row[0] for row in agreed["sigmoid"])
            ),
            above("disagreeing share behind tanh, one example", [1 - row[0] for row in agreed["tanh"]], 0.2),
        ],
        "batches-mix-signs": [
            above(
                "disagreeing share behind sigmoids, batch of 64",
                [1 - row[-1] for row in agreed["sigmoid"]],
                0.01,
            )
        ],
        "centred-inputs-shorten": [
            above("steps, raw over centred", [a[0] / b[0] for a, b in zip(raw, centred, strict=True)], 2.0),
            more(
                "way over the direct one, raw against centred", [a[1] for a in raw], [b[1] for b in centred]
            ),
        ],
    }
    figure = Figure(
        "Weights of a unit whose gradients agree in sign",
        "examples in the batch",
        "share",
        agreed,
        _BATCHES,
        log="x",
    )
    return Evidence(checks, figure, note="A batch of 64 dilutes the agreement behind sigmoids, and no more.")
