"""Clusters and principal components, against scikit-learn and plain linear algebra."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import subspace_angles
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA

from preceptor.catalogue import get
from preceptor.errors import ConfigError, DataError

X = load_iris().data


def test_from_the_same_centres_k_means_ends_where_scikit_learn_ends():
    begin = X[[0, 60, 120]]
    found = get("k-means", X, clusters=3, begin=begin)
    theirs = KMeans(3, init=begin, n_init=1, tol=0, max_iter=1000).fit(X)
    assert found.inertia(X) == pytest.approx(theirs.inertia_, rel=1e-5)
    np.testing.assert_array_equal(found.say(X), theirs.predict(X))
    assert (np.diff(found.inertias) <= 1e-9).all()
    assert len(found.inertias) > 2


def test_the_best_of_several_starts_is_found():
    assert get("kmeans", X, clusters=3).inertia(X) == pytest.approx(
        KMeans(3, n_init=10, random_state=0).fit(X).inertia_, rel=0.01
    )


def test_principal_components_are_eigenvectors_of_the_covariance():
    found = get("pca", X, components=2)
    values, vectors = np.linalg.eigh(np.cov(X.T))
    assert subspace_angles(found.directions.T, vectors[:, :-3:-1]).max() < 1e-6
    np.testing.assert_allclose(found.variances, values[:-3:-1])
    theirs = PCA(2).fit(X)
    np.testing.assert_allclose(found.shares, theirs.explained_variance_ratio_)
    np.testing.assert_allclose(found.say(X), theirs.transform(X), atol=1e-10)
    np.testing.assert_allclose(found.restore(found.say(X)), theirs.inverse_transform(theirs.transform(X)))
    assert found.measures(X)["explained_variance"] == pytest.approx(found.shares.sum())


def test_what_cannot_be_is_refused():
    with pytest.raises(DataError, match="fewer directions"):
        get("pca", X, components=5)
    with pytest.raises(DataError, match="cannot look at"):
        get("k-means", X[:2], clusters=3)
    with pytest.raises(ConfigError, match="begin is not usable"):
        get("k-means", X, begin="middle")
