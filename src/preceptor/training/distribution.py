"""Several processes as one training, under torchrun: they share every batch, and take each step together."""

from __future__ import annotations

import atexit
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from preceptor.data import generators
from preceptor.errors import ConfigError, PreceptorError, ProcessFailed

if TYPE_CHECKING:
    from preceptor.training.checkpoints import Checkpoints
    from preceptor.training.state import State

__all__ = ["Distribution", "join", "rank", "size"]

_PATIENCE = timedelta(hours=2)  # of a process for others, which may evaluate or write for long
_SECONDS_TO_TELL = 5.0  # how long one that lost the others looks for what they said
_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


def rank() -> int:
    """Return the number of this process among those that torchrun started, from 0; 0 for a process alone."""
    return int(os.environ["RANK"]) if _is_one_of_several() else 0


def size() -> int:
    """Return how many processes torchrun started; 1 for a process alone."""
    return int(os.environ["WORLD_SIZE"]) if _is_one_of_several() else 1


def _is_one_of_several() -> bool:
    return all(name in os.environ for name in _VARIABLES) and int(os.environ["WORLD_SIZE"]) > 1


class Distribution:
    """The processes of one training, as one of them sees it.

    Arguments:
        rank: of this process, from 0; the first one alone writes and prints.
        processes: how many there are.
        device: where this one computes.
        store: where one that fails says why.
        control: the group that agrees on when to stop and when to save, over the CPU.
    """

    def __init__(
        self, rank: int, processes: int, device: torch.device, store: Store, control: Any = None
    ) -> None:
        self.rank, self.processes, self.device = rank, processes, device
        self.store, self.control = store, control
        self.asked = False  # whether this process was asked to stop
        self.save_now = False  # whether all save behind this step
        self.writer: Checkpoints | None = None  # the first process's own

    @property
    def first(self) -> bool:
        """Whether this process writes and prints."""
        return self.rank == 0

    def step(self, state: State, loss: Tensor) -> Tensor:
        """Return the loss over the whole batch, and agree on whether to stop, and whether to save."""
        whole = loss.detach().clone()
        due = self.writer is not None and self.writer.due(state.step)
        flags = torch.tensor([self.asked or bool(state.stop), due], dtype=torch.float32)
        dist.all_reduce(flags, group=self.control)
        dist.all_reduce(whole)
        if flags[0] > 0:
            state.stop = state.stop or "interrupted"
        self.save_now = bool(flags[1] > 0)
        return whole / self.processes

    def same(self, value: Any) -> Any:
        """Return the first process's value, of plain data, in all of them."""
        text = json.dumps(value).encode() if self.first else b""
        size = torch.tensor([len(text)])
        dist.broadcast(size, 0, group=self.control)
        content = torch.empty(int(size), dtype=torch.uint8)
        if self.first:
            content.copy_(torch.frombuffer(bytearray(text), dtype=torch.uint8))
        dist.broadcast(content, 0, group=self.control)
        return json.loads(bytes(content.tolist()))

    def gathered(self, tensor: Tensor) -> list[Tensor]:
        """Return a tensor of each process, of one shape in all, on the CPU."""
        every = [torch.empty_like(tensor) for _ in range(self.processes)]
        dist.all_gather(every, tensor, group=self.control)
        return every

    def apart(self) -> None:
        """Draw from here on other numbers than the other processes do: other dropout for other rows."""
        if self.rank:
            seed = int(torch.randint(2**31, ())) ^ (self.rank * 0x9E3779B1 % 2**31)
            with generators.seeded(seed):
                own = generators.capture()
            generators.restore(own)

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Tell the others of a failure in this process, and say which one failed where another did.

        Raises:
            ProcessFailed: another process failed, and this one cannot go on without it.
        """
        try:
            yield
        except Exception as error:
            others = self._said(error)
            if others:
                number, said = others
                raise ProcessFailed(
                    f"process {number} of {self.processes} failed, and this one ends with it", received=said
                ) from error
            self.store.set(f"failed/{self.rank}", f"{type(error).__name__}: {error}")
            if self.rank and isinstance(error, PreceptorError):
                error.told = self._first_said(str(error))
            raise

    def _said(self, error: Exception) -> tuple[int, str] | None:
        """Return the process that failed before this one and what it said, where this one lost the others."""
        if isinstance(error, PreceptorError) or not isinstance(error, RuntimeError):
            return None
        keys = {f"failed/{number}": number for number in range(self.processes) if number != self.rank}
        for key, number in keys.items():
            if (said := self._read(key)) is not None:
                return number, said
        return None

    def _first_said(self, message: str) -> bool:
        return message in (self._read("failed/0") or "")

    def _read(self, key: str) -> str | None:
        try:
            self.store.wait([key], timedelta(seconds=_SECONDS_TO_TELL / self.processes))
            return str(self.store.get(key).decode())
        except (RuntimeError, ValueError):  # nothing was said, or the store is gone with its process
            return None

    def describe(self, examples: int, model: nn.Module, shard: str | None) -> str:
        """Return in words how a step is shared."""
        each = -(-examples // self.processes)
        said = f"{self.processes} processes, {each} of {examples} examples a step each"
        said += ", weights, gradients and moments in parts" if shard == "fully" else ", gradients averaged"
        if any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in model.modules()):
            said += f"\nbatch normalisation takes its statistics from {each} examples, not from {examples}"
        return said


def join(device: str) -> Distribution | None:
    """Join the processes that torchrun started; None for a process alone.

    Arguments:
        device: the setting; ``"auto"`` and ``"cuda"`` mean a GPU of its own for each process, where there
        are any.

    Raises:
        ConfigError: fewer GPUs than processes on this machine.
    """
    if not _is_one_of_several():
        return None
    number, processes, local = (int(os.environ[name]) for name in _VARIABLES[:3])
    if not dist.is_initialized():
        _start(number, processes, device)
    return Distribution(number, processes, _place(device, local), *_ways(device))


_STORE: list[Store] = []
_CONTROL: list[Any] = []


def _start(number: int, processes: int, device: str) -> None:
    """Meet the others; the store outlives a process that fails."""
    store, _, _ = next(rendezvous("env://", timeout=_PATIENCE))
    backend = "nccl" if _on_gpus(device) else "gloo"
    dist.init_process_group(
        backend, store=PrefixStore("group", store), rank=number, world_size=processes, timeout=_PATIENCE
    )
    _STORE.append(PrefixStore("preceptor", store))
    if backend == "nccl":
        _CONTROL.append(dist.new_group(backend="gloo", timeout=_PATIENCE))
    atexit.register(_leave)


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def _ways(device: str) -> tuple[Store, Any]:
    return _STORE[-1], _CONTROL[-1] if _CONTROL else None


def _on_gpus(device: str) -> bool:
    return device.partition(":")[0] == "cuda" or (device == "auto" and torch.cuda.is_available())


def _place(device: str, local: int) -> torch.device:
    if not _on_gpus(device):
        return torch.device("cpu" if device == "auto" else device)
    if local >= torch.cuda.device_count():
        raise ConfigError(
            "there are more processes than GPUs",
            expected=f"torchrun --nproc-per-node {torch.cuda.device_count()} at most",
            received=f"process {local + 1} on this machine",
            hint="--device cpu",
        )
    torch.cuda.set_device(local)
    return torch.device("cuda", local)
