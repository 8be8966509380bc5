"""What the probes share: which tensors can be read, samples of them, and sums over pieces of a vector."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from math import gcd
from typing import Any, TypeGuard

import torch
from torch import Tensor

__all__ = ["amaxes", "amins", "dense_sample", "floating", "plan", "readable", "single", "sums", "tensors_in"]

_FLOATS = frozenset({torch.float32, torch.float64, torch.float16, torch.bfloat16})
_PLAIN = frozenset(
    {*_FLOATS, torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64}
)  # quantized and complex ones, and floats of 8 bits, lack most operators
_LENGTHS: dict[tuple[tuple[int, ...], int, torch.device], Tensor] = {}
_CACHED = 256
_DEPTH, _TENSORS = 5, 16


def readable(tensor: Any) -> TypeGuard[Tensor]:
    """Whether it is a tensor whose elements ordinary operators can read: dense, real, there, not empty."""
    return (
        isinstance(tensor, Tensor)
        and tensor.dtype in _PLAIN
        and tensor.layout is torch.strided
        and not tensor.is_meta
        and not tensor.is_nested
        and _own_operators(type(tensor))
        and tensor.numel() > 0
        and not torch._C._functorch.is_functorch_wrapped_tensor(tensor)
    )


def floating(tensor: Any) -> TypeGuard[Tensor]:
    """Whether it is readable and floating."""
    return isinstance(tensor, Tensor) and tensor.dtype in _FLOATS and readable(tensor)


@lru_cache(maxsize=256)
def _own_operators(kind: type[Tensor]) -> bool:
    return kind.__torch_dispatch__ is Tensor.__torch_dispatch__


def tensors_in(value: Any, depth: int = _DEPTH) -> Iterator[Tensor]:
    """Yield the tensors in nested tuples, lists and dictionaries, the first few of each."""
    if isinstance(value, Tensor):
        yield value
    elif depth and isinstance(value, (tuple, list)):
        for item in value[:_TENSORS]:
            yield from tensors_in(item, depth - 1)
    elif depth and isinstance(value, dict):
        for _, item in zip(range(_TENSORS), value.values(), strict=False):
            yield from tensors_in(item, depth - 1)


def single(tensor: Tensor) -> Tensor:
    """The same values as float32 or float64: half precision and integers would overflow in sums."""
    return tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.to(torch.float32)


@lru_cache(maxsize=4096)
def plan(shape: torch.Size, limit: int) -> tuple[int, int]:
    """Return (number, stride) of the sampled elements: all up to ``limit``, else an odd stride.

    The stride shares no factor with the last axis, so that the sample meets every column.

    Example:
        >>> plan(torch.Size([256, 784]), 2048)
        (2028, 99)
    """
    size = shape.numel()
    stride = 1
    if size > limit:
        stride = -(-size // limit) | 1
        while gcd(stride, shape[-1]) > 1 and stride < size - 2:
            stride += 2
    return -(-size // stride), stride


def dense_sample(tensor: Tensor, limit: int) -> Tensor:
    """A strided sample of at most ``limit`` elements as a vector: a view where the memory allows it."""
    number, stride = plan(tensor.shape, limit)
    if tensor.is_contiguous():
        return tensor.as_strided((number,), (stride,), tensor.storage_offset())
    return tensor.reshape(-1)[::stride]


def sums(vector: Tensor, lengths: tuple[int, ...], times: int = 1) -> Tensor:
    """Sums of consecutive pieces of a vector: ``lengths``, ``times`` over.

    Example:
        >>> sums(torch.tensor([1.0, 2.0, 4.0]), (2, 1)).tolist()
        [3.0, 4.0]
    """
    return _reduced(vector, "sum", lengths, times)


def amins(vector: Tensor, lengths: tuple[int, ...]) -> Tensor:
    """Smallest elements of consecutive pieces; NaN where a piece holds one."""
    return _reduced(vector, "min", lengths, 1)


def amaxes(vector: Tensor, lengths: tuple[int, ...]) -> Tensor:
    """Largest elements of consecutive pieces; NaN where a piece holds one."""
    return _reduced(vector, "max", lengths, 1)


def _reduced(vector: Tensor, how: str, lengths: tuple[int, ...], times: int) -> Tensor:
    key = (lengths, times, vector.device)
    sizes = _LENGTHS.get(key)
    if sizes is None:
        if len(_LENGTHS) >= _CACHED:
            _LENGTHS.clear()
        sizes = torch.tensor(lengths * times, dtype=torch.int64, device=vector.device)
        _LENGTHS[key] = sizes
    return torch.segment_reduce(vector, how, lengths=sizes, unsafe=True)
