"""Our own trainings are watched and judged, without a bit of them changing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

import preceptor
from preceptor.observation import Watch
from preceptor.observation.observed import Observed

X = torch.randn(600, 6, generator=torch.Generator().manual_seed(0))
Y = X[:, :3].argmax(1)


def softmaxed() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 3), nn.Softmax(dim=1))


def test_a_healthy_run_is_silent_and_the_same_to_the_last_bit() -> None:
    watched = preceptor.train("mlp", (X, Y), epochs=30, out=False, seed=1)
    plain = preceptor.train("mlp", (X, Y), epochs=30, out=False, seed=1, settings={"training.watch": False})
    assert watched.findings == plain.findings == []
    assert watched.history.without("seconds") == plain.history.without("seconds")
    one, other = watched.model.state_dict(), plain.model.state_dict()
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_every_step_has_its_loss_and_every_epoch_its_validation() -> None:
    run = preceptor.train("mlp", (X, Y), epochs=12, out=False)
    assert run.diagnosis is not None
    assert run.state is not None
    seen = run.diagnosis.watch.observed
    assert seen.steps["train"] == run.state.step == len(seen.record.signal("loss", phase="train"))
    validation = seen.record.signal("loss", subject="evaluation:validation")
    assert list(validation.values) == [row["val_loss"] for row in run.history.rows]
    assert not run.diagnosis.watch.running
    assert seen.notes == []


def test_a_critical_finding_is_told_once_while_it_trains(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="probabilities-as-logits") as caught:
        run = preceptor.train(softmaxed(), (X, Y), epochs=8, out=tmp_path / "run")
    assert len([w for w in caught if "probabilities-as-logits" in str(w.message)]) == 1
    assert run.findings[0].cause == "probabilities-as-logits"
    written = json.loads((tmp_path / "run" / "findings.json").read_text())
    assert written["findings"][0] == json.loads(json.dumps(run.findings[0].to_plain()))
    assert Observed.load(tmp_path / "run" / "record").steps["train"] > 0


def test_a_watch_around_it_sees_it_instead() -> None:
    with Watch() as watch:
        run = preceptor.train("mlp", (X, Y), epochs=2, out=False)
    assert run.diagnosis is None
    assert watch.steps.train > 0


def test_nothing_of_the_watch_stays_when_training_fails() -> None:
    class Failing(preceptor.Callback):
        def on_batch_end(self, state: object) -> None:
            raise RuntimeError("here")

    with pytest.raises(RuntimeError, match="here"):
        preceptor.train("mlp", (X, Y), epochs=2, out=False, callbacks=[Failing()])
    assert Watch.current() is None
