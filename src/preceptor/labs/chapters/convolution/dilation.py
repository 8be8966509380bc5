"""What layers see: dilation, gridding, and pooling."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import preceptor
from preceptor.catalogue import get
from preceptor.labs import Check, Claim, Evidence, Figure, Setup, exact, lab, near

_YU = "Yu and Koltun, Multi-Scale Context Aggregation by Dilated Convolutions, 2016"


@lab(
    "convolution",
    {
        "dilated-field": Claim(
            "Dilations that double let the receptive field grow exponentially with depth, plain convolutions "
            "linearly.",
            source=_YU,
            reference="ten layers with kernels of 2: 1,024 against 11",
        ),
        "dilation-gridding": Claim(
            "One dilation above 1 in all layers leaves holes: most pixels within the field are not seen.",
            source="Wang et al., Understanding Convolution for Semantic Segmentation, 2018",
        ),
        "pooling-field": Claim(
            "Pooling between two convolutions widens what they see, and takes work off the second.",
            source="Goodfellow, Bengio and Courville, Deep Learning, 2016, section 9.3",
            reference="8 against 5 pixels",
        ),
    },
    data="an impulse through layers whose weights are all 1; 3×3 convolutions of 16 channels on 32×32 maps",
    rule="fields and holes that the gradient of an output shows are those of the calculator, exactly; "
    "operations of the second convolution fall to a quarter",
    quick=True,
)
def receptive_fields(setup: Setup) -> Evidence:
    """Measure what an output sees by its gradient."""
    depths = range(1, 11)
    dilations = {"doubling": [2**i for i in range(10)], "none": [1] * 10}
    fields = {name: [_seen(2, d[:n]) for n in depths] for name, d in dilations.items()}
    width = {name: [len(seen) for seen in rows] for name, rows in fields.items()}
    checks = {
        "dilated-field": [
            exact(
                "field of ten layers, dilations 1, 2, 4, …, against 1,024", abs(width["doubling"][-1] - 1024)
            ),
            exact("field of ten plain layers against 11", abs(width["none"][-1] - 11)),
            exact("fields against the calculator's", _gap(width, dilations)),
            exact(
                "pixels in them that are not seen",
                float(sum((~s).sum() for rows in fields.values() for s in rows)),
            ),
        ],
        "dilation-gridding": _holes(),
        "pooling-field": _pooled(),
    }
    figure = Figure("Receptive field, kernels of 2", "layers", "pixels", width, list(depths), log="y")
    return Evidence(checks, figure)


def _seen(kernel: int, dilations: list[int]) -> Tensor:
    """Return which pixels, between the first and the last that matter, the middle output depends on."""
    layers = [nn.Conv1d(1, 1, kernel, dilation=d, bias=False) for d in dilations]
    reach = 1 + sum((kernel - 1) * d for d in dilations)
    x = torch.zeros(1, 1, reach + 20, dtype=torch.float64, requires_grad=True)
    net = nn.Sequential(*layers).double()
    for layer in layers:
        nn.init.ones_(layer.weight)
    (gradient,) = torch.autograd.grad(net(x)[0, 0, 10], x)
    marked = gradient[0, 0] != 0
    places = marked.nonzero().flatten()
    return marked[places[0] : places[-1] + 1]


def _gap(width: dict[str, list[int]], dilations: dict[str, list[int]]) -> float:
    return max(
        float(abs(found - get("receptive-field", [(2, 1, d) for d in dilations[name][: n + 1]]).size))
        for name, row in width.items()
        for n, found in enumerate(row)
    )


def _holes() -> list[Check]:
    constant, growing = _seen(3, [2] * 4), _seen(3, [1, 2, 4, 8])
    unused = float((~constant).float().mean())
    known = get("receptive-field", [(3, 1, 2)] * 4).unused
    return [
        near(
            "share of the field that is not seen, four layers, dilation 2 (one axis)", [unused], known, 1e-6
        ),
        Check(f"of a square that is {1 - (1 - unused) ** 2:.2f}, above ½", 1 - (1 - unused) ** 2 > 0.5),
        exact("pixels that are not seen, dilations 1, 2, 4, 8", float((~growing).sum())),
    ]


def _pooled() -> list[Check]:
    def two(*between: nn.Module) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), *between, nn.Conv2d(16, 16, 3, padding=1))

    plain, pooled = (preceptor.summary(net, (3, 32, 32)) for net in (two(), two(nn.MaxPool2d(2))))
    share = pooled.layers[-1].operations / plain.layers[-1].operations
    return [
        exact("field with pooling against 8", abs((pooled.field or (0,))[0] - 8)),
        exact("field without against 5", abs((plain.field or (0,))[0] - 5)),
        near("operations of the second convolution, share", [share], 0.25, 1e-9),
    ]
