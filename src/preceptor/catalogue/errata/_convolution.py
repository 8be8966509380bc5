"""Convolution, pooling, sizes, architectures."""

from preceptor.catalogue.errata._erratum import Erratum

ERRATA = (
    Erratum(
        "convolution-indices",
        "(I ∗ K)(i, j) = Σ_m Σ_n I(m, n) K(i + m, j + n)",
        "Σ Σ I(m, n) K(i − m, j − n), or without the flip Σ Σ I(i + m, j + n) K(m, n)",
        "neither convolution nor correlation",
        (
            "layer:convolution",
            "layer:true-convolution",
        ),
    ),
    Erratum(
        "convolution-invariance",
        "convolution is invariant under translation",
        "equivariant: the output shifts along; pooling adds some invariance",
        "the output of a shifted image is shifted, not the same",
    ),
    Erratum(
        "layer-size-table",
        "weights of a fully connected layer: W^H I J",
        "W² H² I J, which is its number of connections too; a convolution has K² I J weights, W H K² I J "
        "connections",
        "an exponent in place of a product",
        ("calculator:layer-size",),
    ),
    Erratum(
        "output-size-floor",
        "(N + 2P − F) / S + 1",
        "⌊(N + 2P − F) / S⌋ + 1",
        "224 with a filter of 11, stride 4 and padding 2 gives 55.25 pixels",
        ("calculator:output-size",),
    ),
    Erratum(
        "output-size-product",
        "(H_i H_K) / S",
        "(H_i − H_K) / S, rounded down, + 1",
        "a lost minus: sizes grow with the filter",
        ("calculator:output-size",),
    ),
    Erratum(
        "stride-of-two",
        "z'_{i,k} = z_{2i−1,2k−1} for any stride",
        "z_{S(i−1)+1, S(k−1)+1}, z the output for stride 1, from which the size (H − 1)/S + 1 is taken",
        "right for S = 2 only",
        ("layer:strided-convolution",),
    ),
    Erratum(
        "padding-range",
        "inside for P < j ≤ j + P",
        "P < j ≤ H + P",
        "j ≤ j + P always holds: the far border would not be zero",
        ("layer:zero-padding",),
    ),
    Erratum(
        "same-padding",
        "P = (F − 1) / 2 keeps the size",
        "for stride 1 and odd F",
        "an even filter or a stride gives another size",
        ("layer:same-convolution",),
    ),
    Erratum(
        "pooling-output",
        "(W − H_K) / S + 1, one channel",
        "⌊(W − W_K) / S⌋ + 1, as many channels as before",
        "another size for windows that are not square, and fractions of pixels",
        ("layer:max-pooling",),
    ),
    Erratum(
        "average-pooling-parentheses",
        "sum / H_K · W_K",
        "sum / (H_K W_K)",
        "read from left to right [[1, 2], [3, 4]] averages to 10 in place of 2.5",
        ("layer:average-pooling",),
    ),
    Erratum(
        "convolution-bias",
        "a bias b_{j,k} for every position",
        "one bias for each filter",
        "the count (C_in H_K W_K + 1) C_out of the same text would not hold",
        (
            "layer:convolution",
            "calculator:convolution-parameters",
        ),
    ),
    Erratum(
        "convolution-stride-and-padding",
        "z_{j,k} = Σ w_{a,b} x_{j+a, k+b} for any stride and padding",
        "x_{jS + a, kS + b} of the padded input",
        "right for S = 1 and P = 0 only",
        ("layer:convolution",),
    ),
    Erratum(
        "skip-symbol",
        "x^L = a(W x^{L−1} + b + x^{L−2}), x the input",
        "z^{L+1} = a(W z^L + b + z^{L−1}), z the layers' outputs",
        "with the input in place of the earlier layer's output the shapes differ, and no block is an "
        "identity",
        ("layer:residual-connection",),
    ),
    Erratum(
        "skip-never-hurts",
        "skip connections are guaranteed not to hurt",
        "the deeper network can represent the shallower one; training may still find something worse",
        "a residual branch that is not zero changes the output",
        ("layer:residual-connection",),
    ),
    Erratum(
        "one-by-one-nonlinearity",
        "a 1×1 convolution adds a non-linearity",
        "it mixes channels linearly; the activation after it is the non-linearity",
        "two without an activation are one",
        ("layer:pointwise-convolution",),
    ),
    Erratum(
        "separable-channels",
        "the 1×1 filters of a separable convolution shrink the channels to one",
        "each filter gives one map; there are C_out of them",
        "the output has C_out channels, from C K² + C C_out weights",
        ("layer:depthwise-separable-convolution",),
    ),
    Erratum(
        "googlenet-ratio",
        "GoogLeNet has 12 times fewer parameters than AlexNet",
        "60,965,224 / 6,998,552 = 8.7 times",
        "12 is the ratio to a rounded count of 5 million",
    ),
    Erratum(
        "squeezenet-size",
        "SqueezeNet takes less than 0.5 MB",
        "1,248,424 parameters are 5.0 MB in single precision; below 0.5 MB after pruning and 6-bit coding",
        "ten times as much memory as promised",
    ),
    Erratum(
        "vgg-filters",
        "VGG has filters of 3×3 and 5×5, and won ImageNet in 2014",
        "3×3 throughout (1×1 in one variant): two see as far as one 5×5; second in classification",
        "5×5 filters have 25/18 times the weights for the same view, and one activation less",
        ("calculator:receptive-field",),
    ),
)
