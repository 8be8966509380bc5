"""Risks and probabilities: expectations, average losses, scoring rules, and Bayes' rule for sequences."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from preceptor.catalogue._checks import check_choice, check_number
from preceptor.catalogue._registry import entry, get, registered
from preceptor.errors import ConfigError, ModelError

__all__ = [
    "Objective",
    "conditional_log_likelihood",
    "empirical_risk",
    "expectation",
    "noisy_channel",
    "noisy_channel_decoding",
    "proper_scoring_rule",
    "regularized_objective",
    "sentence_log_probability",
    "surrogate_loss",
]

_KIND = "estimation"
_GOODFELLOW = "Goodfellow, Bengio and Courville, Deep Learning, 2016"


def _alike(owner: str, first: Tensor, second: Tensor, expected: str) -> None:
    if first.shape != second.shape:
        raise ModelError(
            f"{owner}: these do not belong together",
            expected=expected,
            received=f"{tuple(first.shape)} and {tuple(second.shape)}",
        )


@registered(
    kind=_KIND,
    name="conditional-log-likelihood",
    aliases=("cond-ll", "conditional-maximum-likelihood"),
    formula="Σ_i log P(y_i | x_i; θ); family categorical: log softmax(z_i)_{y_i}; bernoulli: y log σ(z) + (1 "
    "− y) "
    "log σ(−z); normal: −½ (y − z)² − ½ log 2π",
    shapes="outputs (N, K) and classes (N,), or outputs and targets of one shape → scalar",
    when="supervised learning: its maximum is the minimum of cross-entropy or squared error",
    pitfalls="a sum, where losses are negative means: N times as large, with the other sign",
    source=f"{_GOODFELLOW}, section 5.5.1",
    example=">>> get('conditional-log-likelihood', torch.zeros(3, 2), torch.tensor([0, 1, 1]))\n"
    "tensor(-2.0794)",
)
def conditional_log_likelihood(output: Tensor, target: Tensor, family: str = "categorical") -> Tensor:
    """Conditional log-likelihood of targets given a network's raw outputs.

    Raises:
        ConfigError: no such family.
        ModelError: shapes that do not belong together.
    """
    losses = {"categorical": "cross-entropy", "bernoulli": "binary-cross-entropy", "normal": "gaussian-nll"}
    check_choice("conditional-log-likelihood", "family", family, tuple(losses))
    if family == "categorical":
        _alike("conditional-log-likelihood", output[..., 0], target, "outputs (N, K) and classes (N,)")
    else:
        _alike("conditional-log-likelihood", output, target, "outputs and targets of one shape")
    total: Tensor = get(losses[family], kind="loss", reduction="sum")(output, target)
    return -total


@registered(
    kind=_KIND,
    name="expectation",
    aliases=("expected-value",),
    formula="E[f] = Σ_x P(x) f(x)",
    shapes="values (…, n), probabilities (…, n) that sum to 1 → (…)",
    when="a discrete distribution is known",
    pitfalls="over samples the shares are already in the data: their plain mean is the estimate",
    source="Huygens, De Ratiociniis in Ludo Aleae, 1657",
    example=">>> get('expectation', torch.tensor([1.0, 6.0]), torch.tensor([0.8, 0.2]))\ntensor(2.)",
)
def expectation(values: Tensor, probabilities: Tensor) -> Tensor:
    """Expectation of a function of a discrete variable.

    Raises:
        ModelError: the shapes differ.
        ConfigError: the probabilities do not sum to one.
    """
    _alike("expectation", values, probabilities, "one probability for each value")
    total = probabilities.sum(-1)
    if not torch.allclose(total, torch.ones_like(total), atol=1e-5):
        raise ConfigError(
            "expectation: no probabilities", expected="a sum of 1", received=f"{total.tolist()}"
        )
    return (values * probabilities).sum(-1)


@registered(
    kind=_KIND,
    name="empirical-risk",
    aliases=("erm", "empirical-risk-minimization", "average-loss", "cost"),
    formula="J = (1/m) Σ_i L(f(x_i), y_i), the mean of L under the data's own distribution; reduction='sum': "
    "without "
    "1/m",
    shapes="outputs (m, …), targets (m, …), a loss by name or as a function of both → scalar",
    when="what training minimises in place of the expected loss, which nobody knows",
    pitfalls="with a sum the gradient grows with the batch, and the learning rate with it",
    source="Vapnik, Principles of Risk Minimization for Learning Theory, 1991",
    example=">>> get('empirical-risk', torch.tensor([[1.0], [3.0]]), torch.zeros(2, 1), loss='mse')\n"
    "tensor(5.)",
)
def empirical_risk(
    output: Tensor,
    target: Tensor,
    loss: str | Callable[[Tensor, Tensor], Tensor] = "mse",
    reduction: str = "mean",
) -> Tensor:
    """Empirical risk: the loss averaged over the examples.

    Raises:
        UnknownName: no loss has that name.
        ConfigError: no such reduction, or a loss of your own that does not return one number an example.
    """
    check_choice("empirical-risk", "reduction", reduction, ("mean", "sum"))
    made = get(loss, kind="loss", reduction="none") if isinstance(loss, str) else loss
    each: Tensor = made(output, target)
    if each.ndim == 0 or len(each) != len(output):
        raise ConfigError(
            "empirical-risk: the loss is not usable",
            expected=f"{len(output)} losses, one an example",
            received=f"shape {tuple(each.shape)}",
        )
    each = each.reshape(len(output), -1).mean(1)
    return each.mean() if reduction == "mean" else each.sum()


class Objective(NamedTuple):
    """A regularised objective and its two parts."""

    objective: Tensor
    data: Tensor
    penalty: Tensor


@registered(
    kind=_KIND,
    name="regularized-objective",
    aliases=("reg-obj", "regularised-objective", "structural-risk"),
    formula="J̃ = J + alpha · Ω(θ); Ω = ½ Σ w² for penalty='l2', Σ |w| for 'l1'; biases and other parameters "
    "of one "
    "axis are left out",
    shapes="data loss (scalar), parameters → (objective, data, penalty), three scalars",
    when="to report what is fitted and what is penalised apart",
    pitfalls="losses with and without the penalty do not compare: compare the data part",
    source=f"{_GOODFELLOW}, section 7.1",
    example=">>> w = torch.tensor([[3.0, 4.0]])\n"
    ">>> get('regularized-objective', torch.tensor(1.0), [w], alpha=0.1).objective\ntensor(2.2500)",
)
def regularized_objective(
    data: Tensor, parameters: Iterable[Tensor], alpha: float = 1e-4, penalty: str = "l2"
) -> Objective:
    """Regularised objective: data loss plus a penalty on the weights, and both apart.

    Raises:
        ConfigError: no such penalty, or a negative alpha.
    """
    check_choice("regularized-objective", "penalty", penalty, ("l1", "l2"))
    factor = check_number("regularized-objective", "alpha", alpha, 0.0)
    total = data.new_zeros(())
    for w in parameters:
        if w.ndim > 1:
            total = total + (w.abs().sum() if penalty == "l1" else w.square().sum() / 2)
    return Objective(data + factor * total, data, factor * total)


_SCORES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "log": lambda p, q: -(torch.special.xlogy(p, q) + torch.special.xlogy(1 - p, 1 - q)),
    "brier": lambda p, q: p * (1 - q) ** 2 + (1 - p) * q**2,
    "absolute": lambda p, q: p * (1 - q) + (1 - p) * q,
}


@registered(
    kind=_KIND,
    name="proper-scoring-rule",
    aliases=("proper", "proper-score", "honest-score"),
    formula="q* = argmin_q E_{y ~ p} S(q, y); S is proper if q* = p: score='log': −log of the probability "
    "given; "
    "'brier': its squared error; not proper: 'absolute'",
    shapes="true probabilities p (…) → the best report q* (…), float64",
    when="to choose a loss whose minimum is the true probability",
    pitfalls="under absolute error the best report is 0 or 1, whatever p: no probability at all",
    source="Gneiting and Raftery, Strictly Proper Scoring Rules, Prediction, and Estimation, 2007",
    example="""
    >>> p = torch.tensor([0.1, 0.7])
    >>> [round(q, 4) for q in get('proper-scoring-rule', p).tolist()]
    [0.1, 0.7]
    >>> [round(q, 4) for q in get('proper-scoring-rule', p, score='absolute').tolist()]
    [0.0, 1.0]
    """,
)
def proper_scoring_rule(probability: Tensor, score: str = "log") -> Tensor:
    """Best report under a scoring rule: the true probability if the rule is proper.

    Raises:
        ConfigError: no such score, or no probabilities.
    """
    expected = _SCORES[check_choice("proper-scoring-rule", "score", score, tuple(_SCORES))]
    p = probability.double()
    if not bool(((p >= 0) & (p <= 1)).all()):
        raise ConfigError(
            "proper-scoring-rule: no probabilities",
            expected="0 ≤ p ≤ 1",
            received=f"{p.flatten()[:5].tolist()}",
        )
    # Ternary search: every expected score here has one valley, or is monotone.
    low, high = torch.zeros_like(p), torch.ones_like(p)
    for _ in range(100):
        left, right = low + (high - low) / 3, high - (high - low) / 3
        better = expected(p, left) <= expected(p, right)
        low, high = torch.where(better, low, left), torch.where(better, right, high)
    return (low + high) / 2


@registered(
    kind=_KIND,
    name="surrogate-loss",
    aliases=("acc-surrogate", "accuracy-as-objective", "surrogate"),
    formula="accuracy is constant between the points where a decision flips: its gradient is 0 or undefined; "
    "a "
    "differentiable loss stands in for it",
    shapes="the name of a metric → the name of the loss to train with",
    when="what counts is a metric that cannot be followed downhill",
    pitfalls="the surrogate's best weights need not be the metric's: choose the epoch by the metric",
    source="Bartlett, Jordan and McAuliffe, Convexity, Classification, and Risk Bounds, 2006",
    example=">>> get('surrogate-loss', 'accuracy')\n'cross-entropy'",
)
def surrogate_loss(metric: str) -> str:
    """Surrogate: the differentiable loss to train with where a metric is what counts.

    Raises:
        UnknownName: no metric has that name.
    """
    found = entry(metric, "metric")
    if found.traits["targets"] == "categories":
        return "cross-entropy"
    return "mae" if found.name == "mae" else "mse"


@registered(
    kind=_KIND,
    name="noisy-channel",
    aliases=("bayes-noisy", "noisy-channel-model", "posterior", "bayes-rule"),
    formula="P(s | a) = P(a | s) P(s) / Σ_{s'} P(a | s') P(s'), computed with logarithms",
    shapes="log P(a | s) (…, S), log P(s) (S,) or (…, S) → P(s | a) (…, S)",
    when="what was meant (s) must be guessed from what arrived (a): speech, spelling, translation",
    pitfalls="maximising P(a | s) alone forgets that some s are never said",
    source="Shannon, A Mathematical Theory of Communication, 1948; Jelinek, 1976",
    example=">>> get('noisy-channel', torch.tensor([0.5, 0.1]).log(), torch.tensor([0.1, 0.9]).log())\n"
    "tensor([0.3571, 0.6429])",
)
def noisy_channel(log_channel: Tensor, log_prior: Tensor) -> Tensor:
    """Noisy channel: the posterior of what was sent, by Bayes' rule.

    Raises:
        ModelError: channel and prior are over different alphabets.
    """
    if log_channel.shape[-1:] != log_prior.shape[-1:]:
        raise ModelError(
            "noisy-channel: channel and prior do not belong together",
            expected="one alphabet, along the last axis",
            received=f"{tuple(log_channel.shape)} and {tuple(log_prior.shape)}",
        )
    return (log_channel + log_prior).softmax(-1)


@registered(
    kind=_KIND,
    name="noisy-channel-decoding",
    aliases=("viterbi", "noisy-channel-decoder"),
    formula="ŝ = argmax_s Σ_t log P(a_t | s_t) + log P(s_1) + Σ_t log P(s_t | s_{t−1}), by dynamic "
    "programming",
    shapes="log P(a_t | s) (T, S), log P(s' | s) (S, S) with rows s, log P(s_1) (S,) → ŝ (T,) int64",
    when="a sequence behind a noisy channel, with a bigram model of what is said",
    pitfalls="the best sequence is not the sequence of best symbols",
    source="Viterbi, Error Bounds for Convolutional Codes, 1967",
    example="""
    >>> channel = torch.tensor([[0.9, 0.1], [0.4, 0.6], [0.9, 0.1]]).log()
    >>> sticky = torch.tensor([[0.9, 0.1], [0.1, 0.9]]).log()
    >>> get('viterbi', channel, sticky, torch.tensor([0.5, 0.5]).log())
    tensor([0, 0, 0])
    """,
)
def noisy_channel_decoding(log_channel: Tensor, log_transition: Tensor, log_start: Tensor) -> Tensor:
    """Most probable sequence behind a noisy channel, under a bigram prior.

    Raises:
        ModelError: the shapes do not belong together.
    """
    steps, size = log_channel.shape if log_channel.ndim == 2 else (0, 0)
    if steps == 0 or log_transition.shape != (size, size) or log_start.shape != (size,):
        raise ModelError(
            "noisy-channel-decoding: the shapes do not belong together",
            expected="(T, S), (S, S) and (S,)",
            received=", ".join(str(tuple(x.shape)) for x in (log_channel, log_transition, log_start)),
        )
    best, back = log_start + log_channel[0], []
    for t in range(1, steps):
        reached, origin = (best.unsqueeze(1) + log_transition).max(0)
        back.append(origin)
        best = reached + log_channel[t]
    path = [best.argmax()]
    for origin in reversed(back):
        path.append(origin[path[-1]])
    return torch.stack(path[::-1])


@registered(
    kind=_KIND,
    name="sentence-log-probability",
    aliases=(
        "chain-prob",
        "chain-rule-of-probability",
        "sequence-log-probability",
        "log-sum-of-probabilities",
    ),
    formula="log P(s) = Σ_t log P(w_t | w_1 … w_{t−1}), in place of the product, which underflows",
    shapes="conditional probabilities (…, T) → (…)",
    when="the probability of a whole sentence under a model of the next word",
    pitfalls="longer sentences are less probable: compare per word, or by perplexity exp(−log P(s) / T)",
    source="Shannon, A Mathematical Theory of Communication, 1948",
    example=">>> get('sentence-log-probability', torch.full((400,), 0.1, dtype=torch.float64))\n"
    "tensor(-921.0340, dtype=torch.float64)",
)
def sentence_log_probability(conditionals: Tensor) -> Tensor:
    """Chain rule of probability: the log-probability of a sentence from that of each next word.

    Raises:
        ConfigError: a number that is no probability.
    """
    if not bool(((conditionals >= 0) & (conditionals <= 1)).all()):
        raise ConfigError(
            "sentence-log-probability: no probabilities",
            expected="0 ≤ P ≤ 1",
            received=f"from {float(conditionals.min()):g} to {float(conditionals.max()):g}",
        )
    return conditionals.log().sum(-1)
