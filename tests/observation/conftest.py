"""Steps that run once plainly and once recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from preceptor.observation._graph_calls import same_bits
from preceptor.observation.capture import capture
from preceptor.observation.graph import Graph

Step = Callable[[], list[Tensor]]
Build = Callable[[], "Step | tuple[Any, ...]"]


@pytest.fixture
def exact() -> Callable[[Build], None]:
    """Whether a step leaves the same tensors and generators when it is recorded, and its replay is exact.

    What is built is a step that returns what it made, or (module, loss[, learning rate]): plain training.
    """
    return _assert_exact


def _assert_exact(build: Build) -> None:
    plain, plain_state, _ = _run(build, recorded=False)
    seen, seen_state, graph = _run(build, recorded=True)
    assert all(same_bits(a, b) for a, b in zip(plain, seen, strict=True))
    assert torch.equal(plain_state, seen_state)
    assert graph is not None
    assert graph.losses
    assert graph.backward
    assert graph.replayable, graph.broken_by
    assert torch.equal(torch.get_rng_state(), seen_state), "the replay left the generator elsewhere"


def _run(build: Build, recorded: bool) -> tuple[list[Tensor], Tensor, Graph | None]:
    torch.manual_seed(3)
    built = build()
    step = _trained(*built) if isinstance(built, tuple) else built
    step()
    graph = None
    if recorded:
        with capture() as captured:
            result = step()
        graph = captured.graph
    else:
        result = step()
    result = [tensor.detach().clone() for tensor in result]
    return result + [t.detach() for t in step()], torch.get_rng_state(), graph


def _trained(model: nn.Module, loss_of: Callable[[], Tensor], lr: float = 0.1) -> Step:
    """One step of plain training, and what it leaves behind."""
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)

    def step() -> list[Tensor]:
        optimizer.zero_grad()
        loss = loss_of()
        loss.backward()
        optimizer.step()
        return [loss, *model.state_dict().values()]

    return step
