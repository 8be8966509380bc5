"""Which members learn together, what is refused, and how a population is paused, pruned and halted."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from preceptor.errors import ConfigError, PreceptorError
from preceptor.training import Experiment, Objects
from preceptor.training.population import Member, choice, train_members

X = torch.randn(70, 6, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] * X[:, 1] > 0).long() + 2 * (X[:, 2] > 0).long()

EACH = [{"seed": 0}, {"seed": 1}, {"seed": 2}]


def own(model: Any) -> dict[str, Any]:
    return {"data": (X, Y), "objects": Objects(model=model)}


BASE = Experiment.of({"training.epochs": 2, "training.batch_size": 9})


@pytest.mark.slow
def test_architectures_are_told_apart(population: Any) -> None:
    changes = [{"hidden": [5]}, {"hidden": [6]}, {"hidden": [5], "seed": 1}, {"hidden": [6], "lr": 0.1}]
    members = population.train(changes, "auto")
    assert [m.index for m in members] == [0, 1, 2, 3]
    widths = [len(m.weights["0.bias"]) for m in members if m.weights]
    assert widths == [5, 6, 5, 6]
    for one, other in zip(members, population.train(changes, "sequential"), strict=True):
        population.alike(one, other)


def test_auto_says_what_was_chosen_and_why(population: Any) -> None:
    members = population.train([{"seed": s} for s in range(8)], "auto")
    assert len({m.why for m in members}) == 1
    assert "one after another" in members[0].why
    assert "µs" in members[0].why
    (alone,) = population.train([{"seed": 0}], "auto")
    assert alone.engine == "sequential"
    assert "no other" in alone.why


def test_the_fastest_is_taken_and_measured_once(population: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def measured(problem: Any, seats: Any, ways: Any) -> dict[tuple[str, int], float]:
        calls.append("measured")
        return {("sequential", 1): 3.0, ("batched", 2): 1.0, ("batched", 4): 2.0}

    monkeypatch.setattr(choice, "_seen", {})
    monkeypatch.setattr(choice, "_measured", measured)
    members = population.train([{"seed": s} for s in range(4)], "auto")
    assert {m.engine for m in members} == {"batched"}
    assert "3.0 times" in members[0].why
    population.train([{"seed": s} for s in range(4)], "auto")
    assert calls == ["measured"]


def test_slow_steps_are_taken_alone(population: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "_seen", {})
    monkeypatch.setattr(choice, "_LONG", 0.0)
    members = population.train(EACH, "auto")
    assert {m.engine for m in members} == {"sequential"}
    assert "nothing to be shared" in members[0].why


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"training__grad_accumulation": 2}, "several batches"),
        ({"regularizers": ["l1=1e-4"]}, "l1 acts within the step"),
        ({"augmentations": ["gaussian-noise"]}, "acts within the step"),
        ({"optimizer__name": "adagrad"}, "Adagrad"),
        ({"training__precision": "bf16"}, "half precision"),
    ],
)
def test_what_cannot_be_shared_is_trained_alone(population: Any, settings: dict, reason: str) -> None:
    members = population.train(EACH, "auto", **settings)
    assert {m.engine for m in members} == {"sequential"}
    assert reason in members[0].why
    assert all(len(m.history) == 3 for m in members)
    with pytest.raises(ConfigError, match="sequential"):
        population.train(EACH, "vmapped", **settings)


def test_networks_of_ones_own(population: Any) -> None:
    together = train_members(BASE, EACH, **own(population.Net), engine="vmapped")
    for one, other in zip(
        together, train_members(BASE, EACH, **own(population.Net), engine="sequential"), strict=True
    ):
        population.alike(one, other)
    with pytest.raises(ConfigError, match="kernels"):
        train_members(BASE, EACH, **own(population.Net), engine="batched")


def test_a_module_is_copied(population: Any) -> None:
    net = population.Net()
    before = population.flat(net.state_dict()).clone()
    members = train_members(BASE, EACH, **own(net), engine="vmapped")
    assert torch.equal(population.flat(net.state_dict()), before)
    alone = train_members(BASE, EACH, **own(net), engine="sequential")
    assert torch.equal(population.flat(net.state_dict()), before)
    for one, other in zip(members, alone, strict=True):
        population.alike(one, other)


def test_what_vmap_cannot_follow(population: Any) -> None:
    with pytest.raises(ConfigError, match="cannot follow"):
        train_members(BASE, EACH, **own(population.Branching), engine="vmapped")
    members = train_members(BASE, EACH, **own(population.Branching))
    assert {m.engine for m in members} == {"sequential"}


def test_hooks_keep_a_chain_from_the_kernels(population: Any) -> None:
    def hooked() -> nn.Module:
        net = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 4))
        net[1].register_forward_hook(lambda module, inputs, output: output * 2)
        return net

    with pytest.raises(ConfigError, match="kernels"):
        train_members(BASE, EACH, **own(hooked), engine="batched")
    together = train_members(BASE, EACH, **own(hooked), engine="vmapped")
    for one, other in zip(
        together, train_members(BASE, EACH, **own(hooked), engine="sequential"), strict=True
    ):
        population.alike(one, other)


def test_an_optimizer_that_is_made_belongs_to_one_model(population: Any) -> None:
    net = population.Net()
    objects = Objects(model=net, optimizer=torch.optim.SGD(net.parameters(), lr=0.1))
    with pytest.raises(ConfigError, match="one optimizer cannot serve"):
        train_members(BASE, EACH, data=(X, Y), objects=objects)


def test_loaders_are_trained_alone(population: Any) -> None:
    loader = DataLoader(TensorDataset(X, Y), batch_size=10)
    members = train_members(
        BASE.changed({"training.batch_size": "auto"}), EACH, **{**own(population.Net), "data": loader}
    )
    assert {m.engine for m in members} == {"sequential"}
    assert "in memory" in members[0].why


def test_a_member_that_cannot_be_does_not_stop_the_others(population: Any) -> None:
    changes = [{"seed": 0}, {"lr": -1.0}, {"optimizer.speed": 3}, {"hidden": [0]}, {"seed": 1}]
    with pytest.raises(PreceptorError):
        population.train(changes, "auto")
    heard: list[Member] = []
    members = population.train(changes, "auto", options={"errors": "keep", "on_end": heard.append})
    assert [m.status for m in members] == ["finished", "failed", "failed", "failed", "finished"]
    assert sorted(m.index for m in heard) == [0, 1, 2, 3, 4]
    assert all(isinstance(m.error, PreceptorError) for m in members[1:4])


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["sequential", "batched", "vmapped"])
def test_pruned_at_rungs(population: Any, engine: str) -> None:
    asked: list[tuple[int, set[int]]] = []

    def prune(epoch: int, values: Any) -> list[int]:
        asked.append((epoch, set(values)))
        return sorted(values, key=lambda index: values[index])[len(values) // 2 :]

    changes = [{"seed": s, "lr": 0.003 * 3**s} for s in range(4)]
    whole = population.train(changes, engine, training__epochs=4)
    members = population.train(changes, engine, training__epochs=4, options={"rungs": [1, 2], "prune": prune})
    assert [epoch for epoch, _ in asked] == [1, 2]
    assert len(asked[0][1]) == 4
    assert len(asked[1][1]) == 2
    assert sorted(len(m.history) for m in members) == [1, 1, 2, 4]
    for one, other in zip(members, whole, strict=True):  # a pause changes nothing
        kept, there = one.history[:, "val_loss"], other.history[:, "val_loss"]
        assert kept == pytest.approx(there[: len(kept)], rel=0.0 if engine == "sequential" else 1e-5)
        assert one.status == ("finished" if len(kept) == 4 else "pruned")


@pytest.mark.parametrize("engine", ["sequential", "batched"])
def test_halted(population: Any, engine: str) -> None:
    calls = iter([False, True, True, True, True, True, True])
    members = population.train(EACH, engine, training__epochs=5, options={"halt": lambda: next(calls)})
    assert {m.status for m in members} == {"halted"}
    assert max(len(m.history) for m in members) == 2 if engine == "batched" else 1


def test_weights_are_kept_only_where_wanted(population: Any) -> None:
    for engine in ("sequential", "batched"):
        members = population.train(EACH, engine, options={"keep_weights": False})
        assert all(m.weights is None and m.predictor is None and len(m.history) == 3 for m in members)


def test_the_best_weights_come_back(population: Any) -> None:
    members = population.train(EACH, "batched", optimizer__lr=0.3, training__epochs=8)
    from preceptor.training.evaluate import evaluate
    from preceptor.training.population.train import supply_for

    feeds, _ = supply_for(population.experiment(), (X, Y), Objects()).shared(population.experiment())
    for member in members:
        assert member.predictor is not None
        assert feeds.val is not None
        assert evaluate(member.predictor, feeds.val)["loss"] == pytest.approx(member.best, rel=1e-5)
        assert member.best == min(member.history[:, "val_loss"])


def test_what_is_measured_before_the_first_step(population: Any) -> None:
    starts = [population.train(EACH, e, options={"measure_start": True}) for e in ("sequential", "batched")]
    for one, other in zip(*starts, strict=True):
        assert one.start == pytest.approx(other.start, rel=1e-5)
        assert "val_loss" in one.start


@pytest.mark.slow
def test_the_callers_generators_are_left_alone(population: Any) -> None:
    for engine in ("sequential", "batched", "auto"):
        state = torch.get_rng_state()
        population.train(EACH, engine)
        assert torch.equal(torch.get_rng_state(), state)
