"""What residual and densely connected networks share: a stem, stages of blocks, a linear classifier."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from preceptor.catalogue._checks import check_choice, check_count
from preceptor.catalogue.architectures._common import Init, initialize
from preceptor.catalogue.architectures._widths import check_widths
from preceptor.errors import ConfigError

__all__ = ["STEM", "StagedNetwork", "blocks_of_depth", "check_stages", "make_stages", "make_stem"]

STEM = (
    "stem: 'large' is a convolution 7×7 and a max-pooling 3×3, both of stride 2; 'small' is one 3×3 of "
    "stride 1; 'auto' is small for images below 64 pixels"
)
_STEMS = ("auto", "small", "large")
_LARGE = 64  # pixels a side from which a stem that takes a quarter of them leaves enough


class StagedNetwork(nn.Sequential):
    """A stem, stages of blocks that halve the maps, and a linear classifier of the maps' means.

    Attributes:
        sizes: the channels of the stem and behind each stage, and the number of outputs.
    """

    def __init__(
        self,
        stem: nn.Module,
        stages: Sequence[nn.Module],
        end: nn.Module | None,
        sizes: Sequence[int],
        init: Init,
    ) -> None:
        parts: dict[str, nn.Module] = {"stem": stem}
        parts |= {f"stage{number}": stage for number, stage in enumerate(stages, 1)}
        parts |= {} if end is None else {"end": end}
        parts |= {"pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()}
        super().__init__(OrderedDict(parts, classifier=nn.Linear(sizes[-2], sizes[-1])))
        self.sizes: tuple[int, ...] = tuple(sizes)
        initialize(self, init)


def make_stem(
    owner: str, kind: str, shape: tuple[int, int, int], width: int, activation: Callable[[], nn.Module] | None
) -> nn.Sequential:
    """Return the layers before the first stage: 7×7 with stride 2 and pooling, or 3×3 for small images.

    Arguments:
        owner: named in errors.
        kind: ``"large"``, ``"small"``, or ``"auto"``: small for images below 64 pixels.
        shape: of one image.
        width: channels behind the stem.
        activation: makes what stands, with a normalisation, behind the convolution; None: neither.

    Example:
        >>> [type(layer).__name__ for layer in make_stem("resnet-18", "auto", (3, 32, 32), 16, nn.ReLU)]
        ['Conv2d', 'BatchNorm2d', 'ReLU']
    """
    large = check_choice(owner, "stem", kind, _STEMS) == "large" or (
        kind == "auto" and min(shape[1:]) >= _LARGE
    )
    kernel, stride = (7, 2) if large else (3, 1)
    stem = nn.Sequential(nn.Conv2d(shape[0], width, kernel, stride, kernel // 2, bias=False))
    if activation is not None:
        stem.extend([nn.BatchNorm2d(width), activation()])
    if large:
        stem.append(nn.MaxPool2d(3, 2, 1))
    return stem


def make_stages(
    make: Callable[[int, int, int], nn.Module], before: int, widths: Sequence[int], blocks: Sequence[int]
) -> list[nn.Sequential]:
    """Return stages of ``blocks``, made for (channels before, channels, stride); all but the first halve.

    Example:
        >>> stages = make_stages(lambda *sizes: nn.Conv2d(*sizes[:2], 3, sizes[2]), 3, (4, 8), (1, 2))
        >>> [layer.stride[0] for stage in stages for layer in stage]
        [1, 2, 1]
    """
    stages = []
    for number, (width, count) in enumerate(zip(widths, blocks, strict=True)):
        stage = nn.Sequential()
        for at in range(count):
            stage.append(make(before, width, 2 if number and not at else 1))
            before = width
        stages.append(stage)
    return stages


def check_stages(owner: str, option: str, value: Any) -> tuple[int, ...]:
    """Return a number for each stage as a tuple of positive integers, one at least.

    Raises:
        ConfigError: they are something else.

    Example:
        >>> check_stages("resnet", "blocks", [3, 4, 6, 3])
        (3, 4, 6, 3)
    """
    if numbers := check_widths(owner, option, value):
        return numbers
    raise ConfigError(
        f"{owner}: {option} is not usable", expected="a number for each stage", received=f"{option}={value!r}"
    )


def blocks_of_depth(owner: str, depth: int, layers: int, rest: int) -> tuple[int, int, int]:
    """Return three equal stages of blocks of so many ``layers``, which with ``rest`` others are ``depth``.

    Raises:
        ConfigError: there is no such network of that depth.

    Example:
        >>> blocks_of_depth("resnet-cifar", 20, 2, 2)
        (3, 3, 3)
    """
    count, over = divmod(check_count(owner, "depth", depth) - rest, 3 * layers)
    if over or count < 1:
        raise ConfigError(
            f"{owner}: depth is not usable",
            expected=f"{3 * layers}n + {rest} layers: {3 * layers + rest}, {6 * layers + rest}, …",
            received=f"depth={depth}",
        )
    return count, count, count
