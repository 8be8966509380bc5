"""However a recording ends, torch's stack of function modes is as it would be without us."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack

from preceptor.errors import ConfigError
from preceptor.observation._graph_recorder import Recorder
from preceptor.observation.capture import Capture, capture


@pytest.fixture(autouse=True)
def undisturbed() -> Iterator[None]:
    before = (_get_current_function_mode_stack(), len(hooks._global_forward_pre_hooks))
    yield
    assert (_get_current_function_mode_stack(), len(hooks._global_forward_pre_hooks)) == before


def empty() -> bool:
    return _get_current_function_mode_stack() == []


class Calls(nn.Module):
    """Calls a function within its forward, between two operators."""

    def __init__(self, action: Callable[[], Any]) -> None:
        super().__init__()
        self.action = action

    def forward(self, x: Tensor) -> Tensor:
        x = x * 2
        self.action()
        return x + 1


def fused(inner: nn.Module) -> nn.Module:
    """A module for which the recording steps aside, and that calls ``inner``."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    layer.linear1 = nn.Sequential(inner, layer.linear1)
    layer.activation_relu_or_gelu = 0  # the slow path of the layer, which calls what is within
    return layer


def fail(error: BaseException) -> Callable[[], None]:
    def raising() -> None:
        raise error

    return raising


@pytest.mark.parametrize("error", [ValueError("theirs"), KeyboardInterrupt("theirs")])
@pytest.mark.parametrize("aside", [False, True])
def test_a_program_that_raises_in_mid_step(error: BaseException, aside: bool) -> None:
    failing: nn.Module = Calls(fail(error))
    model = fused(failing) if aside else failing
    x = torch.ones(1, 3, 8)
    with pytest.raises(type(error), match="theirs"), torch.set_grad_enabled(not aside), capture() as captured:
        model(x)
    assert empty()
    assert hasattr(captured, "graph")


@pytest.mark.parametrize("aside", [False, True])
def test_a_stop_from_within_a_forward(aside: bool) -> None:
    recording = Capture()
    stopping: nn.Module = Calls(recording.stop)
    model = fused(stopping) if aside else nn.Sequential(stopping, nn.Linear(8, 1))
    with torch.set_grad_enabled(not aside):
        recording.start()
        model(torch.ones(1, 3, 8))
    assert empty()
    assert [node.op for node in recording.graph] == ([] if aside else ["ones", "mul"])


def test_a_stop_from_within_an_operator_takes_effect_at_the_next_module() -> None:
    recording, layer = Capture(), nn.Linear(2, 1)
    layer.weight.register_post_accumulate_grad_hook(lambda _: recording.stop() and None)
    recording.start()
    layer(torch.ones(3, 2)).sum().backward()
    assert recording.graph.replayable
    layer(torch.ones(3, 2))
    assert empty()


def test_a_stop_from_within_an_operator_of_the_block() -> None:
    layer = nn.Linear(2, 1)
    with capture() as captured:
        layer.weight.register_post_accumulate_grad_hook(lambda _: captured.stop() and None)
        layer(torch.ones(3, 2)).sum().backward()
    assert empty()
    layer(torch.ones(3, 2))  # the hook that would have taken the mode off is gone after this


def test_a_default_device_that_is_set_and_taken_back() -> None:
    w = torch.ones(3, requires_grad=True)
    recordings = [Capture(), Capture(), Capture()]
    recordings[0].start()
    try:
        torch.set_default_device("cpu")
        (w * torch.ones(3)).sum().backward()
        recordings[0].stop()
        recordings[1].start()
        (w * torch.ones(3)).sum().backward()
        recordings[2].start()
    finally:
        torch.set_default_device(None)
    for recording in recordings[1:]:
        recording.stop()
    assert empty()
    assert recordings[0].graph.replayable
    assert recordings[1].graph.replayable


class Passing(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("other", [Passing, lambda: torch.device("cpu")])
def test_a_mode_of_the_program_that_ends_before_the_recording(other: Callable[[], Any]) -> None:
    w, recording = torch.ones(3, requires_grad=True), Capture()
    with other():
        recording.start()
        loss = (w * torch.ones(3)).sum()
    loss.backward()
    assert _get_current_function_mode_stack() == [recording]
    assert recording.stop().replayable
    assert empty()


@pytest.mark.parametrize("other", [Passing, lambda: torch.device("cpu")])
def test_a_mode_of_the_program_that_ends_after_the_recording(other: Callable[[], Any]) -> None:
    w, recording = torch.ones(3, requires_grad=True), Capture()
    recording.start()
    with other():
        (w * torch.ones(3)).sum().backward()
        assert recording.stop().replayable
        assert len(_get_current_function_mode_stack()) == 1
    assert empty()


def test_a_stop_from_within_an_optimizers_hook() -> None:
    layer, recording = nn.Linear(2, 1), Capture(follow_steps=False)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    optimizer.register_step_pre_hook(lambda o, a, k: recording.before_step(o, a, k))
    optimizer.register_step_post_hook(lambda o, a, k: recording.after_step(o, a, k))
    optimizer.register_step_post_hook(lambda *_: recording.stop() and None)
    recording.start()
    layer(torch.ones(3, 2)).sum().backward()
    optimizer.step()
    assert empty()
    assert recording.graph.replayable


def test_an_optimizer_that_fails() -> None:
    class Failing(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            raise ValueError("theirs")

    layer = nn.Linear(2, 1)
    optimizer = Failing(layer.parameters(), lr=0.1)
    with capture() as captured:
        layer(torch.ones(3, 2)).sum().backward()
        with pytest.raises(ValueError, match="theirs"):
            optimizer.step()
    assert empty()
    assert captured.graph.replayable


def test_an_optimizer_of_another_thread_pauses_nothing() -> None:
    mine, theirs = nn.Linear(2, 1), nn.Linear(2, 1)

    class Waiting(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            begun.set()
            assert done.wait(60)

    begun, done = threading.Event(), threading.Event()
    thread = threading.Thread(target=Waiting(theirs.parameters(), lr=0.1).step)
    with capture() as captured:
        thread.start()
        assert begun.wait(60)
        mine(torch.ones(3, 2)).sum().backward()
        done.set()
        thread.join()
    assert [node.op for node in captured.graph] == ["ones", "linear", "sum"]


def test_a_capture_records_once() -> None:
    with capture() as captured:
        pass
    with pytest.raises(ConfigError, match="records once"):
        captured.start()


@pytest.mark.parametrize("method", ["attach", "finish"])
def test_errors_at_the_ends_stay_ours(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("ours")

    if method == "finish":
        monkeypatch.setattr(Recorder, "finish", broken)
    else:
        monkeypatch.setattr("preceptor.observation._graph_scope.Scope.attach", broken)
    with capture() as captured:
        (torch.ones(2, requires_grad=True) * 2).sum().backward()
    assert empty()
    assert captured.graph.broken_by == "ZeroDivisionError while recording: ours"


def test_the_time_of_the_recording_is_within_the_time_of_the_step() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1))
    shares = []
    for _ in range(5):
        began = time.perf_counter()
        with capture() as captured:
            model(torch.ones(3, 4)).sum().backward()
        taken = time.perf_counter() - began
        assert 0 < captured.seconds < taken
        shares.append(captured.seconds / taken)
    assert max(shares) > 0.2  # of what is not recording a busy machine may make any length
