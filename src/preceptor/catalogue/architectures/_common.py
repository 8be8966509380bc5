"""What every architecture does alike: checks its sizes and starts its weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from preceptor.catalogue._places import is_activation
from preceptor.catalogue._registry import entry, get
from preceptor.errors import ConfigError, ModelError

__all__ = ["Init", "activation_before", "check_images", "check_sizes", "initialize", "pieces_of"]

Init: TypeAlias = str | Mapping[str, Any] | Callable[[Tensor], object] | None


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


def check_images(owner: str, inputs: Sequence[int], outputs: int, smallest: int = 1) -> tuple[int, int, int]:
    """Return the shape of one example, which must be an image of at least ``smallest`` pixels a side.

    Raises:
        ModelError: a size is not a positive integer, or the examples are no images of that size.

    Example:
        >>> check_images("resnet-18", (3, 32, 32), 10)
        (3, 32, 32)
    """
    shape, _ = check_sizes(owner, inputs, outputs)
    if len(shape) == 3 and min(shape[1:]) >= smallest:
        return shape[0], shape[1], shape[2]
    raise ModelError(
        f"{owner} does not suit these examples",
        expected="images (C, H, W)" + (f" with H and W of at least {smallest}" if smallest > 1 else ""),
        received=f"examples of shape {shape}",
        hint='larger images, or the model "convnet" or "mlp"' if len(shape) == 3 else 'the model "mlp"',
    )


def pieces_of(activation: nn.Module) -> int:
    """Return how many outputs of a layer an activation takes for one of its own: 1, for maxout more.

    Example:
        >>> pieces_of(nn.ReLU()), pieces_of(get("maxout", pieces=3))
        (1, 3)
    """
    return int(getattr(activation, "pieces", 1))


def initialize(model: nn.Module, init: Init) -> None:
    """Fill the weights of linear and convolutional layers by ``init`` and their biases with zero.

    ``init`` is the name of an initializer; a mapping of its name, its options, and perhaps ``bias``, the
    value of all biases; a function that fills a tensor in place; or None, which leaves torch's own start:
    uniform in ±1/√fan_in for weights and biases. An initializer that asks for the activation which a
    layer's inputs come from is told. The name ``"pretrained"`` copies the weights of ``source``.

    Raises:
        UnknownName: no initializer has that name.
        ConfigError: ``init`` is of another type, or has an option that the initializer has not.
    """
    if init is None:
        return
    options = {"name": init} if isinstance(init, str) else dict(init) if isinstance(init, Mapping) else {}
    bias = options.pop("bias", 0.0)
    name = options.pop("name", None)
    if name == "pretrained":
        get("pretrained", model, options.pop("source", None), kind="initialization", **options)
        return
    if not (isinstance(name, str) or callable(init)) or not isinstance(bias, (int, float)):
        raise ConfigError(
            "init is not usable",
            expected="the name of an initializer, its name with options and a number as bias, a function of "
            "one tensor, or None",
            received=repr(init),
            hint='init="he-normal"',
        )
    asks = isinstance(name, str) and entry(name, "initializer").traits.get("asks") == "activation"
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, (nn.Linear, nn.Conv2d)):
                own = {"activation": activation_before(model, layer)} if asks else {}
                fill: Any = init
                if isinstance(name, str):
                    fill = get(name, kind="initializer", **{**own, **options})
                fill(layer.weight)
                if layer.bias is not None:
                    layer.bias.fill_(bias)


def activation_before(model: nn.Module, layer: nn.Module) -> nn.Module:
    """Return the activation that a layer's inputs come from, in the order of registration.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Dropout(), nn.Linear(3, 1))
        >>> activation_before(model, model[0]), activation_before(model, model[3])
        (Identity(), Tanh())
    """
    leaves = [module for module in model.modules() if not list(module.children())]
    for module in reversed(leaves[: leaves.index(layer)]):
        if is_activation(module):
            return module
        if isinstance(module, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)):
            break
    return nn.Identity()
