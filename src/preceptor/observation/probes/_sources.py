"""Where inputs come from, how they lie, and which target goes with which input."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from preceptor.observation.look import Look
from preceptor.observation.probes._features import Features, column_axis, columns, measured
from preceptor.observation.probes._fingerprints import fingerprints
from preceptor.observation.probes._pairs import Pairs
from preceptor.observation.probes._relation import Specimens
from preceptor.observation.probes._targets import Target
from preceptor.observation.probes._tensors import plan, single

__all__ = ["Fed", "Matches", "Sources"]

_SOURCES = 32
_ROWS, _WIDTH = 16, 64
_OTHERS = 3
_FED = "batches.fed"

Rows = NDArray[np.float32]


@dataclass
class Fed:
    """What the model was fed with since the look began, kept for the length of the look.

    Arguments:
        samples: how many, 0 where that is not known.
        calls: how often the outermost module was called.
        step: every how manieth sample has a fingerprint.
        keys: fingerprints of all that a sample consists of, once they have been fetched.
        matched: whether a target has been found for them.
        rows: a few input rows, every ``thin``-th of those with a fingerprint.
    """

    samples: int = 0
    calls: int = 0
    step: int = 1
    thin: int = 1
    matched: bool = False
    keys: list[Any] = field(default_factory=list)
    rows: Rows | None = None

    @classmethod
    def of(cls, look: Look) -> Fed:
        """Return the look's."""
        fed: Fed = look.shared.setdefault(_FED, cls())
        return fed


class Sources:
    """Tells of each source in ``facts["sources"]``: see `preceptor.observation.probes.Batches`."""

    def __init__(self) -> None:
        self._features: dict[str, Features] = {}
        self._looks: dict[str, int] = {}

    def tell(self, look: Look, tensor: Tensor, finite: bool) -> None:
        """Note where the input comes from, and now and then how its columns lie."""
        source, known = look.source, look.record.facts.setdefault("sources", {})
        facts = known.get(source.key)
        if facts is None:
            if len(known) >= _SOURCES:
                return
            facts = known[source.key] = {
                **source._asdict(),
                "phase": look.phase,
                "dtype": str(tensor.dtype).removeprefix("torch."),
                "shape": list(tensor.shape[1:]),
                "batch": 0,
                "batches": 0,
            }
        facts["batch"] = max(facts["batch"], tensor.shape[0] if tensor.dim() else 0)
        facts["batches"] += 1
        if _geometric(facts["batches"]):
            self._measure(look, facts, tensor, finite)

    def _measure(self, look: Look, facts: dict[str, Any], tensor: Tensor, finite: bool) -> None:
        axis = column_axis(tuple(tensor.shape))
        if axis is None:
            return
        features = self._features.get(facts["key"])
        if features is None:
            features = self._features[facts["key"]] = Features(axis, tensor.shape[axis])
        if (features.axis, features.of) != (axis, tensor.shape[axis]):
            return
        matrix = columns(tensor, axis)
        rows = matrix.shape[0]

        def receive(numbers: list[float]) -> None:
            features.add(numbers, rows)
            facts["features"] = features.to_plain()

        look.later(measured(matrix, finite).reshape(-1), receive)


class Matches:
    """Tells which target comes with which input, in ``facts["pairs"]`` and ``facts["relation"]``."""

    def __init__(self) -> None:
        self.pairs, self.specimens = Pairs(), Specimens()

    def feed(self, look: Look, tensor: Tensor, tensors: list[Tensor], hashes: Tensor) -> None:
        """Take the fingerprints of the samples, ``hashes`` those of ``tensor`` alone, and a few rows."""
        fed = Fed.of(look)
        fed.calls += 1
        if fed.calls > 1 or (self.pairs.enough and self.specimens.full):
            return
        fed.samples = samples = tensor.shape[0]
        fed.step = -(-samples // len(hashes))
        others = [t for t in tensors if t is not tensor and t.dim() > 0 and t.shape[0] == samples]
        others = [t for t in others if t.device == tensor.device]
        for place, other in enumerate(others[:_OTHERS], 3):
            more = other[:: fed.step]
            hashes = hashes + place * fingerprints(more.reshape(len(more), -1), every=True)
        look.later(hashes, fed.keys.extend)
        if not self.specimens.full and (tensor.is_floating_point() or tensor.element_size() == 1):
            fed.thin = -(-len(hashes) // _ROWS)
            rows = _rows(tensor[:: fed.step * fed.thin])
            width = rows.shape[1]

            def receive(values: list[float]) -> None:
                fed.rows = _matrix(values, width)

            look.later(rows, receive)

    def aim(self, look: Look, target: Target, tensor: Tensor) -> None:
        """Take the targets of the same samples, where there is one for each."""
        fed = Fed.of(look)
        if fed.calls != 1 or fed.matched or tensor.dim() < 1 or tensor.shape[0] != fed.samples:
            return
        fed.matched = True
        if target.single_column:
            look.after(lambda: self._match(look, fed, target.values[:: fed.step], target))
            return
        chosen = tensor[:: fed.step]
        keys: list[float] = []
        aims: list[float] = []
        look.later(fingerprints(chosen.reshape(len(chosen), -1), every=True), keys.extend)
        rows = _rows(chosen[:: fed.thin])
        width = rows.shape[1]
        look.later(rows, aims.extend)
        look.after(lambda: self._match(look, fed, keys, target, _matrix(aims, width)))

    def _match(
        self,
        look: Look,
        fed: Fed,
        targets: list[float],
        target: Target,
        aims: Rows | None = None,
    ) -> None:
        facts = look.record.facts
        self.pairs.add(fed.keys, targets)
        facts["pairs"] = dict(self.pairs.counts)
        if fed.rows is not None:
            aims = _matrix(targets[:: fed.thin], 1) if aims is None else aims
            labels = target.single_column and bool(target.counts())
            self.specimens.add(fed.keys[:: fed.thin], fed.rows, aims, labels)
            relation = self.specimens.tell()
            if relation is not None:
                facts["relation"] = relation


def _geometric(count: int) -> bool:
    """Whether it is a power of two, or one and a half times one: 1, 2, 3, 4, 6, 8, 12, …."""
    power = 1 << (count.bit_length() - 1)
    return count == power or 2 * count == 3 * power


def _rows(tensor: Tensor) -> Tensor:
    """A matrix of at most 64 elements of each sample, spread over all that it consists of."""
    flat = tensor.reshape(tensor.shape[0], -1)
    if flat.shape[1] > _WIDTH:
        flat = flat[:, :: plan(tensor.shape[1:], _WIDTH)[1]]
    return single(flat).clone()  # the program may write into its tensor before the look ends


def _matrix(values: list[float], width: int) -> Rows:
    return np.array(values, np.float32).reshape(-1, width)
