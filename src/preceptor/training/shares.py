"""One process's share of every batch: all processes draw the same order, and each takes its rows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, Sampler

from preceptor.data import generators
from preceptor.data.batches import Batch, Batches, LoaderBatches
from preceptor.errors import ConfigError

__all__ = ["Share", "SharedBatches", "share", "share_of"]


class Share(tuple[Any, Tensor]):
    """A process's rows of a batch, as (inputs, targets).

    Attributes:
        own: how many terms the loss over these rows has; 0 where none were left for this process, which
            then computes on one row that counts nothing, so that all processes go in step.
        whole: how many terms the loss over the whole batch has.
        processes: how many share it.
    """

    own: int
    whole: int
    processes: int

    @classmethod
    def of(cls, batch: Batch, *, own: int, whole: int, processes: int) -> Share:
        """Return the rows with what they weigh."""
        share = cls(batch)
        share.own, share.whole, share.processes = own, whole, processes
        return share

    @property
    def weight(self) -> int:
        """What a mean over processes makes the number of terms of these rows."""
        return self.own * self.processes


def share_of(value: Any, rows: slice) -> Any:
    """Return these rows of every tensor in nested lists, tuples and dicts.

    Example:
        >>> share_of({"ids": torch.arange(5), "length": [torch.ones(5)]}, slice(1, None, 2))
        {'ids': tensor([1, 3]), 'length': [tensor([1., 1.])]}
    """
    if isinstance(value, Tensor):
        return value[rows]
    if isinstance(value, dict):
        return {key: share_of(one, rows) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(share_of(one, rows) for one in value)
    return value


class SharedBatches:
    """Every ``processes``-th row of each batch, from row ``rank`` on.

    The order of the examples is that of one process: its generators stand alike in all of them.

    Arguments:
        whole: the batches of all processes together.
        rank: of this process.
        processes: how many there are.
        counted: how many terms the mean loss over some targets has; default: a term for each example.

    Example:
        >>> from preceptor.data.batches import TensorBatches
        >>> whole = TensorBatches(torch.arange(5.0), torch.arange(5), batch_size=3, shuffle=False)
        >>> [(y.tolist(), share.own) for share in SharedBatches(whole, 1, 2).epoch() for _, y in [share]]
        [([1], 1), ([4], 1)]
    """

    def __init__(
        self, whole: Batches, rank: int, processes: int, counted: Callable[[Tensor], int] = len
    ) -> None:
        self.whole, self.rows = whole, slice(rank, None, processes)
        self.rank, self.processes, self.counted = rank, processes, counted

    @property
    def batch_size(self) -> int:
        """Examples in a full batch of all processes."""
        return self.whole.batch_size

    def __len__(self) -> int:
        return len(self.whole)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the batches of all processes."""
        return self.whole.state_dict()

    def load_state_dict(self, state: dict[str, Any], *, again: bool) -> None:
        """Go back to a state; this process's own generators are left as they are."""
        before = generators.capture()
        self.whole.load_state_dict(state, again=again)
        if not again:
            generators.restore(before)

    def epoch(self, skip: int = 0) -> Iterator[Batch]:
        """Begin a pass, leaving out its first ``skip`` batches."""
        return (self._share(batch) for batch in self.whole.epoch(skip))

    def _share(self, batch: Batch) -> Share:
        x, y = batch
        mine = share_of(x, self.rows), y[self.rows]
        if not len(mine[1]):
            mine = share_of(x, slice(0, 1)), y[:1]
            return self._weighed(mine, 0, y)
        return self._weighed(mine, self.counted(mine[1]), y)

    def _weighed(self, mine: Batch, own: int, whole: Tensor) -> Share:
        return Share.of(mine, own=own, whole=self.counted(whole), processes=self.processes)


class _RowsOf(Sampler[list[int]]):
    """The rows of each batch that one process loads, in an order that is drawn alike in all of them."""

    def __init__(self, batches: Any, rank: int, processes: int, seed: int) -> None:
        self.batches, self.rank, self.processes = batches, rank, processes
        self.generator = torch.Generator().manual_seed(seed)
        self.sizes: deque[tuple[int, int]] = deque()

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        # A sampler without a generator draws from the global ones, which stand elsewhere in each process.
        draw = int(torch.randint(2**31, (), generator=self.generator))
        with generators.seeded(draw):
            order = [list(rows) for rows in self.batches]
        self.sizes.clear()
        for rows in order:
            own = rows[self.rank :: self.processes]
            self.sizes.append((len(own), len(rows)))
            yield own or rows[:1]


class _SharedLoader(LoaderBatches):
    """Batches from a loader that reads this process's rows alone."""

    def __init__(self, whole: LoaderBatches, rank: int, processes: int, seed: int) -> None:
        loader = whole.loader
        self._rows = _RowsOf(loader.batch_sampler, rank, processes, seed)
        self._size, self.processes = whole.batch_size, processes
        own: DataLoader[Any] = DataLoader(
            loader.dataset,
            batch_sampler=self._rows,
            num_workers=loader.num_workers,
            collate_fn=loader.collate_fn,
            pin_memory=loader.pin_memory,
            timeout=loader.timeout,
            worker_init_fn=loader.worker_init_fn,
            multiprocessing_context=loader.multiprocessing_context,
            generator=loader.generator,
            prefetch_factor=loader.prefetch_factor,
            persistent_workers=loader.persistent_workers,
        )
        super().__init__(own, device=whole.device)
        self._owned += [g for g in whole._owned if not any(g is known for known in self._owned)]
        self._begun = self._states()

    @property
    def batch_size(self) -> int:
        """Examples in a full batch of all processes."""
        return self._size

    def load_state_dict(self, state: dict[str, Any], *, again: bool) -> None:
        """Go back to a state; this process's own generators are left as they are."""
        before = generators.capture()
        super().load_state_dict(state, again=again)
        generators.restore(before)

    def epoch(self, skip: int = 0) -> Iterator[Batch]:
        """Begin a pass, leaving out its first ``skip`` batches."""
        batches = super().epoch(skip)
        for _ in range(skip):
            self._rows.sizes.popleft()
        return (self._weighed(batch) for batch in batches)

    def _weighed(self, batch: Batch) -> Share:
        own, whole = self._rows.sizes.popleft()
        return Share.of(batch, own=own, whole=whole, processes=self.processes)


def share(
    batches: Batches, rank: int, processes: int, *, counted: Callable[[Tensor], int] | None, seed: int
) -> Batches:
    """Return one process's share of the batches; a loader that can be asked for rows reads no others.

    Arguments:
        batches: of all processes together.
        rank: of this process.
        processes: how many there are.
        counted: how many terms the loss over some targets has; None: a term for each example.
        seed: of the order of a loader that has no generator of its own.

    Raises:
        ConfigError: a stream, which processes cannot share, or fewer examples to a batch than processes.
    """
    if batches.batch_size < processes:
        raise ConfigError(
            "there are fewer examples to a batch than processes",
            expected=f"batch_size of at least {processes}",
            received=f"batch_size={batches.batch_size}",
        )
    if not isinstance(batches, LoaderBatches):
        return SharedBatches(batches, rank, processes, counted or len)
    if isinstance(batches.loader.dataset, IterableDataset) or batches.loader.batch_sampler is None:
        raise ConfigError(
            "processes cannot share a stream of batches",
            expected="a Dataset with __getitem__, of which each process loads its rows",
            received=f"a DataLoader over {type(batches.loader.dataset).__name__}",
        )
    if counted is not None:
        return SharedBatches(batches, rank, processes, counted)
    return _SharedLoader(batches, rank, processes, seed)
