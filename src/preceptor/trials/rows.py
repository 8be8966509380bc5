"""The examples of recorded steps, apart or in their batches, and how twins draw from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from preceptor.observation.rerun import Batch

__all__ = ["Rows", "rows_of"]

_MOST, _FEW = 8192, 32  # examples


@dataclass(frozen=True)
class Rows:
    """Examples of recorded batches.

    Attributes:
        cells: the tensors of a batch whose first axis counts examples; empty where batches stay whole.
        table: for each of them all examples, one after another.
        fixed: what is the same in every batch.
        whole: the recorded batches in their order.
        size: examples in a batch.
        exact: whether a batch has to have exactly that size.
        recorded: whether batches are given in their recorded order and composition.
    """

    cells: tuple[int, ...]
    table: Batch
    fixed: Batch
    whole: tuple[Batch, ...]
    size: int
    exact: bool = False
    recorded: bool = False

    @property
    def count(self) -> int:
        """How many different examples there are; 0 where batches stay whole."""
        return len(self.table[self.cells[0]]) if self.cells else 0

    @property
    def splits(self) -> bool:
        """Whether there is enough to judge by what was not trained on."""
        return self.count >= _FEW if self.count else len(self.whole) >= 3

    def but(self, *, size: int | None = None, recorded: bool | None = None) -> Rows:
        """Return the same examples with other batches."""
        return replace(
            self,
            size=self.size if size is None else size,
            recorded=self.recorded if recorded is None else recorded,
        )

    def mapped(self, cell: int, function: Callable[[Tensor], Tensor]) -> Rows:
        """Return the same with one tensor changed, example by example."""
        table = {**self.table, cell: function(self.table[cell])} if cell in self.table else self.table
        whole = tuple({**batch, cell: function(batch[cell])} for batch in self.whole)
        return replace(self, table=table, whole=whole)

    def without(self, bad: Tensor) -> Rows:
        """Return the same without the examples that are marked."""
        table = {cell: tensor[~bad] for cell, tensor in self.table.items()}
        return replace(self, table=table, recorded=False)

    def split(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return places of examples, or of batches, to train on and to judge by: two thirds and one third.

        Of fewer than 32 examples, or 3 batches, all are both: what is asked of a handful is to fit them.
        """
        count = self.count or len(self.whole)
        order = torch.randperm(count, generator=generator)
        held = max(1, count // 3)
        if not self.splits:
            return order, order
        return order[held:], order[:held]

    def draw(self, places: Tensor, generator: torch.Generator) -> Iterator[Batch]:
        """Give batches from some examples for ever, each time through in another order."""
        if self.recorded:
            while True:
                yield from self.whole
        if not self.cells:
            while True:
                for place in places[torch.randperm(len(places), generator=generator)].tolist():
                    yield self.whole[place]
        while True:
            order = places[torch.randperm(len(places), generator=generator)]
            yield from self._cut(order, generator)

    def _cut(self, order: Tensor, generator: torch.Generator) -> Iterator[Batch]:
        size = min(self.size, len(order))
        for start in range(0, len(order) - size + 1, size):
            chosen = order[start : start + size]
            if self.exact and len(chosen) < self.size:
                more = torch.randint(len(order), (self.size - len(chosen),), generator=generator)
                chosen = torch.cat([chosen, order[more]])
            yield self.batch(chosen)

    def batch(self, places: Tensor) -> Batch:
        """Return the batch of some examples."""
        return {**self.fixed, **{cell: self.table[cell][places] for cell in self.cells}}

    def judging(self, places: Tensor) -> Iterator[Batch]:
        """Give batches that hold each of some examples, or recorded batches, once."""
        if not self.cells:
            yield from (self.whole[place] for place in places.tolist())
            return
        size = min(self.size, len(places))
        if self.exact:
            repeats = -(-self.size // len(places))
            places, size = places.repeat(repeats), self.size
        whole = len(places) - len(places) % size
        yield from (self.batch(places[start : start + size]) for start in range(0, whole, size))


def rows_of(batches: Sequence[Batch], runs: Callable[[Batch], Tensor]) -> Rows:
    """Return the examples of recorded batches of one kind.

    The first axis counts examples where all that differs between batches has the same length along it, and
    where the loss does not depend on the order along it; else batches stay whole.

    Arguments:
        batches: what was read from outside in each step, by cell.
        runs: computes the loss of a batch, without anything random.
    """
    first = batches[0]
    varying = [cell for cell in first if _varies(cell, batches)]
    fixed = {cell: tensor for cell, tensor in first.items() if cell not in varying}
    size = first[varying[0]].shape[0] if varying and first[varying[0]].ndim else 0
    whole = Rows((), {}, fixed, tuple(batches), max(1, size))
    if size < 2 or not all(_alike(batch, varying) for batch in batches) or not _same(batches, varying):
        return whole
    fits = _loss_or_none(runs, first)
    shuffled = torch.randperm(size, generator=torch.Generator().manual_seed(0))
    moved = _loss_or_none(runs, {**fixed, **{cell: first[cell][shuffled] for cell in varying}})
    if fits is None or moved is None or not torch.isclose(fits, moved, rtol=1e-2, atol=1e-6, equal_nan=True):
        return whole
    half = _loss_or_none(runs, {**fixed, **{cell: first[cell][: max(1, size // 2)] for cell in varying}})
    table = {cell: torch.cat([batch[cell] for batch in batches])[:_MOST] for cell in varying}
    table = _distinct(table)
    return replace(whole, cells=tuple(varying), table=table, size=size, exact=half is None)


def _varies(cell: int, batches: Sequence[Batch]) -> bool:
    tensor = batches[0][cell]
    if tensor.ndim == 0:
        return False
    if len(batches) == 1 or all(_equal(tensor, batch[cell]) for batch in batches[1:4]):
        longest = max(t.shape[0] for t in batches[0].values() if t.ndim)
        everything = all(_equal(t, batch[c]) for batch in batches[1:4] for c, t in batches[0].items())
        return everything and tensor.shape[0] == longest  # one batch of all examples, again and again
    return True


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and (one is other or torch.equal(one, other))


def _alike(batch: Batch, cells: Sequence[int]) -> bool:
    return all(batch[cell].ndim and batch[cell].shape[0] == batch[cells[0]].shape[0] for cell in cells)


def _same(batches: Sequence[Batch], cells: Sequence[int]) -> bool:
    return all(batch[cell].shape[1:] == batches[0][cell].shape[1:] for batch in batches for cell in cells)


def _loss_or_none(runs: Callable[[Batch], Tensor], batch: Batch) -> Tensor | None:
    try:
        return runs(batch)
    except Exception:  # noqa: BLE001 the program's own code: whatever it raises, it does not take this batch
        return None


def _distinct(table: Batch) -> Batch:
    """Leave out examples that are there already: what is judged by must not have been trained on."""
    columns = [tensor.reshape(len(tensor), -1).contiguous().cpu() for tensor in table.values()]
    views = [column.view(torch.uint8).reshape(len(column), -1) for column in columns if column.numel()]
    lines = torch.cat(views, 1).numpy() if views else None
    if lines is None:
        return table
    seen: dict[bytes, int] = {}
    for place, line in enumerate(lines):
        seen.setdefault(line.tobytes(), place)
    kept = torch.tensor(sorted(seen.values()))
    return {cell: tensor[kept.to(tensor.device)] for cell, tensor in table.items()}
