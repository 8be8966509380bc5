"""The published networks: how large they are, and which of the ratios that are told of them hold."""

from __future__ import annotations

import torch

import preceptor
from preceptor.catalogue import get
from preceptor.labs import Check, Claim, Evidence, Figure, Setup, exact, lab, near, told

_PHOTOGRAPH = (3, 224, 224)
_SMALL = (3, 32, 32)


@lab(
    "convolution",
    {
        "lenet-size": Claim(
            "LeNet-5 has 60,000 parameters; the form that is usual today 61,706.",
            source="LeCun, Bottou, Bengio and Haffner, Gradient-Based Learning Applied to Document "
            "Recognition, 1998",
            reference="60,000",
            instead_of="convolutional networks were introduced in 1998 (LeCun et al. had one in 1989)",
        ),
        "alexnet-size": Claim(
            "AlexNet has 60 million parameters.",
            source="Krizhevsky, Sutskever and Hinton, ImageNet Classification with Deep Convolutional Neural "
            "Networks, 2012",
            reference="60 million",
            instead_of="AlexNet was the first to use ReLU (it made it popular)",
        ),
        "vgg-size": Claim(
            "VGG-16 has 138 million parameters, nine tenths of them in its three fully connected layers.",
            source="Simonyan and Zisserman, Very Deep Convolutional Networks, 2015",
            reference="138 million",
        ),
        "resnet-152-size": Claim(
            "ResNet-152, nine times as deep as VGG-16, has 60 million parameters, less than half as many.",
            source="He, Zhang, Ren and Sun, Deep Residual Learning for Image Recognition, 2016",
            reference="60 million",
        ),
        "googlenet-ratio": Claim(
            "GoogLeNet has 8.7 times fewer parameters than AlexNet, not 12; 10.2 times, if its classifier is "
            "not counted.",
            source="Szegedy et al., Going Deeper with Convolutions, 2015",
            reference="12 times",
            instead_of="GoogLeNet has 12 times fewer parameters than AlexNet",
        ),
        "squeezenet-ratio": Claim(
            "SqueezeNet has 49 times fewer parameters than AlexNet, and takes 5 MB in single precision.",
            source="Iandola et al., SqueezeNet, 2016",
            reference="50 times, below 0.5 MB after compression",
            instead_of="SqueezeNet takes less than 0.5 MB",
        ),
        "densenet-size": Claim(
            "DenseNet-BC of 100 layers has fewer than half of the parameters of ResNet-110, and a thirteenth "
            "of those of ResNet-1001.",
            source="Huang, Liu, van der Maaten and Weinberger, Densely Connected Convolutional Networks, "
            "2017",
            reference="0.8 million against 1.7 and 10.2 million",
        ),
    },
    data="the networks of the catalogue at the image sizes and numbers of classes of their papers",
    rule="counts are within 2 % of what was published; ratios are those of the counts, to the last digit "
    "that is told",
    quick=True,
)
def published_sizes(setup: Setup) -> Evidence:
    """Count the parameters of the published networks."""
    count = {name: _count(name, _PHOTOGRAPH, 1000) for name in _PHOTOGRAPHS}
    count |= {name: _count(name, _SMALL, 10) for name in _SMALL_ONES}
    count |= {name: preceptor.summary(name).parameters for name in ("lenet-5", "lenet-5-original")}
    alexnet, googlenet = count["alexnet-two-groups"], count["googlenet"]
    checks = {
        "lenet-size": [
            exact("lenet-5-original against 60,000", abs(count["lenet-5-original"] - 60_000)),
            exact("lenet-5 against 61,706", abs(count["lenet-5"] - 61_706)),
        ],
        "alexnet-size": [
            _within("alexnet-two-groups", alexnet, 60e6),
            told("in one group", count["alexnet"]),
        ],
        "vgg-size": _vgg(count["vgg-16"]),
        "resnet-152-size": [
            _within("resnet-152", count["resnet-152"], 60e6),
            Check(
                f"half of VGG-16's {count['vgg-16'] // 2:,} is more",
                2 * count["resnet-152"] < count["vgg-16"],
            ),
        ],
        "googlenet-ratio": [
            near("times fewer than AlexNet", [alexnet / googlenet], 8.7, 0.05),
            near(
                "times fewer, GoogLeNet's classifier not counted",
                [alexnet / _features(googlenet)],
                10.2,
                0.05,
            ),
            Check(
                f"12 times fewer would be {alexnet / 12:,.0f}; it has {googlenet:,}", googlenet > alexnet / 12
            ),
        ],
        "squeezenet-ratio": [
            near("times fewer than AlexNet", [alexnet / count["squeezenet-1.0"]], 48.8, 0.05),
            near("squeezenet-1.1, times fewer", [alexnet / count["squeezenet-1.1"]], 49.3, 0.05),
            near("megabytes in single precision", [4e-6 * count["squeezenet-1.0"]], 5.0, 0.05),
        ],
        "densenet-size": [
            _within("densenet-bc-100", count["densenet-bc-100"], 0.77e6),
            near("share of resnet-110", [count["densenet-bc-100"] / count["resnet-110"]], 0.445, 0.001),
            near(
                "times fewer than resnet-1001",
                [count["preact-resnet-1001"] / count["densenet-bc-100"]],
                13.4,
                0.05,
            ),
        ],
    }
    table = [
        {"network": name, "parameters": value} for name, value in sorted(count.items(), key=lambda i: i[1])
    ]
    names = [name for name in sorted(count, key=lambda n: count[n]) if name != "alexnet"]
    figure = Figure(
        "Parameters", "network", "parameters", {"parameters": [count[n] for n in names]}, names, "bars", "y"
    )
    return Evidence(checks, figure, table)


_PHOTOGRAPHS = ("alexnet", "alexnet-two-groups", "vgg-16", "resnet-152", "googlenet", "squeezenet-1.0",
                "squeezenet-1.1")  # fmt: skip
_SMALL_ONES = ("densenet-bc-100", "resnet-110", "preact-resnet-1001")


def _meta(name: str, shape: tuple[int, ...] = _PHOTOGRAPH, outputs: int = 1000) -> torch.nn.Module:
    with torch.device("meta"):  # shapes without values: nothing is allocated
        made: torch.nn.Module = get(name, shape, outputs)
    return made


def _count(name: str, shape: tuple[int, ...], outputs: int) -> int:
    return sum(p.numel() for p in _meta(name, shape, outputs).parameters())


def _within(what: str, found: int, published: float) -> Check:
    text = f"{what}: {found:,}, published {published:,.0f} ± 2 %"
    return Check(text, abs(found / published - 1) <= 0.02)


def _vgg(total: int) -> list[Check]:
    dense = sum(
        m.weight.numel() + len(m.bias) for m in _meta("vgg-16").modules() if isinstance(m, torch.nn.Linear)
    )
    return [
        _within("vgg-16", total, 138e6),
        near("share in fully connected layers", [dense / total], 0.89, 0.005),
    ]


def _features(googlenet: int) -> int:
    return googlenet - (1024 + 1) * 1000
