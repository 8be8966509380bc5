"""Which networks are chains of layers that have kernels over all members, and what those layers are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

__all__ = ["ELEMENTWISE", "Layer", "chain_of"]

ELEMENTWISE = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish),
    *(nn.Softplus, nn.Softsign, nn.Tanh, nn.Tanhshrink, nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish),
    *(nn.Sigmoid, nn.LogSigmoid, nn.Identity, nn.Softshrink, nn.Hardshrink),
)
"""Activations that act on single numbers, whatever the shape, and hold no weights."""


@dataclass(frozen=True)
class Layer:
    """One layer of a chain, and its name within the model."""

    name: str
    module: Any


def chain_of(model: nn.Module) -> list[Layer] | None:
    """Return the layers of a model that is a chain of known ones; None where it is anything else.

    Known are linear layers, convolutions without groups, pooling, flattening, dropout and activations that
    act on single numbers, in ``nn.Sequential`` at any depth, without hooks.

    Example:
        >>> [layer.name for layer in chain_of(nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.Tanh())))]
        ['0', '1.0']
        >>> chain_of(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))) is None
        True
    """
    layers = list(_walk("", model))
    if any(not _is_known(layer.module) for layer in layers):
        return None
    return layers


def _walk(name: str, module: nn.Module) -> Iterator[Layer]:
    if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward and _bare(module):
        for key, child in module.named_children():
            yield from _walk(f"{name}.{key}" if name else key, child)
    else:
        yield Layer(name, module)


def _bare(module: nn.Module) -> bool:
    return not (
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
    )


def _is_known(module: nn.Module) -> bool:
    if not _bare(module):
        return False
    if type(module) is nn.Conv2d:
        return module.groups == 1 and module.padding_mode == "zeros"
    if type(module) is nn.MaxPool2d:
        return not module.return_indices
    if type(module) is nn.Flatten:
        return module.start_dim == 1 and module.end_dim == -1
    return type(module) in (nn.Linear, nn.Dropout, nn.AvgPool2d, *ELEMENTWISE)
