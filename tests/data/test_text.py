"""Text: vocabularies, ids in memory and in files, batches that go on, batches by length, pairs."""

from __future__ import annotations

import gzip
import json
import lzma
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from preceptor.data.text import (
    BytePairs,
    ContinuousBatches,
    LengthBatches,
    ParallelText,
    Ragged,
    TextIds,
    Tokenizer,
    Vocabulary,
    coder_from_json,
    encode_file,
    pad,
    read_lines,
    read_pairs,
)
from preceptor.errors import CheckpointError, ConfigError, DataError, ExtraMissing

LINES = ["the cat sat", "the dog sat down", "a cat"]


# Vocabularies


@settings(max_examples=40, deadline=None)
@given(text=st.text(max_size=60))
def test_characters_come_back_as_they_were(text: str):
    vocabulary = Vocabulary.build([text, "x"], level="char")
    assert vocabulary.decode(vocabulary.encode(text, begin=True, end=True)) == text


def test_symbols_are_ranked_by_count_and_limited():
    vocabulary = Vocabulary.build(LINES, size=7, specials=("unknown", "end"))
    assert vocabulary.symbols == ("<unk>", "<eos>", "cat", "sat", "the", "a", "dog")
    assert vocabulary.counts == (0, 0, 2, 2, 2, 1, 1)
    assert len(Vocabulary.build(LINES, min_count=2, specials=())) == 3
    assert Vocabulary.build(["The THE"], lower=True, specials=()).symbols == ("the",)


def test_a_symbol_of_the_text_itself_is_the_one_with_the_purpose():
    vocabulary = Vocabulary.build(["the <unk> sat"], specials=("unknown",))
    assert vocabulary.symbols.count("<unk>") == 1
    assert vocabulary.encode("the <unk> bird").tolist() == [2, 0, 0]
    assert vocabulary.counts[0] == 1


def test_unknown_tokens_are_counted_or_refused():
    vocabulary = Vocabulary.build(LINES)
    found = vocabulary.out_of_vocabulary(["the bird sat", "bird"])
    assert (found.tokens, found.unknown, found.frequent) == (4, 2, (("bird", 2),))
    strict = Vocabulary.build(LINES, specials=())
    with pytest.raises(DataError, match="'bird' is not in the vocabulary"):
        strict.encode("the bird")
    with pytest.raises(ConfigError, match="no end symbol"):
        strict.encode("the cat", end=True)
    with pytest.raises(DataError, match="without a symbol"):
        strict.decode([99])


def test_a_vocabulary_survives_json():
    vocabulary = Vocabulary.build(LINES, level="punctuated", lower=True, min_count=1)
    again = coder_from_json(json.loads(json.dumps(vocabulary.to_json())))
    assert isinstance(again, Vocabulary)
    assert again.encode("The dog!").tolist() == vocabulary.encode("The dog!").tolist()
    assert again.fingerprint == vocabulary.fingerprint != Vocabulary.build(LINES).fingerprint
    assert [again.id_of(s) for s in ("padding", "unknown", "begin", "end")] == [0, 1, 2, 3]
    for wrong in (
        {},
        {**vocabulary.to_json(), "version": 9},
        {**vocabulary.to_json(), "symbols": ["a", "a"]},
    ):
        with pytest.raises(CheckpointError):
            coder_from_json(wrong)


@pytest.mark.parametrize(
    "options", [{"specials": ("nonsense",)}, {"size": 4}, {"min_count": 0}, {"level": "phoneme"}]
)
def test_a_vocabulary_that_makes_no_sense_is_refused(options: dict):
    with pytest.raises(ConfigError):
        Vocabulary.build(LINES, **options)
    with pytest.raises(DataError, match="empty"):
        Vocabulary.build([""])
    with pytest.raises(ConfigError, match="level"):
        Tokenizer("phoneme")


# Pieces of words


def test_byte_pairs_need_their_library(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ExtraMissing, match=r"preceptor\[text\]"):
        BytePairs.train(LINES)


class _Pieces:
    """A stand-in for `tokenizers.Tokenizer`: every character is a piece."""

    def __init__(self, symbols: list[str] | None = None) -> None:
        self.symbols = symbols or []

    def train_from_iterator(self, texts, trainer) -> None:
        self.symbols = [*trainer.special_tokens, *sorted(set("".join(texts)))]

    def get_vocab_size(self) -> int:
        return len(self.symbols)

    def token_to_id(self, token: str) -> int | None:
        return self.symbols.index(token) if token in self.symbols else None

    def encode(self, text: str, *, add_special_tokens: bool) -> SimpleNamespace:
        return SimpleNamespace(ids=[self.symbols.index(c) for c in text])

    def decode(self, ids: list[int], *, skip_special_tokens: bool) -> str:
        return "".join(self.symbols[i] for i in ids if not self.symbols[i].startswith("<"))

    def to_str(self) -> str:
        return json.dumps(self.symbols)

    @classmethod
    def from_str(cls, text: str) -> _Pieces:
        return cls(json.loads(text))


def test_byte_pairs_are_trained_stored_and_used(monkeypatch: pytest.MonkeyPatch):
    library = ModuleType("tokenizers")
    byte_level = type("ByteLevel", (), {"__init__": lambda s, **_: None, "alphabet": staticmethod(list)})
    library.Tokenizer = type("T", (_Pieces,), {"__init__": lambda s, m=None: _Pieces.__init__(s, m)})
    library.models = SimpleNamespace(BPE=lambda: None)
    library.pre_tokenizers = library.decoders = SimpleNamespace(ByteLevel=byte_level)
    library.trainers = SimpleNamespace(BpeTrainer=lambda **options: SimpleNamespace(**options))
    monkeypatch.setitem(sys.modules, "tokenizers", library)
    pieces = BytePairs.train(LINES, size=50)
    ids = pieces.encode("the cat", begin=True, end=True)
    assert ids[[0, -1]].tolist() == [pieces.id_of("begin"), pieces.id_of("end")]
    assert pieces.id_of("unknown") is None
    again = coder_from_json(json.loads(json.dumps(pieces.to_json())))
    assert (again.decode(ids), len(again)) == ("the cat", len(pieces))
    with pytest.raises(CheckpointError):
        BytePairs.from_json({"version": 1})


# Ids


@pytest.mark.parametrize(
    ("name", "pack"), [("a.txt", bytes), ("a.txt.gz", gzip.compress), ("a.txt.xz", lzma.compress)]
)
def test_texts_are_read_packed_or_not(tmp_path: Path, name: str, pack):
    (tmp_path / name).write_bytes(pack("über\r\nzwei\n".encode()))
    assert list(read_lines(tmp_path / name)) == ["über", "zwei"]


def test_damaged_texts_are_refused(tmp_path: Path):
    (tmp_path / "a.xz").write_bytes(lzma.compress(b"text\n" * 999)[:50])
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe text")
    (tmp_path / "c.txt").write_text("")
    with pytest.raises(DataError, match="damaged"):
        list(read_lines(tmp_path / "a.xz"))
    with pytest.raises(DataError, match="UTF-8"):
        list(read_lines(tmp_path / "b.txt"))
    with pytest.raises(DataError, match="no file"):
        list(read_lines(tmp_path / "none.txt"))
    with pytest.raises(DataError, match="empty"):
        encode_file(tmp_path / "c.txt", Vocabulary.build(LINES))


def test_ids_in_a_file_are_those_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("preceptor.data.text._corpus._CHUNK", 4)
    (tmp_path / "a.txt").write_text("\n".join(LINES) + "\n")
    words = Vocabulary.build(LINES, specials=("end",))
    held = encode_file(tmp_path / "a.txt", words)
    mapped = encode_file(tmp_path / "a.txt", words, store=tmp_path / "a.ids")
    assert isinstance(mapped.ids, np.memmap)
    assert mapped.ids.dtype == np.uint16
    assert mapped.ids.tolist() == held.ids.tolist()
    assert mapped.fingerprint == held.fingerprint
    assert (held.ids == words.id_of("end")).sum() == 3
    assert np.concatenate(list(held.chunks(4))).tolist() == held.ids.tolist()
    characters = Vocabulary.build(["\n".join(LINES) + "\n"], level="char", specials=())
    text = encode_file(tmp_path / "a.txt", characters)
    assert characters.decode(text.ids) == (tmp_path / "a.txt").read_text()


def test_a_text_is_cut_by_position():
    text = TextIds(np.arange(50, dtype=np.uint16))
    train, val, test = text.split(val=0.2, test=0.1)
    assert np.concatenate([train.ids, val.ids, test.ids]).tolist() == list(range(50))
    assert (len(train), len(val), len(test), test.start) == (35, 10, 5, 45)
    assert len({part.fingerprint for part in (text, train, val, test)}) == 4
    with pytest.raises(ConfigError, match="cut"):
        text.split(val=0.6, test=0.4)


# Batches


@settings(max_examples=40, deadline=None)
@given(length=st.integers(3, 80), columns=st.integers(1, 5), steps=st.integers(1, 9))
def test_columns_go_on_from_batch_to_batch(length: int, columns: int, steps: int):
    if length - 1 < columns:
        with pytest.raises(DataError, match="too short"):
            ContinuousBatches(TextIds(np.arange(length)), batch_size=columns, steps=steps)
        return
    batches = ContinuousBatches(TextIds(np.arange(length)), batch_size=columns, steps=steps)
    found = list(batches.epoch())
    assert len(found) == len(batches)
    x, y = torch.cat([a for a, _ in found], 1), torch.cat([b for _, b in found], 1)
    assert torch.equal(y, x + 1)
    assert torch.equal(x[:, 1:], x[:, :-1] + 1)
    assert x.flatten().tolist() == list(range(columns * ((length - 1) // columns)))
    assert [a.tolist() for a, _ in batches.epoch(skip=1)] == [a.tolist() for a, _ in found[1:]]


def sentences(count: int = 60) -> Ragged:
    rng = np.random.default_rng(0)
    return Ragged.of([[1, *rng.integers(3, 30, rng.integers(0, 20)), 2] for _ in range(count)])


def test_batches_by_length_hold_everything_once_and_pad_little():
    rows = sentences()
    batches = LengthBatches(rows, padding=0, batch_size=8, pool=4)
    plain = LengthBatches(rows, padding=0, batch_size=8, pool=1)
    seen = []
    for x, y in batches.epoch():
        assert ((x == 0) == (y == -100)).all()
        further = x[:, 1:] > 0
        assert torch.equal(x[:, 1:][further], y[:, :-1][further])
        seen += [(1, *(t for t in row.tolist() if t >= 0)) for row in y]
    assert sorted(seen) == sorted(tuple(row.tolist()) for row in rows)
    assert len(list(batches.epoch())) == len(batches) == 8
    assert batches.padding_share < plain.padding_share
    ordered = LengthBatches(rows, padding=0, batch_size=8, shuffle=False)
    assert ordered.padding_share <= batches.padding_share


def test_padding_share_is_what_the_batches_hold():
    batches = LengthBatches(sentences(), sentences(), padding=0, batch_size=7, seed=3)
    inputs = [t for (source, x), _ in batches.epoch() for t in (source, x)]
    share = sum(int((t == 0).sum()) for t in inputs) / sum(t.numel() for t in inputs)
    assert batches.padding_share == pytest.approx(share)


def test_a_pass_is_continued_exactly():
    batches = LengthBatches(sentences(), padding=0, batch_size=8)
    list(batches.epoch())
    passing = batches.epoch()
    next(passing)
    state = batches.state_dict()
    rest = [x.tolist() for x, _ in passing]
    after = [x.tolist() for x, _ in batches.epoch()]
    other = LengthBatches(sentences(), padding=0, batch_size=8, seed=9)
    other.load_state_dict(state, again=True)
    assert [x.tolist() for x, _ in other.epoch(skip=1)] == rest
    other.load_state_dict(state, again=False)
    assert [x.tolist() for x, _ in other.epoch()] == after


def test_rows_are_padded_and_cut():
    x, lengths = pad([[1, 2, 3], [4]], 9, length=2, left=True)
    assert (x.tolist(), lengths.tolist()) == ([[1, 2], [9, 4]], [2, 1])
    with pytest.raises(DataError, match="make no batches"):
        LengthBatches(Ragged.of([[1]]), padding=0, batch_size=2)


# Pairs


def test_pairs_of_one_file_or_two(tmp_path: Path):
    (tmp_path / "p.tsv").write_text("a dog\tein Hund\na\t\n")
    (tmp_path / "en").write_text("a dog\na\n")
    (tmp_path / "de").write_text("ein Hund\n\n")
    pairs = list(read_pairs(tmp_path / "p.tsv"))
    assert pairs == list(read_pairs(tmp_path / "en", tmp_path / "de")) == [("a dog", "ein Hund"), ("a", "")]
    english, german = (Vocabulary.build(side) for side in zip(*pairs, strict=True))
    text = ParallelText.encode(iter(pairs), english, german)
    assert (len(text), text.dropped) == (1, 1)
    assert german.decode(text.targets[0]) == "ein Hund"
    assert text.targets[0][[0, -1]].tolist() == [german.id_of("begin"), german.id_of("end")]
    (source, given_), wanted = next(
        LengthBatches(text.targets, text.sources, padding=0, batch_size=4).epoch()
    )
    assert english.decode(source[0]) == "a dog"
    assert torch.equal(given_[0, 1:], wanted[0, :-1])
    assert text.fingerprint != ParallelText(text.targets, text.sources).fingerprint


def test_pairs_that_do_not_match_are_refused(tmp_path: Path):
    (tmp_path / "p.tsv").write_text("a\tb\nno tab\n")
    (tmp_path / "en").write_text("a\nb\n")
    (tmp_path / "de").write_text("a\n")
    with pytest.raises(DataError, match="line 2"):
        list(read_pairs(tmp_path / "p.tsv"))
    with pytest.raises(DataError, match="ends before line 2"):
        list(read_pairs(tmp_path / "en", tmp_path / "de"))


def test_ragged_rows():
    rows = Ragged.of([[1, 2], [], [3]])
    assert [r.tolist() for r in rows] == [[1, 2], [], [3]]
    assert rows[-1].tolist() == [3]
    assert [r.tolist() for r in rows.take([2, 0])] == [[3], [1, 2]]
    with pytest.raises(IndexError):
        rows[3]
