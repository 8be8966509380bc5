"""What ``run`` and ``diagnose`` do with findings: what is asked for, what is written, what is said."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from preceptor.errors import ConfigError, UnknownName
from preceptor.files import own_file

if TYPE_CHECKING:
    from preceptor.cli._patches import Patches
    from preceptor.diagnosis.finding import Finding

__all__ = [
    "FAILED",
    "Baseline",
    "FailOn",
    "Github",
    "Ignore",
    "NewBaseline",
    "Sarif",
    "Severe",
    "Wishes",
    "place",
]

FAILED = 3
"""The exit code where `--fail-on` finds what it looks for."""


class Severe(str, Enum):
    """From which severity on a finding is a failure."""

    warning = "warning"
    critical = "critical"


Sarif = Annotated[
    Path | None, typer.Option("--sarif", metavar="FILE", help="Write findings here for code hosts (SARIF).")
]
FailOn = Annotated[
    Severe | None,
    typer.Option("--fail-on", help="Exit with 3 where there is a finding as severe as this, or more."),
]
Ignore = Annotated[
    list[str] | None,
    typer.Option("--ignore", metavar="CAUSE", help="Never name this cause; may be given several times."),
]
Baseline = Annotated[
    Path | None,
    typer.Option("--baseline", metavar="FILE", help="Findings in this file are known: they do not fail."),
]
NewBaseline = Annotated[
    Path | None,
    typer.Option("--write-baseline", metavar="FILE", help="Write the findings of this run as known ones."),
]
Github = Annotated[
    bool, typer.Option("--github", help="Print findings as annotations of GitHub Actions, too.")
]


@dataclass(frozen=True)
class Wishes:
    """What is to be done with findings.

    Arguments:
        known: keys of the findings of the baseline, once `checked`.
        root: the working folder at that time.
    """

    sarif: Path | None = None
    fail_on: str | None = None
    ignore: tuple[str, ...] = ()
    baseline: Path | None = None
    write_baseline: Path | None = None
    known: frozenset[str] = frozenset()
    root: str = "."
    github: bool = False

    @classmethod
    def of(
        cls,
        sarif: Path | None,
        fail_on: Severe | None,
        ignore: Iterable[str] | None,
        baseline: Path | None,
        write_baseline: Path | None,
        *,
        github: bool = False,
    ) -> Wishes:
        """Return the options of a command line."""
        level = fail_on.value if fail_on else None
        return cls(sarif, level, tuple(ignore or ()), baseline, write_baseline, github=github)

    def checked(self, rank: int = 0) -> Wishes:
        """Return the same with places to write made absolute, and the baseline read.

        Raises:
            UnknownName: an ignored cause does not exist.
            StorageError: the baseline cannot be read.
            ConfigError: a file cannot be written.
        """
        if self.ignore:
            from preceptor.diagnosis.causes import CAUSES

            for cause in self.ignore:
                if cause not in CAUSES:
                    raise UnknownName("cause", cause, CAUSES)
        known: frozenset[str] = frozenset()
        if self.baseline is not None:
            from preceptor.diagnosis.baseline import read_baseline

            known = read_baseline(self.baseline)
        return replace(
            self,
            sarif=place(self.sarif, "--sarif", rank),
            write_baseline=place(self.write_baseline, "--write-baseline", rank),
            known=known,
            root=str(Path.cwd()),
        )

    def plain(self, findings: Sequence[Finding], patches: Patches | None = None) -> list[dict[str, Any]]:
        """Return findings as JSON holds them; with a baseline, whether each is known; with its patch."""
        rows = [finding.to_plain() for finding in findings]
        for index, (row, finding) in enumerate(zip(rows, findings, strict=True)):
            if self.baseline is not None:
                row["known"] = self.knows(finding)
            if patches is not None:
                row["patch"] = patches.text(index) or None
        return rows

    def knows(self, finding: Finding) -> bool:
        """Whether the baseline holds a finding."""
        if not self.known:
            return False
        from preceptor.diagnosis.baseline import key_of

        return key_of(finding) in self.known

    def fails(self, findings: Sequence[Finding]) -> bool:
        """Whether a finding is as severe as `--fail-on` says, and not known; written ones are known."""
        if self.fail_on is None or self.write_baseline is not None:
            return False
        bad = ("critical",) if self.fail_on == "critical" else ("critical", "warning")
        return any(finding.severity in bad and not self.knows(finding) for finding in findings)

    def said(
        self, findings: Sequence[Finding], *, infos: bool = True, patches: Patches | None = None
    ) -> list[str]:
        """Return the findings as blocks of text; ``infos``: those that are no alarm, too."""
        from preceptor.diagnosis.show import as_text

        blocks, seen = [], {""}
        for index, finding in enumerate(findings):
            if not infos and finding.severity == "info":
                continue
            known = self.knows(finding)
            patch = patches.block(index) if patches is not None and not known else ""
            blocks.append(as_text(finding, known=known) + ("" if patch in seen else f"\n{patch}"))
            seen.add(patch)
        return blocks

    def writes(
        self, findings: Sequence[Finding], program: str = "", patches: Patches | None = None
    ) -> list[tuple[str, Path | None, Callable[[Path], Any]]]:
        """Return what is to be written: label, place, and the function that does it."""
        from preceptor.diagnosis.baseline import write_baseline

        return [
            ("sarif", self.sarif, lambda path: self._write_sarif(path, findings, program, patches)),
            ("baseline", self.write_baseline, lambda path: write_baseline(path, findings)),
        ]

    def annotated(self, findings: Sequence[Finding], program: str = "") -> list[str]:
        """Return the lines for GitHub Actions, where they are asked for."""
        if not self.github:
            return []
        from preceptor.diagnosis.annotations import annotation_lines

        root = Path(self.root)
        return annotation_lines(
            findings, known=self.known, program=program, locate=lambda file: _locate(file, program, root)
        )

    def _write_sarif(
        self, path: Path, findings: Sequence[Finding], program: str, patches: Patches | None
    ) -> None:
        from importlib.metadata import version

        from preceptor.diagnosis.sarif import sarif
        from preceptor.files import write_json

        log = sarif(
            findings,
            version=version("preceptor"),
            known=self.known,
            program=Path(program).name,
            locate=lambda file: _locate(file, program, Path(self.root)),
        )
        for index, result in enumerate(log["runs"][0]["results"]):
            if fixes := patches.fix(index) if patches is not None else []:
                result["fixes"] = fixes
        write_json(path, log)


def _locate(file: str, program: str, root: Path) -> str:
    """Return the path of a file of the user's, relative to where the program was started if it lies there."""
    path = own_file(file, program, root)
    if path is None:
        return file
    return str(path.relative_to(root)) if root in path.parents else str(path)


def place(path: Path | None, option: str, rank: int = 0, *, folder: bool = False) -> Path | None:
    """Return where to write, independent of the working folder; each further rank beside the first.

    Raises:
        ConfigError: nothing can be written there, said before hours of training rather than after them.
    """
    if path is None:
        return None
    path = path.absolute()
    if rank > 0:
        path = path.with_name(f"{path.name}.rank{rank}" if folder else f"{path.stem}.rank{rank}{path.suffix}")
    problem = None
    if not path.parent.is_dir():
        problem = f"there is no folder {path.parent}"
    elif path.exists() and path.is_dir() != folder:
        problem = f"{path} is a {'file' if folder else 'folder'}"
    elif not os.access(path if path.exists() else path.parent, os.W_OK):
        problem = f"no permission to write {path}"
    if problem is None:
        return path
    raise ConfigError(
        f"{option} cannot be written",
        expected=f"a {'folder' if folder else 'file'} to write, in a folder that exists",
        received=problem,
        hint=f"mkdir -p {path.parent}" if not path.parent.exists() else f"another place for {option}",
    )
