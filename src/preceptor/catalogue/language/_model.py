"""An n-gram model: probabilities of what was seen, and the weight of a shorter context for what was not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from preceptor.catalogue._checks import check_count, check_number
from preceptor.catalogue.language._counts import Ints, NgramCounts, as_ids
from preceptor.errors import DataError

__all__ = ["Floats", "NgramModel", "Table"]

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Table:
    """What a model holds of one order.

    Attributes:
        probabilities: P(word | context) of each n-gram that was seen.
        weights: of each context, what the probability under the shorter context is multiplied by for a
            word that was not seen behind it.
    """

    probabilities: Floats
    weights: Floats


@dataclass(frozen=True, eq=False)
class NgramModel:
    """P(w_t | the n − 1 words before); every kind of smoothing is one of these.

    P_k(w | context) is the table's where the n-gram was seen, else the context's weight times
    P_{k−1}(w | shorter context); the last resort is 1 / size. Sentences begin with begin symbols.

    Attributes:
        counts: the n-grams.
        tables: by order, from 1; None for an order that has no say.
        unseen: the weight behind a context that was never seen.
        normalized: whether the probabilities of all words sum to 1.

    Example:
        >>> from preceptor.catalogue import get
        >>> model = get("n-gram", [0, 1, 0, 1, 0, 2], 3, order=2)
        >>> model.probability(1, [0]), model.distribution([0])
        (0.666..., array([0. , 0.66666667, 0.33333333]))
    """

    counts: NgramCounts
    tables: tuple[Table | None, ...]
    unseen: float = 1.0
    normalized: bool = True

    @property
    def order(self) -> int:
        """The n of the n-grams."""
        return self.counts.order

    @property
    def size(self) -> int:
        """Words in the vocabulary."""
        return self.counts.size

    def probabilities(self, tokens: Any) -> Floats:
        """Return P(w_t | what stands before it in its sentence) for each token of a text, (T,)."""
        here, before = self.counts.rows(tokens)
        p: Floats = np.full(len(here[0]), 1 / self.size)
        for table, row, context in zip(self.tables, here, before, strict=True):
            if table is None:
                continue
            behind = np.where(context >= 0, table.weights[context], self.unseen)
            p = np.where(row >= 0, table.probabilities[row], behind * p)
        return p

    def log_probabilities(self, tokens: Any) -> Floats:
        """Return log P(w_t | …) in nats for each token, (T,); −∞ where the model rules it out."""
        with np.errstate(divide="ignore"):
            logs: Floats = np.log(self.probabilities(tokens))
        return logs

    def sentence_log_probabilities(self, tokens: Any) -> Floats:
        """Return log P(s) of each sentence, Σ_t log P(w_t | …) over its tokens, its end included."""
        ids, logs = as_ids(tokens, self.size), self.log_probabilities(tokens)
        if self.counts.end is None or not len(ids):
            return np.array([logs.sum()]) if len(ids) else logs
        starts = np.flatnonzero(np.concatenate([[True], ids[:-1] == self.counts.end]))
        sums: Floats = np.add.reduceat(logs, starts)
        return sums

    def perplexity(self, tokens: Any) -> float:
        """Return exp(−mean log P), the number of words that the model wavers between.

        Raises:
            DataError: there are no tokens.
        """
        logs = self.log_probabilities(tokens)
        if not len(logs):
            raise DataError("there is nothing to measure", expected="at least one token", received="none")
        return math.exp(-float(logs.mean())) if np.isfinite(logs).all() else math.inf

    def probability(self, word: int, context: Sequence[int] = ()) -> float:
        """Return P(word | context)."""
        return float(self.distribution(context)[as_ids([word], self.size)[0]])

    def distribution(self, context: Sequence[int] = ()) -> Floats:
        """Return P(w | context) for every word, (size,).

        Of the context the last n − 1 words count, and only those behind the last end of a sentence; a
        shorter one stands at the beginning of a sentence.
        """
        p: Floats = np.full(self.size, 1 / self.size)
        for k, (table, row) in enumerate(zip(self.tables, self._contexts(context), strict=True)):
            if table is None:
                continue
            if row < 0:
                p *= self.unseen
                continue
            level = self.counts.levels[k]
            low, high = np.searchsorted(level.keys, (row * level.base, row * level.base + self.size))
            p *= table.weights[row]
            p[level.words[low:high]] = table.probabilities[low:high]
        return p

    def _contexts(self, context: Sequence[int]) -> list[int]:
        """Return the row of the last k − 1 words for each order k, −1 where they were never seen together."""
        ids = as_ids(context, self.size, "words of the context")
        ends = np.flatnonzero(ids == self.counts.end) if self.counts.end is not None else ids[:0]
        ids = ids[ends[-1] + 1 :] if len(ends) else ids
        begin: Ints = np.full(self.order - 1, self.size)
        last = np.concatenate([begin, ids])[len(ids) :]
        rows = [0]
        for k in range(1, self.order):
            row = last[-k:][:1]
            for level, word in zip(self.counts.levels[1:], last[-k:][1:], strict=False):
                row = level.rows(row, np.array([word]))
            rows.append(int(row[0]))
        return rows

    def sample(
        self, length: int = 20, *, context: Sequence[int] = (), seed: int = 0, temperature: float = 1.0
    ) -> list[int]:
        """Draw words one after the other, at most ``length``, until a sentence ends.

        Arguments:
            length: how many at most.
            context: what stands before.
            seed: of the draws.
            temperature: probabilities are taken to the power 1 / temperature.
        """
        check_count("sample", "length", length, 0)
        check_number("sample", "temperature", temperature, 1e-3)
        generator = np.random.default_rng(seed)
        drawn: list[int] = []
        for _ in range(length):
            with np.errstate(divide="ignore"):
                logs = np.log(self.distribution([*context, *drawn])) / temperature
            p = np.exp(logs - logs.max())
            drawn.append(int(generator.choice(self.size, p=p / p.sum())))
            if drawn[-1] == self.counts.end:
                break
        return drawn
