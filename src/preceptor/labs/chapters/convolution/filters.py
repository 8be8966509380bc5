"""What filters cost: shared weights, small kernels in place of large ones, 1×1 reductions, separable ones."""

from __future__ import annotations

from torch import nn

import preceptor
from preceptor.catalogue import get
from preceptor.labs import Check, Claim, Evidence, Figure, Setup, exact, lab, near, told

_SHAPE = (192, 28, 28)


@lab(
    "convolution",
    {
        "shared-weights": Claim(
            "A convolution has far fewer weights than a fully connected layer between the same maps.",
            source="Goodfellow, Bengio and Courville, Deep Learning, 2016, section 9.2",
            reference="1,200 against 50,331,648 for 3 maps of 32×32, 16 filters of 5×5",
        ),
        "stacked-small-filters": Claim(
            "Three layers of 3×3 filters see as far as one of 7×7, with 55 % of its weights; two see as far "
            "as one of 5×5, with 72 %.",
            source="Simonyan and Zisserman, Very Deep Convolutional Networks, 2015",
            reference="for 64 channels 110,592 against 200,704",
            instead_of="VGG has filters of 5×5, and won ImageNet in 2014 (3×3 throughout, 1×1 in one "
            "variant; "
            "second in classification)",
        ),
        "one-by-one-reduction": Claim(
            "Fewer channels by a 1×1 convolution first make a 5×5 convolution ten times as cheap.",
            source="Szegedy et al., Going Deeper with Convolutions, 2015",
        ),
        "separable-convolution": Claim(
            "Depthwise separable convolution takes 1/C + 1/K² of the operations, C the output channels; its "
            "1×1 filters give one map each, C in all.",
            source="Chollet, Xception: Deep Learning with Depthwise Separable Convolutions, 2017",
            reference="0.115 for 3×3 filters and 256 channels",
            instead_of="the 1×1 convolution shrinks the channels to one",
        ),
    },
    data="layers of the catalogue, counted by its calculators; 28×28 maps where operations are counted",
    rule="counts exactly as computed by hand, ratios within 0.005; the 1×1 reduction saves a factor of at "
    "least 9",
    quick=True,
)
def filter_costs(setup: Setup) -> Evidence:
    """Count weights and operations of filters that do the same."""
    checks = {
        "shared-weights": _shared(),
        "stacked-small-filters": _stacked(),
        "one-by-one-reduction": _reduced(),
        "separable-convolution": _separable(),
    }
    channels = [16, 32, 64, 128, 256]
    weights = {
        "7×7": [get("convolution-parameters", c, c, kernel=7, bias=False) for c in channels],
        "three 3×3": [3 * get("convolution-parameters", c, c, kernel=3, bias=False) for c in channels],
        "three 3×3, separable": [3 * (9 * c + c * c) for c in channels],
    }
    figure = Figure(
        "Weights of filters that see 7×7 pixels", "channels", "weights", weights, channels, log="xy"
    )
    return Evidence(checks, figure)


def _shared() -> list[Check]:
    layer, dense = nn.Conv2d(3, 16, 5, bias=False), 3 * 32 * 32 * 16 * 32 * 32
    return [
        exact(
            "weights of the convolution, 1,200", abs(preceptor.summary(layer, (3, 32, 32)).parameters - 1_200)
        ),
        exact("weights of the fully connected layer, 50,331,648", abs(dense - 50_331_648)),
        told("times as many", dense / 1_200),
    ]


def _convolutions(kernel: int, count: int, channels: int = 64) -> nn.Sequential:
    def one() -> nn.Module:
        made: nn.Module = get(
            "convolution", channels, channels, kernel=kernel, padding=kernel // 2, bias=False
        )
        return made

    return nn.Sequential(*(one() for _ in range(count)))


def _stacked() -> list[Check]:
    checks = []
    for large, count, share in ((7, 3, 110_592 / 200_704), (5, 2, 73_728 / 102_400)):
        one = preceptor.summary(_convolutions(large, 1), (64, 28, 28))
        several = preceptor.summary(_convolutions(3, count), (64, 28, 28))
        seen = get("receptive-field", [(3,)] * count).size
        checks += [
            exact(f"field of {count} layers 3×3 against {large}", abs(seen - large)),
            near(
                f"weights, {several.parameters:,} of {one.parameters:,}",
                [several.parameters / one.parameters],
                share,
                1e-9,
            ),
        ]
    kernels = {
        m.kernel_size for m in get("vgg-16", (3, 32, 32), 10, width=0.1).modules() if isinstance(m, nn.Conv2d)
    }
    return [
        *checks,
        Check(f"kernels in VGG-16: {', '.join(f'{a}×{b}' for a, b in kernels)}", kernels == {(3, 3)}),
    ]


def _reduced() -> list[Check]:
    plain = nn.Conv2d(192, 32, 5, padding=2)
    reduced = nn.Sequential(nn.Conv2d(192, 16, 1), nn.Conv2d(16, 32, 5, padding=2))
    operations = [preceptor.summary(net, _SHAPE).operations for net in (plain, reduced)]
    ratio = operations[0] / operations[1]
    text = (
        f"multiplications, {operations[0] // 2:,} against {operations[1] // 2:,}: {ratio:.2f} times, above 9"
    )
    return [Check(text, ratio > 9)]


def _separable() -> list[Check]:
    shape = (256, 28, 28)
    full = preceptor.summary(get("convolution", 256, 256, padding=1, bias=False), shape)
    parts = preceptor.summary(get("sepconv", 256, 256), shape)
    maps = parts.layers[-1].output
    return [
        near(
            "operations, share of a full convolution",
            [parts.operations / full.operations],
            1 / 256 + 1 / 9,
            0.005,
        ),
        exact("output channels against 256", abs((maps or (0,))[0] - 256)),
    ]
