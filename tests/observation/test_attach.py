"""Attachment: what is wrapped tells, hides itself, and is put back."""

from __future__ import annotations

import inspect
import io
import threading
import traceback
import types
import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.dataloader import _BaseDataLoaderIter

from preceptor.observation._listener import HOOKS, Listener
from preceptor.observation._sites import HIDDEN
from preceptor.observation.attach import LOSSES, Attachment

PLACES = [
    (nn.Module, "__call__"),
    (nn.Module, "train"),
    (nn.Module, "zero_grad"),
    (nn.Module, "state_dict"),
    (nn.Module, "load_state_dict"),
    (torch, "save"),
    (torch.Tensor, "backward"),
    (torch.autograd, "backward"),
    (torch.autograd, "grad"),
    (torch.optim.Optimizer, "zero_grad"),
    (torch.optim.Optimizer, "__init__"),
    (torch.optim.lr_scheduler.LRScheduler, "step"),
    (torch.optim.lr_scheduler.ReduceLROnPlateau, "step"),
    (torch.nn.utils, "clip_grad_norm_"),
    (torch.nn.utils.clip_grad, "clip_grad_norm_"),
    (torch.amp.GradScaler, "unscale_"),
    (DataLoader, "__iter__"),
    (_BaseDataLoaderIter, "__next__"),
    *((functional, name) for name in LOSSES),
]


class Heard(Listener):
    by_hand = True

    def __init__(self) -> None:
        self.events: list[str] = []
        self.errors: list[str] = []

    def complain(self, hook: str, error: Exception) -> None:
        self.errors.append(f"{hook}: {error}")


def _recorder(name: str):
    def hear(self: Heard, *args: object) -> str | None:
        self.events.append(name)
        return None if name == "before_step" else name

    hear.__name__ = name
    return hear


for _name in HOOKS:
    setattr(Heard, _name, _recorder(_name))


@pytest.fixture
def heard():
    listener = Heard()
    attachment = Attachment(listener)
    yield listener
    attachment.detach()


def _train(steps: int = 1) -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    loader = DataLoader(TensorDataset(torch.ones(4, 3), torch.zeros(4, dtype=torch.long)), batch_size=2)
    for _ in range(steps):
        net.train()
        for x, y in loader:
            optimizer.zero_grad()
            functional.cross_entropy(net(x), y).backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
        schedule.step()
    net.load_state_dict(net.state_dict())
    torch.save(net.state_dict(), io.BytesIO())
    assert len(loader) == 2


def test_detaching_restores_every_name_and_hook() -> None:
    before = [(owner, name, vars(owner).get(name)) for owner, name in PLACES]
    attachment = Attachment(Heard(), accelerator=True)
    assert all(getattr(owner, name).__code__.co_filename == HIDDEN for owner, name in PLACES)
    attachment.detach()
    assert [(owner, name, vars(owner).get(name)) for owner, name in PLACES] == before
    assert "item" not in vars(torch.Tensor)
    assert not _global_optimizer_pre_hooks
    assert not _global_optimizer_post_hooks
    assert not torch.nn.modules.module._global_forward_hooks


def test_that_backward_is_left_is_told_only_where_parameters_are_changed_by_hand() -> None:
    attachment = Attachment(Listener())
    before = torch.Tensor.backward.__code__.co_filename
    attachment.follow_backward()
    after = torch.Tensor.backward.__code__.co_filename
    attachment.detach()
    assert (before == HIDDEN, after == HIDDEN) == (False, True)
    assert torch.Tensor.backward.__code__.co_filename == before


def test_detaching_leaves_what_another_has_put_there_since() -> None:
    original = functional.mse_loss
    attachment = Attachment(Heard())

    def theirs(*args: object, **kwargs: object) -> None: ...

    functional.mse_loss = theirs
    attachment.detach()
    assert functional.mse_loss is theirs
    functional.mse_loss = original


def test_every_call_of_a_step_is_told_in_order(heard: Heard) -> None:
    _train()
    first = heard.events.index("before_batch")
    second = heard.events.index("before_batch", first + 1)
    told = [event for event in heard.events[first:second] if "module" not in event]
    assert told == [
        "before_batch",
        "after_batch",
        "zero_grad",
        "loss",
        "before_backward",
        "after_backward",
        "left_backward",
        "clipped",
        "before_step",
        "after_step",
    ]
    assert heard.events[:5][:4] == ["built", "scheduled", "mode", "loader_begins"]
    assert heard.events.count("before_module") == heard.events.count("after_module") == 2 * 4
    assert heard.events.count("loader_ended") == 1
    assert heard.errors == []


def test_quiet_passes_nested_calls_by(heard: Heard) -> None:
    heard.quiet = True
    nn.Linear(2, 2)(torch.ones(1, 2))
    assert heard.events == []


@pytest.mark.parametrize(
    "hook", sorted({*HOOKS} - {"module_failed", "scaler", "gradients_asked", "host_sync"})
)
def test_an_error_in_a_hook_does_not_reach_the_program(hook: str) -> None:
    listener = Heard()

    def broken(*args: object) -> None:
        raise RuntimeError("ours")

    broken.__name__ = hook
    setattr(listener, hook, broken)
    attachment = Attachment(listener)
    try:
        _train()
    finally:
        attachment.detach()
    assert listener.errors
    assert set(listener.errors) == {f"{hook}: ours"}


def test_an_error_in_the_rare_hooks_does_not_reach_the_program() -> None:
    listener = Heard()
    for hook in ("module_failed", "scaler", "gradients_asked", "host_sync"):
        broken = types.MethodType(_raiser(hook), listener)
        setattr(listener, hook, broken)
    attachment = Attachment(listener, accelerator=True)
    try:
        x = torch.ones(2, requires_grad=True)
        torch.autograd.grad(x.sum(), x)
        torch.amp.GradScaler("cpu").scale(x)
        x.sum().item()
        with pytest.raises(RuntimeError, match="mat1"):
            nn.Linear(3, 1)(x)
    finally:
        attachment.detach()
    assert {error.partition(":")[0] for error in listener.errors} == {
        "module_failed",
        "scaler",
        "gradients_asked",
        "host_sync",
    }


def _raiser(name: str):
    def broken(self: object, *args: object) -> None:
        raise RuntimeError("ours")

    broken.__name__ = name
    return broken


def test_a_warning_is_given_at_the_line_where_it_would_be(heard: Heard) -> None:
    prediction, target = torch.ones(3, 1), torch.ones(3)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        functional.mse_loss(prediction, target)
        line = inspect.currentframe().f_lineno - 1
    assert [(warning.filename, warning.lineno) for warning in seen] == [(__file__, line)]


def test_exceptions_pass_unchanged(heard: Heard) -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise KeyError("the program's own")

    with pytest.raises(KeyError, match="the program's own") as caught:
        Net()(torch.ones(1))
    assert heard.events[-1] == "module_failed"
    files = [frame.filename for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert files.count(HIDDEN) == 1


def test_wrapped_functions_look_like_the_originals(heard: Heard) -> None:
    assert functional.cross_entropy.__module__ == "torch.nn.functional"
    assert list(inspect.signature(functional.cross_entropy).parameters)[:2] == ["input", "target"]
    assert inspect.signature(DataLoader.__init__).parameters["batch_size"].default == 1


@pytest.mark.slow
def test_script_and_compile_take_the_originals(heard: Heard) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        scripted = torch.jit.script(_scripted)
    assert scripted(torch.ones(2), torch.zeros(2)) == 1.0

    compiled = torch.compile(_scripted, backend="eager", fullgraph=True)
    assert compiled(torch.ones(2), torch.zeros(2)) == 1.0
    torch.compiler.reset()


def _scripted(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.mse_loss(x, y)


def test_other_threads_can_be_refused() -> None:
    listener = Heard()
    mine = threading.get_ident()
    listener.mine = lambda: threading.get_ident() == mine
    attachment = Attachment(listener)
    worker = threading.Thread(target=_train)
    worker.start()
    worker.join()
    attachment.detach()
    assert listener.events == []
