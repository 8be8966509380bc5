"""Attachment to torch: a few functions are wrapped, each by a thin frame that the program does not see.

What torch has hooks for is taken by hooks (optimizer steps); what it has none for is wrapped where it is
looked up. Module calls are wrapped too: a global forward hook would make torch take a slower path in every
module, and make compiled models warn. Within code that is being compiled each wrapper is the original.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from threading import get_ident
from typing import Any

import torch
from torch import is_grad_enabled, nn
from torch.compiler import is_compiling
from torch.nn import functional
from torch.optim import lr_scheduler
from torch.optim.optimizer import (
    Optimizer,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from torch.utils.data import DataLoader
from torch.utils.data.dataloader import _BaseDataLoaderIter

from preceptor.observation._listener import Listener
from preceptor.observation._numbers import number
from preceptor.observation._sites import hidden
from preceptor.observation._uncompiled import leave_package_alone

__all__ = ["LOSSES", "Attachment"]

LOSSES = tuple(
    name
    for name in (
        "binary_cross_entropy",
        "binary_cross_entropy_with_logits",
        "cosine_embedding_loss",
        "cross_entropy",
        "ctc_loss",
        "gaussian_nll_loss",
        "hinge_embedding_loss",
        "huber_loss",
        "kl_div",
        "l1_loss",
        "margin_ranking_loss",
        "mse_loss",
        "multi_margin_loss",
        "multilabel_margin_loss",
        "multilabel_soft_margin_loss",
        "nll_loss",
        "poisson_nll_loss",
        "smooth_l1_loss",
        "soft_margin_loss",
        "triplet_margin_loss",
        "triplet_margin_with_distance_loss",
    )
    if hasattr(functional, name)
)
_MISSING: Any = object()
_frame = sys._getframe


class Attachment:
    """Wrappers around torch's functions that tell a `Listener`; `detach` restores every name.

    Example:
        >>> class Counter(Listener):
        ...     steps = 0
        ...     def after_step(self, optimizer, frame):
        ...         self.steps += 1
        >>> counter, layer = Counter(), nn.Linear(2, 1)
        >>> attachment = Attachment(counter)
        >>> torch.optim.SGD(layer.parameters(), lr=0.1).step()
        >>> attachment.detach()
        >>> counter.steps, nn.Module.__call__.__module__
        (1, 'torch.nn.modules.module')
    """

    def __init__(self, listener: Listener, *, accelerator: bool | None = None) -> None:
        self.listener = listener
        self._undo: list[Callable[[], None]] = []
        try:
            self._attach(torch.accelerator.is_available() if accelerator is None else accelerator)
        except BaseException:
            self.detach()
            raise

    def detach(self) -> None:
        """Put everything back that is still ours."""
        for undo in reversed(self._undo):
            undo()
        self._undo = []

    def follow_backward(self) -> None:
        """Tell when ``Tensor.backward`` is left."""
        self._after(torch.Tensor, "backward", "left_backward", "", often=True)

    def _attach(self, accelerator: bool) -> None:
        tell = self.listener
        tell.ears = self
        leave_package_alone()
        self._wrap(nn.Module, "__call__", functools.partial(_module_call, tell))
        for name in LOSSES:
            self._after(functional, name, "loss", name, often=True)
        self._wrap(torch.autograd, "backward", functools.partial(_backward, tell))
        if tell.by_hand:
            self.follow_backward()
        self._before(torch.autograd, "grad", "gradients_asked")
        self._before(Optimizer, "zero_grad", "zero_grad", often=True)
        self._before(nn.Module, "zero_grad", "zero_grad", often=True)
        self._after(Optimizer, "__init__", "built", "")
        self._hook_steps()
        for scheduler in _schedulers():
            self._wrap(scheduler, "step", functools.partial(_schedule, tell))
        for owner in (torch.nn.utils, torch.nn.utils.clip_grad):
            for name in ("clip_grad_norm_", "clip_grad_value_"):
                self._after(owner, name, "clipped", name, often=True)
        for name in ("scale", "unscale_", "step", "update"):
            self._before(torch.amp.GradScaler, name, "scaler", name)
        self._before(DataLoader, "__len__", "counted")
        self._wrap(DataLoader, "__iter__", functools.partial(_loader, tell))
        self._wrap(_BaseDataLoaderIter, "__next__", functools.partial(_batch, tell))
        self._wrap(nn.Module, "train", functools.partial(_mode, tell))
        for name in ("state_dict", "load_state_dict"):
            self._before(nn.Module, name, "state", name)
        self._before(torch, "save", "saved")
        if accelerator:
            for name in ("item", "tolist", "cpu", "numpy"):
                self._before(torch.Tensor, name, "host_sync")

    def _before(self, owner: Any, name: str, hook: str, *said: str, often: bool = False) -> None:
        """Tell ``hook`` of a call before it happens: (*said, args, kwargs, frame).

        What comes at every step goes by untold while the listener is asleep; what does not wakes it.
        """
        tell = self.listener
        hear = getattr(tell, hook)

        def wrapper(original: Any) -> Any:
            def call(*args: Any, **kwargs: Any) -> Any:
                if is_compiling():
                    return original(*args, **kwargs)
                if often and tell.asleep:
                    tell.begun = True
                    return original(*args, **kwargs)
                try:
                    if tell.mine():
                        if tell.asleep:
                            tell.wake()
                        hear(*said, args, kwargs, _frame(1))
                except Exception as error:  # noqa: BLE001 the program never sees our errors
                    tell.complain(hook, error)
                return original(*args, **kwargs)

            return call

        self._wrap(owner, name, wrapper)

    def _after(self, owner: Any, name: str, hook: str, said: str, *, often: bool = False) -> None:
        """Tell ``hook`` of a call when it has returned: (said, original, args, kwargs, result, frame)."""
        tell = self.listener
        hear = getattr(tell, hook)

        def wrapper(original: Any) -> Any:
            def call(*args: Any, **kwargs: Any) -> Any:
                result = original(*args, **kwargs)
                if is_compiling() or (often and tell.asleep and is_grad_enabled()):
                    return result
                try:
                    if tell.mine():
                        if tell.asleep:
                            tell.wake()
                        hear(said, original, args, kwargs, result, _frame(1))
                except Exception as error:  # noqa: BLE001 - the program must not feel what fails in the watch
                    tell.complain(hook, error)
                return result

            return call

        self._wrap(owner, name, wrapper)

    def _hook_steps(self) -> None:
        tell = self.listener

        def before(optimizer: Any, args: Any, kwargs: Any) -> Any:
            if tell.asleep:
                return None
            try:
                return tell.before_step(optimizer, args, kwargs, _frame(1)) if tell.mine() else None
            except Exception as error:  # noqa: BLE001 - the program must not feel what fails in the watch
                tell.complain("before_step", error)
                return None

        def after(optimizer: Any, args: Any, kwargs: Any) -> None:
            try:
                if tell.asleep and get_ident() == tell.thread and tell.goes_by(optimizer):
                    return
                if tell.mine():
                    tell.after_step(optimizer, _frame(1))
            except Exception as error:  # noqa: BLE001 - the program must not feel what fails in the watch
                tell.complain("after_step", error)

        for hook in (before, after):  # a compiled step ends one graph here and begins another
            vars(hook).update(_torchdynamo_disable=True, _torchdynamo_disable_msg=None)
        self._undo.append(register_optimizer_step_pre_hook(before).remove)
        self._undo.append(register_optimizer_step_post_hook(after).remove)

    def _wrap(self, owner: Any, name: str, wrapper: Callable[[Any], Any]) -> None:
        """Replace ``owner.name`` by ``wrapper(original)``; undoing leaves what others put there since."""
        own = vars(owner).get(name, _MISSING)
        original = getattr(owner, name)
        replacement = hidden(wrapper(original))
        functools.update_wrapper(replacement, original)
        # torch.jit.script takes the original of a function that is marked so.
        replacement.__dict__.update(__script_if_tracing_wrapper=True, __original_fn=original)
        setattr(owner, name, replacement)

        def undo() -> None:
            if vars(owner).get(name) is not replacement:
                return
            if own is _MISSING:
                delattr(owner, name)
            else:
                setattr(owner, name, own)

        self._undo.append(undo)


def _schedulers() -> list[type]:
    """Return the classes of torch's schedules that define a step of their own."""
    found = [value for value in vars(lr_scheduler).values() if isinstance(value, type)]
    return [kind for kind in dict.fromkeys(found) if "step" in vars(kind) and hasattr(kind, "state_dict")]


def _schedule(tell: Listener, original: Any) -> Any:
    def step(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        if is_compiling():
            return result
        try:
            if tell.asleep and tell.scheduling and get_ident() == tell.thread:
                tell.moved = True
            elif tell.mine():
                if tell.asleep:
                    tell.wake()
                tell.scheduled(self, _frame(1))
        except Exception as error:  # noqa: BLE001 - the program must not feel what fails in the watch
            tell.complain("scheduled", error)
        return result

    return step


def _module_call(tell: Listener, original: Any) -> Any:
    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N807 - becomes a method of another class
        if is_compiling() or tell.quiet:
            return original(self, *args, **kwargs)
        if tell.asleep and is_grad_enabled():
            tell.begun = tell.quiet = True
            try:
                return original(self, *args, **kwargs)
            finally:
                tell.quiet = False
        token = None
        try:
            if tell.mine():
                token = tell.before_module(self, args, kwargs, _frame(1))
        except Exception as error:  # noqa: BLE001 - the program must not feel what fails in the watch
            tell.complain("before_module", error)
        if token is None:
            return original(self, *args, **kwargs)
        try:
            output = original(self, *args, **kwargs)
        except BaseException:
            try:
                tell.module_failed(token, self)
            except Exception as error:  # noqa: BLE001 - the program must not feel what fails in the watch
                tell.complain("module_failed", error)
            raise
        try:
            tell.after_module(token, self, args, kwargs, output)
        except Exception as error:  # noqa: BLE001 - the program must not feel what fails in the watch
            tell.complain("after_module", error)
        return output

    return __call__


def _mode(tell: Listener, original: Any) -> Any:
    within = False  # torch calls train() of each part in turn

    def train(self: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal within
        if within or is_compiling():
            return original(self, *args, **kwargs)
        if tell.asleep and self.training and not args and not kwargs:  # it stays as it is
            tell.begun = True
        else:
            try:
                if tell.mine():
                    if tell.asleep:
                        tell.wake()
                    tell.mode((self, *args), kwargs, _frame(1))
            except Exception as error:  # noqa: BLE001 - the program must not feel what fails in the watch
                tell.complain("mode", error)
        within = True
        try:
            return original(self, *args, **kwargs)
        finally:
            within = False

    return train


def _backward(tell: Listener, original: Any) -> Any:
    def backward(tensors: Any, *args: Any, **kwargs: Any) -> None:
        token = loss = None
        if not is_compiling():
            try:
                if tell.asleep and get_ident() == tell.thread:
                    if isinstance(tensors, torch.Tensor) and tensors.numel() == 1:
                        tell.begun, loss = True, number(tensors)
                    else:
                        tell.wake()
                if loss is None and tell.mine():
                    token = tell.before_backward(tensors, _frame(1))
            except Exception as error:  # noqa: BLE001 - the program must not feel what fails in the watch
                tell.complain("before_backward", error)
        original(tensors, *args, **kwargs)
        if loss is not None:
            tell.losses.append(loss)
        elif token is not None:
            try:
                tell.after_backward(token, tensors)
            except Exception as error:  # noqa: BLE001 - the program must not feel what fails in the watch
                tell.complain("after_backward", error)

    return backward


def _loader(tell: Listener, original: Any) -> Any:
    def __iter__(self: Any) -> Any:  # noqa: N807 - becomes a method of another class
        iterator = original(self)
        try:
            if tell.mine():
                tell.loader_begins(self, iterator, _frame(1))
        except Exception as error:  # noqa: BLE001 - the program must not feel what fails in the watch
            tell.complain("loader_begins", error)
        return iterator

    return __iter__


def _batch(tell: Listener, original: Any) -> Any:
    def __next__(self: Any) -> Any:  # noqa: N807 - becomes a method of another class
        token = None
        try:
            if tell.asleep and get_ident() == tell.thread:
                token = True
            elif tell.mine():
                token = tell.before_batch(self)
        except Exception as error:  # noqa: BLE001 - the program must not feel what fails in the watch
            tell.complain("before_batch", error)
        if token is None:
            return original(self)
        try:
            batch = original(self)
        except StopIteration:
            try:
                tell.loader_ended(self, _frame(1))
            except Exception as error:  # noqa: BLE001 - the program must not feel what fails in the watch
                tell.complain("loader_ended", error)
            raise
        if token is True:
            tell.begun = True
            tell.untold[id(self)] = tell.untold.get(id(self), 0) + 1
            return batch
        try:
            tell.after_batch(token, self, batch, _frame(1))
        except Exception as error:  # noqa: BLE001 - the program must not feel what fails in the watch
            tell.complain("after_batch", error)
        return batch

    return __next__
