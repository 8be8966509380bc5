"""What a training shows in a terminal: a few lines before, a table that stays, a bar under it, the result."""

from __future__ import annotations

import os
from collections.abc import Iterable
from time import perf_counter
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from preceptor.errors import PreceptorError, printable
from preceptor.report._format import duration, number
from preceptor.report.sparkline import sparkline
from preceptor.training import Callback, Problem, State

__all__ = ["EpochTable", "Plain", "describe_data", "describe_model", "line", "show_error", "terminal"]

_REFRESH = 0.1  # seconds between updates of the bar: each costs as much as a small training step
_PATIENCE = 60.0  # seconds without a line after which a pipe hears that the training goes on


class Plain(Console):
    """A console that takes text for text: no markup, and nothing that the terminal would obey."""

    def print(self, *objects: Any, markup: bool | None = False, **options: Any) -> None:
        """Print as rich does, control characters left out."""
        clean = [printable(one) if isinstance(one, str) else one for one in objects]
        super().print(*clean, markup=markup, **options)


def terminal(*, quiet: bool = False) -> Console:
    """Return what a command prints to: nothing moves or is coloured in pipes, in CI, or on dumb terminals.

    Arguments:
        quiet: print nothing at all.
    """
    if os.environ.get("CI", "").lower() not in ("", "0", "false"):
        return Plain(highlight=False, quiet=quiet, force_terminal=False, force_interactive=False)
    return Plain(highlight=False, quiet=quiet)


def line(label: str, text: str) -> str:
    """Return a labelled line; further lines of the text are indented under it.

    Example:
        >>> line("report", "runs/digits-1/report.html")
        'report   runs/digits-1/report.html'
    """
    return f"{label:<9}" + text.replace("\n", "\n         ")


def describe_data(prepared: Any) -> str:
    """Return one line about examples, classes and split."""
    dataset, split = prepared.dataset, prepared.split
    count = f"{len(dataset.targets):,}"
    shape = prepared.preprocessor.input_shape
    if dataset.kind == "images":
        channels, height, width = shape
        what = f"{count} images {height}×{width}" + (f"×{channels}" if channels > 1 else "")
    elif dataset.kind == "pairs":
        sides = (prepared.preprocessor.encoder.coder, prepared.preprocessor.coder.coder)
        symbols = " to ".join(f"{len(side):,} symbols" for side in sides)
        return f"{count} pairs of texts · {symbols} · split {split.text}"
    else:
        what = f"{count} rows · {len(dataset.feature_names)} features"
    classes = prepared.preprocessor.classes
    goal = f"{len(classes)} classes" if classes else f"target {dataset.target_name or 'y'}"
    return f"{what} · {goal} · split {split.text}"


def describe_model(problem: Problem, name: str) -> str:
    """Return one line about the model: name, sizes, parameters.

    The name of a user's own class is shown without its module.
    """
    sizes = getattr(problem.model, "sizes", None)
    shown = name.rpartition(":")[2] + (" " + "-".join(map(str, sizes)) if sizes else "")
    parameters = list(problem.model.parameters())
    trainable = sum(p.numel() for p in parameters if p.requires_grad)
    frozen = sum(p.numel() for p in parameters) - trainable
    return f"{shown} · {trainable:,} parameters" + (f" ({frozen:,} more are frozen)" if frozen else "")


def show_error(error: PreceptorError, console: Console) -> None:
    """Print an error's message in plain words."""
    console.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)


class EpochTable(Callback):
    """Prints a row an epoch, which stays, and keeps a progress bar under the rows in a terminal.

    The bar has the rate, the time left and the curve so far. Where nothing can move, such as in a pipe, an
    epoch of over a minute gets a line a minute in its place.
    """

    order = 100

    def __init__(self, console: Console) -> None:
        self.console = console
        self._bar: Progress | None = None
        self._columns: list[str] = []
        self._drawn = self._begun = self._said = 0.0
        self._first = self._before = 0

    def on_train_begin(self, state: State) -> None:
        """Print the head, and the rows of the epochs before a resume; start the bar."""
        problem = state.problem
        metric = next(iter(problem.task.metrics), None)
        part = "val" if problem.val is not None else "train"
        self._columns = ["epoch", "train_loss" if problem.probe else "train_loss_running"]
        self._columns += [f"{part}_loss"] if part == "val" else []
        self._columns += [f"{part}_{metric}"] if metric and (problem.val or problem.probe) else []
        self._columns += ["lr", "seconds"]
        names = ["s" if c == "seconds" else c for c in self._columns]
        self._print("  ".join(f"{n:>{_width(c)}}" for n, c in zip(names, self._columns, strict=True)))
        for row in state.history:
            self._print(self._row(row))
        self._begun = self._said = self._drawn = perf_counter()
        self._first = self._before = _done(state)
        if self.console.is_interactive:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                TextColumn("left  {task.fields[curve]}"),
            )
            self._bar = Progress(*columns, console=self.console, transient=True)
            total = state.epochs * len(problem.train)
            self._task = self._bar.add_task(
                self._title(state), total=total, completed=self._first, rate="", curve=self._curve(state)
            )
            self._bar.start()

    def on_batch_end(self, state: State) -> None:
        """Move the bar, ten times a second at most; without one, say once a minute how far it is."""
        now = perf_counter()
        if self._bar is not None and now - self._drawn > _REFRESH:
            done, since = _done(state), now - self._drawn
            rate = f"{number((done - self._before) / since, 3)} batches/s"
            self._drawn, self._before = now, done
            self._bar.update(self._task, completed=done, description=self._title(state), rate=rate)
        elif self._bar is None and now - self._said > _PATIENCE:
            self._said = now
            self._print("       " + self._far(state, now - self._begun))

    def _far(self, state: State, seconds: float) -> str:
        """Return in words how far a training is, how fast, and how long it will take."""
        done, total = _done(state), state.epochs * len(state.problem.train)
        rate = (done - self._first) / seconds
        left = f" · {duration((total - done) / rate)} left at most" if rate else ""
        share = state.batch / len(state.problem.train)
        return f"{self._title(state)}, {100 * share:.0f} % of it · {number(rate, 3)} batches/s{left}"

    def on_epoch_end(self, state: State) -> None:
        """Print the epoch's row; the last one says why it is the last."""
        self._said = perf_counter()
        if self._bar is not None:
            self._bar.update(self._task, curve=self._curve(state))
        row = self._row(state.history[-1])
        if state.finished or state.stop:
            reason = {"early stopping": "stopped", None: "all epochs run"}.get(state.stop, state.stop)
            row += f"   ← {reason}; best = {state.best_epoch}"
        self._print(row)

    def on_train_end(self, state: State) -> None:
        """Take the bar away; say so if the training was stopped within an epoch."""
        self._close()
        if state.batch:
            self._print(f"         ← {state.stop} at step {state.step}, within epoch {state.epoch + 1}")

    def on_exception(self, state: State) -> None:
        """Take the bar away, so that the message is seen."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _title(self, state: State) -> str:
        return f"epoch {min(state.epoch + 1, state.epochs)}/{state.epochs}"

    def _curve(self, state: State) -> str:
        """Return the loss of each epoch so far as one line."""
        key = "val_loss" if "val_loss" in self._columns else self._columns[1]
        values = [row.get(key) for row in state.history]
        return f"{key} {sparkline(values)} {number(values[-1])}" if values else ""

    def _row(self, row: dict[str, Any]) -> str:
        return "  ".join(f"{_cell(c, row.get(c)):>{_width(c)}}" for c in self._columns)

    def _print(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


def _done(state: State) -> int:
    """Return how many batches are used up."""
    return state.epoch * len(state.problem.train) + state.batch


def _width(column: str) -> int:
    return {"epoch": 5, "lr": 8, "seconds": 5}.get(column, max(len(column), 8))


def _cell(column: str, value: Any) -> str:
    if value is None:
        return "–"
    if column == "epoch":
        return str(value)
    if column == "lr":
        return f"{value:.1e}"
    if column == "seconds":
        return f"{value:.1f}"
    return f"{value:.3f}" if abs(value) < 1e4 else f"{value:.3e}"


def table(rows: Iterable[tuple[str, ...]], heads: tuple[str, ...]) -> str:
    """Return rows under heads as text with aligned columns.

    Example:
        >>> print(table([("lr", "0.1", "0.01")], ("setting", "a", "b")))
        setting  a    b
        lr       0.1  0.01
    """
    lines = [heads, *rows]
    widths = [max(len(cells[i]) for cells in lines) for i in range(len(heads))]
    return "\n".join(
        "  ".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)).rstrip() for cells in lines
    )
