"""Advice on optimizers, learning rates and batches."""

from __future__ import annotations

from preceptor.recipe.practice._advice import topic

__all__ = ["TOPICS"]

RATES = topic(
    "Learning rates",
    "practice-optimization",
    (
        "high-first-lower-later",
        "A high rate first, a lower one later.",
        "cause:scheduler-misuse, entry:schedule/cosine, entry:schedule/one-cycle, setting:schedule.name",
    ),
    (
        "rates-to-try",
        "Rates to begin with: 1e-1, 1e-2, 1e-3, 1e-4.",
        "trial:lr, setting:optimizer.name, page:trials.md",
    ),
    (
        "decays-to-try",
        "Weight decays to begin with: 1e-4, 1e-5, 0.",
        "trial:weight_decay, entry:regularizer/weight-decay",
    ),
    (
        "robbins-monro",
        "A rate that is to converge to a point must sum to infinity, and its squares must not.",
        "entry:rate-rule/robbins-monro, entry:schedule/inverse-time",
    ),
    (
        "one-rate-for-all",
        "Plain gradient descent cannot scale directions apart, so its rate is set by the steepest.",
        "entry:rate-rule/effective-rate, entry:optimizer/rmsprop, entry:optimizer/adam, stall:bad "
        "conditioning",
    ),
    (
        "stable-rate",
        "Above 2/λ_max a step climbs: plain descent needs a careful rate.",
        "cause:learning-rate-too-high, entry:derivative/hessian-spectrum",
    ),
    (
        "implied-decay",
        "Where weights are normalised, growing weights lower the rate by themselves.",
        "entry:rate-rule/effective-rate, entry:normalization/weight-norm",
    ),
)

OPTIMIZERS = topic(
    "Optimizers",
    "practice-optimization",
    (
        "momentum-when",
        "Momentum helps where curvature is high, gradients are small but agree, or are noisy: β = 0.9.",
        "entry:optimizer/momentum, entry:inspection/gradient-noise",
    ),
    (
        "momentum-horizon",
        "Momentum remembers about 1/(1 − β) gradients; its step is longest where they agree.",
        "entry:optimizer/momentum, entry:rate-rule/effective-rate",
    ),
    (
        "ravines",
        "In a ravine steps are too long across and too short along: momentum, rescaled gradients, "
        "normalised inputs.",
        "stall:bad conditioning, entry:inspection/contour, entry:optimizer/momentum, entry:optimizer/rmsprop",
    ),
    (
        "nesterov",
        "Whether Nesterov's look-ahead helps under noise is to be measured, with seeds.",
        "entry:optimizer/nesterov, entry:optimizer/nesterov-look-ahead, command:compare",
    ),
    (
        "rmsprop-bears-more",
        "RMSProp bears a larger rate than plain descent, and diverges less.",
        "entry:optimizer/rmsprop",
    ),
    (
        "adagrad-slows-down",
        "AdaGrad's rate falls for good, weight by weight, often too early: for convex problems and rare "
        "features.",
        "cause:unsuitable-optimizer, entry:optimizer/adagrad, entry:rate-rule/effective-rate",
    ),
    (
        "adam-correction",
        "Adam without its correction takes its first steps too long.",
        "entry:optimizer/adam, entry:optimizer/adam-uncorrected",
    ),
    (
        "adam-rate",
        "Adam forgives much, but its default rate is not always right.",
        "entry:optimizer/adam, trial:lr",
    ),
    (
        "adam-axes",
        "Adam helps in a narrow valley only along the axes.",
        "entry:optimizer/adam, entry:inspection/contour, page:second-order.md",
    ),
    (
        "adam-decay",
        "A falling rate is usual with momentum, less so with Adam.",
        "entry:schedule/step, entry:optimizer/adam, setting:schedule.name",
    ),
    (
        "second-order-full-batch",
        "L-BFGS and Newton's kin want the full batch and no dice.",
        "cause:unsuitable-optimizer, entry:optimizer/l-bfgs, entry:optimizer/newton, page:second-order.md",
    ),
    (
        "second-order-cost",
        "Newton's step takes n² numbers and n³ operations.",
        "entry:optimizer/newton, entry:inspection/solver-cost, page:second-order.md",
    ),
    (
        "levenberg-accepts",
        "Levenberg's step is taken only if it lowers the loss; the damping follows.",
        "entry:optimizer/levenberg, entry:optimizer/levenberg-marquardt",
    ),
    (
        "flat-minima",
        "Momentum passes sharp minima by, which is as well: they fit the sample.",
        "entry:optimizer/momentum, entry:derivative/hessian-spectrum, entry:inspection/loss-surface",
    ),
    (
        "direct-or-iterative",
        "With many features descend; with few, solve.",
        "entry:optimizer/closed-form, entry:inspection/solver-cost, entry:solver/normal-equations",
    ),
    (
        "not-convex-is-fine",
        "No convexity is needed: random starts end in minima that are about as good.",
        "entry:inspection/convexity-test, entry:inspection/convex-combination, command:compare",
    ),
)

BATCHES = topic(
    "Batches",
    "practice-optimization",
    (
        "powers-of-two",
        "Batch sizes of 32 to 256, powers of two, suit most.",
        "setting:training.batch_size, cause:unsuitable-batch-size",
    ),
    (
        "batch-variance",
        "Small batches are noisy, large ones bring less and less, and memory is the bound.",
        "entry:inspection/gradient-noise, entry:calculator/training-memory, cause:unsuitable-batch-size",
    ),
    (
        "batch-by-time",
        "Choose the batch size by validation error against seconds, not epochs.",
        "entry:inspection/step-timer, command:compare, page:evaluation.md",
    ),
    (
        "batch-and-rate-last",
        "Choose all else first, then rate and batch size together; larger batches bear larger rates.",
        "entry:rate-rule/linear-scaling, entry:rate-rule/square-root-scaling",
    ),
    (
        "one-some-all",
        "One example at a time is fast and noisy, all at once smooth and slow; mini-batches lie between.",
        "entry:optimizer/online-sgd, entry:optimizer/sgd, entry:optimizer/gradient-descent",
    ),
    (
        "shuffle",
        "Draw batches at random.",
        "cause:data-not-shuffled, page:training.md",
    ),
    (
        "redundant-examples",
        "Where examples repeat each other, a part of them gives the same gradient.",
        "entry:inspection/duplicates, audit:exact-duplicates, entry:inspection/gradient-noise",
    ),
    (
        "too-large-for-one-gradient",
        "A set too large for one gradient is what mini-batches are for.",
        "setting:training.batch_size, setting:training.grad_accumulation, entry:calculator/training-memory",
    ),
    (
        "noise-regularises",
        "The noise of batches restrains by itself.",
        "entry:regularizer/sgd-noise, entry:optimizer/sgd",
    ),
)

TOPICS = (RATES, OPTIMIZERS, BATCHES)
