"""The journal of a search: what was tried, in the order in which it was, line by line, never rewritten."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from preceptor.errors import CheckpointError, StorageError
from preceptor.files import strict
from preceptor.locks import hold
from preceptor.seals import KEY, sealed, unsealed
from preceptor.trials.change import Change
from preceptor.untrusted import understood

__all__ = ["Journal", "Result", "Trial", "best_of", "ranking"]


@dataclass(frozen=True)
class Result:
    """What a trial came to, as far as it was trained.

    Attributes:
        value: what decides, at the best epoch; None where the trial diverged, failed, or measured nothing.
        measures: everything that was measured on validation at that epoch.
        epochs: how many were run.
        steps: optimizer steps.
        seconds: training time.
        best_epoch: counted from 1.
        status: how it ended: finished, early stopping, diverged, failed; paused where its method may go on
            with it; budget where the search was over.
        error: why it failed.
        notes: what is odd about its course.
    """

    value: float | None
    measures: Mapping[str, float] = field(default_factory=dict)
    epochs: int = 0
    steps: int = 0
    seconds: float = 0.0
    best_epoch: int | None = None
    status: str = "finished"
    error: str = ""
    notes: tuple[str, ...] = ()


@dataclass
class Trial:
    """One setting of the hyperparameters, and what came of it.

    Attributes:
        number: counted from 0.
        stage: which part of the search it belongs to.
        settings: the hyperparameters, by dotted key.
        parent: the number of the trial that it differs least from; None: the experiment as it was given.
        changes: what is other than in its parent.
        seed: of its training.
        repeats: the number of the trial whose settings it repeats with another seed.
        note: what a person wrote.
        epochs: how far it is to be trained; None: to its end.
        token: what the method knows it by.
        results: one for each time that it was trained on, the latest last.
        open: whether it is still to be trained.
    """

    number: int
    stage: str
    settings: dict[str, Any]
    parent: int | None = None
    changes: tuple[Change, ...] = ()
    seed: int = 0
    repeats: int | None = None
    note: str = ""
    epochs: int | None = None
    token: str = ""
    results: list[Result] = field(default_factory=list)
    open: bool = False

    @property
    def result(self) -> Result | None:
        """The latest result; None while there is none."""
        return self.results[-1] if self.results else None

    @property
    def value(self) -> float | None:
        """What decides; None where there is nothing to decide by."""
        return self.result.value if self.result else None

    @property
    def changed(self) -> str:
        """What is other than in its parent, in words.

        Example:
            >>> Trial(3, "random", {}, 1, (Change("lr", 0.1, 0.01),)).changed
            'lr 0.1 → 0.01, from trial 1'
        """
        origin = "the experiment as it is" if self.parent is None else f"trial {self.parent}"
        if self.repeats is not None:
            return f"trial {self.repeats} with seed {self.seed}"
        if not self.changes:
            return origin
        return ", ".join(map(str, self.changes)) + f", from {origin}"

    def to_plain(self) -> dict[str, Any]:
        """Return what is known of it before it is trained."""
        return {
            "number": self.number,
            "stage": self.stage,
            "settings": self.settings,
            "parent": self.parent,
            "changes": [{**change.to_plain(), "text": str(change)} for change in self.changes],
            "seed": self.seed,
            "repeats": self.repeats,
            "note": self.note,
            "epochs": self.epochs,
            "token": self.token,
        }


class Journal:
    """The lines of one search. A line is whole or not there: what a kill cut off is dropped.

    One process writes at a time; a second one is refused.

    Arguments:
        path: the file; it is made where there is none.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "journal.jsonl"
        >>> with Journal(path) as journal:
        ...     journal.begin(Trial(0, "random", {"optimizer.lr": 0.1}))
        ...     journal.end(0, Result(0.5))
        >>> [(trial.settings, trial.value) for trial in Journal(path).trials]
        [({'optimizer.lr': 0.1}, 0.5)]
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trials: list[Trial] = []
        self.elapsed = 0.0
        self._file: int | None = None
        self._held = ExitStack()
        self._read()

    def __enter__(self) -> Journal:
        with ExitStack() as stack:
            lock = self.path.with_suffix(".lock")
            stack.enter_context(hold(self.path.parent, lock, doing="searching"))
            try:
                self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            except OSError as error:
                raise StorageError(f"cannot write {self.path}", received=error.strerror) from error
            stack.callback(self._close)
            self._read()
            os.ftruncate(self._file, self._whole)
            self._held = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def begin(self, trial: Trial) -> None:
        """Write down a trial before it is trained."""
        self._write({"event": "begun", **trial.to_plain()})
        trial.open = True
        self.trials.append(trial)

    def go_on(self, number: int, epochs: int | None) -> None:
        """Write down that a trial is trained further."""
        self._write({"event": "continued", "number": number, "epochs": epochs})
        self._continue(number, epochs)

    def end(self, number: int, result: Result, *, elapsed: float = 0.0) -> None:
        """Write down what came of a trial, and how long the search has taken until then."""
        self._write({"event": "ended", "number": number, **vars(result), "elapsed": elapsed})
        self._end(number, result, elapsed)

    def say(self, event: str, **facts: Any) -> None:
        """Write down something else for whoever reads the journal."""
        self._write({"event": event, **facts})

    def _continue(self, number: int, epochs: int | None) -> None:
        trial = self.trials[number]
        trial.open, trial.epochs = True, epochs

    def _end(self, number: int, result: Result, elapsed: float) -> None:
        trial = self.trials[number]
        trial.open = result.status == "budget"
        trial.results.append(result)
        self.elapsed = max(self.elapsed, elapsed)

    def _write(self, line: Mapping[str, Any]) -> None:
        if self._file is None:
            raise StorageError(f"{self.path} is not open", expected="with Journal(path) as journal")
        text = (json.dumps(_sealed(line)) + "\n").encode()
        try:
            if os.write(self._file, text) < len(text):
                raise OSError("the disk is full")  # noqa: TRY301 - what a full disk does half the time
            os.fsync(self._file)
            self._whole += len(text)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._file, self._whole)
            raise StorageError(f"cannot write {self.path}", received=str(error)) from error

    def _read(self) -> None:
        self.trials, self.elapsed, self._whole = [], 0.0, 0
        if not self.path.exists():
            return
        with understood(self.path, "a journal as a search writes it", CheckpointError):
            content = self.path.read_bytes()
            self._whole = content.rfind(b"\n") + 1
            lines = [dict(json.loads(line)) for line in content[: self._whole].decode().splitlines()]
            if len({KEY in line for line in lines}) > 1:
                raise ValueError("a line without a checksum")
            for line in lines:
                self._replay(unsealed(line))

    def _replay(self, line: Mapping[str, Any]) -> None:
        if line["event"] == "begun":
            plain = {k: line[k] for k in Trial(0, "", {}).to_plain()}
            plain["changes"] = tuple(Change.from_plain(change) for change in plain["changes"])
            plain["settings"] = {key: _listed(value) for key, value in plain["settings"].items()}
            if plain["number"] != len(self.trials):
                raise ValueError(f"trial {plain['number']} where trial {len(self.trials)} was to come")
            self.trials.append(Trial(**plain, open=True))
        elif line["event"] == "continued":
            self._continue(line["number"], line["epochs"])
        elif line["event"] == "ended":
            known = {k: line[k] for k in vars(Result(None))}
            known["notes"] = tuple(known["notes"])
            self._end(line["number"], Result(**known), line["elapsed"])


def best_of(trials: Iterable[Trial], mode: str) -> Trial | None:
    """Return the trial with the best value, the earlier one of equals; None where none has any.

    Example:
        >>> tried = [Trial(i, "", {}, results=[Result(value)]) for i, value in enumerate((0.4, None, 0.3))]
        >>> best_of(tried, "min").number, best_of(tried, "max").number
        (2, 0)
    """
    ranked = ranking(list(trials), mode)
    return ranked[0] if ranked else None


def ranking(trials: Sequence[Trial], mode: str) -> list[Trial]:
    """Return the trials that have a value, the best first."""
    sign = 1.0 if mode == "min" else -1.0
    return sorted(
        (trial for trial in trials if trial.value is not None and not trial.open),
        key=lambda trial: (sign * (trial.value or 0.0), trial.number),
    )


def _sealed(line: Mapping[str, Any]) -> dict[str, Any]:
    return sealed(json.loads(json.dumps(strict(line), default=str)))


def _listed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
