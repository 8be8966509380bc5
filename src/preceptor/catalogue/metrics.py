"""Metrics: what a run is judged by, computed over a stream of batches from raw outputs and targets.

History keys are the entries' names with underscores, such as ``macro_f1``.
"""

from __future__ import annotations

from preceptor.catalogue._checks import check_count
from preceptor.catalogue._measures import Confusion, MacroF1, MeanError, Metric, RSquared, TopK
from preceptor.catalogue._registry import registered

__all__ = [
    "Confusion",
    "MacroF1",
    "MeanError",
    "Metric",
    "RSquared",
    "TopK",
    "accuracy",
    "confusion_matrix",
    "error",
    "macro_f1",
    "mae",
    "mse",
    "r2",
    "rmse",
    "top5_accuracy",
    "top5_error",
]

_KIND = "metric"
_CLASSES = "logits (N, K), or (N,) or (N, 1) for two classes; target (N,) → float"
_NUMBERS = "output and target (N, D), or (N,) for D = 1 → float"
_LEARNED = "Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, 2009"
_TOP = "Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, 2015"
_UP = {"better": "max", "targets": "categories"}
_DOWN = {"better": "min", "targets": "categories"}
_LOGITS = "logits, y = torch.tensor([[3.0, 1.0], [2.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1, 1])"
_VALUES = "values, y = torch.tensor([1.0, 2.0, 5.0]), torch.tensor([1.0, 2.0, 3.0])"


def _run(name: str, data: str, shown: str) -> str:
    """Return the example that feeds one batch to the metric and prints the result."""
    return f"""
        >>> {data}
        >>> metric = get({name!r}, kind='metric')
        >>> metric.update({data.partition(",")[0]}, y)
        >>> round(metric.compute(), 4)
        {shown}
        """


@registered(
    kind=_KIND,
    name="accuracy",
    aliases=("acc", "top1", "top-1", "top1-accuracy", "top-1-accuracy", "top-1-score"),
    formula="(1/N) Σ_i [argmax_k z_ik = y_i]; for one logit: [z_i > 0] = y_i",
    shapes=_CLASSES,
    when="classes of similar size, errors of similar cost",
    pitfalls="always naming the largest class can score high: compare with that class's share",
    source=_LEARNED,
    example=_run("accuracy", _LOGITS, "0.6667"),
    traits=_UP,
)
def accuracy() -> Metric:
    """Share of examples whose highest output is the true class."""
    return TopK(1)


@registered(
    kind=_KIND,
    name="error",
    aliases=("error-rate", "top1-error", "top-1-error"),
    formula="1 − accuracy",
    shapes=_CLASSES,
    when="accuracies near 1, where differences read better as errors",
    pitfalls="as accuracy",
    source=_LEARNED,
    example=_run("error", _LOGITS, "0.3333"),
    traits=_DOWN,
)
def error() -> Metric:
    """Share of examples whose highest output is not the true class."""
    return TopK(1, error=True)


@registered(
    kind=_KIND,
    name="top5-accuracy",
    aliases=("top5", "top-5", "top-5-accuracy", "top-5-score", "top-k-accuracy"),
    formula="(1/N) Σ_i [y_i among the k highest z_i]",
    shapes=_CLASSES,
    when="many classes, several of which can be right",
    pitfalls="always 1 where there are no more than k classes",
    source=_TOP,
    differs="equal scores rank as in scikit-learn's top_k_accuracy_score: the higher class first",
    example=_run("top5-accuracy", _LOGITS, "1.0"),
    traits=_UP,
)
def top5_accuracy(k: int = 5) -> Metric:
    """Share of examples whose true class is among the five (k) highest outputs."""
    return TopK(check_count("top5-accuracy", "k", k))


@registered(
    kind=_KIND,
    name="top5-error",
    aliases=("top5err", "top-5-error", "top-k-error"),
    formula="1 − top5-accuracy; papers give it in percent",
    shapes=_CLASSES,
    when="comparison with published ImageNet results",
    pitfalls="always 0 where there are no more than k classes",
    source=_TOP,
    example=_run("top5-error", _LOGITS, "0.0"),
    traits=_DOWN,
)
def top5_error(k: int = 5) -> Metric:
    """Share of examples whose true class is not among the five (k) highest outputs."""
    return TopK(check_count("top5-error", "k", k), error=True)


@registered(
    kind=_KIND,
    name="macro-f1",
    aliases=("f1-macro", "macro-averaged-f1"),
    formula="mean over classes of 2·TP / (2·TP + FP + FN)",
    shapes=_CLASSES,
    when="classes of unequal size that matter equally",
    pitfalls="noisy where a class has few examples; another thing than the F1 of mean precision and mean "
    "recall",
    source="Van Rijsbergen, Information Retrieval, 1979; Opitz and Burst, Macro F1 and Macro F1, 2019",
    differs="for two classes it is the mean of both classes' F1, not the F1 of the second class",
    example=_run("macro-f1", _LOGITS, "0.6667"),
    traits=_UP,
)
def macro_f1() -> Metric:
    """F1 score of each class, averaged with equal weight."""
    return MacroF1()


@registered(
    kind=_KIND,
    name="confusion-matrix",
    aliases=("confusion",),
    formula="C_jk = number of examples of class j that were taken for class k; compute(): Σ_k C_kk / N",
    shapes=_CLASSES + "; compute_matrix() → (K, K) int64",
    when="to see which classes are mistaken for which",
    pitfalls="K² counts: not for tens of thousands of classes",
    source="Kohavi and Provost, Glossary of Terms, 1998",
    example=_run("confusion-matrix", _LOGITS, "0.6667")
    + """>>> metric.compute_matrix().tolist()
        [[1, 0], [1, 1]]
        """,
    traits={**_UP, "matrix": True},
)
def confusion_matrix() -> Confusion:
    """Counts of true against predicted classes; as a number, the share on the diagonal."""
    return Confusion()


@registered(
    kind=_KIND,
    name="mae",
    aliases=("mean-absolute-error",),
    formula="(1/(N·D)) Σ_i Σ_d |y_id − ŷ_id|",
    shapes=_NUMBERS,
    when="an error in the units of the target that outliers do not dominate",
    pitfalls="columns on different scales are averaged as they are",
    source="Willmott and Matsuura, Advantages of the Mean Absolute Error over the RMSE, 2005",
    example=_run("mae", _VALUES, "0.6667"),
    traits={"better": "min", "targets": "numbers"},
)
def mae() -> Metric:
    """Mean absolute error."""
    return MeanError(1)


@registered(
    kind=_KIND,
    name="mse",
    aliases=("mean-squared-error",),
    formula="(1/(N·D)) Σ_i Σ_d (y_id − ŷ_id)²",
    shapes=_NUMBERS,
    when="comparison with the loss of the same name",
    pitfalls="its unit is the square of the target's",
    source=_LEARNED,
    example=_run("mse", _VALUES, "1.3333"),
    traits={"better": "min", "targets": "numbers"},
)
def mse() -> Metric:
    """Mean squared error."""
    return MeanError(2)


@registered(
    kind=_KIND,
    name="rmse",
    aliases=("root-mean-squared-error",),
    formula="(1/D) Σ_d √((1/N) Σ_i (y_id − ŷ_id)²)",
    shapes=_NUMBERS,
    when="an error in the units of the target that weighs large misses more",
    pitfalls="one outlier can dominate it",
    source=_LEARNED,
    differs="for several columns the roots are averaged, as in scikit-learn, not the squares",
    example=_run("rmse", _VALUES, "1.1547"),
    traits={"better": "min", "targets": "numbers"},
)
def rmse() -> Metric:
    """Root of the mean squared error."""
    return MeanError(2, root=True)


@registered(
    kind=_KIND,
    name="r2",
    aliases=("r-squared", "coefficient-of-determination"),
    formula="(1/D) Σ_d [1 − Σ_i (y_id − ŷ_id)² / Σ_i (y_id − ȳ_d)²]",
    shapes=_NUMBERS,
    when="regression, to compare with the best constant prediction, which scores 0",
    pitfalls="negative for a model that is worse than the mean; needs at least two examples",
    source="Wright, Correlation and Causation, 1921",
    differs="constant targets count as in scikit-learn: 1 if met exactly, else 0",
    example=_run("r2", _VALUES, "-1.0"),
    traits={"better": "max", "targets": "numbers"},
)
def r2() -> Metric:
    """Coefficient of determination: the share of the targets' variance that is explained."""
    return RSquared()
