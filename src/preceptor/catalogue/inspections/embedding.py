"""Inspections of representations: many dimensions shown in two."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from preceptor.catalogue._checks import check_choice, check_count, check_number
from preceptor.catalogue._inspection import Inspection, Picture, array
from preceptor.catalogue._registry import registered
from preceptor.catalogue.inspections.data import _rows
from preceptor.errors import DataError

__all__ = ["embedding"]


@registered(
    kind="inspection",
    name="embedding",
    aliases=("embedding-map", "pca-map", "tsne-map", "feature-map-2d"),
    formula="pca: the two directions of largest variance; t-sne: points in the plane whose neighbourhoods, "
    "with t-distributed distances, are as those in the features",
    shapes="features (N, …), labels (N,) → (N, 2)",
    when="whether the features of a layer part the classes",
    pitfalls="t-SNE keeps neighbours, not distances: sizes of groups and gaps between them mean nothing, "
    "and it shows groups in noise; PCA shows only what is linear",
    source="Pearson, 1901; van der Maaten and Hinton, Visualizing Data using t-SNE, 2008",
    differs="scikit-learn's PCA and TSNE, with a seed",
    example=">>> get('embedding', torch.randn(30, 8))['points'].shape\n(30, 2)",
)
def embedding(
    features: Tensor,
    labels: Tensor | None = None,
    method: str = "pca",
    perplexity: float = 30.0,
    seed: int = 0,
) -> Inspection:
    """Embedding of features in the plane, by PCA or t-SNE."""
    check_choice("embedding", "method", method, ("pca", "t-sne"))
    check_number("embedding", "perplexity", perplexity, 1.0)
    check_count("embedding", "seed", seed, 0)
    rows = array(_rows("embedding", features))
    if min(rows.shape) < 2 or (labels is not None and len(labels) != len(rows)):
        raise DataError(
            "these features have no map",
            expected="at least 2 rows and 2 columns, and one label a row",
            received=f"features {rows.shape}" + ("" if labels is None else f", {len(labels)} labels"),
        )
    facts: dict[str, Any] = {}
    if method == "pca":
        from sklearn.decomposition import PCA

        made = PCA(2, random_state=seed).fit(rows)
        points, share = made.transform(rows), made.explained_variance_ratio_
        facts["explained_variance_ratio"] = share
        finding = f"two directions hold {share.sum():.1%} of the variance"
    else:
        from sklearn.manifold import TSNE

        near = min(perplexity, (len(rows) - 1) / 3)
        made = TSNE(2, perplexity=near, random_state=seed, init="pca")
        points = made.fit_transform(rows)
        facts["kl_divergence"] = float(made.kl_divergence_)
        finding = f"Kullback–Leibler divergence {made.kl_divergence_:.3g}"
    if labels is not None:
        from sklearn.metrics import silhouette_score

        known = array(torch.as_tensor(labels))
        facts["silhouette"] = (
            float(silhouette_score(points, known)) if 1 < len(set(known.tolist())) < len(rows) else None
        )
        finding += (
            f", silhouette of the classes {facts['silhouette']:.2f}"
            if facts["silhouette"] is not None
            else ""
        )
    series = {"x": points[:, 0], "y": points[:, 1]} | ({} if labels is None else {"labels": array(labels)})
    picture = Picture("points", series, title=method)
    return Inspection("Embedding", finding, {"points": points, **facts}, (picture,))
