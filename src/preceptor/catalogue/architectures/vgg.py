"""VGG: stages of 3×3 convolutions, in four depths, with and without batch normalisation."""

from __future__ import annotations

from collections.abc import Sequence

from preceptor.catalogue._registry import registered
from preceptor.catalogue.architectures._common import Init
from preceptor.catalogue.architectures._widths import scaled
from preceptor.catalogue.architectures.convnet import Activation, ConvNet

__all__ = ["VGG"]

_CHANNELS = (64, 128, 256, 512, 512)
_HIDDEN = (4096, 4096)


class VGG(ConvNet):
    """VGG network of five stages, each ended by max pooling, and two hidden layers.

    Arguments:
        inputs: shape of one image, H and W at least 32.
        outputs: how many.
        convolutions: how many in each stage.
        width: factor of all channels and hidden widths.
        batch_norm: whether a batch normalisation stands behind each convolution.

    Raises:
        ModelError: the examples are no images of that size.

    Example:
        >>> VGG((3, 32, 32), 10, (1, 1, 1, 1, 1), width=0.125).sizes
        (8, 16, 32, 64, 64, 64, 512, 512, 10)
    """

    owner = "vgg"

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        convolutions: Sequence[int],
        width: float = 1.0,
        batch_norm: bool = False,
        activation: Activation = "relu",
        dropout: float = 0.5,
        init: Init = "he-normal",
    ) -> None:
        super().__init__(
            inputs,
            outputs,
            channels=scaled(self.owner, width, _CHANNELS),
            convolutions=convolutions,
            hidden=scaled(self.owner, width, _HIDDEN),
            activation=activation,
            normalization="batch-norm" if batch_norm else None,
            dropout=dropout,
            bias=True,
            init=init,
        )


def _register(depth: int, letter: str, convolutions: tuple[int, ...], count: int, batch_norm: bool) -> None:
    tail, norm = ("-bn", " → batch-norm") if batch_norm else ("", "")

    def build(
        inputs: Sequence[int],
        outputs: int,
        width: float = 1.0,
        activation: Activation = "relu",
        dropout: float = 0.5,
        init: Init = "he-normal",
    ) -> VGG:
        return VGG(inputs, outputs, convolutions, width, batch_norm, activation, dropout, init)

    build.__doc__ = f"VGG-{depth}: {sum(convolutions)} convolutions of 3×3, three fully connected layers" + (
        ", and batch normalisation." if batch_norm else "."
    )
    registered(
        kind="architecture",
        name=f"vgg-{depth}{tail}",
        aliases=(f"vgg{depth}{tail}", *(["vgg"] if (depth, batch_norm) == (16, False) else [])),
        formula="stages of 64, 128, 256, 512 and 512 maps, times width: "
        f"{', '.join(map(str, convolutions))} times (conv 3×3{norm} → f), max-pool 2; then flatten, 4096 → f "
        "→ dropout, 4096 → f → dropout, outputs",
        shapes=f"(N, C, H, W) → (N, outputs), H and W at least 32; {count:,} parameters for 3×224×224 and "
        "1,000 outputs",
        when="a plain and well-known network: features for other tasks, comparisons",
        pitfalls="nine tenths of the parameters lie in the fully connected layers; "
        + (
            "small batches make poor statistics"
            if batch_norm
            else "so deep without normalisation it wants small learning rates; "
            f"vgg-{depth}-bn trains more easily"
        ),
        source="Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, "
        f"2015, configuration {letter}"
        + ("; Ioffe and Szegedy, Batch Normalization, 2015" if batch_norm else ""),
        differs="torchvision's pools to 7×7 maps before it flattens, which at 224×224 changes nothing; here "
        "the flattened width follows the image",
        example=">>> with torch.device('meta'):\n"
        f"...     model = get('vgg-{depth}{tail}', (3, 224, 224), 1000)\n"
        f">>> sum(p.numel() for p in model.parameters())\n{count}",
        traits={"tiny": {"width": 0.03}, "inputs": ((1, 32, 32), (3, 35, 64))},
    )(build)


for _depth, _letter, _convolutions, _count, _normalized in (
    (11, "A", (1, 1, 2, 2, 2), 132_863_336, 132_868_840),
    (13, "B", (2, 2, 2, 2, 2), 133_047_848, 133_053_736),
    (16, "D", (2, 2, 3, 3, 3), 138_357_544, 138_365_992),
    (19, "E", (2, 2, 4, 4, 4), 143_667_240, 143_678_248),
):
    _register(_depth, _letter, _convolutions, _count, batch_norm=False)
    _register(_depth, _letter, _convolutions, _normalized, batch_norm=True)
