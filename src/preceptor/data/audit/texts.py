"""Checks of texts: broken characters, remnants of markup, empty and odd ones, words that training lacks."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache

import numpy as np

from preceptor.data.audit._remark import Check, Remark, listed, share
from preceptor.data.audit._subject import Subject
from preceptor.data.audit._texts import TEXTS, Side, words_of
from preceptor.data.audit.outliers import beyond_gap

__all__ = ["CHECKS"]

_FEW = 0.001  # of the texts: fewer broken ones hardly matter
_SOME = 0.01
_MANY = 0.1  # of texts that are one and the same
_MOSTLY_EMPTY = 0.6  # lines between paragraphs are empty, too
_MOSTLY = 0.5  # of the words
_LEAST = 20  # texts
_UNKNOWN = {
    "char": 0.005,
    "word": 0.1,
}  # of a part's symbols: more, and it is measured on what it cannot know
_REPLACED, _BOM = "\ufffd", "\ufeff"
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f]")
_HIDDEN = re.compile("[\u200b\u200c\u2060\u00ad\ufeff]")
_MARKUP = re.compile(
    r"&(?:[a-z]{2,8}|#\d{2,6});|</?(?:a|b|i|p|br|div|span|em|strong|li|ul|h\d|td|tr)\b[^>]*>"
)
_MARKS = ("<unk>", "[UNK]", "UNK", "<UNK>")


def _misread(text: str) -> bool:
    """Whether a text is UTF-8 that was read as Latin-1 or Windows-1252, and so written again.

    Example:
        >>> _misread("für".encode().decode("cp1252")), _misread("für"), _misread("fur")
        (True, False, False)
    """
    if text.isascii():
        return False
    for code in ("cp1252", "latin-1"):
        try:
            return text.encode(code).decode("utf-8") != text
        except (UnicodeEncodeError, UnicodeDecodeError):
            continue
    return False


_BROKEN: dict[str, Callable[[str], bool]] = {
    "the sign for what could not be read, \ufffd": lambda text: _REPLACED in text,
    "UTF-8 that was read as Latin-1": _misread,
    "control characters": lambda text: bool(_CONTROL.search(text)),
}


def _counted(side: Side, test: Callable[[str], bool]) -> list[int]:
    return [i for i, text in enumerate(side.texts) if test(text)]


def encoding(subject: Subject) -> Iterator[Remark]:
    """Texts with characters that were lost or changed when they were read or written."""
    for side in subject.sides:
        for what, test in _BROKEN.items():
            at = _counted(side, test)
            if at:
                yield Remark(
                    "warning" if len(at) >= _FEW * len(side.texts) else "info",
                    f"{len(at):,} of {len(side.texts):,} {side.name} hold {what}: {_shown(side, at[0])}",
                    "read the source anew in its own encoding, or repair or drop these",
                    rows=tuple(subject.sample[at]),
                    evidence={"side": side.name, "texts": len(at)},
                )
        yield from _forms(subject, side)


def _forms(subject: Subject, side: Side) -> Iterator[Remark]:
    """Characters that look alike and are not: in two normal forms, or with signs that are not seen."""
    other = [i for i, t in enumerate(side.texts) if not t.isascii() and unicodedata.normalize("NFC", t) != t]
    composed = sum(not text.isascii() for text in side.texts) - len(other)
    if other and composed:
        yield Remark(
            "warning" if min(len(other), composed) >= _FEW * len(side.texts) else "info",
            f"{side.name}: accents are of one character in {composed:,}, of two in {len(other):,}",
            "bring all to one form: unicodedata.normalize('NFC', text)",
            rows=tuple(subject.sample[other]),
        )
    hidden = _counted(side, lambda text: bool(_HIDDEN.search(text)))
    if hidden:
        yield Remark(
            "info",
            f"{len(hidden):,} of {len(side.texts):,} {side.name} hold signs that are not seen "
            "(joiners, soft hyphens, byte order marks)",
            "remove them: they part words that look alike",
            rows=tuple(subject.sample[hidden]),
        )


def _shown(side: Side, at: int) -> str:
    return repr(side.texts[at][:60])


def markup(subject: Subject) -> Iterator[Remark]:
    """Texts with tags or entities of HTML."""
    for side in subject.sides:
        at = _counted(side, lambda text: bool(_MARKUP.search(text)))
        if at:
            yield Remark(
                "warning" if len(at) >= _SOME * len(side.texts) else "info",
                f"{len(at):,} of {len(side.texts):,} {side.name} with remnants of HTML: "
                f"{_shown(side, at[0])}",
                "html.unescape, and strip the tags, unless they are to be learnt",
                rows=tuple(subject.sample[at]),
            )


def empty(subject: Subject) -> Iterator[Remark]:
    """Texts of nothing but spaces; lines between paragraphs are so by nature."""
    for side in subject.sides:
        at = _counted(side, lambda text: not text.strip())
        part = len(at) / max(1, len(side.texts))
        if not at:
            continue
        flaw = part >= (_MOSTLY_EMPTY if side.name == "lines" else _FEW)
        yield Remark(
            "warning" if flaw else "info",
            f"{len(at):,} of {len(side.texts):,} {side.name} are empty ({share(part)})",
            "they are symbols to learn, too: one empty line between paragraphs is enough"
            if side.name == "lines"
            else "training leaves these pairs out: are the two sides in step?",
            rows=tuple(subject.sample[at]),
            evidence={"side": side.name, "empty": len(at)},
        )


def lengths(subject: Subject) -> Iterator[Remark]:
    """Texts far longer than all others, beyond a gap ten times as wide as the others reach."""
    for side in subject.sides:
        counts = np.array([len(text) for text in side.texts], dtype=np.float64)
        at = beyond_gap(counts)
        at = at[counts[at] > np.median(counts)] if len(at) else at
        if len(at):
            worst = at[np.argsort(-counts[at])]
            yield Remark(
                "warning",
                f"{len(at):,} {side.name} far longer than all others: {counts[worst[0]]:,.0f} characters, "
                f"usual are {np.median(counts):,.0f}",
                "cut them into sentences, or drop them: are line ends missing?",
                rows=tuple(subject.sample[worst]),
            )


def one_text(subject: Subject) -> Iterator[Remark]:
    """One text, or one word, that makes up much of all."""
    for side in subject.sides:
        filled = [text.strip() for text in side.texts if text.strip()]
        if sum(map(len, filled)) < _LEAST:
            continue
        text, times = Counter(filled).most_common(1)[0]
        if len(filled) >= _LEAST and times >= _MANY * len(filled):
            yield Remark(
                "warning",
                f"{share(times / len(filled))} of the {side.name} are one and the same: {text[:60]!r}",
                "drop the copies: what is learnt first is to say this always",
                evidence={"side": side.name, "times": times},
            )
        words = Counter(word for one in filled for word in one.split())
        word, times = words.most_common(1)[0]
        if times >= _MOSTLY * words.total():
            yield Remark(
                "warning",
                f"{share(times / words.total())} of the words of the {side.name} are one: {word[:60]!r}",
                "is that the text that was meant?",
                evidence={"side": side.name, "times": times},
            )
        unknown = sum(words[mark] for mark in _MARKS) / max(1, words.total())
        if unknown >= _MANY:
            yield Remark(
                "warning",
                f"{share(unknown)} of the words of the {side.name} are unknown ones already (<unk>)",
                "a larger vocabulary where the text was made, or the text as it was before",
                evidence={"side": side.name, "share": unknown},
            )


def unknown(subject: Subject) -> Iterator[Remark]:
    """Symbols of validation and test that the vocabulary of the training part lacks.

    Words count as known from their second occurrence on, as the vocabulary of a training has them.
    """
    level = subject.level if subject.level != "auto" else _LEVELS[subject.dataset.kind]
    if level == "byte-pairs":
        return  # of which every text is made
    for side in subject.sides:
        parts = {
            name: _symbols(subject, side, code, level) for code, name in enumerate(("train", "val", "test"))
        }
        least = 1 if level == "char" else 2
        known = {symbol for symbol, count in parts["train"].items() if count >= least}
        for name in ("val", "test"):
            lacking = Counter({s: n for s, n in parts[name].items() if s not in known})
            rate = lacking.total() / max(1, parts[name].total())
            if not lacking:
                continue
            shown = listed([repr(symbol) for symbol, _ in lacking.most_common(5)], limit=5)
            yield Remark(
                "warning" if rate >= _UNKNOWN["char" if level == "char" else "word"] else "info",
                f"{share(rate)} of the {'characters' if level == 'char' else 'words'} of {name} "
                f"({side.name}) are not in the training vocabulary: {shown}",
                "pieces of words (text.level=byte-pairs) know every text; else more training text, "
                "or small letters (text.lower=true)",
                evidence={"part": name, "side": side.name, "rate": rate},
            )


_LEVELS = {"lines": "char", "pairs": "punctuated", "tokens": "word"}


def _symbols(subject: Subject, side: Side, code: int, level: str) -> Counter[str]:
    """Count the symbols of one part, of the rows that are looked at."""
    cut: dict[str, Callable[[str], Iterable[str]]] = {"char": lambda text: text, "word": str.split}
    found: Counter[str] = Counter()
    for at in np.flatnonzero(subject.part_of[subject.sample] == code):
        text = side.texts[at].lower() if subject.lower else side.texts[at]
        found.update(cut.get(level, words_of)(text))
    return found


def scripts(subject: Subject) -> Iterator[Remark]:
    """Texts in another script than nearly all others of their side."""
    for side in subject.sides:
        found = [_script(text) for text in side.texts]
        counted = Counter(name for name in found if name)
        if not counted:
            continue
        usual, times = counted.most_common(1)[0]
        at = [i for i, name in enumerate(found) if name and name != usual]
        if at and times >= (1 - _MANY) * counted.total():
            yield Remark(
                "warning" if len(at) >= _SOME * len(side.texts) else "info",
                f"{len(at):,} of {len(side.texts):,} {side.name} are in another script than {usual.lower()}: "
                f"{_shown(side, at[0])}",
                "drop what is in another language, or put it into a set of its own",
                rows=tuple(subject.sample[at]),
            )


def _script(text: str) -> str:
    """Return the script that most letters of a text have, such as LATIN; "" where it has none."""
    if text.isascii():
        return "LATIN" if any(map(str.isalpha, text)) else ""
    letters = Counter(_script_of(letter) for letter in text if letter.isalpha())
    return letters.most_common(1)[0][0] if letters else ""


@cache
def _script_of(letter: str) -> str:
    return unicodedata.name(letter, "unknown").partition(" ")[0]


CHECKS = (
    Check("empty-texts", "no text is empty", empty, kinds=TEXTS),
    Check("encoding", "no character is broken", encoding, kinds=TEXTS),
    Check("markup", "there are no remnants of HTML", markup, kinds=TEXTS),
    Check("text-lengths", "no text is far longer than all others", lengths, kinds=TEXTS),
    Check("one-text", "no text makes up much of all", one_text, kinds=TEXTS),
    Check("unknown-symbols", "held-out texts are of the symbols that training has", unknown, kinds=TEXTS),
    Check("scripts", "all texts are of one script", scripts, kinds=TEXTS),
)
