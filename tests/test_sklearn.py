"""The face to scikit-learn: its own checks of estimators, and work in its tools."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures
from sklearn.utils.estimator_checks import estimator_checks_generator
from torch import nn

from preceptor.errors import DataError
from preceptor.sklearn import PreceptorClassifier, PreceptorRegressor

X, Y = load_iris(return_X_y=True)

EXPECTED = {
    "check_methods_subset_invariance": "float32 rounds by the size of the batch, to about 1e-7, as is asked",
}
"""Checks that ask for more digits than float32 has; on some machines they pass."""


def checked() -> list[Any]:
    made = []
    for estimator in (
        PreceptorClassifier(settings={"model.hidden": [16]}, lr=0.03, epochs=12),
        PreceptorRegressor(settings={"model.hidden": [16]}, lr=0.03, epochs=12),
    ):
        for one, check in estimator_checks_generator(estimator):
            name = getattr(check, "func", check).__name__
            marks = [pytest.mark.xfail(reason=EXPECTED[name], strict=False)] if name in EXPECTED else []
            made.append(pytest.param(one, check, marks=marks, id=f"{type(one).__name__}-{name}"))
    return made


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(("estimator", "check"), checked())
def test_scikit_learns_own_checks(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.slow
def test_only_float32_is_excused() -> None:
    """What is expected to fail fails by rounding alone."""
    net = PreceptorClassifier(epochs=3, random_state=0).fit(X, Y)
    whole = net.predict_proba(X)
    alone = np.concatenate([net.predict_proba(row[None]) for row in X])
    np.testing.assert_allclose(whole, alone, atol=1e-6)
    order = np.random.default_rng(0).permutation(len(X))
    np.testing.assert_allclose(net.predict_proba(X[order]), whole[order], atol=1e-6)


def test_cross_validation_and_pipelines() -> None:
    net = make_pipeline(PolynomialFeatures(2), PreceptorClassifier(lr=0.02, epochs=10, random_state=0))
    scores = cross_val_score(net, X, Y, cv=3)
    assert scores.mean() > 0.85


def test_grid_search_over_settings() -> None:
    grid = {"lr": [1e-5, 0.03], "settings": [{"model.hidden": [8]}]}
    found = GridSearchCV(PreceptorClassifier(epochs=8, random_state=0), grid, cv=2).fit(X, Y)
    assert found.best_params_["lr"] == 0.03
    assert found.predict(X[:2]).shape == (2,)


def test_labels_stay_as_they_are() -> None:
    names = np.array(["setosa", "versicolor", "virginica"], dtype=object)[Y]
    net = PreceptorClassifier("linear", lr=0.1, epochs=15, random_state=0).fit(X, names)
    assert net.classes_.tolist() == ["setosa", "versicolor", "virginica"]
    assert net.score(X, names) > 0.85
    two = PreceptorClassifier("linear", lr=0.1, epochs=15, random_state=0).fit(
        X[:100], np.where(Y[:100], 7, -3)
    )
    assert set(two.predict(X[:100])) == {-3, 7}
    assert two.predict_proba(X[:4]).sum(axis=1) == pytest.approx(1.0)


def test_numbers_in_their_own_units() -> None:
    x, y = load_diabetes(return_X_y=True)
    net = PreceptorRegressor("linear", lr=0.02, epochs=15, random_state=0).fit(x, y)
    assert net.predict(x).shape == y.shape
    assert 100 < net.predict(x).mean() < 200
    both = PreceptorRegressor("linear", lr=0.02, epochs=15, random_state=0).fit(x, np.stack([y, -y], axis=1))
    assert both.predict(x).shape == (len(x), 2)


@pytest.mark.parametrize("model", ["mlp", nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))])
def test_a_copy_from_a_pickle_predicts_the_same(model: Any) -> None:
    net = PreceptorClassifier(model, epochs=3, random_state=0).fit(X, Y)
    again = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(again.predict_proba(X), net.predict_proba(X))
    assert again.run_.history.rows == net.run_.history.rows
    assert b"preceptor.run" not in pickle.dumps(net)  # plain data: what it learned is built anew


def test_a_module_is_learned_anew_at_each_fit() -> None:
    module = nn.Linear(4, 3)
    before = module.weight.detach().clone()
    net = PreceptorClassifier(module, lr=0.1, epochs=5, random_state=0)
    first = net.fit(X, Y).predict_proba(X)
    np.testing.assert_array_equal(net.fit(X, Y).predict_proba(X), first)
    assert bool((module.weight == before).all())
    assert clone(net).model is not module


def test_what_cannot_be_used() -> None:
    with pytest.raises(NotFittedError):
        PreceptorClassifier().predict(X)
    with pytest.raises(DataError, match="only one class"):
        PreceptorClassifier().fit(X[:20], Y[:20])
    with pytest.raises(ValueError, match="4 features"):
        PreceptorClassifier("linear", epochs=1).fit(X, Y).predict(X[:, :2])
