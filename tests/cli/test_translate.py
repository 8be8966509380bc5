"""``preceptor train PAIRS --task translation`` and ``preceptor translate``."""

from __future__ import annotations

from pathlib import Path

import pytest

from preceptor.data.toy_language import toy_translation

from .conftest import Cli

SMALL = ("--epochs", 2, "--lr", "1e-2", "--set", "model.hidden=12", "--set", "text.beam=2",
         "--set", "training.watch=false")  # fmt: skip


@pytest.fixture
def sides(tmp_path: Path) -> None:
    for side, texts in zip(("en", "eo"), toy_translation(80, clauses=1), strict=True):
        (tmp_path / f"train.{side}").write_text("".join(f"{text}\n" for text in texts))


@pytest.mark.slow
def test_from_two_files_to_translations(cli: Cli, sides: None, tmp_path: Path):
    done = cli("train", "train.en", "--target", "train.eo", "--task", "translation", *SMALL)
    assert done.code == 0, done.err
    assert done.lines[0].startswith("data     80 pairs of texts · 27 symbols to 27 symbols · split 56/12/12")
    assert any(line.startswith("val      bleu") for line in done.lines)
    assert any(line.startswith("test     bleu") and "first look" in line for line in done.lines)
    run = "runs/train-1"
    (tmp_path / "new.txt").write_text("the dog sees the cat\ntwo birds feeds the horse\n")
    both = cli("translate", run, "--file", "new.txt")
    assert (both.code, len(both.lines)) == (0, 2)
    one = cli("translate", run, "the dog sees the cat", "--map", "--beam", 2)
    assert one.lines[0] == both.lines[0]
    alone = cli("translate", run, "the dog sees the cat", "--alignment", "map.svg", "--out", "said.txt")
    assert (alone.out, alone.err.strip()) == ("", "alignment map.svg")
    assert (tmp_path / "said.txt").read_text() == both.lines[0] + "\n"
    drawn = [cli("translate", run, "the dog", "--temperature", 2, "--seed", s).out for s in (1, 1)]
    assert drawn[0] == drawn[1]
    assert "bleu" in cli("evaluate", run, "--on", "val").lines[0]
    assert cli("predict", run, "new.txt").lines == [
        "row,prediction",
        f"1,{both.lines[0]}",
        f"2,{both.lines[1]}",
    ]
    nothing = cli("translate", run)
    assert nothing.code == 2
    assert "there is nothing to translate" in nothing.err
    resumed = cli("train", "--resume", run, "--epochs", 3)
    assert resumed.code == 0, resumed.err


def test_settings_as_a_file(cli: Cli, sides: None, tmp_path: Path):
    (tmp_path / "experiment.toml").write_text(
        'task = "translation"\n[data]\nsource = "train.en"\ntarget = "train.eo"\n[model]\nname = "seq2seq"\n'
        'hidden = 12\nreverse = true\n[text]\nlevel = "char"\nbeam = 1\nfirst_longest = 12\n'
        "[training]\nepochs = 1\nwatch = false\n"
    )
    done = cli("train", "experiment.toml", "--no-test")
    assert done.code == 0, done.err
    assert "seq2seq " in done.out
    refused = cli("translate", "runs/train-1", "the dog", "--map")
    assert refused.code == 2
    assert "a network with attention" in refused.err
