"""`preceptor.train_population`: members and seeds, their table, and each as a run."""

from __future__ import annotations

import pytest
import torch

import preceptor
from preceptor.errors import ConfigError, PreceptorError

EPOCHS = {"epochs": 3, "settings": {"model.hidden": [8]}}


def test_every_change_with_every_seed() -> None:
    heard = []
    population = preceptor.train_population(
        "mlp", "iris", members=[{"lr": 1e-2}, {"lr": 1e-4}], seeds=range(3), on_end=heard.append, **EPOCHS
    )
    assert len(population) == 6
    assert [m.change["seed"] for m in population] == [0, 1, 2, 0, 1, 2]
    assert len(heard) == 6
    assert population.best.change["optimizer.lr"] == 1e-2
    assert population.seconds > 0
    lines = str(population).splitlines()
    assert lines[0].split() == ["member", "change", "val_loss", "epoch", "status", "engine"]
    assert "lr=0.0001, seed=2" in lines[6]


def test_a_member_as_a_run() -> None:
    population = preceptor.train_population("mlp", "iris", seeds=[4, 5], lr=1e-2, **EPOCHS)
    alone = preceptor.train("mlp", "iris", lr=1e-2, seed=5, out=False, **EPOCHS)
    run = population.run(1)
    assert run.status == "finished"
    assert run.best_epoch == alone.best_epoch
    assert run.evaluate("val").loss == pytest.approx(alone.evaluate("val").loss, rel=1e-4)
    assert run.test().metrics == alone.test().metrics
    assert (run.predict([[5.1, 3.5, 1.4, 0.2]]) == alone.predict([[5.1, 3.5, 1.4, 0.2]])).all()
    assert len(population.runs) == 2
    assert run.experiment.seed == 5


def test_none_is_a_value_of_a_setting() -> None:
    settings = {"model.hidden": [4], "training.patience": None}
    population = preceptor.train_population("mlp", "iris", seeds=[0], epochs=1, settings=settings)
    assert population.run(0).experiment.training.patience is None


def test_a_report_of_a_member(tmp_path) -> None:
    population = preceptor.train_population("mlp", "iris", seeds=[0, 1], **EPOCHS)
    assert "<h1>" in population.run(0).report(tmp_path / "report.html").read_text()


def test_who_is_missing() -> None:
    with pytest.raises(ConfigError, match="no members"):
        preceptor.train_population("mlp", "iris")
    with pytest.raises(ConfigError, match="no members"):
        preceptor.train_population("mlp", "iris", seeds=[])
    with pytest.raises(PreceptorError, match="speed"):
        preceptor.train_population("mlp", "iris", members=[{"speed": 3}])


def test_a_network_of_ones_own_in_a_table() -> None:
    def make() -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3))

    population = preceptor.train_population(make, "iris", seeds=range(2), optimizer="sgd", epochs=2)
    assert [m.status for m in population] == ["finished", "finished"]
    first, second = (m.weights["0.weight"] for m in population if m.weights)
    assert not torch.equal(first, second)
