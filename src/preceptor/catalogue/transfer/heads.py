"""A new head for another number of classes."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.nn.modules.conv import _ConvNd

from preceptor.catalogue._checks import check_count
from preceptor.catalogue._registry import registered
from preceptor.catalogue.transfer.parts import head_of
from preceptor.errors import ModelError

__all__ = ["new_head"]


@registered(
    kind="transfer",
    name="new-head",
    aliases=("head-replacement", "replace-head", "classifier-replacement"),
    formula="f(x) = W h(x) + b → W′ h(x) + b′, W′ of another width, drawn anew",
    shapes="a model, the new number of outputs → the name of the layer that was replaced, the model changed "
    "in place",
    when="a trained network is to tell other classes apart",
    pitfalls="make the optimizer afterwards: it would hold the weights of the old head",
    source="Donahue et al., DeCAF: A Deep Convolutional Activation Feature for Generic Visual "
    "Recognition, 2014",
    differs="timm's reset_classifier asks the model where its head is; here it is the last linear or "
    "convolutional layer of the old width",
    example="""
    >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1000))
    >>> get('new-head', net, 2)
    '2'
    >>> net[2]
    Linear(in_features=8, out_features=2, bias=True)
    """,
)
def new_head(model: nn.Module, outputs: int, old: int | None = None, head: str | None = None) -> str:
    """New head: the last layer of a trained network is replaced by one of another width.

    Arguments:
        model: changed in place.
        outputs: the new width.
        old: the present width; default: that of the last linear or convolutional layer.
        head: the name of the layer; default: found.

    Raises:
        ModelError: there is no such layer.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 10, 1), nn.AdaptiveAvgPool2d(1))
        >>> new_head(net, 2), net[1].out_channels
        ('1', 2)
    """
    outputs = check_count("new-head", "outputs", outputs)
    name = head_of(model, old) if head is None else head
    modules = dict(model.named_modules())
    layer = modules.get(name)
    new = _like(layer, outputs)
    if new is None or not name:
        raise ModelError(
            "the head cannot be replaced",
            expected="the name of a linear or convolutional layer within the model",
            received=f"{name or 'the model itself'}: {type(layer).__name__}",
        )
    above, _, own = name.rpartition(".")
    setattr(modules[above], own, new.to(next(layer.parameters())))  # type: ignore[union-attr]  # a layer of torch
    return name


def _like(layer: nn.Module | None, outputs: int) -> nn.Module | None:
    if isinstance(layer, nn.Linear):
        return nn.Linear(layer.in_features, outputs, bias=layer.bias is not None)
    if isinstance(layer, _ConvNd) and not layer.transposed:
        make: Any = type(layer)
        return make(  # type: ignore[no-any-return]  # a factory of the catalogue
            layer.in_channels,
            outputs,
            layer.kernel_size,
            stride=layer.stride,
            padding=layer.padding,
            dilation=layer.dilation,
            bias=layer.bias is not None,
            padding_mode=layer.padding_mode,
        )
    return None
