"""What ``preceptor train ENVIRONMENT --task reinforcement`` prints, epoch by epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from preceptor.cli._other_kinds import INTERRUPTED, Lines, asked_settings, is_shown, refuse_options
from preceptor.run.apart.episode_run import EpisodeRun
from preceptor.run.apart.reinforcement import reinforce

if TYPE_CHECKING:
    from preceptor.cli._training import Request
    from preceptor.training import Experiment

__all__ = ["perform_reinforcement"]


def perform_reinforcement(request: Request, experiment: Experiment | None, data: str | None) -> int:
    """Train learners as requested, print what happens, and return the exit code."""
    refuse_options(request, "learners of rewards start from nothing", ("--from", "--attend"))
    lines = Lines(quiet=request.quiet)
    chosen = asked_settings(request)

    def started(run: EpisodeRun) -> None:
        world, model = run.world, run.experiment.model
        lines.say(
            "world", f"{run.experiment.data.source} · {world.size} numbers seen · {world.actions} actions"
        )
        lines.say(
            "", f"random actions return {run.by_chance:.3g}, the best that can be done {world.best:.3g}"
        )
        options = " · ".join(f"{key} {value}" for key, value in model.options.items())
        lines.say("learner", f"{model.name} · {options}")
        lines.row("epoch  train_return  val_return  95 % interval over seeds      s")

    def passed(run: EpisodeRun) -> None:
        row, epochs = run.history[-1], run.experiment.training.epochs
        if not is_shown(row, epochs):
            return
        interval = f"{row['return_low']:.3f} – {row['return_high']:.3f}"
        shown = f"{row['train_return']:>12.3f}  {row['val_return']:>10.3f}  {interval:>24}"
        lines.row(f"{row['epoch']:>5}  {shown}  {row['seconds']:>5.1f}")

    run = reinforce(
        data, chosen, experiment=experiment, out=request.out, resume=request.resume, on_start=started,
        on_epoch=passed,
    )  # fmt: skip
    assert run.folder is not None  # noqa: S101 - the command line always writes a run
    if run.status == "interrupted":
        lines.say("saved", f"{run.folder.path}; go on with: preceptor train --resume {run.folder.path}")
        return INTERRUPTED
    lines.say("test", str(run.evaluate()))
    lines.say("report", str(run.report()))
    return 0
