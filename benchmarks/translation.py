"""Translation with and without attention: Multi30k, English to German, BLEU on the test of 2016.

    python benchmarks/translation.py multi30k --seconds 3600 --out translation.json
    python benchmarks/translation.py toy --epochs 6 --hidden 64 --lr 5e-3 --precision fp32 --beam 1

``multi30k`` is a folder with train.en.gz, train.de.gz, val.… and test_2016_flickr.…: 29,000 descriptions of
pictures. Both networks have the same widths, words (in small letters, those that occur at least twice), rate
and passes; --seconds is CPU time, for each. Test sentences are translated by beam search. BLEU is that of
sacrebleu's default (13a), in small letters. The difference of the two, over all sentences and by the length
of the source, comes with a 95 % interval: sentences are drawn again with replacement, the same for both.
``toy`` is a small language of 2,400 sentences with another order of words, and needs a minute.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch

import preceptor
from preceptor.catalogue.bleu import Bleu
from preceptor.data.toy_language import toy_translation
from preceptor.files import write_json
from preceptor.run.text.translation import judged, pair_batches
from preceptor.training import Callback, State

MODELS = ("seq2seq-attention", "seq2seq")
EDGES = (0, 9, 11, 13, 16, 1000)  # words of the source
DRAWS = 1000


class Until(Callback):
    """Stops a training after so many CPU seconds, whatever else the machine does."""

    def __init__(self, seconds: float) -> None:
        self.begun, self.seconds = process_time(), seconds

    def on_train_begin(self, state: State) -> None:
        self.begun = process_time()

    def on_batch_end(self, state: State) -> None:
        if process_time() - self.begun > self.seconds and not state.stop:
            state.stop = "time is up"

    def on_epoch_end(self, state: State) -> None:
        row, spent = state.history[-1], process_time() - self.begun
        print(
            f"  epoch {row['epoch']:>2}  val_loss {row['val_loss']:.4f}  perplexity "
            f"{row['val_perplexity']:.2f}  {spent:.0f} CPU s",
            flush=True,
        )


def bleu(counts: torch.Tensor) -> float:
    meter = Bleu()
    meter.add(counts)
    return meter.compute()


def interval(counts: torch.Tensor, other: torch.Tensor | None = None) -> list[float]:
    """95 % interval of BLEU, or of its difference from another one on the same sentences."""
    draw, values = np.random.default_rng(0), []
    for _ in range(DRAWS):
        rows = draw.integers(len(counts), size=len(counts))
        values.append(bleu(counts[rows]) - (0.0 if other is None else bleu(other[rows])))
    return [float(v) for v in np.percentile(values, (2.5, 97.5))]


def trained(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Train one network and translate the test; return figures and the counts of each sentence."""
    print(name, flush=True)
    until = Until(options.seconds)
    toy = str(options.data) == "toy"
    run = preceptor.train(
        name,
        toy_translation(2400, clauses=3) if toy else options.data,
        target=None if toy else options.languages,
        test=toy_translation(400, seed=77, clauses=3) if toy else None,
        task="translation",
        epochs=options.epochs,
        lr=options.lr,
        schedule=options.schedule,
        batch_size=options.batch_size,
        max_grad_norm=1.0,
        precision=options.precision,
        patience=options.epochs,
        seed=options.seed,
        device=options.device,
        settings={
            "model.hidden": options.hidden,
            "model.dropout": options.dropout,
            "text.lower": True,
            "text.min_count": options.min_count,
            "text.beam": options.beam,
            "training.train_examples": 0,
            "training.watch": False,
        },
        callbacks=[until],
        out=False,
    )
    seconds = process_time() - until.begun
    begun = process_time()
    found = run.test()
    made = judged(run, pair_batches(run, "test")[1])
    state = run.state
    assert state is not None
    examples = run.feeds.examples if run.feeds else 0
    print(f"  {found}; decoded in {process_time() - begun:.0f} CPU s", flush=True)
    return {
        "model": name,
        "parameters": sum(p.numel() for p in run.model.parameters()),
        "passes": state.step / len(state.problem.train),
        "cpu_seconds": seconds,
        "pairs_per_cpu_second": state.step / len(state.problem.train) * (examples or 0) / seconds,
        "status": run.status,
        "val_loss": run.history[-1, "val_loss"] if len(run.history) else None,
        "bleu": found.metrics["bleu"],
        "interval": found.interval,
        "test_loss": found.loss,
        "vocabularies": list(run.preprocessor.describe()) if run.preprocessor else [],
        "counts": made.counts,
        "losses": made.losses,
        "lengths": made.lengths,
        "examples": [[t.source, t.text, r] for t, r in zip(made.translations, made.references, strict=True)][
            :20
        ],
    }


def by_length(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """BLEU and loss of each network by the length of the source, and the difference."""
    lengths, rows = results[0]["lengths"], []
    for low, high in pairwise(EDGES):
        inside = np.flatnonzero((lengths >= low) & (lengths < high))
        if not len(inside):
            continue
        counts = [one["counts"][inside] for one in results]
        row: dict[str, Any] = {"words": [low, high - 1], "sentences": len(inside)}
        for one, own in zip(results, counts, strict=True):
            row[one["model"]] = {"bleu": bleu(own), "loss": float(one["losses"][inside].mean())}
        if len(results) == 2:
            row["difference"] = {"bleu": bleu(counts[0]) - bleu(counts[1]), "interval": interval(*counts)}
        rows.append(row)
    return rows


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--languages", default="en-de")
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--seconds", type=float, default=3600.0, help="CPU time of each training")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--min-count", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--schedule", default="linear")
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=None, help="write what was measured here, as JSON")
    options = parser.parse_args(arguments)
    results = []
    for name in options.models:
        results.append(trained(name, options))
        report: dict[str, Any] = {
            "settings": {key: str(value) for key, value in vars(options).items()},
            "torch": torch.__version__,
            "results": [
                {k: v for k, v in one.items() if k not in ("counts", "losses", "lengths")} for one in results
            ],
            "by_length": by_length(results),
        }
        if len(results) == 2:
            counts = [one["counts"] for one in results]
            report["difference"] = {"bleu": bleu(counts[0]) - bleu(counts[1]), "interval": interval(*counts)}
        if options.out:
            write_json(options.out, report)
    for row in report["by_length"]:
        shown = "  ".join(f"{n} {row[n]['bleu']:5.1f} ({row[n]['loss']:.2f})" for n in options.models)
        print(f"{row['words'][0]:>3}–{min(row['words'][1], 99):<3} words, {row['sentences']:>4}: {shown}")
    if "difference" in report:
        low, high = report["difference"]["interval"]
        print(f"difference {report['difference']['bleu']:.1f} (95 % interval {low:.1f} to {high:.1f})")


if __name__ == "__main__":
    main()
