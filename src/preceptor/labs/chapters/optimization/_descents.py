"""Descents under noise, many at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from preceptor.catalogue import get

__all__ = ["descend", "means"]


def descend(
    start: Tensor,
    slope: Callable[[Tensor], Tensor],
    steps: int,
    generator: torch.Generator,
    noise: float | Tensor,
    optimizer: str = "gradient-descent",
    rate: Callable[[int], float] | None = None,
    see: Callable[[int, Tensor], None] | None = None,
    **options: Any,
) -> Tensor:
    """Follow noisy slopes from many starts at once; return where it ends."""
    w = start.clone().requires_grad_()
    made = get(optimizer, kind="optimizer", **options)([w])
    base = made.param_groups[0]["lr"]
    place = w.detach()
    for step in range(steps):
        if rate is not None:
            made.param_groups[0]["lr"] = base * rate(step)
        w.grad = slope(place) + noise * torch.randn(place.shape, generator=generator, dtype=place.dtype)
        made.step()
        if see is not None:
            see(step, place)
    return place


def means(values: Tensor) -> Tensor:
    """Return means over groups of runs, ten of them."""
    return values.reshape(10, -1).mean(1)
