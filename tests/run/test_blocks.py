"""A name, a dict, a class, an object or a callable is accepted wherever a block is expected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import ExponentialLR, LambdaLR, ReduceLROnPlateau, StepLR

import preceptor
from preceptor.errors import ConfigError, ModelError, PreceptorError
from preceptor.training import State
from preceptor.training.settings import Block

from .conftest import LEARNS, QUICK, Points, net


class Net(nn.Module):
    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(6, width), nn.Linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).tanh())


MODELS: dict[str, Callable[[], Any]] = {
    "a name": lambda: "mlp",
    "an alias": lambda: "softmax_regression",
    "a dict": lambda: {"name": "mlp", "hidden": [16, 8], "activation": "tanh"},
    "a dict of options alone": lambda: {"hidden": 12},
    "a Block": lambda: Block(name="mlp", hidden=[5]),
    "a class": lambda: Net,
    "an object": lambda: Net(5),
    "a callable": lambda: net,
    "a lambda": lambda: lambda: Net(width=4),
}


@pytest.mark.slow
@pytest.mark.parametrize("form", MODELS)
def test_models(points: Points, form: str) -> None:
    run = preceptor.train(MODELS[form](), (points.x, points.y), **LEARNS)
    assert run.history[-1, "val_accuracy"] > 0.8


def test_a_class_takes_the_models_options(points: Points) -> None:
    run = preceptor.train(Net, (points.x, points.y), settings={"model.width": 11}, **QUICK)
    assert run.model.body.out_features == 11
    assert run.experiment.model.options == {"width": 11}
    assert run.experiment.model.name.endswith(":Net")


def test_activation_and_first_weights_by_name(points: Points) -> None:
    run = preceptor.train(
        "mlp",
        (points.x, points.y),
        activation="elu",
        init={"name": "normal", "std": 0.1, "bias": 0.2},
        **QUICK,
    )
    assert run.experiment.model.options["activation"] == "elu"
    assert run.experiment.model.options["init"] == {"name": "normal", "std": 0.1, "bias": 0.2}
    assert isinstance(run.model[1], nn.ELU)
    for argument, value in (("activation", nn.ELU()), ("init", nn.init.zeros_)):
        with pytest.raises(ConfigError, match=f"{argument} is not usable"):
            preceptor.train("mlp", (points.x, points.y), **{argument: value}, **QUICK)


def smooth(output: Tensor, target: Tensor) -> Tensor:
    return functional.cross_entropy(output, target, label_smoothing=0.1)


LOSSES: dict[str, Any] = {
    "a name": "cross-entropy",
    "a name with underscores": "cross_entropy",
    "a dict": {"name": "cross-entropy", "label_smoothing": 0.1},
    "a function": smooth,
    "a module": nn.CrossEntropyLoss(label_smoothing=0.1),
    "a class": nn.CrossEntropyLoss,
    "a lambda": lambda output, target: functional.multi_margin_loss(output, target),
}


@pytest.mark.parametrize("form", LOSSES)
def test_losses(points: Points, form: str) -> None:
    run = preceptor.train("mlp", (points.x, points.y), loss=LOSSES[form], **LEARNS)
    assert run.history[-1, "val_accuracy"] > 0.8


def test_the_same_loss_by_name_and_in_code_gives_the_same_run(points: Points) -> None:
    named, function, module = (
        preceptor.train("mlp", (points.x, points.y), loss=loss, **QUICK)
        for loss in ({"name": "cross-entropy", "label_smoothing": 0.1}, smooth, LOSSES["a module"])
    )
    assert (
        named.history.without("seconds")
        == function.history.without("seconds")
        == module.history.without("seconds")
    )


def test_two_classes_with_one_output_and_with_two(points: Points) -> None:
    two = (points.x, points.y > 0)
    for width, loss in ((1, None), (2, None), (2, "cross-entropy"), (1, "bce")):
        run = preceptor.train(lambda width=width: net(width), two, loss=loss, **LEARNS)
        assert run.history[-1, "val_accuracy"] > 0.8
        assert run.predict_proba(points.x[:4]).shape == (4, 2)
    with pytest.raises(ModelError, match="the model's last layer has the wrong width"):
        preceptor.train(net, two, **QUICK)


OPTIMIZERS: dict[str, Any] = {
    "a name": "adam",
    "a dict": {"name": "sgd", "lr": 0.1, "momentum": 0.9},
    "a class": torch.optim.RMSprop,
    "a callable": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.5),
    "a catalogue factory": preceptor.catalogue.get("nesterov", lr=0.05),
    "L-BFGS as a class": torch.optim.LBFGS,
}


@pytest.mark.parametrize("form", OPTIMIZERS)
def test_optimizers(points: Points, form: str) -> None:
    full = {"batch_size": "full"} if "BFGS" in form else {}
    run = preceptor.train(
        "mlp", (points.x, points.y), optimizer=OPTIMIZERS[form], epochs=30, out=False, **full
    )
    assert run.history[-1, "val_accuracy"] > 0.8


def test_an_optimizer_object_and_its_scheduler(points: Points) -> None:
    torch.manual_seed(0)
    model = net()
    optimizer = torch.optim.SGD(
        [{"params": model[0].parameters(), "lr": 0.2}, {"params": model[2].parameters()}], lr=0.1
    )
    rates = Rates()
    run = preceptor.train(
        model,
        (points.x, points.y),
        optimizer=optimizer,
        schedule=StepLR(optimizer, 2),
        callbacks=[rates],
        epochs=5,
        out=False,
    )
    assert run.model is model
    assert rates.of_epochs == pytest.approx([0.2, 0.2, 0.02, 0.02, 0.002])
    assert run.history[-1, "val_accuracy"] > 0.6


def test_a_class_takes_the_learning_rate(points: Points) -> None:
    run = preceptor.train(
        "mlp", (points.x, points.y), optimizer=torch.optim.SGD, lr=0.25, weight_decay=0.1, **QUICK
    )
    assert isinstance(run.predictor, preceptor.training.Problem)  # type: ignore[attr-defined]
    (group,) = run.predictor.optimizer.param_groups
    assert (group["lr"], group["weight_decay"]) == (0.25, 0.1)
    assert run.experiment.optimizer.options == {"lr": 0.25, "weight_decay": 0.1}


class Rates(preceptor.Callback):
    """Notes the learning rate of each epoch's first step."""

    def __init__(self) -> None:
        self.of_epochs: list[float] = []

    def on_epoch_begin(self, state: State) -> None:
        self.of_epochs.append(state.problem.lr)


SCHEDULES: dict[str, tuple[Any, list[float]]] = {
    "none": (None, [0.1, 0.1, 0.1, 0.1]),
    "a name": ("constant", [0.1, 0.1, 0.1, 0.1]),
    "a dict": ({"name": "step", "step_size": 2, "gamma": 0.5}, [0.1, 0.1, 0.05, 0.05]),
    "a callable": (lambda optimizer: ExponentialLR(optimizer, 0.5), [0.1, 0.05, 0.025, 0.0125]),
    "a class": (
        lambda optimizer: LambdaLR(optimizer, lambda epoch: 1 / (1 + epoch)),
        [0.1, 0.05, 0.1 / 3, 0.025],
    ),
}


@pytest.mark.parametrize("form", SCHEDULES)
def test_schedules(points: Points, form: str) -> None:
    schedule, rates = SCHEDULES[form]
    used = Rates()
    preceptor.train(
        "mlp", (points.x, points.y), lr=0.1, schedule=schedule, epochs=4, out=False, callbacks=[used]
    )
    assert used.of_epochs == pytest.approx(rates)


@pytest.mark.parametrize("schedule", ["plateau", ReduceLROnPlateau])
def test_a_plateau_follows_the_monitored_value(points: Points, schedule: Any) -> None:
    run = preceptor.train(
        "mlp", (points.x, points.y), optimizer="sgd", lr=0.5, schedule=schedule, monitor="val_accuracy",
        epochs=40, patience=40, out=False,
    )  # fmt: skip
    rates = run.history["lr"]
    assert rates[0] == 0.5
    assert rates[-1] < 0.5


class Unreduced(nn.Module):
    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        return functional.cross_entropy(output, target, reduction="none")


def over_another_model() -> torch.optim.Optimizer:
    return torch.optim.SGD(net().parameters(), lr=0.1)


def failing(*_: Any) -> Any:
    raise ZeroDivisionError("as it always does")


BAD_MODELS: dict[str, tuple[Any, str]] = {
    "a number": (3, "model is not usable"),
    "a list": ([1], "model is not usable"),
    "an unknown name": ("mpl", "did you mean 'mlp'"),
    "a class that needs more": (nn.Linear, "missing 2 required positional arguments"),
    "a class that makes no module": (dict, "not a torch.nn.Module"),
    "of another width": (lambda: net(5), "a last layer of width 3"),
    "of another depth": (nn.Linear(7, 3), "cannot take the inputs"),
}
BAD_OPTIMIZERS: dict[str, tuple[Any, str]] = {
    "a number": (3, "optimizer is not usable"),
    "over another model": (over_another_model(), "does not suit the model"),
    "a callable that makes none": (lambda parameters: 3, "a torch.optim.Optimizer"),
    "a callable that fails": (failing, r"ZeroDivisionError: as it always does \(test_blocks.py, line \d+\)"),
}
BAD_LOSSES: dict[str, tuple[Any, str]] = {
    "for each example": (Unreduced, r"one number for a batch[\s\S]*shape \(4,\)"),
    "without a gradient": (lambda output, target: torch.tensor(1.0), "without a gradient"),
    "no tensor": (lambda output, target: 1.0, "the loss is not usable"),
    "that fails": (failing, "the loss cannot be computed"),
    "for numbers": ("mse", "does not suit classification"),
    "a sum": ({"name": "cross-entropy", "reduction": "sum"}, "training minimises the mean loss"),
}
BAD_SCHEDULES: dict[str, tuple[Any, str]] = {
    "a number": (3, "schedule is not usable"),
    "of another optimizer": (StepLR(over_another_model(), 1), "does not suit the optimizer"),
    "a class that needs more": (StepLR, "step_size"),
    "a callable that makes none": (lambda optimizer: 3, "does not suit the optimizer"),
}
BAD: list[tuple[str, Any, str]] = [
    (kind, *case)
    for kind, cases in (
        ("model", BAD_MODELS),
        ("optimizer", BAD_OPTIMIZERS),
        ("loss", BAD_LOSSES),
        ("schedule", BAD_SCHEDULES),
        ("callbacks", {"a class": ([preceptor.Callback], "a callback is not a Callback")}),
        ("val", {"True": (True, "must be arrays"), "a name": ("iris", "must be arrays")}),
        ("resume", {"without a folder": (True, "which run")}),
    )
    for case in cases.values()
]


@pytest.mark.parametrize(("kind", "block", "message"), BAD)
def test_what_is_refused(points: Points, kind: str, block: Any, message: str) -> None:
    with pytest.raises(PreceptorError, match=message):
        preceptor.train(**{"model": "mlp", "data": (points.x, points.y), **QUICK, kind: block})


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"model": net(), "settings": {"model.hidden": 3}}, "model.hidden"),
        ({"optimizer": over_another_model(), "lr": 0.1}, "optimizer.lr"),
        ({"loss": smooth, "settings": {"loss.delta": 1}}, "loss.delta"),
    ],
)
def test_settings_beside_an_object_that_would_have_no_effect(
    points: Points, given: dict[str, Any], key: str
) -> None:
    with pytest.raises(ConfigError, match=f"{key} has no effect on the"):
        preceptor.train(**{"model": "mlp", "data": (points.x, points.y), **QUICK, **given})


def test_numbers_of_numpy_and_torch_are_taken(points: Points, tmp_path: Any) -> None:
    run = preceptor.train(
        {"name": "mlp", "hidden": np.array([4, 4])}, (points.x, points.y),
        lr=np.float32(0.5), epochs=np.int64(2), weight_decay=torch.tensor(0.25), out=tmp_path / "run",
    )  # fmt: skip
    assert run.experiment.optimizer.options["lr"] == 0.5
    assert preceptor.load(tmp_path / "run").experiment.model.options["hidden"] == [4, 4]
