"""Losses that are negative log-likelihoods in other clothes: on probabilities, of a Gaussian, over time."""

from __future__ import annotations

import math

from torch import Tensor, nn

from preceptor.catalogue._checks import check_choice, check_count, check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.losses import cross_entropy, reduced
from preceptor.errors import ModelError

__all__ = [
    "binary_cross_entropy_on_probabilities",
    "gaussian_nll",
    "negative_log_likelihood",
    "sequence_cross_entropy",
    "smoothed_cross_entropy",
]

_KIND = "loss"


def _reduction(owner: str, reduction: str) -> str:
    return check_choice(owner, "reduction", reduction, ("mean", "sum", "none"))


@registered(
    kind=_KIND,
    name="negative-log-likelihood",
    aliases=("nll", "nll-loss"),
    formula="L = −(1/N) Σ_i log p_{i,y_i}, on log-probabilities; on log-softmax(z) it is cross-entropy",
    shapes="log-probabilities (N, K), target (N,) int64 in 0…K−1 → scalar; reduction='none': (N,)",
    when="a model that ends in log-softmax",
    pitfalls="takes log-probabilities: logits or probabilities give a number without meaning; a training "
    "here "
    "passes logits, and takes cross-entropy",
    source="Goodfellow, Bengio and Courville, Deep Learning, 2016, section 5.5",
    example=">>> get('nll', kind='loss')(torch.tensor([[0.5, 0.5]]).log(), torch.tensor([1]))\n"
    "tensor(0.6931)",
    traits={
        "targets": "categories",
        "output_unit": "log-softmax",
        "takes": "log-probabilities",
        "on_logits": "cross-entropy",
    },
)
def negative_log_likelihood(reduction: str = "mean") -> nn.Module:
    """Negative log-likelihood of the true class, on log-probabilities."""
    return nn.NLLLoss(reduction=_reduction("negative-log-likelihood", reduction))


@registered(
    kind=_KIND,
    name="binary-cross-entropy-on-probabilities",
    aliases=("bce-on-probabilities", "bce-loss"),
    formula="L = −(1/N) Σ_i [y_i log p_i + (1 − y_i) log(1 − p_i)], each logarithm held above −100",
    shapes="probability (N,) in [0, 1], target (N,) float in [0, 1] → scalar; reduction='none': (N,)",
    when="a model that ends in a sigmoid",
    pitfalls="loses digits near 0 and 1, where the gradient grows to 1e12: binary-cross-entropy on logits "
    "does "
    "not, and is what a training here takes; printed without its minus, it would be maximised",
    source="Good, Rational Decisions, 1952",
    differs="torch's BCELoss; scikit-learn's log_loss clips the probabilities in place of the logarithm",
    example=">>> get('bce-loss')(torch.tensor([0.5, 0.0]), torch.tensor([1.0, 0.0]))\ntensor(0.3466)",
    traits={
        "targets": "binary",
        "output_unit": "sigmoid",
        "takes": "probabilities",
        "on_logits": "binary-cross-entropy",
    },
)
def binary_cross_entropy_on_probabilities(reduction: str = "mean") -> nn.Module:
    """Cross-entropy of two classes, on the probability of the second one."""
    return nn.BCELoss(reduction=_reduction("binary-cross-entropy-on-probabilities", reduction))


@registered(
    kind=_KIND,
    name="smoothed-cross-entropy",
    aliases=("label-smoothed-cross-entropy", "label-smooth"),
    formula="cross-entropy against q = (1 − ε) · onehot + ε/K, ε = label_smoothing",
    shapes="logits (N, K), target (N,) int64 in 0…K−1 → scalar; reduction='none': (N,)",
    when="some labels are wrong, or probabilities should stay away from 0 and 1",
    pitfalls="the least loss is the entropy of q, not 0; validation losses with and without it do not "
    "compare",
    source="Szegedy et al., Rethinking the Inception Architecture for Computer Vision, 2016, section 7",
    example="""
    >>> get('smoothed-cross-entropy')(torch.tensor([[9.0, 0.0]]), torch.tensor([0]))
    tensor(0.4501)
    """,
    traits={"targets": "categories", "output_unit": "softmax"},
)
def smoothed_cross_entropy(reduction: str = "mean", label_smoothing: float = 0.1) -> nn.Module:
    """Cross-entropy with smoothed labels: a noise model at the targets."""
    return cross_entropy(
        reduction, check_number("smoothed-cross-entropy", "label_smoothing", label_smoothing, 0.0, 1.0)
    )


class _GaussianNLL(nn.Module):
    def __init__(self, variance: float, reduction: str) -> None:
        super().__init__()
        self.variance, self.reduction = variance, reduction

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the loss of means and targets of one shape."""
        if output.shape != target.shape:
            raise ModelError(
                "outputs and targets do not belong together",
                expected=f"target {tuple(output.shape)}",
                received=f"target {tuple(target.shape)}",
            )
        constant = math.log(2 * math.pi * self.variance)
        return reduced(((output - target).square() / self.variance + constant) / 2, self.reduction)

    def extra_repr(self) -> str:
        """Return what is set."""
        return f"variance={self.variance:g}, reduction={self.reduction!r}"


@registered(
    kind=_KIND,
    name="gaussian-nll",
    aliases=("gaussian-negative-log-likelihood", "normal-nll"),
    formula="L = (1/(N·D)) Σ ½ [(y − ŷ)² / variance + log(2π · variance)], ŷ the mean of a Gaussian",
    shapes="output (N, D), target (N, D) → scalar; reduction='none': (N, D)",
    when="to see squared error as what it is: with variance 1 it is ½ mse plus 0.9189",
    pitfalls="the variance only scales the gradient: it is given, not learned",
    source="Gauss, 1809; Nix and Weigend, Estimating the Mean and Variance of the Target Distribution, 1994",
    differs="torch's GaussianNLLLoss takes a variance for each output and leaves ½ log 2π out unless "
    "full=True",
    example=">>> get('gaussian-nll')(torch.zeros(2, 1), torch.zeros(2, 1))\ntensor(0.9189)",
    traits={"targets": "numbers", "output_unit": "identity"},
)
def gaussian_nll(reduction: str = "mean", variance: float = 1.0) -> nn.Module:
    """Negative log-likelihood of a Gaussian around the output."""
    return _GaussianNLL(
        check_number("gaussian-nll", "variance", variance, 1e-12), _reduction("gaussian-nll", reduction)
    )


class _Sequence(nn.Module):
    def __init__(self, padding: int, normalize: str, reduction: str) -> None:
        super().__init__()
        self.padding, self.normalize, self.reduction = padding, normalize, reduction

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the loss of logits (N, T, K) and classes (N, T); (N, K) and (N,) are sequences of one."""
        if output.shape[:-1] != target.shape:
            raise ModelError(
                "outputs and targets do not belong together",
                expected=f"classes {tuple(output.shape[:-1])} for logits {tuple(output.shape)}",
                received=f"target {tuple(target.shape)}",
                hint="time is the second axis: output.transpose(0, 1) if it is the first",
            )
        each = nn.functional.cross_entropy(
            output.flatten(0, -2), target.flatten(), ignore_index=self.padding, reduction="none"
        ).reshape(target.shape)
        each = each.flatten(1).sum(1) if each.ndim > 1 else each
        if self.normalize == "token" and self.reduction == "mean":
            return each.sum() / (target != self.padding).sum()
        return reduced(each, self.reduction)

    def extra_repr(self) -> str:
        """Return what is set."""
        return f"padding={self.padding}, normalize={self.normalize!r}, reduction={self.reduction!r}"


@registered(
    kind=_KIND,
    name="sequence-cross-entropy",
    aliases=("sequence-loss", "seq-loss", "loss-over-time"),
    formula="L = (1/N) Σ_i Σ_t −log softmax(z_it)_{y_it}, padding left out; normalize='token' divides by the "
    "number of tokens in place of N",
    shapes="logits (N, T, K), target (N, T) int64 in 0…K−1 or padding → scalar; reduction='none': (N,)",
    when="language models, tagging, anything with a class at every step",
    pitfalls="summed over time, long sequences weigh more and the learning rate depends on the length; a "
    "mean over "
    "padded positions would make the loss look small",
    source="Werbos, Backpropagation Through Time, 1990; Sutskever, Vinyals and Le, 2014",
    differs="torch's CrossEntropyLoss wants the classes on axis 1 and divides by the number of tokens",
    example="""
    >>> z, y = torch.zeros(1, 3, 4), torch.tensor([[0, 1, -100]])
    >>> get('sequence-loss')(z, y), get('sequence-loss', normalize='token')(z, y)
    (tensor(2.7726), tensor(1.3863))
    """,
    traits={"targets": "categories", "output_unit": "softmax"},
)
def sequence_cross_entropy(
    reduction: str = "mean", normalize: str = "sequence", padding: int = -100
) -> nn.Module:
    """Cross-entropy summed over the steps of each sequence, padding left out."""
    owner = "sequence-cross-entropy"
    chosen = check_choice(owner, "normalize", normalize, ("sequence", "token"))
    padding = check_count(owner, "padding", padding, -(2**31))
    return _Sequence(padding, chosen, _reduction(owner, reduction))
