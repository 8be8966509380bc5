"""Terms of regularization, normalisation, ensembles and transfer."""

from __future__ import annotations

from preceptor.report.glossary._term import Term

__all__ = ["TERMS"]

TERMS = (
    Term(
        "regularisation",
        "What is done to lower the error on new examples, even at the price of a higher one on training "
        "examples.",
        aliases=("regularization", "regularizer"),
        here="`regularizers`",
        page="regularizers.md",
    ),
    Term(
        "penalty",
        "A term added to the cost that grows with the weights.",
        symbols=("Ω(θ)", "R(θ)"),
        aliases=("parameter norm penalty", "norm penalty", "regularization term"),
        see=("regularizer:l1", "regularizer:l2"),
        page="regularizers.md",
    ),
    Term(
        "penalty strength",
        "What the penalty is multiplied by.",
        symbols=("α", "λ"),
        aliases=("regularization rate", "regularization strength"),
        here='`regularizers=["l2=1e-4"]`',
        page="regularizers.md",
    ),
    Term(
        "weight decay",
        "Every step makes the weights a little smaller. With plain descent that is an L2 penalty, with "
        "Adam it is not.",
        symbols=("w ← (1 − αλ)w",),
        aliases=("tikhonov regularization",),
        see=("regularizer:weight-decay", "optimizer:adamw"),
        here="`weight_decay`, `optimizer.weight_decay`",
    ),
    Term(
        "sparsity",
        "Many weights, or many outputs, are exactly zero. An L1 penalty brings it about.",
        aliases=("sparse",),
        see=("regularizer:l1",),
    ),
    Term(
        "early stopping",
        "Ending where the error on validation examples no longer falls, and going back to the best weights.",
        see=("regularizer:early-stopping",),
        here="`training.patience`, `training.restore_best`",
    ),
    Term("patience", "How many epochs without improvement are waited for.", here="`training.patience`"),
    Term(
        "keep probability",
        "The chance that dropout lets a unit be. Libraries name the other one, p, that of dropping it.",
        symbols=("p", "1 − p"),
        aliases=("inclusion probability", "dropout probability", "dropout rate"),
        see=("regularizer:dropout",),
        here="`model.dropout`",
    ),
    Term(
        "weight scaling rule",
        "In use, all units take part, multiplied by the keep probability; or the kept ones were divided by "
        "it before.",
        aliases=("weight scaling inference rule", "inverted dropout"),
        see=("regularizer:classic-dropout", "regularizer:dropout"),
    ),
    Term(
        "co-adaptation",
        "Units that are of use only together; dropout makes each useful alone.",
        see=("regularizer:dropout",),
    ),
    Term(
        "stochastic depth",
        "Whole layers are left out at random in training; all take part in use.",
        aliases=("stochastic regularization",),
        see=("regularizer:stochastic-depth", "architecture:stochastic-depth-resnet"),
    ),
    Term(
        "noise injection",
        "Noise on inputs, hidden units, weights or targets while training.",
        aliases=("noise robustness",),
        see=("regularizer:input-noise", "regularizer:weight-noise", "regularizer:target-noise"),
        page="regularizers.md",
    ),
    Term(
        "label smoothing",
        "Targets of 1 − ε for the right class, and the rest shared by the others.",
        symbols=("ε",),
        see=("regularizer:label-smoothing",),
    ),
    Term(
        "batch normalisation",
        "Each unit's values over the batch are brought to mean 0 and variance 1, then scaled and shifted "
        "as learned.",
        symbols=("μ_B", "σ²_B"),
        aliases=("batch normalization", "bn", "layer norm"),
        see=("normalization:batch-norm", "normalization:layer-norm"),
    ),
    Term(
        "scale and shift",
        "What batch normalisation learns: the deviation and the mean that a unit is to have after it.",
        symbols=("γ", "β"),
        see=("normalization:batch-norm", "model-transform:batch-norm-identity"),
    ),
    Term(
        "running statistics",
        "Fading means of the batches' means and variances, with which a network in use normalises.",
        symbols=("μ_test", "σ²_test", "β_m"),
        aliases=("running mean", "running variance", "population statistics"),
        see=("model-transform:population-statistics",),
        here="`training.batch_norm`",
    ),
    Term(
        "internal covariate shift",
        "The inputs of a layer change while the layers before it learn.",
        see=("inspection:internal-covariate-shift",),
    ),
    Term(
        "training mode",
        "Dropout drops and batch normalisation uses the batch; in evaluation mode neither does.",
        aliases=("evaluation mode", "train/eval mode", "inference"),
        page="causes/training-mode-in-evaluation.md",
    ),
    Term(
        "ensemble",
        "Several models whose predictions are combined.",
        aliases=("ensembles", "model ensemble", "model averaging", "ensemble methods"),
        see=("averaging:model-averaging", "calculator:ensemble-error"),
        here="`--members`",
        page="ensembles.md",
    ),
    Term(
        "bagging",
        "Each model of an ensemble learns from a draw of the training examples with replacement.",
        aliases=("bootstrap aggregating", "bootstrap"),
        see=("averaging:bagging",),
        here="`--bag`, `data.bag`",
        page="ensembles.md",
    ),
    Term(
        "weight averaging",
        "The mean of the weights of late steps, in place of the last ones.",
        aliases=("polyak averaging", "iterate averaging"),
        see=("averaging:polyak-averaging", "averaging:exponential-moving-average"),
        here="`--average`",
        page="ensembles.md",
    ),
    Term(
        "transfer learning",
        "Starting from weights that were learned on other data.",
        aliases=("transfer", "fine-tuning", "pretrained network"),
        see=("transfer:new-head", "transfer:frozen-layers", "transfer:feature-extraction"),
        here="`--from`",
        page="transfer.md",
    ),
    Term(
        "frozen",
        "Of a layer: its weights do not learn.",
        aliases=("freezing", "freeze"),
        here="`--freeze`, `transfer.freeze`",
        page="transfer.md",
    ),
    Term(
        "teacher forcing",
        "While it learns to write, the network reads the right beginning, not its own.",
        see=("regularizer:teacher-forcing", "regularizer:scheduled-sampling"),
        page="translation.md",
    ),
)
