"""Inspections of data: shift, conditioning, separability, copies, and how much of it is redundant."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from preceptor.catalogue._checks import check_number
from preceptor.catalogue._inspection import Inspection, Picture, array
from preceptor.catalogue._registry import registered
from preceptor.errors import ConfigError, DataError

__all__ = ["condition_number", "covariate_shift", "duplicates", "linear_separability", "singular_values"]

_KIND = "inspection"
_MOST_ROWS = 20_000  # of the search for near copies, which compares all pairs
_CHUNK = 1_000


def _rows(owner: str, x: Tensor) -> Tensor:
    flat = torch.as_tensor(array(x)).double()
    flat = flat.flatten(1) if flat.ndim > 1 else flat[:, None]
    if not len(flat) or not bool(flat.isfinite().all()):
        raise DataError(
            f"{owner} cannot take these data",
            expected="at least one row of finite numbers",
            received=f"shape {tuple(flat.shape)}" + (" with NaN or inf" if len(flat) else ""),
        )
    return flat


@registered(
    kind=_KIND,
    name="covariate-shift",
    aliases=("input-covariate-shift", "input-shift", "kolmogorov-smirnov", "data-drift"),
    formula="for each feature D = max_t |F_train(t) − F_use(t)| and its p value; shifted where p < level / "
    "number of features (Bonferroni)",
    shapes="train (N, …), use (M, …) → p values (D,)",
    when="before trusting a model on data that were gathered later or elsewhere",
    pitfalls="feature by feature: a shift in their correlation alone is not seen; with very many examples "
    "it flags shifts too small to matter, so look at D as well",
    source="Kolmogorov, 1933; Rabanser, Günnemann and Lipton, Failing Loudly, 2019",
    differs="scipy.stats.ks_2samp over all features, corrected for their number",
    example="""
        >>> seen = get('covariate-shift', torch.randn(500, 3), torch.randn(500, 3) + 1)
        >>> seen['shifted'], seen['features']
        (True, [0, 1, 2])
        """,
)
def covariate_shift(train: Tensor, use: Tensor, level: float = 0.01) -> Inspection:
    """Covariate shift: whether inputs in use are distributed as the training inputs were."""
    from scipy.stats import ks_2samp

    check_number("covariate-shift", "level", level, 0.0, 1.0)
    a, b = _rows("covariate-shift", train), _rows("covariate-shift", use)
    if a.shape[1] != b.shape[1]:
        raise DataError(
            "the two sets have different features",
            expected=f"{a.shape[1]} features",
            received=f"{b.shape[1]}",
        )
    tests = [ks_2samp(array(a[:, j]), array(b[:, j])) for j in range(a.shape[1])]
    p = np.array([test.pvalue for test in tests])
    distances = np.array([test.statistic for test in tests])
    shifted = [int(j) for j in np.flatnonzero(p < level / len(p))]
    worst = int(distances.argmax())
    return Inspection(
        "Covariate shift",
        f"{len(shifted)} of {len(p)} features shifted; farthest apart feature {worst}, D = "
        f"{distances[worst]:.3f}",
        {"shifted": bool(shifted), "features": shifted, "p_values": p, "distances": distances},
        (Picture("bars", {"distance D": distances}, x_label="feature"),),
    )


@registered(
    kind=_KIND,
    name="condition-number",
    aliases=("condition-number-of-inputs", "conditioning", "input-conditioning"),
    formula="κ = σ_max / σ_min of the matrix as given; with center its columns' means are taken off, with "
    "standardize they are also divided by their deviations; of a Hessian, max|λ| / min|λ|",
    shapes="A (N, D) → κ; the κ of AᵀA, which gradient descent meets, is its square",
    when="before training on unscaled inputs, and when progress is slow along a valley",
    pitfalls="infinite where columns depend on each other",
    source="Turing, Rounding-Off Errors in Matrix Processes, 1948",
    differs="torch.linalg.cond with the spectrum beside it",
    example=">>> get('condition-number', torch.diag(torch.tensor([1.0, 4.0])))['condition_number']\n4.0",
)
def condition_number(A: Tensor, center: bool = False, standardize: bool = False) -> Inspection:
    """Condition number of a matrix of inputs, or of a Hessian."""
    X = _rows("condition-number", A)
    if center or standardize:
        X = X - X.mean(0)
    if standardize:
        deviation = X.std(0, correction=0)
        X = X / torch.where(deviation > 0, deviation, 1.0)
    s = torch.linalg.svdvals(X)
    smallest, largest = float(s[-1]), float(s[0])
    kappa = largest / smallest if smallest > 0 else math.inf
    return Inspection(
        "Condition number",
        f"κ = {kappa:.3g} (σ from {smallest:.3g} to {largest:.3g}); of AᵀA {kappa * kappa:.3g}",
        {"condition_number": kappa, "of_gram": kappa * kappa, "singular_values": s},
        (Picture("lines", {"σ": s.clamp_min(1e-300)}, x_label="rank", y_label="singular value", log="y"),),
    )


@registered(
    kind=_KIND,
    name="singular-values",
    aliases=("feature-spectrum", "compressibility", "effective-rank"),
    formula="Φ = U Σ Vᵀ; energy of rank k: Σ_{i≤k} σ_i² / Σ σ_i²; effective rank exp(−Σ p_i ln p_i), p_i = "
    "σ_i / Σσ",
    shapes="features Φ (N, P) → σ (min(N, P),)",
    when="how far features can be compressed (small trailing values), and whether fitting them is unstable "
    "(a small smallest value, as where N = P)",
    pitfalls="small trailing values mean compressible; the smallest non-zero one alone says how noise is "
    "amplified",
    source="Roy and Vetterli, The Effective Rank, 2007; Belkin et al., Reconciling Modern Machine-Learning "
    "Practice, 2019",
    differs="torch.linalg.svdvals, with ranks",
    example=">>> get('singular-values', torch.eye(3))['rank_99']\n3",
)
def singular_values(features: Tensor) -> Inspection:
    """Singular values of features: how many directions they really have."""
    s = torch.linalg.svdvals(_rows("singular-values", features))
    energy = s.square().cumsum(0) / s.square().sum().clamp_min(1e-300)
    p = s / s.sum().clamp_min(1e-300)
    effective = float(torch.special.entr(p).sum().exp())
    rank = int((energy < 0.99).sum()) + 1
    return Inspection(
        "Singular values",
        f"{rank} of {len(s)} directions hold 99 % of the energy; effective rank {effective:.1f}; σ_min "
        f"{float(s[-1]):.3g}",
        {
            "singular_values": s,
            "energy": energy,
            "rank_99": rank,
            "effective_rank": effective,
            "min": float(s[-1]),
        },
        (Picture("lines", {"σ": s.clamp_min(1e-300)}, x_label="rank", y_label="singular value", log="y"),),
    )


@registered(
    kind=_KIND,
    name="linear-separability",
    aliases=("separability-test", "linear-program-separability"),
    formula="is there (w, b) with t_i (wᵀx_i + b) ≥ 1 for all i, t_i = ±1? A linear program; of K > 2 "
    "classes each against the rest",
    shapes="x (N, …), y (N,) → by class whether a plane parts it from the others",
    when="whether a linear model can fit at all; whether features make it so",
    pitfalls="separable training data say nothing of new data; in more dimensions than examples almost all "
    "are",
    source="Mangasarian, Linear and Nonlinear Separation of Patterns by Linear Programming, 1965",
    differs="scipy.optimize.linprog with the constraints built",
    example="""
        >>> x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
        >>> xor, conjunction = torch.tensor([[0, 1, 1, 0], [0, 0, 0, 1]])
        >>> [get('linear-separability', x, y)['separable'] for y in (xor, conjunction)]
        [False, True]
        """,
)
def linear_separability(x: Tensor, y: Tensor) -> Inspection:
    """Linear separability: whether a plane parts the classes, decided exactly."""
    from scipy.optimize import linprog

    X, labels = array(_rows("linear-separability", x)), array(y).reshape(-1)
    classes = np.unique(labels)
    if len(labels) != len(X) or len(classes) < 2:
        raise DataError(
            "separability needs classes",
            expected=f"{len(X)} labels of at least 2 classes",
            received=f"{len(labels)} labels of {len(classes)}",
        )
    found: dict[str, bool] = {}
    weights: dict[str, np.ndarray] = {}
    rows = np.hstack([X, np.ones((len(X), 1))])
    for label in classes[1:] if len(classes) == 2 else classes:
        signs = np.where(labels == label, 1.0, -1.0)
        result = linprog(
            np.zeros(rows.shape[1]), A_ub=-signs[:, None] * rows, b_ub=-np.ones(len(X)), bounds=(None, None)
        )
        found[str(label)] = result.status == 0
        if result.status == 0:
            weights[str(label)] = result.x
    good = sum(found.values())
    return Inspection(
        "Linear separability",
        "separable" if good == len(found) else f"not separable: {good} of {len(found)} planes exist",
        {"separable": good == len(found), "classes": found, "weights": weights},
    )


@registered(
    kind=_KIND,
    name="duplicates",
    aliases=("duplicate", "duplicate-finder", "near-duplicates", "redundancy-finder"),
    formula="rows i < j with √(mean_k ((x_ik − x_jk) / σ_k)²) ≤ threshold, σ_k the deviation of feature k, "
    "not below a tenth of the average; 0: equal; the second set, if given, is compared with the first as "
    "well",
    shapes="x (N, …), other (M, …) → pairs (i, j, distance), j ≥ N in the second set",
    when="before splitting, and between training and test data: copies across the split make the test too "
    "easy",
    pitfalls="shifted or rotated images are no near copies in pixels; all pairs are compared, up to 20,000 "
    "rows",
    source="Barz and Denzler, Do We Train on Test Data? Purging CIFAR of Near-Duplicates, 2020",
    example="""
        >>> x = torch.randn(20, 4)
        >>> get('duplicates', torch.cat([x, x[:1]]))['pairs']
        [(0, 20, 0.0)]
        """,
)
def duplicates(x: Tensor, other: Tensor | None = None, threshold: float = 0.01) -> Inspection:
    """Duplicates: equal and nearly equal examples, within a set and across two."""
    check_number("duplicates", "threshold", threshold, 0.0)
    first = _rows("duplicates", x)
    rows = first if other is None else torch.cat([first, _rows("duplicates", other)])
    if len(rows) > _MOST_ROWS:
        raise ConfigError(
            "too many rows to compare all pairs",
            expected=f"at most {_MOST_ROWS:,}",
            received=f"{len(rows):,}",
            hint="compare a part at a time",
        )
    deviation = rows.std(0, correction=0)
    # A feature that hardly varies must not decide alone.
    floor = 0.1 * float(deviation.square().mean().sqrt())
    scaled = rows / (deviation.clamp_min(floor) if floor > 0 else 1.0)
    pairs: list[tuple[int, int, float]] = []
    for start in range(0, len(rows), _CHUNK):
        part = scaled[start : start + _CHUNK]
        # The exact form of cdist: the other loses the digits by which equal rows are told.
        distance = torch.cdist(part, scaled[start:], compute_mode="donot_use_mm_for_euclid_dist")
        distance = distance / math.sqrt(rows.shape[1])
        near = (distance <= threshold).triu(1).nonzero().tolist()
        pairs += [(start + i, start + j, float(distance[i, j])) for i, j in near]
    n = len(first)
    across = [pair for pair in pairs if pair[0] < n <= pair[1]]
    exact = [pair for pair in pairs if pair[2] == 0]
    return Inspection(
        "Duplicates",
        f"{len(pairs)} pairs within {threshold:g} deviations, {len(exact)} of them equal, {len(across)} "
        f"across the sets",
        {"pairs": pairs, "exact": exact, "across": across},
    )
