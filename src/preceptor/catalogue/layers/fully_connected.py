"""Fully connected layers, in full and through a narrow waist."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from preceptor.catalogue._checks import check_choice, check_count, check_number
from preceptor.catalogue._registry import get, registered
from preceptor.catalogue.activations import make_activation

__all__ = ["FullyConnected", "LinearBottleneck"]


@registered(
    kind="layer",
    name="fully-connected",
    aliases=("fc", "dense", "linear", "inner-product"),
    formula="y = f(norm(W x + b)), W of shape out_features × in_features; order='after' gives "
    "norm(f(W x + b)); in_features · out_features + out_features parameters",
    shapes="(N, in_features) → (N, out_features)",
    when="inputs without order between neighbours; the last layers of most networks",
    pitfalls="a bias in front of a normalisation is taken away again by the mean: bias=None leaves it out "
    "there",
    source="Rosenblatt, The Perceptron, 1958; Rumelhart, Hinton and Williams, 1986",
    differs="nn.Linear is the affine part alone",
    example=">>> get('fully-connected', 4, 3, kind='layer', activation='relu')(torch.zeros(2, "
    "4)).shape\ntorch.Size([2, 3])",
    traits={"arguments": (4, 3), "takes": (5, 4), "gives": (5, 3)},
)
class FullyConnected(nn.Sequential):
    """Fully connected layer: every output is a function of a weighted sum of all inputs."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        activation: str | nn.Module | Callable[[], nn.Module] = "identity",
        normalization: str | None = None,
        order: str = "before",
        dropout: float = 0.0,
        bias: bool | None = None,
    ) -> None:
        owner = "fully-connected"
        check_count(owner, "in_features", in_features)
        check_count(owner, "out_features", out_features)
        before = check_choice(owner, "order", order, ("before", "after")) == "before"
        rate = check_number(owner, "dropout", dropout, 0.0, 1.0)
        if bias is None:
            bias = normalization is None or not before
        norm = [] if normalization is None else [get(normalization, out_features, kind="normalization")]
        f = make_activation(activation)
        middle = [f] if not isinstance(f, nn.Identity) else []
        super().__init__(
            nn.Linear(in_features, out_features, bias=bias),
            *(norm + middle if before else middle + norm),
            *([nn.Dropout(rate)] if rate else []),
        )


@registered(
    kind="layer",
    name="linear-bottleneck",
    aliases=("bottleneck-layer", "low-rank-layer", "low-rank"),
    formula="y = V (U x) + b, U of shape rank × in_features, V of shape out_features × rank: "
    "rank · (in_features + out_features) weights in place of in_features · out_features",
    shapes="(N, in_features) → (N, out_features)",
    when="a wide layer that holds most of the parameters: fewer of them, and less overfitting",
    pitfalls="saves nothing unless rank < in_features · out_features / (in_features + out_features)",
    source="Sainath et al., Low-Rank Matrix Factorization for Deep Neural Network Training, 2013",
    example=">>> sum(p.numel() for p in get('linear-bottleneck', 100, 80, rank=5, bias=False).parameters())\n"
    "900",
    traits={"arguments": (6, 4), "takes": (5, 6), "gives": (5, 4)},
)
class LinearBottleneck(nn.Sequential):
    """Linear bottleneck: a weight matrix as the product of two narrow ones."""

    def __init__(self, in_features: int, out_features: int, rank: int = 2, bias: bool = True) -> None:
        check_count("linear-bottleneck", "rank", rank)
        super().__init__(nn.Linear(in_features, rank, bias=False), nn.Linear(rank, out_features, bias=bias))
