"""What ``preceptor lab`` does with the labs that were chosen: it runs them, tells, keeps and compares."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from preceptor.errors import ConfigError
from preceptor.labs import Lab, Result, Setup, flipped, keep, perform_all, read_results
from preceptor.labs.pages import write_page
from preceptor.report.terminal import Plain

__all__ = ["perform"]

_INTERRUPTED = 130  # what a shell expects of a program that Ctrl-C ended
_WIDTH = 110


def perform(chosen: Sequence[Lab], setup: Setup, jobs: int, out: Path, *, checking: bool) -> int:
    """Run the labs, print each as it is over, and return the exit code.

    Arguments:
        chosen: which.
        setup: how each is run.
        jobs: so many at a time.
        out: the folder of results.
        checking: compare with the results of that folder, and keep nothing.

    Raises:
        ConfigError: there is nothing to compare with.
    """
    session = _Session(chosen, out, checking)
    try:
        with session.bar:
            perform_all(chosen, setup, jobs, session.tell, session.begin, session.fail)
    except KeyboardInterrupt:
        session.conclude(stopped=True)
        return _INTERRUPTED
    return session.conclude()


class _Session:
    """What has been run so far, and what is said of it."""

    def __init__(self, chosen: Sequence[Lab], out: Path, checking: bool) -> None:
        self.chosen, self.out, self.checking = chosen, out, checking
        self.before = read_results(out)
        if checking and not any(one.name in self.before for one in chosen):
            raise ConfigError(
                "there are no verdicts to compare with",
                expected=f"results of these labs in {out}",
                received="none",
                hint=f"run them once without --check, with --out {out}",
            )
        self.results: list[Result] = []
        self.failed: list[str] = []
        self.began = perf_counter()
        self.console = Plain(highlight=False, markup=False, soft_wrap=True)
        self.bar = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn(),
            console=self.console, transient=True, disable=not self.console.is_terminal,
        )  # fmt: skip
        self.task = self.bar.add_task("labs", total=len(chosen))

    def begin(self, one: Lab) -> None:
        """Show which lab runs; of several at a time, how many are over."""
        self.bar.update(self.task, description=one.name)

    def tell(self, result: Result) -> None:
        """Keep a result, and print it."""
        self.results.append(result)
        if not self.checking:
            keep(result, self.out)
        self.console.print(_shown(result, self._place(), None if self.checking else self.out))

    def fail(self, one: Lab, error: Exception) -> None:
        """Print why a lab could not be run; the others go on."""
        self.failed.append(one.name)
        said = str(error).strip() or "no message"
        told = textwrap.indent(f"failed: {type(error).__name__}: {said}", "  ")
        self.console.print(f"{self._place()}{one.name}\n{told}\n")

    def conclude(self, *, stopped: bool = False) -> int:
        """Print what has flipped, how many are over, and where it is kept; return the exit code."""
        flips = flipped(self.before, [one.to_plain() for one in self.results])
        for name, old, new in flips:
            self.console.print(f"flipped: {name} was {old}, is {new}")
        if len(self.chosen) > 1 or stopped or self.failed:
            self._count(stopped)
        return int(bool(self.failed) or (self.checking and bool(flips)))

    def _count(self, stopped: bool) -> None:
        verdicts = Counter(verdict for one in self.results for verdict in one.verdicts.values())
        counted = ", ".join(f"{verdicts[word]} {word}" for word in ("confirmed", "refuted", "inconclusive"))
        parts = [f"{verdicts.total()} claims: {counted}", f"{perf_counter() - self.began:.0f} s"]
        if self.failed:
            parts.insert(1, f"failed: {', '.join(self.failed)}")
        if stopped:
            parts.insert(0, f"stopped: {len(self.results)} of {len(self.chosen)} labs are done")
        if self.results and not self.checking:
            parts.append(str(write_page(self.out)))
        self.console.print(" · ".join(parts))

    def _place(self) -> str:
        done = len(self.results) + len(self.failed)
        self.bar.update(self.task, completed=done)
        return f"{done}/{len(self.chosen)}  " if len(self.chosen) > 1 else ""


def _shown(result: Result, place: str, kept: Path | None) -> str:
    """Return a lab as a person reads it: data, rule, each claim with checks and verdict, the figure."""
    one, evidence = result.lab, result.evidence
    lines = [f"{place}{one.name} · {one.chapter} · {result.seconds:.1f} s"]
    lines += [*_wrapped("data", one.data), *_wrapped("rule", one.rule)]
    for name, claim in one.claims.items():
        lines += ["", *_wrapped(name, claim.text, apart=": ")]
        further = {"often said": claim.instead_of, "reference": claim.reference, "source": claim.source}
        for label, text in further.items():
            lines += _wrapped(label, text) if text else []
        lines += [f"  {check}" for check in evidence.checks[name]]
        lines += [f"  {result.verdicts[name]}"]
    lines += ["", *_wrapped("note", evidence.note)] if evidence.note else []
    lines += ["", f"  figure  {kept / one.name}.svg"] if kept and evidence.figure else []
    return "\n".join([*lines, ""])


def _wrapped(label: str, text: str, apart: str = "  ") -> list[str]:
    return textwrap.wrap(f"{label}{apart}{text}", _WIDTH, initial_indent="  ", subsequent_indent="      ")
