"""Training from an earlier run: what is loaded, frozen, thawed, and resumed to the last bit."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import preceptor
from preceptor import catalogue
from preceptor.errors import CheckpointError, ConfigError, DataError, ModelError, UnknownName
from preceptor.training import State

X = torch.randn(70, 1, 6, 6, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0, 0, 0] * X[:, 0, 1, 1] > 0).long() + 2 * (X[:, 0, 2, 2] > 0).long()
OTHER = (X.flip(0) + 0.1, (Y.flip(0) > 1).long())


class Net(nn.Module):
    """Two convolutions with batch normalisation, and a head."""

    def __init__(self, outputs: int = 4) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.ReLU()
        )
        self.fc = nn.Linear(4, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.body(x).mean((2, 3)))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on four classes, of scaled inputs."""
    out = tmp_path_factory.mktemp("runs") / "source"
    with torch.random.fork_rng():
        torch.manual_seed(1)
        preceptor.train(Net(), (X, Y), epochs=2, batch_size=9, out=out, settings={"data.scale": "standard"})
    return out


def tune(source: Any, model: Any = Net, **changes: Any) -> preceptor.Run:
    given = {
        "data": OTHER, "epochs": 4, "batch_size": 9, "seed": 5, "loss": "cross-entropy", "out": False,
        **changes,
    }  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(11)
        return preceptor.train(model(2) if isinstance(model, type) else model, from_=source, **given)


class Modes(preceptor.Callback):
    """Notes in each step which layers train, and which learn."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, list[bool], list[bool]]] = []

    def on_batch_end(self, state: State) -> None:
        body = state.problem.model.body
        learns = [p.requires_grad for p in state.problem.model.parameters()]
        self.rows.append((state.epoch + 1, [body[1].training, body[4].training], learns))


@pytest.mark.slow
def test_layers_equal_the_source_and_the_head_is_new(source: Path) -> None:
    kept: dict[str, torch.Tensor] = {}

    class Start(preceptor.Callback):
        def on_train_begin(self, state: State) -> None:
            kept.update((k, v.clone()) for k, v in state.problem.model.state_dict().items())

    run = tune(source, epochs=1, callbacks=[Start()])
    there = preceptor.load(source, Net).model.state_dict()
    assert kept["fc.weight"].shape == (2, 4)
    assert all(torch.equal(value, there[name]) for name, value in kept.items() if name.startswith("body"))
    assert run.transfer
    assert run.transfer["fresh"] == ["fc.bias", "fc.weight"]
    assert run.transfer["lines"][0] == f"14 of 16 tensors from {source}; the head fc is new"


def test_a_head_for_the_same_classes_is_kept_and_for_others_of_the_same_number_is_new(source: Path) -> None:
    same = tune(source, Net(), data=(X[:50], Y[:50]), epochs=1)
    assert same.transfer
    assert same.transfer["fresh"] == []
    named = np.array(["north", "east", "south", "west"])[Y.numpy()]
    others = tune(source, Net(), data=(X, named), epochs=1)
    assert others.transfer
    assert others.transfer["fresh"] == ["fc.bias", "fc.weight"]
    forced = tune(source, Net(), data=(X, Y), epochs=1, settings={"transfer.head": "new"})
    assert forced.transfer
    assert forced.transfer["fresh"] == ["fc.bias", "fc.weight"]


@pytest.mark.parametrize("cache", ["always", "never"])
@pytest.mark.parametrize("regularizers", [[], ["l2=0.1"], ["weight-decay=0.1"], ["max-norm=0.01"], ["ema"]])
def test_what_is_frozen_does_not_change_by_a_bit(source: Path, cache: str, regularizers: list[str]) -> None:
    modes = Modes()
    population = regularizers == ["ema"]
    run = tune(
        source,
        freeze="all-but-head",
        lr=0.1,
        callbacks=[modes],
        optimizer="adamw",
        weight_decay=0.1,
        regularizers=regularizers,
        settings={"transfer.cache_features": "never" if population else cache},
    )
    assert {(tuple(m), tuple(p)) for _, m, p in modes.rows} == {
        ((False, False), (*[False] * 8, True, True))
    }, "statistics keep their mode in every epoch"
    there = preceptor.load(source, Net).model.state_dict()
    assert run.state
    for weights in (run.model.state_dict(), run.state.last_weights):
        for name, value in weights.items():
            if name.startswith("body"):
                assert torch.equal(value, there[name]), name
    assert all(p.requires_grad for p in run.model.parameters()), "afterwards it is as it was"


def test_layers_thaw_by_epoch(source: Path) -> None:
    modes = Modes()
    tune(source, freeze="all-but-head", unfreeze={2: "body.3", 3: "last-2", 4: "all"}, callbacks=[modes])
    seen = {epoch: (m, p) for epoch, m, p in modes.rows}
    first, second, head = [False] * 4, [False] * 4, [True] * 2
    assert seen[1] == ([False, False], first + second + head)
    assert seen[2] == ([False, False], [*first, True, True, False, False, *head])
    assert seen[3] == ([False, True], [*first, True, True, True, True, *head])
    assert seen[4] == ([True, True], [True] * 10)


# Rates


def test_the_rate_of_each_group_is_honoured(source: Path) -> None:
    """One step of plain gradient descent moves each weight by its own rate times its gradient."""
    moved: dict[str, torch.Tensor] = {}

    class Step(preceptor.Callback):
        def on_batch_begin(self, state: State) -> None:
            if state.step == 0:
                self.before = {k: v.detach().clone() for k, v in state.problem.model.named_parameters()}

        def on_batch_end(self, state: State) -> None:
            if state.step == 1:
                for name, p in state.problem.model.named_parameters():
                    moved[name] = (self.before[name] - p.detach(), p.grad)
                state.stop = "seen"

    tune(
        source,
        optimizer="sgd",
        lr=0.1,
        layer_lr_decay=0.5,
        callbacks=[Step()],
        settings={"transfer.lr_factors": {"*.bias": 2.0}},
    )
    for name, (change, gradient) in moved.items():
        factor = {"0": 0.25, "1": 0.25, "3": 0.5, "4": 0.5}.get(name.split(".")[1], 1.0)
        rate = 0.1 * factor * (2.0 if name.endswith("bias") else 1.0)
        torch.testing.assert_close(change, rate * gradient, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", [e.name for e in catalogue.find(kind="schedule")])
def test_every_schedule_multiplies_each_rate(source: Path, name: str) -> None:
    seen = []

    class Rates(preceptor.Callback):
        def on_batch_end(self, state: State) -> None:
            seen.append([group["lr"] for group in state.problem.optimizer.param_groups])

    tune(source, optimizer="momentum", schedule=name, layer_lr_decay=0.5, callbacks=[Rates()])
    assert {len(rates) for rates in seen} == {3}
    lowest = [rates[2] / rates[0] for rates in seen if rates[0] > 1e-4]
    assert min(lowest) == pytest.approx(0.25, rel=0.2)
    assert max(lowest) == pytest.approx(0.25, rel=0.2)


def test_every_optimizer_takes_rates_by_layer_or_says_why_not(source: Path) -> None:
    for entry in catalogue.find(kind="optimizer"):
        if entry.traits.get("batch") == "full" or entry.traits.get("closure"):
            continue
        run = tune(source, optimizer=entry.name, epochs=1, layer_lr_decay=0.5, freeze="first-1")
        assert run.status in ("finished", "diverged"), entry.name
    for more in ({"layer_lr_decay": 0.5}, {"freeze": "head", "unfreeze": 2}):
        with pytest.raises(ConfigError, match="all weights as one vector, with one rate"):
            tune(source, optimizer="l-bfgs", batch_size="full", **more)


def test_an_optimizer_of_the_users_own(source: Path) -> None:
    run = tune(source, optimizer=torch.optim.Adagrad, lr=0.1, layer_lr_decay=0.5)
    assert run.state
    assert [g["lr"] for g in run.state.problem.optimizer.param_groups] == [0.1, 0.05, 0.025]
    net = Net(2)
    with pytest.raises(ConfigError, match="already has its own rates"):
        tune(source, net, optimizer=torch.optim.SGD(net.parameters(), lr=0.1), layer_lr_decay=0.5)


# Features


def test_features_computed_once_give_the_same_training(source: Path) -> None:
    with_cache, without = (
        tune(source, freeze="all-but-head", lr=0.05, settings={"transfer.cache_features": cache})
        for cache in ("always", "never")
    )
    assert any(line.startswith("features are computed once") for line in with_cache.transfer["lines"])
    for row, other in zip(with_cache.history, without.history, strict=True):
        for key in ("train_loss", "val_loss", "train_loss_running"):
            assert row[key] == pytest.approx(other[key], rel=1e-5)
    for name, value in with_cache.model.state_dict().items():
        torch.testing.assert_close(value, without.model.state_dict()[name], rtol=1e-4, atol=1e-6)
    assert with_cache.evaluate("train").loss == pytest.approx(with_cache.evaluate("train").loss)
    assert with_cache.test().loss == pytest.approx(without.test().loss, rel=1e-4)
    assert with_cache.predict(OTHER[0][:5]).tolist() == without.predict(OTHER[0][:5]).tolist()


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"augmentations": ["brightness-contrast"]}, "augmentations vary the inputs"),
        ({"unfreeze": 3}, "layers are unfrozen later"),
        ({"freeze": None}, "nothing is frozen"),
        ({"freeze": "first-1"}, "no part that can be cut off"),
        ({"regularizers": ["weight-noise"]}, "a regularizer varies inputs or weights"),
        ({"settings": {"training.batch_norm": "population"}}, "batch normalisation is measured anew"),
    ],
)
def test_features_that_vary_are_not_kept(source: Path, more: dict[str, Any], reason: str) -> None:
    given: dict[str, Any] = {"freeze": "all-but-head", "epochs": 1, **more}
    run = tune(source, **given)
    assert not any("computed once" in line for line in run.transfer["lines"])
    settings = {**given.pop("settings", {}), "transfer.cache_features": "always"}
    with pytest.raises(ConfigError, match=reason):
        tune(source, **given, settings=settings)


# Inputs


def test_inputs_are_scaled_as_there(source: Path) -> None:
    run = tune(source, epochs=1)
    there = preceptor.load(source, Net).preprocessor
    assert run.preprocessor
    assert there
    assert run.preprocessor.encoder.mean == there.encoder.mean
    assert "inputs are scaled as there" in run.transfer["lines"]
    assert torch.equal(run.part("train").x, there.inputs(OTHER[0].numpy()[run.part("train").rows]))
    own = tune(source, epochs=1, settings={"transfer.inputs": "own", "data.scale": "standard"})
    assert own.preprocessor.encoder.mean != there.encoder.mean
    assert any(line.startswith("inputs are scaled by these data") for line in own.transfer["lines"])


def test_a_scale_that_is_another_is_said(source: Path) -> None:
    far = tune(source, data=(OTHER[0] * 9 + 5, OTHER[1]), epochs=1)
    assert [line for line in far.transfer["lines"] if "the inputs lie elsewhere" in line]
    assert [line for line in far.transfer["lines"] if "spread otherwise: 9" in line]
    assert [line for line in far.transfer["lines"] if "no more data there" in line]


def test_images_are_brought_to_the_size_of_the_source(source: Path) -> None:
    larger = torch.nn.functional.interpolate(OTHER[0], scale_factor=2)
    run = tune(source, data=(larger, OTHER[1]), epochs=1)
    assert run.prepared
    assert run.prepared.dataset.shape == (1, 6, 6)
    kept = tune(source, data=(larger, OTHER[1]), epochs=1, settings={"data.image_size": [12, 12]})
    assert kept.prepared
    assert kept.prepared.dataset.shape == (1, 12, 12)
    assert any("another shape: images 1×6×6 there, 1×12×12 here" in line for line in kept.transfer["lines"])


def test_other_inputs_are_refused(source: Path) -> None:
    with pytest.raises(ConfigError, match="only images have an image_size"):
        tune(source, nn.Linear(6, 2), data=(X[:, 0, 0], OTHER[1]))
    with pytest.raises(DataError, match="not of the kind that the source was trained on"):
        tune(source, data=(OTHER[0].expand(-1, 3, -1, -1), OTHER[1]))


def test_the_same_data_in_another_split_are_told(source: Path) -> None:
    run = tune(source, Net(), data=(X, Y), epochs=1, settings={"data.seed": 3})
    assert "the data are those that the source was trained on" in run.transfer["lines"]
    assert any("the split is another" in line for line in run.transfer["lines"])
    again = tune(source, Net(), data=(X, Y), epochs=1)
    assert not any("the split is another" in line for line in again.transfer["lines"])


# Sources


def test_a_run_in_memory_and_a_file_of_weights(source: Path) -> None:
    folder = tune(source, freeze="all-but-head")
    memory = tune(preceptor.load(source, Net), freeze="all-but-head")
    file = tune(
        source / "weights" / "best.safetensors",
        freeze="all-but-head",
        settings={"data.scale": "standard"},
    )
    assert folder.history[-1, "val_loss"] == memory.history[-1, "val_loss"]
    assert any("not known" in line for line in file.transfer["lines"])


def test_the_model_of_the_source_is_taken_unless_another_is_named(tmp_path: Path) -> None:
    first = preceptor.train("mlp", "iris", epochs=2, out=tmp_path / "a", settings={"model.hidden": [7, 5]})
    y = np.arange(150) % 2
    x = first.prepared.dataset.inputs
    run = preceptor.train(data=(x, y), from_=tmp_path / "a", epochs=1, out=tmp_path / "b", freeze="first-2")
    assert run.experiment.model.options["hidden"] == [7, 5]
    assert torch.equal(run.model[0].weight, first.model[0].weight)
    assert run.experiment.transfer.source == str(tmp_path / "a")
    other = preceptor.train("linear", (x, y), epochs=1, out=False)
    with pytest.raises(ModelError, match=r"nothing of .* fits the model"):
        preceptor.train("mlp", (x, y), from_=other, epochs=1, out=False)
    loaded = preceptor.load(tmp_path / "b")
    assert loaded.transfer == run.transfer
    assert loaded.evaluate((x, y)).loss == pytest.approx(run.evaluate((x, y)).loss)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"from_": 3}, ConfigError, "a run, a run's folder, or a .safetensors file"),
        ({"from_": "nowhere"}, CheckpointError, "no run in nowhere"),
        ({"from_": "nowhere.safetensors"}, CheckpointError, "cannot read the weights"),
        ({"freeze": "bodi"}, UnknownName, "unknown layers 'bodi'"),
        ({"unfreeze": "late"}, ConfigError, r"transfer\.unfreeze is not usable(.|\n)*EPOCH=LAYERS"),
        ({"layer_lr_decay": 2.0}, ConfigError, "layer_lr_decay"),
        ({"settings": {"transfer.lr_factors": "head"}}, ConfigError, "LAYERS=FACTOR"),
        ({"settings": {"transfer.freez": "head"}}, ConfigError, r"did you mean 'transfer\.freeze'"),
    ],
)
def test_what_cannot_be(source: Path, given: dict[str, Any], error: type[Exception], message: str) -> None:
    given = {"from_": source, **given}
    with pytest.raises(error, match=message):
        tune(given.pop("from_"), **given)


def test_weights_that_were_not_loaded_are_not_frozen(source: Path) -> None:
    class Wider(Net):
        def __init__(self, outputs: int = 2) -> None:
            super().__init__(outputs)
            self.body[3], self.body[4] = nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6)
            self.fc = nn.Linear(6, outputs)

    run = tune(source, Wider, freeze="all-but-head", epochs=1)
    assert any("body.3.weight has another shape, (6, 4, 3, 3) here" in line for line in run.transfer["lines"])
    assert any("would be, but was not loaded, and learns" in line for line in run.transfer["lines"])
    learns = {row["layer"]: (row["weights"], row["learns"]) for row in run.transfer["layers"]}
    assert learns["body.0, body.1"] == ("copied", "never")
    assert learns["body.3, body.4"] == ("new", "always")


def test_freezing_without_a_source_is_for_a_model_of_ones_own() -> None:
    net = Net(2)
    before = net.body[0].weight.detach().clone()
    run = preceptor.train(net, OTHER, epochs=1, out=False, freeze="body.0", batch_size=9)
    assert torch.equal(net.body[0].weight, before)
    assert run.transfer
    assert run.transfer["source"] is None


def test_a_healthy_transfer_raises_no_alarm(source: Path) -> None:
    for more in ({"freeze": "all-but-head"}, {"freeze": "all-but-head", "unfreeze": 3}, {}):
        run = tune(source, epochs=8, **more)
        causes = {finding.cause for finding in run.findings}
        assert not causes & {"frozen-parameters", "parameters-not-optimized", "evaluation-mode-in-training"}


# Resume


class StopAt(preceptor.Callback):
    """Asks to stop after some step, as Ctrl-C does."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_batch_end(self, state: State) -> None:
        if state.step == self.step:
            state.stop = "interrupted"


@pytest.mark.parametrize("stops", [[3], [6, 7], [9, 17]], ids=str)
@pytest.mark.parametrize(
    "more",
    [
        {"freeze": "all-but-head", "unfreeze": {2: "last-2", 3: "all"}, "layer_lr_decay": 0.5},
        {"freeze": "all-but-head", "unfreeze": 3, "regularizers": ["l2-sp"], "schedule": "cosine"},
        {"freeze": "all-but-head"},
        {"freeze": "all-but-head", "unfreeze": 2, "regularizers": ["ema", "weight-noise"]},
    ],
    ids=["by-layer", "l2-sp", "features", "ema"],
)
def test_a_resume_is_exact_to_the_last_bit(
    source: Path, tmp_path: Path, more: dict[str, Any], stops: list[int]
) -> None:
    copy = tmp_path / "source"
    shutil.copytree(source, copy)
    whole = tune(copy, out=tmp_path / "whole", **more)
    for i, stop in enumerate(stops):
        out = tmp_path / "parts"
        parted = tune(None if i else copy, out=out, resume=i > 0, callbacks=[StopAt(stop)], **more)
        assert parted.status == "interrupted"
        if copy.exists():
            shutil.rmtree(copy)  # the checkpoint has all that is needed
    again = tune(None, out=tmp_path / "parts", resume=True, **more)
    assert again.history.without("seconds") == whole.history.without("seconds")
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name
    assert whole.folder
    assert again.folder
    for key, value in whole.folder.weights("last").items():
        assert torch.equal(value, again.folder.weights("last")[key]), key


def test_a_run_that_goes_on_takes_no_other_source(source: Path, tmp_path: Path) -> None:
    tune(source, out=tmp_path / "run", callbacks=[StopAt(3)])
    with pytest.raises(ConfigError, match="a run that goes on has its weights"):
        tune(source, out=tmp_path / "run", resume=True)
