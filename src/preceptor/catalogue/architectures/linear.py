"""The linear model: one weight for each input and output."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from preceptor.catalogue._registry import registered
from preceptor.catalogue.architectures._common import Init, check_sizes, initialize

__all__ = ["Linear"]


@registered(
    kind="architecture",
    name="linear",
    aliases=(
        "softmax-regression",
        "softreg",
        "logistic-regression",
        "logreg",
        "linear-regression",
        "linreg",
        "linear-svm",
        "support-vector-machine",
    ),
    formula="z = W x + b; with cross-entropy it is softmax regression, with one logit logistic regression, "
    "with mse linear regression, with hinge and weight decay a support vector machine",
    shapes="(N, …) → (N, outputs); the example is flattened to D numbers; D·outputs + outputs parameters",
    when="the base line to beat; few examples, many features",
    pitfalls="only straight boundaries between classes; inputs should be standardised",
    source="Legendre, 1805; Cox, The Regression Analysis of Binary Sequences, 1958",
    example=">>> get('softmax-regression', (64,), 10)(torch.zeros(2, 64)).shape\ntorch.Size([2, 10])",
    traits={"convex": True},
)
class Linear(nn.Sequential):
    """Linear model: every output is a weighted sum of the inputs."""

    def __init__(self, inputs: Sequence[int], outputs: int, bias: bool = True, init: Init = None) -> None:
        shape, width = check_sizes("linear", inputs, outputs)
        super().__init__()
        if len(shape) != 1:
            self.append(nn.Flatten())
        self.append(nn.Linear(width, outputs, bias=bias))
        self.sizes: tuple[int, ...] = (width, outputs)
        initialize(self, init)
