"""Ways to combine what several models say, and what combining them brings."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from preceptor.catalogue._registry import registered
from preceptor.catalogue.averaging.models import RULES, average_outputs
from preceptor.errors import DataError

__all__ = ["Ambiguity", "ambiguity", "fitted_shares", "majority_vote"]

_ROUNDS = 200


@registered(
    kind="averaging",
    name="majority-vote",
    aliases=("hard-voting", "plurality-vote", "majority-voting"),
    formula="log ((k Σ_i v_i [argmax z_i = c] + Σ_i v_i softmax(z_i)_c) / (k + 1)) as raw outputs: k votes, "
    "and the mean probability, which counts as one more and so decides ties alone; for one output, the logit "
    "of that",
    shapes="raw outputs (K, N, C) or, for two classes, (K, N) and (K, N, 1), shares (K,) summing to 1 → (N, "
    "C)",
    when="members whose probabilities are not to be trusted, or not on one scale",
    pitfalls="throws away how sure each member is: means of probabilities are better where they are "
    "calibrated",
    source="Hansen and Salamon, Neural Network Ensembles, 1990",
    differs="scikit-learn's VotingClassifier(voting='hard') decides ties by the smaller class",
    example=">>> z = torch.tensor([[[2.0, 0.0]], [[1.0, 0.0]], [[0.0, 9.0]]])\n"
    ">>> get('majority-vote', z).argmax(1), z.softmax(-1).mean(0).argmax(1)\n(tensor([0]), tensor([0]))",
)
def majority_vote(outputs: Tensor, shares: Tensor | None = None) -> Tensor:
    """The class that most models name."""
    k = len(outputs)
    shares = torch.full((k,), 1 / k) if shares is None else shares
    return average_outputs(outputs, shares.to(outputs.device), "votes")


@registered(
    kind="averaging",
    name="validation-weights",
    aliases=("stacked-weights", "linear-stacking", "stacking-weights"),
    formula="v = softmax(a), a = argmin_a L(Σ_i v_i f_i), L the loss on examples that no member learned "
    "from, f_i probabilities ('probabilities') or raw outputs ('outputs')",
    shapes="raw outputs (K, N, …), a loss of the combined raw outputs → shares (K,), at least 0, summing to "
    "1",
    when="members of unequal quality, and hundreds of examples or more to validate on",
    pitfalls="fitted to few examples the weights follow their noise, and equal ones do better elsewhere; "
    "those examples no longer measure the ensemble",
    source="Breiman, Stacked Regressions, 1996",
    differs="scikit-learn's StackingClassifier trains a model upon the members",
    example=">>> y = torch.tensor([[1.0], [2.0], [3.0], [4.0]])\n>>> good, bad = y + 0.1, torch.zeros(4, 1)\n"
    ">>> squared = lambda mean: (mean - y).square().mean()\n"
    ">>> get('validation-weights', torch.stack([good, bad]), squared, of='outputs')[0] > 0.95\ntensor(True)",
)
def fitted_shares(outputs: Tensor, loss: Callable[[Tensor], Tensor], of: str = "probabilities") -> Tensor:
    """Weights of a mean of models, fitted to held-out examples."""
    if of not in RULES or of == "votes":
        raise DataError(
            "validation-weights: a vote has no gradient",
            expected="'probabilities' or 'outputs'",
            received=repr(of),
        )
    wide = outputs.detach().double()
    heights = torch.zeros(len(wide), dtype=torch.float64, device=wide.device, requires_grad=True)
    optimizer = torch.optim.LBFGS([heights], max_iter=_ROUNDS, line_search_fn="strong_wolfe")

    def judged() -> Tensor:
        with torch.enable_grad():
            optimizer.zero_grad()
            value = loss(average_outputs(wide, heights.softmax(0), of))
            value.backward()
        return value

    optimizer.step(judged)
    shares = heights.detach().softmax(0)
    return shares if bool(shares.isfinite().all()) else torch.full_like(shares, 1 / len(shares))


class Ambiguity(NamedTuple):
    """Squared error of a mean, of its members, and how much they differ: error = members − ambiguity."""

    error: float
    members: float
    ambiguity: float


@registered(
    kind="calculator",
    name="ambiguity-decomposition",
    aliases=("ambiguity", "krogh-vedelsby"),
    formula="(f̄ − y)² = Σ_i v_i (f_i − y)² − Σ_i v_i (f_i − f̄)², f̄ = Σ_i v_i f_i, each averaged over the "
    "examples",
    shapes="predictions (K, N, …), targets (N, …), shares (K,) summing to 1 → (error, members, ambiguity)",
    when="to see where an ensemble's gain comes from: it is how much the members differ, to the last digit",
    pitfalls="holds for squared errors alone: the Brier score of mean probabilities, but not their log loss",
    source="Krogh and Vedelsby, Neural Network Ensembles, Cross Validation, and Active Learning, 1995",
    example=">>> get('ambiguity-decomposition', torch.tensor([[1.0], [3.0]]), torch.tensor([1.0]))\n"
    "Ambiguity(error=1.0, members=2.0, ambiguity=1.0)",
)
def ambiguity(predictions: Tensor, targets: Tensor, shares: Tensor | None = None) -> Ambiguity:
    """Squared error of an ensemble, as its members' error less their disagreement."""
    if not len(predictions) or predictions.shape[1:] != targets.shape:
        raise DataError(
            "ambiguity-decomposition: predictions and targets do not pair up",
            expected=f"predictions (K, {', '.join(map(str, targets.shape))})",
            received=f"{tuple(predictions.shape)}",
        )
    f, k = predictions.double(), len(predictions)
    v = torch.full((k,), 1 / k, dtype=f.dtype) if shares is None else shares.to(f.dtype)
    mean = torch.tensordot(v, f, dims=1)

    def squared(to: Tensor) -> float:
        each = (f - to).square().reshape(k, -1).mean(1)
        return float(v @ each)

    error = nn.functional.mse_loss(mean, targets.double())
    return Ambiguity(float(error), squared(targets), squared(mean))
