"""Code that torch compiles, scripts, exports or traces while it is watched."""

from __future__ import annotations

import re
import shutil
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from preceptor.observation.watch import LEVELS, Watch

from ._twice import assert_no_errors, assert_restored, evaluations, losses_of, names, twice

X = torch.randn(32, 4, generator=torch.Generator().manual_seed(1))
Y = torch.randint(0, 3, (32,), generator=torch.Generator().manual_seed(2))
NAMES = ["0.weight", "0.bias", "2.weight", "2.bias"]
BACKENDS = [
    "eager",
    "aot_eager",
    pytest.param(
        "inductor",
        marks=[pytest.mark.slow, pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")],
    ),
]


@pytest.fixture(autouse=True)
def _as_new() -> Iterator[None]:
    """A process in which something has been compiled records no graphs: leave none behind."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    yield
    torch._dynamo.reset()


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


def thrice(train: Any) -> Any:
    """Run it once more, before all: torch gives some warnings at a process's first compilation only."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        train()
    return twice(train)


def _counted(train: Any) -> Any:
    """Count what torch compiles in one run of ``train``."""

    def run() -> Any:
        torch._dynamo.reset()
        torch._dynamo.utils.counters.clear()
        made = train()
        counters = torch._dynamo.utils.counters
        made["graphs"] = dict(counters["stats"])
        made["limits"] = dict(counters["recompile_limit"])
        return made

    return run


def compiled_model(backend: str) -> dict[str, Any]:
    model = net()
    fast = torch.compile(model, backend=backend)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses, valid = [], []
    for _ in range(2):
        fast.train()
        for x, y in zip(X.split(8), Y.split(8), strict=True):
            optimizer.zero_grad()
            loss = functional.cross_entropy(fast(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        fast.eval()
        with torch.no_grad():
            valid.append(functional.cross_entropy(fast(X), Y).item())
    return {"losses": losses, "valid": valid, "model": model}


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_compiled_model(backend: str) -> None:
    watch, made = thrice(_counted(lambda: compiled_model(backend)))
    assert made["graphs"]["unique_graphs"] >= 1
    assert losses_of(watch) == made["losses"]
    (phase,) = evaluations(watch)
    assert losses_of(watch, phase) == made["valid"]
    assert watch.record.subjects("grad_norm") == NAMES
    assert watch.steps.train == 8


def compiled_in_place(backend: str) -> dict[str, Any]:
    model, losses = net(), []
    model.compile(backend=backend)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in zip(X.split(8), Y.split(8), strict=True):
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return {"losses": losses, "model": model}


def test_a_model_compiled_in_place() -> None:
    watch, made = twice(_counted(lambda: compiled_in_place("aot_eager")))
    assert losses_of(watch) == made["losses"]
    assert watch.record.subjects("grad_norm") == NAMES


def whole_loss(backend: str) -> dict[str, Any]:
    """Forward and loss within one compiled function that may not break."""
    model = net()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)

    @torch.compile(backend=backend, fullgraph=True)
    def loss_of(x: Tensor, y: Tensor) -> Tensor:
        return functional.cross_entropy(model(x), y) + functional.mse_loss(x, x * 0.5)

    losses = []
    for _ in range(6):
        optimizer.zero_grad()
        loss = loss_of(X, Y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return {"losses": losses, "model": model}


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_whole_compiled_loss(backend: str) -> None:
    watch, made = thrice(_counted(lambda: whole_loss(backend)))
    assert made["graphs"]["unique_graphs"] == 1
    assert losses_of(watch) == made["losses"]
    assert len(watch.record.signal("total_grad_norm")) > 0


def whole_step(backend: str) -> dict[str, Any]:
    """A compiled function with backward and the optimizer's step within."""
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    @torch.compile(backend=backend)
    def step(x: Tensor, y: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    losses = [step(X, Y).item() for _ in range(6)]
    return {"losses": losses, "model": model}


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_whole_compiled_step(backend: str) -> None:
    watch, made = thrice(_counted(lambda: whole_step(backend)))
    assert losses_of(watch) == made["losses"]
    assert watch.steps.train == 6


def test_compiled_before_it_is_watched_is_compiled_once_more_at_most() -> None:
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    @torch.compile(backend="aot_eager", fullgraph=True)
    def loss_of(x: Tensor, y: Tensor) -> Tensor:
        return functional.cross_entropy(model(x), y)

    def steps(count: int) -> list[float]:
        losses = []
        for _ in range(count):
            optimizer.zero_grad()
            loss = loss_of(X, Y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    steps(2)
    with Watch() as watch:
        watched = steps(4)
    assert losses_of(watch) == watched
    assert_no_errors(watch)
    compiled = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    with Watch():
        steps(2)
    steps(2)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == compiled <= 2  # as torch's names change


def difference(x: Tensor, y: Tensor) -> Tensor:
    return functional.mse_loss(x, y) + functional.smooth_l1_loss(x, y)


class Judged(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = net()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return functional.cross_entropy(self.net(x), y)


def other_compilers() -> dict[str, Any]:
    scripted = torch.jit.script(difference)
    whole = torch.jit.script(Judged())
    exported = torch.export.export(Judged(), (X, Y))
    graph = torch.fx.symbolic_trace(Judged())
    traced = torch.jit.trace(Judged(), (X, Y))
    return {
        "values": [scripted(X, X + 1), whole(X, Y), exported.module()(X, Y), graph(X, Y), traced(X, Y)],
        "code": [str(scripted.graph), str(exported.graph), graph.code],
    }


def test_script_export_and_trace() -> None:
    _, made = thrice(other_compilers)
    assert "mse_loss" in made["code"][0]
    assert "cross_entropy" in made["code"][2]


class Listing(TorchDispatchMode):
    """Writes down every operator that runs."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.append(str(function))
        return function(*args, **(kwargs or {}))


def listed() -> dict[str, Any]:
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    flops, listing, losses = FlopCounterMode(display=False), Listing(), []
    for step in range(6):
        with flops if step % 2 else listing:
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(X), Y)
            loss.backward()
            optimizer.step()
        losses.append(loss.item())
        if step == 3:
            with torch.no_grad():
                traced = torch.jit.trace(model, X)
    zeros = torch.zeros(3)
    each = torch.func.vmap(lambda x: functional.mse_loss(model(x), zeros))(X)
    return {
        "losses": losses, "model": model, "flops": flops.get_total_flops(), "seen": listing.seen,
        "each": each, "traced": re.sub(r"___torch_mangle_\d+", "", str(traced.graph)),
    }  # fmt: skip


@pytest.mark.parametrize("level", LEVELS)
def test_operators_of_ours_are_seen_by_no_mode_tracer_or_transform(level: str) -> None:
    watch, made = twice(listed, level)
    assert losses_of(watch) == made["losses"]


def scripted_training() -> dict[str, Any]:
    model, losses = torch.jit.script(net()), []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(X), Y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return {"losses": losses, "model": model}


def test_a_scripted_model_trains() -> None:
    watch, made = twice(scripted_training)
    assert losses_of(watch) == made["losses"]
    assert watch.record.subjects("grad_norm") == NAMES


def test_what_was_compiled_under_the_watch_outlives_it() -> None:
    before = names()
    model = net()
    with Watch():
        fast = torch.compile(model, backend="eager", fullgraph=True)
        inside = fast(X)
    assert_restored(before)
    assert torch.equal(fast(X), inside)
    assert torch.equal(model(X), inside)
