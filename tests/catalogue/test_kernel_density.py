"""A mean of kernels: scikit-learn's density, a bandwidth by leaving out, and anomalies from end to end."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.neighbors import KernelDensity

import preceptor
from preceptor.catalogue import get
from preceptor.errors import ConfigError
from preceptor.training.models import _examples


@pytest.fixture(scope="module")
def points() -> torch.Tensor:
    draw = torch.Generator().manual_seed(0)
    two = [torch.randn(60, 2, generator=draw), 0.4 * torch.randn(60, 2, generator=draw) + 3]
    return torch.cat(two).double()


@pytest.fixture(scope="module")
def model(points: torch.Tensor) -> Any:
    made = get("kernel-density", (2,), 1, points=120).double()
    made.remember(points)
    return made


def theirs(points: torch.Tensor, x: torch.Tensor, width: float) -> np.ndarray[Any, Any]:
    return KernelDensity(bandwidth=width).fit(points.numpy()).score_samples(x.numpy())


def test_of_other_points_it_is_the_density_of_scikit_learn(model: Any, points: torch.Tensor) -> None:
    x = torch.randn(50, 2, generator=torch.Generator().manual_seed(1)).double() * 3
    width = float(model.log_bandwidth.detach().exp())
    np.testing.assert_allclose(model(x).detach()[:, 0].numpy(), theirs(points, x, width), rtol=1e-9)


def test_its_own_examples_are_judged_by_the_others(model: Any, points: torch.Tensor) -> None:
    width, got = float(model.log_bandwidth.detach().exp()), model(points[:5]).detach()[:, 0].numpy()
    left_out = [np.delete(points.numpy(), i, axis=0) for i in range(5)]
    others = [theirs(torch.tensor(rest), points[i : i + 1], width)[0] for i, rest in enumerate(left_out)]
    np.testing.assert_allclose(got, others, rtol=1e-9)


def test_the_bandwidth_is_the_likeliest_by_leaving_out(points: torch.Tensor) -> None:
    made = get("kernel-density", (2,), 1, points=120).double()
    made.remember(points)
    loss = -made(points).mean()
    (slope,) = torch.autograd.grad(loss, [made.log_bandwidth])
    assert abs(float(slope)) < 1e-3
    with torch.no_grad():
        best = float(made.log_bandwidth.detach())
        for other in (best - 0.1, best + 0.1):
            made.log_bandwidth.fill_(other)
            assert float(-made(points).mean()) > float(loss)


def test_samples_are_like_the_examples(model: Any, points: torch.Tensor) -> None:
    drawn = model.sample(4000, torch.Generator().manual_seed(0))
    assert torch.allclose(drawn.mean(0), points.mean(0), atol=0.15)


def test_equal_examples_have_a_density(points: torch.Tensor) -> None:
    made = get("kernel-density", (2,), 1, points=10)
    made.remember(torch.ones(10, 2))
    assert made(torch.ones(1, 2)).isfinite().all()


@pytest.mark.slow
def test_digit_9_as_the_anomaly(tmp_path: Path) -> None:
    settings = {"training.watch": False, "data.anomalies": "9", "data.contamination": 0.1}
    run = preceptor.train(
        data="digits", task="anomaly-detection", epochs=2, out=tmp_path / "r", settings=settings
    )
    assert run.experiment.model.name == "kernel-density"
    assert run.test().metrics["roc_auc"] >= 0.95
    assert run.evaluate("val").by_class["usual"]["flagged"] == pytest.approx(0.1, abs=0.01)
    x = run.prepared.dataset.inputs[:9]
    np.testing.assert_array_equal(preceptor.load(tmp_path / "r").scores(x), run.scores(x))
    assert run.sample(3).shape == (3, 1, 8, 8)


def test_a_loader_keeps_no_examples() -> None:
    with pytest.raises(ConfigError, match="keeps its training examples"):
        _examples("kernel-density", SimpleNamespace(train=None))  # type: ignore[arg-type]
