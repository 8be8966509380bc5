"""Likelihoods, language models, information."""

from preceptor.catalogue.errata._erratum import Erratum

ERRATA = (
    Erratum(
        "likelihood-index",
        "l(θ) = Σ_k log p(x⁽ⁱ⁾; θ)",
        "l(θ) = Σ_i log p(x⁽ⁱ⁾; θ)",
        "with two indices the sum counts one sample m times, and the estimate fits that sample alone",
        ("estimation:maximum-likelihood",),
    ),
    Erratum(
        "joint-called-likelihood",
        "p(x; θ) = p(x | θ) p(θ), maximised as the likelihood",
        "the likelihood is p(x | θ); the product with the prior is the joint density, proportional to the "
        "posterior",
        "its maximum is the MAP estimate; the two coincide for a uniform prior alone",
        ("estimation:maximum-likelihood", "estimation:maximum-a-posteriori"),
    ),
    Erratum(
        "markov-context-repeats",
        "P(w_t | w_{t−1}, w_{t−2}, w_{t−1})",
        "P(w_t | w_{t−3}, w_{t−2}, w_{t−1})",
        "a context that names one word twice has one word less: other sentences become indistinguishable",
        ("language-model:n-gram",),
    ),
    Erratum(
        "trigram-count-ratio",
        "P(cat | the fat) = count(the cat) / count(the fat)",
        "count(the fat cat) / count(the fat)",
        "the printed ratio can exceed 1",
        ("language-model:n-gram",),
    ),
    Erratum(
        "glove-exponent",
        "f(x) = (x / 100)²",
        "f(x) = (x / 100)^(3/4) below 100, 1 above",
        "f(50) is 0.25 in place of 0.5946: rarer pairs all but vanish from the cost",
        ("word-embedding:glove-weighting",),
    ),
    Erratum(
        "glove-raw-counts",
        "X = R Rᵀ, X_ij = r_iᵀ r_j for the co-occurrence counts X",
        "log X_ij ≈ r_iᵀ r_j + b_i + b_j, over the pairs that occur",
        "counts are products of effects, so that their logarithm has low rank and they themselves have not",
        ("word-embedding:glove",),
    ),
)
