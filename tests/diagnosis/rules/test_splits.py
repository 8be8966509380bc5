"""Splits: samples on both sides, and what only looks like it."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from preceptor.diagnosis.case import Case
from preceptor.observation.watch import Watch

from ._data_runs import alarms, blobs, found, mlp, run


def test_samples_that_are_on_both_sides() -> None:
    x, y = blobs(300)
    both = torch.arange(0, 300, 5)
    finding = found(run((x, y), (x[both], y[both])))["train-test-leakage"]
    assert (finding.severity, finding.exact) == ("warning", True)
    assert finding.evidence["share of the evaluation that is trained on"] == 1.0
    new, labels = blobs(120, seed=1)
    finding = found(run((x, y), (torch.cat([x[both], new]), torch.cat([y[both], labels]))))[
        "train-test-leakage"
    ]
    assert 0.2 < finding.evidence["share of the evaluation that is trained on"] < 0.5


@pytest.mark.slow
def test_copies_made_before_the_split() -> None:
    x, y = blobs(200)
    rows = torch.arange(200).repeat(3)[torch.randperm(600, generator=torch.Generator().manual_seed(0))]
    assert "train-test-leakage" in alarms(run((x[rows[:480]], y[rows[:480]]), (x[rows[480:]], y[rows[480:]])))


def test_evaluation_of_all_training_data_is_meant() -> None:
    x, y = blobs(200)
    assert alarms(run((x, y), (x, y))) == set()
    assert alarms(run((x, y), blobs(100, seed=1))) == set()


def test_a_look_at_some_training_data_beside_a_clean_evaluation_is_meant() -> None:
    (x, y), (u, v) = blobs(240), blobs(100, seed=1)
    model = mlp(6, 3)
    adam = torch.optim.Adam(model.parameters(), lr=0.01)
    with Watch(budget=1.0) as watch:
        for _ in range(4):
            model.train()
            for a, b in DataLoader(TensorDataset(x, y), batch_size=16, shuffle=True):
                adam.zero_grad()
                functional.cross_entropy(model(a), b).backward()
                adam.step()
            model.eval()
            with torch.no_grad():
                functional.cross_entropy(model(x[:80]), y[:80])
                functional.cross_entropy(model(u), v)
    assert "train-test-leakage" not in found(Case(watch.observed))


def test_folds_share_samples_and_no_model() -> None:
    x, y = blobs(120)
    with Watch(budget=1.0) as watch:
        for fold in range(3):
            held_out = torch.arange(120) % 3 == fold
            model = mlp(6, 3)
            adam = torch.optim.Adam(model.parameters(), lr=0.01)
            for _ in range(5):
                model.train()
                for a, b in DataLoader(
                    TensorDataset(x[~held_out], y[~held_out]), batch_size=16, shuffle=True
                ):
                    adam.zero_grad()
                    functional.cross_entropy(model(a), b).backward()
                    adam.step()
            model.eval()
            with torch.no_grad():
                functional.cross_entropy(model(x[held_out]), y[held_out])
    assert "train-test-leakage" not in found(Case(watch.observed))


@pytest.mark.slow
def test_codes_are_equal_by_chance() -> None:
    torch.manual_seed(0)
    x = torch.randint(2, (300, 5)).float()
    y = x.sum(1).long() % 2
    assert alarms(run((x[:200], y[:200]), (x[200:], y[200:]), epochs=60)) == set()


def test_a_policy_that_learns_from_what_it_saw_is_no_leak() -> None:
    torch.manual_seed(0)
    policy = nn.Linear(6, 2)
    sgd = torch.optim.SGD(policy.parameters(), lr=0.01)
    with Watch(budget=1.0) as watch:
        for _ in range(20):
            states = torch.randn(16, 6)
            with torch.no_grad():
                actions = policy(states).softmax(1).multinomial(1)[:, 0]
            sgd.zero_grad()
            (
                functional.cross_entropy(policy(states), actions, reduction="none") * torch.randn(16)
            ).mean().backward()
            sgd.step()
    assert "train-test-leakage" not in found(Case(watch.observed))


def _coarse(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Six columns of few values, 32 each: 30 bits."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(32, (n, 6), generator=generator).float() / 16 - 1
    return x, x.sum(1, keepdim=True)


def test_few_bits_tell_samples_apart_where_those_of_a_batch_are_never_equal() -> None:
    (x, y), (u, v) = _coarse(300, 0), _coarse(60, 1)
    both = torch.cat([x, u]), torch.cat([y, v])
    finding = found(run(both, (u, v), loss="mse_loss", batch_size=32, epochs=8))["train-test-leakage"]
    assert finding.evidence["share of the evaluation that is trained on"] > 0.5
    clean = run((x, y), (u, v), loss="mse_loss", batch_size=32, epochs=8)
    assert "train-test-leakage" not in found(clean)
