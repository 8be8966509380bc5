"""Causes of the family 'outputs and loss': what enters the loss, and whether the loss suits it."""

from __future__ import annotations

from preceptor.diagnosis.cause import Cause

__all__ = ["CAUSES"]

_FAMILY = "outputs and loss"

CAUSES = (
    Cause(
        "unsuitable-output-activation",
        _FAMILY,
        meaning="The last activation cannot give what the targets ask for.",
        mechanism="Outputs lie in the activation's range: ReLU ≥ 0, sigmoid in (0, 1), tanh in (−1, 1);"
        " softmax over one unit is 1 whatever comes in, and its gradient 0. Targets outside are never"
        " reached, and at the edge of the range the gradient vanishes.",
        recognised="The operator that makes the predictions and its range, from the graph, against the range"
        " that the targets were seen to have. Outputs that are bounded by a wider range on purpose (scaled"
        " tanh) do not count.",
        confused={
            "loss-mismatch": "the output suits the task, and the loss compares it wrongly",
            "unscaled-targets": "the range is unbounded, and targets are just far away",
        },
        remedy="let the output fit the targets: none for numbers, sigmoid (one unit) or softmax (several)"
        " for classes",
        source="Bishop, Pattern Recognition and Machine Learning, section 4.3 (2006)",
    ),
    Cause(
        "loss-mismatch",
        _FAMILY,
        meaning="The loss does not measure what the task asks for.",
        mechanism="Each loss is the negative log-likelihood of one kind of target: squared error of real"
        " numbers, cross-entropy of classes. Squared error on class numbers invents an order among classes;"
        " behind a saturated sigmoid its gradient σ′ · (ŷ − y) vanishes where the error is largest.",
        recognised="Type, range and number of distinct targets at the loss call against the function that is"
        " called. Squared error on probabilities (Brier score), ordinal targets and losses written by hand"
        " are not judged by that alone.",
        confused={
            "unsuitable-output-activation": "the loss suits the targets, the output cannot reach them",
            "bad-labels": "the loss suits the task, the targets are encoded wrongly",
        },
        remedy="use cross_entropy for classes, binary_cross_entropy_with_logits for yes/no, mse_loss or"
        " huber for numbers",
        explains=("bad-labels",),
        source="Golik, Doetsch & Ney, Cross-Entropy vs. Squared Error Training (2013)",
    ),
    Cause(
        "probabilities-as-logits",
        _FAMILY,
        meaning="Probabilities are given to a loss that turns its input into probabilities once more.",
        mechanism="With inputs in [0, 1] the second softmax lies between 1/(e + K − 1) and e/(e + K − 1):"
        " the loss cannot fall below ln(e + K − 1) − 1 (K classes; 1.46 for K = 10), nor below ln(1 + 1/e) ="
        " 0.31 for a second sigmoid, and gradients are squashed twice.",
        recognised="Rows that enter the loss are ≥ 0 and sum to 1 (or lie in (0, 1) and come from a sigmoid)"
        " at every call, and the graph shows the softmax. Log-probabilities are harmless: their softmax is"
        " themselves.",
        confused={
            "learning-rate-too-low": "the loss has no floor and what enters it are logits",
            "logits-as-probabilities": "the opposite: nothing was applied although the loss expects it",
        },
        remedy="give the logits to the loss; apply softmax or sigmoid only to show probabilities",
        explains=("learning-rate-too-low", "too-few-epochs"),
        source="PyTorch manual, torch.nn.CrossEntropyLoss (2025)",
    ),
    Cause(
        "logits-as-probabilities",
        _FAMILY,
        meaning="Raw outputs are given to a loss that expects probabilities or their logarithms.",
        mechanism="nll_loss is −x_y: of raw outputs it has no lower bound, since all can grow at once;"
        " binary_cross_entropy takes logarithms of its input, and kl_div expects log-probabilities.",
        recognised="Rows that enter nll_loss have log Σ exp x far from 0, or inputs of a probability loss"
        " leave [0, 1]; a loss of that kind below zero is the same sign.",
        confused={
            "probabilities-as-logits": "the opposite: an activation is applied twice",
            "numeric-instability": "inputs are probabilities, and one of them is exactly 0",
        },
        remedy="use cross_entropy on logits, or apply log_softmax (dim=1) before nll_loss",
        explains=("learning-rate-too-high", "numeric-instability"),
        source="PyTorch manual, torch.nn.NLLLoss (2025)",
    ),
    Cause(
        "broadcast-in-loss",
        _FAMILY,
        meaning="Predictions and targets differ in shape, and each prediction is compared with every target.",
        mechanism="(N, 1) against (N,) gives an N × N table; its mean is smallest where every prediction is"
        " the targets' mean: (1/N²) Σᵢⱼ (ŷᵢ − yⱼ)² = (1/N) Σᵢ (ŷᵢ − ȳ)² + Var y.",
        recognised="The shapes at the loss call (or at the subtraction that the loss begins with) differ and"
        " together make a larger one. Against a target of one number, or weights of one row, it is as meant.",
        confused={
            "capacity-too-low": "shapes agree, and the model still predicts the mean",
            "bad-labels": "shapes agree, and targets have nothing to do with inputs",
        },
        remedy="give both the same shape: predictions.squeeze(1), or targets.unsqueeze(1)",
        explains=("capacity-too-low", "learning-rate-too-low", "too-few-epochs"),
        source="PyTorch manual, Broadcasting semantics (2025)",
    ),
    Cause(
        "wrong-softmax-dim",
        _FAMILY,
        meaning="Softmax (or its logarithm) runs over another axis than the one that it should share out.",
        mechanism="Over dim 0 the columns sum to 1: each sample's output depends on its neighbours in the"
        " batch, Σⱼ pᵢⱼ is not 1, and a sample alone always gets 1 for every class.",
        recognised="The dimension of the softmax in the graph is not the one of the classes at the loss, or"
        " the values sum to 1 over the batch and not over classes; or attention is normalised over one axis"
        " and summed over another.",
        confused={
            "wrong-reshape": "axes are mixed up before the softmax",
            "probabilities-as-logits": "the axis is right, and the softmax is one too many",
        },
        remedy="name the axis of the classes: softmax(x, dim=1), or dim=-1 where they are last",
        explains=("learning-rate-too-low", "capacity-too-low"),
        source="PyTorch manual, torch.nn.Softmax (2025)",
    ),
    Cause(
        "numeric-instability",
        _FAMILY,
        meaning="An operator meets zero or overflows, and NaN or infinity spreads from there.",
        mechanism="log 0 = −∞, 0/0 = NaN, exp x = ∞ for x > 88.7 in 32 bits (11.1 in 16), and the derivative"
        " of √x at 0 is ∞; one such value makes every weight NaN at the next step.",
        recognised="The first value of a step that is not finite, in the order of computation, comes out of"
        " an operator whose inputs are finite; or such an operator runs at the edge of its range. Masks of"
        " −∞ before a softmax are as meant.",
        confused={
            "invalid-values-in-data": "inputs or targets are not finite already",
            "learning-rate-too-high": "weights grew without bound first, step by step",
        },
        remedy="use the stable form (cross_entropy, log_softmax, logsumexp), or add a small eps inside log,"
        " sqrt, division",
        source="Blanchard, Higham & Higham, Accurately Computing the Log-Sum-Exp and Softmax Functions"
        " (2021)",
    ),
)
