from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from preceptor.observation.look import Look
from preceptor.observation.probes import Updates
from preceptor.observation.probes._tensors import plan
from preceptor.observation.record import Record


def _copies(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
def test_norms_ratios_and_shares_are_those_of_the_definitions(stage: Any, kind: Any) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    told = stage(model, [Updates()])
    optimizer = kind(model.parameters(), lr=0.1)
    old = _copies(model)
    x = torch.randn(8, 6)
    x[:, 2] = 0
    told.train(optimizer, x, torch.randint(3, (8,)))
    total = 0.0
    for name, parameter in model.named_parameters():
        change, gradient = parameter.detach() - old[name], parameter.grad
        assert gradient is not None
        total += float(gradient.double().square().sum())
        expected = {
            "grad_norm": gradient.norm(),
            "weight_norm": old[name].norm(),
            "update_norm": change.norm(),
            "update_ratio": change.norm() / old[name].norm(),
            "zero_grad_share": (gradient == 0).double().mean(),
            "lost_update_share": ((gradient != 0) & (change == 0)).double().mean(),
        }
        for signal, value in expected.items():
            assert told.last(signal, name) == pytest.approx(float(value), rel=1e-5), signal
    assert told.last("zero_grad_share", "0.weight") >= 1 / 6, "one input is always zero"
    assert told.last("total_grad_norm", "") == pytest.approx(math.sqrt(total), rel=1e-5)
    assert told.last("weight_decay", "0.0") == optimizer.param_groups[0]["weight_decay"]


def test_a_large_parameter_is_estimated_from_a_sample(stage: Any) -> None:
    torch.manual_seed(0)
    model = nn.Linear(784, 128)
    told = stage(model, [Updates()])
    old = _copies(model)
    told.train(torch.optim.SGD(model.parameters(), lr=0.3), torch.randn(64, 784), torch.randint(10, (64,)))
    change = model.weight.detach() - old["weight"]
    assert told.last("grad_norm", "weight") == pytest.approx(float(model.weight.grad.norm()), rel=1e-5)
    assert told.last("weight_norm", "weight") == pytest.approx(float(old["weight"].norm()), rel=0.06)
    assert told.last("update_norm", "weight") == pytest.approx(float(change.norm()), rel=0.1)


@pytest.mark.parametrize("shape", [(784, 256), (2049,), (7, 7, 64, 64), (5,), (3000, 1), (1, 4096)])
def test_the_sample_is_small_and_meets_every_column(shape: tuple[int, ...]) -> None:
    number, stride = plan(torch.Size(shape), 2048)
    size = math.prod(shape)
    places = range(0, size, stride)
    assert len(places) == number <= max(2048, 1)
    assert stride == 1 or stride % 2 == 1
    if size > 2048 and shape[-1] <= 256:
        assert len({place % shape[-1] for place in places}) == shape[-1]


def test_updates_that_bfloat16_swallows_are_counted(stage: Any) -> None:
    model = nn.Linear(4, 3, bias=False).to(torch.bfloat16)
    with torch.no_grad():
        model.weight.fill_(1.0)
    told = stage(model, [Updates()])
    sgd = torch.optim.SGD(model.parameters(), lr=1e-4)
    told.begin()
    told.backward(model(torch.ones(2, 4, dtype=torch.bfloat16)).sum())
    told.optimize(sgd)
    told.finish()
    assert told.last("lost_update_share", "weight") == 1.0
    assert told.last("update_norm", "weight") == 0.0
    assert told.last("grad_norm", "weight") == pytest.approx(2 * math.sqrt(12), rel=1e-6)


def test_nothing_is_lost_where_the_learning_rate_is_zero_or_the_gradient_not_finite(stage: Any) -> None:
    model = nn.Linear(2, 1)
    told = stage(model, [Updates()])
    for lr, factor in ((0.0, 1.0), (0.1, math.nan)):
        sgd = torch.optim.SGD(model.parameters(), lr=lr)
        told.begin()
        told.backward(model(torch.ones(1, 2)).sum() * factor)
        told.optimize(sgd)
        told.finish()
    assert len(told.record.signal("lost_update_share", parameter="weight")) == 0
    assert math.isnan(told.last("total_grad_norm", ""))


def test_a_closure_computes_the_gradients_within_the_step(stage: Any) -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    told = stage(model, [Updates()])
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=2)
    x, y = torch.randn(5, 3), torch.randn(5, 1)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        told.backward(loss)
        return loss

    told.begin()
    told.tell("before_step", optimizer)
    optimizer.step(closure)
    told.tell("after_step", optimizer)
    told.finish()
    assert told.last("grad_norm", "weight") == pytest.approx(float(model.weight.grad.norm()), rel=1e-6)
    assert told.last("update_norm", "weight") > 0


def test_gradients_left_over_show_before_the_next_backward(stage: Any) -> None:
    model = nn.Linear(3, 1)
    told = stage(model, [Updates()])
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = torch.ones(2, 3), torch.ones(2, 1)
    told.train(sgd, x, y, "mse_loss")
    told.train(sgd, x, y, "mse_loss")  # zeroed: None
    assert told.last("carried_grad_norm", "weight") == 0.0
    left = float(model.weight.grad.norm())
    told.begin()
    told.backward(told.loss("mse_loss", told.forward(x), y))
    told.finish()
    assert told.last("carried_grad_norm", "weight") == pytest.approx(left, rel=1e-6)


def test_odd_parameters_are_measured_or_passed_over(stage: Any) -> None:
    torch.manual_seed(0)
    weight = nn.ParameterDict(
        {
            "plain": torch.ones(3),
            "scalar": torch.tensor(2.0),
            "empty": torch.empty(0),
            "float16": torch.ones(4, dtype=torch.float16),
            "float64": torch.ones(2, dtype=torch.float64),
            "complex": torch.tensor([3 + 4j]),
            "strided": torch.randn(4, 6).T,
            "channels": torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last),
            "ungraded": torch.ones(2),
            "meta": torch.empty(3, device="meta"),
        }
    )
    embedding = nn.Embedding(6, 2, sparse=True)
    lazy = nn.LazyLinear(2)
    model = nn.ModuleDict({"odd": weight, "embedding": embedding})
    told = stage(model, [Updates()])
    usual = [p for n, p in weight.items()]
    sgd = torch.optim.SGD([*usual, embedding.weight, *lazy.parameters()], lr=0.5)
    with_loss = [p for n, p in weight.items() if n not in ("ungraded", "meta", "empty")]
    told.begin()
    loss = sum((p.abs().double() ** 2).sum() for p in with_loss) + embedding(torch.tensor([1, 1, 3])).sum()
    told.backward(loss)
    told.tell("before_step", sgd)
    for p in with_loss:
        with torch.no_grad():
            p -= 0.5 * p.grad
    told.tell("after_step", sgd)
    told.finish()
    assert told.last("weight_norm", "odd.complex") == pytest.approx(5.0)
    assert told.last("grad_norm", "odd.complex") == pytest.approx(10.0)
    assert told.last("update_ratio", "odd.float16") == pytest.approx(1.0)
    assert told.last("update_norm", "odd.channels") == pytest.approx(
        float(weight["channels"].grad.norm()) / 2, rel=1e-5
    )
    assert told.last("update_norm", "odd.ungraded") == 0.0
    assert told.last("grad_norm", "embedding.weight") == pytest.approx(math.sqrt(2 * (4 + 1)))
    assert {"odd.meta", "odd.empty"}.isdisjoint(told.record.subjects("weight_norm"))
    assert "odd.ungraded" not in told.record.subjects("grad_norm")


def test_two_optimizers_in_one_look_and_parameters_without_names() -> None:
    a, b = nn.Linear(2, 1), nn.Linear(3, 1)
    record, probe = Record(), Updates(shares=False)
    look = Look(0, "train", record)
    optimizers = [torch.optim.SGD(a.parameters(), lr=0.1), torch.optim.Adam(b.parameters(), lr=0.2)]
    (a(torch.ones(1, 2)) + b(torch.ones(1, 3))).sum().backward()
    with torch.no_grad():
        for optimizer in optimizers:
            probe.before_step(look, optimizer)
            optimizer.step()
            probe.after_step(look, optimizer)
        probe.end(look)
    look.finish()
    names = [f"optimizer.{index}.0.{place}" for index in (0, 1) for place in (0, 1)]
    assert record.subjects("grad_norm") == names
    assert record.signal("momentum", subject="1.0").last == 0.9
    assert record.signal("total_grad_norm").last == pytest.approx(math.sqrt(2 + 1 + 3 + 1))
    assert "zero_grad_share" not in record.names
