"""Averages of several models' predictions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from preceptor.catalogue._checks import check_choice, check_count, check_number
from preceptor.catalogue._registry import registered
from preceptor.errors import ConfigError, DataError

__all__ = [
    "RULES",
    "Bagging",
    "ModelAverage",
    "average_outputs",
    "ensemble_error",
    "error_correlation",
    "inverse_variance",
]


RULES = ("probabilities", "outputs", "votes")
"""What of several models' raw outputs is averaged."""


@registered(
    kind="averaging",
    name="model-averaging",
    aliases=("ensemble", "ens-avg", "soft-voting", "committee"),
    formula="of='probabilities': log (Σ_k v_k softmax(z_k)) as raw outputs (for one output, the logit of the "
    "mean probability); 'outputs': Σ_k v_k z_k; 'votes': majority-vote. v: weights, summing to 1; equal, if "
    "None",
    shapes="models that map (N, …) to (N, K) → one such model",
    when="independently trained models whose errors differ: start, examples, architecture, loss",
    pitfalls="the error falls by the variance's share alone, ∝ 1/k for uncorrelated members; k times the "
    "cost",
    source="Hansen and Salamon, Neural Network Ensembles, 1990",
    differs="scikit-learn's VotingClassifier(voting='soft') returns the probabilities themselves",
    example=">>> a, b = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)\n>>> x = torch.ones(1, 1)\n"
    ">>> both = get('model-averaging', [a, b], of='outputs')\n"
    ">>> torch.allclose(both(x), (a(x) + b(x)) / 2)\nTrue",
)
class ModelAverage(nn.Module):
    """Model averaging: the mean of several models' predictions."""

    shares: Tensor

    def __init__(
        self, members: Sequence[nn.Module], weights: Sequence[float] | None = None, of: str = "probabilities"
    ) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.of = check_choice("model-averaging", "of", of, RULES)
        given = [1.0] * len(self.members) if weights is None else list(weights)
        if not given or len(given) != len(self.members) or min(given) < 0 or sum(given) <= 0:
            raise ConfigError(
                "model-averaging: weights are not usable",
                expected=f"a number of at least 0 for each of {len(self.members)} models, not all 0",
                received=repr(weights),
            )
        total = sum(given)
        self.register_buffer("shares", torch.tensor([v / total for v in given]))

    def forward(self, x: Any) -> Tensor:
        """Return the average as raw outputs."""
        return average_outputs(torch.stack([member(x) for member in self.members]), self.shares, self.of)


def average_outputs(outputs: Tensor, shares: Tensor, of: str) -> Tensor:
    """Combine raw outputs (K, N, …), of classes (K, N, C, …), into raw outputs, by one of the `RULES`.

    ``"outputs"`` averages them, ``"probabilities"`` what they stand for, ``"votes"`` the classes that they
    name.

    Example:
        >>> average_outputs(torch.tensor([[[0.0, 0.0]], [[0.0, 2.0]]]), torch.tensor([0.5, 0.5]), "outputs")
        tensor([[0., 1.]])
    """
    shares = shares.to(outputs.dtype)
    if of == "outputs":
        mean: Tensor = torch.tensordot(shares, outputs, dims=1)
        return mean
    lift = shares.log().reshape(-1, *[1] * (outputs.ndim - 1))
    if outputs.ndim > 2 and outputs.shape[2] > 1:
        said = torch.logsumexp(outputs.log_softmax(2) + lift, 0)
        return _voted(outputs, shares, said) if of == "votes" else said
    positive = torch.logsumexp(nn.functional.logsigmoid(outputs) + lift, 0)
    logit = positive - torch.logsumexp(nn.functional.logsigmoid(-outputs) + lift, 0)
    if of != "votes":
        return logit
    k, share = len(outputs), torch.tensordot(shares, (outputs > 0).to(outputs.dtype), dims=1)
    tiny = torch.finfo(outputs.dtype).tiny
    for_it, against = (k * share + logit.sigmoid()), (k * (1 - share) + (-logit).sigmoid())
    voted: Tensor = for_it.clamp_min(tiny).log() - against.clamp_min(tiny).log()
    return voted


def _voted(outputs: Tensor, shares: Tensor, said: Tensor) -> Tensor:
    """Return the logarithm of the votes, to which the mean probabilities count as one more."""
    k, classes = len(outputs), outputs.shape[2]
    named = nn.functional.one_hot(outputs.argmax(2), classes).movedim(-1, 2).to(outputs.dtype)
    votes = k * torch.tensordot(shares, named, dims=1) + said.exp()
    voted: Tensor = (votes / (k + 1)).clamp_min(torch.finfo(outputs.dtype).tiny).log()
    return voted


@registered(
    kind="averaging",
    name="inverse-variance-weighting",
    aliases=("ens-var", "precision-weighting"),
    formula="y = Σ_k y_k / v_k / Σ_k 1 / v_k, of variance 1 / Σ_k 1 / v_k; for two, (v₂ y₁ + v₁ y₂) / (v₁ "
    "+ v₂)",
    shapes="estimates (K, …), variances (K,) → the estimate (…) and its variance",
    when="unbiased estimates whose variances are known and differ",
    pitfalls="a biased or correlated member makes it worse than it looks",
    source="Aitken, On Least Squares and Linear Combination of Observations, 1935",
    example=">>> y, v = get('inverse-variance-weighting', torch.tensor([10.0, 20.0]), torch.tensor([1.0, "
    "4.0]))\n"
    ">>> round(y.item(), 4), round(v.item(), 4)\n(12.0, 0.8)",
)
def inverse_variance(estimates: Tensor, variances: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of estimates, each weighted by its precision."""
    if variances.ndim != 1 or len(variances) != len(estimates) or bool((variances <= 0).any()):
        raise DataError(
            "inverse-variance-weighting: the variances are not usable",
            expected=f"{len(estimates)} positive numbers",
            received=f"shape {tuple(variances.shape)}",
        )
    precision = 1 / variances
    return torch.tensordot(precision, estimates, dims=1) / precision.sum(), 1 / precision.sum()


@registered(
    kind="averaging",
    name="bagging",
    aliases=("bootstrap-aggregating", "bootstrap-ensemble"),
    formula="members models, each trained on N examples drawn from the N with replacement (1 − (1 − 1/N)^N ≈ "
    "63.2 % of them are in a bag), then model-averaging",
    shapes="train(rows (N,)) → a model; N → an averaged model",
    when="unstable models with much variance: trees, networks on few examples",
    pitfalls="leaves the bias as it is, and gives each member fewer different examples",
    source="Breiman, Bagging Predictors, 1996",
    differs="scikit-learn's BaggingClassifier fits its own kind of estimators",
    example=">>> bags = get('bagging', members=3).rows(100)\n>>> bags.shape\ntorch.Size([3, 100])\n"
    ">>> 55 < len(bags[0].unique()) < 72\nTrue",
)
class Bagging:
    """Bagging: models trained on bootstrap samples, and averaged."""

    def __init__(self, members: int = 10, seed: int = 0, of: str = "probabilities") -> None:
        self.members = check_count("bagging", "members", members)
        self.seed = check_count("bagging", "seed", seed, 0)
        self.of = check_choice("bagging", "of", of, RULES)

    def rows(self, n: int) -> Tensor:
        """Return each member's bag of n examples, (members, n)."""
        generator = torch.Generator().manual_seed(self.seed)
        return torch.randint(check_count("bagging", "n", n), (self.members, n), generator=generator)

    def fit(self, train: Callable[[Tensor], nn.Module], n: int) -> nn.Module:
        """Train a model on each bag of rows, and return their average."""
        return ModelAverage([train(rows) for rows in self.rows(n)], of=self.of)


@registered(
    kind="calculator",
    name="ensemble-error",
    aliases=("ensemble-variance",),
    formula="ρ σ² + (1 − ρ) σ² / k, σ² the members' variance, ρ the correlation of their errors, k members",
    shapes="numbers → a number",
    when="to see what more members can bring: never less than ρ σ²",
    pitfalls="unbiased members; a common bias stays whole",
    source="Ueda and Nakano, Generalization Error of Ensemble Estimators, 1996",
    example=">>> [round(get('ensemble-error', 10, correlation=rho), 3) for rho in (0.0, 0.5, 1.0)]\n"
    "[0.1, 0.55, 1.0]",
)
def ensemble_error(k: int, variance: float = 1.0, correlation: float = 0.0) -> float:
    """Expected squared error of an average of k correlated estimates."""
    members = check_count("ensemble-error", "k", k)
    sigma2 = check_number("ensemble-error", "variance", variance, 0.0)
    rho = check_number("ensemble-error", "correlation", correlation, 0.0, 1.0)
    return rho * sigma2 + (1 - rho) * sigma2 / members


@registered(
    kind="calculator",
    name="error-correlation",
    aliases=("ens-div", "ensemble-diversity"),
    formula="R_ij = Σ_n e_i e_j / √(Σ_n e_i² Σ_n e_j²), e = errors less their mean",
    shapes="errors (K, N) of K members on N examples → (K, K)",
    when="choosing members: those that err alike add nothing. They differ by start, examples, architecture, "
    "hyperparameters, optimizer or loss",
    pitfalls="members that are always right have no errors to correlate: NaN",
    source="Krogh and Vedelsby, Neural Network Ensembles, Cross Validation, and Active Learning, 1995",
    example=">>> get('error-correlation', torch.tensor([[1.0, -1.0], [-2.0, 2.0]]))\n"
    "tensor([[ 1., -1.],\n        [-1.,  1.]])",
)
def error_correlation(errors: Tensor) -> Tensor:
    """Correlation of the members' errors: how diverse an ensemble is."""
    return torch.corrcoef(errors)
