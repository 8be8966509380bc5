"""Probes change nothing: the same program, looked at or not, has the same bits."""

from __future__ import annotations

import gc
import random
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from preceptor.observation.look import Probe
from preceptor.observation.probes import economy, full, standard


def _bits(model: nn.Module, optimizer: Any, outputs: list[Tensor]) -> list[bytes]:
    tensors = [*outputs, *model.state_dict().values()]
    tensors += [p.grad for p in model.parameters() if p.grad is not None]
    tensors += [v for state in optimizer.state.values() for v in state.values() if isinstance(v, Tensor)]
    return [t.detach().contiguous().view(-1).view(torch.uint8).numpy().tobytes() for t in tensors]


def _train(stage: Any, probes: list[Probe], kind: Callable[..., Any], channels_last: bool) -> tuple[Any, ...]:
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.3), nn.Linear(36, 12), nn.Sigmoid(), nn.Linear(12, 3),
    )  # fmt: skip
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
    optimizer = kind(model.parameters())
    told, outputs = stage(model, probes), []
    for _ in range(6):
        told.begin()
        optimizer.zero_grad()
        output = told.forward(torch.randn(10, 1, 8, 8))
        loss = told.loss("cross_entropy", output, torch.randint(3, (10,)))
        told.backward(loss)
        told.optimize(optimizer)
        told.finish()
        outputs += [output, loss]
    state = (torch.get_rng_state().numpy().tobytes(), random.getstate(), str(np.random.get_state()))
    return _bits(model, optimizer, outputs), state


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("level", [economy, standard, full])
@pytest.mark.parametrize(
    "kind",
    [
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=1e-3),
        lambda p: torch.optim.AdamW(p, lr=torch.tensor(1e-2)),
    ],
)
def test_the_same_bits_and_the_same_random_numbers(
    stage: Any, level: Callable[[], list[Probe]], kind: Callable[..., Any], channels_last: bool
) -> None:
    deterministic = torch.are_deterministic_algorithms_enabled()
    plain = _train(stage, [], kind, channels_last)
    torch.use_deterministic_algorithms(True)
    try:
        seen = _train(stage, level(), kind, channels_last)
    finally:
        torch.use_deterministic_algorithms(deterministic)
    assert plain == seen


def test_no_tensor_of_the_program_is_kept_alive(stage: Any) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    told = stage(model, standard())
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    alive: list[weakref.ref[Tensor]] = []
    for _ in range(2):
        x, y = torch.randn(9, 3), torch.randint(2, (9,))
        told.train(sgd, x, y)
        alive += [weakref.ref(x), weakref.ref(y), *(weakref.ref(p.grad) for p in model.parameters())]
        sgd.zero_grad()
        del x, y
    parameters = [weakref.ref(p) for p in model.parameters()]
    told.model = None
    told.look = None
    del model, sgd
    gc.collect()
    assert all(ref() is None for ref in [*alive, *parameters])


def test_another_default_dtype_and_device_change_nothing(stage: Any) -> None:
    def run() -> dict[str, float]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).float()
        told = stage(model, standard())
        sgd = torch.optim.SGD(model.parameters(), lr=0.1)
        x = torch.randn(30, 3, dtype=torch.float32, device="cpu")
        y = torch.tensor([0, 1, 1] * 10, device="cpu")
        for _ in range(9):
            told.train(sgd, x, y)
        return {f"{series.name}/{series.subject}": series.last for series in told.record}

    plain = run()
    torch.set_default_dtype(torch.float64)
    try:
        torch.manual_seed(0)
        other = run()
    finally:
        torch.set_default_dtype(torch.float32)
    assert plain.keys() == other.keys()
    assert "inactive_units/1" in plain


class Labelled(Tensor):
    """A subclass that would notice operators."""

    calls = 0

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        cls.calls += 1
        return super().__torch_function__(func, types, args, kwargs or {})


def test_subclasses_do_not_notice(stage: Any) -> None:
    model = nn.Linear(3, 2)
    told = stage(model, standard())
    x = torch.randn(4, 3).as_subclass(Labelled)
    output = torch.randn(4, 2).as_subclass(Labelled)
    Labelled.calls = 0
    told.begin()
    told.tell("inputs", (x,), {})
    told.tell("module", "fc", model, (x,), output)
    told.tell("loss", "mse_loss", {"input": output, "target": output}, output, "a.py:1")
    told.finish()
    assert Labelled.calls == 0
    assert told.last("act_mean", "fc") == pytest.approx(float(output.as_subclass(Tensor).mean()), abs=1e-6)


def test_tensors_of_a_transformation_are_left_alone(stage: Any) -> None:
    model = nn.Linear(3, 2)
    told = stage(model, standard())
    told.begin()

    def forward(x: Tensor) -> Tensor:
        told.tell("inputs", (x,), {})
        output = model(x)
        told.tell("module", "fc", model, (x,), output)
        return output

    torch.vmap(forward)(torch.randn(4, 3))
    told.finish()
    assert told.record.names == []
