"""Training loops written by hand: as one writes it first, as fast as public calls go, and past them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from _measure import Clock
from _workloads import LR, Outcome, Workload, loaders

__all__ = ["bound_loop", "hand_loop", "plain_loop"]

_BLOCK_BYTES = 1 << 20  # gathered at once: spreads the calls over many small batches, still fits the cache
_VAL_BATCH = 256  # with more the allocator hands memory back and faults it in again at every epoch


def plain_loop(work: Workload, epochs: int, clock: Clock) -> Outcome:
    """The loop of the tutorials."""
    model, (train, val), criterion = work.model(), loaders(work), nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
    steps, val_loss, correct = 0, 0.0, 0.0
    for _ in range(epochs):
        model.train()
        running = 0.0
        for x, y in train:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
            running += loss.item() * len(x)
            steps += 1
        model.eval()
        val_loss, correct = 0.0, 0.0
        with torch.no_grad():
            for x, y in val:
                output = model(x)
                val_loss += criterion(output, y).item() * len(x)
                correct += (output.argmax(1) == y).sum().item()
        clock.tick()
    count = len(val.dataset)
    return Outcome(steps, val_loss / count, correct / count)


def _blocks(x: Tensor, y: Tensor, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
    rows = batch * max(1, _BLOCK_BYTES // (x[0].numel() * x.element_size() * batch))
    for index in torch.randperm(len(x)).split(rows):
        block = zip(x.index_select(0, index).split(batch), y.index_select(0, index).split(batch), strict=True)
        yield from block


def _validate(model: nn.Module, x: Tensor, y: Tensor) -> tuple[float, float]:
    model.eval()
    with torch.inference_mode():
        loss, correct = torch.zeros(()), torch.zeros((), dtype=torch.int64)
        for inputs, targets in zip(x.split(_VAL_BATCH), y.split(_VAL_BATCH), strict=True):
            output = model(inputs)
            loss += functional.cross_entropy(output, targets, reduction="sum")
            correct += (output.argmax(1) == targets).sum()
        return loss.item() / len(x), correct.item() / len(x)


def _public_calls(parameters: list[nn.Parameter]) -> tuple[Callable[[Tensor], None], Callable[[], Any]]:
    return Tensor.backward, torch.optim.Adam(parameters, lr=LR, fused=True).step


def _private_calls(parameters: list[nn.Parameter]) -> tuple[Callable[[Tensor], None], Callable[[], Any]]:
    engine = torch.autograd.Variable._execution_engine.run_backward
    one, count = torch.ones(()), torch.zeros(())
    mean, square = ([torch.zeros_like(p) for p in parameters] for _ in range(2))
    counts = [count] * len(parameters)
    settings = {"lr": LR, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0}

    def backward(loss: Tensor) -> None:
        engine((loss,), (one,), False, False, (), allow_unreachable=True, accumulate_grad=True)

    def step() -> None:
        count.add_(1)
        gradients = [p.grad for p in parameters]
        with torch.no_grad():
            torch._fused_adam_(
                parameters, gradients, mean, square, [], counts, amsgrad=False, maximize=False, **settings
            )

    return backward, step


def hand_loop(
    work: Workload, epochs: int, clock: Clock, *, channels_last: bool = False, private: bool = False
) -> Outcome:
    """The loop of someone who has measured; see the rows optimised, channels-last and bound."""
    model, (x, y, val_x, val_y) = work.model(), work.data()
    if channels_last:
        model = model.to(memory_format=torch.channels_last)  # images of one channel lie in both layouts
    parameters = list(model.parameters())
    backward, step = (_private_calls if private else _public_calls)(parameters)
    steps, val_loss, val_accuracy = 0, 0.0, 0.0
    for _ in range(epochs):
        model.train()
        losses = []
        for inputs, targets in _blocks(x, y, work.batch):
            loss = functional.cross_entropy(model(inputs), targets)
            backward(loss)
            step()
            for p in parameters:
                p.grad = None
            losses.append(loss.detach())
        steps += len(losses)
        torch.stack(losses).mean().item()
        val_loss, val_accuracy = _validate(model, val_x, val_y)
        clock.tick()
    return Outcome(steps, val_loss, val_accuracy)


def bound_loop(work: Workload, epochs: int, clock: Clock) -> Outcome:
    """The fastest of these: what eager float32 training costs without the public calls around it."""
    return hand_loop(work, epochs, clock, channels_last=work.convolutional, private=True)
