"""A plain loop for networks that read sequences."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from preceptor.catalogue import get

__all__ = ["fit"]

_WINDOW = 50


def fit(
    model: nn.Module, loss: Callable[[int], Tensor], steps: int, lr: float, enough: float | None = None
) -> list[float]:
    """Train by Adam with gradients clipped at norm 1; return the loss of every step.

    Arguments:
        model: the network.
        loss: of a step, from its number.
        steps: how many at most.
        lr: Adam's learning rate.
        enough: end where the mean of the last 50 losses is below this.
    """
    optimizer = get("adam", model.parameters(), kind="optimizer", lr=lr)
    losses: list[float] = []
    for step in range(steps):
        optimizer.zero_grad()
        value = loss(step)
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(value.item())
        if enough is not None and sum(losses[-_WINDOW:]) < enough * _WINDOW and step >= _WINDOW:
            break
    return losses
