"""How far recurrent networks remember: the adding problem by cell, the copy task by architecture.

    python benchmarks/memory_tasks.py [--tasks adding copy] [--steps 1500] [--length 50] [--seed 0]

Adding: 64 units, batches of 64 new sequences, Adam, gradients clipped at norm 1; the mean squared error on
2,000 other sequences, 1/6 for who always says 1. Expected: rnn > irnn > gru ≥ lstm.
Copy: an encoder of 64 units and a decoder that is given the previous true symbol; the share of right symbols
on 1,000 other sequences, plain, with the input reversed, and with attention.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from preceptor.catalogue import get
from preceptor.data.memory_tasks import adding_problem, copy_task

RATES = {"rnn": 1e-3, "irnn": 1e-3, "gru": 1e-2, "lstm": 1e-2}
BATCH = 64


class Copier(nn.Module):
    """Encoder and decoder with weights of their own; between them a state, or attention."""

    def __init__(self, symbols: int, units: int = 64, attention: bool = False) -> None:
        super().__init__()
        self.embed, self.previous = nn.Embedding(symbols + 1, units), nn.Embedding(symbols + 1, units)
        self.attention = attention
        if attention:
            self.encoder = get("bidirectional-encoder", units, units // 2)
            self.decoder = get("attention-rnn", units, units)
        else:
            self.encoder = get("lstm-layer", units, units)
            self.decoder = get("lstm-layer", units, units)
        self.head = nn.Linear(self.decoder.output_size, symbols + 1)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        annotations, state = self.encoder(self.embed(source))
        given = self.previous(nn.functional.pad(target[:, :-1], (1, 0)))
        y, *_ = self.decoder(given, annotations) if self.attention else self.decoder(given, state)
        return self.head(y)


def train(model: nn.Module, loss: Callable[[int], Tensor], steps: int, lr: float) -> float:
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    started = time.process_time()
    for step in range(steps):
        optimizer.zero_grad()
        loss(step).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return time.process_time() - started


def adding(name: str, steps: int, length: int, seed: int) -> tuple[float, float]:
    torch.manual_seed(seed)
    model = get(name, (length, 2), 1, kind="architecture", hidden=64)

    def loss(step: int) -> Tensor:
        x, y = adding_problem(BATCH, length, seed=1000 * seed + step + 1)
        return nn.functional.mse_loss(model(x), y)

    seconds = train(model, loss, steps, RATES[name])
    x, y = adding_problem(2000, length, seed=10**8 + seed)
    with torch.no_grad():
        return float(nn.functional.mse_loss(model(x), y)), seconds


def copying(form: str, steps: int, length: int, seed: int, symbols: int = 8) -> tuple[float, float]:
    torch.manual_seed(seed)
    model = Copier(symbols, attention=form == "attention")

    def batch(examples: int, draw: int) -> tuple[Tensor, Tensor]:
        x, y = copy_task(examples, length, symbols=symbols, reverse=form == "reversed", seed=draw)
        return x[:, :length], y[:, -length:]

    def loss(step: int) -> Tensor:
        source, target = batch(BATCH, 1000 * seed + step + 1)
        return nn.functional.cross_entropy(model(source, target).flatten(0, 1), target.flatten())

    seconds = train(model, loss, steps, 1e-3)
    source, target = batch(1000, 10**8 + seed)
    with torch.no_grad():
        return float((model(source, target).argmax(-1) == target).float().mean()), seconds


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tasks", nargs="+", default=["adding"], choices=["adding", "copy"])
    parser.add_argument("--models", nargs="+", default=list(RATES), choices=list(RATES))
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--length", type=int, default=50)
    parser.add_argument("--copy-length", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    if "adding" in options.tasks:
        print(f"adding problem, {options.length} steps: mean squared error (1/6 without memory), CPU seconds")
        for name in options.models:
            error, seconds = adding(name, options.steps, options.length, options.seed)
            print(f"  {name:<10} {error:.4f}  {seconds:5.1f}", flush=True)
    if "copy" in options.tasks:
        print(f"copy task, {options.copy_length} symbols: share of right symbols, CPU seconds")
        for form in ("plain", "reversed", "attention"):
            share, seconds = copying(form, options.steps, options.copy_length, options.seed)
            print(f"  {form:<10} {share:.3f}  {seconds:5.1f}", flush=True)


if __name__ == "__main__":
    main()
