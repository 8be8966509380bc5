"""A symmetric matrix as the product of few columns with themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from preceptor.catalogue._checks import check_count
from preceptor.catalogue._registry import registered
from preceptor.errors import DataError

__all__ = ["low_rank_factorization"]


@registered(
    kind="word-embedding",
    name="low-rank-factorization",
    aliases=("factorise", "factorize", "low-rank-factorisation", "latent-semantic-analysis"),
    formula="X ≈ R Rᵀ, R = U √Λ with the `rank` largest eigenvalues Λ of X that are positive and their "
    "vectors U",
    shapes="a symmetric X (V, V), dense or sparse → R (V, rank)",
    when="vectors from counts without training: log(1 + X), or pointwise mutual information, factorised",
    pitfalls="of raw counts the few most frequent words take all the rank: take logarithms first; negative "
    "eigenvalues "
    "have no real R",
    source="Eckart and Young, The Approximation of One Matrix by Another of Lower Rank, 1936; Deerwester et "
    "al., 1990",
    differs="scikit-learn's TruncatedSVD gives U Λ, whose product with itself is X², not X",
    example="""
    >>> R = torch.tensor([[1.0, 0.0], [2.0, 1.0], [0.0, 3.0]])
    >>> found = get('low-rank-factorization', R @ R.T, rank=2)
    >>> bool(torch.allclose(found @ found.T, R @ R.T, atol=1e-5))
    True
    """,
)
def low_rank_factorization(matrix: Any, rank: int = 100) -> Tensor:
    """Low-rank factorisation of a symmetric matrix, X ≈ R Rᵀ."""
    check_count("low-rank-factorization", "rank", rank)
    X = matrix if sparse.issparse(matrix) else np.asarray(matrix, dtype=np.float64)
    if X.ndim != 2 or X.shape[0] != X.shape[1] or not X.shape[0]:
        raise DataError("only a square matrix has R Rᵀ", expected="shape (V, V)", received=str(X.shape))
    apart = abs(X - X.T).max()
    if apart > 1e-5 * abs(X).max():
        raise DataError(
            "only a symmetric matrix has R Rᵀ",
            expected="X = Xᵀ",
            received=f"entries that differ by {apart:g}",
        )
    if not sparse.issparse(X) or rank >= X.shape[0] - 1:
        values, vectors = np.linalg.eigh(X.toarray() if hasattr(X, "toarray") else X)
    else:
        start = np.random.default_rng(0).standard_normal(X.shape[0])
        values, vectors = sparse.linalg.eigsh(X.astype(np.float64), k=rank, which="LA", v0=start)
    best = np.argsort(-values)[:rank]
    R = vectors[:, best] * np.sqrt(values[best].clip(0))
    return torch.from_numpy(np.ascontiguousarray(R)).float()
