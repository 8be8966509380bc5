"""Dropout in its forms, and noise on hidden units: modules that act in training."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from preceptor.catalogue._checks import check_number
from preceptor.catalogue._registry import registered
from preceptor.errors import ModelError

__all__ = ["ClassicDropout", "GaussianNoise", "dropout", "dropout_ensemble", "hidden_noise", "input_noise"]

_KIND = "regularizer"
_SHAPES = "any shape → the same shape; named in a training, it stands behind every activation"
_SRIVASTAVA = "Srivastava et al., Dropout: A Simple Way to Prevent Neural Networks from Overfitting, 2014"
_PLACED = {"takes": (4, 6), "random": True, "model": True}


def _rate(owner: str, p: float) -> float:
    return check_number(owner, "p", p, 0.0, 0.999)


@registered(
    kind=_KIND,
    name="dropout",
    aliases=("inverted-dropout",),
    formula="training: y = x · m / (1 − p), m = 0 with probability p, else 1, anew for each number and "
    "batch; "
    "test: y = x. E[y] = x",
    shapes=_SHAPES,
    when="fully connected layers with more weights than the examples can determine",
    pitfalls="the factor at test (or its inverse in training) is the share kept, 1 − p, and not p: the two "
    "agree "
    "for p = 0.5 only; slows training down, and disturbs the variances that batch-norm counts on",
    source=_SRIVASTAVA,
    differs="p is the probability of dropping, as in torch; the paper's p is that of keeping",
    example=">>> get('dropout', p=0.2).eval()(torch.ones(3))\ntensor([1., 1., 1.])",
    traits={**_PLACED, "place": "activations"},
)
def dropout(p: float = 0.5) -> nn.Module:
    """Dropout: random units are silenced in training, the others made louder."""
    return nn.Dropout(_rate("dropout", p))


@registered(
    kind=_KIND,
    name="classic-dropout",
    aliases=("dropout-ws", "weight-scaling-inference", "weight-scaling-rule"),
    formula="training: y = x · m, m = 0 with probability p, else 1; test: y = (1 − p) · x, which is to "
    "multiply "
    "the weights behind it by the probability of inclusion",
    shapes=_SHAPES,
    when="to see the original form; the results are those of dropout with another scale in training",
    pitfalls="test must multiply by 1 − p; by p it is too small (p = 0.2: a fourth)",
    source="Hinton et al., Improving Neural Networks by Preventing Co-adaptation of Feature Detectors, 2012",
    example=">>> get('classic-dropout', p=0.2).eval()(torch.ones(3))\ntensor([0.8000, 0.8000, 0.8000])",
    traits={**_PLACED, "place": "activations"},
)
class ClassicDropout(nn.Module):
    """Dropout as first described: nothing is made louder in training, all is scaled down at test."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = _rate("classic-dropout", p)

    def forward(self, x: Tensor) -> Tensor:
        """Drop in training, scale in evaluation."""
        if not self.training:
            return (1 - self.p) * x
        return x * (torch.rand_like(x) >= self.p)


@registered(
    kind=_KIND,
    name="spatial-dropout",
    aliases=("dropout2d", "channel-dropout"),
    formula="dropout with one m for each map of each example",
    shapes="(N, C, H, W) → the same shape; named in a training, it stands behind activations of maps",
    when="convolutional layers, where neighbouring pixels say the same and single ones can be guessed",
    pitfalls="few channels: much is lost at once",
    source="Tompson et al., Efficient Object Localization Using Convolutional Networks, 2015",
    example=">>> y = get('spatial-dropout', p=0.5)(torch.ones(1, 8, 2, 2))\n"
    ">>> sorted(set(y.flatten().tolist())), bool((y[0, :, 0, 0] == y[0, :, 1, 1]).all())\n([0.0, 2.0], True)",
    traits={**_PLACED, "takes": (4, 6, 3, 3), "place": "activations", "maps": True},
)
def spatial_dropout(p: float = 0.5) -> nn.Module:
    """Spatial dropout: whole maps are silenced."""
    return nn.Dropout2d(_rate("spatial-dropout", p))


class GaussianNoise(nn.Module):
    """Adds normal noise in training, nothing in evaluation.

    Example:
        >>> GaussianNoise("hidden-noise", 0.1).eval()(torch.ones(2))
        tensor([1., 1.])
    """

    def __init__(self, owner: str, std: float) -> None:
        super().__init__()
        self.std = check_number(owner, "std", std, 0.0)

    def forward(self, x: Tensor) -> Tensor:
        """Add noise in training."""
        return x + self.std * torch.randn_like(x) if self.training else x


@registered(
    kind=_KIND,
    name="input-noise",
    aliases=("noise-in", "input-jitter"),
    formula="training: x + std · ε, ε ~ N(0, 1) for each number; test: x",
    shapes="any shape → the same shape; named in a training, it acts on the inputs",
    when="inputs that are measured; small data sets. For linear models and squared error it is the L2 "
    "penalty "
    "½ · std² · Σ w² on a loss of ½ the mean square",
    pitfalls="std is in the units of the inputs as the model sees them: standardised ones, by default",
    source="Bishop, Training with Noise is Equivalent to Tikhonov Regularization, 1995",
    example=">>> get('input-noise').eval()(torch.ones(2))\ntensor([1., 1.])",
    traits={**_PLACED, "place": "inputs"},
)
def input_noise(std: float = 0.1) -> nn.Module:
    """Noise on the inputs: examples blur a little in training."""
    return GaussianNoise("input-noise", std)


@registered(
    kind=_KIND,
    name="hidden-noise",
    aliases=("noise-hidden", "activation-noise", "gaussian-noise-layer"),
    formula="training: h + std · ε, ε ~ N(0, 1) for each number; test: h",
    shapes=_SHAPES,
    when="as dropout, with a milder disturbance; augmentation at several levels of abstraction",
    pitfalls="units can outgrow noise of a fixed size; multiplicative noise (dropout) they cannot",
    source="Poole, Sohl-Dickstein and Ganguli, Analyzing Noise in Autoencoders and Deep Networks, 2014",
    example=">>> get('hidden-noise').eval()(torch.ones(2))\ntensor([1., 1.])",
    traits={**_PLACED, "place": "activations"},
)
def hidden_noise(std: float = 0.1) -> nn.Module:
    """Noise on the hidden units."""
    return GaussianNoise("hidden-noise", std)


@registered(
    kind="averaging",
    name="dropout-ensemble",
    aliases=("dropout-geo", "geometric-mean-ensemble"),
    formula="p̃(y) ∝ Π over the 2ⁿ masks m of softmax(W (m ∘ x) + b)_y ^ P(m): the geometric mean, "
    "renormalised. "
    "For one linear layer it equals softmax(W ((1 − p) x) + b), the weight scaling rule",
    shapes="layer (n → K), x (N, n), n at most 16 → (N, K) probabilities",
    when="to check the weight scaling rule, which is exact for this model and an approximation for deep ones",
    pitfalls="2ⁿ passes",
    source="Goodfellow, Bengio and Courville, Deep Learning, 2016, section 7.12",
    example=">>> layer = torch.nn.Linear(3, 2)\n>>> x = torch.tensor([[1.0, -2.0, 0.5]])\n"
    ">>> scaled = layer(0.8 * x).softmax(1)\n"
    ">>> torch.allclose(get('dropout-ensemble', layer, x, p=0.2), scaled, atol=1e-6)\nTrue",
)
def dropout_ensemble(layer: nn.Linear, x: Tensor, p: float = 0.5) -> Tensor:
    """Geometric mean of all subnetworks that dropout could make of a softmax layer."""
    n = x.shape[1]
    if n > 16:
        raise ModelError("too many masks to go through", expected="at most 16 inputs", received=str(n))
    rate = _rate("dropout-ensemble", p)
    total = torch.zeros(len(x), layer.out_features, dtype=x.dtype)
    with torch.no_grad():
        for bits in itertools.product((0.0, 1.0), repeat=n):
            mask = torch.tensor(bits, dtype=x.dtype)
            kept = int(mask.sum())
            total += (1 - rate) ** kept * rate ** (n - kept) * layer(mask * x).log_softmax(1)
    return total.softmax(1)
