"""Batches of text: columns that go on from batch to batch, and rows of like length padded to one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from preceptor.catalogue._checks import check_count
from preceptor.data.text._corpus import TextIds
from preceptor.data.text._ragged import Ragged
from preceptor.errors import DataError

if TYPE_CHECKING:
    from preceptor.data.batches import Batch

__all__ = ["IGNORED", "ContinuousBatches", "LengthBatches", "pad"]

IGNORED = -100  # the target that torch's cross-entropy leaves out


def pad(
    rows: Sequence[NDArray[Any] | Sequence[int]], value: int, *, length: int | None = None, left: bool = False
) -> tuple[Tensor, Tensor]:
    """Return rows of ids as one tensor (N, T) filled up with ``value``, and their lengths (N,).

    Arguments:
        rows: of ids.
        value: what stands behind the shorter ones (``left``: before them).
        length: T; default: the longest. Longer rows are cut at their end.
        left: fill up at the left.

    Example:
        >>> pad([[1, 2, 3], [4]], 0)
        (tensor([[1, 2, 3],
                [4, 0, 0]]), tensor([3, 1]))
    """
    longest = max((len(row) for row in rows), default=0) if length is None else length
    filled = np.full((len(rows), longest), value, dtype=np.int64)
    for i, row in enumerate(rows):
        cut = np.asarray(row)[:longest]
        start = longest - len(cut) if left else 0
        filled[i, start : start + len(cut)] = cut
    lengths = torch.tensor([min(len(row), longest) for row in rows], dtype=torch.int64)
    return torch.from_numpy(filled), lengths


class ContinuousBatches:
    """Parts of one text for truncated back-propagation: column b of a batch goes on in column b of the next.

    The text is cut into ``batch_size`` stretches of one length; a batch is the next ``steps`` ids of each,
    with the ids one further on as targets. What does not fill a stretch is left out at the end. With a seed
    each pass begins a random number of ids further on, so that the cuts do not fall on the same places.

    Arguments:
        text: ids, which may lie in a file: a batch is read when it is asked for.
        batch_size: stretches.
        steps: ids of each in a batch (the last batch of a pass may have fewer).
        device: where batches are used.
        seed: of where passes begin; None: all begin with the text.

    Raises:
        DataError: the text is shorter than two ids a stretch.

    Example:
        >>> batches = ContinuousBatches(TextIds(np.arange(9)), batch_size=2, steps=3)
        >>> [(x.tolist(), y.tolist()) for x, y in batches.epoch()]
        [([[0, 1, 2], [4, 5, 6]], [[1, 2, 3], [5, 6, 7]]), ([[3], [7]], [[4], [8]])]
    """

    def __init__(
        self,
        text: TextIds,
        *,
        batch_size: int,
        steps: int = 35,
        device: torch.device | str = "cpu",
        seed: int | None = None,
    ) -> None:
        check_count("ContinuousBatches", "batch_size", batch_size)
        check_count("ContinuousBatches", "steps", steps)
        self.text, self.batch_size, self.steps = text, batch_size, steps
        self.device = torch.device(device)
        # Where the text is short, none of it is given up for another beginning.
        self._room = steps if seed is not None and len(text) > 8 * steps * batch_size else 1
        self.stretch = (len(text) - self._room) // batch_size
        self._generator = torch.Generator().manual_seed(seed or 0)
        self._begun = self._generator.get_state()
        if self.stretch < 1:
            raise DataError(
                "the text is too short for such batches",
                expected=f"at least {batch_size + 1} ids for batch_size={batch_size}",
                received=f"{len(text)} ids",
            )

    def __len__(self) -> int:
        return -(-self.stretch // self.steps)

    def state_dict(self) -> dict[str, Any]:
        """Return the states of the generator of beginnings, now and when the current pass began."""
        return {"begun": self._begun, "now": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any], *, again: bool) -> None:
        """Go back to the beginning of that pass (``again``), or to where it was left."""
        self._generator.set_state(state["begun" if again else "now"])

    def epoch(self, skip: int = 0) -> Iterator[Batch]:
        """Go through the text, leaving out the first ``skip`` batches."""
        self._begun = self._generator.get_state()
        first = int(torch.randint(self._room, (), generator=self._generator)) if self._room > 1 else 0
        return self._pass(first, skip)

    def _pass(self, first: int, skip: int) -> Iterator[Batch]:
        ids = np.asarray(self.text.ids)
        (each,) = ids.strides
        for at in range(skip * self.steps, self.stretch, self.steps):
            width = min(self.steps, self.stretch - at) + 1
            columns = np.lib.stride_tricks.as_strided(
                ids[first + at :], (self.batch_size, width), (self.stretch * each, each), writeable=False
            )
            both = torch.from_numpy(columns.astype(np.int64)).to(self.device)
            yield both[:, :-1], both[:, 1:]


class LengthBatches:
    """Sentences, or pairs of them, in batches of like length, so that little is padding.

    A pass mixes all examples, sorts pools of ``pool`` batches by length, cuts them into batches and mixes
    those. Of sentences a batch is (x, y), y the ids one further on; of pairs ((source, target without its
    last id), target without its first). Targets that are padding are −100, which cross-entropy leaves out.

    With ``longest`` a pass takes only those examples whose sides are no longer; it is filled up with these
    again, so that every pass has as many batches. Where none is that short, the shortest are taken.

    Arguments:
        rows: the sentences, or the targets of pairs, with their begin and end symbols.
        sources: what the targets belong to; None for sentences alone.
        padding: the id that fills up inputs.
        batch_size: examples a batch (the last one of a pass may have fewer).
        shuffle: draw a new order for each pass; otherwise all are sorted by length once.
        pool: batches that are sorted together; larger ones pad less and mix less.
        seed: of the order's own generator.
        device: where batches are used.
        longest: a function from the number of a pass, from 0, to the most ids of a side; None: no limit.

    Raises:
        DataError: no examples, pairs that do not match, or a row without anything to predict.

    Example:
        >>> rows = Ragged.of([[1, 5, 2], [1, 2], [1, 6, 7, 2], [1, 7, 2]])
        >>> batches = LengthBatches(rows, padding=0, batch_size=2, shuffle=False)
        >>> [(x.tolist(), y.tolist()) for x, y in batches.epoch()]
        [([[1, 0], [1, 5]], [[2, -100], [5, 2]]), ([[1, 7, 0], [1, 6, 7]], [[7, 2, -100], [6, 7, 2]])]
        >>> round(batches.padding_share, 3)
        0.2
    """

    def __init__(
        self,
        rows: Ragged,
        sources: Ragged | None = None,
        *,
        padding: int,
        batch_size: int,
        shuffle: bool = True,
        pool: int = 50,
        seed: int = 0,
        device: torch.device | str = "cpu",
        longest: Callable[[int], int] | None = None,
    ) -> None:
        for option, value in (("batch_size", batch_size), ("pool", pool)):
            check_count("LengthBatches", option, value)
        if (
            not len(rows)
            or int(rows.lengths.min()) < 2
            or (sources is not None and len(sources) != len(rows))
        ):
            raise DataError(
                "these sentences make no batches",
                expected="at least one, each with two ids or more, and as many sources as targets",
                received=f"{len(rows)} rows"
                + ("" if sources is None else f", {len(sources)} sources")
                + (f", the shortest of {rows.lengths.min()} ids" if len(rows) else ""),
                hint="encode with begin=True and end=True",
            )
        self.rows, self.sources, self.padding, self.shuffle = rows, sources, padding, shuffle
        self.batch_size, self.pool, self.device = min(batch_size, len(rows)), pool, torch.device(device)
        self._lengths = rows.lengths + (0 if sources is None else sources.lengths)
        self._sides = rows.lengths if sources is None else np.maximum(rows.lengths, sources.lengths)
        self._longest, self._passes = longest, 0
        self._generator = torch.Generator().manual_seed(seed)
        self._begun = self._generator.get_state()

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def state_dict(self) -> dict[str, Any]:
        """Return the states of the order's generator, now and when the current pass began; and its number."""
        return {"begun": self._begun, "now": self._generator.get_state(), "passes": self._passes}

    def load_state_dict(self, state: dict[str, Any], *, again: bool) -> None:
        """Go back to the beginning of that pass (``again``), or to where it was left."""
        self._generator.set_state(state["begun" if again else "now"])
        self._passes = int(state["passes"]) - again

    @property
    def padding_share(self) -> float:
        """The share of input ids that are padding, in the pass that was last begun."""
        generator = torch.Generator()
        generator.set_state(self._begun)
        held = whole = 0
        for batch in self._plan(generator, max(self._passes - 1, 0)):
            for lengths in (self.rows.lengths - 1, *([self.sources.lengths] if self.sources else [])):
                held += int(lengths[batch].sum())
                whole += int(lengths[batch].max()) * len(batch)
        return 1 - held / max(whole, 1)

    def _taken(self, number: int) -> NDArray[np.int64]:
        """Return the rows of a pass, some of them several times where others are too long."""
        if self._longest is None:
            return np.arange(len(self.rows))
        limit = max(self._longest(number), int(self._sides.min()))
        return np.resize(np.flatnonzero(self._sides <= limit), len(self.rows))

    @property
    def order(self) -> NDArray[np.int64]:
        """The rows in the order of a pass that is not shuffled."""
        return np.argsort(self._lengths, kind="stable")

    def _plan(self, generator: torch.Generator, number: int) -> list[NDArray[np.int64]]:
        """Return the rows of each batch of a pass."""
        size, rows = self.batch_size, self._taken(number)
        if not self.shuffle:
            order = rows[np.argsort(self._lengths[rows], kind="stable")]
            return [order[low : low + size] for low in range(0, len(order), size)]
        mixed = rows[torch.randperm(len(rows), generator=generator).numpy()]
        batches = []
        for low in range(0, len(mixed), size * self.pool):
            pool = mixed[low : low + size * self.pool]
            pool = pool[np.argsort(self._lengths[pool], kind="stable")]
            batches += [pool[i : i + size] for i in range(0, len(pool), size)]
        return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]

    def epoch(self, skip: int = 0) -> Iterator[Batch]:
        """Begin a pass in a new order, leaving out its first ``skip`` batches."""
        self._begun = self._generator.get_state()
        plan = self._plan(self._generator, self._passes)
        self._passes += 1
        return (self._batch(rows) for rows in plan[skip:])

    def _batch(self, chosen: NDArray[np.int64]) -> Batch:
        rows = [self.rows[int(i)] for i in chosen]
        x, _ = pad([row[:-1] for row in rows], self.padding)
        y, _ = pad([row[1:] for row in rows], IGNORED)
        x, y = x.to(self.device), y.to(self.device)
        if self.sources is None:
            return x, y
        source, _ = pad([self.sources[int(i)] for i in chosen], self.padding)
        return (source.to(self.device), x), y
