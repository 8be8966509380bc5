"""Measures of densities and of scores: the log-density, areas under the ROC and precision–recall curves."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from preceptor.catalogue._checks import check_choice
from preceptor.catalogue._measures import Metric, _labels, _scores, _Sums
from preceptor.catalogue._registry import registered
from preceptor.catalogue.losses import reduced

__all__ = ["Ranking", "average_precision", "log_density", "negative_log_density", "roc_auc"]

_SCORES = "scores (N,), (N, 1) or (N, K), target (N,) → float"
_DATA = "scores, y = torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1])"


def _run(name: str, shown: str) -> str:
    return f"""
        >>> {_DATA}
        >>> metric = get({name!r}, kind='metric')
        >>> metric.update(scores, y)
        >>> round(metric.compute(), 4)
        {shown}
        """


class _NegativeLogDensity(nn.Module):
    """−log p of each example."""

    def __init__(self, reduction: str) -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the loss of log-densities (N,); the targets have no part in it."""
        return reduced(-output, self.reduction)

    def extra_repr(self) -> str:
        """Return what is set."""
        return f"reduction={self.reduction!r}"


@registered(
    kind="loss",
    name="negative-log-density",
    aliases=("density-nll", "negative-log-likelihood-of-inputs"),
    formula="L = −(1/N) Σ_i log p(x_i)",
    shapes="log p(x) (N,), target (N,) without a part in it → scalar; reduction='none': (N,)",
    when="a network that gives the log-density of its input: its minimum is maximum likelihood",
    pitfalls="a density has no upper bound: on data that repeat a value, or lie on a line, it falls "
    "without end",
    source="Bishop, Pattern Recognition and Machine Learning, 2006, section 2.5",
    example=">>> get('negative-log-density')(torch.tensor([-1.0, -3.0]), torch.zeros(2))\ntensor(2.)",
    traits={"targets": "densities", "output_unit": "identity"},
)
def negative_log_density(reduction: str = "mean") -> nn.Module:
    """Negative log-likelihood of the inputs themselves, from their log-densities."""
    return _NegativeLogDensity(
        check_choice("negative-log-density", "reduction", reduction, ("mean", "sum", "none"))
    )


class _Mean(_Sums):
    """Mean of the outputs."""

    def update(self, output: Tensor, target: Tensor) -> None:
        self._add("sum", output.detach().double().sum())
        self.count += output.numel()

    def compute(self) -> float:
        return float(self._sum("sum")) / self.count if self.count else float("nan")


@registered(
    kind="metric",
    name="log-density",
    aliases=("mean-log-likelihood", "average-log-likelihood"),
    formula="(1/N) Σ_i log p(x_i), in nats",
    shapes="log p(x) (N,), target (N,) without a part in it → float",
    when="densities that are compared on the same held-out examples",
    pitfalls="depends on the units of x: a scale σ adds −log σ for each number; of autoencoders it lacks a "
    "constant",
    source="Theis, van den Oord and Bethge, A Note on the Evaluation of Generative Models, 2016",
    example="""
        >>> metric = get('log-density', kind='metric')
        >>> metric.update(torch.tensor([-1.0, -2.0]), torch.zeros(2))
        >>> metric.compute()
        -1.5
        """,
    traits={"better": "max", "targets": "densities"},
)
def log_density() -> Metric:
    """Mean log-density of the examples."""
    return _Mean()


class Ranking(Metric):
    """A measure of the order of scores: all of them are kept.

    Example:
        >>> metric = Ranking("roc-auc")
        >>> metric.update(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1]))
        >>> metric.compute()
        0.75
    """

    def __init__(self, measure: str) -> None:
        self.measure = measure
        self.reset()

    def update(self, output: Tensor, target: Tensor) -> None:
        """Add one batch: scores (N,), (N, 1) or of K classes (N, K); targets (N,)."""
        scores = _scores(output.detach())
        self._kept.append((scores, _labels(output, target)))

    def compute(self) -> float:
        """Return the measure, from 0 to 1; NaN where only one class occurs."""
        if not self._kept:
            return float("nan")
        scores = torch.cat([one for one, _ in self._kept]).double()
        labels = torch.cat([one for _, one in self._kept])
        if bool(scores.isnan().any()):
            return float("nan")
        if scores.shape[1] == 2:
            return self._of(scores[:, 1] - scores[:, 0], labels == 1)
        p = scores.softmax(1)
        each = [self._of(p[:, k], labels == k) for k in range(p.shape[1]) if bool((labels == k).any())]
        return sum(each) / len(each) if each else float("nan")

    def _of(self, scores: Tensor, positive: Tensor) -> float:
        many = int(positive.sum())
        if not 0 < many < len(positive):
            return float("nan")
        return (_area if self.measure == "roc-auc" else _average_precision)(scores, positive)

    def reset(self) -> None:
        """Forget all scores."""
        self._kept: list[tuple[Tensor, Tensor]] = []


def _area(scores: Tensor, positive: Tensor) -> float:
    """Return the share of pairs in which the positive one has the larger score; equal ones count half."""
    values, inverse = scores.unique(return_inverse=True)
    counts = torch.zeros(2, len(values), dtype=torch.float64, device=scores.device)
    counts[0].index_add_(0, inverse, positive.double())
    counts[1].index_add_(0, inverse, (~positive).double())
    below = counts[1].cumsum(0) - counts[1] / 2
    return float((counts[0] * below).sum() / (counts[0].sum() * counts[1].sum()))


def _average_precision(scores: Tensor, positive: Tensor) -> float:
    order = scores.argsort(descending=True)
    sorted_scores, hits = scores[order], positive[order].double().cumsum(0)
    last = torch.ones(len(order), dtype=torch.bool, device=scores.device)
    last[:-1] = sorted_scores[:-1] != sorted_scores[1:]
    said = torch.arange(1, len(order) + 1, device=scores.device, dtype=torch.float64)[last]
    hits = hits[last]
    recall = hits / hits[-1]
    gained = torch.diff(recall, prepend=recall.new_zeros(1))
    return float((gained * hits / said).sum())


@registered(
    kind="metric",
    name="roc-auc",
    aliases=("auc", "auroc", "area-under-the-roc-curve"),
    formula="P(s⁺ > s⁻) + ½ P(s⁺ = s⁻) for a random positive and a random negative example; of K > 2 classes "
    "the "
    "mean over classes of each against the rest, by softmax probabilities",
    shapes=_SCORES,
    when="a ranking whose threshold is not chosen yet: anomalies, diagnoses, unequal classes",
    pitfalls="with rare positives a high area goes with many false alarms: look at average-precision as well",
    source="Fawcett, An Introduction to ROC Analysis, 2006",
    differs="NaN where only one class occurs; classes that do not occur are left out of the mean",
    example=_run("roc-auc", "0.75"),
    traits={"better": "max", "targets": "categories"},
)
def roc_auc() -> Metric:
    """Area under the receiver operating characteristic."""
    return Ranking("roc-auc")


@registered(
    kind="metric",
    name="average-precision",
    aliases=("auprc", "area-under-the-precision-recall-curve"),
    formula="Σ_n (R_n − R_{n−1}) P_n over the thresholds, from the highest score on; of K > 2 classes the "
    "mean over classes",
    shapes=_SCORES,
    when="rare positives: the precision along the ranking",
    pitfalls="a random ranking scores the share of positives, not ½",
    source="Davis and Goadrich, The Relationship Between Precision-Recall and ROC Curves, 2006",
    differs="NaN where only one class occurs",
    example=_run("average-precision", "0.8333"),
    traits={"better": "max", "targets": "categories"},
)
def average_precision() -> Metric:
    """Average precision: the area under the precision–recall curve as a sum of steps."""
    return Ranking("average-precision")
