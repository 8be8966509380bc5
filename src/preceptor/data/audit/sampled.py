"""Some examples of a data set or DataLoader of one's own, read as training would read them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves
from torch.utils.data import DataLoader, Subset

from preceptor.data import generators
from preceptor.data._dataset import Dataset
from preceptor.data._load import load
from preceptor.data.audit._remark import Remark, plural, share
from preceptor.data.batches import rows_of
from preceptor.errors import DataError

__all__ = ["sampled"]

_Loaders = Mapping[str, DataLoader[Any] | None]
_BYTES = 256 << 20
_SOME = 0.01  # of the examples read: more of another shape are no slip


@dataclass
class _Read:
    """What was read.

    Attributes:
        x, y: of each example.
        part: which part it is of.
        place: its place in the data set, where that has places.
        failed: places whose reading failed, with what was said.
        known: how many examples there are in all; None where nobody knows.
    """

    x: list[Tensor] = field(default_factory=list)
    y: list[Tensor] = field(default_factory=list)
    part: list[str] = field(default_factory=list)
    place: list[int] = field(default_factory=list)
    failed: list[tuple[int, str]] = field(default_factory=list)
    known: int | None = 0


def sampled(loaders: _Loaders, *, most: int, seconds: float) -> tuple[Dataset, tuple[Remark, ...]]:
    """Read examples, evenly spread over each part, and say what was seen on the way.

    Of a stream the first ones are read. Generators are left as they were.

    Arguments:
        loaders: of ``"train"``, and of ``"val"`` and ``"test"`` where there are such.
        most: examples of all parts together.
        seconds: of reading; what has been read by then is looked at.

    Raises:
        DataError: no example can be read, or none is a pair of tensors.

    Example:
        >>> from torch.utils.data import TensorDataset
        >>> made = TensorDataset(torch.arange(90.0).reshape(30, 3), torch.arange(30) % 2)
        >>> dataset, said = sampled({"train": DataLoader(made, batch_size=4)}, most=10, seconds=5)
        >>> dataset.text
        '10 rows × 3 columns · 2 classes'
        >>> said[0].text
        '10 of 30 examples were read, evenly spread: rows count among them'
    """
    given = {part: loader for part, loader in loaders.items() if loader is not None}
    counts = {part: _length(loader) for part, loader in given.items()}
    whole = sum(count or 0 for count in counts.values())
    read = _Read(known=None if None in counts.values() else whole)
    before = generators.capture()
    try:
        for part, loader in given.items():
            share_of_all = 1 / len(given) if read.known is None else (counts[part] or 0) / max(1, whole)
            until = monotonic() + seconds * share_of_all
            _read(read, part, loader, max(1, round(most * share_of_all)), until)
    finally:
        generators.restore(before)
    if not read.x:
        raise DataError(
            "no example can be read",
            expected="a data set of (inputs, target) pairs",
            received=read.failed[0][1] if read.failed else "none",
        )
    return _assembled(read)


def _length(loader: DataLoader[Any]) -> int | None:
    rows = rows_of(loader)
    return None if rows is None else len(rows)


def _read(read: _Read, part: str, loader: DataLoader[Any], wanted: int, until: float) -> None:
    held = 0
    for place, batch in _batches(read, loader, wanted, until):
        for x, y in _examples(batch):
            read.x.append(x)
            read.y.append(y)
            read.part.append(part)
            read.place.append(place)
            held += x.numel() * x.element_size()
        if held > _BYTES or monotonic() > until or read.part.count(part) >= wanted:
            return


def _batches(read: _Read, loader: DataLoader[Any], wanted: int, until: float) -> Iterator[tuple[int, Any]]:
    """Yield places and batches: single examples where they have places, else what the loader brings."""
    rows = rows_of(loader)
    if rows is None:
        yield from enumerate(loader)
        return
    dataset, collate = loader.dataset, loader.collate_fn
    single = loader.batch_sampler is None  # its items are batches
    spread = np.unique(np.linspace(0, len(rows) - 1, min(wanted, len(rows))).round().astype(int))
    order = np.random.default_rng(0).permutation(spread)  # so that they lie even where time runs out
    for turn, at in enumerate(order.tolist()):
        if turn and monotonic() > until:
            return
        place = _place(dataset, int(rows[at]))
        try:
            item = dataset[int(rows[at])]
            yield place, collate(item if single else [item])
        except Exception as error:  # noqa: BLE001 - whatever a data set of one's own raises is told
            read.failed.append((place, f"{type(error).__name__}: {error}"[:200]))


def _place(dataset: Any, row: int) -> int:
    """Return the place of an example in the data set that a subset is of."""
    while isinstance(dataset, Subset):
        dataset, row = dataset.dataset, int(dataset.indices[row])
    return row


def _examples(batch: Any) -> Iterator[tuple[Tensor, Tensor]]:
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        raise DataError(
            "the data set does not yield pairs", expected="(inputs, target)", received=type(batch).__name__
        )
    y = torch.as_tensor(batch[1]).detach().cpu()
    parts = [leaf.detach().cpu() for leaf in tree_leaves(batch[0]) if isinstance(leaf, Tensor)]
    parts = [leaf for leaf in parts if leaf.ndim and len(leaf) == len(y)]
    if not parts:
        raise DataError(
            "the inputs hold no tensor",
            expected="tensors, arrays or numbers",
            received=type(batch[0]).__name__,
        )
    x = parts[0] if len(parts) == 1 else torch.cat([leaf.flatten(1).float() for leaf in parts], dim=1)
    yield from zip(x, y, strict=True)


def _assembled(read: _Read) -> tuple[Dataset, tuple[Remark, ...]]:
    order = sorted(range(len(read.x)), key=lambda i: read.place[i])
    said = [_how_many(read)]
    if read.failed:
        place, what = read.failed[0]
        said.append(
            Remark(
                "warning",
                f"{plural(len(read.failed), 'example')} cannot be read, such as number {place}: {what}",
                "mend them, or leave them out: training ends where it meets one",
                rows=tuple(place for place, _ in read.failed),
            )
        )
    kept, remark = _of_one_shape(read, order)
    said += [remark] if remark else []
    finite = [i for i in kept if _finite(read.x[i]) and _finite(read.y[i])]
    if len(finite) < len(kept):
        odd = [read.place[i] for i in kept if i not in set(finite)]
        said.append(
            Remark(
                "warning",
                f"{plural(len(odd), 'example')} with NaN or infinity, such as number {odd[0]}",
                "fill or drop them: one such number makes all weights NaN",
                rows=tuple(odd),
            )
        )
    if not finite:
        raise DataError(
            "no example holds numbers alone", expected="finite inputs", received="NaN or infinity"
        )
    x, y = (torch.stack([values[i] for i in finite]) for values in (read.x, read.y))
    dataset, remark = _loaded(x, y)
    said += [remark] if remark else []
    parts = np.array([read.part[i] for i in finite])
    return replace(dataset, part=parts if len(set(parts.tolist())) > 1 else None), tuple(said)


def _how_many(read: _Read) -> Remark:
    count = len(read.x) + len(read.failed)
    if read.known is not None and count >= read.known:
        return Remark("info", f"all {count:,} examples were read")
    how = (
        f"the first {count:,} examples of a stream"
        if read.known is None
        else f"{count:,} of {read.known:,} examples"
    )
    spread = "" if read.known is None else ", evenly spread"
    return Remark("info", f"{how} were read{spread}: rows count among them")


def _of_one_shape(read: _Read, order: list[int]) -> tuple[list[int], Remark | None]:
    shapes = [(tuple(read.x[i].shape), tuple(read.y[i].shape)) for i in range(len(read.x))]
    (usual, _), *others = Counter(shapes).most_common()
    kept = [i for i in order if shapes[i] == usual]
    if not others:
        return kept, None
    part = 1 - len(kept) / len(order)
    return kept, Remark(
        "warning" if part < _SOME else "info",
        f"{share(part)} of the examples have another shape than {_shape(usual[0])}, such as "
        f"{_shape(others[0][0][0])}: they are not looked at",
        "bring all to one shape, or let a collate_fn fill them up",
        rows=tuple(read.place[i] for i in order if shapes[i] != usual),
    )


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "one number"


def _finite(value: Tensor) -> bool:
    return not value.is_floating_point() or bool(value.isfinite().all())


def _loaded(x: Tensor, y: Tensor) -> tuple[Dataset, Remark | None]:
    if y.ndim <= 2 or not y.is_floating_point():
        try:
            return load((x, y)), None
        except DataError as error:
            said = Remark("warning", f"targets: {str(error).partition(chr(10))[0]}", "look at the targets")
            return load(x, labelled=False), said
    return load(x, labelled=False), None  # numbers for every place: nothing to look up
