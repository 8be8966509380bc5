"""Models that fit too much or too little, and sound ones."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from preceptor.diagnosis.case import Case
from preceptor.diagnosis.rules.capacity import too_little_capacity
from preceptor.diagnosis.rules.fit import overfitting
from preceptor.observation.observed import Observed
from preceptor.observation.protocol import Protocol
from preceptor.observation.record import Record
from preceptor.observation.watch import Watch


def _fit(
    model: nn.Module,
    train: tuple[Tensor, Tensor],
    held_out: tuple[Tensor, Tensor] | None = None,
    *,
    loss: Any = None,
    steps: int = 400,
    rate: float = 3e-3,
    batch: int = 32,
    decay: float = 0.0,
    restore: bool = False,
) -> Case:
    loss = loss or (lambda output, target: functional.mse_loss(output, target))
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay)
    with Watch(budget=1.0) as watch:
        for step in range(steps):
            chosen = torch.randint(len(train[0]), (batch,))
            optimizer.zero_grad()
            loss(model(train[0][chosen]), train[1][chosen]).backward()
            optimizer.step()
            if held_out is not None and step % 10 == 9:
                with torch.no_grad():
                    loss(model(held_out[0]), held_out[1])
        if restore:
            model.load_state_dict({name: value.clone() for name, value in model.state_dict().items()})
    return Case(watch.observed)


def _noisy(size: int) -> tuple[Tensor, Tensor]:
    x = torch.randn(size, 8)
    return x, x[:, :1] + torch.randn(size, 1)


def _wide() -> nn.Module:
    return nn.Sequential(nn.Linear(8, 128), nn.ReLU(), nn.Linear(128, 1))


@pytest.mark.parametrize("seed", [0, 1])
def test_few_noisy_samples_are_memorised(seed: int) -> None:
    torch.manual_seed(seed)
    (finding,) = list(overfitting(_fit(_wide(), _noisy(32), _noisy(200), steps=600)))
    assert finding.severity == "warning"
    assert 0 < finding.steps[0] < 500
    assert finding.where.startswith("test_fit.py:")


def test_weights_that_are_restored_are_only_mentioned() -> None:
    torch.manual_seed(0)
    (finding,) = list(overfitting(_fit(_wide(), _noisy(32), _noisy(200), steps=600, restore=True)))
    assert finding.severity == "info"
    assert finding.against


@pytest.mark.parametrize("seed", [0, 1])
def test_enough_samples_are_silent(seed: int) -> None:
    torch.manual_seed(seed)
    case = _fit(nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1)), _noisy(2000), _noisy(500))
    assert list(overfitting(case)) == []


def test_labels_that_mean_nothing_elsewhere() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 256), nn.ReLU(), nn.Linear(256, 2))
    x, y = torch.randn(264, 8), torch.randint(2, (264,))
    case = _fit(
        model,
        (x[:64], y[:64]),
        (x[64:], y[64:]),
        loss=lambda output, target: functional.cross_entropy(output, target),
        steps=500,
    )
    (finding,) = list(overfitting(case))
    assert finding.severity == "warning"


# ---------------------------------------------------------------------- capacity


def _coder(width: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(32, 24), nn.ReLU(), nn.Linear(24, width), nn.Linear(width, 24), nn.ReLU(), nn.Linear(24, 32)
    )


def _pictures(size: int = 512) -> Tensor:
    return torch.randn(size, 8) @ torch.randn(8, 32) / 3


@pytest.mark.parametrize("width", [1, 2])
def test_a_bottleneck(width: int) -> None:
    torch.manual_seed(0)
    x = _pictures()
    (finding,) = list(too_little_capacity(_fit(_coder(width), (x, x), steps=600)))
    assert finding.severity == ("warning" if width == 1 else "info")
    assert finding.evidence["width"] == width
    assert finding.layers == ("2",)


def test_a_wide_enough_code_is_silent() -> None:
    torch.manual_seed(0)
    x = _pictures()
    assert list(too_little_capacity(_fit(_coder(12), (x, x), steps=600))) == []


def test_a_connection_around_the_bottleneck_is_silent() -> None:
    class Around(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.narrow, self.wide = nn.Linear(32, 24), nn.Linear(24, 1), nn.Linear(1, 24)
            self.last = nn.Linear(24, 32)

        def forward(self, x: Tensor) -> Tensor:
            before = torch.relu(self.first(x))
            return self.last(before + self.wide(torch.relu(self.narrow(before))))

    torch.manual_seed(0)
    x = _pictures()
    target = x * 0.7 + torch.randn_like(x)
    assert list(too_little_capacity(_fit(Around(), (x, target), steps=600))) == []


def _classes(size: int = 600) -> tuple[Tensor, Tensor]:
    centres, of = torch.randn(50, 32), torch.randint(50, (size,))
    return centres[of] + 0.3 * torch.randn(size, 32), of % 10


def _entropy(output: Tensor, target: Tensor) -> Tensor:
    return functional.cross_entropy(output, target)


class _Last(nn.Module):
    def __init__(self, units: int) -> None:
        super().__init__()
        self.cells, self.head = nn.GRU(4, units, batch_first=True), nn.Linear(units, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cells(x.reshape(len(x), 8, 4))[0][:, -1])


def _pooled(channels: int) -> nn.Module:
    return nn.Sequential(
        *(nn.Unflatten(1, (1, 32)), nn.Conv1d(1, channels, 3, padding=1), nn.ReLU(), nn.AvgPool1d(16)),
        *(nn.Flatten(), nn.Linear(2 * channels, 10)),
    )


@pytest.mark.parametrize(
    ("model", "width"),
    [
        (lambda: nn.Sequential(nn.Linear(32, 2), nn.ReLU(), nn.Linear(2, 10)), 2),
        (lambda: _Last(1), 1),
        (lambda: _pooled(1), 2),
    ],
    ids=["dense", "recurrent", "pooled"],
)
def test_many_classes_behind_few_numbers(model: Any, width: int) -> None:
    torch.manual_seed(0)
    case = _fit(model(), _classes(), loss=_entropy, steps=600, rate=2e-2)
    (finding,) = list(too_little_capacity(case))
    assert (finding.evidence["width"], finding.evidence["outputs"]) == (width, 10)
    assert finding.severity == "warning"


@pytest.mark.parametrize("units", [32, 12])
def test_many_classes_behind_enough_numbers_are_silent(units: int) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(32, units), nn.ReLU(), nn.Linear(units, 10))
    assert list(too_little_capacity(_fit(model, _classes(), loss=_entropy, steps=400))) == []


def test_a_second_input_leads_past_the_bottleneck() -> None:
    class Told(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(32, 1), nn.Linear(33, 10)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(torch.cat([torch.tanh(self.first(x)), x], dim=1))

    torch.manual_seed(0)
    x, y = _classes()
    y = torch.where(torch.rand(len(y)) < 0.7, torch.randint(10, (len(y),)), y)
    assert list(too_little_capacity(_fit(Told(), (x, y), loss=_entropy, steps=400))) == []


@pytest.mark.slow
def test_few_units_for_many_samples() -> None:
    torch.manual_seed(0)
    x = torch.randn(20000, 6)
    y = torch.sin(3 * x[:, :1]) * x[:, 1:2] + torch.cos(2 * x[:, 2:3])
    case = _fit(nn.Sequential(nn.Linear(6, 3), nn.ReLU(), nn.Linear(3, 1)), (x, y), steps=1200, rate=1e-2)
    (finding,) = list(too_little_capacity(case))
    assert finding.evidence["parameters"] == 25
    assert "noise" in finding.against[0]


@pytest.mark.slow
def test_a_floor_of_noise_is_silent() -> None:
    torch.manual_seed(0)
    small = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1))
    assert list(too_little_capacity(_fit(small, _noisy(20000), steps=1200, rate=1e-2))) == []


def test_a_linear_model_is_meant_to_be_small() -> None:
    torch.manual_seed(0)
    assert list(too_little_capacity(_fit(nn.Linear(8, 1), _noisy(20000), steps=600, rate=1e-2))) == []


def test_nothing_is_said_of_nothing() -> None:
    case = Case(Observed(Record(), Protocol()))
    assert [*overfitting(case), *too_little_capacity(case)] == []
