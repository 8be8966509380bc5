"""Advice on what learning curves say."""

from __future__ import annotations

from preceptor.recipe.practice._advice import topic

__all__ = ["TOPICS"]

BAD_SIGNS = topic(
    "Bad signs",
    "practice",
    (
        "training-loss-does-not-fall",
        "The training loss does not fall: find out whether there is no gradient, not-a-number, frozen "
        "weights, a rate too low or too high, or labels that belong to other inputs.",
        "verdict:no progress, cause:learning-rate-too-low, cause:learning-rate-too-high, "
        "cause:frozen-parameters, cause:missing-backward, cause:misaligned-inputs-and-labels, "
        "cause:invalid-values-in-data",
    ),
    (
        "validation-loss-does-not-fall",
        "The training loss falls and the validation loss never did: overfitting from the start, or data "
        "that are not of one kind.",
        "verdict:inconsistent data, cause:overfitting, cause:inconsistent-preprocessing, "
        "audit:shifted-columns",
    ),
    (
        "validation-better-than-training",
        "Validation is better than training: harmless where dropout, augmentation or a running mean "
        "explain it, else a leak, an easier part, or a mistake. So training is measured anew as "
        "validation is.",
        "verdict:validation easier, cause:train-test-leakage, audit:shared-examples, "
        "setting:training.train_examples",
    ),
    (
        "measure-training-as-validation",
        "The figure during an epoch is not that on the training set: it mixes weights, dropout and "
        "augmentation. Compare what was measured in one mode, with one measure.",
        "setting:training.train_examples, cause:training-mode-in-evaluation, cause:metric-mistake, "
        "page:training.md",
    ),
    (
        "loss-has-a-known-start",
        "A loss has a value that it must begin at, ln K for K equal classes: far above, the start or the "
        "loss is wrong.",
        "check:initial-loss, command:check, cause:bad-initialization, cause:loss-mismatch",
    ),
    (
        "large-drop-within-a-hundred-steps",
        "Within some hundred steps the loss should have dropped plainly; else try rates of 1e-1, 1e-2, "
        "1e-3, 1e-4.",
        "verdict:no progress, cause:learning-rate-too-low, trial:lr",
    ),
    (
        "three-errors",
        "Keep three errors apart: of the labels themselves, of the training set (too weak), of new data "
        "(too specific).",
        "audit:label-noise, verdict:too little capacity, verdict:overfitting, page:audit.md",
    ),
)

SHAPES = topic(
    "Shapes of learning curves",
    "practice",
    (
        "ideal-curve",
        "Both losses fall together and come to rest near each other: leave it alone.",
        "verdict:ideal",
    ),
    (
        "still-learning",
        "Both losses still fall at the end: train for longer.",
        "verdict:still learning, cause:too-few-epochs, trial:epochs",
    ),
    (
        "too-weak",
        "Both are flat, high and alike: a larger network, a better optimizer, fewer restraints.",
        "verdict:too little capacity, cause:capacity-too-low, trial:hidden",
    ),
    (
        "overfitting-curve",
        "The validation loss rises while the training loss falls: stop there, augment, decay, drop units, "
        "average several networks, gather more data, take fewer parameters.",
        "verdict:overfitting, cause:overfitting, setting:training.patience, setting:training.restore_best",
    ),
    (
        "gap",
        "A large gap asks for restraint, no gap leaves room for a larger network.",
        "verdict:overfitting, verdict:too little capacity, page:diagnosis.md",
    ),
    (
        "rate-too-low-curve",
        "A loss that falls in a straight line says that the rate is too low: raise it three- to tenfold, "
        "or add momentum.",
        "verdict:rate too low, cause:learning-rate-too-low, trial:lr, entry:optimizer/momentum",
    ),
    (
        "rate-too-high-curve",
        "A quick drop, then a high plateau: the rate is too high, or was not lowered.",
        "verdict:rate too high, cause:learning-rate-too-high, trial:lr, entry:schedule/cosine",
    ),
    (
        "plateau-of-contradictions",
        "The same plateau comes from data that contradict themselves: equal inputs with different labels.",
        "audit:contradictions, audit:label-noise, cause:bad-labels",
    ),
    (
        "wild-swings",
        "Errors that rise or swing wildly ask for a lower rate; swings across a valley for momentum, too.",
        "verdict:oscillating, verdict:diverged, cause:learning-rate-too-high, entry:optimizer/momentum",
    ),
    (
        "slow-and-steady",
        "A steady and slow fall allows a higher rate.",
        "verdict:rate too low, cause:learning-rate-too-low",
    ),
    (
        "noise-at-the-end",
        "Jitter about a flat level near the end is the noise of batches: lower the rate then, or average "
        "the weights.",
        "stall:noise floor, entry:schedule/step, entry:averaging/polyak-averaging",
    ),
    (
        "no-more-progress",
        "When the loss stops falling, lower the rate, with patience.",
        "entry:schedule/plateau, stall:plateau",
    ),
    (
        "cut-too-early",
        "A cut of the rate makes an instant drop that is only less noise: cut too early, it costs "
        "progress later.",
        "verdict:rate cut early, cause:scheduler-misuse",
    ),
    (
        "long-flat-start",
        "Long flat at the level of chance, then a fall: the first weights were bad. Draw them by He or "
        "Xavier, or normalise.",
        "verdict:late start, cause:bad-initialization, entry:initializer/he-normal, "
        "entry:initializer/xavier-uniform",
    ),
)

TABLE = topic(
    "From a symptom to a cause",
    "practice",
    (
        "wrong-gradients",
        "Gradients that were written by hand are checked by finite differences, in double precision and "
        "away from kinks.",
        "check:gradient-check, entry:derivative/gradient-check",
    ),
    (
        "local-optima",
        "Local optima can hardly be seen; several random starts show their spread, and small differences "
        "are fine.",
        "entry:inspection/convexity-test, command:compare, page:evaluation.md",
    ),
    (
        "symmetry",
        "Units that begin equal stay equal: draw the weights, never set them to one value.",
        "stall:symmetry, entry:inspection/weights, cause:bad-initialization",
    ),
    (
        "instability",
        "A loss that rises on the same batch says that the step was too long: lr·λ_max above 2.",
        "cause:learning-rate-too-high, entry:derivative/hessian-spectrum",
    ),
    (
        "oscillation",
        "Successive gradients that point against each other show oscillation: lower rate, momentum.",
        "stall:bad conditioning, verdict:oscillating, entry:optimizer/momentum",
    ),
    (
        "fluctuation",
        "Fluctuation at fixed weights comes from sampling: larger batches, a falling rate, averaged weights.",
        "entry:inspection/gradient-noise, stall:noise floor, entry:averaging/exponential-moving-average",
    ),
    (
        "dead-or-saturated",
        "Histograms of activations show units that are dead or saturated: change the scale of the start, "
        "or the unit.",
        "entry:inspection/activation-histograms, stall:dead units, stall:saturated units, check:units",
    ),
    (
        "ill-conditioning",
        "Bad conditioning shows in the extreme eigenvalues of the Hessian and in the inputs' condition "
        "number: normalise, momentum, Adam, second order.",
        "stall:bad conditioning, entry:inspection/condition-number, entry:derivative/hessian-spectrum, "
        "entry:optimizer/adam, page:second-order.md",
    ),
    (
        "name-the-stall",
        "A loss that stands still is a minimum, a saddle, a plateau, dead units or symmetry: tell them "
        "apart before acting. Saddles are common, bad minima rare.",
        "stall:saddle, stall:minimum, stall:plateau, entry:derivative/critical-point",
    ),
)

TOPICS = (BAD_SIGNS, SHAPES, TABLE)
