"""What is known of a layer by its class: where its units are, when they are idle, which bounds they have."""

from __future__ import annotations

import weakref
from dataclasses import dataclass

from torch import nn

__all__ = ["Kind", "kind_of"]

_SMALL = 1e-3  # an activation this close to zero does next to nothing, forward or backward
_IDLE: dict[type[nn.Module], float] = {
    nn.ReLU: 0.0,
    nn.ReLU6: 0.0,
    nn.GELU: _SMALL,
    nn.SiLU: _SMALL,
    nn.Mish: _SMALL,
    nn.Hardswish: _SMALL,
}
_BOUNDS: dict[type[nn.Module], tuple[float, float]] = {
    nn.Sigmoid: (0.0, 1.0),
    nn.Hardsigmoid: (0.0, 1.0),
    nn.Tanh: (-1.0, 1.0),
    nn.Softsign: (-1.0, 1.0),
}
_SKIPPED = (
    nn.Identity,
    nn.Flatten,
    nn.Unflatten,
    nn.modules.dropout._DropoutNd,
    nn.modules.loss._Loss,
)
_CHANNELS_SECOND = (
    nn.modules.conv._ConvNd,
    nn.modules.batchnorm._NormBase,
    nn.GroupNorm,
    nn.LocalResponseNorm,
    nn.modules.pooling._MaxPoolNd,
    nn.modules.pooling._AvgPoolNd,
    nn.modules.pooling._AdaptiveAvgPoolNd,
    nn.modules.pooling._AdaptiveMaxPoolNd,
    nn.Upsample,
)
_UNITS_LAST = (
    nn.Linear,
    nn.Bilinear,
    nn.LayerNorm,
    nn.Embedding,
    nn.EmbeddingBag,
    nn.RNNBase,
    nn.RNNCellBase,
    nn.MultiheadAttention,
)


@dataclass(frozen=True)
class Kind:
    """How to read a layer's output.

    Arguments:
        idle: a unit whose magnitude does not exceed this is idle; None where idleness means nothing.
        bounds: between which its values lie, if they saturate.
        axis: where the units are: 1, -1 (the last), or None where that depends on the layer before.
    """

    idle: float | None = None
    bounds: tuple[float, float] | None = None
    axis: int | None = None


_KINDS: weakref.WeakKeyDictionary[type[nn.Module], Kind | None] = weakref.WeakKeyDictionary()


def kind_of(module: nn.Module) -> Kind | None:
    """Return how to read a module's output; None if it is not a layer of its own.

    Example:
        >>> kind_of(nn.ReLU())
        Kind(idle=0.0, bounds=None, axis=None)
    """
    if module._modules and not isinstance(module, nn.MultiheadAttention):
        return None
    kind = type(module)
    if isinstance(module, nn.Hardtanh) and not isinstance(module, nn.ReLU6):
        return Kind(bounds=(float(module.min_val), float(module.max_val)))
    if kind not in _KINDS:
        _KINDS[kind] = _read(module)
    return _KINDS[kind]


def _read(module: nn.Module) -> Kind | None:
    if isinstance(module, _SKIPPED):
        return None
    axis = 1 if isinstance(module, _CHANNELS_SECOND) else -1 if isinstance(module, _UNITS_LAST) else None
    # exact classes: what derives from an activation may do something else
    return Kind(_IDLE.get(type(module)), _BOUNDS.get(type(module)), axis)
