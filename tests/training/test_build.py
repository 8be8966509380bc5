"""From names and objects to a problem, and to an experiment in which nothing is left open."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau, StepLR
from torch.utils.data import DataLoader, TensorDataset

from preceptor.data import generators
from preceptor.errors import ConfigError, DataError, ModelError, OutOfMemory, UnknownName
from preceptor.training import Experiment, Objects, Problem, build
from preceptor.training.build import batch_size_for, choose_device
from preceptor.training.inputs import Inputs, make_feeds

CPU = torch.device("cpu")
X, Y = torch.randn(60, 4), torch.arange(60) % 3
IMAGES = torch.randn(40, 1, 28, 28)


def built(
    data: Any = (X, Y), settings: dict[str, Any] | None = None, **objects: Any
) -> tuple[Problem, Experiment]:
    given = Objects(**objects)
    inputs = Inputs(data, own_model=given.model is not None)
    feeds, _, experiment = make_feeds(Experiment.of(settings or {}), inputs, CPU)
    return build(experiment, feeds, given, CPU)


def refused(
    kind: type[Exception], message: str, data: Any = (X, Y), settings: Any = None, **objects: Any
) -> None:
    with pytest.raises(kind, match=message):
        built(data, settings, **objects)


class TestDecisions:
    def test_nothing_is_left_open(self) -> None:
        problem, experiment = built()
        flat = experiment.flat()
        of_the_data = {"training.train_examples", "data.image_size"}  # follow from the data alone, always
        ours = {k: v for k, v in flat.items() if not k.startswith("text.")}  # those are for texts
        assert "auto" not in {v for k, v in ours.items() if k not in of_the_data}
        assert (flat["model.name"], flat["loss.name"], flat["training.monitor"]) == (
            "mlp",
            "cross-entropy",
            "val_loss",
        )
        assert (flat["training.batch_size"], flat["training.mode"], flat["training.device"]) == (
            32,
            "min",
            "cpu",
        )
        assert flat["optimizer.betas"] == (0.9, 0.999)
        assert flat["metrics"] == ("accuracy", "macro_f1")
        assert problem.scheduler is None

    def test_deciding_again_changes_nothing(self) -> None:
        settings = {"schedule": "plateau", "training.monitor": "val_accuracy", "loss.label_smoothing": 0.1}
        experiment = built(settings=settings)[1]
        again = built(settings=experiment.flat())[1]
        assert again == experiment

    @pytest.mark.parametrize(
        ("data", "name"),
        [((X, Y), "mlp"), ((IMAGES, Y[:40]), "lenet-5"), ((IMAGES[..., :20, :20], Y[:40]), "mlp")],
    )
    def test_the_simplest_model_that_suits(self, data: Any, name: str) -> None:
        assert built(data)[1].model.name == name

    @pytest.mark.parametrize(
        ("settings", "objects", "loss", "outputs"),
        [
            ({}, {}, "binary-cross-entropy", 1),
            ({"loss": "cross_entropy"}, {}, "cross-entropy", 2),
            ({}, {"model": nn.Linear(4, 1)}, "binary-cross-entropy", 1),
            ({}, {"model": nn.Linear(4, 2)}, "cross-entropy", 2),
            ({}, {"model": nn.Sequential(nn.Linear(4, 1), nn.Flatten(0))}, "binary-cross-entropy", 1),
        ],
    )
    def test_two_classes(self, settings: Any, objects: Any, loss: str, outputs: int) -> None:
        problem, experiment = built((X, Y % 2), settings, **objects)
        assert (problem.task.loss, experiment.loss.name, problem.task.outputs) == (loss, loss, outputs)

    @pytest.mark.parametrize(
        ("settings", "monitor", "mode"),
        [
            ({}, "val_loss", "min"),
            ({"data.val": 0}, "train_loss", "min"),
            ({"data.val": 0, "training.train_examples": 0}, "train_loss_running", "min"),
            ({"training.monitor": "val_accuracy"}, "val_accuracy", "max"),
            ({"training.monitor": "val_accuracy", "training.mode": "min"}, "val_accuracy", "min"),
            ({"model": "linear", "optimizer": "l-bfgs"}, "val_loss", "min"),
            ({"model": "linear", "optimizer": "l-bfgs", "task": "regression"}, "train_loss", "min"),
            ({"optimizer": "l-bfgs", "task": "regression"}, "val_loss", "min"),
        ],
    )
    def test_what_decides_the_best_epoch(self, settings: Any, monitor: str, mode: str) -> None:
        problem, experiment = built(settings=settings)
        assert (problem.monitor, problem.mode) == (monitor, mode)
        assert (experiment.training.monitor, experiment.training.mode) == (monitor, mode)

    @pytest.mark.parametrize(
        ("settings", "examples", "size"),
        [
            ({}, 4_999, 32),
            ({}, 5_000, 64),
            ({"training.batch_size": 7}, 100, 7),
            ({"training.batch_size": "full"}, 100, 100),
            ({"optimizer": "gradient-descent"}, 100, 100),
            ({"optimizer": "online-sgd"}, 100, 1),
            ({"optimizer": "l-bfgs", "training.batch_size": 9}, 100, 9),
            ({"optimizer": "mine:Own"}, 100, 32),
        ],
    )
    def test_the_batch_size(self, settings: Any, examples: int, size: int) -> None:
        assert batch_size_for(Experiment.of(settings), examples) == size

    def test_the_device(self) -> None:
        assert choose_device("cpu") == CPU
        assert choose_device("auto").type in ("cpu", "cuda")
        for name in ("gpu", "cuda:99", "xpu", ""):
            with pytest.raises(ConfigError, match=r"device cannot be used[\s\S]*preceptor env"):
                choose_device(name)


class TestSchedules:
    def test_know_the_number_of_steps(self) -> None:
        settings = {"schedule": "linear", "optimizer": {"name": "sgd", "lr": 1.0}, "training.epochs": 5}
        problem, _ = built(settings={**settings, "training.batch_size": 10, "training.grad_accumulation": 2})
        assert (len(problem.train), problem.scheduler_steps) == (5, "step")
        assert isinstance(problem.scheduler, LambdaLR)
        for _ in range(15):  # 5 epochs of 3 steps
            assert problem.lr > 0
            problem.optimizer.step()
            problem.scheduler.step()
        assert problem.lr == 0

    def test_plateau_follows_what_is_monitored(self) -> None:
        problem, experiment = built(settings={"schedule": "plateau", "training.monitor": "val_accuracy"})
        assert isinstance(problem.scheduler, ReduceLROnPlateau)
        assert (problem.scheduler.mode, problem.scheduler_steps, experiment.schedule.options["mode"]) == (
            "max",
            "metric",
            "max",
        )

    def test_of_the_users_own(self) -> None:
        problem, experiment = built(schedule=lambda optimizer: StepLR(optimizer, 2))
        assert (problem.scheduler_steps, experiment.schedule.name) == (
            "epoch",
            "torch.optim.lr_scheduler:StepLR",
        )
        assert built(schedule=ReduceLROnPlateau)[0].scheduler_steps == "metric"
        model = nn.Linear(4, 3)
        optimizer = torch.optim.SGD(model.parameters())
        scheduler = StepLR(optimizer, 2)
        assert built(model=model, optimizer=optimizer, schedule=scheduler)[0].scheduler is scheduler

    def test_that_cannot_be_used(self) -> None:
        stray = StepLR(torch.optim.SGD([torch.zeros(1)]), 1)
        refused(ConfigError, r"does not suit the optimizer[\s\S]*schedule=lambda", schedule=stray)
        refused(ConfigError, "does not suit the optimizer", schedule=lambda _: 3)
        refused(ConfigError, r"schedule cannot be made[\s\S]*step_size", schedule=StepLR)

    @pytest.mark.parametrize("name", ["cosine", "plateau"])
    def test_a_line_search_can_be_scheduled(self, name: str) -> None:
        problem, _ = built(settings={"optimizer": "l-bfgs", "schedule": name})
        assert problem.needs_closure


class TestOptimizers:
    def test_by_name_over_what_can_learn(self) -> None:
        model = nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 3))
        model[0].requires_grad_(False)
        problem, experiment = built(model=model, settings={"optimizer": {"name": "adamw", "lr": 0.1}})
        assert [id(p) for p in problem.optimizer.param_groups[0]["params"]] == [
            id(p) for p in model[1].parameters()
        ]
        assert (problem.lr, experiment.optimizer.name) == (0.1, "adamw")

    def test_of_the_users_own(self) -> None:
        problem, experiment = built(optimizer=torch.optim.NAdam, settings={"optimizer.lr": 0.5})
        assert isinstance(problem.optimizer, torch.optim.NAdam)
        assert (problem.lr, experiment.optimizer.options) == (0.5, {"lr": 0.5})
        made = built(optimizer=lambda params: torch.optim.SGD(params, lr=0.3))[0]
        assert made.lr == 0.3
        model = nn.Linear(4, 3)
        optimizer = torch.optim.Adam(model.parameters())
        assert built(model=model, optimizer=optimizer)[0].optimizer is optimizer

    def test_that_was_in_use_before_keeps_its_moments_in_the_layout_of_the_weights(self) -> None:
        model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(12, 3))
        images = torch.randn(60, 2, 4, 4)
        optimizer = torch.optim.Adam(model.parameters(), fused=True)
        model(images).sum().backward()
        optimizer.step()
        moments = {p: s["exp_avg"].clone() for p, s in optimizer.state.items()}
        _, experiment = built((images, Y), model=model, optimizer=optimizer)
        assert experiment.training.memory_format == "channels-last"
        for parameter, moment in moments.items():
            assert torch.equal(optimizer.state[parameter]["exp_avg"], moment)
            assert optimizer.state[parameter]["exp_avg"].stride() == parameter.stride()

    def test_that_cannot_be_used(self) -> None:
        refused(ConfigError, "optimizer cannot be made", optimizer=lambda: None)
        refused(ConfigError, "does not suit the model", optimizer=lambda params: list(params))
        stray = torch.optim.SGD(nn.Linear(2, 2).parameters())
        refused(ConfigError, r"does not suit the model[\s\S]*SGD over other parameters", optimizer=stray)
        refused(UnknownName, "did you mean 'adam'", settings={"optimizer": "adma"})
        refused(ConfigError, r"no option 'rate'", settings={"optimizer.rate": 1})
        refused(
            ConfigError,
            r"fp16 scales the loss",
            settings={"optimizer": "l-bfgs", "training.precision": "fp16"},
        )


class TestModels:
    def test_trying_one_leaves_no_trace(self) -> None:
        model = nn.Sequential(nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 3))
        model[1].eval()
        before, first = {k: v.clone() for k, v in model.state_dict().items()}, generators.capture()
        built(model=model)
        assert torch.equal(first["torch"], generators.capture()["torch"])
        assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
        assert [m.training for m in model] == [True, False, True]

    def test_the_seed_makes_the_weights(self) -> None:
        weights = []
        for seed in (0, 0, 1):
            torch.manual_seed(seed)
            weights.append(next(built()[0].model.parameters()))
        assert torch.equal(weights[0], weights[1])
        assert not torch.equal(weights[0], weights[2])

    def test_lazy_layers(self) -> None:
        problem, _ = built(model=nn.Sequential(nn.LazyLinear(5), nn.ReLU(), nn.LazyLinear(3)))
        assert [tuple(p.shape) for p in problem.optimizer.param_groups[0]["params"]] == [
            (5, 4),
            (5,),
            (3, 5),
            (3,),
        ]

    @pytest.mark.parametrize(
        ("model", "message"),
        [
            (nn.Linear(5, 3), r"cannot take the inputs[\s\S]*\(4, 4\) torch.float32[\s\S]*mat1 and mat2"),
            (nn.Linear(4, 2), r"wrong width[\s\S]*width 3"),
            (nn.Flatten(), r"wrong width[\s\S]*width 4: output"),
            (nn.Sequential(nn.Linear(4, 3), nn.Flatten(0)), r"wrong batch size"),
            (nn.LSTM(4, 3), r"output is not a tensor[\s\S]*tuple of 2"),
            (lambda: 3, "not a torch.nn.Module"),
        ],
    )
    def test_that_do_not_fit(self, model: Any, message: str) -> None:
        refused(ModelError, message, model=model)

    def test_frozen_ones_have_nothing_to_learn(self) -> None:
        refused(ModelError, "nothing to learn", model=nn.Linear(4, 3).requires_grad_(False))

    def test_a_name_needs_data_whose_form_is_known(self) -> None:
        loader = DataLoader(TensorDataset(X, Y), batch_size=8)
        refused(
            ModelError, r"needs to know the classes[\s\S]*received  a DataLoader", loader, {"model": "mlp"}
        )
        with_two = DataLoader([((x, x), y) for x, y in zip(X, Y, strict=True)], batch_size=8)  # type: ignore[arg-type]
        refused(ModelError, "not one tensor need a model of your own", with_two)

    def test_a_models_width_tells_the_classes_of_a_loader(self) -> None:
        loader = DataLoader(TensorDataset(X, Y), batch_size=8)
        assert built(loader, model=nn.Linear(4, 5))[0].task.outputs == 5
        refused(ModelError, r"labels are out of range[\s\S]*largest 2", loader, model=nn.Linear(4, 2))

    def test_that_do_not_fit_into_memory(self) -> None:
        refused(OutOfMemory, "out of memory", settings={"model.hidden": [10**13]})


class TestLosses:
    def test_of_the_users_own(self) -> None:
        def twice(output: Tensor, target: Tensor) -> Tensor:
            return 2 * nn.functional.cross_entropy(output, target)

        for loss in (twice, nn.CrossEntropyLoss(), nn.CrossEntropyLoss):
            problem, experiment = built(loss=loss)
            assert problem.loss(X[:4], Y[:4]).ndim == 0
            assert ":" in experiment.loss.name

    def test_drawing_random_numbers_leaves_the_generators_alone(self) -> None:
        def noisy(output: Tensor, target: Tensor) -> Tensor:
            return nn.functional.cross_entropy(output + torch.randn_like(output), target)

        torch.manual_seed(0)
        built(loss=noisy)
        after_noise = torch.rand(1)
        torch.manual_seed(0)
        built()
        assert torch.equal(after_noise, torch.rand(1))

    def test_that_cannot_be_used(self) -> None:
        refused(ModelError, r"not usable[\s\S]*shape \(4,\)", loss=nn.CrossEntropyLoss(reduction="none"))
        refused(ModelError, r"not usable[\s\S]*without a gradient", loss=lambda o, t: o.detach().sum())
        refused(ModelError, r"not usable[\s\S]*received  1.5", loss=lambda o, t: 1.5)
        refused(ModelError, r"cannot be computed[\s\S]*TypeError", loss=lambda o: o.sum())
        refused(
            ConfigError, "reduction='mean'", settings={"loss.reduction": "sum", "loss.name": "cross-entropy"}
        )
        refused(ConfigError, "does not suit classification", settings={"loss": "mse"})


def test_what_can_be_monitored_is_listed() -> None:
    refused(
        ConfigError, r"no history key 'val_r2'[\s\S]*val_accuracy", settings={"training.monitor": "val_r2"}
    )
    settings = {"training.monitor": "val_loss", "data.val": 0}
    refused(ConfigError, r"no history key[\s\S]*validation needs data", settings=settings)


def test_a_stream_without_a_length() -> None:
    class Endless(torch.utils.data.IterableDataset[Any]):
        def __iter__(self) -> Any:
            return iter(zip(X, Y, strict=True))

    refused(
        DataError,
        r"has no length[\s\S]*define __len__",
        DataLoader(Endless(), batch_size=8),
        model=nn.Linear(4, 3),
    )
