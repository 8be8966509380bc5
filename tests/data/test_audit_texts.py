"""The audit of texts: every check catches what was planted for it, and is silent on sound ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from preceptor.data import Dataset, load, split
from preceptor.data._parallel import load_pairs
from preceptor.data.audit import CHECKS, Audit, examine
from preceptor.data.audit._texts import coincidence
from preceptor.data.audit.lines import lines_of
from preceptor.data.text import Place

# ruff: noqa: SIM905
NOUNS = "dog cat man girl horse bird child woman boy sheep cow duck teacher farmer painter sailor".split()
VERBS = "sees finds takes follows calls paints carries leaves wants hears".split()
ADVERBS = "slowly today again often here soon gladly alone outside early".split()
GERMAN = {
    **dict(zip(NOUNS, "Hund Katze Mann Mädchen Pferd Vogel Kind Frau Junge Schaf Kuh Ente Lehrer Bauer Maler "
                      "Seemann".split(), strict=True)),
    **dict(zip(VERBS, "sieht findet nimmt verfolgt ruft malt trägt verlässt will hört".split(), strict=True)),
    **dict(zip(ADVERBS, "langsam heute wieder oft hier bald gern allein draußen früh".split(), strict=True)),
    "the": "das", "and": "und",
}  # fmt: skip


def sentences(n: int = 240, seed: int = 0) -> list[str]:
    draw = np.random.default_rng(seed)
    made = []
    for _ in range(n):
        a, b, c, d = (str(draw.choice(NOUNS)) for _ in range(4))
        v, w, h = str(draw.choice(VERBS)), str(draw.choice(VERBS)), str(draw.choice(ADVERBS))
        made.append(f"the {a} and the {b} {v} the {c} and {w} the {d} {h}")
    return made


def german(text: str) -> str:
    return " ".join(GERMAN[word] for word in text.split())


def lines(tmp_path: Path, train: list[str], val: list[str] | None = None) -> Dataset:
    places = {"train": tmp_path / "train.txt"} | ({} if val is None else {"val": tmp_path / "val.txt"})
    for part, texts in (("train", train), ("val", val or [])):
        (tmp_path / f"{part}.txt").write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    found = {part: Place(path) for part, path in places.items()}
    return lines_of(found, most=1 << 20, name="a", origin="a")


def looked(dataset: Dataset, **how: Any) -> Audit:
    fixed = {} if dataset.kind != "lines" else {"val": 0.0, "test": 0.0}
    return examine(dataset, split(dataset, **fixed), **how)


def flaws(found: Audit) -> set[str]:
    return {check for check, _ in found.flaws}


# Sound texts


def test_sound_texts_have_no_flaws(tmp_path: Path) -> None:
    made = sentences()
    for dataset in (
        lines(tmp_path, made[:200], made[200:]),
        load_pairs((made, [german(text) for text in made])),
        load("grammar-sentences"),
        load("grammar-trees"),
    ):
        found = looked(dataset)
        assert [(check, flaw.text) for check, flaw in found.flaws] == []
        assert set(found.remarks) >= {"encoding", "empty-texts", "exact-duplicates", "shared-examples"}
        assert "nothing to warn of" in str(found)


def test_texts_are_not_looked_at_as_numbers(tmp_path: Path) -> None:
    names = set(looked(lines(tmp_path, sentences())).remarks)
    assert not names & {"constant-columns", "unscaled-inputs", "told-apart", "label-noise", "untranslated"}
    assert {check.name for check in CHECKS if check.kinds == ("lines", "pairs", "tokens")} <= names


# Lines, by what is done to ten or more of 240


def each(change: Callable[[str], str], count: int = 10) -> Callable[[list[str]], None]:
    def plant(made: list[str]) -> None:
        made[:count] = [change(text) for text in made[:count]]

    return plant


def repeated(made: list[str]) -> None:
    made[100:110] = made[:10]


LINES: dict[str, tuple[Callable[[list[str]], None], str, str]] = {
    "characters that were lost": (each(lambda t: t.replace("e", "\ufffd", 1)), "encoding", "could not be"),
    "read as Latin-1": (
        each(lambda t: (t + " früh").encode().decode("latin-1")),
        "encoding",
        "UTF-8 that was read as Latin-1",
    ),
    "control characters": (each(lambda t: t + "\x07"), "encoding", "control characters"),
    "two normal forms": (
        lambda made: (each(lambda t: t + " fru\u0308h", 5)(made), each(lambda t: "früh " + t)(made[5:]),
                      made.extend(["früh " + text for text in sentences(9, 7)]))[0],
        "encoding",
        "accents are of one character",
    ),
    "markup": (each(lambda t: f"<b>{t}</b> &amp;"), "markup", "remnants of HTML"),
    "many empty": (lambda made: made.extend([""] * 600), "empty-texts", "are empty"),
    "a line without ends": (each(lambda t: t * 400, 2), "text-lengths", "far longer than all others"),
    "one line again and again": (lambda made: made.extend(["nothing here"] * 40), "one-text", "one and the"),
    "unknown words": (each(lambda t: t.replace("the", "<unk>"), 240), "one-text", "unknown ones already"),
    "copies": (repeated, "exact-duplicates", "lines repeat another"),
    "another script": (each(lambda t: "собака видит кошку и мужчину", 5), "scripts", "another script"),
}  # fmt: skip


@pytest.mark.parametrize("planted", LINES)
def test_planted_lines(planted: str, tmp_path: Path) -> None:
    plant, check, said = LINES[planted]
    made = sentences()
    plant(made)
    found = looked(lines(tmp_path, made))
    assert check in flaws(found)
    (flaw, *_) = [one for name, one in found.flaws if name == check]
    assert said in flaw.text
    assert flaw.remedy


def test_lines_of_two_parts(tmp_path: Path) -> None:
    made = sentences()
    found = looked(lines(tmp_path, made[:200], [*made[200:], *made[:6]]))
    (flaw,) = [one for name, one in found.flaws if name == "shared-examples"]
    assert "6 of 46 validation lines are equal to one of training" in flaw.text
    assert set(flaw.rows) == set(range(240, 246))


def test_words_that_training_lacks(tmp_path: Path) -> None:
    made = sentences()
    other = [text.replace("dog", "wolf").replace("the", "a") for text in made[200:]]
    dataset = lines(tmp_path, made[:200], other)
    (flaw,) = [one for _, one in looked(dataset, level="word").flaws]
    assert "'a'" in flaw.text
    assert flaw.evidence["rate"] > 0.2
    assert flaws(looked(dataset, level="byte-pairs")) == set()
    assert looked(dataset, level="char").clean  # every letter of "wolf" is known
    strange = lines(tmp_path, made[:200], [text.replace("e", "é") for text in made[200:]])
    assert flaws(looked(strange, level="char")) == {"unknown-symbols"}


def test_small_things_are_told_and_no_flaws(tmp_path: Path) -> None:
    made = sentences(1500)
    made[3] = made[3].replace("e", "\ufffd")
    made[9] = ""
    found = looked(lines(tmp_path, made))
    assert found.clean
    assert found.remarks["encoding"][0].level == found.remarks["empty-texts"][0].level == "info"


def test_long_paragraphs_are_cut_into_sentences(tmp_path: Path) -> None:
    dataset = lines(tmp_path, [". ".join(sentences(60)) + "."])
    assert len(dataset) == 60


def test_coincidence_of_sentences_from_a_grammar() -> None:
    every = [f"the {a} saw some {b} near my {c}" for a in NOUNS[:6] for b in NOUNS[6:12] for c in VERBS[:6]]
    assert coincidence(every) == pytest.approx(1 / 216, rel=0.3)
    assert coincidence(sentences()) < 1e-7


# Pairs


def pairs(change: Callable[[list[str], list[str]], None] = lambda a, b: None) -> Dataset:
    sources = sentences()
    targets = [german(text) for text in sources]
    change(sources, targets)
    return load_pairs((sources, targets), keep_empty=True)


def copied(sources: list[str], targets: list[str]) -> None:
    targets[:6] = sources[:6]


def short(sources: list[str], targets: list[str]) -> None:
    targets[:6] = ["ja"] * 6


def turned(sources: list[str], targets: list[str]) -> None:
    sources[:6], targets[:6] = targets[:6], sources[:6]


def emptied(sources: list[str], targets: list[str]) -> None:
    targets[4] = " "


def doubled(sources: list[str], targets: list[str]) -> None:
    sources[100:106], targets[100:106] = sources[:6], targets[:6]


PAIRS = {
    "untranslated": (copied, set(range(6))),
    "out-of-step": (short, set(range(6))),
    "exchanged-sides": (turned, set(range(6))),
    "empty-texts": (emptied, {4}),
    "exact-duplicates": (doubled, set(range(100, 106))),
}


@pytest.mark.parametrize("check", PAIRS)
def test_planted_pairs(check: str) -> None:
    plant, rows = PAIRS[check]
    found = looked(pairs(plant))
    (flaw,) = [one for name, one in found.flaws if name == check]
    assert set(flaw.rows) == rows


def test_sources_with_several_targets() -> None:
    def two(sources: list[str], targets: list[str]) -> None:
        sources[100:103] = sources[:3]

    (remark,) = looked(pairs(two)).remarks["ambiguous-sources"]
    assert remark.level == "info"
    assert remark.evidence == {"sources": 3, "lost": 3}


# Tags


def test_tags_that_training_lacks(tmp_path: Path) -> None:
    rows = [f"{word}\t{'DET' if word == 'the' else 'WORD'}" for word in "the dog sees the cat".split()]
    blocks = ["\n".join(rows)] * 58 + ["soon\tADV"]
    (tmp_path / "a.conll").write_text("\n\n".join([*blocks, "\n".join(rows)]) + "\n")
    dataset = load(tmp_path / "a.conll")
    found = examine(dataset, split(dataset, val=0, test=0.1, order="blocks"))
    (flaw,) = [one for name, one in found.flaws if name == "tags"]
    assert "none of: ADV" in flaw.text
