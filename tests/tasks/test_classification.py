"""Classification: widths, checks, alignment, predictions, measures."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from preceptor.errors import ConfigError, DataError, ModelError, UnknownName
from preceptor.tasks import Classification, wilson

TEN = Classification(tuple("0123456789"))
TWO = Classification(("no", "yes"))
PAIR = Classification(("no", "yes"), loss="cross_entropy")


def test_defaults_follow_the_number_of_classes():
    assert (TEN.loss, TEN.outputs, TEN.output_unit) == ("cross-entropy", 10, "softmax")
    assert (TWO.loss, TWO.outputs, TWO.output_unit) == ("binary-cross-entropy", 1, "sigmoid")
    assert (PAIR.loss, PAIR.outputs, PAIR.output_unit) == ("cross-entropy", 2, "softmax")
    assert TEN.metrics == ("accuracy", "macro_f1", "top5_accuracy")
    assert TWO.metrics == Classification(tuple("abcde")).metrics == ("accuracy", "macro_f1")
    assert TEN.name == "classification"


def test_names_are_those_of_the_catalogue_and_metrics_become_history_keys():
    task = Classification(("a", "b", "c"), loss="ce", metrics=("top-1-error", "f1_macro"))
    assert (task.loss, task.metrics) == ("cross-entropy", ("error", "macro_f1"))
    assert list(task.meters()) == ["error", "macro_f1"]
    with pytest.raises(UnknownName, match="did you mean 'accuracy'"):
        Classification(("a", "b"), metrics=("acuracy",))


@pytest.mark.parametrize("classes", [(), ("only",)])
def test_one_class_cannot_be_classified(classes: tuple[str, ...]):
    with pytest.raises(DataError, match="at least two classes"):
        Classification(classes)


def test_losses_and_metrics_for_numbers_are_refused():
    with pytest.raises(ConfigError, match=r"loss 'mse' does not suit classification(.|\n)*'cross-entropy'"):
        Classification(("a", "b", "c"), loss="mse")
    with pytest.raises(ConfigError, match="metric 'r2' does not suit"):
        Classification(("a", "b", "c"), metrics=("r2",))
    with pytest.raises(ConfigError, match="3 classes"):
        Classification(("a", "b", "c"), loss="bce")


@pytest.mark.parametrize(
    ("task", "output", "target"),
    [
        (TEN, torch.zeros(4, 10), torch.tensor([0, 9, 5, 5])),
        (TEN, torch.zeros(4, 10), torch.tensor([[0], [9], [5], [5]])),
        (TEN, torch.zeros(4, 10).half(), torch.tensor([0, 9, 5, 5], dtype=torch.uint8)),
        (TWO, torch.zeros(3), torch.tensor([0, 1, 1])),
        (TWO, torch.zeros(3, 1), torch.tensor([True, False, True])),
        (PAIR, torch.zeros(3, 2), torch.tensor([0, 1, 1])),
        (TEN, torch.zeros(0, 10), torch.zeros(0, dtype=torch.int64)),
    ],
)
def test_what_fits_passes(task: Classification, output: Tensor, target: Tensor):
    assert task.check(output, target) is None
    z, y = task.align(output, target)
    assert y.shape == (len(target),)
    assert z.shape == (y.shape if task.binary else (len(y), task.outputs))


LABELS = torch.tensor([0, 1, 1])


@pytest.mark.parametrize(
    ("task", "output", "target", "words"),
    [
        (TEN, torch.zeros(3, 5), LABELS, ("wrong width", "width 10", "width 5")),
        (TEN, torch.zeros(3), LABELS, ("wrong width", "(N, 10)", "(3,)")),
        (TEN, torch.zeros(3, 10, 4), LABELS, ("wrong width", "width 10×4")),
        (TWO, torch.zeros(3, 2), LABELS, ("wrong width", "width 1", "width 2", 'loss="cross-entropy"')),
        (PAIR, torch.zeros(3, 1), LABELS, ("wrong width", "width 2", 'loss="binary-cross-entropy"')),
        (TEN, torch.zeros(12, 10), LABELS, ("wrong batch size", "3 rows", "(12, 10)")),
        (TEN, torch.tensor(1.0), LABELS, ("wrong batch size", "()")),
        (TEN, (torch.zeros(3, 10), None), LABELS, ("not a tensor", "tuple of 2: tensor (3, 10), NoneType")),
        (TEN, {"logits": torch.zeros(3, 10)}, LABELS, ("not a tensor", "dict with 'logits'")),
        (TEN, None, LABELS, ("not a tensor", "NoneType")),
        (TEN, torch.zeros(3, dtype=torch.int64), LABELS, ("floating-point", "torch.int64")),
        (
            TEN,
            torch.zeros(3, 10),
            torch.tensor([0, 10, 3]),
            ("out of range", "0…9", "smallest 0, largest 10"),
        ),
        (TEN, torch.zeros(3, 10), torch.tensor([1, -1, 3]), ("out of range", "smallest -1, largest 3")),
        (TWO, torch.zeros(3), torch.tensor([1, 2, 1]), ("out of range", "0…1", "largest 2")),
        (TEN, torch.zeros(3, 10), torch.zeros(3), ("wrong dtype", "integers", "torch.float32")),
        (
            TEN,
            torch.zeros(3, 10),
            torch.zeros(3, 10, dtype=torch.int64),
            ("wrong shape", "(3, 10)", "argmax"),
        ),
    ],
)
def test_what_does_not_fit_is_said(
    task: Classification, output: object, target: Tensor, words: tuple[str, ...]
):
    with pytest.raises(ModelError) as caught:
        task.check(output, target)
    for word in (*words, "expected", "received"):
        assert word in str(caught.value)


def test_one_output_is_never_broadcast_against_the_targets():
    output, target = torch.randn(4, 1), torch.tensor([0, 1, 1, 0])
    loss = nn.BCEWithLogitsLoss()(*TWO.align(output, target))
    expected = nn.BCEWithLogitsLoss()(output[:, 0], target.float())
    assert torch.equal(loss, expected)
    with pytest.raises(ModelError, match=r"output \(8,\), target \(4,\)"):
        TWO.align(torch.randn(4, 2), target)
    with pytest.raises(ModelError, match="do not belong together"):
        TEN.align(torch.randn(3, 10), target)
    with pytest.raises(ModelError, match="do not belong together"):
        TEN.align(torch.randn(4), target)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_outputs_are_widened_for_the_loss(dtype: torch.dtype):
    assert TEN.align(torch.zeros(2, 10, dtype=dtype), torch.tensor([0, 1]))[0].dtype == torch.float32
    z, y = TWO.align(torch.zeros(2, dtype=dtype), torch.tensor([0, 1]))
    assert z.dtype == y.dtype == torch.float32
    assert TWO.align(torch.zeros(2).double(), torch.tensor([0, 1]))[1].dtype == torch.float64


def test_predictions_are_the_most_probable_classes():
    torch.manual_seed(0)
    for task, output in ((TEN, torch.randn(50, 10)), (TWO, torch.randn(50, 1)), (PAIR, torch.randn(50, 2))):
        p = task.probabilities(output)
        assert p.shape == (50, len(task.classes))
        torch.testing.assert_close(p.sum(1), torch.ones(50))
        assert torch.equal(task.predict(output), p.argmax(1))
    assert TEN.probabilities(torch.zeros(1, 10).bfloat16()).dtype == torch.float32


def test_two_outputs_and_their_difference_are_one_model():
    z = torch.randn(20, 2, dtype=torch.float64)
    torch.testing.assert_close(PAIR.probabilities(z), TWO.probabilities(z[:, 1] - z[:, 0]))


@pytest.mark.parametrize(("task", "shape"), [(TEN, (30, 10)), (TWO, (30, 1)), (TWO, (30,)), (PAIR, (30, 2))])
def test_example_losses_average_to_the_loss_and_rank_the_worst(task: Classification, shape: tuple[int, ...]):
    from preceptor.catalogue import get

    torch.manual_seed(1)
    output, target = torch.randn(shape), torch.randint(len(task.classes), (30,))
    each = task.example_losses(output, target)
    assert each.shape == (30,)
    torch.testing.assert_close(each.mean(), get(task.loss, kind="loss")(*task.align(output, target)))
    p = task.probabilities(output)[torch.arange(30), target]
    assert each.argmax() == p.argmin()


def test_meters_measure_raw_outputs():
    output = torch.tensor([[2.0], [-1.0], [0.5], [-3.0]])
    meters = TWO.meters()
    for meter in meters.values():
        meter.update(output, torch.tensor([1, 0, 0, 0]))
    assert meters["accuracy"].compute() == 0.75
    assert meters["macro_f1"].compute() == pytest.approx((2 / 3 + 4 / 5) / 2)


@pytest.mark.slow
def test_the_interval_of_accuracy_is_wilson_s():
    output = torch.eye(10)[torch.arange(50) % 10]
    target = torch.where(torch.arange(50) < 47, torch.arange(50) % 10, (torch.arange(50) + 1) % 10)
    assert TEN.interval(output, target) == wilson(47, 50)
    assert TEN.interval(output, target, level=0.5) == wilson(47, 50, 0.5)
    error = Classification(TEN.classes, metrics=("error",))
    assert error.interval(output, target) == wilson(3, 50)
    f1 = Classification(TEN.classes, metrics=("macro_f1",))
    low, high = f1.interval(output, target)
    assert 0.8 < low < 0.94 < high <= 1.0


def test_an_interval_needs_examples_and_numbers():
    with pytest.raises(DataError, match="0 outputs"):
        TEN.interval(torch.zeros(0, 10), torch.zeros(0, dtype=torch.int64))
    low, high = TEN.interval(torch.full((3, 10), math.nan), LABELS)
    assert math.isnan(low)
    assert math.isnan(high)


def test_tasks_are_values():
    assert Classification(("no", "yes")) == TWO != PAIR
    assert len({TWO, PAIR, Classification(["no", "yes"])}) == 2
