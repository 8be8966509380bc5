"""What ``run`` does with patches: it shows them, and writes them when asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from preceptor.diagnosis.finding import Finding
    from preceptor.trials.patches.patch import Patch

__all__ = ["Patches"]

_LINES = 20
_INDENT = " " * 13


class Patches:
    """The patches of findings, in their order.

    Arguments:
        findings: what was found.
        find: returns the path of a file of the user's by its name, None where it is none.
        root: where the program was started.
        since: when that was; files that were changed later are not those that ran.
        program: the program, as it was named; "" for a module.
    """

    def __init__(
        self,
        findings: Sequence[Finding],
        find: Callable[[str], Path | None],
        root: Path,
        since: float,
        program: str = "",
    ) -> None:
        from preceptor.trials.patches.patch import proposed

        def locate(name: str) -> Path | None:
            path = find(name)
            return path if path is not None and path.stat().st_mtime <= since else None

        self.findings, self.root = findings, root
        start = root / program if program and (root / program).is_file() else root
        self.all: list[Patch | None] = [proposed(finding, start, locate=locate) for finding in findings]

    def name(self, patch: Patch) -> str:
        """Return a patch's file as it is named from where the program was started."""
        inside = self.root in patch.path.parents
        return (patch.path.relative_to(self.root) if inside else patch.path).as_posix()

    def text(self, index: int) -> str:
        """Return the diff that goes with a finding, "" where there is none."""
        patch = self.all[index]
        return patch.diff(self.name(patch).lstrip("/")) if patch is not None else ""

    def block(self, index: int) -> str:
        """Return the diff as it stands under a finding in a terminal, "" where there is none."""
        if not (text := self.text(index)):
            return ""
        lines = text.splitlines()
        more = len(lines) - _LINES
        shown = [*lines[:_LINES], f"… {more} more lines, all in --json"] if more > 1 else lines
        first, *rest = (line.rstrip() for line in shown)
        return "\n".join([f"  patch      {first}", *(f"{_INDENT}{line}".rstrip() for line in rest)])

    def fix(self, index: int) -> list[dict[str, Any]]:
        """Return the fixes of a finding as SARIF holds them."""
        patch = self.all[index]
        if patch is None:
            return []
        replacements = [
            {
                "deletedRegion": {"charOffset": edit.start, "charLength": edit.end - edit.start},
                "insertedContent": {"text": edit.text},
            }
            for edit in sorted(set(patch.edits))
        ]
        where = {"uri": quote(self.name(patch))}
        return [
            {
                "description": {"text": self.findings[index].remedy},
                "artifactChanges": [{"artifactLocation": where, "replacements": replacements}],
            }
        ]

    def write(self, wanted: Sequence[int]) -> list[tuple[str, str]]:
        """Apply the patches of these findings: what to say of it, as (label, text).

        Of two that edit the same place, the first is applied.
        """
        from preceptor.errors import PreceptorError
        from preceptor.trials.patches.patch import merged

        if not wanted:
            return []
        chosen = {index: patch for index in wanted if (patch := self.all[index]) is not None}
        said = [] if chosen else [("note", "--write: there is no patch, and no file was changed")]
        applied = set()
        for whole in merged(list(chosen.values())):
            mine = [i for i, p in chosen.items() if p.path == whole.path and {*p.edits} <= {*whole.edits}]
            causes = ", ".join(dict.fromkeys(self.findings[index].cause for index in mine))
            try:
                whole.apply()
            except PreceptorError as error:
                said.append(("error", str(error)))
            else:
                said.append(("patched", f"{self.name(whole)}: {causes}"))
            applied.update(mine)
        left = [self.findings[index].cause for index in chosen if index not in applied]
        return said + [("note", f"not patched: {cause}, whose lines are edited already") for cause in left]
