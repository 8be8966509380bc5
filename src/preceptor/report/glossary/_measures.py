"""Terms of measures and of how sure they are."""

from __future__ import annotations

from preceptor.report.glossary._term import Term

__all__ = ["TERMS"]

TERMS = (
    Term(
        "accuracy",
        "The share of examples whose class was predicted right. It jumps, so that nothing can be descended "
        "along it.",
        aliases=("classification accuracy", "top-1 score"),
        see=("metric:accuracy", "metric:error"),
    ),
    Term(
        "top-5 score",
        "Whether the right class is among the five most probable.",
        aliases=("top-5 error",),
        see=("metric:top5-accuracy", "metric:top5-error"),
    ),
    Term(
        "confusion matrix",
        "For each true class (row), how often each class was predicted (column). Right answers are on the "
        "diagonal.",
        see=("metric:confusion-matrix",),
        page="report.md",
    ),
    Term(
        "precision",
        "Of the examples that were given a class, the share that belong to it.",
        see=("metric:macro-f1",),
    ),
    Term(
        "recall",
        "Of the examples that belong to a class, the share that were given it.",
        see=("metric:macro-f1",),
    ),
    Term(
        "f1",
        "2 · precision · recall / (precision + recall), between 0 and 1.",
        see=("metric:macro-f1", "metric:micro-f1"),
    ),
    Term(
        "residuals",
        "Predicted minus actual value, of each example.",
        symbols=("ŷ − y",),
        aliases=("residual", "errors"),
    ),
    Term(
        "mean squared error",
        "The mean of the squared residuals. Its best constant is the mean; outliers weigh much.",
        symbols=("(1/n) Σ (ŷᵢ − yᵢ)²",),
        aliases=("l2 loss", "squared error"),
        see=("loss:mse", "loss:half-mse", "metric:rmse"),
    ),
    Term(
        "mean absolute error",
        "The mean size of the residuals. Its best constant is the median; outliers weigh as others.",
        symbols=("(1/n) Σ |ŷᵢ − yᵢ|",),
        aliases=("l1 loss", "absolute error"),
        see=("loss:mae", "metric:mae"),
    ),
    Term(
        "explained variance",
        "1 minus squared error over that of the mean: 1 is perfect, 0 no better than the mean.",
        symbols=("R²",),
        see=("metric:r2",),
    ),
    Term(
        "intersection over union",
        "Pixels that are rightly of a class, over those that are or were said to be.",
        aliases=("iou",),
        see=("metric:mean-iou",),
    ),
    Term(
        "standard deviation",
        "How far values lie from their mean: the root of the mean squared distance. In a watch: {act_std}.",
        symbols=("σ", "s"),
        aliases=("std",),
    ),
    Term(
        "variance",
        "The squared standard deviation. Of a gradient: how much it differs from batch to batch.",
        symbols=("σ²", "Var"),
        see=("inspection:gradient-noise",),
    ),
    Term(
        "95 % interval",
        "In 95 of 100 repetitions such an interval holds the true value.",
        aliases=("confidence interval", "interval"),
        page="evaluation.md",
    ),
    Term(
        "seed",
        "The start of all random numbers of a run: runs that differ by their seed alone show how much of a "
        "difference "
        "is chance.",
        aliases=("random seed",),
        here="`seed`, `--seed`",
        page="evaluation.md",
    ),
    Term(
        "learning curve",
        "A loss or measure by epoch, or by the number of examples.",
        aliases=("learning curves", "training curve"),
        see=("inspection:learning-curve",),
        page="report.md",
    ),
    Term(
        "importance",
        "How much of the differences between trials a hyperparameter accounts for.",
        page="search.md",
    ),
    Term(
        "grid search",
        "Trying every combination of chosen values.",
        see=("procedure:grid-search",),
        here="`preceptor search --method grid`",
        page="search.md",
    ),
    Term(
        "random search",
        "Trying random combinations: of the settings that matter, each trial tries a new value.",
        see=("procedure:random-search",),
        here="`preceptor search`",
        page="search.md",
    ),
    Term(
        "log scale",
        "Steps by a factor, not by a sum: 0.001, 0.01, 0.1. What rates and penalties are searched on.",
        aliases=("log space", "log-uniform"),
        see=("procedure:log-uniform",),
        page="search.md",
    ),
)
