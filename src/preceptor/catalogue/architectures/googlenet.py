"""GoogLeNet: nine Inception layers and a linear classifier of the maps' means."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from preceptor.catalogue._checks import check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.architectures._common import Init, check_images, initialize
from preceptor.catalogue.architectures._widths import scaled
from preceptor.catalogue.layers.auxiliary import AuxiliaryHead
from preceptor.catalogue.layers.inception import Inception
from preceptor.catalogue.normalizations.each import local_response_norm

__all__ = ["GoogLeNet"]

_SMALLEST = 31
_LAYERS: dict[str, tuple[int, ...]] = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
"""Maps of each layer: 1×1; 3×3 reduced, 3×3; 5×5 reduced, 5×5; behind the pooling."""


@registered(
    kind="architecture",
    name="googlenet",
    aliases=("inception-v1",),
    formula="conv 7×7 stride 2, 64 maps → f → pool → lrn → conv 1×1, 64 → f → conv 3×3, 192 → f → lrn → pool "
    "→ inception 3a, 3b → pool → 4a … 4e → pool → 5a, 5b → mean of each map → dropout → outputs; f = relu, "
    "pool: max 3×3, stride 2, lrn: local-response-norm; all maps times width. auxiliary: in training 4a and "
    "4d have heads of their own (average-pool 5×5 stride 3 → conv 1×1, 128 → f → 1024 → f → dropout 0.7 → "
    "outputs), whose losses count weight times",
    shapes="(N, C, H, W) → (N, outputs), H and W at least 31; for 3×224×224 and 1,000 outputs 6,998,552 "
    "parameters, 13,378,280 with the auxiliary heads, 5,973,552 without the classifier",
    when="photographs at little cost: a ninth of AlexNet's parameters",
    pitfalls="no batch normalisation and 22 layers: slow to begin, which the auxiliary heads mend a little; "
    "train_loss_running holds their losses, what is measured does not",
    source="Szegedy et al., Going Deeper with Convolutions, 2015",
    differs="torchvision's has batch normalisation, no biases, 3×3 convolutions in the 5×5 branches, and "
    "6,624,904 parameters; counted, it has a ninth of AlexNet's parameters, not the twelfth of the "
    "paper",
    example=">>> sum(p.numel() for p in get('googlenet', (3, 224, 224), 1000).parameters())\n6998552",
    traits={"tiny": {"width": 0.1, "auxiliary": True, "dropout": 0.0}, "inputs": ((1, 31, 31), (3, 40, 64))},
)
class GoogLeNet(nn.Sequential):
    """GoogLeNet: nine Inception layers, no hidden fully connected one."""

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        width: float = 1.0,
        auxiliary: bool = False,
        weight: float = 0.3,
        dropout: float = 0.4,
        init: Init = "he-normal",
    ) -> None:
        owner = "googlenet"
        channels, *sides = check_images(owner, inputs, outputs, _SMALLEST)
        rate = check_number(owner, "dropout", dropout, 0.0, 0.999)
        first, second = scaled(owner, width, (64, 192))
        super().__init__(
            nn.Conv2d(channels, first, 7, 2, 3),
            nn.ReLU(),
            _pool(),
            local_response_norm(first),
            nn.Conv2d(first, first, 1),
            nn.ReLU(),
            nn.Conv2d(first, second, 3, padding=1),
            nn.ReLU(),
            local_response_norm(second),
            _pool(),
        )
        sizes = [first, second]
        left = [(side + 1) // 2 // 8 for side in sides]  # behind the first convolution and three poolings
        for name, plan in _LAYERS.items():
            if name in ("4a", "5a"):
                self.append(_pool())
            one, *rest = scaled(owner, width, plan)
            self.add_module(f"inception{name}", Inception(sizes[-1], one, rest[0:2], rest[2:4], rest[4]))
            sizes.append(one + rest[1] + rest[3] + rest[4])
            if auxiliary and name in ("4a", "4d"):
                head = _head(sizes[-1], left, width, outputs)
                self.add_module(f"auxiliary{name}", AuxiliaryHead(head, weight))
        self.extend([nn.AdaptiveAvgPool2d(1), nn.Flatten()])
        if rate:
            self.append(nn.Dropout(rate))
        self.append(nn.Linear(sizes[-1], outputs))
        self.sizes: tuple[int, ...] = (*sizes, outputs)
        initialize(self, init)


def _pool() -> nn.Module:
    return nn.MaxPool2d(3, 2, ceil_mode=True)


def _head(channels: int, sides: Sequence[int], width: float, outputs: int) -> nn.Module:
    maps, hidden = scaled("googlenet", width, (128, 1024))
    kernels = [min(5, side) for side in sides]
    left = [(side - kernel) // 3 + 1 for side, kernel in zip(sides, kernels, strict=True)]
    return nn.Sequential(
        nn.AvgPool2d((kernels[0], kernels[1]), 3),
        nn.Conv2d(channels, maps, 1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(maps * left[0] * left[1], hidden),
        nn.ReLU(),
        nn.Dropout(0.7),
        nn.Linear(hidden, outputs),
    )
