"""Advice on data, and on what measuring them means."""

from __future__ import annotations

from preceptor.recipe.practice._advice import topic

__all__ = ["TOPICS"]

DATA = topic(
    "Data",
    "practice-data",
    (
        "more-data",
        "The best cure for overfitting is more data; next best, data made from those there are.",
        "entry:inspection/learning-curve, entry:augmentation/standard, cause:too-little-data",
    ),
    (
        "label-errors",
        "Wrong labels hurt: look at those that disagree with their neighbours.",
        "audit:label-noise, cause:bad-labels, entry:regularizer/label-smoothing",
    ),
    (
        "same-kind-of-data",
        "Data in use must be like those trained on: look when training ends, and at every prediction.",
        "audit:shifted-columns, audit:told-apart, command:predict, entry:inspection/covariate-shift, "
        "page:evaluation.md",
    ),
    (
        "outliers",
        "Squared error follows outliers, absolute error does not.",
        "audit:far-values, audit:far-targets, entry:loss/huber, entry:loss/mae, cause:loss-mismatch",
    ),
    (
        "duplicates-across-parts",
        "Nothing that is tested on may be trained on, not even a near copy.",
        "audit:shared-examples, audit:near-duplicates, cause:train-test-leakage",
    ),
    (
        "leaks",
        "A column that is known only once the target is known makes any figure worthless.",
        "audit:target-leakage",
    ),
    (
        "balance",
        "Rare classes are easily ignored.",
        "audit:class-balance, cause:class-imbalance",
    ),
    (
        "augment-the-right-way",
        "What is done to an example must leave its label true.",
        "command:look, page:images.md, entry:augmentation/standard",
    ),
    (
        "unseen-words",
        "Words that training did not have, and long contexts that never came, are the bound of counting "
        "models.",
        "entry:language-model/unseen-n-grams, entry:language-model/out-of-vocabulary-rate, "
        "entry:language-model/kneser-ney, audit:unknown-symbols",
    ),
    (
        "static-vectors",
        "One vector a word knows no context, and nothing of words that it never met.",
        "entry:word-embedding/glove, entry:word-embedding/word-similarity, page:embeddings.md",
    ),
)

EVALUATION = topic(
    "Splits and measures",
    "practice-data",
    (
        "test-once",
        "The test set is for one look, at the end; whatever is chosen by it is no longer tested.",
        "command:evaluate --again, page:evaluation.md",
    ),
    (
        "tune-on-validation",
        "Choose everything by validation, the capacity of a model first of all.",
        "setting:training.monitor, setting:data.val, page:evaluation.md",
    ),
    (
        "three-parts",
        "Split into training, validation and test, 60/20/20 or 80/10/10.",
        "setting:data.val, setting:data.test, page:data.md",
    ),
    (
        "learning-is-generalising",
        "To learn is to be right on examples never seen: always show a held-out figure.",
        "setting:data.val, page:runs.md",
    ),
    (
        "comparable-figures",
        "Compare figures of one measure, one mode, one set.",
        "command:compare, setting:training.train_examples",
    ),
    (
        "one-change-at-a-time",
        "Change one thing at a time.",
        "command:compare, command:train --attend, page:trials.md",
    ),
    (
        "one-augmentation",
        "Augmentation is a part of the method: compare networks under the same.",
        "command:compare, setting:augmentations",
    ),
    (
        "crops",
        "Train on random crops, measure on fixed ones.",
        "entry:augmentation/random-crop, entry:augmentation/fixed-crops",
    ),
    (
        "augment-training-alone",
        "Augment the training part alone.",
        "setting:augmentations, page:regularizers.md",
    ),
    (
        "fit-on-training-alone",
        "Whatever is fitted, scaling included, is fitted on the training part.",
        "setting:data.scale, cause:inconsistent-preprocessing, page:data.md",
    ),
    (
        "cross-validate-small-sets",
        "With few examples one split says little: cross-validate.",
        "command:cross-validate, page:evaluation.md",
    ),
    (
        "error-by-size",
        "Look at the error against the number of examples, and of parameters.",
        "entry:inspection/learning-curve, check:ladder, command:compare",
    ),
    (
        "noise-of-seeds",
        "Two runs differ by their seeds alone: several of each, and an interval.",
        "command:compare, page:evaluation.md",
    ),
    (
        "do-not-train-on-accuracy",
        "Accuracy has no slope: train on a loss, and measure accuracy beside it.",
        "entry:loss/cross-entropy, cause:loss-mismatch, entry:estimation/surrogate-loss",
    ),
    (
        "loss-fits-targets",
        "A loss goes with a distribution of the targets.",
        "cause:loss-mismatch, entry:loss/gaussian-nll, entry:estimation/conditional-log-likelihood",
    ),
    (
        "hinge-comes-to-rest",
        "Cross-entropy always wants more, the hinge comes to rest at zero.",
        "entry:loss/hinge, entry:loss/cross-entropy",
    ),
)

MODELS = topic(
    "Ensembles, transfer and language",
    "practice-data",
    (
        "weigh-by-variance",
        "Weigh the members of an ensemble by inverse variance where that differs.",
        "entry:averaging/inverse-variance-weighting",
    ),
    (
        "weakly-correlated-members",
        "An ensemble helps as far as its members err apart.",
        "entry:calculator/error-correlation, entry:calculator/ensemble-error, entry:averaging/bagging",
    ),
    (
        "a-few-percent",
        "Expect a few percent of an ensemble, and measure them.",
        "command:train --members, entry:averaging/model-averaging, entry:averaging/snapshot-ensemble, "
        "entry:calculator/ensemble-error",
    ),
    (
        "when-to-transfer",
        "Transfer where the inputs are alike, the source had more examples, and low-level features carry "
        "over; compare with a start from nothing.",
        "entry:transfer/transfer-check, command:train --from, page:transfer.md",
    ),
    (
        "temperature",
        "A high temperature writes with variety and mistakes, a low one safely.",
        "command:generate, entry:output-unit/softmax",
    ),
    (
        "large-vocabularies",
        "Large vocabularies cost time, characters need depth, and long texts lose their thread.",
        "entry:calculator/sequence-costs, entry:inspection/sequence-growth, page:text.md",
    ),
    (
        "word-by-word",
        "Word-by-word translation fails on order, length, and on what is said later.",
        "entry:layer/bidirectional-encoder, entry:layer/additive-attention, page:sequences.md",
    ),
)

TOPICS = (DATA, EVALUATION, MODELS)
