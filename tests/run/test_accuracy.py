"""How well the defaults do on real data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import preceptor


@pytest.mark.slow
def test_digits_with_all_defaults() -> None:
    run = preceptor.train(data="digits", out=False)
    assert run.test().metrics["accuracy"] >= 0.965


@pytest.mark.slow
def test_digits_with_a_linear_model() -> None:
    run = preceptor.train("linear", "digits", out=False)
    assert run.test().metrics["accuracy"] >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_diabetes_reaches_the_least_squares_solution(seed: int) -> None:
    run = preceptor.train("linear", "diabetes", optimizer="l-bfgs", seed=seed, out=False)
    data = run.prepared
    assert data is not None
    assert data.test is not None

    def design(x: Any) -> Any:
        return np.column_stack([x.double().numpy(), np.ones(len(x))])

    raw = data.dataset.targets.astype(np.float64)
    solution = np.linalg.lstsq(design(data.train.x), raw[data.split.train], rcond=None)[0]
    for name, part, rows in (("train", data.train, data.split.train), ("test", data.test, data.split.test)):
        truth, fitted = raw[rows], design(part.x) @ solution
        r2 = 1 - np.sum((truth - fitted) ** 2) / np.sum((truth - truth.mean()) ** 2)
        assert run.evaluate(name).metrics["r2"] == pytest.approx(r2, abs=1e-6)


@pytest.mark.slow
def test_breast_cancer_like_scikit_learns_logistic_regression() -> None:
    """With scikit-learn's penalty, ½|w|² on the sum of losses: the same problem, solved to its end."""
    from sklearn.linear_model import LogisticRegression

    for split in range(3):
        run = preceptor.train(
            "linear", "breast-cancer", lr=0.01, weight_decay=1 / 399, epochs=300, patience=30,
            monitor="train_loss", settings={"data.seed": split}, out=False,
        )  # fmt: skip
        data = run.prepared
        assert data is not None
        assert data.test is not None
        theirs = LogisticRegression(max_iter=10_000).fit(data.train.x.numpy(), data.train.y.numpy())
        accuracy = theirs.score(data.test.x.numpy(), data.test.y.numpy())
        assert run.test().metrics["accuracy"] == pytest.approx(accuracy, abs=0.005)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "epochs", "accuracy"), [("mnist", 5, 0.988), ("fashion-mnist", 3, 0.86)])
def test_lenet_5(shared: Path, name: str, epochs: int, accuracy: float) -> None:
    run = preceptor.train("lenet-5", shared / "data" / name, epochs=epochs, schedule="cosine", out=False)
    test = run.test()
    assert test.n == 10_000
    assert test.metrics["accuracy"] >= accuracy
