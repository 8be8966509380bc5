"""Recurrent networks, attention, costs."""

from preceptor.catalogue.errata._erratum import Erratum

ERRATA = (
    Erratum(
        "recurrence-without-tanh",
        "A_t = θ_c A_{t−1} + θ_x x_t",
        "A_t = tanh(θ_c A_{t−1} + θ_x x_t + b)",
        "a linear recurrence: any number of steps is one matrix",
        ("layer:rnn-cell", "layer:rnn-layer"),
    ),
    Erratum(
        "eigenvalue-rule",
        "gradients vanish for |λ| < 1 and explode for |λ| > 1",
        "exact for the linear recurrence; with tanh each step multiplies by diag(1 − h²), and bounds use "
        "singular "
        "values",
        "a saturated network with large eigenvalues still has vanishing gradients",
        ("inspection:recurrent-spectrum",),
    ),
    Erratum(
        "through-time-gradients",
        "z̄_t, h̄_t, r̄_t, ȳ_t, under the heading of the forward pass, and nothing further",
        "the backward pass, completed by ū = Σ z̄_t x_t, w̄ = Σ z̄_{t+1} h_t, v̄ = Σ r̄_t h_t",
        "without the sums no weight has a gradient",
        ("worked-example:backpropagation-through-time",),
    ),
    Erratum(
        "attention-indices",
        "c⁽¹⁾ = Σ a_ij h⁽ⁱ⁾, score vᵀ tanh(W s_{i−1} + U_{i,j})",
        "c⁽ⁱ⁾ = Σ_j a_ij h⁽ʲ⁾, score vᵀ tanh(W s_{i−1} + U h⁽ʲ⁾), softmax over j",
        "read literally the context is h⁽ⁱ⁾ itself, whatever the weights",
        ("layer:additive-attention", "layer:attention-rnn"),
    ),
    Erratum(
        "sequence-costs",
        "K² d t for every model, K² d t² for attention",
        "a recurrent net takes t k² d operations one after the other; attention adds t² k d and no "
        "sequential "
        "steps; a causal convolution of width w takes w t k² d",
        "the quadratic part does not multiply the weights",
        ("calculator:sequence-costs",),
    ),
    Erratum(
        "gradient-clipping-threshold",
        "if ‖g‖ > y: g ← y g / ‖g‖, y as the model's output elsewhere",
        "if ‖g‖ > η: g ← η g / ‖g‖",
        "clipped to a prediction the step would follow the targets",
        ("regularizer:gradient-clipping",),
    ),
)
