"""A text in parts: where training, validation and test lie, the vocabulary of the first, the ids of all."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from preceptor.data._files import missing_file
from preceptor.data.text._corpus import TextIds, encode_file, read_pieces
from preceptor.data.text._pieces import BytePairs
from preceptor.data.text._vocabulary import SPECIALS, TextCoder, Vocabulary
from preceptor.errors import ConfigError, DataError

__all__ = ["Place", "TextParts", "fit_coder", "place_parts", "read_parts"]

_PARTS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
}
_SUFFIXES = (".txt", ".text", ".tokens", ".gz", ".xz")
_MAPPED = 1 << 28  # bytes of a file from which on its ids lie on disk
_LINE = 4096  # characters that are looked through for the end of the line at a cut
_PIECES = 8000  # pieces of words, where no number is given
_RARE = 2  # occurrences of a word that has an id, where no number is given


@dataclass(frozen=True)
class Place:
    """Where a part lies: a file, its first character, and the one behind its last."""

    path: Path
    low: int = 0
    high: int | None = None

    def pieces(self) -> Iterator[str]:
        """Yield its text piece by piece."""
        return read_pieces(self.path, self.low, self.high)


@dataclass(frozen=True, eq=False)
class TextParts:
    """A text as ids, cut into parts, by a vocabulary that only the training part has made.

    Attributes:
        coder: the vocabulary.
        parts: the ids of ``"train"``, and of ``"val"`` and ``"test"`` where there are such parts.
        name: what the text is called.
        origin: where it came from.
    """

    coder: TextCoder
    parts: Mapping[str, TextIds]
    name: str = "text"
    origin: str = "text"

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the ids of all parts."""
        digest = hashlib.sha256()
        for part, text in self.parts.items():
            digest.update(f"{part}:{text.fingerprint}".encode())
        return digest.hexdigest()

    @property
    def split(self) -> str:
        """How many symbols each part has, such as ``"1,003,855/111,539/0 symbols"``."""
        counts = (len(self.parts[part]) if part in self.parts else 0 for part in ("train", "val", "test"))
        return "/".join(f"{count:,}" for count in counts) + " symbols"

    def describe(self) -> str:
        """Return a line: how long the text is, of which symbols, and how it is split."""
        characters = sum(text.characters for text in self.parts.values())
        level = self.coder.tokenizer.level if isinstance(self.coder, Vocabulary) else "byte-pairs"
        return f"{characters:,} characters · {len(self.coder):,} symbols ({level}) · split {self.split}"

    def notes(self) -> list[str]:
        """Say what of the held-out parts the vocabulary does not have."""
        found = ((part, text.unknown) for part, text in self.parts.items() if part != "train")
        return [f"{part}: {unknown}" for part, unknown in found if unknown is not None]


def place_parts(
    source: Path | str,
    *,
    val: float = 0.1,
    test: float = 0.0,
    val_file: Path | str | None = None,
    test_file: Path | str | None = None,
    exact: bool = True,
) -> dict[str, Place]:
    """Find training, validation and test text: files of a folder, files of their own, or cut by position.

    Arguments:
        source: a text file, or a folder with files whose names say ``train``, ``valid`` or ``test``.
        val: share of the characters to validate on, the last but for the test; 0: none.
        test: share of the characters to test on, the last of all.
        val_file: a text of its own to validate on, in place of a share.
        test_file: a text of its own to test on.
        exact: cut at a character; otherwise at the end of a line, or of a word where lines are long.

    Raises:
        DataError: no such text, or nothing left to train on.
        ConfigError: shares that leave nothing.

    Example:
        >>> file = Path(tempfile.mkdtemp()) / "a.txt"
        >>> _ = file.write_text("to be or not to be " * 10)
        >>> [(part, place.low, place.high) for part, place in place_parts(file, val=0.2).items()]
        [('train', 0, 152), ('val', 152, 190)]
    """
    path = Path(source)
    if not path.exists():
        raise missing_file(path)
    found = _in_folder(path) if path.is_dir() else {"train": path}
    for part, file in (("val", val_file), ("test", test_file)):
        if file is not None:
            if not Path(file).is_file():
                raise missing_file(Path(file))
            found[part] = Path(file)
    shares = {"val": 0.0 if "val" in found else val, "test": 0.0 if "test" in found else test}
    if not (all(0 <= share < 1 for share in shares.values()) and sum(shares.values()) < 1):
        raise ConfigError(
            "the text cannot be cut so", expected="val + test < 1", received=f"val={val!r}, test={test!r}"
        )
    places = {"train": Place(found["train"])}
    if any(shares.values()):
        places = _cut(found["train"], shares["val"], shares["test"], exact=exact)
    whole = {part: Place(file) for part, file in found.items() if part != "train"}
    return {part: (places | whole)[part] for part in ("train", "val", "test") if part in places | whole}


def _in_folder(folder: Path) -> dict[str, Path]:
    found: dict[str, list[Path]] = {}
    for file in sorted(folder.iterdir()):
        if file.is_file() and file.name.lower().endswith(_SUFFIXES):
            words = re.split(r"[^a-z]+", file.name.lower())
            part = next((_PARTS[word] for word in words if word in _PARTS), "train alone")
            found.setdefault(part, []).append(file)
    if "train" not in found and len(found.get("train alone", ())) == 1:
        found["train"] = found["train alone"]
    found.pop("train alone", None)
    several = [part for part, files in found.items() if len(files) > 1]
    if "train" not in found or several:
        shown = [file.name for files in found.values() for file in files]
        raise DataError(
            f"the folder {str(folder)!r} does not say which text is for what",
            expected="one text file whose name says train, and at most one each with valid and test",
            received=", ".join(shown[:8]) or "no text file (.txt, .gz, .xz)",
        )
    return {part: files[0] for part, files in found.items()}


def _cut(path: Path, val: float, test: float, *, exact: bool) -> dict[str, Place]:
    total = sum(len(piece) for piece in read_pieces(path))
    last = total - round(total * test)
    middle = last - round(total * val)
    if not exact:
        middle, last = (_end_of_line(path, at, total) for at in (middle, last))
    if not middle or (val and middle == last) or (test and last == total):
        raise DataError(
            f"{str(path)!r} is too short to be cut",
            expected="text for each part",
            received=f"{total:,} characters, val={val!r}, test={test!r}",
            hint="a longer text, or val=0",
        )
    cuts = {"train": (0, middle), "val": (middle, last), "test": (last, total)}
    return {part: Place(path, low, high) for part, (low, high) in cuts.items() if high > low}


def _end_of_line(path: Path, at: int, total: int) -> int:
    """Return where the line ends that a cut would go through, or the word where lines are long."""
    if not 0 < at < total:
        return at
    ahead = "".join(read_pieces(path, at - 1, min(at + _LINE, total)))
    for mark in ("\n", " "):
        if (found := ahead.find(mark)) >= 0:
            return at + found
    return at


def fit_coder(
    place: Place,
    *,
    level: str = "char",
    lower: bool = False,
    size: int | None = None,
    min_count: int | str = "auto",
) -> TextCoder:
    """Make the vocabulary of a training text.

    Words that occur once are unknown words, so that their place in a text is learned; not in a text that
    has unknown words of its own (``<unk>``), nor of characters.

    Arguments:
        place: where the text lies.
        level: ``"char"``, ``"word"``, ``"punctuated"`` or ``"byte-pairs"``.
        lower: make capitals small.
        size: at most so many symbols; None: all, and 8,000 pieces of words.
        min_count: how often a symbol must occur; ``"auto"``: as said above.

    Raises:
        DataError: there is no text.
        ExtraMissing: pieces of words without their library.

    Example:
        >>> file = Path(tempfile.mkdtemp()) / "a.txt"
        >>> _ = file.write_text("the cat and the dog\\n")
        >>> fit_coder(Place(file), level="word").symbols, len(fit_coder(Place(file)))
        (('<unk>', '<eos>', 'the'), 12)
    """
    if level == "byte-pairs":
        if lower:
            raise ConfigError("pieces of words keep capitals", expected="lower=false", received="lower=true")
        least = 2 if min_count == "auto" else int(min_count)
        return BytePairs.train(place.pieces(), size=size or _PIECES, min_count=least, specials=())
    specials = ("unknown",) if level == "char" else ("unknown", "end")

    def build(least: int) -> Vocabulary:
        return Vocabulary.build(
            place.pieces(), level=level, lower=lower, size=size, min_count=least, specials=specials
        )

    if min_count != "auto":
        return build(int(min_count))
    every = build(1)
    own = every.counts[every.index[SPECIALS["unknown"]]]
    return every if own or level == "char" or size is not None else build(_RARE)


def read_parts(
    places: Mapping[str, Place], coder: TextCoder, *, name: str | None = None, origin: str = "text"
) -> TextParts:
    """Encode all parts; the ids of a large file lie on disk and are mapped."""
    parts = {part: _encode(place, coder) for part, place in places.items()}
    if isinstance(coder, Vocabulary):
        for part in parts.keys() - {"train"}:
            missing = coder.out_of_vocabulary(places[part].pieces())
            parts[part] = replace(parts[part], unknown=missing)
    return TextParts(coder, parts, name or parts["train"].name, origin)


def _encode(place: Place, coder: TextCoder) -> TextIds:
    span = (place.low, place.high)
    if place.path.stat().st_size < _MAPPED:
        return encode_file(place.path, coder, span=span)
    folder = Path(tempfile.mkdtemp(prefix="preceptor-"))
    try:
        return encode_file(place.path, coder, span=span, store=folder / "ids")
    finally:
        with suppress(OSError):  # what is mapped stays readable, but on systems that refuse this
            (folder / "ids").unlink(missing_ok=True)
            folder.rmdir()
