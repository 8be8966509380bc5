"""What ``preceptor train ENVIRONMENT --task reinforcement`` prints, epoch by epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console

from preceptor.errors import ConfigError
from preceptor.report.terminal import line
from preceptor.run._episode_run import EpisodeRun
from preceptor.run._reinforcement import reinforce
from preceptor.training.experiment import parse_assignments

if TYPE_CHECKING:
    from preceptor.cli._training import Request
    from preceptor.training import Experiment

__all__ = ["perform_reinforcement"]

_KEYS = {
    "model": "model.name",
    "target": "data.target",
    "epochs": "training.epochs",
    "lr": "optimizer.lr",
    "batch_size": "training.batch_size",
    "precision": "training.precision",
    "device": "training.device",
}
_ROWS = 20  # of the table at most
_INTERRUPTED = 130  # what a shell expects of a program that Ctrl-C ended


def perform_reinforcement(request: Request, experiment: Experiment | None, data: str | None) -> int:
    """Train learners as requested, print what happens, and return the exit code."""
    if request.origin is not None or request.attend:
        raise ConfigError(
            "learners of rewards start from nothing",
            expected="no --from and no --attend",
            received="--attend" if request.attend else f"--from {request.origin}",
        )
    console = Console(highlight=False)
    named = {_KEYS.get(k, k): v for k, v in request.chosen.items() if v is not None}
    chosen: dict[str, Any] = {**named, **parse_assignments(request.settings)}

    def say(label: str, text: str) -> None:
        console.print(line(label, text), markup=False, soft_wrap=True)

    def started(run: EpisodeRun) -> None:
        world, model = run.world, run.experiment.model
        say("world", f"{run.experiment.data.source} · {world.size} numbers seen · {world.actions} actions")
        say("", f"random actions return {run.by_chance:.3g}, the best that can be done {world.best:.3g}")
        options = " · ".join(f"{key} {value}" for key, value in model.options.items())
        say("learner", f"{model.name} · {options}")
        console.print("epoch  train_return  val_return  95 % interval over seeds      s")

    def passed(run: EpisodeRun) -> None:
        row, epochs = run.history[-1], run.experiment.training.epochs
        if row["epoch"] % -(-epochs // _ROWS) and row["epoch"] != epochs:
            return
        interval = f"{row['return_low']:.3f} – {row['return_high']:.3f}"
        shown = f"{row['train_return']:>12.3f}  {row['val_return']:>10.3f}  {interval:>24}"
        console.print(f"{row['epoch']:>5}  {shown}  {row['seconds']:>5.1f}")

    run = reinforce(
        data, chosen, experiment=experiment, out=request.out, resume=request.resume, on_start=started,
        on_epoch=passed,
    )  # fmt: skip
    assert run.folder is not None  # noqa: S101 - the command line always writes a run
    if run.status == "interrupted":
        say("saved", f"{run.folder.path}; go on with: preceptor train --resume {run.folder.path}")
        return _INTERRUPTED
    say("test", str(run.evaluate()))
    say("report", str(run.report()))
    return 0
