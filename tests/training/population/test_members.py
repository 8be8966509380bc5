"""A member of a population equals the same training alone, whatever engine it is trained by."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import preceptor
from preceptor.errors import ConfigError, UnknownName
from preceptor.training.population import train_members

X = torch.randn(70, 6, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] * X[:, 1] > 0).long() + 2 * (X[:, 2] > 0).long()
NUMBERS = X @ torch.randn(6, 2, generator=torch.Generator().manual_seed(1)) + 0.1 * X.square()[:, :2]
IMAGES = torch.randn(40, 1, 28, 28, generator=torch.Generator().manual_seed(2))

EACH = [{"seed": 0}, {"seed": 1, "lr": 0.03}, {"seed": 2, "lr": 0.1}]
ENGINES = ("batched", "vmapped")


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        ("sgd", [{}, {"weight_decay": 0.01}, {"momentum": 0.5}]),
        ("momentum", [{}, {"momentum": 0.5}, {"weight_decay": 0.1}]),
        ("nesterov", [{}, {"momentum": 0.5}, {"weight_decay": 0.1}]),
        ("adam", [{}, {"weight_decay": 0.01}, {"lr": 1e-4}]),
        ("adam", [{}, {"betas": [0.5, 0.9]}, {"eps": 1e-3, "weight_decay": 0.1}]),
        ("adamw", [{}, {"weight_decay": 0.3}, {"weight_decay": 0.0}]),
        ("amsgrad", [{}, {"lr": 1e-4}, {"weight_decay": 0.1}]),
        ("rmsprop", [{}, {"alpha": 0.99}, {"momentum": 0.5, "weight_decay": 0.1}]),
    ],
)
def test_each_optimizer_as_alone(population: Any, engine: str, optimizer: str, options: list[dict]) -> None:
    changes = [{"seed": seed, **own} for seed, own in enumerate(options)]
    settings = {"optimizer__name": optimizer, "optimizer__lr": 0.01}
    together = population.train(changes, engine, **settings)
    alone = population.train(changes, "sequential", **settings)
    assert {m.engine for m in together} == {engine}
    for one, other in zip(together, alone, strict=True):
        population.alike(one, other, 2e-4)


def test_centred_rmsprop_as_alone(population: Any) -> None:
    settings = {"optimizer__name": "rmsprop", "optimizer__centered": True, "optimizer__eps": 1e-3}
    together = population.train(EACH, "batched", **settings)
    for one, other in zip(together, population.train(EACH, "sequential", **settings), strict=True):
        population.alike(one, other, 2e-4)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["sequential", *ENGINES])
def test_a_member_is_the_run_of_its_seed(population: Any, engine: str) -> None:
    members = population.train(EACH, engine)
    run = preceptor.train(
        "mlp", (X, Y), lr=0.03, seed=1, epochs=3, batch_size=9, test=0.1, out=False,
        settings={"model.hidden": [7], "training.watch": False},
    )  # fmt: skip
    rows = members[1].history.without("seconds")
    assert [row.keys() for row in rows] == [row.keys() for row in run.history.without("seconds")]
    assert run.history[:, "val_loss"] == pytest.approx(members[1].history[:, "val_loss"], rel=1e-5)
    torch.testing.assert_close(
        population.flat(members[1].weights), population.flat(run.model.state_dict()), rtol=1e-4, atol=1e-5
    )


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "gelu", "leaky-relu", "identity"])
@pytest.mark.parametrize("hidden", [[7], [8, 5]])
def test_dense_networks_by_kernels(population: Any, activation: str, hidden: list[int]) -> None:
    settings = {"model__activation": activation, "model__hidden": hidden}
    together = population.train(EACH, "batched", **settings)
    for one, other in zip(together, population.train(EACH, "sequential", **settings), strict=True):
        population.alike(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("loss", ["mse", "huber", "mae"])
def test_numbers(population: Any, engine: str, loss: str) -> None:
    together = population.train(EACH, engine, (X, NUMBERS), loss=loss)
    for one, other in zip(
        together, population.train(EACH, "sequential", (X, NUMBERS), loss=loss), strict=True
    ):
        population.alike(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_two_classes_under_one_output(population: Any, engine: str) -> None:
    data = (X, (Y > 1).long())
    together = population.train(EACH, engine, data)
    for one, other in zip(together, population.train(EACH, "sequential", data), strict=True):
        population.alike(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_label_smoothing_of_each(population: Any, engine: str) -> None:
    changes = [{"seed": 0}, {"seed": 0, "label_smoothing": 0.2}]
    together = population.train(changes, engine, loss="cross-entropy")
    alone = population.train(changes, "sequential", loss="cross-entropy")
    for one, other in zip(together, alone, strict=True):
        population.alike(one, other)
    assert together[1].experiment.loss.options["label_smoothing"] == 0.2
    assert together[0].history[-1, "val_loss"] != together[1].history[-1, "val_loss"]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_convolutions(population: Any, engine: str) -> None:
    data = (IMAGES, Y[:40])
    settings = {"model__name": "lenet-5", "training__epochs": 2, "optimizer__lr": 3e-3}
    together = population.train(EACH[:2], engine, data, **settings)
    for one, other in zip(together, population.train(EACH[:2], "sequential", data, **settings), strict=True):
        population.alike(one, other, 1e-3)


@pytest.mark.slow
def test_convolutions_with_average_pooling_and_tanh(population: Any) -> None:
    data = (IMAGES, Y[:40])
    settings = {
        "model__name": "lenet-5", "model__pooling": "average", "model__activation": "tanh",
        "training__epochs": 2,
    }  # fmt: skip
    together = population.train(EACH[:2], "batched", data, **settings)
    for one, other in zip(together, population.train(EACH[:2], "sequential", data, **settings), strict=True):
        population.alike(one, other, 1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_schedules_of_each(population: Any, engine: str) -> None:
    changes = [
        {"seed": 0},
        {"seed": 0, "schedule": "cosine"},
        {"seed": 0, "schedule": {"name": "step", "step_size": 1}, "lr": 0.1},
        {"seed": 0, "schedule": {"name": "plateau", "patience": 0}, "lr": 0.3},
        {"seed": 0, "schedule": "one-cycle", "epochs": 2},
    ]
    together, alone = population.train(changes, engine), population.train(changes, "sequential")
    for one, other in zip(together, alone, strict=True):
        population.alike(one, other, 1e-3)
    assert [len(member.history) for member in together] == [3, 3, 3, 3, 2]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_clipping_of_each(population: Any, engine: str) -> None:
    changes = [{"seed": 0}, {"seed": 0, "max_grad_norm": 0.1}, {"seed": 0, "max_grad_norm": 1e3}]
    together = population.train(changes, engine, optimizer__name="sgd", optimizer__lr=0.3)
    alone = population.train(changes, "sequential", optimizer__name="sgd", optimizer__lr=0.3)
    for one, other in zip(together, alone, strict=True):
        population.alike(one, other)
    assert together[1].history[-1, "clipped"] > 0
    assert "clipped" not in together[0].history[-1]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_each_stops_by_its_own_patience(population: Any, engine: str) -> None:
    changes = [
        {"seed": 0, "patience": 1, "lr": 0.3},
        {"seed": 1, "patience": 2, "lr": 0.3},
        {"seed": 2, "lr": 1e-3},
    ]
    together = population.train(changes, engine, training__epochs=12)
    alone = population.train(changes, "sequential", training__epochs=12)
    for one, other in zip(together, alone, strict=True):
        population.alike(one, other, 1e-2)
    assert together[0].stop == "early stopping"
    assert len(together[0].history) < 12
    assert together[2].status == "finished"


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_what_diverges_does_not_touch_the_others(population: Any, engine: str) -> None:
    changes = [{"seed": 0}, {"seed": 1, "lr": 1e30}, {"seed": 2}]
    settings = {"optimizer__name": "sgd", "training__patience": None}
    with_it = population.train(changes, engine, **settings)
    without = population.train([changes[0], changes[2]], engine, **settings)
    assert with_it[1].status == "diverged"
    for one, other in zip((with_it[0], with_it[2]), without, strict=True):
        population.alike(one, other, 1e-6)
    (alone,) = population.train([changes[1]], "sequential", **settings)
    assert (with_it[1].steps, len(with_it[1].history)) == (alone.steps, len(alone.history))


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_dropout_is_each_members_own(population: Any, engine: str) -> None:
    changes = [
        {"seed": 0, "dropout": 0.5},
        {"seed": 0, "dropout": 0.5},
        {"seed": 0},
        {"seed": 0, "dropout": 0.0},
    ]
    a, b, without, none = population.train(changes, engine)
    assert not torch.equal(population.flat(a.last_weights), population.flat(b.last_weights))
    torch.testing.assert_close(population.flat(without.last_weights), population.flat(none.last_weights))
    (plain,) = population.train([{"seed": 0}], "sequential")
    torch.testing.assert_close(
        population.flat(none.last_weights), population.flat(plain.last_weights), rtol=1e-4, atol=1e-5
    )
    assert a.model is not None
    assert any(isinstance(m, nn.Dropout) and m.p == 0.5 for m in a.model.modules())


def test_dropout_keeps_the_expected_sum(population: Any) -> None:
    from preceptor.training.population.passes import _Dropout

    part, h = _Dropout(torch.tensor([0.0, 0.25, 0.9])), torch.ones(3, 200, 500)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        means = part.forward(h).mean((1, 2))
    torch.testing.assert_close(means, torch.ones(3), atol=0.02, rtol=0)
    assert torch.equal(part.backward(h), part.factor)


@pytest.mark.slow
def test_batch_normalisation_by_vmap(population: Any) -> None:
    changes, settings = EACH, {"model__normalization": "batch-norm"}
    together = population.train(changes, "vmapped", **settings)
    for one, other in zip(together, population.train(changes, "sequential", **settings), strict=True):
        population.alike(one, other, 1e-3)
    with pytest.raises(ConfigError, match="sequential"):
        population.train(changes, "batched", **settings)


@pytest.mark.slow
def test_batches_of_unequal_size_and_a_full_batch(population: Any) -> None:
    for size in (52, "full", 1000, 5):
        together = population.train(EACH, "batched", training__batch_size=size)
        for one, other in zip(
            together, population.train(EACH, "sequential", training__batch_size=size), strict=True
        ):
            population.alike(one, other)


def test_rows_are_what_a_member_learns_from(population: Any) -> None:
    rows = [torch.arange(20), torch.arange(20).repeat(1), torch.randint(50, (20,))]
    options = {"rows": rows}
    together = population.train([{"seed": 0}, {"seed": 0}, {"seed": 0}], "batched", options=options)
    alone = population.train([{"seed": 0}] * 3, "sequential", options=options)
    for one, other in zip(together, alone, strict=True):
        population.alike(one, other)
    assert torch.equal(population.flat(together[0].weights), population.flat(together[1].weights))
    assert not torch.equal(population.flat(together[0].weights), population.flat(together[2].weights))
    with pytest.raises(ConfigError, match="rows"):
        population.train([{"seed": 0}], options={"rows": [torch.tensor([70])]})


def test_bags(population: Any) -> None:
    changes = [{"seed": s, "data.bag": s} for s in range(3)]
    together = population.train(changes, "batched")
    for one, other in zip(together, population.train(changes, "sequential"), strict=True):
        population.alike(one, other)
    run = preceptor.train(
        "mlp", (X, Y), lr=0.01, seed=1, epochs=3, batch_size=9, test=0.1, out=False,
        settings={"model.hidden": [7], "training.watch": False, "data.bag": 1},
    )  # fmt: skip
    assert run.history[:, "val_loss"] == pytest.approx(together[1].history[:, "val_loss"], rel=1e-4)


def test_no_members_no_trainings(population: Any) -> None:
    assert population.train([]) == []
    with pytest.raises(ConfigError, match="engine"):
        population.train([{}], "quick")
    with pytest.raises(ConfigError, match="twice"):
        population.train([{"lr": 1.0, "optimizer.lr": 2.0}])
    with pytest.raises(UnknownName):
        train_members(population.experiment(), [{"optimizer": "adamm"}], data=(X, Y))
