"""Every schedule against a closed form of its own, and against torch where it has the same one."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch.optim import lr_scheduler as ls

from preceptor.catalogue import find, get
from preceptor.errors import ConfigError

TOTAL, PER_EPOCH = 120, 10


def rates(name: str, *, total: int = TOTAL, per_epoch: int = PER_EPOCH, lr: float = 0.1, **options: object):
    optimizer = get("sgd", [torch.zeros(1, requires_grad=True)], lr=lr)
    schedule = get(name, kind="schedule", **options)(optimizer, total_steps=total, steps_per_epoch=per_epoch)
    return _collect(optimizer, schedule, total)


def theirs(cls: type, *, every: int = 1, lr: float = 0.1, **options: object) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
    return _collect(optimizer, cls(optimizer, **options), TOTAL, every)


def _collect(optimizer, schedule, total: int, every: int = 1) -> list[float]:
    collected = []
    for step in range(total):
        collected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if (step + 1) % every == 0:
            schedule.step()
    return collected


CLOSED = {
    "constant": lambda t: 0.1,
    "step": lambda t: 0.1 * 0.5 ** (t // 100),
    "exponential": lambda t: 0.1 * math.exp(math.log(0.95) * t / 10),
    "inverse-time": lambda t: 0.1 / (1 + 0.1 * t / 10),
    "cosine": lambda t: 0.1 * math.cos(math.pi * t / 240) ** 2,
    "linear": lambda t: 0.1 * (1 - t / 120),
    "natural-exponential": lambda t: 0.1 * math.exp(-0.05 * t / 10),
    "inverse-square-root": lambda t: 0.1 if t < 10 else 0.1 / math.sqrt(t / 10),
    "manual": lambda t: 0.1 if t < 50 else 0.01 if t < 100 else 0.001,
    "cosine-restarts": lambda t: 0.1 * math.cos(math.pi * (t % 100) / 200) ** 2,
    "cyclic": lambda t: 0.1 * (0.1 + 0.9 * (1 - abs(2 * (t % 100) / 100 - 1))),
    "one-cycle": lambda t: (
        0.004 + 0.096 * math.sin(math.pi * t / 70) ** 2
        if t < 35
        else 4e-7 + (0.1 - 4e-7) * math.cos(math.pi * (t - 35) / 168) ** 2
    ),
}


def test_every_schedule_of_the_step_has_a_closed_form():
    assert {*CLOSED, "controller", "plateau"} == {e.name for e in find(kind="schedule")}


@pytest.mark.parametrize("name", CLOSED)
def test_schedule_equals_its_closed_form(name: str):
    expected = [CLOSED[name](t) for t in range(TOTAL)]
    assert rates(name) == pytest.approx(expected, rel=1e-12)


def test_schedules_equal_torch_s_where_it_has_them():
    same = {"rel": 1e-9, "abs": 1e-15}
    assert rates("one-cycle") == pytest.approx(
        theirs(ls.OneCycleLR, max_lr=0.1, total_steps=TOTAL, cycle_momentum=False), **same
    )
    assert rates("cosine") == pytest.approx(theirs(ls.CosineAnnealingLR, T_max=TOTAL), **same)
    assert rates("step", step_size=3, gamma=0.1) == pytest.approx(
        theirs(ls.StepLR, every=PER_EPOCH, step_size=3, gamma=0.1), **same
    )
    assert rates("cosine-restarts", cycle_epochs=2, growth=2, end_ratio=0.1) == pytest.approx(
        theirs(ls.CosineAnnealingWarmRestarts, T_0=20, T_mult=2, eta_min=0.01), **same
    )
    for gamma, mode in ((1.0, "triangular"), (0.5, "triangular2")):
        assert rates("cyclic", cycle_epochs=4, gamma=gamma) == pytest.approx(
            theirs(ls.CyclicLR, base_lr=0.01, max_lr=0.1, step_size_up=20, mode=mode, cycle_momentum=False),
            **same,
        )
    assert rates("manual", rates=[[3, 0.05], [7, 0.025]]) == pytest.approx(
        theirs(ls.MultiStepLR, every=PER_EPOCH, milestones=[3, 7], gamma=0.5), **same
    )
    per_epoch = theirs(ls.ExponentialLR, every=PER_EPOCH, gamma=0.95)
    assert rates("exponential")[::PER_EPOCH] == pytest.approx(per_epoch[::PER_EPOCH], **same)


def test_well_known_values():
    inverse = rates("inverse-time", total=1010)
    assert [inverse[10 * e] for e in (1, 10, 100)] == pytest.approx([0.0909091, 0.05, 0.00909091], rel=1e-5)
    exponential = rates("exponential")
    assert exponential[100] == pytest.approx(0.059874, rel=1e-5)
    assert rates("step", total=210)[::100] == pytest.approx([0.1, 0.05, 0.025])
    linear = rates("linear", total=300, decay_epochs=10, end_ratio=0.01)
    assert [linear[t] for t in (0, 50, 100, 200)] == pytest.approx([0.1, 0.0505, 0.001, 0.001])
    root = rates("inverse-square-root", total=1010)
    assert [root[10 * e] for e in (0, 1, 4, 100)] == pytest.approx([0.1, 0.1, 0.05, 0.01])


def test_both_forms_of_exponential_decay_are_one():
    assert rates("natural-exponential", decay=0.3) == pytest.approx(
        rates("exponential", gamma=math.exp(-0.3))
    )


def test_a_step_decay_without_its_interval_halves_every_epoch():
    assert rates("step", step_size=1)[::10][:4] == pytest.approx([0.1, 0.05, 0.025, 0.0125])
    assert len(set(rates("step", step_size=10)[:100])) == 1


def test_a_table_of_rates_is_honoured_in_any_order_and_form():
    table = {7: 0.2, 0: 0.03, 2.5: 0.0}
    expected = [0.03] * 25 + [0.0] * 45 + [0.2] * 50
    assert rates("manual", rates=table) == pytest.approx(expected)
    assert rates("manual", rates={str(k): v for k, v in table.items()}) == pytest.approx(expected)
    assert rates("manual", rates=list(table.items())) == pytest.approx(expected)
    assert rates("manual", rates=[[4, 0.5]])[:40] == [0.1] * 40
    with pytest.raises(ConfigError, match="lr above 0"):
        rates("manual", lr=0.0)


def test_a_cycle_ends_where_the_rate_turns_up():
    falling = rates("cosine-restarts", cycle_epochs=3)
    assert [t for t in range(1, TOTAL) if falling[t] > falling[t - 1]] == [30, 60, 90]
    growing = rates("cosine-restarts", cycle_epochs=1, growth=2)
    assert [t for t in range(1, TOTAL) if growing[t] > growing[t - 1]] == [10, 30, 70]


@pytest.mark.parametrize("name", ["cosine", "linear"])
def test_warm_up_rises_in_a_line_and_the_fall_ends_where_it_should(name: str):
    observed = rates(name, warmup_epochs=1.5, end_ratio=0.2)
    assert observed[:15] == pytest.approx([0.1 * (t + 1) / 15 for t in range(15)])
    assert observed[15] == pytest.approx(0.1)
    assert all(a > b for a, b in pairwise(observed[15:]))
    assert observed[-1] == pytest.approx(0.02, rel=0.04)
    optimizer = get("sgd", [torch.zeros(1, requires_grad=True)], lr=0.1)
    schedule = get(name, kind="schedule", end_ratio=0.2)(optimizer, total_steps=4, steps_per_epoch=2)
    _collect(optimizer, schedule, 9)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.02)


def test_a_warm_up_as_long_as_the_run_is_refused():
    with pytest.raises(ConfigError, match="warmup_epochs below 12"):
        rates("cosine", warmup_epochs=12)


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("step", "step_size", 0),
        ("step", "gamma", 1.5),
        ("exponential", "gamma", -1),
        ("inverse-time", "decay", -0.1),
        ("linear", "end_ratio", 2),
        ("cosine", "warmup_epochs", -1),
        ("one-cycle", "pct_start", 1.2),
        ("one-cycle", "div_factor", 0.5),
        ("linear", "decay_epochs", -1),
        ("natural-exponential", "decay", -0.1),
        ("manual", "rates", None),
        ("manual", "rates", []),
        ("manual", "rates", [[0, 0.1], [0, 0.2]]),
        ("manual", "rates", [[-1, 0.1]]),
        ("manual", "rates", {"first": 0.1}),
        ("cosine-restarts", "growth", 0),
        ("cosine-restarts", "cycle_epochs", -1),
        ("cyclic", "start_ratio", 2),
        ("cyclic", "gamma", 1.5),
        ("plateau", "factor", 1.0),
        ("plateau", "mode", "lowest"),
        ("plateau", "patience", 2.5),
    ],
)
def test_unusable_option_is_refused(name: str, option: str, value: object):
    with pytest.raises(ConfigError, match=option):
        rates(name, **{option: value})


def test_every_parameter_group_follows():
    groups = [{"params": [torch.zeros(1, requires_grad=True)], "lr": lr} for lr in (1.0, 0.1)]
    optimizer = get("sgd", groups)
    schedule = get("linear", kind="schedule")(optimizer, total_steps=4, steps_per_epoch=4)
    optimizer.step()
    schedule.step()
    assert [g["lr"] for g in optimizer.param_groups] == pytest.approx([0.75, 0.075])


def _plateau(values: list[float], **options: object) -> list[float]:
    optimizer = get("sgd", [torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = get("plateau", **options)(optimizer, total_steps=1, steps_per_epoch=1)
    observed = []
    for value in values:
        schedule.step(value)
        observed.append(optimizer.param_groups[0]["lr"])
    return observed


def test_plateau_acts_on_a_flat_series_after_its_patience_and_not_on_a_falling_one():
    assert _plateau([1.0] * 8) == [1.0] * 6 + [0.5] * 2
    assert _plateau([0.9**t for t in range(20)]) == [1.0] * 20
    assert _plateau([1.1**t for t in range(20)], mode="max") == [1.0] * 20
    assert _plateau([1.0] * 9, patience=0, min_lr=0.25)[-1] == 0.25
