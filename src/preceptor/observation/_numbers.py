"""Numbers of every step: read at once on a CPU; on an accelerator fetched many at a time, later."""

from __future__ import annotations

import torch
from torch import Tensor

from preceptor.observation.record import Record

__all__ = ["Numbers", "is_transformed", "number"]

_item = torch._C.TensorBase.item
_modes = torch._C._len_torch_function_stack
_dispatch_modes = torch._C._len_torch_dispatch_stack
_AT_ONCE = 64


def number(tensor: Tensor) -> float | Tensor:
    """Return the value of a tensor with one element; itself, detached, where reading it would wait.

    Example:
        >>> number(torch.tensor([2.5]))
        2.5
    """
    if type(tensor) is Tensor and tensor.is_cpu and not _modes() and not _dispatch_modes():
        try:
            return float(_item(tensor))
        except RuntimeError:  # one of many within vmap
            return float("nan")
    with torch._C.DisableTorchFunction(), torch._C._DisableTorchDispatch():
        return float(_item(tensor)) if tensor.is_cpu else tensor.detach()


def is_transformed() -> bool:
    """Whether what is called now is transformed: operators of ours would become part of it.

    Example:
        >>> is_transformed(), torch.func.vmap(lambda x: x * is_transformed())(torch.ones(2))
        (False, tensor([1., 1.]))
    """
    return torch._C._functorch.peek_interpreter_stack() is not None


class Numbers:
    """Adds numbers to a record, many at a time: those on an accelerator with one transfer for all.

    What comes at every step must touch little memory: it waits in a list.
    """

    def __init__(self, record: Record) -> None:
        self.record = record
        self.waiting: list[tuple[str, int, float | Tensor, str]] = []

    def add(self, name: str, step: int, value: float | Tensor, subject: str = "") -> None:
        """Add one number."""
        self.waiting.append((name, step, value, subject))
        if len(self.waiting) >= _AT_ONCE:
            self.flush()

    def total(self, values: list[float | Tensor]) -> float | Tensor:
        """Return the sum of numbers of one step."""
        result = values[0]
        with torch._C.DisableTorchFunction(), torch.no_grad():
            for value in values[1:]:
                result = result + value
        return result

    def flush(self) -> None:
        """Fetch what waits, and write everything into the record."""
        waiting, self.waiting = self.waiting, []
        tensors = [value for _, _, value, _ in waiting if isinstance(value, Tensor)]
        fetched = iter(_fetch(tensors) if tensors else ())
        for name, step, value, subject in waiting:
            self.record.add(name, step, next(fetched) if isinstance(value, Tensor) else value, subject)


def _fetch(tensors: list[Tensor]) -> list[float]:
    with torch._C.DisableTorchFunction(), torch.no_grad():
        numbers: list[float] = torch.stack([tensor.reshape(()).double() for tensor in tensors]).tolist()
    return numbers
