"""What pruning and coarse codes make of a small network's size."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from preceptor.catalogue import get
from preceptor.labs import Check, Claim, Evidence, Figure, Setup, lab

_DENSITY, _BITS = 0.33, 6
_NOTE = (
    "Sizes alone: the weights are as they start, and what pruning costs in accuracy was published, not "
    "measured here. Trained weights are more alike, and take fewer bits."
)


@lab(
    "convolution",
    {
        "squeezenet-compressed": Claim(
            "SqueezeNet fits into 0.5 MB only once it is pruned to a third and coded in 6 bits; the codes "
            "alone do not suffice.",
            source="Iandola et al., SqueezeNet, 2016; Han, Mao and Dally, Deep Compression, 2016",
            reference="0.47 MB at a density of 33 % and 6 bits, with the accuracy of AlexNet",
            instead_of="SqueezeNet takes less than 0.5 MB",
        )
    },
    data="SqueezeNet 1.0 with weights drawn by He's rule",
    rule="above 0.5 MB in single precision and in 6 bits; below once the smallest two thirds of the weights "
    "are left out, by the entropy of what is kept and where",
    quick=True,
)
def compressed_squeezenet(setup: Setup) -> Evidence:
    """Prune and quantise SqueezeNet, and count the bytes."""
    net = get("squeezenet-1.0", (3, 224, 224), 1000)
    weights = [p.detach() for p in net.parameters()]
    count = sum(p.numel() for p in weights)
    megabytes = {
        "32 bits": 4e-6 * count,
        "6 bits": _BITS / 8e6 * count,
        "pruned, 6 bits": sum(_bits(p) for p in weights) / 8e6,
    }
    checks = [
        Check(f"{name}: {size:.3g} MB, {'below' if 'pruned' in name else 'above'} 0.5",
              (size < 0.5) == ("pruned" in name))
        for name, size in megabytes.items()
    ]  # fmt: skip
    figure = Figure("SqueezeNet", "coded in", "megabytes", {"size": list(megabytes.values())},
                    list(megabytes), "bars", levels={"0.5 MB": 0.5})  # fmt: skip
    return Evidence({"squeezenet-compressed": checks}, figure, note=_NOTE)


def _bits(weight: Tensor) -> float:
    """Return the bits that a third of the weights takes: their codes, a book of them, and their places."""
    flat = weight.flatten()
    if weight.ndim == 1:
        return 32.0 * len(flat)
    kept = flat[flat.abs() >= flat.abs().quantile(1 - _DENSITY)]
    low, high = kept.min(), kept.max()
    codes = ((kept - low) / (high - low) * (2**_BITS - 1)).round().long()
    shares = codes.bincount() / len(codes)
    entropy = float(torch.special.entr(shares).sum()) / math.log(2)
    density = len(kept) / len(flat)
    places = -(density * math.log2(density) + (1 - density) * math.log2(1 - density))
    return float(len(kept) * entropy + len(flat) * places + 32 * 2**_BITS)
