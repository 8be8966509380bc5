"""Pairs of sentences in two languages: from one file, two, a folder with parts, or lists."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from preceptor.data._dataset import Array, Dataset, fingerprint
from preceptor.data._files import missing_file
from preceptor.data.text import read_pairs
from preceptor.errors import DataError

__all__ = ["load_pairs"]

_PARTS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
}
_PACKED = (".gz", ".xz", ".txt")
_FORMS = (
    "a file with a tab between the two texts of a line, two files of as many lines, a folder with train.en, "
    "train.de, val.en, …, or (sources, targets)"
)

Pair = tuple[str, str]


def load_pairs(
    source: Any,
    *,
    target: str | None = None,
    val: Any = None,
    test: Any = None,
    name: str | None = None,
    keep_empty: bool = False,
) -> Dataset:
    """Read pairs of texts that say the same.

    Arguments:
        source: a file of pairs, a file that ``target`` continues line by line, a folder, ``(sources,
            targets)`` as two lists of texts, two paths, or a list of pairs.
        target: the second file; in a folder the target's language (``"de"``), or both (``"en-de"``).
        val: pairs to validate on, in any of these forms; default: what the folder holds.
        test: the same to test on.
        name: what to call the data; default: by the file or folder.
        keep_empty: pairs with an empty side stay, so that rows are those of the file.

    Returns:
        Their kind is ``"pairs"``, inputs and targets are texts; pairs with an empty side are left out.

    Raises:
        DataError: there are no such files, they do not pair up, or nothing is left.

    Example:
        >>> data = load_pairs((["a dog", "two dogs", ""], ["ein Hund", "zwei Hunde", "nichts"]))
        >>> data.text, data.notes[0]
        ('2 pairs of texts · to be translated', '1 pair with an empty side is left out')
    """
    if isinstance(source, Dataset):
        return source
    path = Path(source) if isinstance(source, str | os.PathLike) else None
    language = None
    notes: list[str] = []
    if path is not None and path.is_dir():
        parts, language = _in_folder(path, target, notes)
    else:
        parts = {"train": _pairs(source, target)}
    for part, given in (("val", val), ("test", test)):
        if given is not None:
            parts[part] = _pairs(given, _partner(given, source, target))
    whole = [(part, pair) for part, pairs in parts.items() for pair in pairs]
    kept = [(part, pair) for part, pair in whole if keep_empty or (pair[0].strip() and pair[1].strip())]
    if len(kept) < len(whole):
        left = len(whole) - len(kept)
        plural = "s with an empty side are" if left > 1 else " with an empty side is"
        notes.insert(0, f"{left:,} pair{plural} left out")
    if not kept:
        raise DataError("there are no pairs", expected=_FORMS, received=f"{len(whole)} lines")
    inputs, targets = (_texts(pair[side] for _, pair in kept) for side in (0, 1))
    named = "pairs" if path is None else re.split(r"\.", path.name or path.resolve().name)[0] or "pairs"
    return Dataset(
        name=name or named,
        kind="pairs",
        inputs=inputs,
        targets=targets,
        target_kind="sequences",
        target_name=language,
        feature_names=(),
        classes=(),
        part=np.array([part for part, _ in kept]) if len(parts) > 1 else None,
        notes=tuple(notes),
        origin=str(path) if path is not None else "arrays",
        fingerprint=fingerprint(inputs, targets),
    )


def _texts(texts: Iterable[str]) -> Array:
    listed = list(texts)
    made = np.empty(len(listed), dtype=object)
    made[:] = listed
    return made


def _pairs(source: Any, target: Any = None) -> list[Pair]:
    """Return the pairs of a file, of two, or of lists."""
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        if not path.is_file():
            raise missing_file(path)
        if target is not None and not Path(target).is_file():
            raise missing_file(Path(target))
        return list(read_pairs(path, target))
    if isinstance(source, tuple) and len(source) == 2:
        if all(isinstance(side, str | os.PathLike) for side in source):
            return _pairs(*source)
        return _zipped(*source)
    if isinstance(source, Sequence) and all(isinstance(p, list | tuple) and len(p) == 2 for p in source):
        return _zipped([p[0] for p in source], [p[1] for p in source])
    raise DataError("these are no pairs of texts", expected=_FORMS, received=type(source).__name__)


def _zipped(sources: Any, targets: Any) -> list[Pair]:
    sides = [list(sources), list(targets)]
    strange = next((text for side in sides for text in side if not isinstance(text, str)), None)
    if strange is not None or len(sides[0]) != len(sides[1]):
        raise DataError(
            "these are no pairs of texts",
            expected="two lists of texts, one for each language, of the same length",
            received=f"{len(sides[0])} and {len(sides[1])} texts"
            if strange is None
            else f"{type(strange).__name__}: {strange!r:.60}",
        )
    return list(zip(*sides, strict=True))


def _named(file: Path) -> tuple[str | None, str]:
    """Return the part that a file's name says, and its language, which may be none."""
    stem = file.name
    while Path(stem).suffix.lower() in _PACKED:
        stem = Path(stem).stem
    name, _, language = stem.rpartition(".")
    words = re.split(r"[^a-z]+", (name or stem).lower())
    part = next((_PARTS[word] for word in words if word in _PARTS), None)
    return part, language.lower() if name else ""


def _in_folder(
    folder: Path, target: str | None, notes: list[str]
) -> tuple[dict[str, list[Pair]], str | None]:
    """Return the pairs of each part, and the language that they are translated into."""
    found: dict[str, dict[str, list[Path]]] = {}
    for file in sorted(folder.iterdir()):
        part, language = _named(file)
        if part is not None and file.is_file():
            found.setdefault(part, {}).setdefault(language, []).append(file)
    train = found.get("train", {})
    if "tsv" in train and target is None:
        single = {part: _first(part, files["tsv"], notes) for part, files in found.items() if "tsv" in files}
        return {part: _pairs(file) for part, file in single.items()}, None
    one, other = _languages(folder, sorted(set(train) - {"tsv"}), target)
    parts = {}
    for part, files in found.items():
        if one in files and other in files:
            first = _first(part, files[one], notes)
            second = next((f for f in files[other] if _stem(f) == _stem(first)), files[other][0])
            parts[part] = _pairs(first, second)
    return {part: parts[part] for part in ("train", "val", "test") if part in parts}, other


def _stem(file: Path) -> str:
    return file.name.partition(".")[0]


def _first(part: str, files: list[Path], notes: list[str]) -> Path:
    if len(files) > 1:
        others = ", ".join(file.name for file in files[1:])
        notes.append(f"{part}: {files[0].name}; not used: {others}")
    return files[0]


def _languages(folder: Path, known: list[str], target: str | None) -> tuple[str, str]:
    """Return source and target language; where the folder has two, naming one of them is enough."""
    wanted = re.split(r"[-→>:_ ]+", target.lower()) if target else []
    if len(wanted) == 2 and set(wanted) <= set(known):
        return wanted[0], wanted[1]
    if len(wanted) == 1 and wanted[0] in known and len(known) == 2:
        return next(language for language in known if language != wanted[0]), wanted[0]
    raise DataError(
        f"which languages of {str(folder)!r} are meant?" if known else f"no training text in {str(folder)!r}",
        expected="two of " + ", ".join(known) if len(known) > 1 else "train.en and train.de, or train.tsv",
        received=f"target={target!r}" if known else ", ".join(p.name for p in sorted(folder.iterdir())[:6]),
        hint=f"--target {known[0]}-{known[1]}" if len(known) > 1 else None,
    )


def _partner(given: Any, source: Any, target: str | None) -> Path | None:
    """Return the file that belongs to another one as ``target`` belongs to ``source``: val.en, val.de."""
    is_file = isinstance(given, str | os.PathLike) and isinstance(source, str | os.PathLike)
    if not is_file or target is None or not Path(source).is_file():
        return None
    here, there = (_named(Path(file))[1] for file in (source, target))
    file = Path(given)
    return file.with_name(re.sub(rf"\.{re.escape(here)}(?=$|\.)", f".{there}", file.name)) if here else None
