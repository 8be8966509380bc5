"""Data, worked examples, evaluation."""

from preceptor.catalogue.errata._erratum import Erratum

ERRATA = (
    Erratum(
        "pca-as-clustering",
        "principal component analysis, as a method of clustering",
        "it reduces dimensions; it assigns no example to a group",
        "its coordinates take as many values as there are examples",
    ),
    Erratum(
        "xor-hidden-units",
        "the columns of the hidden units of the XOR network, in any order",
        "x₁ x₂ | x₁ − x₂, h₁ = max(0, ·) | x₂ − x₁, h₂ = max(0, ·) | y = h₁ + h₂",
        "with a column out of place the sum is not XOR",
        ("worked-example:xor-network",),
    ),
    Erratum(
        "shifted-patterns",
        "two patterns under all cyclic 'transactions' can be told apart linearly",
        "translations: the mean over all shifts is the same for both, so that no linear unit separates them",
        "any weights give both classes the same average",
        ("inspection:linear-separability",),
    ),
    Erratum(
        "split-shares",
        "60/20/20, or 80/10/10",
        "either: the shares of training, validation and test must sum to one and not overlap",
        "a choice, not a law; small sets need larger parts to measure on",
    ),
    Erratum(
        "underfitting-still-falling",
        "underfitting: the training loss is still falling",
        "that is a training which has not ended; with too little capacity both losses are flat and high",
        "more epochs help the one and not the other",
    ),
    Erratum(
        "unbiased-step-sizes",
        "α_n ≥ 0, Σ α_n = ∞, Σ α_n² < ∞: finds the global minimum",
        "α_n > 0, and a convex function; otherwise a stationary point",
        "on two valleys the start decides which is found",
    ),
)
