"""``preceptor train TEXT --task embedding`` and ``preceptor neighbours``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import preceptor
from preceptor.errors import CheckpointError, ConfigError, DataError
from preceptor.run import embed, load_embedding

from .conftest import Cli

SMALL = ("--set", "model.dim=6", "--set", "model.window=4", "--epochs", 5)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.txt"
    path.write_text(
        "the king rules the land and the queen rules the land\na man and a woman walk\nrare\n" * 6
    )
    return path


@pytest.mark.slow
def test_a_text_becomes_vectors_and_neighbours(cli: Cli, corpus: Path, tmp_path: Path):
    done = cli(
        "train", corpus, "--task", "embedding", "--model", "glove", *SMALL, "--set", "model.min_count=6"
    )
    assert done.code == 0, done.err
    assert "108 tokens in 18 lines" in done.lines[0]
    folder = tmp_path / "runs" / "glove-1"
    assert {p.name for p in folder.iterdir()} >= {
        "experiment.toml", "manifest.json", "history.csv", "vocabulary.json", "report.html", "weights"
    }  # fmt: skip
    asked = cli("neighbours", "runs/glove-1", "king", "-", "man", "+", "woman", "-n", 3)
    assert (asked.code, len(asked.lines)) == (0, 3)
    assert not {line.split()[0] for line in asked.lines} & {"king", "man", "woman"}
    run = load_embedding(folder)
    assert (run.status, len(run.history), run.experiment.task) == ("finished", 5, "embedding")
    again = embed(
        corpus, {"model.dim": 6, "model.window": 4, "training.epochs": 5, "model.min_count": 6}, out=False
    )
    assert torch.equal(again.model.words, run.model.words)
    assert "glove" in (folder / "report.html").read_text()
    run.vectors.save(tmp_path / "v.txt")
    assert cli("neighbours", "v.txt", "king", "-n", 3).code == 0
    renewed = cli("train", folder / "experiment.toml", "--out", "second")
    assert renewed.code == 0, renewed.err
    assert torch.equal(load_embedding(tmp_path / "second").model.words, run.model.words)


def test_mistakes_are_told(cli: Cli, corpus: Path, tmp_path: Path):
    cli("train", corpus, "--task", "embedding", *SMALL, "--out", "run")
    assert "did you mean 'queen'" in cli("neighbours", "run", "qeen").err
    assert "preceptor neighbours" in cli("evaluate", "run").err
    assert "no setting 'data.target'" in cli("train", corpus, "--task", "embedding", "--target", "x").err
    assert (
        "did you mean 'model.window'"
        in cli("train", corpus, "--task", "embedding", "--set", "model.windw=3").err
    )
    assert "does not suit" in cli("train", corpus, "--task", "embedding", "--model", "mlp").err
    assert "one go" in cli("train", corpus, "--task", "embedding", "--attend").err
    assert cli("train", "none.txt", "--task", "embedding").code == 2
    (tmp_path / "few.txt").write_text("one two three\n")
    assert "min_count" in cli("train", "few.txt", "--task", "embedding").err


def test_in_python(corpus: Path, tmp_path: Path):
    settings = {"model.dim": 4}
    run = preceptor.train("glove", corpus, task="embedding", epochs=2, settings=settings, out=tmp_path / "r")
    assert len(run.history) == 2
    with pytest.raises(ConfigError, match="word vectors"):
        preceptor.load(tmp_path / "r")
    with pytest.raises(DataError, match="text file"):
        preceptor.train(data=([[1.0]], [1]), task="embedding")
    manifest = json.loads((tmp_path / "r" / "manifest.json").read_text())
    assert manifest["data"]["text"] == run.fingerprint
    (tmp_path / "r" / "vocabulary.json").write_text("{}")
    with pytest.raises(CheckpointError):
        load_embedding(tmp_path / "r")
