"""Steps other than forward, backward, step: several optimizers, closures, accumulation, mixed precision."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from preceptor.observation.watch import LEVELS, Watch

from ._twice import losses_of, twice, typical

X = torch.randn(32, 4, generator=torch.Generator().manual_seed(1))
Y = torch.randint(0, 3, (32,), generator=torch.Generator().manual_seed(2))


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


class Generator(nn.Sequential):
    pass


class Discriminator(nn.Sequential):
    pass


def gan() -> dict[str, Any]:
    g = Generator(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 4))
    d = Discriminator(nn.Linear(4, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
    d_optimizer = torch.optim.Adam(d.parameters(), lr=1e-3)
    g_optimizer = torch.optim.Adam(g.parameters(), lr=1e-3)
    criterion, real, fake = nn.BCEWithLogitsLoss(), torch.ones(32, 1), torch.zeros(32, 1)
    d_losses, g_losses = [], []
    for _ in range(15):
        made = g(torch.randn(32, 2))
        d_optimizer.zero_grad()
        on_real = criterion(d(X), real)
        on_fake = criterion(d(made.detach()), fake)
        on_real.backward()
        on_fake.backward()
        d_optimizer.step()
        g_optimizer.zero_grad()
        loss = criterion(d(made), real)
        loss.backward()
        g_optimizer.step()
        d_losses.append(on_real.item() + on_fake.item())
        g_losses.append(loss.item())
    return {"d": d_losses, "g": g_losses, "models": [g, d], "optimizers": [d_optimizer, g_optimizer]}


@pytest.mark.parametrize("level", LEVELS)
def test_two_optimizers(level: str) -> None:
    watch, made = twice(gan, level)
    assert watch.steps.train == 30
    assert losses_of(watch, "train") == made["d"]
    assert losses_of(watch, "train:1") == made["g"]
    assert set(watch.record.subjects("grad_norm")) == {
        "0.weight", "0.bias", "2.weight", "2.bias", "Discriminator.0.weight", "Discriminator.0.bias",
        "Discriminator.2.weight", "Discriminator.2.bias",
    }  # fmt: skip
    assert typical(watch)[-4:] == ["forward", "loss", "backward", "step"]
    assert watch.graph(0).losses


def closure() -> dict[str, Any]:
    model, losses = net(), []
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=4)

    def evaluate() -> Tensor:
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(X), Y)
        loss.backward()
        return loss

    for _ in range(6):
        losses.append(optimizer.step(evaluate).item())
    return {"losses": losses, "model": model, "optimizer": optimizer}


@pytest.mark.parametrize("level", LEVELS)
def test_closure(level: str) -> None:
    watch, made = twice(closure, level)
    assert watch.steps.train == 6
    assert watch.steps.backward > 6
    assert losses_of(watch) == made["losses"]
    assert len(watch.record.subjects("grad_norm")) == 4


def test_a_closure_whose_optimizer_was_there_before_the_watch() -> None:
    model, calls = net(), []
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=4)

    def evaluate() -> Tensor:
        calls.append(0)
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(X), Y)
        loss.backward()
        return loss

    with Watch(budget=1.0) as watch:
        losses = [optimizer.step(evaluate).item() for _ in range(3)]
    assert watch.steps.train == 3
    assert watch.steps.backward == len(calls) > 6
    assert losses_of(watch) == losses


class Sharpness(torch.optim.Optimizer):
    """Steps with the gradient of a worse place nearby, by an optimizer of its own."""

    def __init__(self, parameters: Any, rho: float = 0.05) -> None:
        super().__init__(parameters, {"rho": rho})
        self.base = torch.optim.SGD(self.param_groups, lr=0.1, momentum=0.9)
        self.param_groups = self.base.param_groups

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor]) -> Tensor:  # type: ignore[override]
        closure = torch.enable_grad()(closure)
        loss = closure()
        held = [p for group in self.param_groups for p in group["params"]]
        norm = torch.stack([p.grad.norm() for p in held]).norm()
        moves = [p.grad * (0.05 / norm) for p in held]
        for parameter, move in zip(held, moves, strict=True):
            parameter.add_(move)
        closure()
        for parameter, move in zip(held, moves, strict=True):
            parameter.sub_(move)
        self.base.step()
        return loss


def sharpness() -> dict[str, Any]:
    model, losses = net(), []
    optimizer = Sharpness(model.parameters())

    def evaluate() -> Tensor:
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(X), Y)
        loss.backward()
        return loss

    for _ in range(6):
        losses.append(optimizer.step(evaluate).item())
    return {"losses": losses, "model": model}


@pytest.mark.parametrize("level", LEVELS)
def test_closure_called_twice_and_an_optimizer_within_another(level: str) -> None:
    watch, made = twice(sharpness, level)
    assert watch.steps.train == 6
    assert losses_of(watch, "train") == made["losses"]
    assert len(watch.record.subjects("grad_norm")) == 4


def accumulation() -> dict[str, Any]:
    model, losses = net(), []
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(6):
        total = 0.0
        for x, y in zip(X.split(8), Y.split(8), strict=True):
            loss = functional.cross_entropy(model(x), y) / 4
            loss.backward()
            total += loss.item()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(total)
    return {"losses": losses, "model": model}


@pytest.mark.parametrize("level", LEVELS)
def test_accumulated_gradients(level: str) -> None:
    watch, made = twice(accumulation, level)
    assert (watch.steps.train, watch.steps.backward) == (6, 24)
    assert losses_of(watch) == pytest.approx(made["losses"], rel=1e-6)
    assert typical(watch) == ["zero_grad", *["forward", "loss", "backward"] * 4, "step"]
    assert set(watch.record.signal("carried_grad_norm", parameter="0.weight").values) == {0.0}


def scaled(dtype: torch.dtype, start: float) -> dict[str, Any]:
    model, losses, scales, stepped = net(), [], [], []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=start, growth_interval=3)
    for _ in range(10):
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=dtype):
            loss = functional.cross_entropy(model(X), Y)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scales.append(scaler.get_scale())
        scaler.update()
        losses.append(loss.item())
        stepped.append(scaler.get_scale() >= scales[-1])
    return {"losses": losses, "scales": scales, "model": model, "stepped": stepped}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_mixed_precision(dtype: torch.dtype, level: str) -> None:
    watch, made = twice(lambda: scaled(dtype, 2.0**10), level)
    assert losses_of(watch) == made["losses"]
    assert list(watch.record.signal("grad_scale").values) == made["scales"]
    assert [kind for kind in typical(watch) if kind in ("scale", "unscale", "clip", "scaler_step")] == [
        "scale", "unscale", "clip", "scaler_step",
    ]  # fmt: skip
    assert max(watch.record.signal("total_grad_norm").values) <= 1.001


def test_steps_that_the_scaler_leaves_out() -> None:
    watch, made = twice(lambda: scaled(torch.float16, 2.0**18))
    assert 0 < watch.steps.train < 10
    assert watch.steps.backward == 10
    assert len(losses_of(watch)) == watch.steps.train
    assert losses_of(watch) == [
        loss for loss, done in zip(made["losses"], made["stepped"], strict=True) if done
    ]


class Deep(nn.Module):
    def __init__(self, reentrant: bool) -> None:
        super().__init__()
        self.first, self.last, self.reentrant = nn.Linear(4, 8), nn.Linear(8, 3), reentrant
        self.middle = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.2), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        x = checkpoint(self.middle, self.first(x), use_reentrant=self.reentrant)
        return self.last(x)


def checkpointed(reentrant: bool) -> dict[str, Any]:
    model, losses = Deep(reentrant), []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(8):
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(X), Y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return {"losses": losses, "model": model}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpoints(reentrant: bool, level: str) -> None:
    watch, made = twice(lambda: checkpointed(reentrant), level)
    assert losses_of(watch) == made["losses"]
    assert watch.steps.backward == watch.steps.train == 8
    assert typical(watch) == ["zero_grad", "forward", "loss", "backward", "step"]
    assert len(watch.record.subjects("grad_norm")) == 6


def folds() -> dict[str, Any]:
    found, gone = [], []
    for fold in range(5):
        model, losses = net(), []
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        x, y = torch.cat([X[: fold * 6], X[fold * 6 + 6 :]]), torch.cat([Y[: fold * 6], Y[fold * 6 + 6 :]])
        for _ in range(4):
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        with torch.no_grad():
            held_out = functional.cross_entropy(model(X[fold * 6 : fold * 6 + 6]), Y[fold * 6 : fold * 6 + 6])
        found.append((losses, held_out.item()))
        gone += [weakref.ref(model), weakref.ref(optimizer), *map(weakref.ref, model.parameters())]
        del model, optimizer, loss, held_out
        assert [ref for ref in gone if ref() is not None] == []
    return {"folds": found}


@pytest.mark.parametrize("level", LEVELS)
def test_folds_free_their_models_and_share_names(level: str) -> None:
    watch, made = twice(folds, level)
    assert watch.steps.train == 20
    assert watch.steps.evaluations == 5
    assert set(watch.record.subjects("grad_norm")) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    recorded = sorted(
        (int(step), value)
        for phase in watch.record.subjects("loss")
        if phase.startswith("train")
        for step, value in zip(*_points(watch, phase), strict=True)
    )
    assert [value for _, value in recorded] == [loss for losses, _ in made["folds"] for loss in losses]


def _points(watch: Any, phase: str) -> tuple[Any, Any]:
    series = watch.record.signal("loss", phase=phase)
    return series.steps, series.values
