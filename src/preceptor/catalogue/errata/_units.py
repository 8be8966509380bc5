"""Output units, activations, losses."""

from preceptor.catalogue.errata._erratum import Erratum

ERRATA = (
    Erratum(
        "sigmoid-sign",
        "σ(z) = 1 / (1 + e^z)",
        "1 / (1 + e^(−z))",
        "falls where it should rise: the classes are swapped",
        ("activation:sigmoid", "output-unit:sigmoid"),
    ),
    Erratum(
        "softmax-index",
        "y_k = e^(z_k) / Σ_k e^(z_k)",
        "e^(z_k) / Σ_j e^(z_j), j = 1 … K",
        "read with one k, each term is divided by itself and every class has probability 1",
        ("output-unit:softmax",),
    ),
    Erratum(
        "binary-cross-entropy-sign",
        "L = y log ŷ + (1 − y) log(1 − ŷ)",
        "−[y log ŷ + (1 − y) log(1 − ŷ)]",
        "negative, and minimised by the worst prediction",
        ("loss:binary-cross-entropy",),
    ),
    Erratum(
        "prelu-as-maximum",
        "f(s) = max(α s, s)",
        "max(0, s) + α min(0, s)",
        "the same for α ≤ 1 only: at s = −1 and a learned α = 2 it gives −1 in place of −2",
        ("activation:prelu", "activation:generalized-rectifier"),
    ),
    Erratum(
        "hinge-excluded-class",
        "Σ_{j ≠ at}",
        "Σ_{j ≠ gt}: every class but the true one",
        "summed over all classes each example pays the margin for its own class, and no loss is ever zero",
        ("loss:hinge",),
    ),
    Erratum(
        "hinge-divisor",
        "the multi-class hinge loss is a sum over wrong classes, and the library's MultiMarginLoss is the "
        "same",
        "MultiMarginLoss divides by the number of classes",
        "a value copied from one to the other is off by the factor K",
        ("loss:hinge",),
    ),
    Erratum(
        "loss-called-sum",
        "L1 and L2 loss are the sum of absolute or squared differences",
        "their formulas average over the n examples, and libraries over the outputs as well",
        "another scale: n·D times as much",
        ("loss:mse", "loss:mae"),
    ),
    Erratum(
        "count-in-cross-entropy",
        "(1/n) Σ, n the number of labels",
        "n is the number of examples",
        "with K labels for each example the loss comes out K times too small",
        ("loss:cross-entropy",),
    ),
    Erratum(
        "accuracy-by-gradient",
        "accuracy is discontinuous, so use stochastic gradient descent",
        "accuracy cannot be followed by any gradient; train a surrogate such as cross-entropy",
        "its gradient is zero almost everywhere",
        ("estimation:surrogate-loss",),
    ),
    Erratum(
        "relu-never-saturates",
        "ReLU does not saturate",
        "it saturates for z < 0: gradient exactly 0",
        "units on the flat side stop learning",
        ("activation:relu",),
    ),
    Erratum(
        "dead-unit",
        "a ReLU unit is dead if its output is zero; half of them are dead",
        "dead is a unit whose output is zero for every example; half are inactive for a given one",
        "a healthy start would look half dead",
        ("activation:relu", "initialization:initialization-audit"),
    ),
    Erratum(
        "maxout-input",
        "maxout is max(w₁s + b₁, w₂s + b₂) of the pre-activation s",
        "max(w₁ᵀx + b₁, w₂ᵀx + b₂) of the layer's input x",
        "of one number s it is one fixed kink; of the input it is any convex function",
        ("activation:maxout",),
    ),
    Erratum(
        "double-softmax",
        "softmax in the network, then cross-entropy as libraries have it",
        "cross-entropy takes logits and applies log-softmax itself",
        "the loss of a perfect prediction of 10 classes cannot fall below 1.4612",
        ("loss:cross-entropy", "output-unit:softmax"),
    ),
    Erratum(
        "squared-error-half",
        "the squared error is ½‖y − ŷ‖², or ‖y − ŷ‖²",
        "a convention: the same minimum, and a gradient of ŷ − y, or twice that",
        "a learning rate that suits the one is half or twice as large for the other",
        ("loss:half-mse", "loss:mse"),
    ),
    Erratum(
        "hidden-units-called-output",
        "sigmoid, tanh and softplus, among other output units",
        "they are meant as hidden units there; an output unit follows from the distribution of the targets",
        "a regression whose output is a sigmoid cannot leave (0, 1)",
        ("activation:sigmoid", "activation:tanh", "activation:softplus"),
    ),
)
