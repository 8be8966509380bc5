"""Output units: the functions that turn a network's raw outputs (logits) into a prediction.

Networks here return raw outputs, and the losses take them raw; the output unit is applied when a prediction
is shown.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from preceptor.catalogue._checks import check_number
from preceptor.catalogue._registry import registered
from preceptor.errors import ModelError

__all__ = ["identity", "log_softmax", "sigmoid", "softmax", "softmax_jacobian"]

_KIND = "output-unit"


@registered(
    kind=_KIND,
    name="identity",
    aliases=("linear", "gaussian", "gaussian-mean"),
    formula="ŷ = z = wᵀh + b, the mean of a Gaussian: with unit variance −log p(y) = ½‖y − ŷ‖² + ½ D log 2π",
    shapes="(N, D) → (N, D)",
    when="regression: the prediction is the mean of a Gaussian",
    pitfalls="predictions are unbounded, also where the targets are not",
    source="Bishop, Pattern Recognition and Machine Learning, 2006, section 5.2",
    example=">>> get('identity', kind='output-unit')(torch.tensor([[2.5]]))\ntensor([[2.5000]])",
    traits={"targets": "numbers"},
)
def identity() -> nn.Module:
    """Identity: the raw output is the predicted number."""
    return nn.Identity()


@registered(
    kind=_KIND,
    name="sigmoid",
    aliases=("logistic", "bernoulli"),
    formula="ŷ = 1 / (1 + e⁻ᶻ), the probability of class 1",
    shapes="(N,) or (N, 1) → the same shape",
    when="two classes with one output",
    pitfalls="never before a loss that takes logits: the sigmoid would be applied twice",
    source="Bishop, Pattern Recognition and Machine Learning, 2006, section 4.3.2",
    example=">>> get('sigmoid', kind='output-unit')(torch.tensor([0.0]))\ntensor([0.5000])",
    traits={"targets": "binary"},
)
def sigmoid() -> nn.Module:
    """Sigmoid: one raw output becomes the probability of the second class."""
    return nn.Sigmoid()


class _Tempered(nn.Softmax):
    """Softmax of z / temperature."""

    def __init__(self, temperature: float) -> None:
        super().__init__(dim=-1)
        self.temperature = temperature

    def forward(self, z: Tensor) -> Tensor:
        """Return the probabilities."""
        return super().forward(z / self.temperature)

    def extra_repr(self) -> str:
        """Return the temperature."""
        return f"temperature={self.temperature:g}"


@registered(
    kind=_KIND,
    name="softmax",
    aliases=(
        "multinoulli",
        "normalized-exponential",
        "softmax-with-temperature",
        "softmax-temperature",
        "softmax-temp",
        "numerically-stable-softmax",
        "stable-softmax",
        "boltzmann",
    ),
    formula="ŷ_k = exp(z_k / temperature) / Σ_j exp(z_j / temperature), computed with max z subtracted "
    "first, "
    "which changes nothing and cannot overflow",
    shapes="(N, K) → (N, K), every row sums to 1",
    when="K exclusive classes; a temperature below 1 sharpens, above 1 flattens towards 1/K, as in sampling",
    pitfalls="never before a loss that takes logits: cross-entropy applies log-softmax itself",
    source="Bridle, Probabilistic Interpretation of Feedforward Classification Network Outputs, 1990",
    example=">>> get('softmax')(torch.tensor([[1.0, 2.0, 3.0]]))\ntensor([[0.0900, 0.2447, 0.6652]])",
    traits={"targets": "categories"},
)
def softmax(temperature: float = 1.0) -> nn.Module:
    """Softmax: K raw outputs become the probabilities of K classes."""
    tau = check_number("softmax", "temperature", temperature, 1e-6)
    return nn.Softmax(dim=-1) if tau == 1.0 else _Tempered(tau)


@registered(
    kind=_KIND,
    name="log-softmax",
    aliases=("log-probabilities",),
    formula="log ŷ_k = z_k − log Σ_j exp(z_j)",
    shapes="(N, K) → (N, K), every row's exponentials sum to 1",
    when="before negative-log-likelihood; wherever products of probabilities are needed",
    pitfalls="log(softmax(z)) is −∞ where the softmax underflows; this is not",
    source="Goodfellow, Bengio and Courville, Deep Learning, 2016, section 6.2.2.3",
    example=">>> get('log-softmax')(torch.tensor([[1000.0, 0.0]]))\ntensor([[    0., -1000.]])",
    traits={"targets": "categories"},
)
def log_softmax() -> nn.Module:
    """Log-softmax: the logarithms of the probabilities of K classes."""
    return nn.LogSoftmax(dim=-1)


@registered(
    kind="derivative",
    name="softmax-jacobian",
    aliases=("softmax-jac", "jacobian-of-softmax"),
    formula="∂y_k/∂z_k = y_k (1 − y_k), ∂y_k/∂z_j = −y_k y_j: J = diag(y) − y yᵀ for y = softmax(z)",
    shapes="logits (…, K) → (…, K, K)",
    when="derivations by hand, and attention's gradients",
    pitfalls="singular: J · 1 = 0, since a shift of all logits changes nothing",
    source="Bridle, Probabilistic Interpretation of Feedforward Classification Network Outputs, 1990",
    example=">>> get('softmax-jacobian', torch.zeros(2))\n"
    "tensor([[ 0.2500, -0.2500],\n        [-0.2500,  0.2500]])",
)
def softmax_jacobian(z: Tensor) -> Tensor:
    """Jacobian of softmax: diag(y) − y yᵀ.

    Raises:
        ModelError: there is no axis of classes.
    """
    if z.ndim == 0:
        raise ModelError("softmax-jacobian needs logits", expected="(…, K)", received="a single number")
    y = z.softmax(-1)
    return torch.diag_embed(y) - y.unsqueeze(-1) * y.unsqueeze(-2)
