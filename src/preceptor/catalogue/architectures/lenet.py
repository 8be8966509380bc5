"""LeNet-5 in its modern form."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn

from preceptor.catalogue._checks import check_choice
from preceptor.catalogue._registry import registered
from preceptor.catalogue.activations import make_activation
from preceptor.catalogue.architectures._common import Init, check_sizes, initialize, pieces_of
from preceptor.errors import ModelError

__all__ = ["LeNet5"]

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
    "that is only partly connected, radial basis outputs; activation='tanh' and pooling='average' come "
    "nearest to it",
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
        shape, _ = check_sizes("lenet-5", inputs, outputs)
        if len(shape) != 3 or min(shape[1:]) < _SMALLEST:
            raise ModelError(
                "lenet-5 does not suit these examples",
                expected=f"images (C, H, W) with H and W of at least {_SMALLEST}",
                received=f"examples of shape {shape}",
                hint='the model "mlp", or larger images',
            )
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
