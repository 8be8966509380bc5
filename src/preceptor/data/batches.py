"""Batches in an order that can be continued exactly: from tensors in memory, or from any DataLoader."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, SubsetRandomSampler

from preceptor.data import generators
from preceptor.data._pixels import Pixels
from preceptor.errors import DataError

__all__ = ["Batch", "Batches", "LoaderBatches", "TensorBatches", "loader_for", "rows_of"]

Batch = tuple[Any, Tensor]
"""One step's inputs and targets."""

_BLOCK_BYTES = 1 << 20  # gathered at once: large enough to hide the call, small enough for the cache
_ALIGNMENT = 64  # bytes; matrix kernels may round differently on data that start elsewhere


class Batches(Protocol):
    """Passes over a set of examples; a pass can be begun again and continued where it was left."""

    @property
    def batch_size(self) -> int:
        """Examples in a full batch."""
        ...

    def __len__(self) -> int:
        """Return the number of batches in a pass."""
        ...

    def epoch(self, skip: int = 0) -> Iterator[Batch]:
        """Begin a pass, leaving out its first ``skip`` batches."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return what is needed to begin the current pass again, and to begin the one after it."""
        ...

    def load_state_dict(self, state: dict[str, Any], *, again: bool) -> None:
        """Make the next `epoch` the pass that `state_dict` was taken in, or the one that follows it."""
        ...


class TensorBatches:
    """Mini-batches of tensors in memory, gathered by index: no collation of single examples.

    Arguments:
        x: inputs, N × …, on the device where they are used; images may be kept as bytes.
        y: targets, N × ….
        batch_size: examples a batch (the last one of a pass may be smaller).
        shuffle: draw a new order for each pass.
        seed: of the order's own generator, so that nothing else in the program can disturb it.

    Raises:
        DataError: x and y differ in length, or are empty.

    Example:
        >>> batches = TensorBatches(torch.arange(5.0), torch.arange(5), batch_size=2, shuffle=False)
        >>> [y.tolist() for _, y in batches.epoch()]
        [[0, 1], [2, 3], [4]]
        >>> [y.tolist() for _, y in batches.epoch(skip=2)]
        [[4]]
    """

    def __init__(
        self, x: Tensor | Pixels, y: Tensor, *, batch_size: int, shuffle: bool = True, seed: int = 0
    ) -> None:
        if len(x) != len(y) or not len(x):
            raise DataError(
                "inputs and targets do not pair up",
                expected="the same number of examples, at least one",
                received=f"{len(x)} inputs, {len(y)} targets",
            )
        self.x, self.y, self.shuffle = x, y, shuffle
        self.batch_size = min(batch_size, len(x))
        self._generator = torch.Generator().manual_seed(seed)
        self._begun = self._generator.get_state()
        self._block = self._block_batches() * self.batch_size

    def _block_batches(self) -> int:
        """How many batches one gather may bring: one, unless each still starts on an aligned address."""
        sizes = [t[0].numel() * t.element_size() * self.batch_size for t in (self.x, self.y)]
        if any(size % _ALIGNMENT for size in sizes):
            return 1
        return max(1, _BLOCK_BYTES // max(sizes[0], 1))

    def __len__(self) -> int:
        return -(-len(self.x) // self.batch_size)

    def with_inputs(self, x: Tensor) -> TensorBatches:
        """Return the same passes, in the same orders, over other inputs of the same examples."""
        other = copy.copy(self)
        other.x = x
        other._block = other._block_batches() * other.batch_size
        return other

    def state_dict(self) -> dict[str, Any]:
        """Return the states of the order's generators, now and when the current pass began."""
        return {"begun": self._begun, "now": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any], *, again: bool) -> None:
        """Go back to the beginning of that pass (``again``), or to where it was left."""
        self._generator.set_state(state["begun" if again else "now"])

    def epoch(self, skip: int = 0) -> Iterator[Batch]:
        """Begin a pass in a new order, leaving out its first ``skip`` batches."""
        self._begun = self._generator.get_state()
        order = None
        if self.shuffle:
            order = torch.randperm(len(self.x), generator=self._generator).to(self.x.device)
        return self._pass(order, skip)

    def _pass(self, order: Tensor | None, skip: int) -> Iterator[Batch]:
        # A continued pass gathers the same blocks as a whole one: every batch lies at the same alignment.
        first = skip * self.batch_size
        for start in range(first - first % self._block, len(self.x), self._block):
            where = slice(start, start + self._block)
            if order is None:
                x, y = self.x[where], self.y[where]
            else:
                x, y = self.x.index_select(0, order[where]), self.y.index_select(0, order[where])
            pairs = zip(torch.split(x, self.batch_size), torch.split(y, self.batch_size), strict=True)
            for at, pair in enumerate(pairs, start // self.batch_size):
                if at >= skip:
                    yield pair


class LoaderBatches:
    """Mini-batches from a torch DataLoader that yields (inputs, targets), continued exactly.

    A pass is begun again by restoring every global generator and the loader's own as they were when it
    began, and drawing the batches that are to be left out. What a sampler or a transform draws from
    generators of its own cannot be seen here and is not restored.

    Arguments:
        loader: yields pairs; tensors anywhere in a pair are moved to ``device``.
        device: where batches are used.

    Raises:
        DataError: the loader has no length, or yields something else than pairs.

    Example:
        >>> from torch.utils.data import DataLoader, TensorDataset
        >>> loader = DataLoader(TensorDataset(torch.zeros(5, 2), torch.arange(5)), batch_size=2)
        >>> [y.tolist() for _, y in LoaderBatches(loader).epoch(skip=1)]
        [[2, 3], [4]]
    """

    def __init__(self, loader: DataLoader[Any], *, device: torch.device | str = "cpu") -> None:
        self.loader, self.device = loader, torch.device(device)
        self._owned = [
            g
            for holder in (loader, loader.sampler, loader.batch_sampler)
            if isinstance(g := getattr(holder, "generator", None), torch.Generator)
        ]
        self._begun = self._states()

    @property
    def batch_size(self) -> int:
        """Examples in a full batch; 1 where a batch sampler does not tell."""
        return self.loader.batch_size or getattr(self.loader.batch_sampler, "batch_size", None) or 1

    def __len__(self) -> int:
        try:
            return len(self.loader)
        except TypeError as error:
            raise DataError(
                "the DataLoader has no length",
                expected="a data set with __len__, or an IterableDataset that defines __len__",
                received=type(self.loader.dataset).__name__,
                hint="define __len__ with the number of examples in one pass",
            ) from error

    def _states(self) -> dict[str, Any]:
        return {"global": generators.capture(), "owned": [g.get_state() for g in self._owned]}

    def _restore(self, states: dict[str, Any]) -> None:
        generators.restore(states["global"])
        for generator, state in zip(self._owned, states["owned"], strict=True):
            generator.set_state(state)

    def state_dict(self) -> dict[str, Any]:
        """Return the states of the order's generators, now and when the current pass began."""
        return {"begun": self._begun, "now": self._states()}

    def load_state_dict(self, state: dict[str, Any], *, again: bool) -> None:
        """Go back to the beginning of that pass (``again``), or to where it was left."""
        self._restore(state["begun" if again else "now"])

    def epoch(self, skip: int = 0) -> Iterator[Batch]:
        """Begin a pass in a new order, leaving out its first ``skip`` batches."""
        self._begun = self._states()
        batches = iter(self.loader)
        for _ in range(skip):
            next(batches)
        return (self._placed(batch) for batch in batches)

    def _placed(self, batch: Any) -> Batch:
        if not (isinstance(batch, tuple | list) and len(batch) == 2):
            raise DataError(
                "the DataLoader does not yield pairs",
                expected="(inputs, targets)",
                received=f"{type(batch).__name__}"
                + (f" of length {len(batch)}" if hasattr(batch, "__len__") else ""),
                hint="return (inputs, targets) from the data set's __getitem__, or from a collate_fn",
            )
        return _to(batch[0], self.device), _to(batch[1], self.device)


def _to(value: Any, device: torch.device) -> Any:
    """Move every tensor in nested lists, tuples and dicts to ``device``."""
    if isinstance(value, Tensor):
        return value.to(device, non_blocking=True)
    if isinstance(value, dict):
        return {k: _to(v, device) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_to(v, device) for v in value)
    return value


def rows_of(loader: DataLoader[Any]) -> Sequence[int] | None:
    """Return the rows of its data set that a loader draws from; None where only the loader knows.

    Example:
        >>> len(rows_of(DataLoader([1.0, 2.0, 3.0])))
        3
    """
    if isinstance(loader.dataset, IterableDataset) or not hasattr(loader.dataset, "__len__"):
        return None
    sampler = getattr(loader.batch_sampler, "sampler", loader.sampler)
    if isinstance(sampler, SubsetRandomSampler):  # two loaders may share a data set, each with its part of it
        return [int(row) for row in sampler.indices]
    return range(len(loader.dataset))


def loader_for(dataset: Dataset[Any], *, batch_size: int, shuffle: bool, seed: int) -> DataLoader[Any]:
    """Wrap a map-style data set in a DataLoader whose order has its own seeded generator."""
    return DataLoader(
        dataset, batch_size=batch_size, shuffle=shuffle, generator=torch.Generator().manual_seed(seed)
    )
