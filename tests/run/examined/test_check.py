"""`preceptor.check` and `train(check=True)`: of settings, of a program, in a notebook under a watch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import preceptor
from preceptor.errors import ConfigError, DataError, ModelError
from preceptor.observation.watch import Watch
from preceptor.run.examined.attend import Attend
from preceptor.trials.paired import Paired

FEW = ["initial-loss", "one-sample"]
CROSS_ENTROPY = nn.functional.cross_entropy


def points() -> tuple[Tensor, Tensor]:
    x = torch.randn(160, 4, generator=torch.Generator().manual_seed(0))
    return x, x[:, :3].argmax(1)


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))


@pytest.mark.slow
def test_a_program_of_ones_own_is_checked_with_a_batch_or_a_loader() -> None:
    x, y = points()
    loader = DataLoader(TensorDataset(x, y), batch_size=40, shuffle=True)
    given: list[Any] = [
        (x, y),
        (x.numpy(), y.numpy()),
        loader,
        TensorDataset(x, y),
        [(x[:80], y[:80]), (x[80:], y[80:])],
    ]
    for batch in given:
        torch.manual_seed(5)
        before = torch.get_rng_state()
        found = preceptor.check(net(), CROSS_ENTROPY, batch, only=FEW)
        assert [one.status for one in found] == ["passed", "passed"], str(found)
        torch.manual_seed(5)
        assert torch.equal(before, torch.get_rng_state())


def test_a_factory_is_made_anew_for_the_seeds() -> None:
    x, y = points()
    assert preceptor.check(net, CROSS_ENTROPY, (x, y), only=["seeds"]).passed

    def unseeded() -> nn.Module:
        made = net()
        with torch.no_grad():
            made[0].weight.copy_(torch.from_numpy(np.random.default_rng().normal(size=(16, 4))))
        return made

    assert not preceptor.check(unseeded, CROSS_ENTROPY, (x, y), only=["seeds"]).passed


def test_a_program_that_cannot_learn_fails() -> None:
    x, y = points()
    found = preceptor.check(
        nn.Sequential(net(), nn.Softmax(1)), CROSS_ENTROPY, (x, y), only=["outputs-suit-loss"]
    )
    assert [one.check for one in found.stopping] == ["outputs-suit-loss"]


def test_a_watch_sees_nothing_of_it() -> None:
    x, y = points()
    with Watch() as watch:
        preceptor.check(net(), CROSS_ENTROPY, (x, y), only=FEW)
        assert watch.steps.train == 0
        model = net()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        CROSS_ENTROPY(model(x), y).backward()
        optimizer.step()
    assert watch.steps.train == 1


def test_settings_are_checked() -> None:
    heard: list[str] = []
    found = preceptor.check(
        "mlp",
        data="iris",
        settings={"model.hidden": [16]},
        only=FEW,
        tell=lambda one: heard.append(one.check),
    )
    assert found.passed
    assert heard == FEW
    experiment = preceptor.Experiment.of({"data.source": "iris", "model": "linear"})
    assert preceptor.check(experiment=experiment, only="shapes").passed


@pytest.mark.slow
def test_time_and_memory_are_foretold() -> None:
    found = preceptor.check("mlp", data="iris", epochs=30)
    assert [str(one) for one in found.failed if not one.check.startswith("data")] == []
    assert found.time.epochs == 30
    assert 0 < found.time.step < 0.5
    assert found.memory.total > found.memory.peak > 0
    said = str(found).splitlines()
    assert said[-2].startswith("time    ")
    assert "· 30 epochs ≈ " in said[-2]
    assert said[-1].startswith("memory  ")
    assert found.seconds < 30
    json.dumps(found.to_plain())


def test_loaders_of_ones_own_are_left_where_they_were() -> None:
    x, y = points()
    ahead = DataLoader(
        TensorDataset(x, y), batch_size=20, shuffle=True, generator=torch.Generator().manual_seed(3)
    )
    plain = DataLoader(
        TensorDataset(x, y), batch_size=20, shuffle=True, generator=torch.Generator().manual_seed(3)
    )
    given: dict[str, Any] = {"val": ahead, "epochs": 2, "out": False}
    checked = preceptor.train(net(), ahead, check=True, **given)
    without = preceptor.train(net(), plain, **{**given, "val": plain})
    assert checked.history.without("seconds") == without.history.without("seconds")
    assert checked.checks is not None
    assert checked.checks.passed
    assert without.checks is None


def test_what_was_checked_is_in_the_folder_and_the_report(tmp_path: Path) -> None:
    run = preceptor.train("mlp", "iris", epochs=3, check=True, goal=0.99, out=tmp_path / "run")
    kept = json.loads((tmp_path / "run/checks.json").read_text())
    assert {one["check"] for one in kept["checks"]} >= {"one-sample", "gradient-check"}
    assert "ladder" not in {one["check"] for one in kept["checks"]}
    page = run.report().read_text()
    assert "Checks before training" in page
    assert "one sample learnt" in page
    assert "Next step" in page
    assert "How the recipe comes to it" in page
    assert run.experiment.training.goal == 0.99
    again = preceptor.load(tmp_path / "run")
    assert str(again.advice) == str(run.advice)


def test_a_training_that_cannot_work_is_refused(tmp_path: Path) -> None:
    x, y = points()
    own = nn.Sequential(net(), nn.Softmax(1))
    before = [p.clone() for p in own.parameters()]
    with pytest.raises(ModelError, match="the checks before training failed") as caught:
        preceptor.train(own, (x, y), epochs=1, check=True, out=tmp_path / "run")
    assert "a softmax at the end keeps the loss above" in str(caught.value)
    assert "without check=True" in str(caught.value)
    assert not (tmp_path / "run").exists()
    assert all(torch.equal(a, b) for a, b in zip(before, own.parameters(), strict=True))


def test_what_cannot_be_checked_is_refused(tmp_path: Path) -> None:
    x, y = points()
    refused: list[tuple[type[Exception], str, dict[str, Any]]] = [
        (ConfigError, "nothing to check", {"model": "mlp"}),
        (ConfigError, "a batch is checked alone", {"model": net(), "batch": (x, y), "data": "iris"}),
        (ConfigError, "needs a loss", {"model": net(), "batch": (x, y)}),
        (ConfigError, "word vectors have no checks", {"data": "iris", "task": "embedding"}),
        (DataError, "not a pair", {"model": net(), "loss": CROSS_ENTROPY, "batch": [x]}),
        (DataError, "this is no batch", {"model": net(), "loss": CROSS_ENTROPY, "batch": 3}),
        (
            ModelError,
            "cannot take the inputs",
            {"model": net(), "loss": CROSS_ENTROPY, "batch": (x[:, :2], y)},
        ),
    ]
    for kind, match, given in refused:
        with pytest.raises(kind, match=match):
            preceptor.check(**given)
    preceptor.train("mlp", "iris", epochs=1, out=tmp_path / "run")
    with pytest.raises(ConfigError, match="a run that goes on is not checked"):
        preceptor.train(resume=tmp_path / "run", epochs=2, check=True)


def test_attending_goes_on_until_the_goal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A training that is far too short: nothing is wrong with it, but it is not what was asked for."""
    given: dict[str, Any] = {"data": "iris", "epochs": 3, "lr": 0.003, "out": False}
    monkeypatch.setattr(preceptor.Run, "findings", [])
    run = preceptor.train(**given, goal=0.93, attend=Attend(rounds=2, pairs=3, seconds=600))
    tried = [trial["cause"] for one in run.changes for trial in one["trials"]]
    assert tried
    assert "too-few-epochs" in tried
    assert max(run.history[:, "val_accuracy"]) > 0.9

    monkeypatch.setattr(Paired, "compare", lambda *_: pytest.fail("nothing is to be tried"))
    done = preceptor.train(**given, goal=0.1, attend=True)
    assert done.changes[0]["ended"] == "nothing wrong was found"


def test_where_nothing_helps_the_next_step_is_a_persons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preceptor.Run, "findings", [])
    monkeypatch.setattr(Paired, "compare", lambda *_, **__: None)
    run = preceptor.train(data="iris", epochs=3, lr=0.003, out=False, goal=0.999, attend=True)
    assert run.changes[0]["ended"].startswith(
        "the goal is not reached; what is left to do: another architecture"
    )
