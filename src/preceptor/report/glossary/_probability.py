"""Terms of probability, estimation and language models."""

from __future__ import annotations

from preceptor.report.glossary._term import Term

__all__ = ["TERMS"]

TERMS = (
    Term(
        "expectation",
        "The mean of a function over a distribution: Σ P(x) f(x), or the integral.",
        symbols=("E", "𝔼"),
        see=("estimation:expectation",),
    ),
    Term(
        "normal distribution",
        "The bell curve, with mean μ and variance σ².",
        symbols=("N(μ, σ²)",),
        aliases=("gaussian", "gaussian distribution"),
        see=("estimation:gaussian-maximum-likelihood",),
    ),
    Term("uniform distribution", "Every value between two bounds is as likely.", symbols=("U(a, b)",)),
    Term(
        "likelihood",
        "The probability of the data as a function of the parameters. No probability of the parameters.",
        symbols=("p(X; θ)", "L(θ)"),
        see=("estimation:maximum-likelihood",),
    ),
    Term(
        "log-likelihood",
        "The logarithm of the likelihood: a sum over examples in place of a product that vanishes.",
        symbols=("ℓ", "l(θ)"),
        see=("estimation:log-likelihood", "estimation:conditional-log-likelihood"),
    ),
    Term(
        "maximum likelihood",
        "Choosing the parameters under which the data are most probable.",
        symbols=("θ_ML", "θ̂"),
        aliases=("maximum likelihood estimation", "mle"),
        see=("estimation:maximum-likelihood",),
    ),
    Term(
        "prior",
        "What is held likely of the parameters before the data are seen. A normal prior acts as an L2 "
        "penalty.",
        symbols=("p(θ)", "P(s)"),
        aliases=("prior probability",),
        see=("estimation:maximum-a-posteriori",),
    ),
    Term(
        "posterior",
        "What is held likely once the data are seen: prior times likelihood, scaled to sum to one.",
        symbols=("p(θ | X)", "P(s | a)"),
        aliases=("posterior probability", "bayes' rule"),
        see=("estimation:maximum-a-posteriori", "estimation:noisy-channel"),
    ),
    Term(
        "empirical risk",
        "The mean loss over the training examples: what training minimises in place of the loss to come.",
        symbols=("J(θ)", "R̂"),
        see=("estimation:empirical-risk",),
    ),
    Term(
        "negative log-likelihood",
        "Minus the logarithm of the probability that was given to the right answer.",
        symbols=("−log p(y | x; θ)",),
        aliases=("nll",),
        see=("loss:negative-log-likelihood",),
    ),
    Term(
        "cross-entropy",
        "The mean of minus the logarithm of the probability that the model gives to the right class.",
        symbols=("L_CE", "H(t, y)"),
        see=("loss:cross-entropy", "loss:binary-cross-entropy"),
        here="`loss=cross-entropy`, which takes raw outputs",
        page="training.md",
    ),
    Term(
        "entropy",
        "How undecided a distribution is: the mean of minus the logarithm of its probabilities.",
        symbols=("H",),
    ),
    Term(
        "proper scoring rule",
        "A loss whose mean is smallest where the model gives the true probabilities.",
        see=("estimation:proper-scoring-rule",),
    ),
    Term(
        "logits",
        "Raw outputs of a classifier, before softmax or sigmoid. Losses here take them as they are.",
        symbols=("z", "s", "q"),
        aliases=("logit", "raw outputs", "scores"),
        page="causes/probabilities-as-logits.md",
    ),
    Term(
        "sigmoid",
        "1 / (1 + e⁻ᶻ): makes a probability of one raw output. Its slope is σ(z)(1 − σ(z)).",
        symbols=("σ(z)", "sig(x)"),
        aliases=("logistic function",),
        see=("output-unit:sigmoid", "activation:sigmoid"),
    ),
    Term(
        "softmax",
        "Makes probabilities of raw outputs: exponentials, divided by their sum.",
        symbols=("y_k = e^{z_k} / Σ e^{z_j}",),
        see=("output-unit:softmax",),
    ),
    Term(
        "temperature",
        "What raw outputs are divided by before softmax. High: nearly equal probabilities; low: the "
        "largest wins.",
        symbols=("τ", "T"),
        see=("decoding:temperature",),
        here="`preceptor generate --temperature`",
        page="language-models.md",
    ),
    Term(
        "one-hot vector",
        "A class as a vector: 1 at its place, 0 elsewhere.",
        symbols=("t", "e_k"),
        aliases=("one-hot", "one-hot encoding"),
    ),
    Term(
        "language model",
        "A probability for each text, as a product of those of each symbol given the ones before it.",
        symbols=("P(w_t | w_1, …, w_{t−1})",),
        aliases=("language modelling", "language modeling"),
        here="`--task language-modelling`",
        page="language-models.md",
    ),
    Term(
        "n-gram",
        "n symbols in a row; an n-gram model counts how often the last follows the others.",
        symbols=("n",),
        aliases=("markov assumption", "memoryless model"),
        see=("language-model:n-gram",),
        page="text.md",
    ),
    Term(
        "data sparsity",
        "Most possible combinations never occur in the data, so that counts say nothing about them.",
        see=("language-model:unseen-n-grams", "language-model:additive-smoothing"),
    ),
    Term(
        "perplexity",
        "e to the mean negative log-likelihood: among how many equally likely symbols the model hesitates.",
        symbols=("PP",),
        see=("metric:perplexity",),
        page="language-models.md",
    ),
    Term(
        "vocabulary",
        "The symbols that a model of texts knows; all others are one symbol, unknown.",
        symbols=("V",),
        here="`text.vocabulary_size`",
        page="text.md",
    ),
    Term(
        "autoregressive model",
        "Predicts the next value from those before it, its own predictions among them.",
        aliases=("autoregressive",),
        see=("model-transform:autoregressive-model",),
        page="language-models.md",
    ),
    Term(
        "distributed representation",
        "A thing as a vector whose numbers it shares with others, so that what is learned of one serves "
        "those like it.",
        aliases=("embedding", "word embedding", "word vector"),
        symbols=("R", "rᵢ"),
        see=("word-embedding:glove", "architecture:neural-language-model"),
        page="embeddings.md",
    ),
    Term(
        "localist representation",
        "A thing as an entry of its own, which shares nothing with others, as in a table of counts.",
        see=("language-model:localist-representation",),
    ),
    Term(
        "co-occurrence matrix",
        "How often each word stands near each other word.",
        symbols=("X", "X_ij"),
        see=("word-embedding:co-occurrence-matrix",),
        page="embeddings.md",
    ),
    Term(
        "beam search",
        "Decoding that keeps the k best beginnings in place of the best one.",
        symbols=("k",),
        see=("decoding:beam-search",),
        here="`text.beam`, `data.beam`",
        page="translation.md",
    ),
)
