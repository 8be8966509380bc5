"""Channels-last and contiguous weights: the same numbers, chosen where it works, exact after a resume."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from preceptor import catalogue
from preceptor.data import generators
from preceptor.data.batches import TensorBatches
from preceptor.errors import ConfigError
from preceptor.tasks import Classification
from preceptor.training import Callback, Checkpoints, Problem, State, fit
from preceptor.training.layout import align_moments, lay_out

IMAGES = torch.randn(40, 3, 9, 9, generator=torch.Generator().manual_seed(1))
CLASSES = (IMAGES.mean((1, 2, 3)) > 0).long()
CLOSURES = {e.name: e.traits.get("closure") for e in catalogue.find(kind="optimizer")}
OPTIMIZERS = [name for name, closure in CLOSURES.items() if closure != "residuals" and name != "closed-form"]


class Net(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 5, 3, bias=False), nn.BatchNorm2d(5), nn.ReLU(), nn.Conv2d(5, 4, 3), nn.ReLU(),
            nn.Flatten(), nn.Dropout(0.2), nn.Linear(100, 2),
        )  # fmt: skip


class Viewing(nn.Module):
    """Flattens with view, which no tensor but a contiguous one can do; perhaps in training alone."""

    def __init__(self, *, always: bool = True) -> None:
        super().__init__()
        self.conv, self.last, self.always = nn.Conv2d(3, 4, 3), nn.Linear(196, 2), always

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return self.last(x.view(len(x), -1) if self.always or self.training else x.flatten(1))


class Volumetric(nn.Module):
    """Has weights that know no channels-last layout of images."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.volume = nn.Conv2d(3, 2, 9), nn.Conv3d(1, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.volume(self.conv(x)[:, None]).flatten(1)


def made(layout: str, optimizer: str = "adam") -> Problem:
    with generators.seeded(2):
        model = Net()
    full = catalogue.entry(optimizer).traits.get("batch") == "full"
    problem = Problem(
        model=model,
        task=Classification(("dark", "bright"), loss="cross-entropy"),
        criterion=nn.CrossEntropyLoss(),
        optimizer=catalogue.get(optimizer, model.parameters()),
        train=TensorBatches(IMAGES, CLASSES, batch_size=40 if full else 12, seed=1),
        monitor="train_loss_running",
    )
    lay_out(model, IMAGES[:4], layout, flat_gradients=problem.needs_closure)
    align_moments(problem.optimizer)
    return problem


def is_channels_last(weight: Tensor) -> bool:
    return weight.is_contiguous(memory_format=torch.channels_last)


class TestChoice:
    @pytest.mark.parametrize(
        ("make", "sample", "wanted", "flat", "chosen"),
        [
            (Net, IMAGES, "auto", False, "channels-last"),
            (Net, IMAGES, "auto", True, "contiguous"),
            (Net, IMAGES, "contiguous", False, "contiguous"),
            (Net, IMAGES, "channels-last", False, "channels-last"),
            (Viewing, IMAGES, "auto", False, "contiguous"),
            (lambda: Viewing(always=False), IMAGES, "auto", False, "contiguous"),
            (Volumetric, IMAGES, "auto", False, "contiguous"),
            (lambda: nn.Sequential(nn.Flatten(), nn.Linear(243, 2)), IMAGES, "auto", False, "contiguous"),
            (lambda: nn.Linear(9, 2), IMAGES[:, 0, 0], "auto", False, "contiguous"),
            (lambda: nn.Conv1d(3, 2, 3), IMAGES[:, :, 0], "auto", False, "contiguous"),
        ],
    )
    def test_of_the_layout(
        self, make: Callable[[], nn.Module], sample: Tensor, wanted: str, flat: bool, chosen: str
    ) -> None:
        model = make()
        before = {k: v.clone() for k, v in model.state_dict().items()}
        assert lay_out(model, sample[:4], wanted, flat_gradients=flat) == chosen
        weights = [p for p in model.parameters() if p.ndim == 4 and p.shape[1] > 1]
        assert all(is_channels_last(w) == (chosen == "channels-last") for w in weights)
        assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())

    @pytest.mark.parametrize(
        ("make", "flat", "message"),
        [
            (Viewing, False, r"view size is not compatible[\s\S]*reshape in place of view"),
            (Volumetric, False, "rank 4 tensor"),
            (Net, True, "all gradients as one vector"),
        ],
    )
    def test_what_cannot_be_is_refused(self, make: Callable[[], nn.Module], flat: bool, message: str) -> None:
        model = make()
        with pytest.raises(ConfigError, match=message):
            lay_out(model, IMAGES[:4], "channels-last", flat_gradients=flat)
        assert all(p.is_contiguous() for p in model.parameters())

    def test_leaves_no_trace(self) -> None:
        model = Net()
        model[1].eval()
        before, first = {k: v.clone() for k, v in model.state_dict().items()}, generators.capture()
        lay_out(model, IMAGES[:4], "auto", flat_gradients=False)
        assert torch.equal(first["torch"], generators.capture()["torch"])
        assert [m.training for m in model] == [True, False, *[True] * 6]
        assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


class TestNumbers:
    def test_both_layouts_give_the_same_outputs(self) -> None:
        a, b = made("contiguous").model.eval(), made("channels-last").model.eval()
        assert (a(IMAGES) - b(IMAGES)).abs().max() < 1e-5

    @pytest.mark.parametrize("optimizer", OPTIMIZERS)
    def test_both_layouts_train_alike(self, optimizer: str) -> None:
        """Those that see all parameters as one vector stay contiguous, and so agree to the last bit."""
        runs = [made(layout, optimizer) for layout in ("contiguous", "auto")]
        losses = []
        for problem in runs:
            torch.manual_seed(4)
            losses.append(fit(problem, epochs=2).history["train_loss_running"])
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)
        assert is_channels_last(runs[1].model[0].weight) != bool(CLOSURES[optimizer])  # type: ignore[index]
        for a, b in zip(runs[0].model.parameters(), runs[1].model.parameters(), strict=True):
            assert (a - b).abs().max() < 1e-5

    @pytest.mark.parametrize("optimizer", OPTIMIZERS)
    def test_a_resume_is_exact(self, tmp_path: Path, optimizer: str) -> None:
        """A fused kernel walks weights, gradients and moments in the order of memory."""

        class Stop(Callback):
            def on_batch_end(self, state: State) -> None:
                state.stop = "interrupted" if state.step == 2 else None

        checkpoints = Checkpoints(tmp_path / "c")
        torch.manual_seed(4)
        whole = fit(made("auto", optimizer), epochs=4)
        torch.manual_seed(4)
        assert fit(made("auto", optimizer), epochs=4, checkpoints=checkpoints, callbacks=[Stop()]).step == 2
        resumed = fit(made("auto", optimizer), epochs=4, resume=checkpoints.load())
        assert whole.last_weights is not None
        assert resumed.last_weights is not None
        assert all(torch.equal(v, resumed.last_weights[k]) for k, v in whole.last_weights.items())
        assert whole.history.without("seconds") == resumed.history.without("seconds")


class TestMoments:
    @pytest.mark.parametrize("optimizer", [o for o in OPTIMIZERS if not CLOSURES[o]])
    def test_lie_as_their_parameters_do(self, optimizer: str) -> None:
        problem = made("auto", optimizer)
        fit(problem, epochs=1)
        state: dict[str, Any] = problem.optimizer.state_dict()
        for entries in state["state"].values():
            for name, value in entries.items():
                if isinstance(value, Tensor):
                    entries[name] = value.contiguous()
        problem.optimizer.load_state_dict(state)
        values = {p: dict(entries) for p, entries in problem.optimizer.state.items()}
        align_moments(problem.optimizer)
        for parameter, entries in problem.optimizer.state.items():
            for name, value in entries.items():
                if isinstance(value, Tensor) and value.ndim:
                    assert value.stride() == parameter.stride()
                    assert torch.equal(value, values[parameter][name])

    def test_adagrads_own_which_are_older_than_the_layout(self) -> None:
        problem = made("auto", "adagrad")
        for parameter in problem.model.parameters():
            assert problem.optimizer.state[parameter]["sum"].stride() == parameter.stride()

    def test_what_has_another_shape_is_left_alone(self) -> None:
        problem = made("auto")
        fit(problem, epochs=1)
        weight = next(problem.model.parameters())
        step = problem.optimizer.state[weight]["step"]
        align_moments(problem.optimizer)
        assert problem.optimizer.state[weight]["step"] is step
