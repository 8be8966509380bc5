"""GloVe: vectors whose inner products are the logarithms of co-occurrence counts."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from preceptor.catalogue._checks import check_count, check_number
from preceptor.catalogue._registry import get, registered
from preceptor.catalogue.word_vectors.cooccurrence import Cooccurrences
from preceptor.errors import DataError

__all__ = ["Glove", "GloveTrainer", "glove", "glove_cost", "glove_weight"]

_KIND = "word-embedding"
_PENNINGTON = "Pennington, Socher and Manning, GloVe: Global Vectors for Word Representation, 2014"


@registered(
    kind=_KIND,
    name="glove-weighting",
    aliases=("glove-weight",),
    formula="f(x) = (x / x_max)^alpha for x < x_max, else 1; f(0) = 0",
    shapes="counts (…) → weights (…)",
    when="to see how much a pair of words counts in GloVe's cost",
    pitfalls="alpha is 3/4, not 2: with 2 rarer pairs all but vanish",
    source=_PENNINGTON,
    example=">>> get('glove-weighting', torch.tensor([0.0, 50.0, 200.0]))\ntensor([0.0000, 0.5946, 1.0000])",
)
def glove_weight(x: Any, x_max: float = 100.0, alpha: float = 0.75) -> Tensor:
    """Weight of a co-occurrence count in GloVe's cost."""
    check_number("glove-weighting", "x_max", x_max, 1e-12)
    check_number("glove-weighting", "alpha", alpha, 0.0)
    counts = torch.as_tensor(x)
    counts = counts if counts.is_floating_point() else counts.float()
    return torch.where(counts > 0, (counts / x_max).clamp(0, 1) ** alpha, torch.zeros_like(counts))


@dataclass(frozen=True, eq=False)
class Glove:
    """Two vectors and two biases for each word.

    Attributes:
        words: w_i, (size, dim).
        contexts: w̃_j, (size, dim).
        word_biases: b_i, (size,).
        context_biases: b̃_j, (size,).
        costs: the mean weighted squared error of each pass, while the vectors moved.
    """

    words: Tensor
    contexts: Tensor
    word_biases: Tensor
    context_biases: Tensor
    costs: tuple[float, ...] = ()

    @property
    def vectors(self) -> Tensor:
        """The vectors that are used: w + w̃, (size, dim)."""
        return self.words + self.contexts

    def log_counts(self) -> Tensor:
        """Return what the model says log X is, (size, size)."""
        return self.words @ self.contexts.T + self.word_biases[:, None] + self.context_biases


def glove_cost(
    model: Glove, cooccurrences: Cooccurrences, x_max: float = 100.0, alpha: float = 0.75
) -> Tensor:
    """Return Σ_ij f(X_ij) (w_iᵀ w̃_j + b_i + b̃_j − log X_ij)² over the pairs that occur."""
    cells = cooccurrences.matrix().tocoo()
    i, j = (torch.from_numpy(index.astype(np.int64)) for index in cells.coords)
    x = torch.from_numpy(cells.data).to(model.words.dtype)
    said = (model.words[i] * model.contexts[j]).sum(1) + model.word_biases[i] + model.context_biases[j]
    return (glove_weight(x, x_max, alpha) * (said - x.log()).square()).sum()


class _Cells(NamedTuple):
    """Some entries of the matrix, by row and by column."""

    starts: Tensor
    columns: Tensor
    column_starts: Tensor
    rows: Tensor  # in the order of the columns
    by_column: Tensor
    logs: Tensor
    weights: Tensor
    again: Tensor  # the weights of the entries below the diagonal


class GloveTrainer:
    """Minimises GloVe's cost by AdaGrad; each step takes a random part of all pairs at once.

    Both vectors carry their bias and a one, so that one sampled product gives w_iᵀ w̃_j + b_i + b̃_j, and
    one weighted sum the gradients of vectors and biases.

    Arguments:
        cooccurrences: the counts.
        dim: length of the vectors.
        lr: AdaGrad's learning rate.
        x_max: counts from which the weight is 1.
        alpha: exponent of the weight below.
        batch: pairs a step, of either order.
        seed: of the first vectors and of the order of steps.
        device: where to compute.

    Raises:
        DataError: there are no co-occurrences.
    """

    def __init__(
        self,
        cooccurrences: Cooccurrences,
        *,
        dim: int = 100,
        lr: float = 0.05,
        x_max: float = 100.0,
        alpha: float = 0.75,
        batch: int = 400_000,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        check_count("glove", "dim", dim)
        check_number("glove", "lr", lr, 0.0)
        check_count("glove", "batch", batch)
        if not len(cooccurrences):
            raise DataError(
                "no words stand near each other",
                expected="co-occurrences",
                received="none",
                hint="more text, a lower min_count",
            )
        self.size, self.dim, self.device = cooccurrences.size, dim, torch.device(device)
        self._numbers = np.random.default_rng(seed)
        generator = torch.Generator().manual_seed(seed)
        first = (torch.rand(2, self.size, dim + 2, generator=generator) - 0.5) / dim
        first[:, :, dim:] = 0
        first[0, :, dim + 1] = first[1, :, dim] = 1
        self._vectors = [t.to(self.device).contiguous().requires_grad_() for t in first]
        self._optimizer = get("adagrad", self._vectors, kind="optimizer", lr=lr)
        self._parts = list(self._divided(cooccurrences, batch, x_max, alpha))
        self._pairs = 2 * len(cooccurrences) - int((cooccurrences.rows == cooccurrences.columns).sum())
        self.costs: list[float] = []

    def _divided(self, x: Cooccurrences, batch: int, x_max: float, alpha: float) -> Iterator[_Cells]:
        """Deal the entries to parts at random, and lay out each by row and by column."""
        count = max(1, round(2 * len(x) / batch))
        part = self._numbers.integers(count, size=len(x), dtype=np.int32)
        order = np.argsort(part, kind="stable")
        ends = np.cumsum(np.bincount(part, minlength=count))
        for low, high in zip([0, *ends[:-1]], ends, strict=True):
            chosen = order[low:high]
            if len(chosen):
                yield self._laid_out(x.rows[chosen], x.columns[chosen], x.counts[chosen], x_max, alpha)

    def _laid_out(self, rows: Any, columns: Any, counts: Any, x_max: float, alpha: float) -> _Cells:
        back = np.argsort(columns, kind="stable").astype(np.int32)
        values = torch.from_numpy(counts)
        weights = glove_weight(values, x_max, alpha)
        off = torch.from_numpy((rows != columns).astype(np.float32))
        starts, column_starts = (
            torch.from_numpy(np.concatenate([[0], np.cumsum(np.bincount(i, minlength=self.size))])).int()
            for i in (rows, columns)
        )
        tensors = (
            starts,
            torch.from_numpy(columns),
            column_starts,
            torch.from_numpy(rows[back]),
            torch.from_numpy(back),
            values.log(),
            weights,
            weights * off,  # what lies on the diagonal is one pair, not two
        )
        return _Cells(*(t.to(self.device) for t in tensors))

    @torch.no_grad()
    def epoch(self) -> float:
        """Take each pair once; return the mean weighted squared error met on the way."""
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sparse CSR tensor support")
            for index in self._numbers.permutation(len(self._parts)):
                total += self._step(self._parts[index])
        self.costs.append(float(total) / self._pairs)
        return self.costs[-1]

    def _step(self, cells: _Cells) -> Tensor:
        w, c = self._vectors
        empty = torch.zeros(len(cells.logs), device=self.device)
        pattern = torch.sparse_csr_tensor(
            cells.starts, cells.columns, empty, (self.size, self.size), check_invariants=False
        )
        cost, slopes = torch.zeros((), device=self.device), []
        for left, right, weights in ((w, c, cells.weights), (c, w, cells.again)):
            said = torch.sparse.sampled_addmm(pattern, left, right.T, beta=0.0).values()
            error = said - cells.logs
            slopes.append(weights * error)
            cost += slopes[-1] @ error
        upper, below = slopes

        def summed(index: Tensor, starts: Tensor, of: Tensor, weights: Tensor) -> Tensor:
            return embedding_bag(index, of, starts[:-1], mode="sum", per_sample_weights=weights)

        by_row = (cells.columns, cells.starts)
        by_column = (cells.rows, cells.column_starts)
        w.grad = summed(*by_row, c, upper) + summed(*by_column, c, below[cells.by_column])
        c.grad = summed(*by_column, w, upper[cells.by_column]) + summed(*by_row, w, below)
        w.grad[:, self.dim + 1] = 0  # the ones stay ones
        c.grad[:, self.dim] = 0
        self._optimizer.step()
        return cost

    @property
    def model(self) -> Glove:
        """The vectors as they are now."""
        w, c = (t.detach().cpu() for t in self._vectors)
        d = self.dim
        return Glove(
            w[:, :d].clone(), c[:, :d].clone(), w[:, d].clone(), c[:, d + 1].clone(), tuple(self.costs)
        )


@registered(
    kind=_KIND,
    name="glove",
    aliases=("glove-embeddings", "global-vectors"),
    formula="J = Σ_{X_ij > 0} f(X_ij) (w_iᵀ w̃_j + b_i + b̃_j − log X_ij)², f(x) = min(1, (x / "
    "x_max)^alpha); a word's "
    "vector is w_i + w̃_i; AdaGrad, `batch` pairs a step",
    shapes="co-occurrences of `size` words → two vectors (size, dim) and two biases (size,)",
    when="vectors for words from a text of one's own, in seconds: similar words, analogies, a start for "
    "embeddings",
    pitfalls="one vector a word, whatever it means in its place; nothing for words that the text has not; "
    "pairs that never "
    "occur are skipped, so that rare words are known by little. On small texts count with weighting "
    "'uniform' and a "
    "wide window",
    source=_PENNINGTON,
    differs="the authors' program takes one pair a step, from 1 in AdaGrad's sums; the minimum is the same",
    example="""
    >>> x = get('cooc', [0, 1, 2, 3, 0, 1, 3, 2, 1, 0], 4, window=2)
    >>> model = get('glove', x, dim=2, epochs=200)
    >>> model.vectors.shape, model.costs[-1] < 0.2 * model.costs[0]
    (torch.Size([4, 2]), True)
    """,
)
def glove(
    cooccurrences: Cooccurrences,
    dim: int = 100,
    epochs: int = 5,
    lr: float = 0.05,
    x_max: float = 100.0,
    alpha: float = 0.75,
    batch: int = 400_000,
    seed: int = 0,
) -> Glove:
    """GloVe: word vectors whose inner products tell the logarithm of how often words occur together."""
    check_count("glove", "epochs", epochs)
    trainer = GloveTrainer(cooccurrences, dim=dim, lr=lr, x_max=x_max, alpha=alpha, batch=batch, seed=seed)
    for _ in range(epochs):
        trainer.epoch()
    return trainer.model
