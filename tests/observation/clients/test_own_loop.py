"""Loops of one's own: the usual one, and what people do with it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from preceptor.observation.watch import LEVELS, Watch

from ._twice import assert_no_errors, assert_restored, evaluations, losses_of, names, twice, typical

NAMES = ["0.weight", "0.bias", "2.weight", "2.bias"]


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


def data(samples: int = 48) -> TensorDataset:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(samples, 4, generator=generator)
    return TensorDataset(inputs, torch.randint(0, 3, (samples,), generator=generator))


def plain_loop(epochs: int = 2) -> dict[str, Any]:
    model = net()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    train, valid = DataLoader(data(), 8, shuffle=True), DataLoader(data(24), 8)
    losses, means, gradients = [], [], []
    for _ in range(epochs):
        model.train()
        for x, y in train:
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(x), y)
            loss.backward()
            gradients.append([p.grad.norm().item() for p in model.parameters()])
            optimizer.step()
            losses.append(loss.item())
        schedule.step()
        model.eval()
        with torch.no_grad():
            found = [functional.cross_entropy(model(x), y).item() for x, y in valid]
        means.append(sum(found) / len(found))
    return {
        "losses": losses, "valid": means, "gradients": gradients, "model": model, "optimizer": optimizer,
    }  # fmt: skip


@pytest.mark.parametrize("level", LEVELS)
def test_the_usual_loop(level: str) -> None:
    watch, made = twice(plain_loop, level)
    assert losses_of(watch) == made["losses"]
    (phase,) = evaluations(watch)
    assert losses_of(watch, phase) == pytest.approx(made["valid"], rel=1e-6)
    assert watch.steps.train == len(made["losses"]) == 12
    assert (watch.steps.epochs, watch.steps.evaluations) == (2, 2)
    assert typical(watch) == ["batch", "zero_grad", "forward", "loss", "backward", "step"]
    assert watch.record.subjects("grad_norm") == NAMES
    for index, name in enumerate(NAMES):
        series = watch.record.signal("grad_norm", parameter=name)
        expected = [made["gradients"][step][index] for step in series.steps]
        assert list(series.values) == pytest.approx(expected, rel=1e-5)
    assert watch.record.signal("lr").values[0] == 0.01
    assert set(watch.record.signal("lr").values) == {0.01, 0.005}
    assert watch.graph(0).losses
    assert watch.record.facts["unoptimized"] == []


def batchnorm_and_average() -> dict[str, Any]:
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3))
    average = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9), use_buffers=True
    )
    generator = torch.Generator().manual_seed(5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    loader = DataLoader(data(), 8, shuffle=True, generator=generator)
    losses, judged = [], []
    for _ in range(2):
        for x, y in loader:
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            average.update_parameters(model)
            losses.append(loss.item())
        average.eval()
        with torch.no_grad():
            judged.append(functional.cross_entropy(average(data().tensors[0]), data().tensors[1]).item())
    state = generator.get_state()
    return {"losses": losses, "judged": judged, "model": model, "average": average, "generator": state}


def test_batch_norm_dropout_own_generator_and_averaged_weights() -> None:
    watch, made = twice(batchnorm_and_average, "full")
    assert losses_of(watch) == made["losses"]
    (phase,) = evaluations(watch)
    assert losses_of(watch, phase) == pytest.approx(made["judged"])
    assert watch.record.subjects("grad_norm") == [
        "0.weight", "0.bias", "1.weight", "1.bias", "4.weight", "4.bias",
    ]  # fmt: skip


def forgetful() -> dict[str, Any]:
    """Validates without no_grad and in training mode."""
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    train, valid = DataLoader(data(), 8, shuffle=True), DataLoader(data(24), 8)
    losses, means = [], []
    for _ in range(3):
        for x, y in train:
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        found = [functional.cross_entropy(model(x), y).item() for x, y in valid]
        means.append(sum(found) / len(found))
    return {"losses": losses, "valid": means, "model": model}


def test_validation_with_gradient_is_an_evaluation() -> None:
    watch, made = twice(forgetful)
    assert losses_of(watch) == made["losses"]
    (phase,) = evaluations(watch)
    assert losses_of(watch, phase) == pytest.approx(made["valid"])
    (fact,) = watch.record.facts["evaluations"].values()
    assert fact["grad"]
    assert fact["training"]


def test_entered_while_a_training_is_under_way() -> None:
    def train() -> dict[str, Any]:
        model, losses = net(), []
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        loader = DataLoader(data(), 8)
        for step, (x, y) in enumerate(loader):
            if step == 2 and late:
                late[0].start()
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(x), y)
            if step == 4 and late:
                late[0].stop()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return {"losses": losses, "model": model.state_dict()}

    late: list[Watch] = []
    torch.manual_seed(0)
    plain = train()
    before = names()
    late.append(Watch())
    torch.manual_seed(0)
    watched = train()
    assert_restored(before)
    assert watched["losses"] == plain["losses"]
    assert all(torch.equal(watched["model"][key], value) for key, value in plain["model"].items())
    assert losses_of(late[0])[:2] == plain["losses"][2:4]
    assert late[0].record.subjects("grad_norm") == NAMES
    assert_no_errors(late[0])


def test_what_exists_before_is_met_when_it_is_used() -> None:
    model = net()
    optimizer = torch.optim.AdamW(model.parameters())
    x, y = data().tensors
    with Watch() as watch:
        for _ in range(3):
            optimizer.zero_grad()
            functional.cross_entropy(model(x), y).backward()
            optimizer.step()
    assert len(losses_of(watch)) == 3
    assert watch.record.subjects("grad_norm") == NAMES
    assert [fact["class"] for fact in watch.record.facts["optimizers"]] == ["AdamW"]
    assert_no_errors(watch)


class _Broken(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        raise RuntimeError("no way back")


def stumbling() -> dict[str, Any]:
    """Raises in forward and backward now and then, and goes on."""
    model, losses, errors = net(), [], []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = data().tensors
    for step in range(12):
        optimizer.zero_grad()
        try:
            logits = model(x[:, :3] if step % 4 == 1 else x)
            if step % 4 == 2:
                logits = _Broken.apply(logits)
            loss = functional.cross_entropy(logits, y)
            loss.backward()
        except RuntimeError as error:
            errors.append(str(error))
            continue
        optimizer.step()
        losses.append(loss.item())
    return {"losses": losses, "errors": errors, "model": model}


@pytest.mark.parametrize("level", LEVELS)
def test_exceptions_in_forward_and_backward(level: str) -> None:
    watch, made = twice(stumbling, level)
    assert len(made["errors"]) == 6
    assert losses_of(watch) == made["losses"]
    assert watch.steps.train == 6


def test_a_program_that_ends_with_an_exception_is_left_as_it_was() -> None:
    before, watch = names(), Watch()

    def program() -> None:
        model = net()
        functional.cross_entropy(model(data().tensors[0]), data().tensors[1]).backward()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), watch:
        program()
    assert_restored(before)
    assert_no_errors(watch)


def in_thread(work: Callable[[], Any]) -> Any:
    found: list[Any] = []

    def run() -> None:
        found.append(work())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found[0]


def test_training_in_a_thread_of_the_program() -> None:
    watch, made = twice(lambda: in_thread(plain_loop))
    assert losses_of(watch) == made["losses"]
    assert watch.record.subjects("grad_norm") == NAMES


def test_a_watch_within_a_watch() -> None:
    before = names()
    with Watch() as outer:
        first = plain_loop(1)["losses"]
        with Watch() as inner:
            assert not outer.running
            second = plain_loop(1)["losses"]
        assert outer.running
        third = plain_loop(1)["losses"]
    assert_restored(before)
    assert losses_of(inner) == second
    seen = [
        list(outer.record.signal("loss", phase=phase).values)
        for phase in outer.record.subjects("loss")
        if phase.startswith("train")
    ]
    assert [loss for losses in seen for loss in losses] == first + third
    assert any("another watch" in note for note in outer.notes)
    for watch in (outer, inner):
        assert_no_errors(watch)


class _Model(nn.Module):
    """Its loss is made within forward, and is no function of torch.nn.functional."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return (self.inner(x) ** 2).mean()


def unusual_loss() -> dict[str, Any]:
    model, losses = _Model(), []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(5):
        optimizer.zero_grad(set_to_none=False)
        loss = model(data().tensors[0])
        torch.autograd.backward([loss])
        optimizer.step()
        losses.append(loss.item())
    return {"losses": losses, "model": model}


def test_a_loss_of_one_s_own() -> None:
    watch, made = twice(unusual_loss)
    assert losses_of(watch) == made["losses"]
    assert watch.record.subjects("grad_norm") == ["inner.weight", "inner.bias"]


def batches() -> Iterator[tuple[Tensor, Tensor]]:
    x, y = data().tensors
    for _ in range(12):
        chosen = torch.from_numpy(np.random.permutation(48)[:8])
        yield x[chosen], y[chosen]


def with_numpy() -> dict[str, Any]:
    model, losses = net(), []
    optimizer = torch.optim.RMSprop(model.parameters(), lr=0.01)
    for x, y in batches():
        loss = nn.CrossEntropyLoss(label_smoothing=0.1)(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()
        losses.append(loss.item())
    return {"losses": losses, "model": model}


def test_batches_without_a_loader_and_clipping() -> None:
    watch, made = twice(with_numpy)
    assert losses_of(watch) == made["losses"]
    assert typical(watch) == ["forward", "loss", "zero_grad", "backward", "clip", "step"]
    assert len(watch.record.signal("clip_norm")) == 12
    assert watch.record.signal("total_grad_norm").values.max() < 0.1001
