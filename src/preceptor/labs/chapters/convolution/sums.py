"""Branches that are added: gradients of both, grouped convolutions, and the identity that blocks can be."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from preceptor.catalogue import get
from preceptor.labs import Check, Claim, Evidence, Setup, exact, lab, told

_EXACT = 1e-12


@lab(
    "convolution",
    {
        "additive-gate": Claim(
            "Where branches are added, the gradient of the input is the sum of the branches' gradients; that "
            "of a shortcut passes unchanged.",
            source="He, Zhang, Ren and Sun, Identity Mappings in Deep Residual Networks, 2016",
        ),
        "grouped-paths": Claim(
            "A bottleneck whose convolution has groups is the same function as that many narrow paths side "
            "by side that are added.",
            source="Xie, Girshick, Dollár, Tu and He, Aggregated Residual Transformations for Deep Neural "
            "Networks, 2017",
            reference="ResNeXt-50 32×4d: 25.0 million parameters",
        ),
        "deeper-represents-shallower": Claim(
            "With shortcuts a deeper network can represent the shallower one: blocks whose branch is zero "
            "are "
            "the identity. That says nothing about what training finds.",
            source="He, Zhang, Ren and Sun, Deep Residual Learning for Image Recognition, 2016",
            instead_of="skip connections are guaranteed not to hurt",
        ),
    },
    data="random maps through blocks of the catalogue in float64",
    rule="equal within 1e-12",
    quick=True,
)
def added_branches(setup: Setup) -> Evidence:
    """Compare gradients and outputs of added branches with those of the branches alone."""
    torch.set_default_dtype(torch.float64)
    checks = {
        "additive-gate": _gate(),
        "grouped-paths": _paths(),
        "deeper-represents-shallower": _identity(),
    }
    return Evidence(checks)


def _gap(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max())


def _gate() -> list[Check]:
    branch = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.Tanh())
    x, upstream = torch.randn(2, 4, 6, 6, requires_grad=True), torch.randn(2, 4, 6, 6)
    (both,) = torch.autograd.grad(get("residual-connection", branch)(x), x, upstream)
    (alone,) = torch.autograd.grad(branch(x), x, upstream)
    return [
        exact("gradient of the sum against branch + shortcut", _gap(both, alone + upstream), _EXACT),
        exact("what the shortcut passes against what came", _gap(both - alone, upstream), _EXACT),
    ]


def _paths() -> list[Check]:
    groups, inner = 4, 8
    branch = nn.Sequential(
        nn.Conv2d(16, inner, 1, bias=False), nn.ReLU(),
        nn.Conv2d(inner, inner, 3, padding=1, groups=groups, bias=False), nn.ReLU(),
        nn.Conv2d(inner, 16, 1, bias=False),
    )  # fmt: skip
    narrow, wide, out = (m for m in branch if isinstance(m, nn.Conv2d))
    x, total = torch.randn(2, 16, 5, 5), torch.zeros(2, 16, 5, 5)
    with torch.no_grad():
        for g in range(groups):
            part = slice(g * inner // groups, (g + 1) * inner // groups)
            path = torch.conv2d(x, narrow.weight[part]).relu()
            path = torch.conv2d(path, wide.weight[part], padding=1).relu()
            total += torch.conv2d(path, out.weight[:, part])
        error = _gap(branch(x), total)
        with torch.device("meta"):
            count = sum(p.numel() for p in get("resnext-50-32x4d", (3, 224, 224), 1000).parameters())
    return [
        exact("one grouped bottleneck against four paths added", error, _EXACT),
        exact("parameters of ResNeXt-50 32×4d against 25,028,904", abs(count - 25_028_904)),
    ]


def _identity() -> list[Check]:
    shallow = get("resnet-20", (1, 8, 8), 10, depth=8, width=0.25).eval()
    deep = get("resnet-20", (1, 8, 8), 10, depth=20, width=0.25, zero_init=True).eval()
    for name, stage in shallow.named_children():
        if name.startswith("stage"):
            getattr(deep, name)[0].load_state_dict(stage[0].state_dict())
        else:
            getattr(deep, name).load_state_dict(stage.state_dict())
    x = torch.randn(4, 1, 8, 8)
    with torch.no_grad():
        error = _gap(deep(x), shallow(x))
        for p in deep.stage3[2].branch.parameters():
            p.add_(0.1)
        moved = _gap(deep(x), shallow(x))
    return [
        exact("20 layers, further branches zero, against 8", error, _EXACT),
        told("difference once one of those branches is not zero", moved),
    ]
