"""Output units: the functions that turn a network's raw outputs (logits) into a prediction.

Networks here return raw outputs, and the losses take them raw; the output unit is applied when a prediction
is shown.
"""

from __future__ import annotations

from torch import nn

from preceptor.catalogue._registry import registered

__all__ = ["identity", "sigmoid", "softmax"]

_KIND = "output-unit"


@registered(
    kind=_KIND,
    name="identity",
    aliases=("linear",),
    formula="ŷ = z",
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
    aliases=("logistic",),
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


@registered(
    kind=_KIND,
    name="softmax",
    aliases=("multinoulli", "normalized-exponential"),
    formula="ŷ_k = exp(z_k) / Σ_j exp(z_j), computed with max z subtracted first",
    shapes="(N, K) → (N, K), every row sums to 1",
    when="K exclusive classes",
    pitfalls="never before a loss that takes logits: cross-entropy applies log-softmax itself",
    source="Bridle, Probabilistic Interpretation of Feedforward Classification Network Outputs, 1990",
    example=">>> get('softmax')(torch.tensor([[1.0, 2.0, 3.0]]))\ntensor([[0.0900, 0.2447, 0.6652]])",
    traits={"targets": "categories"},
)
def softmax() -> nn.Module:
    """Softmax: K raw outputs become the probabilities of K classes."""
    return nn.Softmax(dim=-1)
