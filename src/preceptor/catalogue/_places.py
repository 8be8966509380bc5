"""Places within a model: its activations and its weights, which regularizers act upon."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

__all__ = ["activations_of", "is_activation", "weights_of"]

_HOMES = (
    "torch.nn.modules.activation",
    "preceptor.catalogue.activations",
    "preceptor.catalogue.piecewise",
)
_NONE = (nn.MultiheadAttention, nn.Softmax, nn.LogSoftmax, nn.Softmax2d)


def is_activation(module: nn.Module) -> bool:
    """Say whether a module is an activation: torch's, or one of the catalogue.

    Example:
        >>> is_activation(nn.ReLU()), is_activation(nn.Linear(1, 1))
        (True, False)
    """
    return type(module).__module__ in _HOMES and not isinstance(module, _NONE)


def activations_of(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield the activations of a model with their names, in the order of registration.

    Example:
        >>> [name for name, _ in activations_of(nn.Sequential(nn.Linear(2, 3), nn.Tanh()))]
        ['1']
    """
    return ((name, module) for name, module in model.named_modules() if is_activation(module))


def weights_of(model: nn.Module, *, every: bool = False) -> list[nn.Parameter]:
    """Return the weight matrices and kernels that are learned; ``every``: biases and the like as well.

    What has one axis shifts or scales single units, and is left out of penalties by custom.

    Example:
        >>> [tuple(w.shape) for w in weights_of(nn.Linear(3, 2))]
        [(2, 3)]
    """
    return [p for p in model.parameters() if p.requires_grad and (every or p.ndim > 1)]
