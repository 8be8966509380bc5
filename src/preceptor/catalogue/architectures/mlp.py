"""The multilayer perceptron."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import nn

from preceptor.catalogue._checks import check_choice, check_number
from preceptor.catalogue._registry import get, registered
from preceptor.catalogue.activations import make_activation
from preceptor.catalogue.architectures._common import Init, check_sizes, initialize, pieces_of
from preceptor.catalogue.architectures._widths import check_widths

__all__ = ["MLP"]


@registered(
    kind="architecture",
    name="mlp",
    aliases=("multilayer-perceptron", "feedforward", "fully-connected"),
    formula="h₀ = x; h_l = f(norm(W_l h_{l−1} + b_l)) for each width in hidden; z = W h + b; dropout after "
    "each "
    "f. norm: none, or a normalisation by name, with order='after' behind f; before f it takes the place "
    "of b_l",
    shapes="(N, …) → (N, outputs); the example is flattened first",
    when="tables and other inputs without order between neighbours",
    pitfalls="ignores that neighbouring pixels belong together; depth beyond a few layers needs "
    "normalisation",
    source="Rumelhart, Hinton and Williams, Learning Representations by Back-propagating Errors, 1986",
    differs="init=None keeps torch's start, uniform in ±1/√fan_in; scikit-learn and Keras start with "
    "Glorot's",
    example=">>> sum(p.numel() for p in get('mlp', (64,), 10).parameters())\n9610",
)
class MLP(nn.Sequential):
    """Multilayer perceptron: fully connected layers with an activation between them."""

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        hidden: int | Sequence[int] = (128,),
        activation: str | nn.Module | Callable[[], nn.Module] = "relu",
        dropout: float = 0.0,
        init: Init = None,
        normalization: str | None = None,
        order: str = "before",
    ) -> None:
        shape, width = check_sizes("mlp", inputs, outputs)
        dropout = check_number("mlp", "dropout", dropout, 0.0, 1.0)
        before = check_choice("mlp", "order", order, ("before", "after")) == "before"
        super().__init__()
        self.sizes: tuple[int, ...] = (width, *check_widths("mlp", "hidden", hidden), outputs)
        if len(shape) != 1:
            self.append(nn.Flatten())
        for fan_in, fan_out in pairwise(self.sizes[:-1]):
            unit = make_activation(activation)
            width = fan_out * pieces_of(unit) if before else fan_out
            norm = [] if normalization is None else [get(normalization, width, kind="normalization")]
            self.append(nn.Linear(fan_in, fan_out * pieces_of(unit), bias=not (norm and before)))
            self.extend([*norm, unit] if before else [unit, *norm])
            if dropout:
                self.append(nn.Dropout(dropout))
        self.append(nn.Linear(self.sizes[-2], outputs))
        initialize(self, init)
