"""A remedy as an edit of the user's own file, shown as a diff; it is applied when asked for."""

from __future__ import annotations

import difflib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from preceptor.diagnosis.finding import Finding
from preceptor.errors import StorageError
from preceptor.files import atomic
from preceptor.trials.change import Change
from preceptor.trials.patches._source import Edit, Source, Unclear
from preceptor.trials.patches._spot import Spot
from preceptor.trials.patches._table import OF_CAUSE, OF_KIND

__all__ = ["Patch", "changes_of", "merged", "proposed", "suggest"]

_PLACE = re.compile(r"([^\s:,()]+\.py):(\d+)")


@dataclass(frozen=True)
class Patch:
    """Edits of one file.

    Arguments:
        path: the file.
        before: its text.
        edits: what changes.

    Example:
        >>> patch = Patch(Path("train.py"), "lr = 0.5\\n", (Edit(5, 8, "0.005"),))
        >>> print(patch.diff(), end="")
        --- a/train.py
        +++ b/train.py
        @@ -1 +1 @@
        -lr = 0.5
        +lr = 0.005
    """

    path: Path
    before: str
    edits: tuple[Edit, ...]

    @property
    def after(self) -> str:
        """The text with the edits."""
        parts, position = [], 0
        for edit in sorted(set(self.edits)):
            parts += [self.before[position : edit.start], edit.text]
            position = edit.end
        return "".join([*parts, self.before[position:]])

    def diff(self, name: str = "") -> str:
        """Return a unified diff; ``name``: the file as the diff names it, else its own name."""
        name = name or self.path.name
        before, after = (text.splitlines(keepends=True) for text in (self.before, self.after))
        lines = list(difflib.unified_diff(before, after, f"a/{name}", f"b/{name}"))
        ended = [line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines]
        return "".join(ended)

    def apply(self) -> None:
        """Write the file anew, wholly or not at all.

        Raises:
            StorageError: it has changed since, or cannot be written.
        """
        path = self.path.resolve()
        if _text(path) != self.before:
            raise StorageError(
                f"{self.path} is not patched",
                received="a file that has changed since the program ran",
                hint="run it again, or make the edit by hand",
            )
        with atomic(path) as temporary:
            temporary.write_bytes(self.after.encode())
            shutil.copymode(path, temporary)


def suggest(
    finding: Finding,
    changes: Sequence[Change],
    root: Path,
    *,
    locate: Callable[[str], Path | None] | None = None,
) -> Patch | None:
    """Return the edit that makes changes in the user's file; without changes, what the cause asks for.

    None where the source does not show one clear place, or would not be Python any more: no patch is better
    than a wrong one.

    Arguments:
        finding: what was found; ``where`` and its evidence name lines.
        changes: what to change.
        root: the program, or the folder that it lies in.
        locate: returns the path of a file by the name that a finding gives it; files beside ``root`` without.

    Example:
        >>> import tempfile
        >>> program = Path(tempfile.mkdtemp()) / "train.py"
        >>> _ = program.write_text("optimizer = SGD(net.parameters(), lr=0.5)\\n")
        >>> finding = Finding("learning-rate-too-high", "critical", "…", where="train.py:1")
        >>> print(suggest(finding, [Change("lr", 0.5, 0.005)], program).after, end="")
        optimizer = SGD(net.parameters(), lr=0.005)
    """
    for name, lines in _places(finding, root).items():
        path = (locate or _beside(root))(name)
        text = _text(path) if path is not None else None
        if path is None or text is None:
            continue
        try:
            source = Source(text)
            edits = _edits(Spot(source, lines, finding, file=path.name), changes)
            after = source.edited(edits)
            compile(after, str(path), "exec", dont_inherit=True)
        except (Unclear, SyntaxError, ValueError, RecursionError):
            continue
        if after != text:
            return Patch(path, text, tuple(edits))
    return None


def changes_of(finding: Finding) -> tuple[Change, ...]:
    """Return the changes that were tried and helped; none where nothing was tried, or did not help."""
    verification = finding.verification or {}
    if not verification.get("improved"):
        return ()
    return tuple(Change.from_plain(change) for change in verification.get("change", ()))


def proposed(
    finding: Finding, root: Path, *, locate: Callable[[str], Path | None] | None = None
) -> Patch | None:
    """Return the patch of what helped when it was tried, else of what the cause asks for.

    What was tried in vain is not suggested; only an exact fault is repaired all the same.

    Arguments:
        finding: what was found.
        root: as `suggest` takes it.
        locate: as `suggest` takes it.
    """
    changes = changes_of(finding)
    patch = suggest(finding, changes, root, locate=locate) if changes else None
    if patch is not None or (finding.verification and not finding.exact):
        return patch
    return suggest(finding, (), root, locate=locate)


def merged(patches: Sequence[Patch]) -> list[Patch]:
    """Return one patch for each file, with the edits of all that fit together; earlier ones come first.

    Example:
        >>> one, two = (Patch(Path("a.py"), "x = 1\\n", (Edit(4, 5, text),)) for text in "23")
        >>> [patch.after for patch in merged([one, two])]
        ['x = 2\\n']
    """
    found: dict[Path, Patch] = {}
    for patch in patches:
        known = found.get(patch.path, replace(patch, edits=()))
        both = tuple(dict.fromkeys([*known.edits, *patch.edits]))
        try:
            source = Source(patch.before)
            compile(source.edited(both), str(patch.path), "exec", dont_inherit=True)
        except (Unclear, SyntaxError, ValueError):
            continue
        found[patch.path] = replace(known, edits=both)
    return list(found.values())


def _edits(spot: Spot, changes: Sequence[Change]) -> list[Edit]:
    """Return the edits of all changes, or of the cause.

    Raises:
        Unclear: one of them has no clear place.
    """
    edits: list[Edit] = []
    for change in _together(changes) or [None]:
        editor = OF_KIND.get(change.kind) if change else OF_CAUSE.get(spot.finding.cause)
        if editor is None:
            raise Unclear
        edits += editor(replace(spot, change=change))
    return edits


def _together(changes: Sequence[Change]) -> Sequence[Change | None]:
    """Return the changes with another optimizer and its rate as one: both are in one call."""
    rates = {change.after for change in changes if change.kind == "lr"}
    kinds = {change.kind for change in changes}
    if not {"optimizer", "lr"} <= kinds or len(rates) != 1:
        return list(changes)
    return [
        replace(change, after=(change.after, *rates)) if change.kind == "optimizer" else change
        for change in changes
        if change.kind != "lr"
    ]


def _places(finding: Finding, root: Path) -> dict[str, tuple[int, ...]]:
    """Return the lines that a finding names, by file: its own place first; then the program itself."""
    texts = [finding.where, *(str(value) for value in finding.evidence.values())]
    found: dict[str, tuple[int, ...]] = {}
    for text in texts:
        for file, line in _PLACE.findall(text.replace("'", " ").replace("[", " ").replace("]", " ")):
            found[file] = tuple(dict.fromkeys([*found.get(file, ()), int(line)]))
    if root.is_file():
        found.setdefault(root.name, ())
    return found


def _beside(root: Path) -> Callable[[str], Path | None]:
    folder = root.parent if root.is_file() else root

    def locate(name: str) -> Path | None:
        if root.is_file() and root.name == Path(name).name:
            return root
        if (folder / name).is_file():
            return folder / name
        found = list(_named(folder, Path(name).name))
        return found[0] if len(found) == 1 else None

    return locate


def _named(folder: Path, name: str) -> Iterator[Path]:
    """Yield the files of that name below a folder, but for libraries and hidden folders."""
    for parent, folders, files in os.walk(folder):
        folders[:] = [
            f for f in folders if not f.startswith(".") and f not in ("site-packages", "node_modules")
        ]
        if name in files:
            yield Path(parent) / name


def _text(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
