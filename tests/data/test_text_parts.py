"""A text in parts, its vocabulary, and how the whole of it is measured."""

from __future__ import annotations

import lzma
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from preceptor.data.text import (
    ContinuousBatches,
    TextIds,
    Vocabulary,
    WholeText,
    encode_file,
    fit_coder,
    place_parts,
    read_parts,
    read_pieces,
)
from preceptor.data.text import _corpus as corpus
from preceptor.errors import ConfigError, DataError

TEXT = "".join(f"line {i} has {'some ' * (i % 5)}words\n" for i in range(60))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "lines.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_characters_are_cut_at_the_character_and_words_at_the_line(file: Path):
    exact = place_parts(file, val=0.1, test=0.05)
    n = len(TEXT)
    last, middle = n - round(n * 0.05), n - round(n * 0.05) - round(n * 0.1)
    assert [(p.low, p.high) for p in exact.values()] == [(0, middle), (middle, last), (last, n)]
    assert "".join("".join(p.pieces()) for p in exact.values()) == TEXT
    lines = place_parts(file, val=0.1, test=0.05, exact=False)
    texts = ["".join(p.pieces()) for p in lines.values()]
    assert "".join(texts) == TEXT
    assert all(text.endswith("\n") for text in texts)
    assert abs(lines["val"].low - middle) < 60


def test_a_long_line_is_cut_between_words(tmp_path: Path):
    file = tmp_path / "a.txt"
    file.write_text("word " * 4000, encoding="utf-8")
    places = place_parts(file, val=0.1, exact=False)
    assert all(
        "".join(p.pieces()).strip().split() == ["word"] * (len("".join(p.pieces())) // 5)
        for p in places.values()
    )


def test_parts_may_be_files_of_a_folder_or_of_their_own(tmp_path: Path):
    for name, text in (("ptb.train.txt", "a b c\n" * 9), ("ptb.valid.txt", "a d\n"), ("notes.md", "x")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "ptb.test.txt.xz").write_bytes(lzma.compress(b"c c\n"))
    found = place_parts(tmp_path, exact=False)
    assert {part: place.path.name for part, place in found.items()} == {
        "train": "ptb.train.txt", "val": "ptb.valid.txt", "test": "ptb.test.txt.xz",
    }  # fmt: skip
    alone = place_parts(
        tmp_path / "ptb.train.txt", val_file=tmp_path / "ptb.valid.txt", test=0.5, exact=False
    )
    assert alone["val"].path.name == "ptb.valid.txt"
    assert alone["test"].path.name == "ptb.train.txt"
    coder = fit_coder(found["train"], level="word", min_count=1)
    assert isinstance(coder, Vocabulary)
    parts = read_parts(found, coder)
    assert "d" not in coder
    assert parts.parts["val"].unknown
    assert parts.parts["val"].unknown.rate == 0.5
    assert parts.split == "36/3/3 symbols"
    assert parts.notes()[0] == "val: 50.00% of 2 tokens unknown (1 different: d)"
    assert len({parts.fingerprint, read_parts({"train": found["train"]}, coder).fingerprint}) == 2


def test_a_folder_that_does_not_say_what_is_what_is_refused(tmp_path: Path):
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("a", encoding="utf-8")
    with pytest.raises(DataError, match="which text is for what"):
        place_parts(tmp_path)
    with pytest.raises(DataError, match="no file"):
        place_parts(tmp_path / "c.txt")
    with pytest.raises(DataError, match="no file"):
        place_parts(tmp_path / "a.txt", val_file=tmp_path / "c.txt")
    with pytest.raises(ConfigError, match="cut"):
        place_parts(tmp_path / "a.txt", val=0.5, test=0.5)
    with pytest.raises(DataError, match="too short"):
        place_parts(tmp_path / "a.txt", val=0.5)


def test_the_vocabulary_has_seen_the_training_text_alone(file: Path):
    text = TEXT.replace("line 59", "LINE 59")
    file.write_text(text, encoding="utf-8")
    places = place_parts(file, val=0.1)
    coder = fit_coder(places["train"])
    assert isinstance(coder, Vocabulary)
    assert "L" not in coder
    assert set(coder.symbols[1:]) == set("".join(places["train"].pieces()))
    ids = read_parts(places, coder).parts
    assert coder.id_of("unknown") in ids["val"].ids
    assert coder.id_of("unknown") not in ids["train"].ids


def test_rare_words_are_unknown_unless_the_text_has_unknown_words_of_its_own(tmp_path: Path):
    file = tmp_path / "a.txt"
    file.write_text("the cat the dog\n", encoding="utf-8")
    place = place_parts(file, val=0.0)["train"]
    assert fit_coder(place, level="word").symbols == ("<unk>", "<eos>", "the")  # type: ignore[attr-defined]
    assert len(fit_coder(place, level="word", min_count=1)) == 5
    assert len(fit_coder(place, level="word", size=4)) == 4
    file.write_text("the cat the <unk>\n", encoding="utf-8")
    assert len(fit_coder(place, level="word")) == 4


@settings(max_examples=50, deadline=None)
@given(
    text=st.text(st.sampled_from("ab \n"), min_size=1, max_size=80),
    chunk=st.integers(1, 30),
    low=st.integers(0, 20),
    width=st.none() | st.integers(0, 60),
)
def test_pieces_are_the_text_whatever_their_size(text: str, chunk: int, low: int, width: int | None):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "_CHUNK", chunk)
        patch.setattr(corpus, "open_text", lambda path: _opened(text))
        high = None if width is None else low + width
        pieces = list(read_pieces("any", low, high))
    assert "".join(pieces) == text[low:high]
    assert all(piece[-1] in " \n" for piece in pieces[:-1])


def _opened(text: str):
    import contextlib
    import io

    return contextlib.nullcontext(io.StringIO(text))


def test_pieces_make_the_same_ids_as_lines(file: Path, monkeypatch: pytest.MonkeyPatch):
    words = Vocabulary.build([TEXT], specials=("unknown", "end"))
    whole = encode_file(file, words)
    assert whole.characters == len(TEXT)
    expected = [i for line in TEXT.splitlines() for i in words.encode(line, end=True)]
    assert whole.ids.tolist() == expected
    monkeypatch.setattr(corpus, "_CHUNK", 7)
    assert encode_file(file, words).ids.tolist() == expected
    assert encode_file(file, words, store=file.with_name("ids")).ids.tolist() == expected
    part = encode_file(file, words, span=(0, len(TEXT) // 2))
    assert part.ids.tolist() == [*expected[: len(part) - 1], part.ids[-1]]


# Measuring


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(length=st.integers(2, 90), columns=st.integers(1, 6), steps=st.integers(1, 9), carried=st.booleans())
def test_every_symbol_but_the_first_is_predicted_once(length: int, columns: int, steps: int, carried: bool):
    batches = WholeText(TextIds(np.arange(length)), batch_size=columns, steps=steps, carried=carried)
    found = list(batches.placed())
    assert len(found) == len(batches)
    counted = np.concatenate([y[y >= 0].numpy() for _, _, y in found])
    assert sorted(counted.tolist()) == list(range(1, length))
    for places, x, y in found:
        assert bool((y >= 0).any())
        assert np.array_equal(places[y.numpy() >= 0], y[y >= 0].numpy())
        assert torch.equal(x[y >= 0] + 1, y[y >= 0])
    assert [y.tolist() for _, y in batches.epoch(skip=1)] == [y.tolist() for _, _, y in found[1:]]


def test_a_carried_column_has_read_what_stands_before_it():
    text = TextIds(np.arange(100))
    batches = WholeText(text, batch_size=4, steps=5, carried=True)
    x = torch.cat([x for x, _ in batches.epoch()], 1)
    y = torch.cat([y for _, y in batches.epoch()], 1)
    assert batches.batch_size == 4
    assert torch.equal(x[:-1, 1:], x[:-1, :-1] + 1)
    for column in range(1, 4):
        first = int((y[column] >= 0).nonzero()[0])
        assert first == 5  # so many symbols were read before one counts
    windows = WholeText(text, batch_size=4, steps=6, carried=False)
    firsts = torch.cat([(y >= 0).int().argmax(1) for _, y in windows.epoch()])
    assert firsts.tolist() == [0] + [3] * (len(firsts) - 1)


def test_passes_with_a_seed_begin_elsewhere_and_can_be_gone_on_with():
    text = TextIds(np.arange(1000))
    batches = ContinuousBatches(text, batch_size=2, steps=7, seed=1)
    first, second = ([x.tolist() for x, _ in batches.epoch()] for _ in range(2))
    assert first != second
    assert first[0][0][0] < 7
    assert len(first) == len(batches)
    epoch = batches.epoch()
    next(epoch)
    state = batches.state_dict()
    rest = [x.tolist() for x, _ in epoch]
    other = ContinuousBatches(text, batch_size=2, steps=7, seed=5)
    other.load_state_dict(state, again=True)
    assert [x.tolist() for x, _ in other.epoch(skip=1)] == rest
    assert [x.tolist() for x, _ in other.epoch()] == [x.tolist() for x, _ in batches.epoch()]


def test_ids_of_a_large_file_lie_on_disk(file: Path, monkeypatch: pytest.MonkeyPatch):
    places = place_parts(file, val=0.1)
    coder = fit_coder(places["train"])
    inside = read_parts(places, coder)
    monkeypatch.setattr("preceptor.data.text._parts._MAPPED", 0)
    mapped = read_parts(places, coder)
    assert all(isinstance(text.ids, np.memmap) for text in mapped.parts.values())
    assert mapped.fingerprint == inside.fingerprint
    x, _ = next(ContinuousBatches(mapped.parts["train"], batch_size=3, steps=5).epoch())
    y, _ = next(ContinuousBatches(inside.parts["train"], batch_size=3, steps=5).epoch())
    assert torch.equal(x, y)
