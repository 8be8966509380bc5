"""Fingerprints of the samples that each phase has seen, few enough to keep, and how many two phases share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from preceptor.errors import ConfigError, UnknownName

__all__ = ["Hashes", "Samples"]

Hashes = NDArray[np.uint64]

_PENDING = 8192
_EMPTY: Hashes = np.empty(0, np.uint64)


class _Set:
    """The distinct hashes below ``2**bits``; the fewer the bits, the thinner the sample of what was seen."""

    def __init__(self, kept: Hashes = _EMPTY, bits: int = 64, seen: int = 0) -> None:
        self.kept, self.bits, self.seen = kept, bits, seen
        self.pending: list[Hashes] = []
        self.waiting = 0

    def settle(self, cap: int) -> Hashes:
        """Return what is kept, in ascending order, after taking in what waits."""
        if self.waiting:
            new = _below(np.sort(np.concatenate(self.pending)), self.bits)
            self.pending, self.waiting = [], 0
            every = np.sort(np.concatenate([self.kept, new]), kind="stable")
            first = np.ones(len(every), bool)  # of its equals: np.unique takes ten times as long
            np.not_equal(every[1:], every[:-1], out=first[1:])
            self.kept = every[first]
        while len(self.kept) > cap:
            self.bits -= 1
            self.kept = _below(self.kept, self.bits).copy()
        return self.kept


class Samples:
    """Bounded sets of 64-bit fingerprints, one a key (a phase or a loader), that can still be compared.

    A set that outgrows ``cap`` keeps the fingerprints whose mixed value lies below a bound that halves:
    a fixed pseudo-random half, quarter, … of all samples, the *same* one for every key. An overlap is
    counted within the part that both keys keep, so that shared ÷ of_a stays an unbiased estimate.

    Arguments:
        cap: most fingerprints that are kept for one key.
        keys: most keys; what comes under others is not kept.

    Example:
        >>> samples = Samples()
        >>> samples.add("train", np.array([1, 2, 3, 3], dtype=np.uint64))
        >>> samples.add("evaluation", np.array([3, 4], dtype=np.uint64))
        >>> samples.overlap("train", "evaluation")
        (1, 3, 2)
    """

    def __init__(self, *, cap: int = 1 << 16, keys: int = 32) -> None:
        self.cap, self.most_keys = cap, keys
        self._sets: dict[str, _Set] = {}

    def add(self, key: str, hashes: ArrayLike) -> None:
        """Take in the fingerprints of some samples; the same one again changes nothing but `seen`."""
        found = self._sets.get(key)
        if found is None:
            if len(self._sets) >= self.most_keys:
                return
            found = self._sets[key] = _Set()
        mixed = _mixed(hashes)
        found.pending.append(mixed)
        found.seen += len(mixed)
        found.waiting += len(mixed)
        if found.waiting >= _PENDING or len(found.pending) >= _PENDING // 8:
            found.settle(self.cap)

    @property
    def keys(self) -> list[str]:
        """The keys that something was added under."""
        return list(self._sets)

    def seen(self, key: str) -> int:
        """Return how many samples came by under a key, repetitions included."""
        return self._set(key).seen

    def overlap(self, a: str, b: str) -> tuple[int, int, int]:
        """Return (shared, of_a, of_b): distinct samples in both, in a, in b, within the part both keep."""
        first, second = self._set(a), self._set(b)
        kept_a, kept_b = first.settle(self.cap), second.settle(self.cap)
        bits = min(first.bits, second.bits)
        kept_a, kept_b = _below(kept_a, bits), _below(kept_b, bits)
        return len(np.intersect1d(kept_a, kept_b, assume_unique=True)), len(kept_a), len(kept_b)

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the fingerprints take."""
        return 8 * sum(len(s.kept) + s.waiting for s in self._sets.values())

    def pack(self) -> tuple[dict[str, Any], Hashes]:
        """Return what `unpack` takes: an index for JSON and all fingerprints in one array."""
        kept = [s.settle(self.cap) for s in self._sets.values()]
        rows = [[k, len(s.kept), s.bits, s.seen] for k, s in self._sets.items()]
        return {"cap": self.cap, "keys": self.most_keys, "sets": rows}, np.concatenate([_EMPTY, *kept])

    @classmethod
    def unpack(cls, index: Mapping[str, Any], hashes: Hashes) -> Samples:
        """Rebuild what `pack` returned.

        Raises:
            ValueError: index and fingerprints do not agree.
        """
        samples = cls(cap=_count(index["cap"]), keys=_count(index["keys"]))
        at = 0
        for key, length, bits, seen in _rows(index["sets"], samples.most_keys):
            kept = hashes[at : at + length]
            at += length
            ordered = len(kept) == length and bool((kept[1:] > kept[:-1]).all())
            if not ordered or len(_below(kept, bits)) != length:
                raise ValueError(f"fingerprints of {key!r} are not an ascending set below 2**{bits}")
            samples._sets[key] = _Set(kept.copy(), bits, seen)
        if at != len(hashes):
            raise ValueError(f"{at} fingerprints are listed, {len(hashes)} are there")
        return samples

    def _set(self, key: str) -> _Set:
        if key not in self._sets:
            raise UnknownName("key of samples", key, self._sets)
        return self._sets[key]


def _mixed(hashes: ArrayLike) -> Hashes:
    """Spread hashes evenly over 64 bits, one to one: multiply and xor-shift (the finaliser of SplitMix64)."""
    given = np.asarray(hashes)
    if given.dtype.kind not in "iu":
        raise ConfigError("fingerprints are not integers", expected="uint64", received=str(given.dtype))
    x = given.reshape(-1).astype(np.uint64)
    x ^= x >> np.uint64(30)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(27)
    x *= np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return x


def _below(ascending: Hashes, bits: int) -> Hashes:
    if bits >= 64:
        return ascending
    return ascending[: int(np.searchsorted(ascending, np.uint64(1 << bits)))]


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
        raise ValueError(f"{value!r:.40} is no count")
    return value


def _rows(rows: Sequence[Sequence[Any]], most: int) -> list[tuple[str, int, int, int]]:
    checked = [(str(key), _count(length), _count(bits), _count(seen)) for key, length, bits, seen in rows]
    if len({key for key, *_ in checked}) != len(rows) or len(rows) > most or any(r[2] > 64 for r in checked):
        raise ValueError("the index of fingerprints is inconsistent")
    return checked
