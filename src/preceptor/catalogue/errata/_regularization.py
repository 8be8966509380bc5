"""Penalties, weight decay, dropout, ensembles."""

from preceptor.catalogue.errata._erratum import Erratum

ERRATA = (
    Erratum(
        "l1-step",
        "with an L1 penalty each weight shrinks by α",
        "by ε α sign(w), ε the learning rate",
        "wrong by the learning rate: at ε = 0.01 a hundred times too much",
        ("regularizer:l1",),
    ),
    Erratum(
        "l1-printed-as-l2",
        "L1: λ Σ w²",
        "L1: λ Σ |w|, whose minimum is sparse; L2: λ Σ w², whose minimum is small but not zero",
        "no weight is ever exactly zero under squares",
        (
            "regularizer:l1",
            "regularizer:l2",
        ),
    ),
    Erratum(
        "decay-by-penalty-value",
        "θ ← θ − λ R(θ) − …",
        "θ ← θ − α λ ∇R(θ) − …",
        "subtracts one number from every weight: [−1, 1] becomes [−1.2, 0.8], which is no decay",
        ("regularizer:weight-decay",),
    ),
    Erratum(
        "penalty-half",
        "R = Σ θ², with weight decay λ",
        "R = ½ Σ θ² for weights to shrink by 1 − αλ; without ½ by 1 − 2αλ",
        "the same λ means twice as much",
        ("regularizer:l2",),
    ),
    Erratum(
        "penalty-on-biases",
        "R over θ = {W, b}",
        "over the weights; biases are left out",
        "a penalised bias cannot meet the mean of the targets",
        ("estimation:regularized-objective",),
    ),
    Erratum(
        "dropout-test-scale",
        "at test multiply the weights by the dropout probability p",
        "by the probability of being kept, 1 − p",
        "for p = 0.2 the outputs are four times too small",
        (
            "regularizer:dropout",
            "regularizer:classic-dropout",
        ),
    ),
    Erratum(
        "dropout-halving",
        "at test divide the weights by 2",
        "multiply by the probability of being kept, which is ½ for p = ½ only",
        "for p = 0.2 the outputs come out at 0.625 of what was trained",
        ("regularizer:classic-dropout",),
    ),
    Erratum(
        "l2-makes-weights-similar",
        "L2 makes the weights similar to one another",
        "it shares weight evenly among features that are correlated",
        "weights of independent features stay as different as they were",
        ("regularizer:l2",),
    ),
    Erratum(
        "ensemble-error-linear",
        "the error of an ensemble falls linearly with its size",
        "its variance part falls as 1/k if the members' errors are uncorrelated",
        "bias stays, and no error can fall below it",
        ("averaging:model-averaging",),
    ),
    Erratum(
        "ensemble-correlation",
        "an ensemble of k members has error σ²/k",
        "ρ σ² + (1 − ρ) σ²/k for unbiased members with correlation ρ",
        "for ρ = 1 nothing is gained",
        ("calculator:ensemble-error",),
    ),
    Erratum(
        "smallest-singular-value",
        "small singular values mean that features can be compressed, the minimum tells how far",
        "small trailing ones do; the smallest that is not zero drives the peak of double descent",
        "one tiny value says little about the rank that is needed",
        ("inspection:singular-values",),
    ),
    Erratum(
        "mask-once",
        "zero the weights to future inputs",
        "and again after every update, or mask them in the forward pass",
        "momentum and decay move them away from zero",
    ),
)
