"""What ``preceptor train TEXT --task embedding`` prints, pass by pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console

from preceptor.errors import ConfigError
from preceptor.report.terminal import line
from preceptor.run import EmbeddingRun, embed
from preceptor.training.experiment import parse_assignments

if TYPE_CHECKING:
    from preceptor.cli._training import Request
    from preceptor.training import Experiment

__all__ = ["perform_embedding"]

_KEYS = {
    "model": "model.name",
    "target": "data.target",
    "epochs": "training.epochs",
    "lr": "optimizer.lr",
    "batch_size": "training.batch_size",
    "device": "training.device",
}
_ROWS = 20  # of the table at most
_INTERRUPTED = 130  # what a shell expects of a program that Ctrl-C ended


def perform_embedding(request: Request, experiment: Experiment | None, data: str | None) -> int:
    """Train word vectors as requested, print what happens, and return the exit code."""
    given = {"--resume": request.resume, "--from": request.origin, "--attend": request.attend or None}
    asked = [f"{option} {value}" for option, value in given.items() if value is not None]
    if asked:
        raise ConfigError(
            "word vectors are trained in one go",
            expected="no --resume, --from or --attend",
            received=asked[0],
        )
    console = Console(highlight=False)
    named = {_KEYS.get(k, k): v for k, v in request.chosen.items() if v is not None}
    chosen: dict[str, Any] = {**named, **parse_assignments(request.settings)}

    def say(label: str, text: str) -> None:
        console.print(line(label, text), markup=False, soft_wrap=True)

    def started(run: EmbeddingRun) -> None:
        say("text", "\n".join(run.facts))
        model, training = run.experiment.model, run.experiment.training
        options = " · ".join(f"{k} {model.options[k]}" for k in ("dim", "window", "weighting", "x_max"))
        say("model", f"{model.name} · {options} · {training.batch_size:,} pairs a step")
        console.print("epoch  train_loss_running      s")

    def passed(run: EmbeddingRun) -> None:
        row, epochs = run.history[-1], run.experiment.training.epochs
        if row["epoch"] % -(-epochs // _ROWS) and row["epoch"] != epochs:
            return
        console.print(f"{row['epoch']:>5}  {row['train_loss_running']:>18.5f}  {row['seconds']:>5.1f}")

    run = embed(data, chosen, experiment=experiment, out=request.out, on_start=started, on_epoch=passed)
    assert run.folder is not None  # noqa: S101 - the command line always writes a run
    say("saved", f"{run.folder.path}; look with: preceptor neighbours {run.folder.path} WORD")
    say("report", str(run.report()))
    return _INTERRUPTED if run.status == "interrupted" else 0
