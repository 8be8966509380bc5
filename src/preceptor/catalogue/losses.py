"""Losses: what training minimises, taken on raw outputs (logits or values), averaged over the batch."""

from __future__ import annotations

from torch import Tensor, nn

from preceptor.catalogue._checks import check_choice, check_number
from preceptor.catalogue._entry import Entry
from preceptor.catalogue._registry import entry, registered
from preceptor.errors import ConfigError, ModelError, UnknownName

__all__ = [
    "binary_cross_entropy",
    "cross_entropy",
    "half_mse",
    "hinge",
    "huber",
    "mae",
    "mse",
    "reduced",
    "training_loss",
]

_KIND = "loss"
_NUMBERS = "output (N, D), target (N, D) → scalar; reduction='none': (N, D)"
_PER = "; per='example': Σ_d in place of the mean over d, and reduction='none' gives (N,)"


def reduced(each: Tensor, reduction: str) -> Tensor:
    """Return losses as they are, their sum, or their mean.

    Example:
        >>> import torch
        >>> reduced(torch.tensor([1.0, 3.0]), "mean")
        tensor(2.)
    """
    return each if reduction == "none" else each.sum() if reduction == "sum" else each.mean()


def training_loss(name: str) -> Entry:
    """Return the loss of that name if one can train with it: differentiable, and on raw outputs.

    Raises:
        UnknownName: nothing is called so.
        ConfigError: it is a metric, or takes probabilities.

    Example:
        >>> training_loss("ce").name
        'cross-entropy'
    """
    try:
        found = entry(name, "loss")
    except UnknownName:
        try:
            metric = entry(name, "metric")
        except UnknownName:
            metric = None
        if metric is None:
            raise
        stand_ins = {"numbers": "mse", "labels": "binary-cross-entropy", "densities": "negative-log-density"}
        stand_in = stand_ins.get(metric.traits["targets"], "cross-entropy")
        raise ConfigError(
            f"{metric.name!r} is a metric, not a loss: between the points where a decision flips it is "
            f"constant, "
            "so that its gradient is zero"
            if metric.traits["targets"] == "categories"
            else f"{metric.name!r} is a metric, not a loss",
            expected="a differentiable loss that stands in for it",
            received=f"loss={name!r}",
            hint=f'loss="{stand_in}", metrics=["{metric.name}"]',
        ) from None
    if takes := found.traits.get("takes"):
        raise ConfigError(
            f"{found.name!r} takes {takes}, and a training here passes raw outputs",
            expected="a loss on raw outputs (logits)",
            received=f"loss={name!r}",
            hint=f'loss="{found.traits["on_logits"]}"',
        )
    return found


class _PowerError(nn.Module):
    """factor · Σ_d |y − ŷ|^power for each example."""

    def __init__(self, power: int, factor: float, reduction: str) -> None:
        super().__init__()
        self.power, self.factor, self.reduction = power, factor, reduction

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the loss of outputs and targets of one shape."""
        if output.shape != target.shape:
            raise ModelError(
                "outputs and targets do not belong together",
                expected=f"target {tuple(output.shape)}",
                received=f"target {tuple(target.shape)}",
            )
        error = (output - target).abs() if self.power == 1 else (output - target).square()
        each = error.flatten(1).sum(1) if error.ndim > 1 else error
        return reduced(self.factor * each, self.reduction)

    def extra_repr(self) -> str:
        """Return what is set."""
        return f"power={self.power}, factor={self.factor:g}, reduction={self.reduction!r}"


def _per(owner: str, per: str) -> bool:
    return check_choice(owner, "per", per, ("element", "example")) == "example"


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
    aliases=("bce", "bce-with-logits", "bce-on-logits", "bce-logits", "log-loss"),
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
    formula="L = (1/(N·D)) Σ_i Σ_d (y_id − ŷ_id)²; the best constant prediction is the mean" + _PER,
    shapes=_NUMBERS,
    when="regression with errors that are roughly Gaussian",
    pitfalls="one outlier can outweigh all other examples; targets far from unit scale need standardising",
    source="Legendre, 1805; Goodfellow, Bengio and Courville, Deep Learning, 2016, section 5.5.1",
    differs="divides by N·D as torch does; per='example' divides by N alone, as texts do: D times as much; "
    "with a factor ½ it is half-mse",
    example=">>> get('mse', kind='loss')(torch.tensor([[1.0], [3.0]]), torch.zeros(2, 1))\ntensor(5.)",
    traits={"targets": "numbers", "output_unit": "identity"},
)
def mse(reduction: str = "mean", per: str = "element") -> nn.Module:
    """Mean squared error."""
    if _per("mse", per):
        return _PowerError(2, 1.0, _reduction("mse", reduction))
    return nn.MSELoss(reduction=_reduction("mse", reduction))


@registered(
    kind=_KIND,
    name="half-mse",
    aliases=("mse-half", "half-squared-error", "squared-error-with-half"),
    formula="L = (1/(2N)) Σ_i ‖y_i − ŷ_i‖²; its gradient for one example is ŷ − y",
    shapes="output (N, D), target (N, D) → scalar; reduction='none': (N,)",
    when="where a derivation by hand must come out without a factor 2",
    pitfalls="the same minimum as mse, D/2 times the value: the learning rate means something else",
    source="Goodfellow, Bengio and Courville, Deep Learning, 2016, section 6.2",
    differs="torch and Keras have no factor ½, and divide by N·D",
    example=">>> get('half-mse')(torch.tensor([[1.0], [3.0]]), torch.zeros(2, 1))\ntensor(2.5000)",
    traits={"targets": "numbers", "output_unit": "identity"},
)
def half_mse(reduction: str = "mean") -> nn.Module:
    """Squared error with a factor one half, averaged over examples."""
    return _PowerError(2, 0.5, _reduction("half-mse", reduction))


@registered(
    kind=_KIND,
    name="mae",
    aliases=("l1", "mean-absolute-error", "absolute-error"),
    formula="L = (1/(N·D)) Σ_i Σ_d |y_id − ŷ_id|; the best constant prediction is the median" + _PER,
    shapes=_NUMBERS,
    when="regression with outliers",
    pitfalls="the gradient keeps its size near the solution, so a constant learning rate does not settle",
    source="Boscovich, 1757; Koenker and Bassett, Regression Quantiles, 1978",
    differs="divides by N·D as torch does; per='example' divides by N alone",
    example=">>> get('l1', kind='loss')(torch.tensor([[1.0], [3.0]]), torch.zeros(2, 1))\ntensor(2.)",
    traits={"targets": "numbers", "output_unit": "identity"},
)
def mae(reduction: str = "mean", per: str = "element") -> nn.Module:
    """Mean absolute error."""
    if _per("mae", per):
        return _PowerError(1, 1.0, _reduction("mae", reduction))
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


class _Hinge(nn.Module):
    """Σ over the wrong classes of max(0, margin − (z_true − z_wrong)) for each example."""

    def __init__(self, margin: float, reduction: str) -> None:
        super().__init__()
        self.margin, self.reduction = margin, reduction

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the loss of scores (N, K) and classes (N,)."""
        each = nn.functional.multi_margin_loss(output, target, margin=self.margin, reduction="none")
        return reduced(each * output.shape[-1], self.reduction)

    def extra_repr(self) -> str:
        """Return what is set."""
        return f"margin={self.margin:g}, reduction={self.reduction!r}"


@registered(
    kind=_KIND,
    name="hinge",
    aliases=("multiclass-hinge", "svm", "svm-loss", "multi-margin", "crammer-singer-sum"),
    formula="L = (1/N) Σ_i Σ_{j ≠ y_i} max(0, z_ij − z_{i,y_i} + margin)",
    shapes="scores (N, K), target (N,) int64 in 0…K−1 → scalar; reduction='none': (N,)",
    when="when only the decision matters: examples beyond the margin no longer pull",
    pitfalls="saturates: loss and gradient are exactly zero once every margin is kept; the scores are no "
    "probabilities",
    source="Weston and Watkins, Support Vector Machines for Multi-Class Pattern Recognition, 1999",
    differs="torch's MultiMarginLoss divides by K, so this is K times as large",
    example=">>> get('hinge')(torch.tensor([[2.0, 1.5, -1.0]]), torch.tensor([0]))\ntensor(0.5000)",
    traits={"targets": "categories", "output_unit": "softmax"},
)
def hinge(reduction: str = "mean", margin: float = 1.0) -> nn.Module:
    """Multi-class hinge loss: the true class must lead every other by a margin."""
    return _Hinge(check_number("hinge", "margin", margin, 0.0), _reduction("hinge", reduction))
