"""Advice on restraint, and on the order in which things are done."""

from __future__ import annotations

from preceptor.recipe.practice._advice import topic

__all__ = ["TOPICS"]

RESTRAINT = topic(
    "Regularisation",
    "practice-procedure",
    (
        "tool-box",
        "Against overfitting, in this order: augmentation, fewer parameters, weight decay, early "
        "stopping, ensembles, noise.",
        "cause:overfitting, trial:weight_decay, trial:dropout, setting:training.patience, "
        "page:regularizers.md",
    ),
    (
        "what-a-regulariser-does",
        "A regulariser should raise the training error and lower that of validation; if both rise, take "
        "it out.",
        "entry:calculator/regularization-effect, command:compare",
    ),
    (
        "large-weights",
        "Large weights make much of single inputs and of noise.",
        "entry:inspection/weights, entry:regularizer/weight-decay, entry:regularizer/max-norm",
    ),
    (
        "too-much-restraint",
        "Too much restraint underfits.",
        "cause:weight-decay-too-strong, cause:dropout-too-strong, entry:calculator/ridge-shift",
    ),
    (
        "why-early-stopping",
        "Small weights make a nearly linear network; stopping early keeps them small.",
        "entry:regularizer/early-stopping, setting:training.patience",
    ),
    (
        "dropout-takes-capacity",
        "Dropout takes capacity: wider networks, longer training.",
        "entry:regularizer/dropout, cause:dropout-too-strong",
    ),
    (
        "no-dice-in-tests",
        "Dice are for training: in evaluation the same input gives the same output.",
        "cause:training-mode-in-evaluation, check:evaluation-mode, entry:regularizer/dropout",
    ),
    (
        "dropout-beside-batch-norm",
        "Batch normalisation leaves dropout less to do.",
        "entry:normalization/batch-norm, entry:regularizer/dropout",
    ),
    (
        "noise-within",
        "Noise on hidden units may restrain more than small weights do; on the weights it suits recurrent "
        "networks.",
        "entry:regularizer/hidden-noise, entry:regularizer/weight-noise",
    ),
    (
        "second-descent",
        "Explicit restraint takes the second descent away.",
        "entry:calculator/ridge-shift, entry:solver/ridge-regression",
    ),
    (
        "infinite-width",
        "What the tangent kernel promises holds for infinite width, and costs the square of the examples.",
        "entry:derivative/neural-tangent-kernel",
    ),
)

STEPS = topic(
    "Step by step",
    "practice-procedure",
    (
        "simplest-first",
        "Begin with the simplest network that might do.",
        "setting:model.name, page:training.md",
    ),
    (
        "one-sample",
        "Then one example: it must be learnt by heart.",
        "check:one-sample, command:check",
    ),
    (
        "a-handful",
        "Then a handful: each its own output, whatever their order.",
        "check:handful, check:inputs-matter",
    ),
    (
        "one-batch",
        "A network that cannot learn one batch by heart will not learn a thousand.",
        "check:one-batch",
    ),
    (
        "the-ladder",
        "Then 5, 10, 100, 1000: somewhere it must begin to be right on others.",
        "check:ladder, command:check",
    ),
    (
        "search-rate-and-decay",
        "Then search for rate and decay, at random rather than on a grid, and on a logarithmic scale.",
        "command:search, page:trials.md",
    ),
    (
        "keep-a-journal",
        "Most search by hand: keep a journal of what was tried.",
        "command:compare, page:runs.md",
    ),
    (
        "record-everything",
        "Record every setting, the defaults too.",
        "page:settings.md, page:runs.md",
    ),
    (
        "errors-to-next-action",
        "High training error: larger, longer, or another network. High validation error only: more data, "
        "restraint, or another network.",
        "command:train --attend, page:trials.md, verdict:too little capacity, verdict:overfitting",
    ),
    (
        "half-a-second",
        "A step should take less than half a second.",
        "entry:inspection/step-timer, cause:slow-data-loading",
    ),
    (
        "find-the-bottleneck",
        "Find out whether loading, the forward pass, the backward pass or the step takes the time.",
        "cause:slow-data-loading, entry:inspection/step-timer, page:watch.md",
    ),
    (
        "foretell-the-time",
        "Foretell the whole from some steps.",
        "entry:inspection/step-timer, command:summary",
    ),
    (
        "forgotten-toggle",
        "Toggle train() and eval().",
        "cause:training-mode-in-evaluation, cause:evaluation-mode-in-training, check:evaluation-mode",
    ),
    (
        "forgotten-zero-grad",
        "Clear the gradients before each backward pass.",
        "cause:missing-zero-grad",
    ),
    (
        "estimate-loss-optimise",
        "All training is one loop: estimate, judge, improve.",
        "command:eject, page:training.md",
    ),
    (
        "end-to-end",
        "Train all parts together where that can be done.",
        "cause:detached-graph, entry:transfer/end-to-end",
    ),
    (
        "stage-the-computation",
        "Derive step by step along the graph, not one formula for the whole.",
        "entry:derivative/reverse-mode, entry:derivative/computational-graph",
    ),
    (
        "check-own-gradients",
        "Check the gradient of whatever you write yourself.",
        "check:gradient-check, entry:derivative/gradient-check",
    ),
)

TOPICS = (RESTRAINT, STEPS)
