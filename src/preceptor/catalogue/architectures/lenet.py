"""LeNet-5 in its modern form, and as it was first."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn

from preceptor.catalogue._checks import check_choice
from preceptor.catalogue._registry import get, registered
from preceptor.catalogue.activations import make_activation
from preceptor.catalogue.architectures._common import Init, check_images, initialize, pieces_of
from preceptor.catalogue.layers.subsampling import CodeDistance, PartlyConnected, TrainablePooling

__all__ = ["LeNet5", "LeNet5Original"]

_SMALLEST = 28


@registered(
    kind="architecture",
    name="lenet-5",
    aliases=("lenet", "lenet5"),
    formula="conv 5×5, 6 maps → f → pool 2 → conv 5×5, 16 maps → f → pool 2 → 120 → f → 84 → f → outputs",
    shapes="(N, C, H, W) → (N, outputs), H and W at least 28; images below 32 are padded by 2 on each side; "
    "61,706 parameters for 1×28×28 or 1×32×32 and 10 outputs",
    when="small images of one object, such as digits and letters",
    pitfalls="the flattened width, and with it most of the parameters, grows with the image",
    source="LeCun, Bottou, Bengio and Haffner, Gradient-Based Learning Applied to Document Recognition, 1998",
    differs="the original has 60,000 parameters: tanh and trainable average pooling, a second convolution "
    "that is only partly connected, radial basis outputs; it is lenet-5-original; activation='tanh' and "
    "pooling='average' come near to it",
    example=">>> sum(p.numel() for p in get('lenet-5', (1, 28, 28), 10).parameters())\n61706",
)
class LeNet5(nn.Sequential):
    """LeNet-5: two convolutions with pooling, then three fully connected layers."""

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        activation: str | nn.Module | Callable[[], nn.Module] = "relu",
        pooling: str = "max",
        init: Init = None,
    ) -> None:
        shape = check_images("lenet-5", inputs, outputs, _SMALLEST)
        pool = (
            nn.MaxPool2d
            if check_choice("lenet-5", "pooling", pooling, ("max", "average")) == "max"
            else nn.AvgPool2d
        )
        channels, *sides = shape
        padding = 2 if min(sides) < 32 else 0
        height, width = (((side + 2 * padding - 4) // 2 - 4) // 2 for side in sides)
        wide = pieces_of(make_activation(activation))
        super().__init__(
            nn.Conv2d(channels, 6 * wide, 5, padding=padding),
            make_activation(activation),
            pool(2),
            nn.Conv2d(6, 16 * wide, 5),
            make_activation(activation),
            pool(2),
            nn.Flatten(),
            nn.Linear(16 * height * width, 120 * wide),
            make_activation(activation),
            nn.Linear(120, 84 * wide),
            make_activation(activation),
            nn.Linear(84, outputs),
        )
        self.sizes: tuple[int, ...] = (6, 16, 120, 84, outputs)
        initialize(self, init)


_SOURCES = (
    *[(i, (i + 1) % 6, (i + 2) % 6) for i in range(6)],
    *[(i, (i + 1) % 6, (i + 2) % 6, (i + 3) % 6) for i in range(6)],
    *[(i, (i + 1) % 6, (i + 3) % 6, (i + 4) % 6) for i in range(3)],
    range(6),
)
"""Which of the 6 maps each of the 16 maps of the second convolution sees: 60 pairs in all."""


@registered(
    kind="architecture",
    name="lenet-5-original",
    aliases=("lenet-5-1998", "lenet-1998", "original-lenet-5"),
    formula="conv 5×5, 6 maps → f → pool → conv 5×5, 16 maps, each of 3, 4 or 6 of the maps before → f → "
    "pool → conv 5×5, 120 maps → f → 84 → f → −‖h − w_k‖² for each output k, w_k a fixed code of ±1; pool: w "
    "· Σ x + b over 2×2, w and b learned for each map, then f; f(a) = 1.7159 tanh(⅔ a)",
    shapes="(N, C, H, W) → (N, outputs), H and W at least 28; images below 32 are padded by 2 on each side; "
    "for one channel of 28×28 or 32×32 60,000 parameters, 340,908 connections with 10 outputs",
    when="to see the network of 1998 as it was; for anything else lenet-5",
    pitfalls="the outputs are distances, some −84 at the start, of which cross-entropy sees the differences; "
    "saturating units learn slowly",
    source="LeCun, Bottou, Bengio and Haffner, Gradient-Based Learning Applied to Document Recognition, 1998",
    differs="the paper draws its codes as letters of 7×12 pixels, here they are random ones of ±1, as it "
    "also allows, so that there can be any number of outputs; one output is the difference of the distances "
    "to −w and w; init=None is the paper's start, uniform in ±2.4/fan_in",
    example=">>> model = get('lenet-5-original', (1, 32, 32), 10)\n"
    ">>> sum(p.numel() for p in model.parameters())\n60000",
)
class LeNet5Original(nn.Sequential):
    """LeNet-5 as published: partly connected maps, trainable pooling, distances to codes as outputs."""

    def __init__(self, inputs: Sequence[int], outputs: int, init: Init = None) -> None:
        channels, *sides = check_images("lenet-5-original", inputs, outputs, _SMALLEST)
        padding = 2 if min(sides) < 32 else 0
        height, width = (((side + 2 * padding - 4) // 2 - 4) // 2 - 4 for side in sides)
        super().__init__(
            nn.Conv2d(channels, 6, 5, padding=padding),
            get("scaled-tanh"),
            TrainablePooling(6),
            get("scaled-tanh"),
            PartlyConnected(_SOURCES, 5),
            get("scaled-tanh"),
            TrainablePooling(16),
            get("scaled-tanh"),
            nn.Conv2d(16, 120, 5),
            get("scaled-tanh"),
            nn.Flatten(),
            nn.Linear(120 * height * width, 84),
            get("scaled-tanh"),
            CodeDistance(84, outputs),
        )
        self.sizes: tuple[int, ...] = (6, 16, 120, 84, outputs)
        for layer in self.modules() if init is None else ():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                bound = 2.4 / layer.weight[0].numel()
                nn.init.uniform_(layer.weight, -bound, bound)
        initialize(self, init)
