"""A whole text as it is measured: each symbol predicted once, nearly all with what stands before it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from preceptor.catalogue._checks import check_count
from preceptor.data.text._batches import IGNORED
from preceptor.data.text._corpus import TextIds
from preceptor.errors import DataError

if TYPE_CHECKING:
    from preceptor.data.batches import Batch

__all__ = ["WholeText"]

_LEAST = 4  # times `steps` that a column goes on, before another one is worth its warming up


class WholeText:
    """All of a text once: every symbol but the first is the target of one prediction.

    For a network that carries its state, the text is cut into columns, each of which begins ``steps`` ids
    early: these are read, and not predicted (targets −100), so that the state knows what came before. For
    others it is cut into windows that overlap by half, of which the second half is predicted. Neither
    depends on how the length of the text suits the batches.

    Arguments:
        text: ids, which may lie in a file.
        batch_size: columns at most, or windows in a batch.
        steps: ids that are read at once.
        carried: whether column b goes on in column b of the next batch.
        device: where batches are used.

    Raises:
        DataError: fewer than two ids.

    Example:
        >>> batches = WholeText(TextIds(np.arange(9)), batch_size=2, steps=4, carried=False)
        >>> [y.tolist() for _, y in batches.epoch()]
        [[[1, 2, 3, 4], [-100, -100, 5, 6]], [[-100, -100, 7, 8]]]
    """

    def __init__(
        self,
        text: TextIds,
        *,
        batch_size: int,
        steps: int,
        carried: bool,
        device: torch.device | str = "cpu",
    ) -> None:
        check_count("WholeText", "batch_size", batch_size)
        check_count("WholeText", "steps", steps)
        if len(text) < 2:
            raise DataError(
                "the text is too short to be measured",
                expected="at least two symbols",
                received=f"{len(text)}",
            )
        self.text, self.steps, self.carried = text, steps, carried
        self.device = torch.device(device)
        targets = len(text) - 1
        if carried:
            columns = min(batch_size, max(1, targets // (_LEAST * steps)))
            self._early = steps if columns > 1 else 0
            self._each = -(-(targets - self._early) // columns)
            self.batch_size, self._reads = columns, self._each + self._early
        else:
            self._early = steps // 2
            self._each, self._reads, self.batch_size = steps - self._early, min(steps, targets), batch_size
            columns = 1 + -(-max(targets - steps, 0) // self._each)
        self._starts = np.arange(columns) * self._each

    @property
    def characters_each(self) -> float:
        """How many characters a symbol of this text stands for, on average; 1 where that is not known."""
        return self.text.characters / len(self.text) if self.text.characters else 1.0

    def __len__(self) -> int:
        if self.carried:
            return -(-self._reads // self.steps)
        return -(-len(self._starts) // self.batch_size)

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: the order of a text is its own."""
        return {}

    def load_state_dict(self, state: dict[str, Any], *, again: bool) -> None:
        """Do nothing: every pass is the same."""

    def epoch(self, skip: int = 0) -> Iterator[Batch]:
        """Go through the text, leaving out the first ``skip`` batches."""
        for _, x, y in self.placed(skip):
            yield x, y

    def placed(self, skip: int = 0) -> Iterator[tuple[NDArray[np.int64], torch.Tensor, torch.Tensor]]:
        """Yield with each batch the place in the text of its targets, (N, T)."""
        if self.carried:
            for at in range(skip * self.steps, self._reads, self.steps):
                yield self._batch(self._starts, at, min(self.steps, self._reads - at))
        else:
            for low in range(skip * self.batch_size, len(self._starts), self.batch_size):
                yield self._batch(self._starts[low : low + self.batch_size], 0, self._reads)

    def _batch(
        self, starts: NDArray[np.int64], at: int, width: int
    ) -> tuple[NDArray[np.int64], torch.Tensor, torch.Tensor]:
        """Read ``width`` ids of each column, ``at`` ids behind its start."""
        places = starts[:, None] + np.arange(at, at + width + 1)
        inside = places < len(self.text)
        ids = np.where(inside, self.text.ids[np.where(inside, places, 0)].astype(np.int64), 0)
        early = (starts[:, None] > 0) & (np.arange(at, at + width) < self._early)
        targets = np.where(inside[:, 1:] & ~early, ids[:, 1:], IGNORED)
        x, y = (torch.from_numpy(np.ascontiguousarray(a)).to(self.device) for a in (ids[:, :-1], targets))
        return places[:, 1:], x, y
