"""Losses: what training minimises, taken on raw outputs (logits or values), averaged over the batch."""

from __future__ import annotations

from torch import nn

from preceptor.catalogue._checks import check_choice, check_number
from preceptor.catalogue._registry import registered

__all__ = ["binary_cross_entropy", "cross_entropy", "huber", "mae", "mse"]

_KIND = "loss"
_NUMBERS = "output (N, D), target (N, D) → scalar; reduction='none': (N, D)"


def _reduction(owner: str, reduction: str) -> str:
    return check_choice(owner, "reduction", reduction, ("mean", "sum", "none"))


@registered(
    kind=_KIND,
    name="cross-entropy",
    aliases=("ce", "softmax-cross-entropy", "categorical-cross-entropy"),
    formula="L = −(1/N) Σ_i Σ_k q_ik log softmax(z_i)_k, q_i the one-hot target; with label_smoothing ε: q = "
    "(1 − ε) · onehot + ε/K",
    shapes="logits (N, K), target (N,) int64 in 0…K−1 → scalar; reduction='none': (N,)",
    when="exclusive classes",
    pitfalls="takes logits: after a softmax it still runs, but trains slowly and cannot reach zero; a "
    "network that knows nothing scores log K",
    source="Goodfellow, Bengio and Courville, Deep Learning, 2016, section 6.2.2.3",
    differs="Keras expects probabilities unless from_logits=True",
    example=">>> get('cross_entropy')(torch.zeros(4, 10), torch.tensor([3, 1, 4, 1]))\ntensor(2.3026)",
    traits={"targets": "categories", "output_unit": "softmax"},
)
def cross_entropy(reduction: str = "mean", label_smoothing: float = 0.0) -> nn.Module:
    """Cross-entropy of K classes, on logits: the negative log-likelihood of the true class."""
    return nn.CrossEntropyLoss(
        reduction=_reduction("cross-entropy", reduction),
        label_smoothing=check_number("cross-entropy", "label_smoothing", label_smoothing, 0.0, 1.0),
    )


@registered(
    kind=_KIND,
    name="binary-cross-entropy",
    aliases=("bce", "bce-with-logits", "log-loss"),
    formula="L = −(1/N) Σ_i [y_i log σ(z_i) + (1 − y_i) log(1 − σ(z_i))], computed as max(z, 0) − z y + "
    "log(1 + e^−|z|)",
    shapes="logit (N,), target (N,) float in [0, 1] → scalar; reduction='none': (N,)",
    when="two classes with one output; several labels that do not exclude each other",
    pitfalls="takes logits, not probabilities; logits (N, 1) against targets (N,) are two different shapes",
    source="Bishop, Pattern Recognition and Machine Learning, 2006, section 4.3.2",
    differs="torch's BCELoss and Keras' default take probabilities; this is torch's BCEWithLogitsLoss",
    example=">>> get('bce')(torch.zeros(2), torch.tensor([0.0, 1.0]))\ntensor(0.6931)",
    traits={"targets": "binary", "output_unit": "sigmoid"},
)
def binary_cross_entropy(reduction: str = "mean") -> nn.Module:
    """Cross-entropy of two classes with one logit, stable for logits of any size."""
    return nn.BCEWithLogitsLoss(reduction=_reduction("binary-cross-entropy", reduction))


@registered(
    kind=_KIND,
    name="mse",
    aliases=("mean-squared-error", "l2", "squared-error"),
    formula="L = (1/(N·D)) Σ_i Σ_d (y_id − ŷ_id)²; the best constant prediction is the mean",
    shapes=_NUMBERS,
    when="regression with errors that are roughly Gaussian",
    pitfalls="one outlier can outweigh all other examples; targets far from unit scale need standardising",
    source="Legendre, 1805; Goodfellow, Bengio and Courville, Deep Learning, 2016, section 5.5.1",
    differs="divides by N·D as torch does, not by N; some texts add a factor ½",
    example=">>> get('mse', kind='loss')(torch.tensor([[1.0], [3.0]]), torch.zeros(2, 1))\ntensor(5.)",
    traits={"targets": "numbers", "output_unit": "identity"},
)
def mse(reduction: str = "mean") -> nn.Module:
    """Mean squared error."""
    return nn.MSELoss(reduction=_reduction("mse", reduction))


@registered(
    kind=_KIND,
    name="mae",
    aliases=("l1", "mean-absolute-error", "absolute-error"),
    formula="L = (1/(N·D)) Σ_i Σ_d |y_id − ŷ_id|; the best constant prediction is the median",
    shapes=_NUMBERS,
    when="regression with outliers",
    pitfalls="the gradient keeps its size near the solution, so a constant learning rate does not settle",
    source="Boscovich, 1757; Koenker and Bassett, Regression Quantiles, 1978",
    differs="divides by N·D as torch does, not by N",
    example=">>> get('l1')(torch.tensor([[1.0], [3.0]]), torch.zeros(2, 1))\ntensor(2.)",
    traits={"targets": "numbers", "output_unit": "identity"},
)
def mae(reduction: str = "mean") -> nn.Module:
    """Mean absolute error."""
    return nn.L1Loss(reduction=_reduction("mae", reduction))


@registered(
    kind=_KIND,
    name="huber",
    aliases=("smooth-l1",),
    formula="with r = y − ŷ: ½ r² for |r| ≤ delta, delta (|r| − ½ delta) otherwise; averaged over N·D",
    shapes=_NUMBERS,
    when="regression with some outliers: squared error near the target, absolute error far from it",
    pitfalls="delta is in units of the targets, which are standardised by default",
    source="Huber, Robust Estimation of a Location Parameter, 1964",
    differs="torch's SmoothL1Loss(beta) is this loss with delta = beta, divided by beta: the same for delta "
    "= 1",
    example=">>> get('huber')(torch.tensor([[0.5], [3.0]]), torch.zeros(2, 1))\ntensor(1.3125)",
    traits={"targets": "numbers", "output_unit": "identity"},
)
def huber(reduction: str = "mean", delta: float = 1.0) -> nn.Module:
    """Huber loss: quadratic for small errors, linear for large ones."""
    return nn.HuberLoss(
        reduction=_reduction("huber", reduction), delta=check_number("huber", "delta", delta, 1e-12)
    )
