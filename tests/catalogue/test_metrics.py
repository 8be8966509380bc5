"""Every metric against scikit-learn, streamed in uneven batches, in every precision."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from torch import Tensor

from preceptor.catalogue import find, get
from preceptor.errors import ConfigError, ModelError

DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
SURPRISE = ("perplexity", "bits-per-character")
CLASSES = tuple(
    e.name for e in find(kind="metric") if e.traits["targets"] == "categories" and e.name not in SURPRISE
)
NUMBERS = tuple(e.name for e in find(kind="metric") if e.traits["targets"] == "numbers")


def _reference(name: str, output: np.ndarray, target: np.ndarray) -> float:
    from sklearn import metrics as sk

    if name in NUMBERS:
        function = {
            "mae": sk.mean_absolute_error,
            "mse": sk.mean_squared_error,
            "rmse": sk.root_mean_squared_error,
            "r2": sk.r2_score,
            "psnr": _mean_decibels,
        }[name]
        return float(function(target, output))
    if name in ("roc-auc", "average-precision"):
        return _ranked(sk.roc_auc_score if name == "roc-auc" else sk.average_precision_score, output, target)
    predicted = output.argmax(1) if output.ndim == 2 and output.shape[1] > 1 else (output.reshape(-1) > 0)
    if name in ("macro-f1", "dice"):
        return float(sk.f1_score(target, predicted, average="macro"))
    if name == "mean-iou":
        return float(sk.jaccard_score(target, predicted, average="macro"))
    if name.startswith("top5"):
        if output.reshape(len(target), -1).shape[1] <= 5:
            return float(name == "top5-accuracy")
        share = sk.top_k_accuracy_score(target, output, k=5, labels=np.arange(output.shape[1]))
        return float(share if name == "top5-accuracy" else 1 - share)
    accuracy = float(sk.accuracy_score(target, predicted))
    return 1 - accuracy if name == "error" else accuracy


def _ranked(function: Any, output: np.ndarray, target: np.ndarray) -> float:
    if output.ndim == 1 or output.shape[1] == 1:
        return float(function(target, output.reshape(-1)))
    if output.shape[1] == 2:
        return float(function(target, output[:, 1] - output[:, 0]))
    p = softmax(output, axis=1)
    return float(np.mean([function(target == k, p[:, k]) for k in range(output.shape[1])]))


def _mean_decibels(target: np.ndarray, output: np.ndarray) -> float:
    from sklearn.metrics import mean_squared_error

    errors = [
        mean_squared_error(np.atleast_1d(t), np.atleast_1d(o)) for t, o in zip(target, output, strict=True)
    ]
    return float(np.mean(-10 * np.log10(errors)))


def _stream(name: str, output: Tensor, target: Tensor, cuts: tuple[int, ...] = (0, 1, 8, 41)) -> float:
    metric = get(name, kind="metric")
    for a, b in pairwise((*cuts, len(target))):
        metric.update(output[a:b], target[a:b])
    return metric.compute()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(90, 3), (90, 11), (90, 2), (90, 1), (90,)], ids=str)
@pytest.mark.parametrize("name", CLASSES)
def test_classification_metric_equals_scikit_learn(name: str, shape: tuple[int, ...], dtype: torch.dtype):
    torch.manual_seed(0)
    output = torch.randn(shape).to(dtype)
    target = torch.randint(max(2, output[0].numel()), (90,))
    expected = _reference(name, output.double().numpy(), target.numpy())
    assert _stream(name, output, target) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("classes", [2, 3, 11])
def test_the_surprise_of_a_model_of_text_is_scikit_learn_s_log_loss(classes: int, dtype: torch.dtype):
    from sklearn.metrics import log_loss

    torch.manual_seed(0)
    output, target = torch.randn(90, classes).to(dtype), torch.randint(classes, (90,))
    nats = log_loss(target, softmax(output.double().numpy(), axis=1), labels=range(classes))
    assert _stream("perplexity", output, target) == pytest.approx(math.exp(nats), rel=1e-6)
    assert _stream("bits-per-character", output, target) == pytest.approx(nats / math.log(2), rel=1e-6)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(90,), (90, 1), (90, 3)], ids=str)
@pytest.mark.parametrize("name", NUMBERS)
def test_regression_metric_equals_scikit_learn(name: str, shape: tuple[int, ...], dtype: torch.dtype):
    torch.manual_seed(1)
    target = torch.randn(shape)
    output = (target + torch.randn(shape) * torch.arange(1, 1 + shape[-1] if len(shape) > 1 else 2)).to(dtype)
    if len(shape) == 1:
        output = output.reshape(90)
    expected = _reference(name, output.double().numpy(), target.double().numpy())
    assert _stream(name, output, target) == pytest.approx(expected, rel=1e-12)


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(data=st.data(), rows=st.integers(1, 30), classes=st.integers(6, 8), k=st.integers(2, 7))
def test_equal_scores_rank_as_in_scikit_learn(data: st.DataObject, rows: int, classes: int, k: int):
    from sklearn.metrics import top_k_accuracy_score

    k = min(k, classes - 1)
    scores = st.lists(st.integers(0, 2), min_size=classes, max_size=classes)
    output = np.array(data.draw(st.lists(scores, min_size=rows, max_size=rows)), dtype=float)
    target = np.array(data.draw(st.lists(st.integers(0, classes - 1), min_size=rows, max_size=rows)))
    metric = get("top-k-accuracy", k=k)
    metric.update(torch.from_numpy(output), torch.from_numpy(target))
    assert metric.compute() == pytest.approx(
        top_k_accuracy_score(target, output, k=k, labels=np.arange(classes))
    )


def test_a_class_that_never_occurs_does_not_count_in_macro_f1():
    output = torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, -1.0], [3.0, 1.0, 0.0]])
    metric = get("macro_f1")
    metric.update(output, torch.tensor([0, 1, 1]))
    assert metric.compute() == pytest.approx(2 / 3)


def test_confusion_matrix_equals_scikit_learn():
    from sklearn.metrics import confusion_matrix

    torch.manual_seed(2)
    output, target = torch.randn(200, 4), torch.randint(4, (200,))
    metric = get("confusion-matrix")
    with pytest.raises(ModelError, match="at least one batch"):
        metric.compute_matrix()
    for rows in (slice(0, 70), slice(70, 200)):
        metric.update(output[rows], target[rows])
    assert np.array_equal(metric.compute_matrix().numpy(), confusion_matrix(target, output.argmax(1)))


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(
    values=st.lists(st.tuples(st.floats(-50, 50), st.floats(-50, 50)), min_size=2, max_size=40),
    cut=st.integers(0, 40),
)
def test_a_stream_gives_what_one_pass_gives(values: list[tuple[float, float]], cut: int):
    output, target = torch.tensor(values, dtype=torch.float64).T
    for name in NUMBERS:
        streamed = _stream(name, output, target, cuts=(0, min(cut, len(target))))
        once = _stream(name, output, target, cuts=(0,))
        assert streamed == pytest.approx(once, rel=1e-9, abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 7, 100, 5000])
def test_r2_keeps_its_digits_for_targets_far_from_zero(batch: int):
    generator = np.random.default_rng(3)
    target = 1e6 + generator.normal(size=5000)
    output = target + 0.3 * generator.normal(size=5000)
    exact = 1 - math.fsum((target - output) ** 2) / math.fsum((target - target.mean()) ** 2)
    cuts = tuple(range(0, 5000, batch))
    streamed = _stream("r2", torch.from_numpy(output), torch.from_numpy(target), cuts)
    assert streamed == pytest.approx(exact, abs=1e-9)


@pytest.mark.parametrize(("output", "expected"), [([2.0, 2.0], 1.0), ([2.0, 3.0], 0.0)])
def test_r2_of_constant_targets_is_that_of_scikit_learn(output: list[float], expected: float):
    from sklearn.metrics import r2_score

    metric = get("r2")
    metric.update(torch.tensor(output), torch.tensor([2.0, 2.0]))
    assert metric.compute() == expected == r2_score([2.0, 2.0], output)


def test_r2_of_one_example_and_of_none_is_not_a_number():
    metric = get("r2")
    metric.update(torch.zeros(0, 1), torch.zeros(0, 1))
    assert math.isnan(metric.compute())
    metric.update(torch.ones(1, 1), torch.ones(1, 1))
    assert math.isnan(metric.compute())


def test_one_column_may_be_written_in_two_ways_and_is_never_broadcast():
    metric = get("mse", kind="metric")
    metric.update(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([1.0, 2.0, 5.0]))
    assert metric.compute() == pytest.approx(4 / 3)
    with pytest.raises(ModelError, match=r"target \(3, 2\)"):
        metric.update(torch.zeros(3, 1), torch.zeros(3, 2))
    with pytest.raises(ModelError, match="do not belong together"):
        get("accuracy").update(torch.zeros(3, 4), torch.zeros(2))
    with pytest.raises(ModelError, match="one row of outputs"):
        get("accuracy").update(torch.zeros(3, 4, 5), torch.zeros(3))


def test_sums_do_not_depend_on_the_model_s_memory():
    output = torch.tensor([[1.0], [2.0]], requires_grad=True)
    metric = get("mae", kind="metric")
    metric.update(output, torch.zeros(2, 1))
    with torch.no_grad():
        output.fill_(100.0)
    assert metric.compute() == 1.5


def test_k_must_be_a_positive_integer():
    with pytest.raises(ConfigError, match="at least 1"):
        get("top5-error", k=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a device that can be waited for")
@pytest.mark.parametrize("name", CLASSES + NUMBERS)
def test_update_never_waits_for_the_device(name: str):
    output = torch.randn(64, 6, device="cuda")
    target = torch.randint(6, (64,), device="cuda") if name in CLASSES else torch.randn(64, 6, device="cuda")
    metric = get(name, kind="metric")
    torch.cuda.set_sync_debug_mode("error")
    try:
        metric.update(output, target)
        metric.update(output, target)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert metric.compute() == pytest.approx(_stream(name, output.cpu(), target.cpu()), rel=1e-6)


def test_top_1_and_top_5_by_their_usual_names():
    generator = torch.Generator().manual_seed(0)
    output = torch.randn(200, 10, generator=generator)
    target = torch.randint(10, (200,), generator=generator)
    found = {}
    for name in ("top1", "top-1-score", "accuracy", "top5", "top-5-score", "top5err", "top-5-error"):
        metric = get(name, kind="metric")
        metric.update(output, target)
        found[name] = metric.compute()
    assert found["top1"] == found["top-1-score"] == found["accuracy"] < found["top5"]
    assert found["top5"] == found["top-5-score"] == pytest.approx(1 - found["top5err"])
    assert found["top5err"] == found["top-5-error"]
