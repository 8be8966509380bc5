"""Sentences and tags from a file or by name to predictions for new sentences."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import preceptor
from preceptor.cli import app
from preceptor.data import load, prepare
from preceptor.data._tagged import read_tagged
from preceptor.errors import DataError

QUIET = {"training.watch": False, "training.train_examples": 50}


def test_a_file_of_words_and_tags_is_read(tmp_path: Path):
    path = tmp_path / "a.conll"
    path.write_text("# a comment\nthe\tx\tDET\ndog\tx\tNOUN\n\nruns VERB\n\n", encoding="utf-8")
    data = load(str(path))
    assert (data.inputs.tolist(), data.targets.tolist()) == (["the dog", "runs"], ["DET NOUN", "VERB"])
    assert data.classes == ("DET", "NOUN", "VERB")
    universal = tmp_path / "b.conllu"
    universal.write_text("1\tthe\tthe\tDET\t_\n2\tdog\tdog\tNOUN\t_\n", encoding="utf-8")
    assert load(str(universal)).targets.tolist() == ["DET NOUN"]
    path.write_text("the\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 1 has no tag"):
        read_tagged(path, name="a", origin="a")
    path.write_text("\n", encoding="utf-8")
    with pytest.raises(DataError, match="holds no sentence"):
        read_tagged(path, name="a", origin="a")


def test_words_that_are_rare_in_training_are_unknown_and_tags_return():
    ready = prepare(load("grammar-sentences"))
    encoder = ready.preprocessor.encoder
    assert encoder.apply(["zebra the"])[0].tolist() == [1, encoder.words.index("the") + 2]
    assert ready.train.x.shape == ready.train.y.shape
    assert ((ready.train.x == 0) == (ready.train.y == -1)).all()
    with pytest.raises(DataError, match="a tag is unknown"):
        ready.preprocessor.targets(["NOUN XYZ"])
    with pytest.raises(DataError, match="a sentence is empty"):
        encoder.apply(["", "the"])


def test_no_sentence_of_the_grammar_occurs_twice():
    data = load("grammar-sentences")
    assert len(set(data.inputs.tolist())) == len(data) == 3000


def test_a_tagger_is_better_than_the_most_frequent_tag_of_each_word(tmp_path: Path):
    run = preceptor.train(data="grammar-sentences", epochs=3, lr=3e-3, out=tmp_path / "r", settings=QUIET)
    found = run.test()
    assert found.metrics["tag_accuracy"] >= 0.95
    data, split = run.prepared.dataset, run.prepared.split
    seen: dict[str, Counter[str]] = {}
    for i in split.train:
        for word, tag in zip(data.inputs[i].split(), data.targets[i].split(), strict=True):
            seen.setdefault(word, Counter())[tag] += 1
    pairs = [
        (w, t)
        for i in split.test
        for w, t in zip(data.inputs[i].split(), data.targets[i].split(), strict=True)
    ]
    usual = np.mean([seen[word].most_common(1)[0][0] == tag for word, tag in pairs])
    assert found.metrics["tag_accuracy"] > usual + 0.05
    again = preceptor.load(tmp_path / "r")
    sentences = ["the duck saw a light", "dog fish"]
    assert again.predict(sentences).tolist() == run.predict(sentences).tolist()
    assert [len(tags.split()) for tags in again.predict(sentences)] == [5, 2]
    assert "Worst sentences, validation" in run.report().read_text(encoding="utf-8")


def test_a_text_is_tagged_on_the_command_line(tmp_path: Path):
    data = load("grammar-sentences")
    lines = (
        "\n".join(f"{w} {t}" for w, t in zip(x.split(), y.split(), strict=True)) + "\n"
        for x, y in zip(data.inputs[:80], data.targets[:80], strict=True)
    )
    (tmp_path / "a.conll").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "new.txt").write_text("the dog saw a duck\nthe fish\n", encoding="utf-8")
    run, call = str(tmp_path / "r"), CliRunner().invoke
    command = ["train", str(tmp_path / "a.conll"), "--model", "gru", "--epochs", "1", "--out", run]
    shown = call(app, [*command, "--set", "training.watch=false"])
    assert shown.exit_code == 0, shown.output
    rows = call(app, ["predict", run, str(tmp_path / "new.txt")]).output.splitlines()
    assert rows[0] == "row,prediction"
    assert [len(row.split()) for row in rows[1:]] == [5, 2]
    assert call(app, ["evaluate", run, str(tmp_path / "a.conll")]).exit_code == 0
