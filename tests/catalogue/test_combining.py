"""Votes, weights fitted to held-out examples, and where an ensemble's gain comes from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from torch import nn

from preceptor.catalogue import get
from preceptor.errors import DataError


def outputs(members: int = 3, n: int = 40, classes: int = 4) -> torch.Tensor:
    return 2 * torch.randn(members, n, classes, generator=torch.Generator().manual_seed(0)).double()


class TestVotes:
    def test_they_are_scikit_learn_s_but_for_ties(self) -> None:
        x = torch.randn(60, 3, generator=torch.Generator().manual_seed(1)).double()
        y = x[:, 0].gt(0).long() + x[:, 1].gt(0.3).long()
        models = [(str(c), LogisticRegression(C=c)) for c in (1e-3, 0.1, 10.0)]
        voting = VotingClassifier(models, voting="hard").fit(x, y)
        z = torch.stack([torch.from_numpy(m.predict_log_proba(x)) for m in voting.estimators_])
        tied = (torch.stack([m.argmax(1) for m in z]).sort(0).values.diff(dim=0) != 0).all(0)
        expected = torch.from_numpy(voting.predict(x))
        said = get("majority-vote", z).argmax(1)
        assert (~tied).sum() > 50
        assert torch.equal(said[~tied], expected[~tied])

    def test_ties_go_by_the_mean_probability(self) -> None:
        z = torch.tensor([[[3.0, 0.0]], [[0.0, 1.0]]])
        assert get("majority-vote", z).argmax(1).item() == 0
        assert get("majority-vote", z, shares=torch.tensor([0.2, 0.8])).argmax(1).item() == 1

    def test_they_are_probabilities(self) -> None:
        z = outputs()
        said = get("majority-vote", z).exp()
        torch.testing.assert_close(said.sum(1), torch.ones(40).double())
        votes = nn.functional.one_hot(z.argmax(2), 4).sum(0)
        torch.testing.assert_close(said, (votes + z.softmax(2).mean(0)) / 4)

    def test_one_output_votes_as_two_classes_do(self) -> None:
        z = outputs(5, 30, 1)
        both = torch.cat([torch.zeros_like(z), z], dim=2)
        logits = get("majority-vote", both)
        torch.testing.assert_close(get("majority-vote", z)[:, 0], logits[:, 1] - logits[:, 0])

    def test_classes_of_pixels(self) -> None:
        z = torch.randn(3, 2, 4, 5, 5, generator=torch.Generator().manual_seed(0))
        flat = z.permute(0, 1, 3, 4, 2).reshape(3, 50, 4)
        for of in ("probabilities", "votes"):
            mean = get("ensemble", [_Says(one) for one in z], of=of)(None)
            expected = get("ensemble", [_Says(one) for one in flat], of=of)(None)
            torch.testing.assert_close(mean.permute(0, 2, 3, 1).reshape(50, 4), expected)


class _Says(nn.Module):
    def __init__(self, output: torch.Tensor) -> None:
        super().__init__()
        self.output = output

    def forward(self, x: object) -> torch.Tensor:
        return self.output


class TestFittedWeights:
    def test_they_are_scipy_s_optimum(self) -> None:
        z, y = outputs(), torch.arange(40) % 4
        z[0, torch.arange(40), y] += 1.5  # the first member knows something
        z[1, torch.arange(40), y] += 0.5
        p = z.softmax(2)[:, torch.arange(40), y].numpy()
        best = minimize(
            lambda v: -np.log(v @ p).mean(),
            np.full(3, 1 / 3),
            bounds=[(1e-9, 1)] * 3,
            constraints={"type": "eq", "fun": lambda v: v.sum() - 1},
            tol=1e-12,
        )
        said = get("validation-weights", z, lambda mean: nn.functional.nll_loss(mean, y))
        np.testing.assert_allclose(said.numpy(), best.x, atol=2e-3)

    def test_votes_cannot_be_fitted(self) -> None:
        with pytest.raises(DataError, match="no gradient"):
            get("validation-weights", outputs(), lambda mean: mean.sum(), of="votes")


class TestAmbiguity:
    def test_the_error_is_the_members_less_their_spread(self) -> None:
        predictions, y = outputs(3, 40, 4), outputs(1, 40, 4)[0]
        v = torch.tensor([0.5, 0.3, 0.2])
        said = get("ambiguity-decomposition", predictions, y, shares=v)
        assert said.error == pytest.approx(said.members - said.ambiguity)
        mean = torch.tensordot(v.double(), predictions, dims=1)
        assert said.error == pytest.approx(float((mean - y).square().mean()))
        with pytest.raises(DataError, match="pair up"):
            get("ambiguity-decomposition", predictions, y[:2])


@pytest.mark.slow
def test_the_gain_follows_the_correlation_of_errors() -> None:
    generator = torch.Generator().manual_seed(0)
    common, own = torch.randn(1, 200_000, generator=generator), torch.randn(10, 200_000, generator=generator)
    for rho in (0.0, 0.5, 1.0):
        errors = rho**0.5 * common + (1 - rho) ** 0.5 * own
        assert errors.mean(0).square().mean().item() == pytest.approx(
            get("ensemble-error", 10, correlation=rho), abs=0.01
        )
        measured = get("error-correlation", errors)[0, 1].item()
        assert measured == pytest.approx(rho, abs=0.01)


def test_swa_begins_with_the_last_quarter() -> None:
    model = nn.Linear(2, 1, bias=False)
    part = get("swa").attach(model)
    part.plan(8)
    seen = []
    for value in range(8):
        model.weight.data.fill_(float(value))
        part.after_step(0.1)
        seen.append(float(value))
    assert part.average[0][0, 0].item() == pytest.approx(sum(seen[6:]) / 2)
