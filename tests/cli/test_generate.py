"""``preceptor train … --task language-modelling``, ``generate`` and ``evaluate``."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Cli


@pytest.fixture
def run(cli: Cli, tmp_path: Path) -> Path:
    text = "".join(f"{'abc' * (1 + i % 3)} and {i % 5} more\n" for i in range(160))
    (tmp_path / "letters.txt").write_text(text, encoding="utf-8")
    done = cli(
        "train", "letters.txt", "--task", "language-modelling", "--model", "gru", "--level", "char",
        "--epochs", 2, "--batch-size", 8, "--lr", 0.02, "--set", "model.hidden=12", "--set", "text.steps=16",
    )  # fmt: skip
    assert done.code == 0
    assert "symbols (char) · split" in done.out
    assert "val_perplexity" in done.out
    assert "gru 12-12-" in done.out
    return tmp_path / "runs" / "letters-1"


@pytest.mark.slow
def test_it_writes_as_asked(cli: Cli, run: Path):
    asked = ("--prompt", "abc\\n", "--length", 20, "--temperature", 0.8, "--top-k", 40, "--top-p", 0.9)
    first, second = (cli("generate", run, *asked, "--seed", 1) for _ in range(2))
    assert first.code == 0
    assert first.out == second.out
    assert first.out.startswith("abc\n")
    assert len(first.out) == 4 + 20 + 1
    stopped = cli("generate", run, "--length", 200, "--seed", 2, "--stop", "\\n")
    assert stopped.out.count("\n") == 2
    odd = cli("generate", run, "--prompt", "Ω", "--length", 3, "--seed", 0)
    assert "read as unknown: 'Ω'" in odd.err
    assert odd.out.startswith("Ω")


@pytest.mark.slow
def test_other_texts_are_measured_and_unknown_symbols_told(cli: Cli, run: Path, tmp_path: Path):
    (tmp_path / "other.txt").write_text("abc änd 3 more\n" * 9, encoding="utf-8")
    done = cli("evaluate", run, "other.txt")
    assert done.code == 0
    assert "perplexity" in done.lines[0]
    assert "unknown (1 different: ä)" in done.out
    assert "bits_per_character" in done.out


@pytest.mark.slow
def test_wrong_options_are_one_message(cli: Cli, run: Path, tmp_path: Path):
    assert cli("generate", run, "--temperature", -1).code == 2
    assert cli("generate", tmp_path / "none").code == 2
    done = cli("train", "letters.txt", "--task", "language-modelling", "--level", "syllable")
    assert done.code == 2
    assert "text.level" in done.err
    plain = cli("train", "letters.txt")
    assert plain.code == 2
    assert "--task language-modelling" in plain.err
