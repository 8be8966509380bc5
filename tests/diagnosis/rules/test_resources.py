"""Half precision, time and memory: planted, and absent where all is well."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

import preceptor
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rule import RULES
from preceptor.diagnosis.rules import resources
from preceptor.observation.observed import Observed
from preceptor.observation.protocol import Protocol
from preceptor.observation.record import Record

GIB = 1 << 30


def found(seen: Observed) -> dict[str, Finding]:
    case, ours = Case(seen), [rule for rule in RULES.values() if rule.find.__module__ == resources.__name__]
    return {finding.cause: finding for rule in ours for finding in rule.find(case)}


def train(
    *,
    scaler=None,
    unscale: bool = True,
    clip: float | None = None,
    dtype=torch.float32,
    lr: float = 0.1,
    evaluate=None,
    scale: float = 1.0,
    steps: int = 60,
) -> Observed:
    torch.manual_seed(0)
    x = torch.randn(256, 6, dtype=dtype)
    y = (x[:, 0] * x[:, 1] > 0).long()
    net = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 2)).to(dtype)
    optimizer = torch.optim.SGD(net.parameters(), lr=lr)
    scaler = scaler or torch.amp.GradScaler("cpu", enabled=False)
    with preceptor.watch(level="full") as watch:
        for step in range(steps):
            rows = torch.randint(256, (32,))
            optimizer.zero_grad()
            scaler.scale(functional.cross_entropy(scale * net(x[rows]), y[rows])).backward()
            if unscale:
                scaler.unscale_(optimizer)
            if clip:
                nn.utils.clip_grad_norm_(net.parameters(), clip)
            scaler.step(optimizer)
            scaler.update()
            if evaluate and step % 20 == 19:
                net.eval()
                evaluate(net, x, y)
                net.train()
    return watch.observed


def scaler(**options) -> torch.amp.GradScaler:
    return torch.amp.GradScaler("cpu", **options)


@pytest.mark.parametrize("unscale", [True, False])
def test_clipping_before_unscaling(unscale: bool) -> None:
    told = found(train(scaler=scaler(), clip=1.0, unscale=unscale))
    assert set(told) == (set() if unscale else {"clip-before-unscale"})
    if told:
        finding = told["clip-before-unscale"]
        assert (finding.exact, finding.evidence["steps"], finding.evidence["loss scale"]) == (True, 60, 65536)
        assert finding.where.startswith("test_resources.py:")


@pytest.mark.parametrize("clip", [1e9, None])
def test_clipping_that_never_clips_does_no_harm(clip: float | None) -> None:
    assert found(train(scaler=scaler(), clip=clip, unscale=False)) == {}


def test_a_scaler_that_is_off_scales_nothing() -> None:
    assert found(train(clip=1.0, unscale=False)) == {}


def test_a_loss_scale_that_falls_for_ever() -> None:
    told = found(train(scaler=scaler(init_scale=2.0**127), scale=1e30, steps=150))
    assert set(told) == {"loss-scale-collapse"}
    assert told["loss-scale-collapse"].severity == "critical"
    assert told["loss-scale-collapse"].evidence["steps left out"] >= 98


def test_a_loss_scale_that_is_found_at_the_start() -> None:
    assert found(train(scaler=scaler(init_scale=2.0**127), steps=120)) == {}


def test_updates_that_are_rounded_away() -> None:
    told = found(train(dtype=torch.bfloat16, lr=1e-4))
    assert set(told) == {"updates-lost-to-rounding"}
    finding = told["updates-lost-to-rounding"]
    assert (finding.severity, finding.evidence["type"]) == ("warning", "bfloat16")
    assert finding.evidence["updates lost"] > 0.9


@pytest.mark.parametrize(("dtype", "lr"), [(torch.bfloat16, 0.5), (torch.float32, 1e-9)])
def test_updates_that_arrive_or_are_not_of_half_precision(dtype, lr: float) -> None:
    assert found(train(dtype=dtype, lr=lr)) == {}


@pytest.mark.parametrize(
    "evaluate",
    [
        lambda net, x, y: functional.cross_entropy(net(x), y),
        lambda net, x, y: (net(x).argmax(1) == y).float().mean(),
    ],
)
def test_evaluation_with_gradient(evaluate) -> None:
    told = found(train(evaluate=evaluate))
    assert set(told) == {"evaluation-with-gradient"}
    assert told["evaluation-with-gradient"].severity == "info"


@pytest.mark.parametrize(("growth", "severity"), [(2e6, "warning"), (0.0, "info")])
def test_evaluation_with_gradient_where_memory_grows(growth: float, severity: str) -> None:
    seen = recorded(growth=lambda step: growth * step)
    row = {"passes": 5, "batches": 4, "training": False, "grad": True}
    seen.record.facts["evaluations"] = {"evaluation:train.py:9<train.py:20": row}
    finding = found(seen)["evaluation-with-gradient"]
    assert (finding.severity, finding.where) == (severity, "train.py:9")


def test_evaluation_without_gradient() -> None:
    assert found(train(evaluate=torch.no_grad()(lambda net, x, y: functional.cross_entropy(net(x), y)))) == {}
    assert found(train(evaluate=torch.inference_mode()(lambda net, x, y: net(x)))) == {}


def recorded(data: float = 0.0, growth=lambda step: 0.0, steps: int = 1000) -> Observed:
    record = Record()
    for step in range(0, steps, 10):
        record.add("step_seconds", step, 0.1)
        record.add("data_seconds", step, data)
        record.add("memory_bytes", step, GIB + growth(step))
    return Observed(record, Protocol(), steps={"train": steps})


@pytest.mark.parametrize(
    ("share", "steps", "expected"), [(0.05, 1000, True), (0.02, 1000, False), (0.05, 100, False)]
)
def test_waiting_for_data(share: float, steps: int, expected: bool) -> None:
    told = found(recorded(data=share, steps=steps))
    assert set(told) == ({"slow-data-loading"} if expected else set())


@pytest.mark.parametrize(
    ("growth", "severity"),
    [
        (lambda step: 4e6 * step, "warning"),
        (lambda step: 1.5e6 * step, "info"),
        (lambda step: 1e5 * step, None),
        (lambda step: 4e9 * (step > 100), None),
        (lambda step: 4e9 * min(1.0, step / 600), None),
        (lambda step: 1e8 * (step % 70), None),
    ],
)
def test_memory_that_grows(growth, severity: str | None) -> None:
    told = found(recorded(growth=growth))
    assert {cause: finding.severity for cause, finding in told.items()} == (
        {"memory-growth": severity} if severity else {}
    )
