"""Remedies tried on recorded steps: those that help are told from those that do not."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from preceptor.diagnosis.finding import Finding
from preceptor.trials.change import Change
from preceptor.trials.counterfactual import Bench, try_remedies
from preceptor.trials.remedies import REMEDIES
from preceptor.trials.setup import captured
from preceptor.trials.trial import Trial

from ._programs import LABELS, NUMBERS, X, classes, fit, mlp, numbers


def tried(watch, *causes: str):
    findings = [Finding(cause, "warning", "planted") for cause in causes]
    return try_remedies(findings, watch.kept, watch.observed)


def verified(outcome) -> dict[str, str]:
    return {
        f.cause: f.verification["change"][0]["kind"]
        for f in outcome.findings
        if f.verification and f.verification["improved"]
    }


def broadcast(output, place):
    return ((output - NUMBERS[place]) ** 2).mean()


def without_zeroing(optimizer, loss, number):
    loss.backward()
    optimizer.step()


def halves(number):
    return torch.argsort(LABELS, stable=True)[32 * (number % 16) : 32 * (number % 16) + 32]


PLANTED = {
    "learning-rate-too-high": ("lr", lambda: fit(m := mlp(), optimizer=sgd(m, 500.0))),
    "learning-rate-too-low": ("lr", lambda: fit(m := mlp(), optimizer=sgd(m, 1e-5))),
    "missing-zero-grad": ("zero_grad", lambda: fit(m := mlp(), optimizer=sgd(m, 1.0), step=without_zeroing)),
    "probabilities-as-logits": ("softmax", lambda: fit(mlp(3, nn.Softmax(1)))),
    "broadcast-in-loss": ("flatten_prediction", lambda: fit(mlp(1), broadcast)),
    "gradient-ascent": ("sign", lambda: fit(mlp(), lambda out, place: -classes(out, place))),
    "frozen-parameters": ("trainable", lambda: fit(frozen())),
    "parameters-not-optimized": ("optimized", lambda: fit(m := narrow(), optimizer=sgd(m[2], 0.1))),
    "detached-graph": ("detach", lambda: fit(Cut())),
    "unscaled-inputs": ("standardize_inputs", lambda: fit(mlp(), inputs=1000 * X + 3000)),
    "data-not-shuffled": ("shuffle", lambda: fit(m := mlp(), optimizer=sgd(m, 0.5), places=halves)),
    "weight-decay-too-strong": ("weight_decay", lambda: fit(m := mlp(), optimizer=sgd(m, 0.1, decay=1.0))),
    "loss-reduction": ("reduction", lambda: fit(m := mlp(1), total, optimizer=sgd(m, 0.1))),
    "bad-initialization": ("init", lambda: fit(zeros())),
    "capacity-too-low": ("hidden", lambda: fit(m := bottle(), optimizer=adam(m, 0.03), steps=200)),
    "unsuitable-batch-size": ("batch_size", lambda: fit(mlp(), size=512, steps=15)),
    "overfitting": ("epochs", lambda: fit(m := mlp(), noisy, optimizer=adam(m, 0.03), steps=200, places=few)),
    "dropout-too-strong": ("dropout", lambda: fit(dropped(0.95), steps=120)),
}


def sgd(module, lr, decay=0.0):
    return torch.optim.SGD(module.parameters(), lr=lr, weight_decay=decay)


def adam(module, lr):
    return torch.optim.Adam(module.parameters(), lr=lr)


def bottle():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 1), nn.ReLU(), nn.Linear(1, 3))


def noisy(output, place):
    return functional.cross_entropy(output, (LABELS[place] + place % 3) % 3)


def few(number):
    return (torch.arange(32) + 32 * number) % 96


def total(output, place):
    return functional.mse_loss(output.squeeze(1), NUMBERS[place], reduction="sum")


def frozen():
    model = narrow()
    model[0].requires_grad_(False)
    return model


def narrow():
    """Random features that do not suffice: only the last layer trained, it stays poor."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 3))


def zeros():
    model = mlp()
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    return model


def dropped(rate):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Dropout(rate), nn.Linear(32, 3))


class Cut(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(8, 4), nn.Linear(4, 3)

    def forward(self, x):
        return self.last(torch.relu(self.first(x)).detach())


@pytest.mark.parametrize("cause", PLANTED)
def test_a_planted_fault_has_a_verified_remedy(cause) -> None:
    kind, program = PLANTED[cause]
    outcome = tried(program(), cause)
    assert verified(outcome) == {cause: kind}, [str(trial) for trial in outcome.trials]
    told = outcome.findings[0].verification
    assert told["pairs"] >= 3
    assert told["interval"][0] > 0


SOUND = ["learning-rate-too-high", "unscaled-inputs", "bad-initialization", "missing-gradient-clipping"]


@pytest.mark.parametrize("cause", SOUND)
def test_nothing_is_verified_where_nothing_is_wrong(cause) -> None:
    model = mlp()
    watch = fit(model, optimizer=torch.optim.Adam(model.parameters(), lr=0.01), steps=150)
    outcome = tried(watch, cause)
    assert verified(outcome) == {}
    assert outcome.trials


def test_faults_that_hide_one_another_are_removed_one_by_one() -> None:
    model = mlp(1)
    watch = fit(model, total, optimizer=sgd(model, 0.3), step=without_zeroing)
    outcome = tried(watch, "missing-zero-grad", "loss-reduction")
    assert set(verified(outcome)) == {"missing-zero-grad", "loss-reduction"}
    assert any(trial.improved and trial.given for trial in outcome.trials)


def test_what_mends_only_what_was_supposed_beside_it_has_not_improved() -> None:
    lower = Trial((Change("lr", 3.0, 0.01),), "accuracy", (0.2, 0.21, 0.19), (0.8, 0.81, 0.82), 100)
    assert lower.improved
    assert not replace(lower, original=(0.8, 0.82, 0.81)).improved
    assert not replace(lower, original=(math.nan,) * 3).improved
    assert replace(lower, original=(0.4, 0.42, 0.41)).improved


def test_what_is_supposed_beside_a_change_is_held_against_the_program_as_it_is() -> None:
    model = mlp()
    watch = fit(model, optimizer=torch.optim.Adam(model.parameters(), lr=0.01), steps=150)
    bench = Bench(captured(watch.kept, watch.observed), 60.0)
    worse = (Change("lr", 0.01, 3.0),)
    assert bench.try_out(Change("lr", 3.0, 0.01), worse).improved
    assert not bench.try_out(Change("lr", 3.0, 0.01), worse, supposed=True).improved


def test_what_helped_comes_before_what_did_not() -> None:
    outcome = tried(PLANTED["learning-rate-too-high"][1](), "bad-initialization", "learning-rate-too-high")
    assert [finding.cause for finding in outcome.findings] == ["learning-rate-too-high", "bad-initialization"]
    assert outcome.findings[1].verification["improved"] is False


def test_the_program_is_left_alone() -> None:
    model = dropped(0.5)
    watch = fit(model)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    states = torch.get_rng_state(), np.random.get_state()[1].tolist()
    gradients = [p.grad.clone() for p in model.parameters()]
    tried(watch, "learning-rate-too-low", "dropout-too-strong")
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.random.get_state()[1].tolist() == states[1]
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    pairs = zip(gradients, model.parameters(), strict=True)
    assert all(torch.equal(old, p.grad) for old, p in pairs)


def test_the_same_trials_give_the_same_numbers() -> None:
    watch = PLANTED["learning-rate-too-high"][1]()
    setup = captured(watch.kept, watch.observed)
    change = Change("lr", 500.0, 0.5)
    one, other = (Bench(setup, 30.0).try_out(change) for _ in range(2))
    assert one == other


def test_a_longer_training_is_judged_at_the_program_s_own_length() -> None:
    model = mlp()
    watch = fit(model, optimizer=sgd(model, 0.01), steps=20)
    outcome = tried(watch, "too-few-epochs")
    assert verified(outcome) == {"too-few-epochs": "epochs"}
    assert outcome.trials[0].steps == 20


def test_without_an_alarm_nothing_is_tried() -> None:
    watch = fit(mlp())
    outcome = try_remedies([Finding("overfitting", "info", "…")], watch.kept, watch.observed)
    assert outcome.trials == []
    assert outcome.notes == []


def test_two_optimizers_of_one_step_are_said_to_be_too_many() -> None:
    model = mlp()
    optimizers = [sgd(model[0], 0.1), sgd(model[2], 0.1)]

    def both(_, loss, number):
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()

    outcome = tried(fit(model, step=both), "learning-rate-too-high")
    assert outcome.trials == []
    assert "several optimizers" in outcome.notes[0]


def test_a_cause_without_a_remedy_on_recorded_steps() -> None:
    outcome = tried(fit(mlp()), "metric-mistake")
    assert outcome.notes == ["nothing was tried: no remedy of these causes can be tried on recorded steps"]


def test_a_watch_that_keeps_nothing() -> None:
    from preceptor.observation.watch import Watch

    with Watch() as watch:
        pass
    outcome = tried(watch, "learning-rate-too-high")
    assert outcome.notes == ["nothing was tried: no step could be kept"]


KINDS = [torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop, torch.optim.LBFGS]


@pytest.mark.parametrize("kind", KINDS)
def test_optimizers_of_every_sort_are_copied(kind) -> None:
    model = mlp()
    optimizer = kind(model.parameters(), lr=1e-6)
    if kind is torch.optim.LBFGS:

        def step(optimizer, loss, number):
            def closure():
                optimizer.zero_grad()
                value = classes(model(X), slice(None))
                value.backward()
                return value

            optimizer.step(closure)

        watch = fit(model, optimizer=optimizer, step=step, steps=5)
    else:
        watch = fit(model, optimizer=optimizer)
    setup = captured(watch.kept, watch.observed)
    assert setup.kind is kind
    rate = 1.0 if kind is torch.optim.LBFGS else 0.01
    assert Bench(setup, 20.0).try_out(Change("lr", 1e-6, rate)).improved


def test_whole_sequences_are_told_from_examples() -> None:
    torch.manual_seed(0)
    rnn, head = nn.RNN(2, 8), nn.Linear(8, 2)  # time first
    model = nn.ModuleList([rnn, head])
    x = torch.randn(12, 64, 2)
    y = (x.sum(0)[:, 0] > 0).long()

    optimizer = sgd(model, 0.1)
    from preceptor.observation.watch import Watch

    with Watch(trials=True) as watch:
        for _ in range(30):
            place = torch.randperm(64)[:16]
            optimizer.zero_grad()
            functional.cross_entropy(head(rnn(x[:, place])[0][-1]), y[place]).backward()
            optimizer.step()
    setup = captured(watch.kept, watch.observed)
    assert setup.rows.cells == ()
    assert len(setup.rows.whole) >= 23  # 24 steps are kept in any case, the first has one operator more


def test_the_rule_errs_as_seldom_as_it_says() -> None:
    noise = np.random.default_rng(0).normal(0.0, 0.1, (4000, 2, 5))
    helped = [
        Trial((Change("lr"),), "accuracy", tuple(0.5 + row[0]), tuple(0.5 + row[1]), 1).improved
        for row in noise
    ]
    assert sum(helped) / len(helped) <= 0.03


def test_every_cause_with_a_remedy_is_a_cause() -> None:
    from preceptor.diagnosis.causes import CAUSES

    assert set(REMEDIES) <= set(CAUSES)
    assert numbers(mlp(1)(X[:4]), torch.arange(4)) >= 0
