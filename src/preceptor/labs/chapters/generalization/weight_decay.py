"""When weight decay is the L2 penalty."""

from __future__ import annotations

import torch
from torch import nn

from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, above, exact, lab

_STRENGTH, _LR, _STEPS = 0.1, 0.01, 60
_OPTIMIZERS = ("sgd", "momentum", "adam")


@lab(
    "generalization",
    {
        "weight-decay-is-l2-for-sgd": Claim(
            "For plain gradient descent weight decay and the L2 penalty are the same.",
            source="Krogh and Hertz, A Simple Weight Decay Can Improve Generalization, 1992",
        ),
        "weight-decay-is-not-l2-for-adam": Claim(
            "For Adam they are not: it divides the penalty's gradient by the size of past gradients, so that "
            "what a weight loses depends on them.",
            source="Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019",
            instead_of="Weight decay and L2 regularisation are the same.",
        ),
    },
    data="a tanh network 5-16-1 on 64 random examples, 60 full-batch steps in float64, strength 0.1; "
    "weights under decay against weights under the penalty, ‖difference‖ / ‖weights‖",
    rule="SGD: the difference is at most 1e-12; Adam: over 3 starts the interval of the mean difference is "
    "above 0.01",
    quick=True,
)
def weight_decay(setup: Setup) -> Evidence:
    """Train with decay and with the penalty, from the same start."""
    apart = {name: [_apart(name, seed) for seed in setup.seeds(3, full=20)] for name in _OPTIMIZERS}
    last = {name: [rows[-1] for rows in runs] for name, runs in apart.items()}
    checks = {
        "weight-decay-is-l2-for-sgd": [exact("SGD, difference of the weights", max(last["sgd"]), 1e-12)],
        "weight-decay-is-not-l2-for-adam": [above("Adam, difference of the weights", last["adam"], 0.01)],
    }
    figure = Figure(
        "Decay against penalty: how far the weights are apart",
        "step",
        "‖difference‖ / ‖weights‖",
        {name: [[max(v, 1e-17) for v in run] for run in runs] for name, runs in apart.items()},
        list(range(1, _STEPS + 1)),
        log="y",
    )
    note = "With momentum, too, the two part: the penalty's gradient is remembered, the decay is not."
    return Evidence(checks, figure, note=note)


def _apart(optimizer: str, seed: int) -> list[float]:
    """Return the distance of both trainings' weights after each step."""
    nets, trained = [], []
    x = torch.randn(64, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    y = torch.sin(2 * x[:, :1]) + x[:, 1:2] * x[:, 2:3]
    for penalty in ("weight-decay", "l2"):
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 1)).double()
        regularizer = get(penalty, kind="regularizer", strength=_STRENGTH, bias=True).attach(net)
        nets.append(net)
        trained.append((net, regularizer, get(optimizer, net.parameters(), lr=_LR, kind="optimizer")))
    distances = []
    for _ in range(_STEPS):
        for (net, regularizer, stepper), decays in zip(trained, (True, False), strict=True):
            stepper.zero_grad()
            loss = 0.5 * (net(x) - y).square().mean()
            (loss if decays else loss + regularizer.penalty()).backward()
            if decays:
                regularizer.before_step(_LR)
            stepper.step()
        a, b = (nn.utils.parameters_to_vector(net.parameters()).detach() for net in nets)
        distances.append(float((a - b).norm() / b.norm()))
    return distances
