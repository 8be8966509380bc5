"""Other tools that look at a training, attached to a program that does not know of them.

They want the model and the optimizer in hand, and torchmortem and Cockpit a call at every step: what the
first step of the program shows is handed to them, and the calls are made where the program's own lines would
stand. Only what belongs to the first optimizer that steps is given to them.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook

__all__ = ["ANCHORS", "available"]

Attach = Callable[[list[nn.Module], Optimizer, ExitStack], None]


@contextmanager
def _attached(attach: Attach) -> Iterator[None]:
    """Call ``attach`` after the program's first optimizer step with the modules called until then."""
    called: list[nn.Module] = []

    def see(module: nn.Module, _args: Any) -> None:
        called.append(module)

    def first_step(optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
        seen.close()
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        ours = [m for m in called if not list(m.parameters()) or any(id(p) in held for p in m.parameters())]
        attach(
            [m for m in ours if list(m.parameters())] + [m for m in ours if not list(m.parameters())],
            optimizer,
            tool,
        )

    with ExitStack() as tool, ExitStack() as seen:
        seen.callback(register_module_forward_pre_hook(see).remove)
        seen.callback(register_optimizer_step_post_hook(first_step).remove)
        yield


def _replace(owner: Any, name: str, value: Any, until: ExitStack) -> None:
    until.callback(setattr, owner, name, getattr(owner, name))
    setattr(owner, name, value)


def _torchmortem(modules: list[nn.Module], optimizer: Optimizer, until: ExitStack) -> None:
    from torchmortem import Autopsy

    autopsy = until.enter_context(Autopsy(modules[0], optimizer=optimizer))
    backward = Tensor.backward
    last: list[Tensor] = []

    def remembered(loss: Tensor, *args: Any, **kwargs: Any) -> None:
        last[:] = [loss]
        backward(loss, *args, **kwargs)

    _replace(Tensor, "backward", remembered, until)
    until.callback(
        optimizer.register_step_post_hook(
            lambda *_: autopsy.step(loss=last.pop().item())
        ).remove  # as its guide has it
    )


def _torch_audit(every: int) -> Attach:
    def attach(modules: list[nn.Module], optimizer: Optimizer, until: ExitStack) -> None:
        from torch_audit import autopatch

        auditor = autopatch(modules[0], optimizer=optimizer, every_n_steps=every, reporters=[])
        until.callback(auditor.unpatch)
        until.callback(auditor.finish)

    return attach


def _cockpit(every: int) -> Attach:
    def attach(modules: list[nn.Module], optimizer: Optimizer, until: ExitStack) -> None:
        from backpack import extend
        from cockpit import Cockpit
        from cockpit.utils import configuration, schedules

        model, criterion = modules[0], modules[-1]
        quantities = configuration.configuration("economy", track_schedule=schedules.linear(every))
        cockpit = Cockpit([p for p in model.parameters() if p.requires_grad], quantities=quantities)
        extend(model)
        extend(criterion)
        backward, steps = Tensor.backward, iter(range(1 << 62))
        seen: list[Any] = []
        until.callback(
            criterion.register_forward_hook(lambda _m, args, _o: seen.__setitem__(slice(None), args)).remove
        )

        def tracked(loss: Tensor, *args: Any, **kwargs: Any) -> None:
            step, info = next(steps), {"loss": loss, "optimizer": optimizer, "batch_size": len(seen[1])}
            if step % every < 2:  # the step after a tracked one closes what that one began
                info["individual_losses"] = nn.functional.cross_entropy(*seen, reduction="none")
            with cockpit(step, info=info):
                backward(loss, *args, create_graph=cockpit.create_graph(step), **kwargs)

        _replace(Tensor, "backward", tracked, until)

    return attach


@contextmanager
def _anomaly_mode() -> Iterator[None]:
    with torch.autograd.detect_anomaly(check_nan=True):
        yield


ANCHORS: dict[
    str, tuple[str, Callable[[], Any]]
] = {  # the module that it needs, and what to run a program within
    "anomaly-mode": ("torch", _anomaly_mode),
    "torchmortem": ("torchmortem", lambda: _attached(_torchmortem)),
    "torch-audit@1000": ("torch_audit", lambda: _attached(_torch_audit(1000))),
    "torch-audit@10": ("torch_audit", lambda: _attached(_torch_audit(10))),
    "cockpit@64": ("cockpit", lambda: _attached(_cockpit(64))),
}


def available(name: str) -> bool:
    return importlib.util.find_spec(ANCHORS[name][0]) is not None
