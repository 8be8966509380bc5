"""What ``preceptor run`` does: it runs the program, and writes what was seen when the program has ended."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from preceptor.cli._findings import FAILED, Wishes, place
from preceptor.files import own_file
from preceptor.observation.script import Outcome, run_module, run_script

__all__ = ["Request", "perform"]


@dataclass(frozen=True)
class Request:
    """The command line of ``preceptor run``, parsed."""

    program: str
    args: list[str]
    module: bool = False
    level: str = "standard"
    json: Path | None = None
    report: Path | None = None
    record: Path | None = None
    wishes: Wishes = field(default_factory=Wishes)
    trials: bool = False
    write: bool = False


def perform(request: Request, hook: Callable[..., Any]) -> NoReturn:
    """Run the program, write what was asked for, and exit as the program would have.

    Arguments:
        request: What to run, and what to write.
        hook: Python's own ``sys.excepthook``, which the command line has replaced.
    """
    rank = _rank()
    request = replace(
        request,
        json=place(request.json, "--json", rank),
        report=place(request.report, "--report", rank),
        record=place(request.record, "--record", rank, folder=True),
        wishes=request.wishes.checked(rank),
    )
    closing = _Closing(request, quiet=rank > 0)
    sys.excepthook = hook
    # The first to be registered is the last to run: after the program's threads and its own such functions.
    atexit.register(closing.at_exit)
    start = run_module if request.module else run_script

    def watch() -> Any:
        closing.watch = _watch(request)
        return closing.watch

    closing.write_when_terminated()
    closing.outcome = outcome = start(request.program, request.args, watch)
    if not outcome.running:
        closing.write()  # now, while threads can be started; Python refuses that during its exit
    if type(outcome.error) is KeyboardInterrupt and outcome.code == 130:
        sys.excepthook = lambda *_: (
            None
        )  # shown already; Python ends itself by the signal, as after any Ctrl-C
        raise KeyboardInterrupt
    sys.exit(FAILED if outcome.code == 0 and closing.failed else outcome.code)


def _watch(request: Request) -> Any:
    from preceptor.observation.watch import Watch

    return Watch(level=request.level, **({"trials": True} if request.trials else {}))


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _rank() -> int:
    """Return this process's number among those that torchrun has started, 0 without it."""
    rank = os.environ.get("RANK", "")
    return int(rank) if rank.isdecimal() else 0


class _Closing:
    """Writes the results once, and says so on stderr after everything that the program had to say."""

    def __init__(self, request: Request, *, quiet: bool) -> None:
        self.request, self.quiet = request, quiet
        self.outcome: Outcome | None = None
        self.watch: Any = None  # as soon as there is one, while the program runs
        self.findings: list[Any] | None = None  # None: not judged
        self.patches: Any = None
        self.started = time.time()
        self.lines: list[str] = []
        self.process = os.getpid()
        self.written = self.failed = False

    def write_when_terminated(self) -> None:
        """Write what has been seen when somebody asks this process to end, and end it as that would have.

        A program with an answer of its own to SIGTERM replaces this one.
        """
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL and _in_main_thread():
            signal.signal(signal.SIGTERM, self._terminated)

    def _terminated(self, number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        if self.process == os.getpid() and not self.written:
            self.outcome = self.outcome or Outcome(code=128 + number, watch=self.watch)
            self.write()
            self.say()
        os.kill(os.getpid(), number)

    def at_exit(self) -> None:
        if self.outcome is None or self.process != os.getpid():  # not started, or a child that it forked
            return
        self.outcome.end()
        late = not self.written
        self.write()
        if late and self.failed:  # Python has the exit code already
            self.lines.append(
                _line("note", "--fail-on: threads ran on after the program's end; it exits as it would")
            )
        self.say()

    def say(self) -> None:
        """Say on stderr what was written, after everything that the program had to say."""
        for stream in (sys.stdout, sys.stderr):
            _quietly(lambda stream=stream: stream.flush())  # type: ignore[misc]  # the default binds the stream
        said = "".join(f"{line}\n" for line in self.lines)
        _quietly(lambda: print(said, end="", file=sys.__stderr__, flush=True))

    def write(self) -> None:
        if self.written or self.outcome is None or self.process != os.getpid():
            return
        self.written = True
        try:
            summary = _summary(self.outcome)
            self._judge(self.outcome.watch, summary)
            self._patch(summary)
            shown = [] if self.quiet else self._said(summary)
            self.lines = shown + self._files(self.outcome.watch, summary) + self._edits()
        except KeyboardInterrupt:
            self.lines = ["error    interrupted while the results were written"]

    def _judge(self, watch: Any, summary: dict[str, Any]) -> None:
        """Find what went wrong, where there are steps to judge."""
        if watch is None or not summary.get("steps", {}).get("train"):
            return
        notes, wishes = summary["notes"], self.request.wishes
        try:
            from preceptor.diagnosis.diagnose import diagnose

            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                seen = watch.observed
                self.findings = diagnose(seen, ignore=wishes.ignore, complain=notes.append)
                if self.request.trials:
                    self.findings = self._tried(watch, seen, notes)
            self.failed = not self.quiet and wishes.fails(self.findings)
        except Exception as error:  # noqa: BLE001 the program's end stays its own
            notes.append(f"no diagnosis: {type(error).__name__}: {error}")

    def _tried(self, watch: Any, seen: Any, notes: list[str]) -> list[Any]:
        """Try remedies, now that the program is over."""
        from preceptor.trials.counterfactual import try_remedies

        outcome = try_remedies(self.findings or [], watch.kept, seen, run_seconds=watch.seconds)
        notes += outcome.notes
        return outcome.findings

    def _patch(self, summary: dict[str, Any]) -> None:
        """Find the edits of the program that would make the remedies."""
        if not self.findings or self.quiet:
            return
        from preceptor.cli._patches import Patches

        root = Path(self.request.wishes.root)
        try:
            self.patches = Patches(
                self.findings,
                lambda file: own_file(file, self._program, root),
                root,
                self.started,
                self._program,
            )
        except Exception as error:  # noqa: BLE001 the program's end stays its own
            summary["notes"].append(f"no patches: {type(error).__name__}: {error}")

    @property
    def _program(self) -> str:
        return "" if self.request.module else self.request.program

    def _edits(self) -> list[str]:
        """Apply the patches of the alarms that are named, where that is asked for."""
        if not self.request.write or self.patches is None:
            return []
        knows = self.request.wishes.knows
        alarms = [i for i, one in enumerate(self.findings or []) if one.severity != "info" and not knows(one)]
        return [_line(label, text) for label, text in self.patches.write(alarms)]

    def _said(self, summary: dict[str, Any]) -> list[str]:
        seen, blocks = _seen(summary), []
        if self.findings is not None:
            from preceptor.diagnosis.show import counts

            seen.append(counts(self.findings))
            blocks = [f"\n{block}" for block in self._blocks()]
        notes = [_line("note", str(note)) for note in summary["notes"]]
        told = self.request.wishes.annotated(self.findings or [], self._program)
        return [_line("watched", " · ".join(seen)), *notes, *blocks, *([""] if blocks else []), *told]

    def _blocks(self) -> list[str]:
        return self.request.wishes.said(self.findings or [], infos=False, patches=self.patches)

    def _files(self, watch: Any, summary: dict[str, Any]) -> list[str]:
        wishes = self.request.wishes
        wanted: list[tuple[str, Path | None, Callable[[Path], Any]]] = [
            ("record", self.request.record, lambda path: watch.observed.save(path)),
            ("report", self.request.report, lambda path: self._report(watch, path)),
            ("json", self.request.json, lambda path: self._write_json(path, summary)),
            *wishes.writes(self.findings or [], self._program, self.patches),
        ]
        lines = []
        for label, path, write in wanted:
            if path is None:
                continue
            if watch is None and label in ("record", "report"):
                lines.append(_line(label, "not written: nothing was watched"))
                continue
            try:
                write(path)
            except Exception as error:  # noqa: BLE001 the program's exit code stays its own
                lines.append(_line("error", f"{label} could not be written: {error or type(error).__name__}"))
            else:
                lines += [] if self.quiet else [_line(label, str(path))]
        return lines

    def _report(self, watch: Any, path: Path) -> None:
        from preceptor.run.examined.watch import write_report

        title = " ".join([self.request.program, *self.request.args])
        root = Path(self.request.wishes.root)
        write_report(
            watch,
            path,
            title=title,
            findings=self.findings,
            find=lambda file: own_file(file, self._program, root),
        )

    def _write_json(self, path: Path, summary: dict[str, Any]) -> None:
        from preceptor.files import write_json

        found = self.request.wishes.plain(self.findings or [], self.patches)
        write_json(path, {"findings": found, "watch": summary})


def _summary(outcome: Outcome) -> dict[str, Any]:
    notes = list(outcome.notes)
    found: dict[str, Any] = {}
    if outcome.watch is not None:
        try:
            found = dict(outcome.watch.summary())
        except Exception as error:  # noqa: BLE001 - whatever the program's own code raises
            notes.append(f"the summary failed: {type(error).__name__}: {error}")
    return {**found, "notes": [*found.get("notes", []), *notes]}


def _seen(summary: dict[str, Any]) -> list[str]:
    steps = summary.get("steps", {})
    counts = [
        _count(steps.get("train", 0), "training step"),
        _count(steps.get("epochs", 0), "epoch"),
        _count(steps.get("evaluations", 0), "evaluation pass", "evaluation passes"),
        _count(len(summary.get("graphs", ())), "graph"),
    ]
    return [part for part in counts if part] or ["no training step"]


def _count(number: Any, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}" if number else ""


def _line(label: str, text: str) -> str:
    """Return a line like those of `preceptor.report.terminal.line`, which would import torch."""
    return f"{label:<9}" + text.replace("\n", "\n         ")


def _quietly(act: Callable[[], Any]) -> None:
    # Closed, gone, or full: Python itself will say so.
    with contextlib.suppress(OSError, ValueError, AttributeError):
        act()
