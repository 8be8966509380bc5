"""A look: the few steps at which probes measure, and how their numbers reach the record in one transfer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from preceptor.observation.record import Record

__all__ = ["Look", "Probe", "Source"]

_Then = Callable[[list[float]], None]


class _Names(Protocol):
    def tensor(self, tensor: Tensor) -> tuple[str, bool]: ...
    def module(self, module: nn.Module) -> str: ...
    def owner(self, module: nn.Module) -> nn.Module: ...
    def optimizer(self, optimizer: Any) -> int | None: ...
    def living(self) -> list[tuple[Any, int]]: ...


class Source(NamedTuple):
    """Where the inputs of an outermost module come from.

    Arguments:
        key: what tells it from others, in words.
        model: the module's number among the outermost ones, in the order in which they were first called.
        where: for an evaluation, the user's line that calls the module, and after "<" the one above.
        loader: the data loader that gave the latest batch, "" before there was one.
        training: whether the module was in training mode.
    """

    key: str
    model: int = 0
    where: str = ""
    loader: str = ""
    training: bool = True


class Look:
    """One step, or one evaluation pass, under observation.

    Probes hand over tensors; `finish` fetches all of them together, so the program's device never waits for a
    probe in between.

    Arguments:
        step: the step's number.
        phase: "train" or "evaluation".
        record: where everything goes.
        names: names parameters; without it they have none.
        closer: something is suspected: look at everything.

    Example:
        >>> from preceptor.observation.record import Record
        >>> record = Record()
        >>> look = Look(3, "train", record)
        >>> look.put("grad_norm", ["weight", "bias"], torch.tensor([1.5, 0.5]))
        >>> look.finish()
        >>> record.signal("grad_norm", parameter="bias").last
        0.5
    """

    def __init__(
        self, step: int, phase: str, record: Record, *, names: _Names | None = None, closer: bool = False
    ) -> None:
        self.step, self.phase, self.record, self.closer = step, phase, record, closer
        self.shared: dict[Any, Any] = {}
        """What probes keep for the length of the look, for themselves or for each other."""
        self.source = Source(phase)
        """Where the latest inputs came from."""
        self._names = names
        self._tensors: list[Tensor] = []
        self._callbacks: list[_Then] = []
        self._last: list[Callable[[], None]] = []

    def parameter(self, parameter: Tensor) -> str:
        """Return a parameter's name; "" where it belongs to no module that was called."""
        return self._names.tensor(parameter)[0] if self._names is not None else ""

    def number(self, optimizer: Any, default: int) -> int:
        """Return the number that an optimizer has in the record."""
        found = self._names.optimizer(optimizer) if self._names is not None else None
        return default if found is None else found

    def path(self, module: nn.Module) -> str:
        """Return a module's name; "" for the first outermost one and for unknown ones."""
        return self._names.module(module) if self._names is not None else ""

    def whole(self, module: nn.Module) -> nn.Module:
        """Return the module that ``module`` is part of, where the program has handled that as a whole."""
        return self._names.owner(module) if self._names is not None else module

    def optimizers(self) -> list[tuple[Any, int]]:
        """Return the optimizers that live, each with its number."""
        return self._names.living() if self._names is not None else []

    def put(self, name: str, subjects: Sequence[str], values: Tensor) -> None:
        """Record ``values``, one for each subject, as the signal ``name``."""
        self.later(values, partial(self.record.add_many, name, self.step, subjects))

    def later(self, tensor: Tensor, then: _Then) -> None:
        """Call ``then`` with the tensor's elements (integers stay exact) once they have been fetched."""
        self._tensors.append(tensor)
        self._callbacks.append(then)

    def after(self, then: Callable[[], None]) -> None:
        """Call ``then`` after everything that has been fetched was delivered."""
        self._last.append(then)

    def finish(self) -> None:
        """Fetch what was handed over, one transfer for each device, and deliver it; then forget everything.

        An error of one receiver does not keep the others from theirs: it is raised at the end.
        """
        tensors, callbacks, last = self._tensors, self._callbacks, self._last
        self._tensors, self._callbacks, self._last = [], [], []
        error: Exception | None = None
        deliveries: list[Callable[[], None]] = [
            partial(then, values) for then, values in zip(callbacks, _fetch(tensors), strict=True)
        ]
        for deliver in [*deliveries, *last]:
            try:
                deliver()
            except Exception as caught:  # noqa: BLE001 raised below, when the others have been served
                error = error or caught
        self.shared.clear()
        if error is not None:
            raise error


class Probe:
    """Something that measures at looks; every method may be left out.

    All are called without gradient, torch functions and autocast, and must not change anything of the
    program.
    """

    def begin(self, look: Look) -> None:
        """The look begins: before the step's first module is called. Evaluation passes have no such call."""

    def end(self, look: Look) -> None:
        """The look ends, before its values are fetched."""

    def module(self, look: Look, name: str, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """A module has been called; children come before parents."""

    def inputs(self, look: Look, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """The outermost module is about to be called with these."""

    def enters(self, look: Look, module: nn.Module) -> None:
        """An outermost module is about to be called."""

    def leaves(self, look: Look, module: nn.Module) -> None:
        """An outermost module has returned, in an evaluation."""

    def loss(self, look: Look, function: str, arguments: dict[str, Any], result: Any, where: str) -> None:
        """A loss function has been called; ``arguments`` are by the names of its parameters."""

    def before_backward(self, look: Look) -> None:
        """A backward pass begins."""

    def after_backward(self, look: Look) -> None:
        """A backward pass has ended."""

    def before_step(self, look: Look, optimizer: Any) -> None:
        """An optimizer is about to step."""

    def after_step(self, look: Look, optimizer: Any) -> None:
        """An optimizer has stepped."""


def _fetch(tensors: Sequence[Tensor]) -> list[list[float]]:
    """Every tensor's elements as Python numbers: one transfer for each device that holds some."""
    fetched: list[list[float]] = [[]] * len(tensors)
    devices: dict[torch.device, dict[torch.dtype, list[int]]] = {}
    for index, tensor in enumerate(tensors):
        devices.setdefault(tensor.device, {}).setdefault(tensor.dtype, []).append(index)
    for device, kinds in devices.items():
        order = [index for indices in kinds.values() for index in indices]
        blocks = [
            (kind.is_floating_point, torch.cat([tensors[index].reshape(-1) for index in indices]))
            for kind, indices in kinds.items()
        ]
        numbers = _numbers(device, blocks)
        start = 0
        for index in order:
            stop = start + tensors[index].numel()
            fetched[index] = numbers[start:stop]
            start = stop
    return fetched


def _numbers(device: torch.device, blocks: list[tuple[bool, Tensor]]) -> list[float]:
    """The elements of all blocks."""
    if device.type in ("cpu", "mps"):  # nothing to save; and mps has no float64
        return [number for _, block in blocks for number in block.tolist()]
    together, sizes = _packed(blocks)
    return _unpacked(blocks, together.cpu(), sizes)


def _packed(blocks: list[tuple[bool, Tensor]]) -> tuple[Tensor, list[int]]:
    """One float64 tensor of all blocks: integers travel as its bits."""
    parts = [
        block.to(torch.float64) if floating else block.to(torch.int64).view(torch.float64)
        for floating, block in blocks
    ]
    return torch.cat(parts), [part.numel() for part in parts]


def _unpacked(blocks: list[tuple[bool, Tensor]], together: Tensor, sizes: list[int]) -> list[float]:
    numbers: list[float] = []
    start = 0
    for (floating, _), size in zip(blocks, sizes, strict=True):
        piece = together.narrow(0, start, size)
        numbers += (piece if floating else piece.view(torch.int64)).tolist()
        start += size
    return numbers
