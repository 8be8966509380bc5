from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from preceptor.observation.look import Look
from preceptor.observation.probes import Activations
from preceptor.observation.record import Record


def _look(probe: Activations, record: Record, step: int, outputs: list[tuple[str, nn.Module, Any]]) -> None:
    look = Look(step, "train", record)
    with torch.no_grad():
        probe.inputs(look, (), {})
        for name, module, output in outputs:
            probe.module(look, name, module, (), output)
        probe.end(look)
    look.finish()


def _one(module: nn.Module, output: Any, probe: Activations | None = None) -> Record:
    record = Record()
    _look(probe or Activations(), record, 0, [("layer", module, output)])
    return record


def _last(record: Record, name: str, subject: str = "layer") -> float:
    return record.signal(name, subject=subject).last


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("shape", [(20, 7), (6, 4, 5), (3, 4, 2, 4), (9,)])
@pytest.mark.parametrize("centre", [0.0, 100.0])
def test_statistics_are_those_of_all_elements_where_all_fit(
    shape: tuple[int, ...], centre: float, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    output = torch.randn(shape) * 3 + centre
    output = output.to(dtype)
    record, exact = _one(nn.Softplus(), output), output.double()
    assert _last(record, "act_mean") == pytest.approx(float(exact.mean()), rel=1e-4, abs=1e-5)
    assert _last(record, "act_std") == pytest.approx(float(exact.std(correction=0)), rel=1e-4)
    assert _last(record, "act_min") == float(exact.min())
    assert _last(record, "act_max") == float(exact.max())
    assert _last(record, "nonfinite_share") == 0.0


def test_constant_and_nonfinite_shares() -> None:
    output = torch.randn(8, 4)
    output[:, 1] = 5.0
    record = _one(nn.Linear(1, 4), output)
    assert _last(record, "constant_output") == 0.25
    output[2, 0], output[3, 3] = math.nan, math.inf
    record = _one(nn.Linear(1, 4), output)
    assert _last(record, "nonfinite_share") == 2 / 32
    assert math.isnan(_last(record, "act_mean"))
    assert math.isnan(_last(record, "act_max"))
    assert _last(record, "constant_output") == 0.25
    assert "constant_output" not in _one(nn.Linear(1, 4), output[:1]).names, "one row is always constant"


@pytest.mark.parametrize(
    ("module", "values", "share"),
    [
        (nn.Sigmoid(), [0.019, 0.021, 0.5, 0.981], 0.5),
        (nn.Tanh(), [-0.961, -0.95, 0.0, 0.97], 0.5),
        (nn.Hardtanh(-2, 4), [-1.9, -1.87, 3.87, 3.89], 0.5),
        (nn.Hardsigmoid(), [0.0, 1.0, 1.0, 0.3], 0.75),
        (nn.Softsign(), [0.0, 0.9, 0.5, 0.3], 0.0),
    ],
)
def test_saturation_is_within_two_percent_of_the_range(
    module: nn.Module, values: list[float], share: float
) -> None:
    assert _last(_one(module, torch.tensor(values).reshape(2, 2)), "saturated_share") == share


def test_gates_within_an_lstm_and_linear_layers_do_not_saturate() -> None:
    lstm = nn.LSTM(3, 4, batch_first=True)
    record = _one(lstm, lstm(torch.randn(2, 5, 3)))
    assert "saturated_share" not in record.names
    assert "act_mean" in record.names


def test_dead_units_are_dead_for_a_whole_window() -> None:
    torch.manual_seed(0)
    probe, record = Activations(), Record()
    for step in range(20):
        output = torch.randn(64, 5).relu()
        output[:, 0] = 0.0  # dead
        output[:, 1] = 0.0 if step % 4 else 1.0  # rests most of the time
        _look(probe, record, step, [("act", nn.ReLU(), output)])
        if step < 7:
            assert "inactive_units" not in record.names, "a few batches prove nothing"
    dead = record.signal("inactive_units", layer="act")
    assert dead.steps[0] == 7
    assert set(dead.values) == {0.2}


def test_a_unit_that_dies_is_seen_after_the_window_and_revives_at_once() -> None:
    probe, record = Activations(), Record()
    for step in range(24):
        output = torch.ones(32, 2)
        output[:, 1] = 0.0 if 8 <= step < 20 else 1.0
        _look(probe, record, step, [("act", nn.ReLU(), output)])
    series = record.signal("inactive_units", layer="act")
    values = dict(zip(series.steps, series.values, strict=True))
    assert values[14] == 0.0
    assert values[15] == 0.5
    assert values[19] == 0.5
    assert values[20] == 0.0


def test_small_batches_need_more_looks_and_other_activations_count_differently() -> None:
    probe, record = Activations(), Record()
    small = torch.full((16, 3), 1e-4)
    for step in range(16):
        layers = [
            ("relu", nn.ReLU(), small * 0),
            ("gelu", nn.GELU(), small),
            ("leaky", nn.LeakyReLU(), small * 0),
        ]
        _look(probe, record, step, [*layers, ("positive", nn.ReLU(), small)])
        assert ("inactive_units" in record.names) == (step == 15)
    subjects = record.subjects("inactive_units")
    assert subjects == ["relu", "gelu", "positive"]
    assert [_last(record, "inactive_units", name) for name in subjects] == [1.0, 1.0, 0.0]


def test_channels_are_the_units_after_a_convolution() -> None:
    output = torch.randn(2, 3, 5)
    output[:, 0] = 1.0
    probe, record = Activations(), Record()
    _look(probe, record, 0, [("conv", nn.Conv1d(1, 3, 1), output), ("act", nn.Softplus(), output)])
    assert _last(record, "constant_output", "conv") == 1 / 3
    assert _last(record, "constant_output", "act") == 1 / 3
    last = _one(nn.Linear(3, 5), output)
    assert _last(last, "constant_output") == 0.0


@pytest.mark.parametrize(
    "shape", [(100, 5000), (70, 3, 40, 40), (33, 50, 8), (40, 3, 5, 6, 7), (1, 1), (500,)]
)
def test_samples_lie_within_the_output_and_stay_small(shape: tuple[int, ...]) -> None:
    probe = Activations()
    whole = torch.arange(math.prod(shape), dtype=torch.float32).reshape(shape)
    for looks in range(5):
        probe._looks = looks
        for tensor in (whole, whole.flip(0), whole.transpose(0, -1)):
            matrix, rows = probe._matrix(tensor, 1 if len(shape) > 3 else -1, closer=False)
            assert rows == min(tensor.shape[0], 32)
            assert matrix.shape[0] <= 32 * 16
            assert matrix.shape[1] <= 2048
            assert 0 <= matrix.min() <= matrix.max() < whole.numel()
            assert len(matrix.unique()) == matrix.numel(), "no element twice"


def test_reused_modules_and_further_passes() -> None:
    probe, record, relu = Activations(), Record(), nn.ReLU()
    look = Look(0, "train", record)
    for _ in range(2):
        probe.inputs(look, (), {})
        for value in range(6):
            probe.module(look, "relu", relu, (), torch.full((2, 2), float(value)))
    probe.end(look)
    look.finish()
    assert record.subjects("act_mean") == ["relu", "relu:2", "relu:3", "relu:4"]
    assert [_last(record, "act_mean", name) for name in record.subjects("act_mean")] == [0, 1, 2, 3]
    assert len(record.signal("act_mean", layer="relu")) == 1


@pytest.mark.parametrize(
    "output",
    [
        None,
        "text",
        torch.tensor(1.0),
        torch.ones(3, dtype=torch.int64),
        torch.ones(2, 2, dtype=torch.complex64),
        torch.empty(0, 3),
        torch.empty(2, 3, device="meta"),
        torch.eye(3).to_sparse(),
        {"logits": None},
        (),
    ],
)
def test_what_cannot_be_read_is_passed_over(output: Any) -> None:
    assert _one(nn.Linear(1, 1), output).names == []


def test_containers_and_what_passes_on_have_no_statistics() -> None:
    record, probe = Record(), Activations()
    x = torch.randn(4, 3)
    layers = [nn.Sequential(nn.ReLU()), nn.Flatten(), nn.Dropout(), nn.Identity(), nn.MSELoss()]
    _look(probe, record, 0, [(str(n), layer, x) for n, layer in enumerate(layers)])
    assert record.names == []
    _look(probe, record, 1, [("dict", nn.Linear(1, 1), {"a": torch.tensor([1]), "b": (x,)})])
    assert record.subjects("act_mean") == ["dict"]


def test_evaluation_does_not_count() -> None:
    record, probe = Record(), Activations()
    look = Look(0, "evaluation", record)
    probe.inputs(look, (torch.ones(2, 2),), {})
    probe.module(look, "a", nn.ReLU(), (), torch.ones(2, 2))
    look.finish()
    assert record.names == []
