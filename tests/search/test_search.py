"""Searches of real trainings: the journal, going on after a crash, pausing, seeds, and a sealed test set."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import preceptor
from preceptor.errors import CheckpointError, ConfigError, DataError, UnknownName
from preceptor.search import Search, tune
from preceptor.search import _work as work
from preceptor.search.search import Trial

RATES = "log:1e-3..1"


def small(out: Path, **arguments: Any) -> Search:
    arguments = {"space": {"lr": RATES}, "trials": 3, "epochs": 2, "repeats": 0, **arguments}
    return tune("linear", "iris", out=out, **arguments)


def lines(search: Search) -> list[dict[str, Any]]:
    text = (search.folder / "journal.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.slow
def test_a_search_leaves_everything_behind(tmp_path: Path) -> None:
    search = small(tmp_path / "s", repeats=2, finalists=2)
    assert [trial.stage for trial in search.trials] == ["random"] * 3 + ["seeds"] * 4
    assert [event["event"] for event in lines(search)] == ["begun", "ended"] * 7 + ["verdict"]
    best = search.best
    assert best is not None
    assert best.number < 3
    folder = preceptor.load(search.folder / "trials" / f"{best.number:04d}").folder
    assert folder is not None
    settings = folder.experiment.flat()  # every run holds all hyperparameters, what was searched and what not
    assert settings["optimizer.lr"] == best.settings["optimizer.lr"]
    assert {"model.name", "training.batch_size", "training.epochs", "optimizer.weight_decay"} <= set(settings)
    again = preceptor.train(
        experiment=preceptor.Experiment.read(search.folder / "best.toml"),
        settings={"training.watch": False},
        out=False,
    )
    rows = folder.history.without("seconds")
    assert again.history.without("seconds") == rows
    assert best.value == pytest.approx(min(row["val_loss"] for row in rows))
    verdict = search.verdict
    assert verdict is not None
    assert verdict.seeds == 2
    assert {trial.seed for trial in search.trials} == {0, 1, 2}


def test_the_test_set_is_sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    whole = work._outcome

    def outcome(run: preceptor.Run, *others: Any) -> dict[str, Any]:
        seen.append(run)
        with pytest.raises(DataError, match="no test examples"):
            run.test()
        assert run.part("test") is None
        return whole(run, *others)

    monkeypatch.setattr(work, "_outcome", outcome)
    search = small(tmp_path / "s", trials=1)
    assert len(seen) == 1
    folder = preceptor.load(search.folder / "trials" / "0000").folder
    assert folder is not None
    assert folder.manifest["ledger"] == []
    with pytest.raises(ConfigError, match="decided on validation"):
        small(tmp_path / "t", metric="test_accuracy")
    with pytest.raises(DataError, match="judged on validation"):
        small(tmp_path / "t", val=0.0)


def test_a_look_at_the_test_set_ends_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "seal", lambda run: run.ledger.append({"look": 1}) or ())
    with pytest.raises(AssertionError, match="test set"):
        small(tmp_path / "s", trials=1)


def test_going_on_gives_what_would_have_been(tmp_path: Path) -> None:
    whole = small(tmp_path / "whole", trials=4)

    def stop(trial: Trial) -> None:
        if trial.number == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        small(tmp_path / "part", trials=4, tell=stop)
    rest = small(tmp_path / "part", trials=4)
    assert [t.settings for t in rest.trials] == [t.settings for t in whole.trials]
    assert [t.value for t in rest.trials] == [t.value for t in whole.trials]
    with pytest.raises(ConfigError, match="another search"):
        small(tmp_path / "part", trials=4, seed=1)
    assert len(small(tmp_path / "part", trials=5).trials) == 5  # a larger budget


def _search_in(folder: str) -> None:
    torch.set_num_threads(1)
    settings = {"training.checkpoint_steps": 1, "training.patience": "none"}
    small(Path(folder), trials=3, epochs=40, settings=settings)


@pytest.mark.slow
def test_kill_9_costs_the_running_trial_no_more_than_its_last_checkpoint(tmp_path: Path) -> None:
    _search_in(str(tmp_path / "whole"))
    code = "import runpy, sys; runpy.run_path(sys.argv[1])['_search_in'](sys.argv[2])"
    process = subprocess.Popen([sys.executable, "-c", code, __file__, str(tmp_path / "killed")])
    journal = tmp_path / "killed" / "journal.jsonl"
    while not journal.exists() or journal.read_text().count('"begun"') < 2:
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    before = Search(tmp_path / "killed").trials
    assert len(before) < 4
    _search_in(str(tmp_path / "killed"))
    whole, killed = (Search(tmp_path / name) for name in ("whole", "killed"))
    assert [t.settings for t in killed.trials] == [t.settings for t in whole.trials]
    assert [t.value for t in killed.trials] == [t.value for t in whole.trials]
    done = [t.number for t in before if not t.open]
    assert sum(event["event"] == "begun" for event in lines(killed)) == 3
    assert all(sum(e["event"] == "ended" and e["number"] == n for e in lines(killed)) == 1 for n in done)


def test_halving_goes_on_with_runs_where_they_stood(tmp_path: Path) -> None:
    search = small(
        tmp_path / "s", method="halving", trials=4, epochs=4, eta=2, settings={"schedule.name": "cosine"}
    )
    assert [len(trial.results) for trial in search.trials].count(3) == 1
    last = max(search.trials, key=lambda trial: len(trial.results))
    assert [result.epochs for result in last.results] == [1, 2, 4]
    run = preceptor.load(search.folder / "trials" / f"{last.number:04d}")
    alone = preceptor.train(experiment=search.experiment(last), out=False)
    assert run.history.without("seconds") == alone.history.without("seconds")
    assert search.best is last
    loser = min(search.trials, key=lambda trial: (len(trial.results), trial.number))
    assert preceptor.load(search.folder / "trials" / f"{loser.number:04d}").status == "interrupted"


def test_stages_leave_the_rate_and_the_batch_for_last(tmp_path: Path) -> None:
    space = {"lr": RATES, "weight_decay": [0.0, 1e-3, 1e-2]}
    search = small(tmp_path / "s", space=space, staged=True, trials=6)
    assert [tuple(part) for part in search.plan.stages] == [
        ("optimizer.weight_decay",),
        ("optimizer.lr", "training.batch_size"),
    ]
    first = [trial for trial in search.trials if trial.stage == "stage 1"]
    last = [trial for trial in search.trials if trial.stage == "stage 2"]
    assert (len(first), len(last)) == (2, 4)
    assert all(set(trial.settings) == {"optimizer.weight_decay"} for trial in first)
    winner = min(first, key=lambda trial: trial.value or np.inf)
    assert {t.settings["optimizer.weight_decay"] for t in last} == {winner.settings["optimizer.weight_decay"]}
    assert {trial.settings["training.batch_size"] for trial in last} <= {32, 64, 128, 256}
    with pytest.raises(ConfigError, match="not in the space"):
        small(tmp_path / "t", staged=[["model.dropout"]])


def test_budgets(tmp_path: Path) -> None:
    search = small(tmp_path / "s", trials=None, budget="10steps", epochs=3)  # 4 steps an epoch
    assert sum(trial.result.steps for trial in search.trials if trial.result) == 10
    assert search.trials[-1].open
    more = small(tmp_path / "s", trials=None, budget="24steps", epochs=3)
    assert [trial.result.steps for trial in more.trials if trial.result] == [12, 12]
    assert len(small(tmp_path / "t", trials=None, budget="0.001s").trials) <= 1


def test_by_hand(tmp_path: Path) -> None:
    search = small(tmp_path / "s", method="manual", space=(), trials=None)
    search.add({}, note="as it comes")
    search.add({"optimizer.lr": 0.1}, note="faster")
    search.add({"optimizer.lr": 0.1, "optimizer.weight_decay": 0.1}, parent=0)
    first, second, third = search.trials
    assert (first.parent, first.changes, first.note) == (None, (), "as it comes")
    assert (second.parent, second.changed) == (0, "lr 0.001 → 0.1, from trial 0")
    assert [str(change) for change in third.changes] == ["lr 0.001 → 0.1", "weight_decay 0 → 0.1"]
    assert search.best is second or search.best is third
    with pytest.raises(ConfigError, match="no trial 7"):
        search.add({}, parent=7)
    with pytest.raises(ConfigError, match="trial 3 failed"):
        search.add({"optimizer.lr": -1.0})


def test_the_journal_names_the_one_thing_that_changed(tmp_path: Path) -> None:
    space = {"lr": [0.01, 0.1], "weight_decay": [0.0, 0.1]}
    search = small(tmp_path / "s", method="grid", space=space, trials=None, epochs=1)
    changed = [event["changes"] for event in lines(search) if event["event"] == "begun"]
    assert [len(changes) for changes in changed] == [1, 1, 1, 1]
    assert changed[1][0]["text"] == "weight_decay 0 → 0.1"
    assert changed[3][0]["kind"] == "weight_decay"


def test_what_fails_is_written_down(tmp_path: Path) -> None:
    search = small(tmp_path / "s", space={"optimizer.name": ["adam", "no-such"]}, method="grid", trials=None)
    result = search.trials[1].result
    assert result is not None
    assert result.status == "failed"
    assert "no-such" in result.error
    assert search.best is search.trials[0]
    with pytest.raises(ConfigError, match="first 3 trials failed"):
        small(tmp_path / "t", space={"lr": "-3.0..-1.0"})
    with pytest.raises(UnknownName, match="depth"):
        small(tmp_path / "u", space={"model.depth": [1, 2]})
    with pytest.raises(CheckpointError, match="no search in"):
        Search(tmp_path / "nowhere")


def test_what_diverges_does_not_win(tmp_path: Path) -> None:
    search = tune(
        "linear", "diabetes", space={"lr": [0.01, 1e30]}, method="grid", epochs=3, repeats=0, optimizer="sgd",
        out=tmp_path / "s",
    )  # fmt: skip
    assert [t.result.status for t in search.trials if t.result] == ["finished", "diverged"]
    assert search.trials[1].value is None
    assert search.best is search.trials[0]


def test_blocks_and_data_given_in_code(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    net = nn.Linear(2, 1)
    before = net.weight.detach().clone()
    search = tune(
        net, (x, (x[:, 0] > 0).astype(int)), space={"lr": RATES}, trials=2, epochs=2, out=tmp_path / "s"
    )
    assert all(trial.value is not None for trial in search.trials)
    assert torch.equal(net.weight, before)  # each trial has its own copy
    with pytest.raises(ConfigError, match="cannot be sent"):
        tune(net, (x, x[:, 0] > 0), space={"lr": RATES}, trials=2, workers=2, out=tmp_path / "t")
    with pytest.raises(ConfigError, match="'epochs'"):
        tune("linear", "iris", space={"lr": RATES}, epoch=3, out=tmp_path / "t")


def test_another_measure_decides(tmp_path: Path) -> None:
    search = small(tmp_path / "s", metric="accuracy", trials=2)
    assert (search.plan.objective, search.plan.mode) == ("val_accuracy", "max")
    losses = small(tmp_path / "t", space={"loss.label_smoothing": [0.0, 0.1]}, trials=2)
    assert losses.plan.objective == "val_accuracy"  # losses have no common scale
    with pytest.raises(UnknownName, match="unknown measure 'rmse'"):
        small(tmp_path / "u", metric="rmse")


@pytest.mark.slow
def test_processes_give_the_same(tmp_path: Path) -> None:
    alone, both = small(tmp_path / "a", trials=4), small(tmp_path / "b", trials=4, workers=2)
    assert [t.settings for t in both.trials] == [t.settings for t in alone.trials]
    assert [t.value for t in both.trials] == pytest.approx([t.value for t in alone.trials])


def test_trials_of_one_architecture_learn_together(tmp_path: Path) -> None:
    """In common steps or one after another, what they come to is the same, up to rounding."""
    space = {"lr": RATES, "hidden": [[4], [8]]}
    common: dict[str, Any] = {"space": space, "trials": 5, "epochs": 3, "repeats": 0}
    alone = tune("mlp", "iris", out=tmp_path / "a", **common)
    together = tune("mlp", "iris", out=tmp_path / "b", together=8, **common)
    assert [t.settings for t in together.trials] == [t.settings for t in alone.trials]
    assert [t.value for t in together.trials] == pytest.approx([t.value for t in alone.trials], rel=1e-3)
    assert not (together.folder / "trials").exists()
    with pytest.raises(ConfigError, match="not trained together"):
        tune("mlp", "iris", out=tmp_path / "c", together=8, method="halving", **common)
    with pytest.raises(ConfigError, match="one worker"):
        tune("mlp", "iris", out=tmp_path / "d", together=8, workers=2, **common)


def test_few_validation_examples_are_told_of(tmp_path: Path) -> None:
    search = small(tmp_path / "s", trials=1)
    assert any("23 validation examples decide" in sentence for sentence in search.advice())
