"""Pairs of sentences: read from files, folders and lists, split, turned into ids, batched by length."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from preceptor.data import Preprocessor
from preceptor.data._parallel import load_pairs
from preceptor.data._prepare_pairs import pair_of, prepare_pairs
from preceptor.data._sentences import fit_vocabulary, spelled
from preceptor.data.text import LengthBatches, Ragged, Vocabulary
from preceptor.data.toy_language import toy_translation
from preceptor.errors import ConfigError, DataError

EN, DE = ["a dog", "two dogs", "a cat"], ["ein Hund", "zwei Hunde", "eine Katze"]


def write(path: Path, lines: list[str]) -> Path:
    text = "".join(f"{line}\n" for line in lines)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


class TestLoading:
    def test_a_file_two_files_and_lists_are_the_same(self, tmp_path: Path):
        one = write(tmp_path / "pairs.tsv", [f"{a}\t{b}" for a, b in zip(EN, DE, strict=True)])
        en, de = write(tmp_path / "train.en", EN), write(tmp_path / "train.de.gz", DE)
        found = [
            load_pairs(one),
            load_pairs(str(en), target=str(de)),
            load_pairs((en, de)),
            load_pairs((EN, DE)),
            load_pairs([*zip(EN, DE, strict=True)]),
        ]
        assert len({data.fingerprint for data in found}) == 1
        assert (found[0].name, found[0].kind, found[0].target_kind) == ("pairs", "pairs", "sequences")
        assert found[0].inputs.tolist() == EN
        assert found[0].targets.tolist() == DE

    def test_a_folder_has_parts_and_languages(self, tmp_path: Path):
        for part, size in (("train", 3), ("val", 1), ("test_2016", 2), ("test_2017", 1)):
            write(tmp_path / f"{part}.en.gz", EN[:size])
            write(tmp_path / f"{part}.de.gz", DE[:size])
        data = load_pairs(tmp_path, target="de")
        assert data.part is not None
        assert [str(part) for part in data.part] == ["train"] * 3 + ["val"] + ["test"] * 2
        assert data.target_name == "de"
        assert data.notes == ("test: test_2016.en.gz; not used: test_2017.en.gz",)
        assert load_pairs(tmp_path, target="de-en").targets[0] == "a dog"
        write(tmp_path / "train.fr.gz", ["x", "y", "z"])
        assert load_pairs(tmp_path, target="en-fr").targets[0] == "x"
        with pytest.raises(DataError, match=r"which languages[\s\S]*two of de, en, fr[\s\S]*--target"):
            load_pairs(tmp_path, target="de")

    def test_parts_of_their_own(self, tmp_path: Path):
        en, de = write(tmp_path / "train.en", EN), write(tmp_path / "train.de", DE)
        write(tmp_path / "dev.en", EN[:1])
        write(tmp_path / "dev.de", DE[:1])
        data = load_pairs(en, target=str(de), val=tmp_path / "dev.en", test=(EN[:2], DE[:2]))
        assert data.part is not None
        assert [str(part) for part in data.part] == ["train"] * 3 + ["val"] + ["test"] * 2

    def test_what_cannot_be_read_is_said(self, tmp_path: Path):
        with pytest.raises(DataError, match=r"no file"):
            load_pairs(tmp_path / "absent.tsv")
        with pytest.raises(DataError, match="no training text"):
            load_pairs(tmp_path)
        with pytest.raises(DataError, match="line 2 is no pair"):
            load_pairs(write(tmp_path / "bad.tsv", ["a\tb", "alone"]))
        with pytest.raises(DataError, match="2 and 1 texts"):
            load_pairs((EN[:2], DE[:1]))
        with pytest.raises(DataError, match="int: 3"):
            load_pairs(([3], ["a"]))
        with pytest.raises(DataError, match="there are no pairs"):
            load_pairs((["", "  "], ["a", "b"]))
        with pytest.raises(DataError, match="no pairs of texts"):
            load_pairs(7)


class TestPreparing:
    def test_vocabularies_know_the_training_part_alone(self):
        sources, targets = toy_translation(60)
        data = load_pairs((sources, targets), val=(["the unicorn sees the dog"], ["unukorno hundo vidas"]))
        ready = prepare_pairs(data, test=0.0)
        encoder, _ = pair_of(ready.preprocessor)
        assert isinstance(encoder.coder, Vocabulary)
        assert "unicorn" not in encoder.coder
        assert ready.dataset.notes[-2] == "val, sources: 20.00% of 5 tokens unknown (1 different: unicorn)"
        assert ready.pairs["val"].sources[0].tolist()[1] == encoder.coder.id_of("unknown")
        assert ready.pairs["train"].targets[0][[0, -1]].tolist() == [2, 3]
        assert len(ready.train.rows) == 60
        assert ready.val is not None
        assert ready.val.x.tolist() == [6]

    def test_it_survives_json(self):
        ready = prepare_pairs(load_pairs(toy_translation(40)), level="char")
        state = json.loads(json.dumps(ready.preprocessor.to_state()))
        again = Preprocessor.from_state(state)
        text = ["the old dog"]
        assert torch.equal(again.inputs(text), ready.preprocessor.inputs(text))
        assert torch.equal(again.targets(text), ready.preprocessor.targets(text))
        assert (again.kind, again.target_kind) == ("pairs", "sequences")

    def test_long_training_pairs_are_left_out(self):
        data = load_pairs((["a", "a b", "a b c d e f"] * 4, ["x"] * 12))
        ready = prepare_pairs(data, val=0.0, test=0.0, longest=4)
        assert len(ready.train.rows) == 8
        assert ready.dataset.notes[-1].startswith("4 training pairs of more than 4 symbols")
        with pytest.raises(DataError, match="no training pairs are left"):
            prepare_pairs(data, val=0.0, test=0.0, longest=2)

    def test_levels(self):
        assert len(fit_vocabulary(["aab"], level="char")) == 6
        with pytest.raises(ConfigError, match="keep capitals"):
            fit_vocabulary(["a"], level="byte-pairs", lower=True)

    def test_pieces_of_words(self):
        pytest.importorskip("tokenizers")
        coder = fit_vocabulary(["the dog and the cat"] * 5, level="byte-pairs", size=300)
        ids = coder.encode("the dog", begin=True, end=True)
        assert (ids[0], ids[-1]) == (coder.id_of("begin"), coder.id_of("end"))
        assert coder.id_of("padding") == 0
        assert coder.decode(ids) == "the dog"

    def test_texts_are_spelled_as_people_do(self):
        coder = fit_vocabulary(["x x"])
        said = ["a", "t", "-", "shirt", ",", "(", "red", ")", ",", "it", "'", "s", "new", "."]
        assert spelled(coder, said) == "a t-shirt, (red), it's new."
        assert spelled(fit_vocabulary(["x x"], level="word"), ["a", ",", "b"]) == "a , b"
        assert spelled(fit_vocabulary(["x x"], level="char"), ["a", " ", "b"]) == "a b"


class TestProgressiveLengths:
    def batches(self) -> LengthBatches:
        rows = Ragged.of([[1, *range(5, 5 + n), 2] for n in range(12)])
        return LengthBatches(
            rows, rows, padding=0, batch_size=4, seed=3, longest=lambda number: 4 + 3 * number
        )

    def test_passes_grow_and_have_as_many_batches(self):
        batches = self.batches()
        for number in range(5):
            seen = list(batches.epoch())
            assert len(seen) == len(batches) == 3
            assert sum(len(y) for _, y in seen) == 12
            assert max(x[0].shape[1] for x, _ in seen) == min(4 + 3 * number, 13)

    @pytest.mark.parametrize("again", [True, False])
    def test_they_go_on_where_they_were(self, again: bool):
        batches, other = self.batches(), self.batches()
        list(batches.epoch())
        first = [y.tolist() for _, y in batches.epoch()]
        other.load_state_dict(batches.state_dict(), again=again)
        expected = first if again else [y.tolist() for _, y in batches.epoch()]
        assert [y.tolist() for _, y in other.epoch()] == expected

    def test_where_none_is_short_enough_the_shortest_are_taken(self):
        rows = Ragged.of([[1, 5, 6, 2], [1, 5, 6, 7, 2]])
        batches = LengthBatches(rows, padding=0, batch_size=2, longest=lambda number: 1)
        assert [x.tolist() for x, _ in batches.epoch()] == [[[1, 5, 6], [1, 5, 6]]]


def test_the_small_language_translates_in_order_and_length():
    sources, targets = toy_translation(300, seed=2)
    assert toy_translation(300, seed=2) == (sources, targets)
    assert len({len(a.split()) - len(b.split()) for a, b in zip(sources, targets, strict=True)}) > 2
    assert {"neniam", "ne"} <= set(" ".join(targets).split())
    assert np.mean(["the" in text.split() for text in sources]) > 0.5
    assert not any("the" in text.split() for text in targets)
