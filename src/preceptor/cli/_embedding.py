"""What ``preceptor train TEXT --task embedding`` prints, pass by pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

from preceptor.cli._other_kinds import INTERRUPTED, Lines, asked_settings, is_shown, refuse_options
from preceptor.run import EmbeddingRun, embed

if TYPE_CHECKING:
    from preceptor.cli._training import Request
    from preceptor.training import Experiment

__all__ = ["perform_embedding"]


def perform_embedding(request: Request, experiment: Experiment | None, data: str | None) -> int:
    """Train word vectors as requested, print what happens, and return the exit code."""
    refuse_options(request, "word vectors are trained in one go", ("--resume", "--from", "--attend"))
    lines = Lines(quiet=request.quiet)
    chosen = asked_settings(request, without=("precision",))

    def started(run: EmbeddingRun) -> None:
        lines.say("text", "\n".join(run.facts))
        model, training = run.experiment.model, run.experiment.training
        options = " · ".join(f"{k} {model.options[k]}" for k in ("dim", "window", "weighting", "x_max"))
        lines.say("model", f"{model.name} · {options} · {training.batch_size:,} pairs a step")
        lines.row("epoch  train_loss_running      s")

    def passed(run: EmbeddingRun) -> None:
        row, epochs = run.history[-1], run.experiment.training.epochs
        if not is_shown(row, epochs):
            return
        lines.row(f"{row['epoch']:>5}  {row['train_loss_running']:>18.5f}  {row['seconds']:>5.1f}")

    run = embed(data, chosen, experiment=experiment, out=request.out, on_start=started, on_epoch=passed)
    assert run.folder is not None  # noqa: S101 - the command line always writes a run
    lines.say("saved", f"{run.folder.path}; look with: preceptor neighbours {run.folder.path} WORD")
    lines.say("report", str(run.report()))
    return INTERRUPTED if run.status == "interrupted" else 0
