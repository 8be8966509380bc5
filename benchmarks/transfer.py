"""A backbone trained on CIFAR-10, reused for ants and bees, beside the same network from scratch.

    python benchmarks/transfer.py CIFAR10.npz HYMENOPTERA.npz               # resnet-20, five seeds
    python benchmarks/transfer.py CIFAR10.npz HYMENOPTERA.npz --model vgg-11-bn --side 64 --json transfer.json

The backbone is trained once and kept in --backbone. Then, for each seed, with the same split, order and
epochs, images of the same size, the same augmentation and the same budget of rates:

    scratch   the same network, its weights drawn at random
    head      the backbone frozen, a new head trained on its features
    tuned     the head first, then all layers, at rates that fall towards the inputs

Each takes the rate of --rates that validation examples, cut from the training part, find best in the mean
over the seeds: those of one seed are too few to choose by, and too few to choose an epoch. So each way is
then trained once more a seed, on the whole training part and to the end. Shown is the accuracy of that on
the examples that the set itself holds out, and the mean paired difference to scratch with a 95 % interval
(Student's t over the seeds).
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import scipy.stats

import preceptor
from preceptor.data import Dataset, load

AUGMENT = ["horizontal-flip", {"name": "random-crop", "size": 32, "padding": 4}]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cifar", type=Path)
    parser.add_argument("insects", type=Path)
    parser.add_argument("--model", default="resnet-20")
    parser.add_argument("--option", action="append", default=[], help="of the model, KEY=NUMBER")
    parser.add_argument("--backbone", type=Path, default=Path("runs/backbone"))
    parser.add_argument("--examples", type=int, default=50_000, help="of CIFAR-10")
    parser.add_argument("--backbone-epochs", type=int, default=15)
    parser.add_argument("--backbone-lr", type=float, default=0.1)
    parser.add_argument("--side", type=int, default=32, help="pixels of ants and bees")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--thaw", type=int, default=10, help="the epoch from which all layers learn")
    parser.add_argument("--rates", type=float, nargs="+", default=[1e-2, 3e-3, 1e-3])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--take", action="append", default=[], help="NAME=RATE: a way's rate, as found in an earlier run"
    )
    parser.add_argument("--precision", default="fp32", help="of ants and bees: fp32, bf16 or auto")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def split(dataset: Dataset) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Return what a set is meant to be trained on, and what it holds out."""
    held = np.isin(dataset.part, ("val", "test"))
    return tuple((dataset.inputs[rows], dataset.targets[rows]) for rows in (~held, held))  # type: ignore[return-value]


def backbone(given: argparse.Namespace) -> Path:
    """Train the backbone, unless it lies there already."""
    if (given.backbone / "weights" / "best.safetensors").is_file():
        return given.backbone
    (x, y), _ = split(load(given.cifar, image_size=32))
    options = {key: float(value) if "." in value else int(value) for key, _, value in pairs(given.option)}
    run = preceptor.train(
        {"name": given.model, **options},
        (x[: given.examples], y[: given.examples]),
        epochs=given.backbone_epochs,
        batch_size=128,
        optimizer="nesterov",
        lr=given.backbone_lr,
        weight_decay=5e-4,
        schedule="one-cycle",
        augmentations=AUGMENT,
        val=0.1,
        test=0.0,
        monitor="val_accuracy",
        patience=given.backbone_epochs,
        out=given.backbone,
    )
    reached = run.history[run.best_epoch - 1, "val_accuracy"] if run.best_epoch else float("nan")
    print(f"backbone {given.model}: val_accuracy {reached:.3f}", flush=True)
    return given.backbone


def pairs(texts: list[str]) -> list[tuple[str, str, str]]:
    return [text.partition("=") for text in texts]


def once(
    given: argparse.Namespace, way: dict[str, Any], parts: Any, seed: int, rate: float, *, whole: bool
) -> float:
    """Return the accuracy on validation examples, or, trained on the whole, on what is held out."""
    train, test = parts
    settings = {"data.seed": seed, "data.image_size": [given.side, given.side], "data.scale": "auto",
                "training.precision": given.precision}  # fmt: skip
    augment = [AUGMENT[0], {"name": "random-crop", "size": given.side, "padding": given.side // 8}]
    run = preceptor.train(
        data=train,
        val=0.0 if whole else 0.15,
        test=test,
        epochs=given.epochs,
        batch_size=32,
        optimizer="adamw",
        lr=rate,
        weight_decay=1e-2,
        schedule="cosine",
        augmentations=None if way.get("freeze") and not way.get("unfreeze") else augment,
        patience=given.epochs,
        seed=seed,
        out=False,
        **{**way, "settings": {**settings, **way.get("settings", {})}},
    )
    if whole:
        return run.test().metrics["accuracy"]
    return float(run.history[run.best_epoch - 1, "val_accuracy"] if run.best_epoch else 0.0)


def over_seeds(
    given: argparse.Namespace, name: str, way: dict[str, Any], parts: Any, rate: float, *, whole: bool
) -> list[float]:
    """Return the accuracies, one a seed."""
    found = []
    for seed in range(given.seeds):
        started = time.perf_counter()
        found.append(once(given, way, parts, seed, rate, whole=whole))
        spent = time.perf_counter() - started
        part = "held out" if whole else "val"
        print(f"{name:<8} rate {rate:g}  seed {seed}  {part} {found[-1]:.3f}  {spent:.0f} s", flush=True)
    return found


def best_rate(given: argparse.Namespace, name: str, way: dict[str, Any], parts: Any) -> float:
    """Return the rate that validation finds best in the mean, or the one that was named."""
    named = {way: float(rate) for way, _, rate in pairs(given.take)}
    if name in named:
        return named[name]
    means = {r: statistics.fmean(over_seeds(given, name, way, parts, r, whole=False)) for r in given.rates}
    return max(means, key=lambda rate: means[rate])


def main() -> None:
    given = arguments()
    source = backbone(given)
    parts = split(load(given.insects, image_size=given.side))
    model = preceptor.load(source).experiment.model.model_dump()
    ways: dict[str, dict[str, Any]] = {
        "scratch": {"model": model},
        "head": {"from_": source, "freeze": "all-but-head"},
        "tuned": {
            "from_": source,
            "freeze": "all-but-head",
            "unfreeze": {given.thaw: "all"},
            "layer_lr_decay": 0.9,
        },
    }
    results: dict[str, list[float]] = {}
    for name, way in ways.items():
        rate = best_rate(given, name, way, parts)
        results[name] = over_seeds(given, name, way, parts, rate, whole=True)
    summary = {name: compared(values, results["scratch"]) for name, values in results.items()}
    print(f"\n{given.model}, {given.side}×{given.side}, {given.seeds} seeds")
    for name, one in summary.items():
        low, high = one["interval"]
        shown = "" if name == "scratch" else f"  {one['gain']:+.3f} ({low:+.3f} to {high:+.3f}) to scratch"
        print(f"{name:<8} {one['mean']:.3f}{shown}")
    if given.json:
        facts = {k: str(v) if isinstance(v, Path) else v for k, v in vars(given).items()}
        given.json.write_text(json.dumps({"settings": facts, "seeds": results, "summary": summary}, indent=1))


def compared(values: list[float], base: list[float]) -> dict[str, Any]:
    """Return the mean, and the mean paired difference with its interval."""
    difference = [a - b for a, b in zip(values, base, strict=True)]
    gain, half = statistics.fmean(difference), float("nan")
    if len(values) > 1:
        spread = statistics.stdev(difference) / len(values) ** 0.5
        half = float(scipy.stats.t.ppf(0.975, len(values) - 1)) * spread
    return {"mean": statistics.fmean(values), "gain": gain, "interval": (gain - half, gain + half)}


if __name__ == "__main__":
    main()
