"""One looked step, told to probes as a watch tells them."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from preceptor.observation.look import Look, Probe
from preceptor.observation.record import Record


class Named:
    """Names of a model's parameters and modules, and the optimizers that have stepped."""

    def __init__(self, model: nn.Module, optimizers: Sequence[Any] = ()) -> None:
        self.names = {id(parameter): name for name, parameter in model.named_parameters()}
        self.paths = {id(module): name for name, module in model.named_modules()}
        self.optimizers = optimizers

    def tensor(self, tensor: Tensor) -> tuple[str, bool]:
        return self.names.get(id(tensor), ""), False

    def module(self, module: nn.Module) -> str:
        return self.paths.get(id(module), "")

    def owner(self, module: nn.Module) -> nn.Module:
        return module

    def optimizer(self, optimizer: object) -> None:
        return None

    def living(self) -> list[tuple[Any, int]]:
        living = [ref() for ref in self.optimizers]
        return [(optimizer, number) for number, optimizer in enumerate(living) if optimizer is not None]


class Stage:
    """Tells probes of the events of a training step, in the state that a watch puts torch into."""

    def __init__(self, model: nn.Module, probes: Sequence[Probe]) -> None:
        self.model, self.probes, self.record = model, probes, Record()
        self.step_number = 0
        self.look: Look | None = None
        self.before: Callable[[], None] = lambda: None
        self.optimizers: list[Any] = []

    def tell(self, method: str, *args: Any) -> None:
        with torch.no_grad(), torch._C.DisableTorchFunction():
            for probe in self.probes:
                getattr(probe, method)(self.look, *args)

    def begin(self, phase: str = "train", closer: bool = False) -> Look:
        self.look = Look(
            self.step_number, phase, self.record, names=Named(self.model, self.optimizers), closer=closer
        )
        if phase == "train":
            self.tell("begin")
        return self.look

    def forward(self, *args: Any) -> Any:
        hooks = []
        for name, module in self.model.named_modules():
            call = lambda m, a, o, name=name: self.tell("module", name, m, a, o)  # noqa: E731
            hooks.append(module.register_forward_hook(call))
        assert self.look is not None
        self.tell("inputs", args, {})
        self.tell("enters", self.model)
        output = self.model(*args)
        for hook in hooks:
            hook.remove()
        if self.look.phase != "train":
            self.tell("leaves", self.model)
        return output

    def loss(self, function: str, output: Tensor, target: Tensor, **more: Any) -> Tensor:
        result = getattr(nn.functional, function)(output, target, **more)
        arguments = {"input": output, "target": target, "weight": None, "reduction": "mean", **more}
        self.tell("loss", function, arguments, result, "train.py:1")
        return result

    def backward(self, loss: Tensor) -> None:
        self.tell("before_backward")
        loss.backward()
        self.tell("after_backward")

    def optimize(self, optimizer: Any) -> None:
        if all(known() is not optimizer for known in self.optimizers):
            self.optimizers.append(weakref.ref(optimizer))
        self.tell("before_step", optimizer)
        self.before()
        optimizer.step()
        self.tell("after_step", optimizer)

    def finish(self) -> None:
        assert self.look is not None
        if self.look.phase == "train":
            self.tell("end")
        with torch.no_grad(), torch._C.DisableTorchFunction():
            self.look.finish()
        self.step_number += 1

    def train(self, optimizer: Any, inputs: Tensor, target: Tensor, function: str = "cross_entropy") -> None:
        """One whole looked step."""
        self.begin()
        optimizer.zero_grad()
        self.backward(self.loss(function, self.forward(inputs), target))
        self.optimize(optimizer)
        self.finish()

    def last(self, name: str, subject: str) -> float:
        return self.record.signal(name, subject=subject).last


@pytest.fixture
def stage() -> type[Stage]:
    return Stage
