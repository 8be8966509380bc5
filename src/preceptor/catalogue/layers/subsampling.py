"""The layers of the first LeNet-5: trainable pooling, partly connected maps, distances to fixed codes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["CodeDistance", "PartlyConnected", "TrainablePooling"]


class TrainablePooling(nn.Module):
    """Subsampling y_c = w_c · Σ x_c + b_c over windows of 2×2, with one w and one b a map.

    Example:
        >>> layer = TrainablePooling(1)
        >>> layer.weight.data.fill_(0.5), layer.bias.data.fill_(1.0)
        (tensor([0.5000]), tensor([1.]))
        >>> layer(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])).item()
        6.0
    """

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((maps,), 0.25))
        self.bias = nn.Parameter(torch.zeros(maps))

    def forward(self, x: Tensor) -> Tensor:
        """Return the scaled and shifted sums."""
        total = 4 * functional.avg_pool2d(x, 2)
        return total * self.weight[:, None, None] + self.bias[:, None, None]


class PartlyConnected(nn.Module):
    """Convolution whose every output map sees some of the input maps alone.

    Arguments:
        sources: for each output map, the input maps that it sees.
        kernel: the side of all kernels.

    Example:
        >>> layer = PartlyConnected([(0, 1), (2,)], 5)
        >>> sum(p.numel() for p in layer.parameters()), layer(torch.zeros(1, 3, 6, 6)).shape
        (77, torch.Size([1, 2, 2, 2]))
    """

    places: Tensor

    def __init__(self, sources: Sequence[Sequence[int]], kernel: int) -> None:
        super().__init__()
        self.maps = 1 + max(max(seen) for seen in sources)
        self.filters = nn.ModuleList(nn.Conv2d(len(seen), 1, kernel) for seen in sources)
        places = [at * self.maps + seen for at, all_seen in enumerate(sources) for seen in all_seen]
        self.register_buffer("places", torch.tensor(places), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve with all filters at once, their weights laid among zeros."""
        kernels = torch.cat([cast(Tensor, f.weight)[0] for f in self.filters])
        side = kernels.shape[-1]
        laid = kernels.new_zeros(len(self.filters) * self.maps, side, side).index_copy(
            0, self.places, kernels
        )
        bias = torch.cat([cast(Tensor, f.bias) for f in self.filters])
        return functional.conv2d(x, laid.view(-1, self.maps, side, side), bias)


class CodeDistance(nn.Module):
    """Radial basis outputs −Σ_j (x_j − w_kj)², w_k a fixed code of ±1 for each class; no weight is learned.

    One output is the difference of the distances to −w and to w, 4 wᵀx, so that it can have either sign.
    The codes are drawn once from a generator of their own, and saved with the model.

    Example:
        >>> layer = CodeDistance(84, 10)
        >>> layer(layer.codes[:3]).argmax(1), round(layer(torch.zeros(1, 84))[0, 0].item())
        (tensor([0, 1, 2]), -84)
    """

    codes: Tensor

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__()
        drawn = torch.randint(
            2, (outputs, features), generator=torch.Generator().manual_seed(0), device="cpu"
        )
        self.register_buffer("codes", (2.0 * drawn - 1).to(torch.get_default_device()))

    def forward(self, x: Tensor) -> Tensor:
        """Return the distances, negative, so that the nearest code is the largest output."""
        if len(self.codes) == 1:
            return 4 * functional.linear(x, self.codes)
        return -(x[:, None] - self.codes).square().sum(-1)
