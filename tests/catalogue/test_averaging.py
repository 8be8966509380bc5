"""Averages of weights and of predictions."""

from __future__ import annotations

import pytest
import torch
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from preceptor.catalogue import get
from preceptor.errors import ConfigError, DataError


def walk(part, model: nn.Module, count: int = 12, shadow: AveragedModel | None = None) -> list[torch.Tensor]:
    torch.manual_seed(1)
    seen = []
    for _ in range(count):
        for p in model.parameters():
            p.data.add_(torch.randn_like(p))
        part.after_step(0.1)
        if shadow is not None:
            shadow.update_parameters(model)
        seen.append(model.weight.detach().clone())
    return seen


class TestWeights:
    def test_polyak_is_the_mean_of_the_steps_since_its_start(self):
        model = nn.Linear(3, 2).double()
        for start in (0, 5):
            part = get("swa", start=start).attach(model)
            seen = walk(part, model)
            torch.testing.assert_close(part.average[0], torch.stack(seen[start:]).mean(0))

    def test_polyak_is_torch_s(self):
        model = nn.Linear(3, 2)
        part, shadow = get("swa").attach(model), AveragedModel(model)
        walk(part, model, shadow=shadow)
        torch.testing.assert_close(part.average[0], shadow.module.weight.detach())

    def test_ema_is_torch_s_and_warms_up(self):
        model = nn.Linear(3, 2)
        part = get("ema", decay=0.9, warmup=False).attach(model)
        shadow = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
        shadow.update_parameters(model)  # whose first update copies
        walk(part, model, shadow=shadow)
        torch.testing.assert_close(part.average[0], shadow.module.weight.detach())
        early = get("ema", decay=0.9).attach(nn.Linear(1, 1))
        early.steps = 1
        assert early.share() == pytest.approx(1 - 2 / 11)
        early.steps = 1000
        assert early.share() == pytest.approx(0.1)

    def test_the_average_is_lent_to_the_model_and_taken_back(self):
        model = nn.Linear(3, 2)
        part = get("ema").attach(model)
        walk(part, model)
        own, mean = model.weight.detach().clone(), part.average[0].clone()
        with part.swapped():
            assert torch.equal(model.weight, mean)
        assert torch.equal(model.weight, own)
        assert torch.equal(part.average[0], mean)

    def test_statistics_are_recomputed_for_the_average(self):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 4), get("batch-norm", 4))
        x = torch.randn(40, 3)
        part = get("swa").attach(model)
        for _ in range(3):
            model[0].weight.data.add_(torch.randn(4, 3))
            model(x)
            part.after_step(0.1)
        with part.swapped():
            get("population-statistics", model, [x])
            y = model.eval()(x)
        torch.testing.assert_close(y.mean(0), torch.zeros(4), atol=1e-5, rtol=0)

    def test_snapshots_are_the_latest_few(self):
        model = nn.Linear(3, 2)
        part = get("ens-snap", every=3, members=2).attach(model)
        seen = walk(part, model)
        models = part.models()
        assert [torch.equal(m.weight, seen[at]) for m, at in zip(models, (8, 11), strict=True)] == [
            True,
            True,
        ]
        x = torch.randn(5, 3)
        expected = (models[0](x).softmax(1) + models[1](x).softmax(1)) / 2
        torch.testing.assert_close(part.average()(x).softmax(1), expected)
        with pytest.raises(ConfigError, match="no snapshots"):
            get("snapshot-ensemble").attach(model).average()


class TestPredictions:
    def members(self, outputs: int = 3) -> list[nn.Module]:
        torch.manual_seed(0)
        return [nn.Linear(4, outputs).double() for _ in range(3)]

    def test_probabilities_are_averaged_as_by_soft_voting(self):
        members = self.members()
        x = torch.randn(50, 4, dtype=torch.float64)
        labels = x[:, 0].gt(0).long() + x[:, 1].gt(0).long()
        fitted = [LogisticRegression(C=c).fit(x, labels) for c in (0.1, 1.0, 10.0)]
        for member, own in zip(members, fitted, strict=True):
            member.weight.data, member.bias.data = (
                torch.from_numpy(own.coef_),
                torch.from_numpy(own.intercept_),
            )
        voting = VotingClassifier(
            [(str(c), LogisticRegression(C=c)) for c in (0.1, 1.0, 10.0)], voting="soft"
        )
        expected = torch.from_numpy(voting.fit(x, labels).predict_proba(x))
        torch.testing.assert_close(get("ensemble", members)(x).softmax(1), expected)

    def test_one_member_is_itself_and_weights_count(self):
        members, x = self.members(), torch.randn(5, 4, dtype=torch.float64)
        alone = get("ensemble", members[:1])(x)
        torch.testing.assert_close(alone.softmax(1), members[0](x).softmax(1))
        both = get("ensemble", members[:2], weights=[1.0, 3.0], of="outputs")(x)
        torch.testing.assert_close(both, (members[0](x) + 3 * members[1](x)) / 4)
        with pytest.raises(ConfigError, match="weights are not usable"):
            get("ensemble", members, weights=[1.0])

    def test_one_output_stands_for_two_classes(self):
        members, x = self.members(1), torch.randn(5, 4, dtype=torch.float64)
        expected = torch.stack([m(x).sigmoid() for m in members]).mean(0)
        torch.testing.assert_close(get("ensemble", members)(x).sigmoid(), expected)

    def test_precise_estimates_count_more(self):
        torch.manual_seed(0)
        estimates = torch.stack([torch.randn(50_000), 2 * torch.randn(50_000)])
        together, variance = get("ens-var", estimates, torch.tensor([1.0, 4.0]))
        assert variance.item() == pytest.approx(0.8)
        assert together.var().item() == pytest.approx(0.8, rel=0.02)
        assert estimates.mean(0).var().item() == pytest.approx(1.25, rel=0.02)
        a, b = torch.tensor(3.0), torch.tensor(5.0)
        torch.testing.assert_close(
            get("ens-var", torch.stack([a, b]), torch.tensor([1.0, 4.0]))[0], (4 * a + b) / 5
        )
        with pytest.raises(DataError, match="variances are not usable"):
            get("ens-var", estimates, torch.tensor([1.0, 0.0]))

    def test_bags_hold_63_percent_and_lower_the_variance(self):
        bags = get("bagging", members=20).rows(2000)
        share = torch.tensor([len(bag.unique()) / 2000 for bag in bags])
        assert share.mean().item() == pytest.approx(1 - torch.e**-1, abs=0.01)
        assert torch.equal(bags, get("bagging", members=20).rows(2000))

        def variance(members: int) -> float:
            predictions = []
            for seed in range(40):
                generator = torch.Generator().manual_seed(seed)
                x = torch.rand(30, 1, generator=generator)
                y = x[:, 0].mul(6).sin() + 0.3 * torch.randn(30, generator=generator)

                def nearest(rows: torch.Tensor, x: torch.Tensor = x, y: torch.Tensor = y) -> nn.Module:
                    return _Nearest(x[rows], y[rows])

                model = get("bagging", members=members, seed=seed, of="outputs").fit(nearest, 30)
                predictions.append(model(torch.tensor([[0.3], [0.7]])))
            return torch.stack(predictions).var(0).mean().item()

        assert variance(15) < 0.75 * variance(1)


class _Nearest(nn.Module):
    def __init__(self, x: torch.Tensor, y: torch.Tensor) -> None:
        super().__init__()
        self.x, self.y = x, y

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.y[(x[:, None, 0] - self.x[None, :, 0]).abs().argmin(1)][:, None]
