"""What every architecture does alike: checks its sizes and starts its weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn

from preceptor.catalogue._registry import get
from preceptor.errors import ConfigError, ModelError

__all__ = ["Init", "check_sizes", "initialize"]

Init: TypeAlias = str | Callable[[Tensor], object] | None


def check_sizes(owner: str, inputs: Sequence[int], outputs: int) -> tuple[tuple[int, ...], int]:
    """Return the shape of one example and the number of inputs that it flattens to.

    Raises:
        ModelError: a size is not a positive integer.

    Example:
        >>> check_sizes("mlp", (1, 8, 8), 10)
        ((1, 8, 8), 64)
    """
    shape = tuple(inputs)
    for size in (*shape, outputs):
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise ModelError(
                f"{owner} cannot be built",
                expected="the shape of one example and a number of outputs, all positive integers",
                received=f"inputs={shape!r}, outputs={outputs!r}",
            )
    return shape, math.prod(shape)


def initialize(model: nn.Module, init: Init) -> None:
    """Fill the weights of linear and convolutional layers by ``init`` and their biases with zero.

    ``init`` is the name of an initializer, a function that fills a tensor in place, or None, which leaves
    torch's own start: uniform in ±1/√fan_in for weights and biases.

    Raises:
        UnknownName: no initializer has that name.
        ConfigError: ``init`` is of another type.
    """
    if init is None:
        return
    fill = get(init, kind="initializer") if isinstance(init, str) else init
    if not callable(fill):
        raise ConfigError(
            "init is not usable",
            expected="the name of an initializer, a function of one tensor, or None",
            received=repr(init),
            hint='init="he-normal"',
        )
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, (nn.Linear, nn.Conv2d)):
                fill(layer.weight)
                if layer.bias is not None:
                    layer.bias.zero_()
