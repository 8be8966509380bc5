"""Inception-v3: large kernels in factors, batch normalisation throughout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from torch import nn

from preceptor.catalogue._checks import check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.architectures._common import Init, check_images, initialize
from preceptor.catalogue.architectures._widths import scaled
from preceptor.catalogue.calculators.sizes import output_size
from preceptor.catalogue.layers.auxiliary import AuxiliaryHead
from preceptor.catalogue.layers.branches import Branches

__all__ = ["InceptionV3"]

_SMALLEST = 75
_Kernel = tuple[int, int]
_Scale = Callable[[int], int]
_ROW, _COLUMN = (1, 7), (7, 1)


class _Unit(nn.Sequential):
    """Convolution without bias, batch normalisation, relu; with same padding where the stride is 1."""

    def __init__(
        self, before: int, after: int, kernel: int | _Kernel = 1, stride: int = 1, same: bool = True
    ) -> None:
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (sides[0] // 2, sides[1] // 2) if same and stride == 1 else (0, 0)
        super().__init__(
            nn.Conv2d(before, after, sides, stride, padding, bias=False),
            nn.BatchNorm2d(after, eps=1e-3),
            nn.ReLU(),
        )


def _chain(before: int, *steps: tuple[int, int | _Kernel], stride: int = 1) -> nn.Sequential:
    """Units one behind the other, each (maps, kernel), the last with a stride."""
    chain = nn.Sequential()
    for at, (after, kernel) in enumerate(steps, 1):
        chain.append(_Unit(before, after, kernel, stride if at == len(steps) else 1))
        before = after
    return chain


def _averaged(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.AvgPool2d(3, 1, 1), _Unit(before, after))


def _fives(before: int, s: _Scale, pool: int) -> tuple[nn.Module, int]:
    """1×1; 5×5; two 3×3; pooling."""
    branches = Branches(
        _chain(before, (s(64), 1)),
        _chain(before, (s(48), 1), (s(64), 5)),
        _chain(before, (s(64), 1), (s(96), 3), (s(96), 3)),
        _averaged(before, s(pool)),
    )
    return branches, 2 * s(64) + s(96) + s(pool)


def _first_halving(before: int, s: _Scale) -> tuple[nn.Module, int]:
    """3×3; two 3×3; pooling; all with stride 2."""
    branches = Branches(
        _chain(before, (s(384), 3), stride=2),
        _chain(before, (s(64), 1), (s(96), 3), (s(96), 3), stride=2),
        nn.MaxPool2d(3, 2),
    )
    return branches, s(384) + s(96) + before


def _sevens(before: int, s: _Scale, inner: int) -> tuple[nn.Module, int]:
    """1×1; 7×7 in factors; two of them; pooling."""
    m, out = s(inner), s(192)
    branches = Branches(
        _chain(before, (out, 1)),
        _chain(before, (m, 1), (m, _ROW), (out, _COLUMN)),
        _chain(before, (m, 1), (m, _COLUMN), (m, _ROW), (m, _COLUMN), (out, _ROW)),
        _averaged(before, out),
    )
    return branches, 4 * out


def _second_halving(before: int, s: _Scale) -> tuple[nn.Module, int]:
    """3×3; 7×7 in factors and 3×3; pooling; all with stride 2."""
    m = s(192)
    branches = Branches(
        _chain(before, (m, 1), (s(320), 3), stride=2),
        _chain(before, (m, 1), (m, _ROW), (m, _COLUMN), (m, 3), stride=2),
        nn.MaxPool2d(3, 2),
    )
    return branches, s(320) + m + before


def _split(before: int, s: _Scale) -> tuple[nn.Module, int]:
    """1×1; 3×3 as a row beside a column; 3×3 and that; pooling."""

    def cross() -> nn.Module:
        return Branches(_Unit(s(384), s(384), (1, 3)), _Unit(s(384), s(384), (3, 1)))

    branches = Branches(
        _chain(before, (s(320), 1)),
        _chain(before, (s(384), 1)).append(cross()),
        _chain(before, (s(448), 1), (s(384), 3)).append(cross()),
        _averaged(before, s(192)),
    )
    return branches, s(320) + 4 * s(384) + s(192)


@registered(
    kind="architecture",
    name="inception-v3",
    aliases=("inceptionv3", "inception-3"),
    formula="conv 3×3 stride 2, 32 maps → conv 3×3, 32 → conv 3×3, 64 → max-pool 3×3 stride 2 → conv 1×1, 80 "
    "→ conv 3×3, 192 → max-pool → three layers of branches 1×1, 5×5, two 3×3, pooling → branches with stride "
    "2 → four layers with 7×7 as 1×7 and 7×1 → branches with stride 2 → two layers with 3×3 as 1×3 beside "
    "3×1 → mean of each map → dropout → outputs; behind every convolution batch-norm and relu; all maps "
    "times width. auxiliary: in training the last layer with 7×7 has a head of its own, whose loss counts "
    "weight times",
    shapes="(N, C, H, W) → (N, outputs), H and W at least 75; for 3×299×299 and 1,000 outputs 23,834,568 "
    "parameters, 27,161,264 with the auxiliary head",
    when="photographs of some 300 pixels; features for other tasks",
    pitfalls="made for 299×299 pixels; many small convolutions, slow on a CPU; with batch normalisation the "
    "auxiliary head is a regularizer more than a help to gradients",
    source="Szegedy et al., Rethinking the Inception Architecture for Computer Vision, 2016",
    differs="torchvision's, which starts weights from a truncated normal of deviation 0.1",
    example=">>> with torch.device('meta'):\n...     model = get('inception-v3', (3, 299, 299), 1000)\n"
    ">>> sum(p.numel() for p in model.parameters())\n23834568",
    traits={"tiny": {"width": 0.05, "auxiliary": True, "dropout": 0.0}, "inputs": ((1, 75, 75), (3, 80, 75))},
)
class InceptionV3(nn.Sequential):
    """Inception-v3: eleven layers of branches, with kernels in factors."""

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        width: float = 1.0,
        auxiliary: bool = False,
        weight: float = 0.4,
        dropout: float = 0.5,
        init: Init = "he-normal",
    ) -> None:
        owner = "inception-v3"
        channels, *sides = check_images(owner, inputs, outputs, _SMALLEST)
        rate = check_number(owner, "dropout", dropout, 0.0, 0.999)

        def s(maps: int) -> int:
            return scaled(owner, width, (maps,))[0]

        super().__init__(
            _Unit(channels, s(32), 3, 2),
            _Unit(s(32), s(32), 3, same=False),
            _Unit(s(32), s(64), 3),
            nn.MaxPool2d(3, 2),
            _Unit(s(64), s(80)),
            _Unit(s(80), s(192), 3, same=False),
            nn.MaxPool2d(3, 2),
        )
        sizes = [s(32), s(32), s(64), s(80), s(192)]
        for at, make in enumerate(_LAYERS):
            layer, after = make(sizes[-1], s)
            self.append(layer)
            sizes.append(after)
            if auxiliary and at == _LAST_SEVENS:
                head = _head(after, [_left(side) for side in sides], s, outputs)
                self.append(AuxiliaryHead(head, weight))
        self.extend([nn.AdaptiveAvgPool2d(1), nn.Flatten()])
        if rate:
            self.append(nn.Dropout(rate))
        self.append(nn.Linear(sizes[-1], outputs))
        self.sizes: tuple[int, ...] = (*sizes, outputs)
        initialize(self, init)


_LAYERS: tuple[Callable[[int, _Scale], tuple[nn.Module, int]], ...] = (
    partial(_fives, pool=32),
    partial(_fives, pool=64),
    partial(_fives, pool=64),
    _first_halving,
    partial(_sevens, inner=128),
    partial(_sevens, inner=160),
    partial(_sevens, inner=160),
    partial(_sevens, inner=192),
    _second_halving,
    _split,
    _split,
)
_LAST_SEVENS = 7


def _left(side: int) -> int:
    """Return what is left of a side where the auxiliary head stands."""
    for kernel, stride in ((3, 2), (3, 1), (3, 2), (3, 1), (3, 2), (3, 2)):
        side = output_size(side, kernel, stride)
    return side


def _head(before: int, sides: Sequence[int], s: _Scale, outputs: int) -> nn.Module:
    """Mean of 5×5 with stride 3, 1×1, a convolution over what is left, mean, linear; 5×5 on 299 pixels."""
    kernels = [min(5, side) for side in sides]
    left = [(side - kernel) // 3 + 1 for side, kernel in zip(sides, kernels, strict=True)]
    return nn.Sequential(
        nn.AvgPool2d((kernels[0], kernels[1]), 3),
        _Unit(before, s(128)),
        _Unit(s(128), s(768), (min(5, left[0]), min(5, left[1])), same=False),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(s(768), outputs),
    )
