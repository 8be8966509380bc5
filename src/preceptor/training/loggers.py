"""Callbacks that write a training into other tools, TensorBoard and MLflow: by name, or as objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from preceptor.errors import UnknownName, import_extra
from preceptor.training.callbacks import Callback
from preceptor.training.experiment import Experiment
from preceptor.training.folder import RunFolder
from preceptor.training.state import State

__all__ = ["LOGGERS", "Logger", "MLflow", "TensorBoard", "begin_loggers", "with_named"]

_AT_ONCE = 100  # parameters that MLflow takes in one call
_LONGEST = 500  # characters of a parameter's value that every MLflow takes


class Logger(Callback):
    """What writes elsewhere as a training goes on; of several processes the first one alone writes."""

    order = 60

    def __init__(self) -> None:
        self.experiment, self.folder = Experiment(), None  # type: tuple[Experiment, Path | None]

    def begin(self, experiment: Experiment, folder: Path | None) -> None:
        """Hear of the settings, and of the run's folder, before the first step."""
        self.experiment, self.folder = experiment, folder

    def on_train_begin(self, state: State) -> None:
        """Begin to write."""
        if state.problem.distribution is None or state.problem.distribution.first:
            self._open(state)

    def _open(self, state: State) -> None:
        raise NotImplementedError


class TensorBoard(Logger):
    """Writes event files for TensorBoard: ``tensorboard --logdir runs`` shows all runs.

    At the end of each epoch every number of the history is written under ``<measure>/<part>``, such as
    ``loss/train``, ``loss/val`` and ``accuracy/val``, over the optimizer's steps; in between the running loss
    as ``loss/train_step``; the settings once, as text. A resumed training goes on in the same curves.

    Arguments:
        folder: where to write; default: ``tensorboard`` within the run's folder, or ``runs`` without one.
        every: steps between two losses of single steps; 0: none. Each waits for an accelerator.

    Raises:
        ExtraMissing: the package tensorboard is not installed: ``preceptor[tensorboard]``.
    """

    def __init__(self, folder: Path | str | None = None, every: int = 50) -> None:
        super().__init__()
        for module in ("tensorboard", "torch.utils.tensorboard"):  # the first says what is missing
            self._module = import_extra(module, extra="tensorboard", purpose="writing for TensorBoard")
        self.place, self.every = folder, every
        self._writer: Any = None

    def _open(self, state: State) -> None:
        place = self.place or (self.folder / "tensorboard" if self.folder else "runs")
        begun = {"purge_step": state.step} if state.step else {}
        self._writer = self._module.SummaryWriter(log_dir=str(place), **begun)
        if not state.step:
            self._writer.add_text("settings", f"```toml\n{self.experiment.to_toml()}\n```", 0)

    def on_batch_end(self, state: State) -> None:
        """Write the step's loss, now and then."""
        wanted = self._writer is not None and self.every and state.step % self.every == 0
        if wanted and state.loss is not None:
            self._writer.add_scalar("loss/train_step", float(state.loss), state.step)

    def on_epoch_end(self, state: State) -> None:
        """Write the epoch's numbers."""
        if self._writer is not None:
            for name, value in _numbers(state):
                self._writer.add_scalar(_tag(name), value, state.step)

    def on_train_end(self, state: State) -> None:
        """Close the file."""
        self._close()

    def on_exception(self, state: State) -> None:
        """Close the file: what was written stays."""
        self._close()

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class MLflow(Logger):
    """Writes a run of MLflow: settings as parameters, the history as metrics by epoch, the run's files.

    Where a run of MLflow is active it is written into and left open; else one is begun, and ends as the
    training does: FINISHED, KILLED where it was interrupted, FAILED where it diverged or an error left it.

    Arguments:
        experiment: MLflow's experiment; default: the one that is set.
        tracking_uri: where MLflow keeps its runs; default: as MLflow is set up.

    Raises:
        ExtraMissing: the package mlflow is not installed: ``preceptor[mlflow]``.
    """

    def __init__(self, experiment: str | None = None, tracking_uri: str | None = None) -> None:
        super().__init__()
        self._mlflow = import_extra("mlflow", extra="mlflow", purpose="writing for MLflow")
        self.named, self.tracking_uri = experiment, tracking_uri
        self._writing = self._own = False

    def _open(self, state: State) -> None:
        if self.tracking_uri is not None:
            self._mlflow.set_tracking_uri(self.tracking_uri)
        if self.named is not None:
            self._mlflow.set_experiment(self.named)
        self._own = self._mlflow.active_run() is None
        if self._own:
            name = self.folder.name if self.folder else self.experiment.name
            self._mlflow.start_run(run_name=name)
        self._writing = True
        for some in _parts(self.experiment.flat()):
            self._mlflow.log_params(some)

    def on_epoch_end(self, state: State) -> None:
        """Write the epoch's numbers."""
        if self._writing:
            self._mlflow.log_metrics(dict(_numbers(state)), step=state.epoch)

    def on_train_end(self, state: State) -> None:
        """Write the settings' file and the best epoch, and end the run."""
        if not self._writing:
            return
        if state.best_epoch is not None:
            self._mlflow.log_metric("best_epoch", state.best_epoch)
        if self.folder is not None:
            self._mlflow.log_artifact(str(self.folder / "experiment.toml"))
        self._end({"diverged": "FAILED", "interrupted": "KILLED"}.get(state.stop or "", "FINISHED"))

    def on_exception(self, state: State) -> None:
        """End the run as one that failed."""
        self._end("KILLED" if isinstance(state.exception, KeyboardInterrupt) else "FAILED")

    def _end(self, status: str) -> None:
        if self._writing and self._own:
            self._mlflow.end_run(status=status)
        self._writing = False


LOGGERS: dict[str, type[Logger]] = {"mlflow": MLflow, "tensorboard": TensorBoard}
"""What can be named among callbacks."""


def with_named(callbacks: Iterable[Any]) -> list[Callback]:
    """Return callbacks, those that are given by name made.

    Raises:
        UnknownName: there is none of that name.
        ExtraMissing: its package is not installed.
    """
    made = []
    for one in [callbacks] if isinstance(callbacks, str) else callbacks:
        if isinstance(one, str) and one not in LOGGERS:
            raise UnknownName("callback", one, LOGGERS)
        made.append(LOGGERS[one]() if isinstance(one, str) else one)
    return made


def begin_loggers(callbacks: Iterable[Callback], experiment: Experiment, folder: RunFolder | None) -> None:
    """Tell those callbacks that write elsewhere of the settings and the folder."""
    for one in callbacks:
        if isinstance(one, Logger):
            one.begin(experiment, folder.path if folder else None)


def _numbers(state: State) -> Iterator[tuple[str, float]]:
    for name, value in state.history[-1].items():
        if name != "epoch" and isinstance(value, int | float):
            yield name, float(value)


def _tag(name: str) -> str:
    """Return a history key as TensorBoard groups it.

    Example:
        >>> [_tag(name) for name in ("train_loss", "val_accuracy", "train_loss_running", "lr")]
        ['loss/train', 'accuracy/val', 'loss/train_running', 'lr']
    """
    part, _, measure = name.partition("_")
    if part not in ("train", "val") or not measure:
        return name
    if measure.endswith("_running"):
        return f"{measure.removesuffix('_running')}/{part}_running"
    return f"{measure}/{part}"


def _parts(settings: dict[str, Any]) -> Iterator[dict[str, str]]:
    rest = iter(settings.items())
    while some := {key: str(value)[:_LONGEST] for key, value in islice(rest, _AT_ONCE)}:
        yield some
