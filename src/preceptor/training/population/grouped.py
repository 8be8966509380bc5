"""Convolutional chains over all members: a convolution in groups, a group a member, then matrix products."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from preceptor.training.population.heads import Head
from preceptor.training.population.layers import ELEMENTWISE, Layer
from preceptor.training.population.passes import Differentiated
from preceptor.training.population.stack import Stack

__all__ = ["GroupedPass", "is_spatial"]

_LAST = torch.channels_last
_EXAMPLES = 32  # measured at once: the maps of all members leave the cache soon
_RISING = (nn.ReLU, nn.ReLU6, nn.Tanh, nn.Sigmoid, nn.Softplus, nn.Hardtanh, nn.ELU, nn.SELU)
_SPATIAL = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)


def is_spatial(chain: Sequence[Layer], shape: tuple[int, ...] | None) -> bool:
    """Say whether a chain takes images by convolutions, flattens once, and is linear from there on."""
    modules = [layer.module for layer in chain if not isinstance(layer.module, nn.Identity)]
    flats = [at for at, module in enumerate(modules) if isinstance(module, nn.Flatten)]
    if shape is None or len(shape) != 3 or len(flats) != 1:
        return False
    before, after = modules[: flats[0]], modules[flats[0] + 1 :]
    free = (nn.Dropout, *ELEMENTWISE)
    return (
        any(isinstance(module, nn.Conv2d) for module in before)
        and all(isinstance(module, (*_SPATIAL, *free)) for module in before)
        and all(isinstance(module, (nn.Linear, *free)) for module in after)
    )


def _pooled_first(chain: Sequence[Layer]) -> list[Layer]:
    """Return the chain with the largest taken before a rising activation: the same, of fewer numbers."""
    made = list(chain)
    for at, (now, then) in enumerate(pairwise(chain)):
        if isinstance(now.module, _RISING) and isinstance(then.module, nn.MaxPool2d):
            made[at : at + 2] = [then, now]
    return made


class GroupedPass(Differentiated):
    """Images of all members side by side as channels: h (B, M·C, H, W), in the layout channels-last.

    Arguments:
        stack, head, rates: as of a `Pass`.
        chain: the layers.
    """

    engine: ClassVar[str] = "batched"

    def __init__(self, stack: Stack, head: Head, rates: dict[str, Tensor], chain: Sequence[Layer]) -> None:
        self.chain = _pooled_first(chain)
        super().__init__(stack, head, rates)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs in training."""
        h = x.transpose(0, 1).flatten(1, 2).contiguous(memory_format=_LAST)
        return self._run(h, shared=False, training=True)

    def outputs(self, x: Tensor) -> Tensor:
        """Return the outputs in evaluation."""
        parts = [self._run(part, shared=True, training=False) for part in x.split(_EXAMPLES)]
        return torch.cat(parts, 1)

    def _run(self, h: Tensor, *, shared: bool, training: bool) -> Tensor:
        members = len(self.stack)
        for layer in self.chain:
            module = layer.module
            if isinstance(module, nn.Conv2d):
                h, shared = self._convolved(h, layer, shared=shared), False
            elif isinstance(module, nn.Linear):
                h = self._linear(h, layer)
            elif isinstance(module, nn.Flatten):
                h = h.unflatten(1, (members, -1)).flatten(2).transpose(0, 1)
            elif isinstance(module, nn.Dropout):
                h = self._dropped(h, layer) if training else h
            else:
                h = module(h)
        return h

    def _convolved(self, h: Tensor, layer: Layer, *, shared: bool) -> Tensor:
        module: nn.Conv2d = layer.module
        weight = self.leaves[f"{layer.name}.weight"].flatten(0, 1).contiguous(memory_format=_LAST)
        bias = self.leaves[f"{layer.name}.bias"].flatten() if module.bias is not None else None
        groups = 1 if shared else len(self.stack)
        return functional.conv2d(h, weight, bias, module.stride, module.padding, module.dilation, groups)

    def _linear(self, h: Tensor, layer: Layer) -> Tensor:
        weight = self.leaves[f"{layer.name}.weight"]
        if layer.module.bias is None:
            return torch.bmm(weight, h.mT).mT
        return torch.baddbmm(self.leaves[f"{layer.name}.bias"].unsqueeze(2), weight, h.mT).mT

    def _dropped(self, h: Tensor, layer: Layer) -> Tensor:
        kept = 1 - self.rates[layer.name]
        if h.ndim == 4:
            kept = kept.repeat_interleave(h.shape[1] // len(kept))[None, :, None, None]
        else:
            kept = kept[:, None, None]
        return h * (torch.rand_like(h) < kept) / kept
