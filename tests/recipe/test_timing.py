"""Time and memory of a training, foretold: parts that are slow by construction are named."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from preceptor.data.batches import Batch, TensorBatches
from preceptor.errors import ModelError
from preceptor.recipe.memory import Memory, available, estimated, resident
from preceptor.recipe.timing import LIMIT, Time, measured
from preceptor.tasks import Classification
from preceptor.training.problem import Problem

PAUSE = 0.02  # seconds: far above what a step of these takes


class Slow(nn.Module):
    """Takes its time in the forward pass, or in the backward pass."""

    def __init__(self, forward: float, backward: float) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.pauses = forward, backward

    def forward(self, x: Tensor) -> Tensor:
        time.sleep(self.pauses[0])
        out = self.linear(x)
        if out.requires_grad:
            out.register_hook(lambda g: time.sleep(self.pauses[1]))
        return out


class SlowBatches(TensorBatches):
    def epoch(self, skip: int = 0) -> Iterator[Batch]:
        for batch in super().epoch(skip):
            time.sleep(PAUSE)
            yield batch


class SlowSGD(torch.optim.SGD):
    def step(self, closure: Any = None) -> Any:
        time.sleep(PAUSE)
        return super().step(closure)


def problem(
    *,
    forward: float = 0.0,
    backward: float = 0.0,
    steps: int = 10,
    batches: type[TensorBatches] = TensorBatches,
    optimizer: type[torch.optim.Optimizer] = torch.optim.SGD,
    model: nn.Module | None = None,
) -> Problem:
    x, y = torch.randn(8 * steps, 4), torch.arange(8 * steps) % 3
    model = model or Slow(forward, backward)
    return Problem(
        model=model,
        task=Classification(("a", "b", "c")),
        criterion=nn.functional.cross_entropy,
        optimizer=optimizer(model.parameters(), lr=0.01),  # type: ignore[call-arg]
        train=batches(x, y, batch_size=8),
        val=TensorBatches(x, y, batch_size=256, shuffle=False),
    )


@pytest.mark.parametrize(
    ("phase", "given"),
    [
        ("data", {"batches": SlowBatches}),
        ("forward", {"forward": PAUSE}),
        ("backward", {"backward": PAUSE}),
        ("step", {"optimizer": SlowSGD}),
    ],
)
def test_the_bottleneck_is_named(phase: str, given: dict[str, Any]) -> None:
    found = measured(problem(**given), 3, seconds=0.2)
    assert found.bottleneck == phase
    assert found.shares[phase] > 0.5
    assert sum(found.shares.values()) == pytest.approx(1)
    assert found.step > PAUSE
    assert found.total >= 3 * 10 * PAUSE


def test_the_total_counts_steps_epochs_and_measuring() -> None:
    ticks = iter(range(10**6))
    found = measured(problem(steps=10), 5, seconds=1.0, now=lambda: float(next(ticks)))
    # One tick between two looks at the clock: each step takes one, and so does each measuring of validation.
    assert (found.step, found.steps, found.epochs, found.evaluation) == (1.0, 10, 5, 1.0)
    assert found.total == 5 * 10 + 5
    assert found.error == pytest.approx(0.1 * found.total)
    assert found.slow
    assert measured(problem(), None, seconds=0.05).epochs is None


def test_what_is_said() -> None:
    shares = {"data": 0.04, "forward": 0.31, "backward": 0.52, "step": 0.13}
    said = str(Time(0.0021, shares, "backward", 650, 40, 0.01, 55.0, 8.0, 0.1, 200))
    assert said == "2.1 ms a step (data 4 %, forward 31 %, backward 52 %, step 13 %) · 40 epochs ≈ 55 s ± 8"
    long = Time(1.5, shares, "backward", 650, None, 0.0, 9000.0, 900.0, 0.0, 20)
    assert str(long).startswith("1.5 s a step")
    assert str(long).endswith("an epoch ≈ 2.5 h ± 0.2")
    assert (long.slow, Time(LIMIT / 2, shares, "data", 1, 1, 0, 1, 1, 0, 1).slow) == (True, False)
    assert "freeze" in long.remedy
    assert long.to_plain()["text"] == str(long)


def test_a_training_that_breaks_at_once_is_told() -> None:
    broken = problem()
    with torch.no_grad():
        broken.model.linear.weight.fill_(float("nan"))
    with pytest.raises(ModelError, match="no step could be measured"):
        measured(broken, 3, seconds=0.1)


def test_the_parts_of_memory() -> None:
    model = nn.Sequential(nn.Linear(4, 256), nn.ReLU(), nn.Linear(256, 3))
    weights = 4 * sum(p.numel() for p in model.parameters())
    made = problem(model=model, optimizer=torch.optim.Adam)
    found = estimated(made, "adam", made.train.x[:4], base=1000)
    assert found is not None
    assert (found.weights, found.gradients, found.optimizer) == (2 * weights, weights, 2 * weights)
    assert found.batch == 8 * 4 * 4
    assert found.data == 2 * 80 * (4 * 4 + 8)
    assert found.peak >= found.weights + found.gradients + 2 * weights
    assert found.total == 1000 + found.data + found.peak
    alone = estimated(made, "adam", made.train.x[:4], base=0, best=False)
    assert alone is not None
    assert found.peak - alone.peak == weights
    assert found.there == available(torch.device("cpu"))
    assert not found.short


def test_large_measuring_counts() -> None:
    model = nn.Sequential(nn.Linear(4, 2048), nn.ReLU(), nn.Linear(2048, 3))
    made = problem(model=model, steps=64)
    made.val = TensorBatches(made.train.x, made.train.y, batch_size=512, shuffle=False)
    found = estimated(made, "sgd", made.train.x[:4], base=0, best=False)
    assert found is not None
    assert found.evaluation >= 512 * 2048 * 4
    assert found.peak >= found.evaluation + found.weights


def test_code_without_shapes_has_no_estimate() -> None:
    class Fails(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            raise RuntimeError("never")

    made = problem(model=Fails())
    assert estimated(made, "sgd", made.train.x[:4], base=0) is None


def test_memory_that_is_short() -> None:
    one = Memory(0, 0, 0, 0, 0, 0, 0, 0, 2 << 30, 2 << 30, 1 << 30)
    assert one.short
    assert str(one) == "2.0 GB: 2.0 GB for training; there are 1.0 GB"
    assert one.to_plain()["peak"] == 2 << 30
    assert resident() > 10 << 20
