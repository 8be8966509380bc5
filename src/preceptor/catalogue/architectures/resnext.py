"""ResNeXt: residual networks whose bottlenecks are many narrow paths side by side."""

from __future__ import annotations

from preceptor.catalogue.architectures.resnet import register_resnet

_XIE = "Xie, Girshick, Dollár, Tu and He, Aggregated Residual Transformations for Deep Neural Networks, 2017"


def _register(depth: int, blocks: tuple[int, ...], groups: int, group_width: int, parameters: int) -> None:
    name = f"resnext-{depth}-{groups}x{group_width}d"
    register_resnet(
        name,
        blocks,
        parameters,
        options={"groups": groups, "group_width": group_width},
        aliases=(
            name.replace("resnext-", "resnext"),
            *((f"resnext-{depth}", "resnext") if depth == 50 else ()),
        ),
        summary=f"ResNeXt-{depth}: bottlenecks of {groups} paths, each {group_width} channels wide at first.",
        formula="as resnet-50, with branch(h) = BN Σ_g conv1×1_g f(BN conv3×3_g f(BN conv1×1_g h)), g = 1 … "
        "groups paths of group_width, then 2, 4 and 8 times as many channels: computed as one bottleneck "
        "whose 3×3 convolution has groups",
        when="more accuracy than a ResNet of the same number of operations",
        pitfalls="grouped convolutions are slow on processors and some GPUs: fewer operations are not less "
        "time",
        source=_XIE,
        traits={"tiny": {"width": 1 / 32, "groups": 2, "group_width": 32}},
    )


_register(50, (3, 4, 6, 3), 32, 4, 25_028_904)
_register(101, (3, 4, 23, 3), 32, 8, 88_791_336)
