"""Advice on units, starts, and the gradients that flow between them."""

from __future__ import annotations

from preceptor.recipe.practice._advice import topic

__all__ = ["TOPICS"]

UNITS = topic(
    "Units and outputs",
    "practice-networks",
    (
        "saturating-units",
        "Sigmoid and tanh saturate and stop the gradient: rectifiers within, a better start, normalisation.",
        "stall:saturated units, cause:unsuitable-hidden-activation, entry:activation/relu, "
        "entry:normalization/batch-norm",
    ),
    (
        "centred-units",
        "Outputs of one sign make the weights of the next unit move together: units around zero, or "
        "normalisation.",
        "entry:activation/tanh, entry:activation/sigmoid, entry:normalization/batch-norm",
    ),
    (
        "costly-units",
        "Exponentials cost time: rectifiers are the cheapest.",
        "entry:activation/relu, entry:activation/elu, entry:inspection/step-timer",
    ),
    (
        "dead-rectifiers",
        "Rectifiers die of a bad start or a rate too high, and stay dead: small positive biases, a lower "
        "rate, leaky rectifiers.",
        "stall:dead units, check:units, entry:initializer/relu-bias, entry:activation/leaky-relu",
    ),
    (
        "sigmoid-hidden",
        "Sigmoids are no longer usual within feed-forward networks.",
        "cause:unsuitable-hidden-activation, entry:activation/sigmoid",
    ),
    (
        "kink-at-zero",
        "A rectifier has no derivative at 0: a gradient check steps aside from kinks.",
        "check:gradient-check, entry:derivative/gradient-check",
    ),
    (
        "saturating-outputs",
        "Squared error on a sigmoid or softmax has tiny gradients where it is most wrong: likelihood "
        "losses on logits.",
        "cause:loss-mismatch, entry:loss/cross-entropy, entry:loss/binary-cross-entropy",
    ),
    (
        "logits",
        "Cross-entropy takes logits: probabilities given to it bound the loss from below, and it stalls.",
        "cause:probabilities-as-logits, check:outputs-suit-loss",
    ),
    (
        "stable-softmax",
        "Subtract the largest logit before exponentials, and add logarithms rather than multiply "
        "probabilities.",
        "entry:output-unit/log-softmax, cause:numeric-instability, entry:estimation/log-likelihood",
    ),
    (
        "one-unit-is-linear",
        "One unit draws one plane: what no plane separates needs a hidden layer or further features.",
        "entry:inspection/linear-separability, entry:feature-map/product-features, "
        "entry:worked-example/xor-network",
    ),
    (
        "hand-computed-units",
        "When computing by hand, what a unit passes on is its activation, not its weighted sum.",
        "entry:worked-example/xor-network, entry:worked-example/sigmoid-neuron",
    ),
    (
        "distributed-code",
        "A distributed code bears the loss of units, needs much data, and is hard to read.",
        "entry:inspection/layer-redundancy, entry:inspection/feature-maps, "
        "entry:language-model/localist-representation",
    ),
)

STARTS = topic(
    "First weights",
    "practice-networks",
    (
        "equal-weights",
        "Zero or equal weights keep units identical for ever: small random values.",
        "cause:bad-initialization, stall:symmetry, entry:initializer/zeros",
    ),
    (
        "too-small-a-start",
        "With weights too small, signals and gradients shrink from layer to layer.",
        "cause:bad-initialization, entry:initialization/initialization-audit, "
        "entry:initializer/xavier-uniform",
    ),
    (
        "too-large-a-start",
        "With weights too large, tanh sits at its ends from the first step on.",
        "cause:bad-initialization, stall:saturated units, entry:initialization/initialization-audit",
    ),
    (
        "rectifiers-want-he",
        "Rectifiers halve the variance: draw with 2/fan-in, not as for tanh.",
        "entry:initializer/he-normal, entry:initialization/activation-gain, setting:model.name",
    ),
    (
        "rectifiers-want-bias",
        "Biases of 0.01 to 0.1 let rectifiers begin active.",
        "entry:initializer/relu-bias",
    ),
    (
        "start-mid-range",
        "Choose the scale so that activations lie in the middle of their range.",
        "entry:initialization/unit-variance, entry:inspection/activation-histograms",
    ),
    (
        "pretrained-first",
        "A badly conditioned start slows or stops learning: pretrained weights are the first choice, "
        "Glorot's the second.",
        "entry:initialization/pretrained, command:train --from, page:transfer.md",
    ),
)

GRADIENTS = topic(
    "Gradients and normalisation",
    "practice-networks",
    (
        "vanishing-and-exploding",
        "The same matrix at every step makes gradients vanish or explode: clip, gates, a start at the "
        "identity, reversed inputs, attention.",
        "cause:missing-gradient-clipping, entry:inspection/gradient-by-lag, entry:layer/lstm-layer, "
        "entry:layer/irnn-layer, entry:layer/input-reversal, entry:layer/additive-attention",
    ),
    (
        "recurrent-eigenvalues",
        "Eigenvalues of the recurrent matrix below 1 forget, above 1 explode; the line between is thin.",
        "entry:inspection/recurrent-spectrum, entry:initializer/orthogonal, entry:initializer/identity",
    ),
    (
        "forward-bounded-backward-not",
        "The forward pass is bounded by its units, the backward pass is linear and compounds: look at "
        "both norms.",
        "entry:inspection/gradient-by-lag, setting:training.max_grad_norm",
    ),
    (
        "attractors",
        "Within a basin of attraction gradients vanish, at its border they explode.",
        "entry:inspection/attractor-map, entry:inspection/logistic-map",
    ),
    (
        "batches-calm-recurrent-nets",
        "Mini-batches calm the gradients of recurrent networks.",
        "entry:inspection/gradient-noise, cause:unsuitable-batch-size, setting:training.batch_size",
    ),
    (
        "clipping-bias",
        "Clipping buys stability with bias: clipped on more than half the steps, the bound is too tight.",
        "cause:clipping-too-tight, entry:inspection/clipping-bias, entry:regularizer/gradient-clipping",
    ),
    (
        "large-inputs-small-rates",
        "Inputs a thousand times larger make gradients a thousand times larger: scale the inputs, not the "
        "rate.",
        "cause:unscaled-inputs, audit:unscaled-inputs, entry:worked-example/input-scale",
    ),
    (
        "centre-and-scale",
        "Centre and scale the inputs, by the training part alone.",
        "setting:data.scale, entry:normalization/input-standardization, audit:unscaled-inputs",
    ),
    (
        "normalise-within",
        "Without normalised activations learning is slower, less stable, and more sensitive to rate and "
        "start.",
        "entry:normalization/batch-norm, entry:normalization/layer-norm, "
        "entry:inspection/internal-covariate-shift",
    ),
    (
        "all-weights-move-at-once",
        "A gradient foretells the effect of one small step; all weights move at once, so steps must stay "
        "short.",
        "entry:derivative/linearized-change, entry:derivative/taylor-model",
    ),
    (
        "internal-shift",
        "The inputs of every layer drift while the layers before it learn.",
        "entry:inspection/internal-covariate-shift, entry:normalization/batch-norm",
    ),
    (
        "residual-blocks-fall-back",
        "Under weight decay a residual block falls back to the identity, so depth does no harm.",
        "entry:layer/residual-connection, entry:layer/basic-block",
    ),
    (
        "redundant-depth",
        "Very deep networks hold layers that can be left out: drop them at random, or connect densely.",
        "entry:inspection/layer-redundancy, entry:regularizer/stochastic-depth, "
        "entry:architecture/densenet-121",
    ),
    (
        "additive-gates",
        "An addition passes the gradient on to both of its inputs unchanged.",
        "entry:layer/residual-connection, entry:derivative/computational-graph",
    ),
    (
        "deeper-is-harder",
        "Deeper networks are harder to train, fully connected ones most: skip connections, shared weights.",
        "entry:inspection/gradient-norms, entry:architecture/resnet-18, entry:layer/convolution",
    ),
    (
        "width-or-depth",
        "Width runs in parallel, depth does not.",
        "entry:architecture/wrn-16-8, command:summary, entry:inspection/architecture-chart",
    ),
    (
        "batch-norm-order",
        "Batch normalisation goes after the layer and before the unit, and makes the layer's bias useless.",
        "entry:calculator/normalization-order, entry:model-transform/bias-removal",
    ),
    (
        "batch-norm-ties-examples",
        "Batch normalisation ties an example to its batch in training: evaluation mode for predictions, "
        "other normalisations for tiny batches.",
        "cause:batch-norm-small-batch, cause:training-mode-in-evaluation, check:batch-independence, "
        "entry:normalization/group-norm",
    ),
    (
        "shapes-of-skips",
        "A skip needs equal sizes: padding, or a 1×1 convolution.",
        "entry:layer/residual-connection, entry:layer/pointwise-convolution",
    ),
    (
        "border-pixels",
        "(H − K)/S should be whole, else pixels at the border are lost.",
        "entry:calculator/output-size, command:summary",
    ),
    (
        "sizes-over-time",
        "A recurrent cell has one size at all times.",
        "entry:layer/lstm-cell, entry:calculator/sequence-costs",
    ),
    (
        "units-weights-connections",
        "Units cost memory, weights cost memory, connections cost time: know all three beforehand.",
        "command:summary, entry:calculator/training-memory, entry:calculator/network-summary",
    ),
    (
        "causal-models",
        "Causal models know little at the first positions; dilation can leave gaps between the taps.",
        "entry:layer/dilated-convolution, entry:calculator/receptive-field, entry:architecture/tcn",
    ),
)

TOPICS = (UNITS, STARTS, GRADIENTS)
