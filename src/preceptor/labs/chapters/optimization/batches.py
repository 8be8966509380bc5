"""What a gradient of a few examples has to do with that of all."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, above, exact, lab, near, slope
from preceptor.labs.chapters._digits import digits

_BOTTOU = "Bottou, Curtis and Nocedal, Optimization Methods for Large-Scale Machine Learning, 2018"
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_EXAMPLES = 600


def _network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    net: nn.Module = get("mlp", (64,), 10, hidden=[12], init="he-normal", kind="architecture")
    return net


def _gradient(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    loss = nn.functional.cross_entropy(net(x), y)
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(net.parameters()))])


def _variances(seed: int, repeats: int) -> list[float]:
    x, y = digits()
    noise = get(
        "gradient-noise",
        _network(seed),
        nn.functional.cross_entropy,
        x[:_EXAMPLES],
        y[:_EXAMPLES],
        sizes=_SIZES,
        repeats=repeats,
        seed=seed,
        kind="inspection",
    )
    found: list[float] = noise["variances"]
    return found


def _directions(seed: int, batch: int, draws: int) -> tuple[list[float], float]:
    """Return the cosines of batches' gradients with that of all, and how far their mean is from it.

    The latter over the deviation that a mean of so many draws is to have.
    """
    x, y = digits()
    net = _network(seed)
    whole = _gradient(net, x, y)
    each = torch.stack([_gradient(net, x[rows], y[rows]) for rows in torch.randint(len(x), (draws, batch))])
    cosines: list[float] = nn.functional.cosine_similarity(each, whole[None]).tolist()
    error = float((each.mean(0) - whole).norm())
    return cosines, error / float((each.var(0).sum() / draws).sqrt())


def _duplicated(seed: int) -> float:
    """Return by how much the gradient of 100 examples differs from that of twelve copies of each."""
    x, y = (part[:100] for part in digits())
    net = _network(seed)
    apart = _gradient(net, x, y) - _gradient(net, x.repeat(12, 1), y.repeat(12))
    return float(apart.norm() / _gradient(net, x, y).norm())


@lab(
    "optimization",
    {
        "batches-cut-variance": Claim(
            "The variance of a gradient falls in proportion to the batch size.", source=_BOTTOU
        ),
        "batches-point-downhill": Claim(
            "The gradient of a few examples is noisy, but right on average: it points downhill most of the "
            "time, and its mean is the whole gradient.",
            source=_BOTTOU,
        ),
        "duplicates-add-nothing": Claim(
            "Where every example occurs twelve times, a twelfth of the data has the gradient of all.",
            source="Goodfellow, Bengio and Courville, Deep Learning, 2016, section 8.1.3",
        ),
    },
    data="digits, an MLP of one hidden layer of 12 ReLU units at its start, batches drawn with replacement",
    rule="variance falls as the power −1 ± 0.05; cosine with the whole gradient above 0.2 for 8 examples, "
    "its "
    "mean over 200 draws away by the expected deviation ± 0.5; gradients of duplicates equal to 1e-5",
)
def batch_gradients(setup: Setup) -> Evidence:
    """Compare gradients of batches with that of all examples."""
    seeds = setup.seeds(4, 10)
    variances = [_variances(seed, setup.size(60, 300)) for seed in seeds]
    cosines, errors = zip(*(_directions(seed, 8, 200) for seed in seeds), strict=True)
    downhill = [sum(c > 0 for c in each) / len(each) for each in cosines]
    checks = {
        "batches-cut-variance": [slope("variance", _SIZES, variances, -1.0, within=0.05)],
        "batches-point-downhill": [
            above("mean cosine of 8 examples", [sum(each) / len(each) for each in cosines], 0.2),
            above("share of gradients that point downhill", downhill, 0.9),
            near("distance of the mean over its deviation", errors, 1.0, within=0.5),
        ],
        "duplicates-add-nothing": [exact("relative difference", max(map(_duplicated, seeds)), 1e-5)],
    }
    figure = Figure(
        "Variance of the gradient", "examples", "variance", {"variance": variances}, _SIZES, log="xy"
    )
    return Evidence(checks, figure)
