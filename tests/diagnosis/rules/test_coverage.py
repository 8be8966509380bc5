"""Parameters that are left out: planted mistakes, and what only looks like them."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import preceptor
from preceptor.diagnosis.rules import coverage

from ._families import ALL
from ._judge import alarms, findings

X = torch.randn(64, 20, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()


class Deep(nn.Module):
    """Three layers; what happens between the first and the others can be chosen."""

    def __init__(self, between=None, width: int = 24) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.head = (
            nn.Linear(20, width),
            nn.Linear(width, width),
            nn.Linear(width, 2),
        )
        self.between = between or (lambda h: h)

    def forward(self, x):
        h = self.between(self.first(x).relu())
        return self.head(self.second(h).relu())


def fit(model, parameters=None, steps: int = 8, loss_of=None, watch=None, **options):
    """Train, watched unless a watch is there already."""
    inner = watch or preceptor.watch(level="full")
    torch.manual_seed(1)
    with inner:
        held = model.parameters() if parameters is None else parameters(model)
        optimizer = torch.optim.Adam(held, **{"lr": 0.01, **options})
        for _ in range(steps):
            optimizer.zero_grad()
            loss = loss_of(model) if loss_of else functional.cross_entropy(model(X), Y)
            loss.backward()
            optimizer.step()
    return inner.observed


def trained(model=None, steps: int = 60):
    """A model that learned something before anybody watched."""
    model = model or Deep()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(steps):
        optimizer.zero_grad()
        functional.cross_entropy(model(X), Y).backward()
        optimizer.step()
    return model


# ---------------------------------------------------------------------- nobody optimises them


class Listed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.hidden = [nn.Linear(20, 20) for _ in range(3)]
        self.head = nn.Linear(20, 2)

    def forward(self, x):
        for layer in self.hidden:
            x = layer(x).relu()
        return self.head(x)


@pytest.mark.parametrize("steps", [2, 8])
def test_layers_in_a_plain_list(steps) -> None:
    seen = fit(Listed(), steps=steps)
    for over in (True, False):
        told = findings(seen, coverage, over=over)
        assert set(told) == {"parameters-not-optimized"}
        assert told["parameters-not-optimized"].severity == "critical"
        assert "ModuleList" in told["parameters-not-optimized"].remedy


def test_only_some_parameters_are_given() -> None:
    told = findings(fit(Deep(), lambda model: model.head.parameters()), coverage)
    assert set(told) == {"parameters-not-optimized"}
    assert set(told["parameters-not-optimized"].layers) == {"first", "second"}


def test_an_optimizer_of_another_model() -> None:
    told = findings(fit(Deep(), lambda _: Deep().parameters()), coverage)
    assert set(told) == {"parameters-not-optimized"}
    assert "holds none" in told["parameters-not-optimized"].title


def test_another_model_is_named_even_if_the_one_at_work_was_trained_before() -> None:
    assert alarms(fit(trained(), lambda _: Deep().parameters()), coverage) == {"parameters-not-optimized"}


def test_a_head_that_is_replaced_after_the_optimizer_was_built() -> None:
    model = trained()

    def parameters(model):
        held = list(model.parameters())
        torch.manual_seed(3)
        model.head = nn.Linear(24, 2)
        return held

    told = findings(fit(model, parameters), coverage)
    assert set(told) == {"parameters-not-optimized"}
    assert told["parameters-not-optimized"].layers == ("head",)


def test_a_head_of_a_few_numbers() -> None:
    seen = fit(
        nn.Sequential(Deep(), nn.Linear(2, 20), nn.Linear(20, 2)), lambda model: model[:2].parameters()
    )
    assert findings(seen, coverage)["parameters-not-optimized"].layers == ("2",)
    seen = fit(nn.Sequential(nn.Linear(20, 24), nn.ReLU(), nn.Linear(24, 2)), lambda m: m[0].parameters())
    assert alarms(seen, coverage) == {"parameters-not-optimized"}


def test_features_that_are_read_out_on_purpose() -> None:
    assert alarms(fit(trained(), lambda model: model.head.parameters()), *ALL) == set()


def test_a_teacher_that_was_trained_in_the_same_run_and_is_not_frozen() -> None:
    teacher, student = Deep(), Deep(width=12)
    with preceptor.watch(level="full") as watch:
        optimizer = torch.optim.Adam(teacher.parameters(), lr=0.01)
        for _ in range(8):
            optimizer.zero_grad()
            functional.cross_entropy(teacher(X), Y).backward()
            optimizer.step()
        optimizer = torch.optim.Adam(student.parameters(), lr=0.01)
        for _ in range(8):
            optimizer.zero_grad()
            functional.mse_loss(student(X), teacher(X)).backward()
            optimizer.step()
    assert alarms(watch.observed, *ALL) == set()


def test_parameters_that_the_program_moves_by_hand() -> None:
    model = Deep()
    with preceptor.watch(level="full") as watch:
        optimizer = torch.optim.SGD(model.head.parameters(), lr=0.1)
        for _ in range(8):
            model.zero_grad()
            functional.cross_entropy(model(X), Y).backward()
            optimizer.step()
            with torch.no_grad():
                for p in [*model.first.parameters(), *model.second.parameters()]:
                    p -= 0.1 * p.grad
    assert alarms(watch.observed, *ALL) == set()


def test_an_attack_moves_the_input() -> None:
    model = trained()
    x = X.clone().requires_grad_()
    with preceptor.watch(level="full") as watch:
        optimizer = torch.optim.Adam([x], lr=0.01)
        for _ in range(8):
            optimizer.zero_grad()
            (-functional.cross_entropy(model(x), Y)).backward()
            optimizer.step()
    assert alarms(watch.observed, *ALL) == set()


def test_folds_with_a_model_each() -> None:
    with preceptor.watch(level="full") as watch:
        for fold in range(3):
            torch.manual_seed(fold)
            model = nn.Sequential(nn.Linear(20, 24), nn.ReLU(), nn.Linear(24, 2))
            optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
            for _ in range(8):
                optimizer.zero_grad()
                functional.cross_entropy(model(X), Y).backward()
                optimizer.step()
    assert alarms(watch.observed, *ALL) == set()


# ---------------------------------------------------------------------- frozen


class Bag(nn.Module):
    def __init__(self, vectors: torch.Tensor, freeze: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding.from_pretrained(vectors, freeze=freeze)
        self.head = nn.Linear(vectors.shape[1], 2)

    def forward(self, codes):
        return self.head(self.embedding(codes).mean(1))


CODES = torch.randint(400, (64, 7), generator=torch.Generator().manual_seed(1))


def fit_bag(vectors, freeze=True, **options):
    return fit(
        Bag(vectors, freeze), loss_of=lambda model: functional.cross_entropy(model(CODES), Y), **options
    )


def draws(kind: str) -> torch.Tensor:
    rng = np.random.default_rng(0)
    made = rng.normal(0, 0.5, (400, 8)) if kind == "normal" else rng.uniform(-0.1, 0.1, (400, 8))
    return torch.tensor(made, dtype=torch.float32)


@pytest.mark.parametrize("kind", ["normal", "uniform"])
def test_vectors_that_stay_as_they_were_drawn(kind) -> None:
    for steps in (2, 8):
        told = findings(fit_bag(draws(kind), steps=steps), coverage, over=False)
        assert set(told) == {"frozen-parameters"}
        assert told["frozen-parameters"].layers == ("embedding",)
    assert alarms(fit_bag(draws(kind), freeze=False), *ALL) == set()


def test_vectors_with_structure_are_frozen_on_purpose() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.gamma(2.0, 0.5, (400, 1))  # frequent words have longer vectors than rare ones
    vectors = lengths * rng.normal(size=(400, 8)) @ rng.normal(size=(8, 8))
    assert alarms(fit_bag(torch.tensor(vectors, dtype=torch.float32)), *ALL) == set()


def test_a_backbone_that_was_trained_is_frozen_on_purpose() -> None:
    model = trained()
    for part in (model.first, model.second):
        part.requires_grad_(False)
    assert alarms(fit(model, lambda model: model.head.parameters()), *ALL) == set()
    assert alarms(fit(model), *ALL) == set()


def test_a_backbone_that_was_not() -> None:
    model = Deep()
    for part in (model.first, model.second):
        part.requires_grad_(False)
    assert alarms(fit(model, lambda model: model.head.parameters()), *ALL) == {"frozen-parameters"}


def test_a_random_target_and_a_teacher_without_gradient() -> None:
    target, aim = Deep().requires_grad_(False), Deep()
    seen = fit(Deep(width=12), loss_of=lambda model: functional.mse_loss(model(X), target(X)))
    assert alarms(seen, *ALL) == set()

    def quiet(model):
        with torch.no_grad():
            wanted = aim(X)
        return functional.mse_loss(model(X), wanted)

    assert alarms(fit(Deep(width=12), loss_of=quiet), *ALL) == set()


def test_a_moving_average_that_is_called_with_gradients_on() -> None:
    model = Deep()
    average = copy.deepcopy(model).requires_grad_(False)

    def loss_of(model):
        with torch.no_grad():
            for a, p in zip(average.parameters(), model.parameters(), strict=True):
                a.lerp_(p, 0.1)
        out = model(X)
        return functional.cross_entropy(out, Y) + functional.mse_loss(average(X), out)

    assert alarms(fit(model, loss_of=loss_of), *ALL) == set()


class Fourier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.waves = nn.Linear(20, 64, bias=False).requires_grad_(False)
        self.head = nn.Linear(64, 2)

    def forward(self, x):
        return self.head(torch.sin(6.3 * self.waves(x)))


def test_random_frequencies() -> None:
    assert alarms(fit(Fourier()), *ALL) == set()


# ---------------------------------------------------------------------- cut off

CUTS = {
    "detach": lambda h: h.detach(),
    "data": lambda h: h.data,
    "numpy": lambda h: torch.tensor(h.detach().numpy()),
    "tolist": lambda h: torch.tensor(h.tolist()),
    "argmax": lambda h: functional.one_hot(h.argmax(1), 24).float(),
}


@pytest.mark.parametrize("cut", ["detach", "data", "argmax"])
def test_a_way_that_is_cut_within_the_model(cut) -> None:
    seen = fit(Deep(CUTS[cut]))
    told = findings(seen, coverage)
    assert set(told) == {"detached-graph"}
    assert told["detached-graph"].layers == ("first",)
    assert told["detached-graph"].where.startswith("test_coverage.py:")
    assert alarms(fit(Deep(CUTS[cut]), steps=2), coverage, over=False) == {"detached-graph"}


class Quiet(Deep):
    def forward(self, x):
        with torch.no_grad():
            h = self.first(x).relu()
        return self.head(self.second(h).relu())


def test_a_layer_that_runs_without_gradients() -> None:
    told = findings(fit(Quiet()), coverage)
    assert set(told) == {"detached-graph"}
    assert told["detached-graph"].layers == ("first",)


def test_a_recurrent_layer_that_runs_without_gradients() -> None:
    class Reads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.rnn, self.head = nn.GRU(4, 12, batch_first=True), nn.Linear(12, 2)

        def forward(self, x):
            with torch.no_grad():
                h = self.rnn(x.view(len(x), 5, 4))[1][0]
            return self.head(h)

    assert alarms(fit(Reads()), *ALL) == {"detached-graph"}


def test_features_that_were_trained_are_cut_off_on_purpose() -> None:
    model = Quiet()
    model.load_state_dict(trained().state_dict())
    assert alarms(fit(model), *ALL) == set()


@pytest.mark.parametrize("cut", ["detach", "data", "numpy", "tolist"])
def test_a_loss_that_is_cut_off(cut) -> None:
    change = CUTS[cut]

    def loss_of(model):
        return functional.cross_entropy(change(model(X)), Y).requires_grad_()

    told = findings(fit(Deep(), loss_of=loss_of), coverage)
    assert set(told) == {"detached-graph"}
    assert told["detached-graph"].severity == "critical"
    assert alarms(fit(Deep(), loss_of=loss_of, steps=2), *ALL, over=False) == {"detached-graph"}


def test_a_loss_that_is_made_anew() -> None:
    def loss_of(model):
        return torch.tensor(functional.cross_entropy(model(X), Y).item(), requires_grad=True)

    assert alarms(fit(Deep(), loss_of=loss_of), *ALL) == {"detached-graph"}


class Straight(nn.Module):
    """Rounds to one of a few codes, and passes the gradient straight through."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.codes, self.head = nn.Linear(20, 8), nn.Embedding(32, 8), nn.Linear(8, 2)

    def forward(self, x):
        h = self.first(x)
        near = self.codes(torch.cdist(h, self.codes.weight).argmin(1))
        self.commitment = functional.mse_loss(near, h.detach()) + functional.mse_loss(h, near.detach())
        return self.head(h + (near - h).detach())


def test_straight_through_and_stop_gradient() -> None:
    def loss_of(model):
        return functional.cross_entropy(model(X), Y) + model.commitment

    assert alarms(fit(Straight(), loss_of=loss_of), *ALL) == set()


def test_a_baseline_that_is_detached() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.trunk, self.policy, self.value = nn.Linear(20, 24), nn.Linear(24, 2), nn.Linear(24, 1)

        def forward(self, x):
            h = self.trunk(x).tanh()
            return self.policy(h), self.value(h).squeeze(1)

    def loss_of(model):
        scores, value = model(X)
        gain = Y.float() - value
        chosen = scores.log_softmax(1).gather(1, Y[:, None]).squeeze(1)
        return -(chosen * gain.detach()).mean() + gain.square().mean()

    assert alarms(fit(Both(), loss_of=loss_of), *ALL) == set()
