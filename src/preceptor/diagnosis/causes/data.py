"""Causes of the family 'data': what the samples and targets are like, and how they arrive."""

from __future__ import annotations

from preceptor.diagnosis.cause import Cause

__all__ = ["CAUSES"]

_FAMILY = "data"

CAUSES = (
    Cause(
        "unscaled-inputs",
        _FAMILY,
        meaning="Inputs are far from zero mean and unit spread, or their columns differ by orders of"
        " magnitude.",
        mechanism="The curvature along a first-layer weight grows with E[x²], so the largest stable rate"
        " falls like 1/E[x²]; a mean far from zero and unequal columns make κ = λ_max/λ_min large."
        " Saturating units start at their bounds.",
        recognised="Mean and spread of the batches (pixels up to 255, columns in thousands), no"
        " normalisation before the first layer, and a run that learns badly. Token numbers, one-hot columns"
        " and standardised data beyond ±1 are as they should be.",
        confused={
            "learning-rate-too-high": "inputs have unit spread, and the rate is still too large",
            "unscaled-targets": "the inputs are fine; the error itself is huge",
        },
        remedy="standardise: (x − mean) / std of the training set, or divide pixels by 255",
        explains=("learning-rate-too-high",),
        source="LeCun, Bottou, Orr & Müller, Efficient BackProp (1998)",
    ),
    Cause(
        "unscaled-targets",
        _FAMILY,
        meaning="Targets of a regression are orders of magnitude away from what the outputs start at.",
        mechanism="The first error is about the targets' own size s: the gradient of squared error is"
        " proportional to s, the distance to go too, and a rate fit for unit targets diverges or crawls.",
        recognised="Mean and spread of the targets at the loss call beside those of the outputs, and a loss"
        " that falls badly or is explained by its mean alone.",
        confused={
            "learning-rate-too-low": "targets are of the size of the outputs",
            "unscaled-inputs": "the inputs are far out, not the targets",
        },
        remedy="train on (y − mean) / std of the training targets, and undo it for predictions",
        explains=("learning-rate-too-high",),
        source="Bishop, Neural Networks for Pattern Recognition, section 8.2 (1995)",
    ),
    Cause(
        "inconsistent-preprocessing",
        _FAMILY,
        meaning="Training and evaluation data are prepared differently, or preparing destroys information.",
        mechanism="The net learned p(y | x) for x as it was prepared; with another mean and scale every"
        " input is one that it never saw. Casts to integers or 8 bits, and clipping, cannot be undone.",
        recognised="Inputs of training and evaluation have means or spreads that sampling cannot explain, or"
        " values are cut off, rounded or constant; evaluation is much worse than training. Augmentation and"
        " another population change values by a little only.",
        confused={
            "overfitting": "both are prepared alike, and the gap grows as training goes on",
            "training-mode-in-evaluation": "the data are alike, the modules' mode is not",
        },
        remedy="fit the preparation on the training set once, and apply the same to all data",
        explains=("overfitting",),
        source="Breck, Polyzotis, Roy, Whang & Zinkevich, Data Validation for Machine Learning (2019)",
    ),
    Cause(
        "bad-labels",
        _FAMILY,
        meaning="Labels are wrong, constant, shifted, coded otherwise than the loss expects, or very noisy.",
        mechanism="With a share ε of random labels the loss cannot fall below the entropy of that noise"
        " without memorising; a constant label is learned in a few steps and teaches nothing.",
        recognised="Targets as they arrive: one value only, classes that begin at 1, −1/+1 where 0/1 is"
        " meant, equal inputs with different labels. Noise that evidence cannot tell from a hard task is not"
        " named.",
        confused={
            "misaligned-inputs-and-labels": "labels themselves are right, and belong to other inputs",
            "loss-mismatch": "labels are right, and the loss does not suit them",
        },
        remedy="look at twenty samples with their labels, and check how labels are coded and counted",
        source="Northcutt, Athalye & Mueller, Pervasive Label Errors in Test Sets (2021)",
    ),
    Cause(
        "misaligned-inputs-and-labels",
        _FAMILY,
        meaning="Inputs and labels no longer belong together: one was shuffled or cut without the other.",
        mechanism="Labels become independent of inputs, so that the best prediction is the share of each"
        " class; a large net memorises the pairs, and evaluation stays at chance.",
        recognised="The same input comes with different labels from epoch to epoch, or training improves (or"
        " not even that) while evaluation stays at the best constant prediction.",
        confused={
            "overfitting": "evaluation is better than chance for a while",
            "bad-labels": "the pairing is fixed, and labels are wrong as such",
        },
        remedy="shuffle with one permutation for both: order = torch.randperm(n); x[order], y[order]",
        explains=("overfitting", "capacity-too-low"),
        source="Zhang, Bengio, Hardt, Recht & Vinyals, Understanding Deep Learning Requires Rethinking"
        " Generalization (2017)",
    ),
    Cause(
        "invalid-values-in-data",
        _FAMILY,
        meaning="Some inputs or targets are NaN or infinite.",
        mechanism="NaN in one sample makes the batch's loss NaN, its gradient NaN, and every weight NaN"
        " after the step; nothing recovers from there.",
        recognised="Values that are not finite in a batch as it enters the model or the loss. Masked entries"
        " that never reach the loss do no harm.",
        confused={
            "numeric-instability": "the batch is finite, an operator inside is not",
            "learning-rate-too-high": "the batch is finite, weights grew without bound",
        },
        remedy="find them with torch.isfinite(x).all(dim=1), then repair or drop those samples",
        explains=("numeric-instability", "learning-rate-too-high", "missing-gradient-clipping"),
        source="Goldberg, What Every Computer Scientist Should Know About Floating-Point Arithmetic (1991)",
    ),
    Cause(
        "class-imbalance",
        _FAMILY,
        meaning="One class dominates, and the others are ignored.",
        mechanism="Predicting the largest class alone has accuracy p_max and a loss that falls fast at"
        " first; gradients of rare classes are outvoted p_max : p_c in every batch.",
        recognised="Shares of classes among the targets that were seen, together with a loss that stays near"
        " that of the constant prediction, or rare classes that are never predicted. A long tail in a run"
        " that learns is no fault.",
        confused={
            "too-few-epochs": "rare classes improve as training goes on",
            "bad-labels": "one class is all there is",
        },
        remedy="weight the loss by 1/share of each class, or draw balanced batches; report per-class"
        " accuracy",
        explains=("overfitting",),
        source="He & Garcia, Learning from Imbalanced Data (2009)",
    ),
    Cause(
        "data-not-shuffled",
        _FAMILY,
        meaning="Batches arrive in an order that goes along with the label.",
        mechanism="A batch of one class has a gradient that only raises that class: E[g | batch] ≠ ∇L, so"
        " the net follows the order and forgets what came before.",
        recognised="Labels of consecutive samples are far more alike than chance allows, at every epoch in"
        " the same order. Time series, language and a fixed order of well-mixed data are as they should be.",
        confused={
            "learning-rate-too-high": "the loss swings at random, not with the order of the classes",
            "class-imbalance": "the classes are unequal over the whole epoch, too",
        },
        remedy="shuffle the training data: DataLoader(..., shuffle=True), or a new torch.randperm each epoch",
        source="Bottou, Stochastic Gradient Descent Tricks (2012)",
    ),
    Cause(
        "train-test-leakage",
        _FAMILY,
        meaning="Samples of the evaluation set are trained on.",
        mechanism="On samples that it has seen a net may answer by heart; the measured error estimates that"
        " of training, not that of new data.",
        recognised="Fingerprints of samples that occur in training batches and in evaluation batches alike."
        " Evaluating on the training set to draw its curve is no leak where another set is evaluated too;"
        " blank or equal samples occur by chance.",
        confused={
            "metric-mistake": "the evaluation set is clean, and the figure is computed wrongly",
            "overfitting": "a clean evaluation set would show the gap that the leak hides",
        },
        remedy="split before anything else, by group where samples belong together, and drop duplicates"
        " across parts",
        source="Kaufman, Rosset, Perlich & Stitelman, Leakage in Data Mining (2012)",
    ),
    Cause(
        "too-little-data",
        _FAMILY,
        meaning="There are far fewer samples than the model can memorise, and nothing holds it back.",
        mechanism="The gap between training and new data shrinks like √(capacity/n) at best; with n small"
        " and no prior the net fits the sample's accidents.",
        recognised="Few distinct samples among the fingerprints, many parameters, training loss near zero"
        " and a validation loss that is far above it from early on.",
        confused={
            "overfitting": "there is enough data, and training goes on for too long",
            "train-test-leakage": "evaluation looks good although data are few",
        },
        remedy="get or augment data, start from a pretrained net, or use a much smaller one with weight"
        " decay",
        source="Hastie, Tibshirani & Friedman, The Elements of Statistical Learning, section 7 (2009)",
    ),
    Cause(
        "wrong-reshape",
        _FAMILY,
        meaning="A view or reshape mixes axes: batch with time, channels with pixels, or one sample with the"
        " next.",
        mechanism="view and reshape keep the order in memory; where axes should trade places they cut rows"
        " elsewhere, so that one 'sample' holds parts of several and labels no longer fit.",
        recognised="In the graph, a reshape to sizes that a transposition would give, or an output of one"
        " sample that depends on other samples of the batch. Flattening all but the batch is as meant.",
        confused={
            "misaligned-inputs-and-labels": "samples are whole, and paired with other labels",
            "wrong-softmax-dim": "axes are right, and the softmax runs along another one",
        },
        remedy="use permute or transpose to move axes, and reshape only to merge or split neighbouring ones",
        explains=("capacity-too-low",),
        source="PyTorch manual, torch.Tensor.view and torch.permute (2025)",
    ),
)
