"""A training, run once plainly and once watched: nothing of it may differ, and nothing of ours may stay."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules import module as modules
from torch.optim import lr_scheduler, optimizer
from torch.utils.data import DataLoader, dataloader

from preceptor.observation.watch import Watch

_OWNERS = (
    nn.Module,
    functional,
    nn.utils,
    nn.utils.clip_grad,
    torch.autograd,
    torch.autograd.Function,
    torch.optim.Optimizer,
    torch.amp.GradScaler,
    torch.Tensor,
    DataLoader,
    dataloader._BaseDataLoaderIter,
    *(kind for kind in vars(lr_scheduler).values() if isinstance(kind, type)),
)
_REGISTRIES = tuple(
    value
    for place in (modules, optimizer)
    for key, value in vars(place).items()
    if key.startswith("_global_")
)


def twice(train: Callable[[], Any], level: str = "standard") -> tuple[Watch, Any]:
    """Run ``train`` plainly and watched, from the same seed; return the watch and what the watched run made.

    What it makes (tensors, numbers, modules, optimizers in dicts and sequences), the warnings it gives and
    the state of the generators must be the same to the last bit.
    """
    plain, state, said = _run(train)
    before = names()
    watch = Watch(level)
    with watch:
        made, watched_state, watched_said = _run(train)
    assert_restored(before)
    assert_same(plain, made)
    assert_same(state, watched_state)
    assert watched_said == said, (watched_said, said)
    assert_no_errors(watch)
    return watch, made


def names() -> dict[Any, Any]:
    """Return every name that a watch may replace, with what it is now, and the hooks that hold everywhere."""
    known = {(owner, name): value for owner in _OWNERS for name, value in vars(owner).items()}
    hooks = {id(registry): list(registry) for registry in _REGISTRIES if isinstance(registry, dict)}
    return {**known, "hooks": hooks, "handlers": list(warnings.filters)}


def assert_restored(before: Mapping[Any, Any]) -> None:
    """Whether all names and hooks are what they were, and no mode of torch is left."""
    after = names()
    changed = [
        key for key in {**before, **after} if isinstance(key, tuple) and after.get(key) is not before.get(key)
    ]
    assert changed == []
    assert after["hooks"] == before["hooks"]
    assert after["handlers"] == before["handlers"]
    assert torch._C._len_torch_function_stack() == 0
    assert torch._C._len_torch_dispatch_stack() == 0


def assert_no_errors(watch: Watch) -> None:
    """Whether nothing went wrong within the watch itself."""
    assert [note for note in watch.notes if "an error within" in note] == []
    assert not any(
        graph.broken_by and " while recording" in graph.broken_by for graph in watch.graphs.values()
    )


def assert_same(one: Any, other: Any, place: str = "") -> None:
    """Whether two results hold the same bits."""
    assert type(one) is type(other), place
    if isinstance(one, Tensor):
        assert (one.dtype, one.shape) == (other.dtype, other.shape), place
        assert _bits(one) == _bits(other), place
    elif isinstance(one, Mapping):
        assert list(one) == list(other), place
        for key in one:
            assert_same(one[key], other[key], f"{place}[{key!r}]")
    elif isinstance(one, Sequence) and not isinstance(one, str):
        assert len(one) == len(other), place
        for index, (left, right) in enumerate(zip(one, other, strict=True)):
            assert_same(left, right, f"{place}[{index}]")
    elif isinstance(one, np.ndarray):
        assert one.tobytes() == other.tobytes(), place
    else:
        assert one == other or (one != one and other != other), place


def losses_of(watch: Watch, phase: str = "train") -> list[float]:
    """Return the values of a loss series."""
    return list(watch.record.signal("loss", phase=phase).values)


def evaluations(watch: Watch) -> list[str]:
    """Return the phases of evaluation that have a loss."""
    return [phase for phase in watch.record.subjects("loss") if phase.startswith("evaluation")]


def typical(watch: Watch) -> list[str]:
    """Return the kinds of the typical step's events, in order."""
    return [event.kind for event in watch.protocol.typical()]


def _run(train: Callable[[], Any]) -> tuple[Any, Any, list[Any]]:
    torch.manual_seed(7)
    random.seed(7)
    np.random.seed(7)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made = _frozen(train())
    state = [torch.get_rng_state(), repr(random.getstate()), repr(np.random.get_state())]
    return made, state, [(w.category, str(w.message), w.filename, w.lineno) for w in caught]


def _frozen(made: Any) -> Any:
    if isinstance(made, (nn.Module, torch.optim.Optimizer)):
        return _frozen(made.state_dict())
    if isinstance(made, Tensor):
        return made.detach().clone()
    if isinstance(made, Mapping):
        return {key: _frozen(value) for key, value in made.items()}
    if isinstance(made, (list, tuple)):
        return [_frozen(value) for value in made]
    return made


def _bits(tensor: Tensor) -> bytes:
    return bytes(tensor.contiguous().reshape(-1).view(torch.uint8).tolist()) if tensor.numel() else b""
