"""``train(attend=True)``: what is wrong is found, tried, repaired and written down; what is sound stays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import preceptor
from preceptor.diagnosis.show import as_text
from preceptor.errors import ConfigError
from preceptor.run import Attend
from preceptor.run.examined import attend, trying
from preceptor.run.examined.attend import Round
from preceptor.training import Callback
from preceptor.trials.paired import Paired

from ..conftest import Points, net

PATIENT = Attend(seconds=600)  # a machine that is busy must not decide what is tried
FAST = {"data": "iris", "optimizer": "sgd", "lr": 100.0, "epochs": 20}


@pytest.mark.slow
def test_a_rate_that_is_too_high_is_repaired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    heard: list[Round] = []
    run = preceptor.train(**FAST, attend=Attend(seconds=600, tell=heard.append))  # type: ignore[arg-type]
    assert run.findings == []
    assert run.status == "finished"
    assert run.history.best("val_accuracy", "max") is not None
    assert max(run.history[:, "val_accuracy"]) > 0.9
    assert run.experiment.optimizer.options["lr"] < 100
    assert "optimizer.lr" in run.chosen
    first, second = heard
    assert (first.change.kind if first.change else None) == "lr"
    assert second.ended == "nothing wrong was found"

    found = json.loads((tmp_path / "runs/iris-1/findings.json").read_text())["findings"]
    verification = found[0]["verification"]
    assert found[0]["cause"] == "learning-rate-too-high"
    assert verification["improved"]
    assert verification["pairs"] >= 3
    assert any(not other["improved"] for other in verification["others"])
    tried = [line for line in as_text(first.run.findings[0]).splitlines() if line.startswith("  tried")]
    assert len(tried) == 1 + len(verification["others"])
    assert tried[0].startswith("  tried      lr 100 → ")

    ledger = json.loads((tmp_path / "runs/iris-2/changes.json").read_text())["rounds"]
    assert ledger == run.changes == preceptor.load("runs/iris-2").changes
    assert [(one["run"], one["from"]) for one in ledger] == [
        ("runs/iris-1", None),
        ("runs/iris-2", "runs/iris-1"),
    ]
    assert ledger[0]["applied"]["after"] == run.experiment.optimizer.options["lr"]
    assert len(ledger[0]["trials"]) == len(tried)
    assert json.loads((tmp_path / "runs/iris-1/changes.json").read_text())["rounds"] == ledger[:1]
    origin = json.loads((tmp_path / "runs/iris-2/manifest.json").read_text())["from"]
    assert origin["run"] == "runs/iris-1"
    assert origin["changes"][0]["text"] == ledger[0]["applied"]["text"]


def test_a_sound_run_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Paired, "compare", lambda *_: pytest.fail("nothing is to be tried"))
    run = preceptor.train(data="digits", epochs=4, out=False, attend=True)
    assert [one["trials"] for one in run.changes] == [[]]
    plain = preceptor.train(data="digits", epochs=4, out=False)
    assert run.history.without("seconds") == plain.history.without("seconds")


def test_inputs_that_are_not_scaled_are(tmp_path: Path) -> None:
    given: dict[str, Any] = {"epochs": 30, "settings": {"data.scale": "none"}}
    run = preceptor.train(data="wine", **given, out=tmp_path / "wine", attend=PATIENT)
    assert run.experiment.data.scale == "standard"
    assert run.findings == []
    assert run.folder is not None
    assert run.folder.path == tmp_path / "wine-2"


def test_validation_examples_of_their_own(points: Points) -> None:
    x, y = points.x.copy(), points.y
    x[:, 0] = 5000 + 1000 * x[:, 0]
    run = preceptor.train(
        "mlp",
        (x[:150], y[:150]),
        val=(x[150:], y[150:]),
        test=0,
        epochs=20,
        settings={"data.scale": "none"},
        out=False,
        attend=PATIENT,
    )
    assert run.experiment.data.scale == "standard"
    assert run.prepared is not None
    assert len(run.prepared.split.val) == len(y) - 150


def test_generators_and_the_ledger_of_the_test_set_are_left_alone() -> None:
    torch.manual_seed(4)
    before = torch.get_rng_state()
    run = preceptor.train(**FAST, out=False, attend=PATIENT)  # type: ignore[arg-type]
    assert len(run.changes) > 1
    assert torch.equal(torch.get_rng_state(), before)
    assert run.ledger == []
    assert run.test().looks == 1


def test_a_module_is_trained_in_place(points: Points) -> None:
    torch.manual_seed(0)
    own = net()
    run = preceptor.train(
        own, (points.x, points.y), optimizer=torch.optim.SGD, lr=300.0, epochs=20, out=False, attend=PATIENT
    )
    assert run.changes[0]["applied"]["kind"] in ("lr", "max_grad_norm")
    assert run.history[-1, "val_accuracy"] > 0.6
    with torch.no_grad():
        x = torch.from_numpy(points.x)
        assert torch.equal(own.eval()(x), run.model.eval()(x))


def test_changes_end_with_the_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    run = preceptor.train(**FAST, out=False, attend=Attend(rounds=1, seconds=600))  # type: ignore[arg-type]
    assert len(run.changes) == 2
    always_bad = preceptor.train(**FAST, out=False)  # type: ignore[arg-type]
    monkeypatch.setattr(preceptor.Run, "findings", always_bad.findings)
    with pytest.warns(UserWarning, match="learning-rate-too-high"):
        again = preceptor.train(**FAST, out=False, attend=Attend(rounds=1, seconds=600))  # type: ignore[arg-type]
    assert again.changes[-1]["ended"] == "rounds = 1: no more changes are made"
    assert again.changes[-1]["trials"] == []


def test_where_no_remedy_helps_those_of_causes_that_look_alike_are_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    named = trying.candidates
    monkeypatch.setattr(
        trying,
        "candidates",
        lambda cause, *rest: [] if cause == "learning-rate-too-high" else named(cause, *rest),
    )
    run = preceptor.train(**FAST, out=False, attend=Attend(rounds=1, seconds=600))  # type: ignore[arg-type]
    trials = run.changes[0]["trials"]
    assert {trial["cause"] for trial in trials} == {"learning-rate-too-high"}
    assert run.changes[0]["applied"]["kind"] in ("lr", "max_grad_norm")


def test_nothing_that_was_tried_helped(monkeypatch: pytest.MonkeyPatch) -> None:
    compare = Paired.compare

    def worse(self: Paired, change: Any, *, cause: str = "") -> Any:
        trial = compare(self, change, cause=cause)
        assert trial is not None
        return type(trial)(trial.changes, trial.measure, trial.changed, trial.baseline, trial.steps)

    monkeypatch.setattr(Paired, "compare", worse)
    with pytest.warns(UserWarning, match="learning-rate-too-high"):
        run = preceptor.train(**FAST, out=False, attend=Attend(pairs=1, seconds=600))  # type: ignore[arg-type]
    assert len(run.changes) == 1
    assert run.changes[0]["ended"] == "nothing that was tried helped"
    verification = run.findings[0].verification
    assert verification is not None
    assert not verification["improved"]


def test_a_change_that_fails_in_full_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attend, "_is_better", lambda *_: False)
    with pytest.warns(UserWarning, match="learning-rate-too-high"):
        run = preceptor.train(**FAST, out=tmp_path / "run", attend=PATIENT)  # type: ignore[arg-type]
    assert run.folder is not None
    assert run.folder.path == tmp_path / "run"
    assert run.changes[-1]["run"] == str(tmp_path / "run-2")
    assert run.changes[-1]["ended"].startswith("in full length not better than before: lr 100 → ")
    assert (
        preceptor.load(tmp_path / "run").changes == run.changes == preceptor.load(tmp_path / "run-2").changes
    )


def test_an_interruption_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Paired, "compare", interrupted)
    with pytest.warns(UserWarning, match="learning-rate-too-high"):
        run = preceptor.train(**FAST, out=False, attend=True)  # type: ignore[arg-type]
    assert run.changes[-1]["ended"] == "interrupted"

    class Stops(Callback):
        def on_epoch_end(self, state: Any) -> None:
            state.stop = "interrupted"

    run = preceptor.train(data="iris", out=False, callbacks=[Stops()], attend=True)
    assert run.changes[-1]["ended"] == "interrupted"


def test_what_cannot_be_attended_is_refused(points: Points, tmp_path: Path) -> None:
    x, y = points.tensors
    model = nn.Linear(6, 3)
    loader = DataLoader(TensorDataset(x, y), batch_size=30)
    refused: list[tuple[str, dict[str, Any]]] = [
        ("needs the watch", {"data": (x, y), "settings": {"training.watch": False}}),
        ("on validation examples", {"data": (x, y), "val": 0}),
        ("on validation examples", {"data": loader, "model": model}),
        (
            "a new optimizer",
            {"data": (x, y), "model": model, "optimizer": torch.optim.SGD(model.parameters())},
        ),
    ]
    for match, given in refused:
        with pytest.raises(ConfigError, match=match):
            preceptor.train(**given, out=False, attend=True)
    preceptor.train(data="iris", epochs=1, out=tmp_path / "run")
    with pytest.raises(ConfigError, match="cannot be attended"):
        preceptor.train(resume=tmp_path / "run", epochs=2, attend=True)
    with pytest.raises(ConfigError, match="pairs is not usable"):
        Attend(pairs=0)
