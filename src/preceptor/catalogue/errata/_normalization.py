"""Batch normalisation and input scaling."""

from preceptor.catalogue.errata._erratum import Erratum

ERRATA = (
    Erratum(
        "batch-norm-epsilon",
        "(x − mean) / √var",
        "(x − mean) / √(var + ε)",
        "a feature that is constant in the batch divides by zero",
        ("normalization:batch-norm",),
    ),
    Erratum(
        "batch-norm-momentum",
        "running ← β running + (1 − β) batch, β = 0.9, taken for the library's momentum",
        "torch's momentum is the weight of the new batch, 0.1; the running variance is the unbiased one",
        "with 0.9 the statistics forget everything but the last batch",
        ("normalization:batch-norm",),
    ),
    Erratum(
        "batch-norm-unit-gaussian",
        "batch normalisation makes activations unit Gaussian",
        "it sets mean 0 and variance 1 and leaves the shape of the distribution",
        "two peaks stay two peaks",
        ("normalization:batch-norm",),
    ),
    Erratum(
        "batch-norm-one-mean",
        "after a convolution batch normalisation has one mean and one variance",
        "one for each channel, over examples and positions",
        "channels of different scale stay different",
        ("normalization:batch-norm",),
    ),
    Erratum(
        "batch-norm-test-statistics",
        "test statistics are a moving average, or are collected after training",
        "both: the moving average lags behind weights that still move",
        "the two differ after a large step",
        (
            "normalization:batch-norm",
            "model-transform:population-statistics",
        ),
    ),
    Erratum(
        "effective-rate",
        "ŵ ← ŵ − (α / ‖w‖) ∇J(ŵ)",
        "ŵ ← ŵ − (α / ‖w‖²) ∇J(ŵ), to first order, since ∇J(w) = ∇J(ŵ) / ‖w‖",
        "wrong by the factor ‖w‖",
        ("rate-rule:effective-rate",),
    ),
    Erratum(
        "centring-and-independence",
        "centre the inputs, so that the gradients are independent",
        "centring lowers the condition number and mixes the signs of a unit's gradients",
        "gradients of different weights stay correlated",
        ("normalization:input-standardization",),
    ),
    Erratum(
        "one-sided-updates",
        "with positive inputs all weights of a unit move in one direction",
        "for one example; over a batch the signs mix",
        "the zig-zag is milder than the single example suggests",
    ),
)
