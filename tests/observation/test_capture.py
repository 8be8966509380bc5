"""Recording puts everything back, keeps its errors to itself, and leaves warnings where they belong."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.modules import module as hooks
from torch.overrides import _get_current_function_mode_stack
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.dataloader import _BaseDataLoaderIter

from preceptor.observation._graph_recorder import Recorder
from preceptor.observation.capture import Capture, capture


def state() -> tuple[Any, ...]:
    return (
        torch.autograd.Function.__dict__["apply"],
        _BaseDataLoaderIter.__dict__["__next__"],
        dict(hooks._global_forward_hooks),
        dict(hooks._global_forward_pre_hooks),
        dict(torch.optim.Optimizer.__dict__),
        _get_current_function_mode_stack(),
    )


def test_everything_is_put_back() -> None:
    before = state()
    with capture():
        nn.Linear(2, 2)(torch.ones(1, 2)).sum().backward()
    assert state() == before


def test_everything_is_put_back_after_an_error() -> None:
    before, layer = state(), nn.Linear(2, 2)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"), capture():
        layer(torch.ones(1, 3))
    assert state() == before


@pytest.mark.parametrize("method", ["before", "after", "keep_before_change", "adopt"])
def test_our_errors_never_reach_the_program(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(Recorder, method, fail)
    layer = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    with capture() as captured:
        x = torch.ones(1, 2, requires_grad=True)
        torch.utils.checkpoint.checkpoint(layer, x, use_reentrant=True).sum().backward()
        optimizer.step()
    assert captured.graph.broken_by == "ZeroDivisionError while recording: ours"


def test_warnings_name_the_same_line_as_without_us() -> None:
    def warned(recorded: bool) -> list[tuple[str, int, str]]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            recording = Capture()
            if recorded:
                recording.start()
            functional.mse_loss(torch.ones(3, 1, requires_grad=True), torch.ones(3))
            nn.MSELoss()(torch.ones(3, 1, requires_grad=True), torch.ones(3))
            recording.stop()
        return [(w.filename, w.lineno, str(w.message)) for w in caught]

    assert len(warned(False)) == 2
    assert warned(True) == warned(False)


def test_the_loaders_own_work_is_not_in_the_graph() -> None:
    layer, data = nn.Linear(2, 1), TensorDataset(torch.randn(8, 2), torch.randn(8, 1))
    with capture() as captured:
        for x, y in DataLoader(data, batch_size=8):
            functional.mse_loss(layer(x), y).backward()
    assert [node.op for node in captured.graph.slice()] == ["linear", "mse_loss"]
    assert [value.kind for value in captured.graph.inputs] == ["input", "input"]


def test_what_runs_without_gradient_enters_as_a_tensor() -> None:
    layer, teacher = nn.Linear(2, 2), nn.Linear(2, 2)
    with capture() as captured:
        x = torch.ones(1, 2)
        with torch.no_grad():
            target = teacher(x).softmax(1)
        functional.mse_loss(layer(x), target).backward()
    assert [node.op for node in captured.graph] == ["ones", "linear", "mse_loss"]
    with capture(gradless=True) as captured, torch.no_grad():
        teacher(x).softmax(1)
    assert [node.op for node in captured.graph] == ["linear", "softmax"]


def test_the_limit_ends_the_recording_and_is_said() -> None:
    with capture(limit=2) as captured:
        (torch.ones(2, requires_grad=True) * 2 + 1).sum().backward()
    assert captured.graph.broken_by == "more than 2 operators in one step"


def test_attention_in_evaluation_takes_the_path_it_takes_without_us() -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    x = torch.randn(2, 3, 8)
    with torch.no_grad():
        plain = layer(x)
        with capture():
            seen = layer(x)
    assert torch.equal(plain, seen)
    assert not _get_current_function_mode_stack()


def test_statistics_can_be_left_out() -> None:
    w = torch.ones(3, requires_grad=True)
    with capture(statistics=False) as captured:
        (w * 2).sum().backward()
    assert all(value.statistics is None and value.gradient is None for value in captured.graph.values)
    assert captured.graph.replayable
