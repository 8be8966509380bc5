"""Residual networks of 6n + 2 layers for small images, from 20 to 1202, plain and with stochastic depth."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from preceptor.catalogue._checks import check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.architectures._common import Init
from preceptor.catalogue.architectures._staged import blocks_of_depth
from preceptor.catalogue.architectures.resnet import ResNet
from preceptor.catalogue.layers.residual_blocks import Activation
from preceptor.catalogue.regularizers import StochasticDepth

__all__ = ["CifarResNet", "stochastic_depth_resnet"]

_FORMULA = (
    "h = f(BN conv3×3 x), 16 channels; h ← f(shortcut(h) + BN conv3×3 f(BN conv3×3 h)), (depth − 2) / 6 "
    "times at 16, 32 and 64 channels, all times width; where they double, the maps halve, and the shortcut "
    "takes every second pixel and appends zeros ('padding') or projects ('projection'); z = W mean(h) + b"
)


class CifarResNet(ResNet):
    """Residual network of 6n + 2 layers: three stages of n basic blocks.

    Arguments:
        inputs: shape of one image.
        outputs: how many.
        depth: convolutions and the linear layer together, 6n + 2.
        width: factor of all channels: 16, 32 and 64.
        shortcut: ``"padding"``, which needs no weights, or ``"projection"``.
        activation: behind every normalisation and every sum but the last of a branch.
        zero_init: start each block as its shortcut.
        init: of the weights.

    Raises:
        ModelError: the examples are no images.
        ConfigError: an option that cannot be used.

    Example:
        >>> sum(p.numel() for p in CifarResNet((3, 32, 32), 10, depth=20).parameters())
        269722
    """

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        depth: int = 20,
        width: float = 1.0,
        shortcut: str = "padding",
        activation: Activation = "relu",
        zero_init: bool = False,
        init: Init = "he-normal",
    ) -> None:
        super().__init__(
            inputs,
            outputs,
            blocks=blocks_of_depth("resnet-cifar", depth, layers=2, rest=2),
            form="basic",
            width=check_number("resnet-cifar", "width", width, 1e-3) / 4,
            shortcut=shortcut,
            stem="small",
            activation=activation,
            zero_init=zero_init,
            init=init,
        )


def _register(depth: int, parameters: int, *, aliases: tuple[str, ...] = (), **more: Any) -> None:
    record = {
        "pitfalls": "at its published width a small network: width=2 and more for harder tasks on a fast "
        "machine; shortcuts that project have a few weights more than the published counts",
        "traits": {"tiny": {"width": 0.25, "depth": min(depth, 56)}},
        **more,
    }
    registered(
        kind="architecture",
        name=f"resnet-{depth}",
        aliases=(f"resnet{depth}", f"resnet-cifar-{depth}", *aliases),
        summary=f"ResNet-{depth} for small images: {(depth - 2) // 2} basic residual blocks in three stages.",
        formula=_FORMULA,
        shapes=f"(N, C, H, W) → (N, outputs); {parameters:,} parameters for 3×32×32 and 10 outputs",
        when="small images such as CIFAR-10's; studies of depth",
        source="He, Zhang, Ren and Sun, Deep Residual Learning for Image Recognition, 2016, section 4.2",
        example=f">>> with torch.device('meta'):\n...     net = get('resnet-{depth}', (3, 32, 32), 10)\n"
        f">>> sum(p.numel() for p in net.parameters())\n{parameters}",
        **record,
    )(partial(CifarResNet, depth=depth))


_register(20, 269_722, aliases=("resnet-cifar", "cifar-resnet"))
_register(32, 464_154)
_register(44, 658_586)
_register(56, 853_018)
_register(110, 1_727_962, pitfalls="starts slowly at rate 0.1: the paper trains it at 0.01 until it learns")
_register(1202, 19_421_274, pitfalls="fits 50,000 images without error and tests worse than 110 layers do; "
"the "
          "memory of its maps is 60 times that of 20 layers")  # fmt: skip


@registered(
    kind="architecture",
    name="stochastic-depth-resnet",
    aliases=("sdnet", "stochastic-depth-network", "deep-network-with-stochastic-depth", "resnet-sd"),
    formula="resnet-110, or of another depth, with L = (depth − 2) / 2 blocks; block l survives a batch "
    "with probability p_l = 1 − l / L · (1 − last): h ← relu(shortcut(h) + b · branch(h)), b ~ "
    "Bernoulli(p_l) in training and b = p_l at test; for last = 0.5 (3L − 1) / 4 blocks are active in the "
    "mean",
    shapes="(N, C, H, W) → (N, outputs)",
    when="residual networks of a hundred layers and more: a quarter of the training time saved, and better "
    "at test",
    pitfalls="of little use to networks of some 20 layers; the running statistics of a block's "
    "normalisations are of the batches that it survived",
    source="Huang, Sun, Liu, Sedra and Weinberger, Deep Networks with Stochastic Depth, 2016",
    differs="the same as the regularizer stochastic-depth on resnet-110, which suits every residual network "
    "here",
    example=">>> net = get('stochastic-depth-resnet', (3, 32, 32), 10, depth=20)\n"
    ">>> [round(block.survival, 2) for stage in (net.stage1, net.stage3) for block in stage]\n"
    "[0.94, 0.89, 0.83, 0.61, 0.56, 0.5]",
    traits={"tiny": {"width": 0.25, "depth": 20, "last": 1.0}},
)
def stochastic_depth_resnet(
    inputs: Sequence[int],
    outputs: int,
    depth: int = 110,
    last: float = 0.5,
    rule: str = "linear",
    width: float = 1.0,
    shortcut: str = "padding",
    activation: Activation = "relu",
    init: Init = "he-normal",
) -> CifarResNet:
    """Residual network with stochastic depth: blocks are left out in training, late ones more often."""
    model = CifarResNet(inputs, outputs, depth, width, shortcut, activation, init=init)
    StochasticDepth(last, rule).attach(model)
    return model
