"""``preceptor search``: what it prints, goes on with, tries by hand, and refuses."""

from __future__ import annotations

from pathlib import Path

import preceptor
from preceptor.search import Search

from .conftest import Cli

SPACE = ("--space", "lr=log:1e-3..1")
SHORT = ("--model", "linear", "--epochs", 2)


def labelled(lines: list[str], label: str) -> list[str]:
    return [line for line in lines if line.startswith(label)]


def test_a_search(cli: Cli) -> None:
    done = cli("search", "iris", *SHORT, *SPACE, "--trials", 3, "--repeats", 2, "--finalists", 2)
    assert (done.code, done.err) == (0, "")
    assert done.lines[0] == "search   random · optimizer.lr log:0.001..1.0"
    assert "the test set is sealed" in done.lines[1]
    rows = [line for line in done.lines if line.strip()[:1].isdigit()]
    assert len(rows) == 3 + 4
    assert rows[3].endswith("with seed 1")
    assert labelled(done.lines, "verdict")[0].startswith("verdict  trial ")
    assert Path("searches/iris-1/report.html").is_file()
    again = cli("train", "searches/iris-1/best.toml", "--out", "winner", "--no-test")
    assert again.code == 0
    search = Search("searches/iris-1")
    assert search.best is not None
    assert preceptor.load("winner").experiment.flat()["optimizer.lr"] == search.best.settings["optimizer.lr"]


def test_hidden_units_as_in_the_manual(cli: Cli) -> None:
    done = cli(
        "search", "iris", "--model", "mlp", "--epochs", 1, "--space", "model.hidden=8|16", "--method", "grid"
    )
    assert done.code == 0, done.err
    assert len(Search("searches/iris-1").tried) == 2


def test_an_experiment_file_and_going_on(cli: Cli) -> None:
    Path("experiment.toml").write_text(
        'name = "mine"\n[data]\nsource = "iris"\n[model]\nname = "linear"\n[training]\nepochs = 2\n'
    )
    first = cli("search", "experiment.toml", *SPACE, "--trials", 2, "--repeats", 0)
    assert first.code == 0
    more = cli("search", "searches/mine-1", "--trials", 3)
    assert more.code == 0
    assert labelled(more.lines, "goes on") == ["goes on  searches/mine-1, after 2 trials"]
    assert len(Search("searches/mine-1").trials) == 3


def test_by_hand(cli: Cli) -> None:
    assert cli("search", "iris", *SHORT, "--note", "as it comes").code == 0
    second = cli("search", "searches/iris-1", "--set", "lr=0.1", "--note", "faster")
    assert second.code == 0
    assert any("lr 0.001 → 0.1, from trial 0: faster" in line for line in second.lines)
    third = cli("search", "searches/iris-1", "--set", "weight_decay=0.1", "--parent", 0, "--note", "decayed")
    assert any("weight_decay 0 → 0.1, from trial 0: decayed" in line for line in third.lines)
    assert [trial.note for trial in Search("searches/iris-1").trials] == ["as it comes", "faster", "decayed"]
    assert "faster" in Path("searches/iris-1/report.html").read_text()


def test_advice_is_printed(cli: Cli) -> None:
    done = cli("search", "iris", *SHORT, "--space", "lr=1e-5..1e-1", "--trials", 1)
    assert any("linear scale" in line for line in labelled(done.lines, "note"))


def test_what_is_refused(cli: Cli) -> None:
    for arguments, word in (
        ((), "nothing to train on"),
        (("iris",), "nothing to search"),
        (("iris", "--space", "lr"), "a space has no values"),
        (("iris", *SPACE, "--budget", "soon"), "the budget cannot be read"),
        (("iris", *SPACE, "--method", "luck"), "no such method"),
        (("iris", *SPACE, "--metric", "test_loss"), "decided on validation"),
        (("iris", *SPACE, "--on", "mars"), "no such place"),
        (("iris", "--space", "learning_rate=0.1..1"), "unknown hyperparameter"),
    ):
        done = cli("search", *arguments)
        assert (done.code, word in done.err) == (2, True), done.err


def test_cross_validation(cli: Cli) -> None:
    done = cli(
        "cross-validate",
        "iris",
        "--model",
        "linear",
        "--epochs",
        2,
        "--folds",
        3,
        "--repeats",
        2,
        "--out",
        "cv.json",
    )
    assert (done.code, done.err) == (0, "")
    assert done.lines[0].split() == ["repeat", "fold", "examples", "loss", "accuracy", "macro_f1"]
    assert len([line for line in done.lines if line.strip()[:1].isdigit()]) == 6
    assert labelled(done.lines, "folds") == ["folds    150 examples, 3 folds, 2 times, stratified"]
    assert "corrected for overlap" in labelled(done.lines, "result")[0]
    assert Path("cv.json").is_file()
    assert "fewer examples than folds" in cli("cross-validate", "iris", "--folds", 200).err
