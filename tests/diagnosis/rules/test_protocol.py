"""The order of calls: planted mistakes, and what only looks like them."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

import preceptor
from preceptor.diagnosis.rules import coverage, protocol

from ._families import ALL
from ._judge import alarms, findings

X = torch.randn(64, 6, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2))


def loss_of(model: nn.Module, step: int = 0) -> torch.Tensor:
    rows = torch.arange(step * 16, step * 16 + 16) % 64
    return functional.cross_entropy(model(X[rows]), Y[rows])


def sgd(model: nn.Module, **options) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), **{"lr": 0.1, **options})


def seen_of(step_of, model=None, optimizer=None, steps: int = 8):
    model = model or net()
    with preceptor.watch(level="full") as watch:
        optimizer = (optimizer or sgd)(model)
        for step in range(steps):
            step_of(model, optimizer, step)
    return watch.observed


def usual(model, optimizer, step):
    optimizer.zero_grad()
    loss_of(model, step).backward()
    optimizer.step()


# ---------------------------------------------------------------------- zeroing


def forgotten(model, optimizer, step):
    loss_of(model, step).backward()
    optimizer.step()


def now_and_then(model, optimizer, step):
    if step % 4 == 0:
        optimizer.zero_grad()
    forgotten(model, optimizer, step)


def of_another(model, optimizer, step):
    net().zero_grad()
    forgotten(model, optimizer, step)


@pytest.mark.parametrize("step_of", [forgotten, now_and_then, of_another])
@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam])
def test_gradients_that_are_not_cleared(step_of, kind) -> None:
    seen = seen_of(step_of, optimizer=lambda model: kind(model.parameters(), lr=0.01))
    told = findings(seen, protocol)
    assert set(told) == {"missing-zero-grad"}
    assert told["missing-zero-grad"].severity == "critical"
    assert told["missing-zero-grad"].where.startswith("test_protocol.py:")


def test_it_is_said_after_two_steps() -> None:
    seen = seen_of(forgotten, steps=2)
    assert alarms(seen, protocol, over=False) == {"missing-zero-grad"}


def test_tensors_without_a_module() -> None:
    w = torch.zeros(6, requires_grad=True)
    with preceptor.watch(level="full") as watch:
        optimizer = torch.optim.SGD([w], lr=0.01)
        for _ in range(4):
            ((X @ w - Y) ** 2).mean().backward()
            optimizer.step()
    assert alarms(watch.observed, protocol) == {"missing-zero-grad"}


def accumulated(model, optimizer, step):
    if step % 2 == 0:
        optimizer.zero_grad()
    (loss_of(model, step) / 2).backward()
    if step % 2 == 1:
        optimizer.step()


def to_zero(model, optimizer, step):
    optimizer.zero_grad(set_to_none=False)
    forgotten(model, optimizer, step)


def by_hand(model, optimizer, step):
    forgotten(model, optimizer, step)
    with torch.no_grad():
        for p in model.parameters():
            p.grad.zero_()


def to_none_by_hand(model, optimizer, step):
    for p in model.parameters():
        p.grad = None
    forgotten(model, optimizer, step)


def by_the_model(model, optimizer, step):
    forgotten(model, optimizer, step)
    model.zero_grad()


def clipped(model, optimizer, step):
    optimizer.zero_grad()
    loss_of(model, step).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 0.1)
    optimizer.step()


def double_backward(model, optimizer, step):
    x = X[:16].clone().requires_grad_()
    loss = functional.cross_entropy(model(x), Y[:16])
    (slope,) = torch.autograd.grad(loss, x, create_graph=True)
    optimizer.zero_grad()
    (loss + slope.pow(2).sum()).backward()
    optimizer.step()


def two_losses(model, optimizer, step):
    optimizer.zero_grad()
    loss_of(model, step).backward()
    (0.01 * sum(p.square().sum() for p in model.parameters())).backward()
    optimizer.step()


def set_by_hand(model, optimizer, step):
    slopes = torch.autograd.grad(loss_of(model, step), list(model.parameters()))
    for p, slope in zip(model.parameters(), slopes, strict=True):
        p.grad = slope
    optimizer.step()


def random_search(model, optimizer, step):
    for p in model.parameters():
        p.grad = torch.randn_like(p)
    optimizer.step()


SOUND = [usual, accumulated, to_zero, by_hand, to_none_by_hand, by_the_model, clipped]
SOUND += [double_backward, two_losses, set_by_hand, random_search]


@pytest.mark.parametrize("step_of", SOUND)
@pytest.mark.parametrize("steps", [2, 12])
def test_a_sound_order(step_of, steps) -> None:
    seen = seen_of(step_of, steps=steps)
    assert alarms(seen, *ALL) == set()
    assert alarms(seen, *ALL, over=False) == set()


def test_closures() -> None:
    model = net()
    with preceptor.watch(level="full") as watch:
        optimizer = torch.optim.LBFGS(model.parameters(), max_iter=4)

        def closure():
            optimizer.zero_grad()
            loss = loss_of(model)
            loss.backward()
            return loss

        for _ in range(5):
            optimizer.step(closure)
    assert alarms(watch.observed, *ALL) == set()


@pytest.mark.parametrize("clear", [True, False])
def test_steps_within_the_backward_pass(clear) -> None:
    model = net()
    with preceptor.watch(level="full") as watch:
        optimizers = {p: torch.optim.SGD([p], lr=0.1) for p in model.parameters()}

        def step(p):
            optimizers[p].step()
            if clear:
                optimizers[p].zero_grad()

        for p in model.parameters():
            p.register_post_accumulate_grad_hook(step)
        for number in range(8):
            loss_of(model, number).backward()
    assert alarms(watch.observed, *ALL) == set()


def gan(detach: bool = True, clear: str = "optimizer"):
    torch.manual_seed(0)
    maker = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 6))
    judge = nn.Sequential(nn.Linear(6, 16), nn.LeakyReLU(), nn.Linear(16, 1))
    ones, zeros = torch.ones(16, 1), torch.zeros(16, 1)
    score = functional.binary_cross_entropy_with_logits
    with preceptor.watch(level="full") as watch:
        of_maker, of_judge = (torch.optim.Adam(m.parameters(), lr=1e-3) for m in (maker, judge))

        def wipe(optimizer, model):
            if clear == "optimizer":
                optimizer.zero_grad()
            else:
                for p in model.parameters():
                    p.grad = None

        for _ in range(12):
            fake = maker(torch.randn(16, 4))
            wipe(of_judge, judge)
            loss = score(judge(X[:16]), ones) + score(judge(fake.detach() if detach else fake), zeros)
            loss.backward(retain_graph=not detach)
            of_judge.step()
            wipe(of_maker, maker)
            score(judge(fake), ones).backward()
            of_maker.step()
    return watch.observed


@pytest.mark.parametrize("clear", ["optimizer", "by hand"])
@pytest.mark.parametrize("detach", [True, False])
def test_a_game_of_two_nets(clear, detach) -> None:
    seen = gan(detach, clear)
    assert alarms(seen, *ALL) == set()
    assert alarms(seen, *ALL, over=False) == set()


# ---------------------------------------------------------------------- backward


def step_only(model, optimizer, step):
    optimizer.zero_grad()
    loss_of(model, step)
    optimizer.step()


def cleared_too_late(model, optimizer, step):
    loss_of(model, step).backward()
    optimizer.zero_grad()
    optimizer.step()


def zeroed_too_late(model, optimizer, step):
    loss_of(model, step).backward()
    optimizer.zero_grad(set_to_none=False)
    optimizer.step()


def step_before_backward(model, optimizer, step):
    optimizer.zero_grad()
    loss = loss_of(model, step)
    optimizer.step()
    loss.backward()


def stepped_thrice(model, optimizer, step):
    optimizer.zero_grad()
    loss_of(model, step).backward()
    for _ in range(3):
        optimizer.step()


@pytest.mark.parametrize(
    ("step_of", "severity"),
    [
        (step_only, "critical"),
        (cleared_too_late, "critical"),
        (zeroed_too_late, "critical"),
        (step_before_backward, "critical"),
        (stepped_thrice, "warning"),
    ],
)
@pytest.mark.parametrize("steps", [3, 8])
def test_steps_without_a_gradient_of_their_own(step_of, severity, steps) -> None:
    seen = seen_of(step_of, steps=steps)
    for over in (True, False):
        told = findings(seen, protocol, over=over)
        assert set(told) == {"missing-backward"}
        assert told["missing-backward"].severity == severity
    assert alarms(seen, coverage) == set()


def shifted_by_one(model, optimizer, step):
    """Each gradient is used at the beginning of the next round: the last one is not."""
    optimizer.step()
    optimizer.zero_grad()
    loss_of(model, step).backward()


def test_a_step_before_the_first_backward_pass_only() -> None:
    assert alarms(seen_of(shifted_by_one), *ALL) == set()


# ---------------------------------------------------------------------- carried state


class Reader(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(3, 8, batch_first=True)
        self.out = nn.Linear(8, 2)

    def forward(self, x, state=None):
        h, state = self.rnn(x, state)
        return self.out(h[:, -1]), state


def pieces(detach: bool, *, per_step: int = 3, steps: int = 6, clip: bool = True):
    torch.manual_seed(0)
    model, x, y = Reader(), torch.randn(8, 12, 3), torch.randint(2, (8,))
    with preceptor.watch(level="full") as watch:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        for _ in range(steps):
            state = None
            optimizer.zero_grad()
            for start in range(0, 4 * per_step, 4):
                out, state = model(x[:, start : start + 4], state)
                functional.cross_entropy(out, y).backward(retain_graph=not detach)
                state = state.detach() if detach else state
            optimizer.step()
    return watch.observed


def test_a_state_that_keeps_its_graph() -> None:
    told = findings(pieces(detach=False), protocol)
    assert set(told) == {"state-not-detached"}
    assert told["state-not-detached"].layers == ("rnn",)
    assert alarms(pieces(detach=False, steps=2), protocol, over=False) == {"state-not-detached"}


class Average(nn.Module):
    """Takes off a running average of what it has given so far."""

    def __init__(self, detach: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.head, self.detach = nn.Linear(6, 16), nn.Linear(16, 2), detach
        self.average = torch.zeros(16)

    def forward(self, x):
        h = self.first(x)
        average = 0.9 * self.average + 0.1 * h.mean(0)
        self.average = average.detach() if self.detach else average
        return self.head((h - self.average).relu())


@pytest.mark.parametrize("detach", [True, False])
def test_a_state_of_earlier_steps(detach) -> None:
    def step_of(model, optimizer, step):
        optimizer.zero_grad()
        loss_of(model, step).backward(retain_graph=not detach)
        optimizer.step()

    for steps in (3, 8):
        seen = seen_of(step_of, Average(detach), steps=steps)
        assert alarms(seen, *ALL, over=False) == (set() if detach else {"state-not-detached"})


def test_a_state_that_is_detached() -> None:
    assert alarms(pieces(detach=True), *ALL) == set()


def test_a_whole_sequence_is_one_pass() -> None:
    model = Reader()
    x, y = torch.randn(8, 12, 3), torch.randint(2, (8,))

    def step_of(model, optimizer, step):
        optimizer.zero_grad()
        state, total = None, 0.0
        for start in (0, 4, 8):
            out, state = model(x[:, start : start + 4], state)
            total = total + functional.cross_entropy(out, y)
        total.backward()
        optimizer.step()

    assert alarms(seen_of(step_of, model), *ALL) == set()


def test_losses_of_one_trunk_one_after_the_other() -> None:
    trunk, heads = nn.Linear(6, 8), nn.ModuleList([nn.Linear(8, 2), nn.Linear(8, 2)])
    both = nn.ModuleList([trunk, heads])

    def step_of(model, optimizer, step):
        optimizer.zero_grad()
        shared = trunk(X).relu()
        functional.cross_entropy(heads[0](shared), Y).backward(retain_graph=True)
        functional.cross_entropy(heads[1](shared), Y).backward()
        optimizer.step()

    assert alarms(seen_of(step_of, both), *ALL) == set()


def test_moving_averages_and_targets() -> None:
    model = net()
    average = copy.deepcopy(model).requires_grad_(False)

    def step_of(model, optimizer, step):
        with torch.no_grad():
            aim = average(X[:16])
        optimizer.zero_grad()
        functional.mse_loss(model(X[:16]), aim + 0.1 * Y[:16, None]).backward()
        optimizer.step()
        with torch.no_grad():
            for a, p in zip(average.parameters(), model.parameters(), strict=True):
                a.lerp_(p, 0.1)

    assert alarms(seen_of(step_of, model, steps=12), *ALL) == set()
