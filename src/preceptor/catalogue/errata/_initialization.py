"""How weights start."""

from preceptor.catalogue.errata._erratum import Erratum

ERRATA = (
    Erratum(
        "glorot-bound",
        "6 / √(fan_in + fan_out)",
        "√(6 / (fan_in + fan_out))",
        "six times the variance: the deviation of a ten-layer ReLU network is 206 in place of 0.026",
        ("initializer:xavier-uniform",),
    ),
    Erratum(
        "xavier-name",
        "Xavier initialisation: randn / √fan_in",
        "N(0, 2 / (fan_in + fan_out)), or uniform with that variance; 1 / fan_in is LeCun's",
        "the same for square layers only",
        ("initializer:xavier-normal", "initializer:lecun-normal"),
    ),
    Erratum(
        "zero-weights",
        "with zero weights all units update in the same way",
        "equal units do if the value is not 0; at 0 with tanh or ReLU hidden gradients are exactly 0",
        "nothing but the output bias ever learns",
        ("initializer:zeros", "initializer:constant"),
    ),
    Erratum(
        "small-weights-output",
        "with weights of 0.01 the output becomes zero",
        "it shrinks by a constant factor per layer: a shallow network trains, a deep one has 3e-7 left after "
        "ten",
        "the cure is the scale, not another network",
        ("initializer:normal",),
    ),
    Erratum(
        "variance-of-what",
        "initialisation keeps the variance of the weights' activations the same",
        "it keeps the variance of the units' activations, and of their gradients",
        "equal variances of weights in layers of different width do the opposite",
        ("initializer:xavier-normal",),
    ),
    Erratum(
        "relu-bias-value",
        "a bias of 0.1, or of 0.01, for ReLU",
        "either: a choice, and none is needed with He weights",
        "neither figure is a law: what counts is the share of units that start active",
        ("initializer:relu-bias",),
    ),
)
