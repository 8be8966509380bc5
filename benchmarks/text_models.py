"""Language models on real texts, each within a time: what they reach, beside n-grams of the same text.

    python benchmarks/text_models.py DATA --only char-lstm --minutes 30 --json text-models.json
    python benchmarks/text_models.py DATA            # all three, an hour and a half on two cores

DATA holds ``tinyshakespeare/input.txt.xz`` and ``ptb/ptb.{train,valid,test}.txt.xz``. Training stops when the
minutes are over, measuring included; what is told is the validation text, measured with the weights of the
best epoch, each symbol predicted once.

Experiments:
    char-lstm     Tiny Shakespeare, characters, the last tenth to validate on
    char-gpt      the same by a small transformer
    word-lstm     Penn Treebank, words: an LSTM with tied embeddings, dropout that holds for a whole batch,
                  dropout of recurrent weights, weight decay and clipped gradients
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

import preceptor
from preceptor.training import Callback, State

EXPERIMENTS: dict[str, dict[str, Any]] = {
    "char-lstm": {
        "data": "tinyshakespeare/input.txt.xz",
        "epochs": 12,
        "settings": {
            "text.level": "char",
            "text.steps": 64,
            "model.name": "lstm",
            "model.hidden": 512,
            "model.layers": 1,
            "model.dropout": 0.3,
            "model.embedding": 64,
            "optimizer.name": "adam",
            "optimizer.lr": 3e-3,
            "schedule.name": "cosine",
            "training.batch_size": 32,
            "training.max_grad_norm": 1.0,
        },
    },
    "char-gpt": {
        "data": "tinyshakespeare/input.txt.xz",
        "epochs": 11,
        "settings": {
            "text.level": "char",
            "text.steps": 128,
            "model.name": "transformer",
            "model.hidden": 192,
            "model.layers": 4,
            "model.heads": 4,
            "model.positions": "learned",
            "model.dropout": 0.05,
            "optimizer.name": "adamw",
            "optimizer.lr": 2e-3,
            "optimizer.weight_decay": 0.1,
            "schedule.name": "cosine",
            "schedule.warmup_epochs": 0.3,
            "training.batch_size": 16,
            "training.max_grad_norm": 1.0,
        },
    },
    "word-lstm": {
        "data": "ptb",
        "epochs": 8,
        "settings": {
            "text.level": "word",
            "text.steps": 35,
            "model.name": "lstm",
            "model.hidden": 400,
            "model.layers": 2,
            "model.embedding": 400,
            "model.tied": True,
            "model.variational": True,
            "model.dropout": 0.3,
            "model.weight_dropout": 0.2,
            "optimizer.name": "adam",
            "optimizer.lr": 2e-3,
            "optimizer.weight_decay": 1.2e-6,
            "schedule.name": "cosine",
            "training.batch_size": 20,
            "training.max_grad_norm": 0.25,
        },
    },
}


class Until(Callback):
    """Stops a training when the time is over."""

    def __init__(self, minutes: float) -> None:
        self.end = time.monotonic() + 60 * minutes

    def on_batch_end(self, state: State) -> None:
        if time.monotonic() > self.end and state.stop is None:
            state.stop = "out of time"


def run(name: str, data: Path, minutes: float, epochs: int | None, more: dict[str, Any]) -> dict[str, Any]:
    """Train one experiment and return what it reached."""
    chosen = EXPERIMENTS[name]
    begun, cpu = time.monotonic(), time.process_time()
    made = preceptor.train(
        data=data / chosen["data"],
        task="language-modelling",
        epochs=epochs or chosen["epochs"],
        precision="auto",
        out=False,
        callbacks=[Until(minutes)],
        settings={"training.patience": "none", "training.train_examples": 0, **chosen["settings"], **more},
    )
    seconds = time.monotonic() - begun
    assert made.state is not None
    found = made.evaluate("val")
    clock = made.state.clock.summary()
    return {
        "experiment": name,
        "status": made.status,
        "epochs": len(made.history),
        "best_epoch": made.best_epoch,
        "seconds": seconds,
        "cpu_seconds": time.process_time() - cpu,
        "threads": torch.get_num_threads(),
        "tokens_per_second": clock["examples"] / seconds,
        "parameters": sum(p.numel() for p in made.model.parameters()),
        "precision": made.experiment.training.precision,
        "val_loss": found.loss,
        "val": found.metrics,
        "interval": found.interval,
        "test": made.evaluate("test").metrics if made.feeds and made.feeds.test else None,
        "history": made.history.rows,
        "sample": made.generate("\n", 300, temperature=0.8, seed=1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", action="append", choices=EXPERIMENTS)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    more = preceptor.training.experiment.parse_assignments(given.set)
    results = []
    for name in given.only or EXPERIMENTS:
        found = run(name, given.data, given.minutes, given.epochs, more)
        results.append(found)
        shown = {k: v for k, v in found.items() if k not in ("history", "sample")}
        print(json.dumps(shown, indent=1), flush=True)
        print(found["sample"], flush=True)
        if given.json:
            given.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
