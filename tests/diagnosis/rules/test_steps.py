"""How steps are made: planted mistakes, and what only looks like them."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

import preceptor
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rule import RULES
from preceptor.diagnosis.rules import steps
from preceptor.observation.observed import Observed


def found(seen: Observed) -> dict[str, Finding]:
    case, ours = Case(seen), [rule for rule in RULES.values() if rule.find.__module__ == steps.__name__]
    return {finding.cause: finding for rule in ours for finding in rule.find(case)}


def sgd(**options):
    return lambda parameters: torch.optim.SGD(parameters, **{"lr": 0.1, **options})


def adam(**options):
    return lambda parameters: torch.optim.Adam(parameters, **{"lr": 1e-2, **options})


def train(build=None, *, sign: float = 1.0, clip: float | None = None, rebuild: int = 0, folds: int = 1):
    torch.manual_seed(0)
    build = build or sgd()
    x = torch.randn(256, 6)
    y = (x[:, 0] > 0).long()
    with preceptor.watch(level="full") as watch:
        for _ in range(folds):
            net = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2))
            optimizer = build(net.parameters())
            for step in range(60 // folds):
                if rebuild and step % rebuild == 0:
                    optimizer = build(net.parameters())
                rows = torch.randint(256, (32,))
                optimizer.zero_grad()
                (sign * functional.cross_entropy(net(x[rows]), y[rows])).backward()
                if clip:
                    nn.utils.clip_grad_norm_(net.parameters(), clip)
                optimizer.step()
    return watch.observed


@pytest.mark.parametrize("build", [sgd(), sgd(momentum=0.9), adam(), adam(weight_decay=0.1)])
def test_a_sound_training(build) -> None:
    assert found(train(build)) == {}


@pytest.mark.parametrize("build", [sgd(), adam()])
def test_a_sign_that_is_turned(build) -> None:
    told = found(train(build, sign=-1.0))
    assert set(told) == {"gradient-ascent"}
    finding = told["gradient-ascent"]
    assert (finding.severity, finding.exact) == ("critical", True)
    assert finding.where.startswith("test_steps.py:")


def test_an_optimizer_that_maximises() -> None:
    assert set(found(train(sgd(maximize=True)))) == {"gradient-ascent"}
    assert found(train(sgd(maximize=True), sign=-1.0)) == {}


def test_an_attack_climbs_on_purpose() -> None:
    torch.manual_seed(0)
    net, y = nn.Linear(6, 2), torch.zeros(32, dtype=torch.long)
    x = torch.randn(32, 6)
    shift = torch.zeros(6, requires_grad=True)
    optimizer = torch.optim.SGD([shift], lr=0.1)
    with preceptor.watch(level="full") as watch:
        for _ in range(40):
            optimizer.zero_grad()
            (-functional.cross_entropy(net(x + shift), y)).backward()
            optimizer.step()
    assert found(watch.observed) == {}


def test_clipping_that_leaves_no_way() -> None:
    told = found(train(clip=1e-6))
    assert set(told) == {"clipping-too-tight"}
    assert told["clipping-too-tight"].evidence["after"] == pytest.approx(1e-6, rel=0.1)


@pytest.mark.parametrize(("build", "clip"), [(sgd(), 0.5), (sgd(lr=5.0), 0.02), (adam(), 1e-6)])
def test_clipping_that_leaves_a_way(build, clip: float) -> None:
    assert found(train(build, clip=clip)) == {}


@pytest.mark.parametrize(("rebuild", "severity"), [(1, "warning"), (5, "info")])
def test_an_optimizer_that_forgets(rebuild: int, severity: str) -> None:
    told = found(train(adam(), rebuild=rebuild))
    assert {cause: finding.severity for cause, finding in told.items()} == {"optimizer-state-lost": severity}


@pytest.mark.parametrize(("build", "rebuild", "folds"), [(sgd(), 1, 1), (adam(), 30, 1), (adam(), 0, 12)])
def test_optimizers_that_have_nothing_to_forget(build, rebuild: int, folds: int) -> None:
    assert found(train(build, rebuild=rebuild, folds=folds)) == {}
