"""Structure of data without targets: clusters, and directions of variance. Scikit-learn computes them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from preceptor.catalogue._checks import check_choice, check_count
from preceptor.catalogue._registry import registered
from preceptor.errors import DataError

__all__ = ["Clusters", "PrincipalComponents", "Structure", "k_means", "principal_components"]

Numbers = NDArray[np.float64]


class Structure(ABC):
    """What was found in data, and what it says of new ones."""

    @abstractmethod
    def say(self, x: Numbers) -> NDArray[Any]:
        """Return what is said of new examples (N, D): a cluster each, or coordinates."""

    @abstractmethod
    def measures(self, x: Numbers) -> dict[str, float]:
        """Return how well it holds for examples (N, D)."""

    @abstractmethod
    def to_arrays(self) -> dict[str, Numbers]:
        """Return all that `of` needs."""


@dataclass(frozen=True, eq=False)
class Clusters(Structure):
    """Centres, and the nearest of them for each example.

    Attributes:
        centres: (K, D).
        inertias: the sum of squared distances after each round of the best start; it never rises.

    Example:
        >>> Clusters(np.array([[0.0], [4.0]])).say(np.array([[1.0], [3.0]])).tolist()
        [0, 1]
    """

    task: ClassVar[str] = "clustering"

    centres: Numbers
    inertias: Numbers = field(default_factory=lambda: np.empty(0))

    def distances(self, x: Numbers) -> Numbers:
        """Return ‖x − μ_k‖² for each example and centre, (N, K)."""
        apart: Numbers = np.square(x[:, None] - self.centres).sum(2)
        return apart

    def say(self, x: Numbers) -> NDArray[Any]:
        """Return the nearest centre of each example, (N,)."""
        nearest: NDArray[Any] = self.distances(x).argmin(1)
        return nearest

    def inertia(self, x: Numbers) -> float:
        """Return Σ_i min_k ‖x_i − μ_k‖²."""
        return float(self.distances(x).min(1).sum())

    def measures(self, x: Numbers) -> dict[str, float]:
        """Return the mean squared distance to the nearest centre, and the mean silhouette."""
        from sklearn.metrics import silhouette_score

        said, found = self.say(x), {"squared_distance": self.inertia(x) / len(x)}
        if 1 < len(np.unique(said)) < len(x):
            found["silhouette"] = float(
                silhouette_score(x, said, sample_size=min(len(x), 2000), random_state=0)
            )
        return found

    def to_arrays(self) -> dict[str, Numbers]:
        """Return the centres and inertias."""
        return {"centres": self.centres, "inertias": self.inertias}


@dataclass(frozen=True, eq=False)
class PrincipalComponents(Structure):
    """Directions of the largest variance, and coordinates along them.

    Attributes:
        mean: (D,).
        directions: (K, D), orthonormal rows, the first with the largest variance.
        variances: (K,), along the directions; divided by N − 1.
        total: the variance of all D numbers together.

    Example:
        >>> found = PrincipalComponents(np.zeros(2), np.array([[1.0, 0.0]]), np.array([3.0]), np.array([4.0]))
        >>> found.say(np.array([[5.0, 7.0]])).tolist(), found.shares.tolist()
        ([[5.0]], [0.75])
    """

    task: ClassVar[str] = "principal-components"

    mean: Numbers
    directions: Numbers
    variances: Numbers
    total: Numbers

    @property
    def shares(self) -> Numbers:
        """The share of the variance that each direction explains, (K,)."""
        shares: Numbers = self.variances / self.total
        return shares

    def say(self, x: Numbers) -> NDArray[Any]:
        """Return the coordinates of each example, (N, K)."""
        coordinates: Numbers = (x - self.mean) @ self.directions.T
        return coordinates

    def restore(self, coordinates: Numbers) -> Numbers:
        """Return what lies at coordinates (N, K), in the full space, (N, D)."""
        restored: Numbers = self.mean + coordinates @ self.directions
        return restored

    def measures(self, x: Numbers) -> dict[str, float]:
        """Return the share of the variance about the mean that the coordinates explain."""
        left = np.square(x - self.restore(self.say(x))).sum()
        return {"explained_variance": float(1 - left / np.square(x - self.mean).sum())}

    def to_arrays(self) -> dict[str, Numbers]:
        """Return mean, directions and variances."""
        return {name: getattr(self, name) for name in ("mean", "directions", "variances", "total")}


def _checked(owner: str, x: Any, most: int) -> Numbers:
    values = np.asarray(x, dtype=np.float64)
    if values.ndim != 2 or len(values) < most or not np.isfinite(values).all():
        raise DataError(
            f"{owner} cannot look at these data",
            expected=f"finite numbers (N, D), N of at least {most}",
            received=str(values.shape),
        )
    return values


@registered(
    kind="structure",
    name="k-means",
    aliases=("kmeans", "lloyd"),
    formula="min over μ_1 … μ_clusters of Σ_i min_k ‖x_i − μ_k‖²: in turn each example to its nearest "
    "centre, and "
    "each centre to the mean of its examples, until nothing changes; the best of starts many beginnings",
    shapes="(N, D) → centres (clusters, D)",
    when="groups of similar size and spread, their number known or guessed",
    pitfalls="finds as many clusters as it is asked for, in anything; scale the columns alike first",
    source="Lloyd, Least Squares Quantization in PCM, 1982; Arthur and Vassilvitskii, k-means++, 2007",
    example=">>> found = get('k-means', [[0.0], [1.0], [9.0], [10.0]], clusters=2)\n"
    ">>> sorted(found.centres.ravel().tolist())\n[0.5, 9.5]",
)
def k_means(x: Any, clusters: int = 8, starts: int = 10, seed: int = 0, begin: Any = "k-means++") -> Clusters:
    """k-means clustering, by scikit-learn."""
    values = _checked("k-means", x, check_count("k-means", "clusters", clusters))
    check_count("k-means", "starts", starts)
    if not isinstance(begin, str):
        return _settled(values, np.asarray(begin, dtype=np.float64))
    check_choice("k-means", "begin", begin, ("k-means++", "random"))
    found = [_settled(values, _begun(values, clusters, begin, seed + i)) for i in range(starts)]
    return min(found, key=lambda one: one.inertias[-1])


def _begun(values: Numbers, clusters: int, begin: str, seed: int) -> Numbers:
    """Return the centres after one round from a beginning of scikit-learn's."""
    from sklearn.cluster import KMeans

    first = KMeans(clusters, init=begin, n_init=1, random_state=seed, max_iter=1).fit(values)
    centres: Numbers = first.cluster_centers_
    return centres


def _settled(values: Numbers, centres: Numbers) -> Clusters:
    """Go on round by round until nothing is gained."""
    from sklearn.cluster import KMeans

    inertias = [Clusters(centres).inertia(values)]
    while len(inertias) < 2 or inertias[-1] < inertias[-2] * (1 - 1e-12):
        centres = KMeans(len(centres), init=centres, n_init=1, max_iter=1, tol=0).fit(values).cluster_centers_
        inertias.append(Clusters(centres).inertia(values))
    return Clusters(centres, np.array(inertias))


@registered(
    kind="structure",
    name="principal-component-analysis",
    aliases=("pca", "principal-components"),
    formula="eigenvectors v_1 … v_components of the covariance of x with the largest eigenvalues; "
    "coordinates "
    "v_kᵀ(x − mean)",
    shapes="(N, D) → directions (components, D)",
    when="fewer numbers that keep most of the variance: to look at data, to compress them, before a slow "
    "method",
    pitfalls="variance is not meaning: a column in small units is left out; standardise first. It groups "
    "nothing",
    source="Pearson, On Lines and Planes of Closest Fit, 1901; Hotelling, 1933",
    differs="signs as scikit-learn has them: the largest entry of a direction is positive",
    example=">>> found = get('pca', [[0.0, 0.0], [2.0, 2.0], [4.0, 4.0]], components=1)\n"
    ">>> found.directions.round(4).tolist(), found.shares.round(4).tolist()\n([[0.7071, 0.7071]], [1.0])",
)
def principal_components(x: Any, components: int = 2) -> PrincipalComponents:
    """Principal component analysis, by scikit-learn."""
    from sklearn.decomposition import PCA

    values = _checked("principal-component-analysis", x, 2)
    check_count("principal-component-analysis", "components", components)
    if components > min(values.shape):
        raise DataError(
            "there are fewer directions than components",
            expected=f"components of at most {min(values.shape)}",
            received=str(components),
        )
    found = PCA(components, svd_solver="full").fit(values)
    total = values.var(0, ddof=1).sum(keepdims=True)
    return PrincipalComponents(found.mean_, found.components_, found.explained_variance_, total)
