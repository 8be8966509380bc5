"""Tokens a second of training a language model: Preceptor beside loops written by hand, in one run, by turns.

    python benchmarks/language.py                       # both networks, a few minutes on one core
    python benchmarks/language.py --only transformer --precision bf16 --rounds 9 --json language.json

Every row trains the same network from the same weights on the same made-up text of 65 symbols: forward pass,
cross-entropy, backward pass, gradient clipped to a norm of 1, fused Adam. The rows take turns; a turn times
--steps steps, after as many that are left out. Validation is left out everywhere.

Networks:
    lstm          characters, embedding and LSTM of 256 units, state carried and cut, batches of 32 × 64
    transformer   4 blocks of 4 heads, width 128, learned positions, windows of 64 symbols, batches of 12

Rows:
    hand        the loop that one writes first: slices of one tensor of ids, `loss.item()` at every step
    nanogpt     a loop in nanoGPT's form: random windows stacked from a mapped array of 16-bit ids, gradient
                accumulation of 1, gradients set to None, the loss read only now and then
    preceptor   preceptor.train on the text file, without run folder, watch or measuring

Columns: tokens a second; CPU time relative to the faster row by hand, with quartiles over the rounds: 1 is
equal speed, more is faster.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import preceptor
from _measure import Clock, interleave, ratio
from preceptor.catalogue import get
from preceptor.catalogue.derivatives import detached
from preceptor.training import Callback, State

SYMBOLS = 66  # 65 and the unknown one


@dataclass(frozen=True)
class Work:
    """A network and how it is trained."""

    name: str
    options: dict[str, Any]
    columns: int
    steps: int
    carried: bool

    def network(self) -> nn.Module:
        torch.manual_seed(0)
        options = {"vocabulary": SYMBOLS, "per_step": True, **self.options}
        made: nn.Module = get(self.name, (self.steps,), SYMBOLS, kind="architecture", **options)
        return made


WORKS = {
    "lstm": Work("lstm", {"hidden": 256}, 32, 64, carried=True),
    "transformer": Work(
        "transformer", {"hidden": 128, "layers": 4, "positions": "learned"}, 12, 64, carried=False
    ),
}


def text_of(symbols: int) -> str:
    """Return a text of 65 letters, some more frequent than others."""
    draws = random.Random(0)
    letters = [chr(0x21 + i) for i in range(64)] + ["\n"]
    return "".join(draws.choices(letters, weights=[1 / (i + 1) for i in range(65)], k=symbols))


def half(precision: str) -> AbstractContextManager[Any]:
    return nullcontext() if precision == "fp32" else torch.autocast("cpu", torch.bfloat16)


def hand(work: Work, ids: np.ndarray, steps: int, precision: str, clock: Clock) -> float:
    """Train as one writes it first."""
    model, data = work.network(), torch.from_numpy(ids.astype(np.int64))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    stretch = (len(data) - 1) // work.columns
    x = data[: work.columns * stretch].view(work.columns, stretch)
    y = data[1 : work.columns * stretch + 1].view(work.columns, stretch)
    state, at, value = None, 0, 0.0
    for step in range(2 * steps):
        if step == steps:
            clock.tick()
        if at + work.steps > stretch:
            state, at = None, 0
        optimizer.zero_grad()
        with half(precision):
            if work.carried:
                logits, state = model(x[:, at : at + work.steps], state)
                state = detached(state)
            else:
                logits = model(x[:, at : at + work.steps])
        target = y[:, at : at + work.steps].reshape(-1)
        loss = functional.cross_entropy(logits.float().reshape(-1, SYMBOLS), target)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        value = loss.item()
        at += work.steps
    clock.tick()
    return value


def nanogpt(work: Work, ids: np.ndarray, steps: int, precision: str, clock: Clock) -> float:
    """Train in the form of nanoGPT's loop: random windows of a mapped array."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.bin"
        ids.astype(np.uint16).tofile(path)
        model = work.network()
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
        generator = torch.Generator().manual_seed(0)

        def batch() -> tuple[Tensor, Tensor]:
            data = np.memmap(path, dtype=np.uint16, mode="r")
            starts = torch.randint(len(data) - work.steps, (work.columns,), generator=generator).tolist()
            x = torch.stack([torch.from_numpy(data[i : i + work.steps].astype(np.int64)) for i in starts])
            y = torch.stack(
                [torch.from_numpy(data[i + 1 : i + 1 + work.steps].astype(np.int64)) for i in starts]
            )
            return x, y

        x, y = batch()
        value = 0.0
        for step in range(2 * steps):
            if step == steps:
                clock.tick()
            with half(precision):
                logits = model(x)
            loss = functional.cross_entropy(logits.float().view(-1, SYMBOLS), y.view(-1))
            x, y = batch()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            if step % 10 == 0:
                value = loss.item()
        clock.tick()
        return value


class Ticking(Callback):
    """Ticks behind so many steps, and behind as many more."""

    def __init__(self, clock: Clock, steps: int) -> None:
        self.clock, self.steps = clock, steps

    def on_batch_begin(self, state: State) -> None:
        if state.step == self.steps:
            self.clock.tick()

    def on_batch_end(self, state: State) -> None:
        if state.step == 2 * self.steps:
            self.clock.tick()
            state.stop = "enough"


def ours(work: Work, file: Path, steps: int, precision: str, clock: Clock) -> float:
    """Train by name, from the text file."""
    run = preceptor.train(
        {"name": work.name, **work.options},
        file,
        task="language-modelling",
        lr=1e-3,
        max_grad_norm=1.0,
        batch_size=work.columns,
        precision=precision,
        val=0,
        out=False,
        callbacks=[Ticking(clock, steps)],
        settings={"text.steps": work.steps, "training.watch": False, "training.train_examples": 0},
    )
    assert run.state is not None
    return run.state.running.mean


def measure(work: Work, rounds: int, steps: int, precision: str) -> dict[str, dict[str, Any]]:
    """Time the rows on one network."""
    tokens = work.columns * work.steps * steps
    text = text_of(2 * tokens + 2 * work.columns * work.steps)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "text.txt"
        file.write_text(text, encoding="utf-8")
        index = {letter: i for i, letter in enumerate(sorted(set(text)))}
        ids = np.array([index[letter] for letter in text])
        rows: dict[str, Callable[[Clock], float]] = {
            "hand": partial(hand, work, ids, steps, precision),
            "nanogpt": partial(nanogpt, work, ids, steps, precision),
            "preceptor": partial(ours, work, file, steps, precision),
        }
        if work.carried:
            del rows["nanogpt"]  # its windows stand for themselves
        timings, losses = interleave(rows, rounds)
    cpu = {name: [one.cpu for one in found] for name, found in timings.items()}
    best = min((name for name in rows if name != "preceptor"), key=lambda name: statistics.median(cpu[name]))
    found = {}
    for name in rows:
        shown = ratio(timings[best], timings[name])
        found[name] = {
            "tokens_per_second": tokens / statistics.median(cpu[name]),
            "relative": shown,
            "loss": losses[name],
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", action="append", choices=WORKS)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    results = {}
    for name in given.only or WORKS:
        found = measure(WORKS[name], given.rounds, given.steps, given.precision)
        results[name] = {
            row: {**values, "relative": vars(values["relative"])} for row, values in found.items()
        }
        print(f"\n{name}, {given.precision}")
        for row, values in found.items():
            shown = values["relative"]
            print(
                f"  {row:<10}{values['tokens_per_second']:>10,.0f} tokens/s"
                f"   {shown.cpu:.3f} ({shown.low:.3f}–{shown.high:.3f}), wall {shown.wall:.2f}"
            )
    if given.json:
        given.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
