"""``preceptor train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["train"]


def train(
    data: Annotated[
        str | None,
        typer.Argument(help="A built-in set such as digits, a file, a folder, or an experiment.toml."),
    ] = None,
    target: Annotated[str | None, typer.Option(help="The column to predict, in a table.")] = None,
    model: Annotated[
        str | None, typer.Option(help="A name from the catalogue, or your own: file.py:Name.")
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="classification, regression, multi-label, segmentation, denoising, reconstruction, "
            "imputation, anomaly-detection, density-estimation, transcription, tagging, parsing, "
            "language-modelling, translation, "
            "embedding, clustering, principal-components or reinforcement; default: by the targets."
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="At most this many passes over the training examples.")
    ] = None,
    lr: Annotated[float | None, typer.Option(help="The learning rate.")] = None,
    batch_size: Annotated[str | None, typer.Option(help="Examples a batch, or 'full'.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, dropout and the order of examples.")] = None,
    augment: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Vary the images in training: standard, or a name of the catalogue; repeatable.",
        ),
    ] = None,
    level: Annotated[
        str | None, typer.Option(help="What a text falls into: char, word, punctuated or byte-pairs.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Any setting, such as optimizer.lr=3e-3; may be repeated."
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(help="float32 (default), bf16 or fp16; auto measures here whether half is faster."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, …")] = None,
    out: Annotated[Path | None, typer.Option(help="The run's folder; default: the next runs/NAME-N.")] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with the run in this folder, exactly where it was.")
    ] = None,
    attend: Annotated[
        bool,
        typer.Option(
            "--attend", help="Where something is wrong, try what may help, apply what does, and train again."
        ),
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Look first whether it can work; refuse it where it cannot.")
    ] = False,
    goal: Annotated[
        float | None,
        typer.Option(help="The headline measure that is wanted, such as 0.98; --attend goes on until then."),
    ] = None,
    origin: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="RUN",
            help="Start from the weights of this run, on other data; with --apply: from its settings.",
        ),
    ] = None,
    freeze: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LAYERS",
            help="Layers that do not learn: all-but-head, first-3, 'features.*', …; may be repeated.",
        ),
    ] = None,
    unfreeze: Annotated[
        list[str] | None,
        typer.Option(
            metavar="EPOCH=LAYERS",
            help="Layers that learn from an epoch on, such as 5=last-2; 10: all of them; may be repeated.",
        ),
    ] = None,
    layer_lr_decay: Annotated[
        float | None,
        typer.Option(metavar="FACTOR", help="Of the learning rate, from each layer to the one before it."),
    ] = None,
    apply: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="With --from: make the change that removes that run's finding N, or KIND=VALUE.",
        ),
    ] = None,
    members: Annotated[
        int | None,
        typer.Option(metavar="K", help="Train K networks of different seeds, and combine what they predict."),
    ] = None,
    bag: Annotated[
        bool, typer.Option("--bag", help="Each member learns from its own sample, drawn with replacement.")
    ] = False,
    vary: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=A|B", help="Values that members take in turn; may be repeated."),
    ] = None,
    snapshots: Annotated[
        int | None,
        typer.Option(metavar="K", help="Combine K snapshots of one training under a cyclic learning rate."),
    ] = None,
    combine: Annotated[
        str | None,
        typer.Option(help="probabilities, outputs, votes, inverse-variance or validation."),
    ] = None,
    together: Annotated[
        bool | None,
        typer.Option(
            "--together/--apart", help="Train members in one step, or one after another; default: by size."
        ),
    ] = None,
    average: Annotated[
        str | None, typer.Option(help="Average the weights over the steps: polyak, ema or swa.")
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(help="Under torchrun: fully cuts up weights, gradients and moments among them."),
    ] = None,
    log: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Write for other tools, too: tensorboard or mlflow; repeatable."),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print the result alone: no settings, no table of epochs.")
    ] = False,
    test: Annotated[
        bool, typer.Option("--test/--no-test", help="Measure once on the test set at the end.")
    ] = True,
) -> None:
    """Train a network, and write a run folder with its weights, history and report."""
    from preceptor.cli._members import asked
    from preceptor.cli._training import Request, perform

    chosen: dict[str, Any] = {
        "target": target,
        "model": model,
        "task": task,
        "epochs": epochs,
        "lr": lr,
        "batch_size": int(batch_size) if batch_size and batch_size.isdigit() else batch_size,
        "seed": seed,
        "precision": precision,
        "device": device,
        "augmentations": augment,
        "freeze": freeze or None,
        "unfreeze": unfreeze or None,
        "layer_lr_decay": layer_lr_decay,
        "average": average,
        "check": check or None,
        "goal": goal,
    }
    named = {"text.level": level, "training.shard": shard}
    given = [*(f"{key}={value}" for key, value in named.items() if value), *(settings or [])]
    several = asked(
        members, bag=bag, vary=vary or [], snapshots=snapshots, combine=combine, together=together
    )
    request = Request(
        data, chosen, given, out, resume, test, attend, origin, apply, several, quiet, tuple(log or ())
    )
    raise typer.Exit(perform(request))
