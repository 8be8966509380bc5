"""Regression: widths, checks, alignment, units, measures."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from preceptor.catalogue import get
from preceptor.errors import ConfigError, DataError, ModelError
from preceptor.tasks import Regression, bootstrap

ONE, THREE = Regression(), Regression(3)


def test_defaults():
    assert (THREE.loss, THREE.outputs, THREE.output_unit) == ("mse", 3, "identity")
    assert THREE.metrics == ("r2", "rmse", "mae")
    assert (ONE.offset, ONE.scale, ONE.name) == ((0.0,), (1.0,), "regression")
    assert ONE.probabilities(torch.zeros(2, 1)) is None


def test_what_does_not_suit_is_refused():
    with pytest.raises(ConfigError, match="for numbers"):
        Regression(loss="cross-entropy")
    with pytest.raises(ConfigError, match="metric 'accuracy'"):
        Regression(metrics=("accuracy",))
    with pytest.raises(ConfigError, match="2 numbers each"):
        Regression(2, offset=(0.0,))
    with pytest.raises(ConfigError, match="dims of at least 1"):
        Regression(0)


@pytest.mark.parametrize(
    ("task", "output", "target"),
    [
        (ONE, torch.zeros(4, 1), torch.zeros(4, 1)),
        (ONE, torch.zeros(4), torch.zeros(4, 1)),
        (ONE, torch.zeros(4, 1), torch.zeros(4)),
        (ONE, torch.zeros(4), torch.zeros(4)),
        (ONE, torch.zeros(4, 1), torch.arange(4)),
        (THREE, torch.zeros(4, 3).bfloat16(), torch.zeros(4, 3)),
        (THREE, torch.zeros(4, 3).double(), torch.zeros(4, 3)),
    ],
)
def test_what_fits_passes_and_is_aligned(task: Regression, output: Tensor, target: Tensor):
    assert task.check(output, target) is None
    a, b = task.align(output, target)
    assert a.shape == b.shape == (4, task.dims)
    assert a.dtype == b.dtype == (torch.float64 if output.dtype == torch.float64 else torch.float32)


@pytest.mark.parametrize(
    ("task", "output", "target", "words"),
    [
        (ONE, torch.zeros(4, 2), torch.zeros(4, 1), ("wrong width", "width 1", "width 2")),
        (THREE, torch.zeros(4), torch.zeros(4, 3), ("wrong width", "width 3", "width 1")),
        (THREE, torch.zeros(4, 3, 1), torch.zeros(4, 3), ("wrong width", "3×1")),
        (ONE, torch.zeros(4, 1), torch.zeros(5, 1), ("wrong batch size", "5 rows", "(4, 1)")),
        (ONE, [torch.zeros(4, 1)], torch.zeros(4, 1), ("not a tensor", "list of 1")),
        (
            ONE,
            torch.zeros(4, 1),
            torch.zeros(4, 2),
            ("targets have a wrong shape", "(N, 1) or (N,)", "(4, 2)"),
        ),
        (THREE, torch.zeros(4, 3), torch.zeros(4), ("targets have a wrong shape", "(N, 3)", "(4,)")),
        (ONE, torch.zeros(4, 1), torch.zeros(4, 1).bool(), ("wrong dtype", "torch.bool")),
        (ONE, torch.zeros(4, 1), torch.tensor([1.0, math.nan, math.inf, 2.0]), ("not finite", "2 of 4")),
    ],
)
def test_what_does_not_fit_is_said(task: Regression, output: object, target: Tensor, words: tuple[str, ...]):
    with pytest.raises(ModelError) as caught:
        task.check(output, target)
    for word in (*words, "expected", "received"):
        assert word in str(caught.value)


@pytest.mark.parametrize("shapes", [((4, 1), (4,)), ((4,), (4, 1))])
def test_a_column_is_never_broadcast_against_a_row(shapes: tuple[tuple[int, ...], ...]):
    torch.manual_seed(0)
    output, target = (torch.randn(shape) for shape in shapes)
    loss = nn.MSELoss()(*ONE.align(output, target))
    assert loss.item() == pytest.approx((output.flatten() - target.flatten()).square().mean().item())


@pytest.mark.parametrize(
    ("output", "target"),
    [((4, 2), (4, 1)), ((4, 1), (1, 1)), ((2, 2), (4,)), ((), (1,)), ((4, 1), (4, 4))],
)
def test_shapes_that_only_broadcast_are_refused(output: tuple[int, ...], target: tuple[int, ...]):
    with pytest.raises(ModelError, match="do not belong together"):
        ONE.align(torch.zeros(output), torch.zeros(target))


def test_predictions_come_in_the_data_s_units():
    task = Regression(2, offset=(10.0, 1e6), scale=(2.0, 0.5))
    predicted = task.predict(torch.tensor([[1.0, -1.0], [0.0, 2.0]]))
    assert predicted.tolist() == [[12.0, 1e6 - 0.5], [10.0, 1e6 + 1.0]]
    assert Regression(offset=(1.0,), scale=(3.0,)).predict(torch.zeros(5)).shape == (5, 1)


def test_meters_measure_in_the_data_s_units():
    from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

    torch.manual_seed(1)
    task = Regression(2, offset=(10.0, -5.0), scale=(100.0, 0.1))
    target = torch.randn(60, 2)
    output = target + 0.3 * torch.randn(60, 2)
    meters = task.meters()
    for rows in (slice(0, 17), slice(17, 60)):
        for meter in meters.values():
            meter.update(output[rows], target[rows])
    true, predicted = (task.predict(t).numpy() for t in (target, output))
    assert meters["r2"].compute() == pytest.approx(r2_score(true, predicted), rel=1e-9)
    assert meters["rmse"].compute() == pytest.approx(root_mean_squared_error(true, predicted), rel=1e-9)
    assert meters["mae"].compute() == pytest.approx(mean_absolute_error(true, predicted), rel=1e-9)
    for meter in meters.values():
        meter.reset()
        assert math.isnan(meter.compute())


@pytest.mark.parametrize("loss", ["mse", "mae", "huber"])
def test_example_losses_average_to_the_loss(loss: str):
    torch.manual_seed(2)
    task = Regression(3, loss=loss)
    output, target = torch.randn(20, 3), torch.randn(20, 3)
    each = task.example_losses(output, target)
    assert each.shape == (20,)
    torch.testing.assert_close(each.mean(), get(loss, kind="loss")(output, target))


@pytest.mark.slow
def test_the_interval_is_the_bootstrap_s_in_the_data_s_units():
    torch.manual_seed(3)
    target = torch.randn(80, 1)
    output = target + 0.5 * torch.randn(80, 1)
    low, high = ONE.interval(output, target)
    assert (low, high) == bootstrap(lambda: get("r2"), output, target)
    meter = get("r2")
    meter.update(output, target)
    assert low < meter.compute() < high
    scaled = Regression(metrics=("mae",), scale=(10.0,)).interval(output, target)
    plain = Regression(metrics=("mae",)).interval(output, target)
    assert scaled == pytest.approx([10 * end for end in plain])
    with pytest.raises(DataError):
        ONE.interval(torch.zeros(0, 1), torch.zeros(0, 1))


def test_tasks_are_values():
    assert Regression(1, (2.0,), (3.0,)) == Regression(1, [2.0], [3.0]) != ONE
    assert len({ONE, Regression(1), THREE}) == 2
