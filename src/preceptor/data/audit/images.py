"""Checks of images: perceptual hashes and what they find alike, blank images, scales that are mixed up."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from preceptor.data._dataset import Array
from preceptor.data._rows import block_means
from preceptor.data.audit._chance import nearer_than_chance
from preceptor.data.audit._remark import Check, Remark, share
from preceptor.data.audit._subject import NEIGHBOURS, Subject, drawn

__all__ = ["CHECKS", "HASHED", "alike", "difference_hash", "perceptual_hash"]

HASHED = 16  # pixels a side from which on hashes say more than the pixels themselves
_MOST = 10_000
_BITS = 12  # of 127 in which two images may differ to be candidates
_SIDE = 32
_CHUNK = 512
_SCALES = 20.0  # between the largest values of images of two scales
_SOME = 0.005  # of the images: fewer may be dark by nature


def difference_hash(images: Array) -> NDArray[np.bool_]:
    """Return whether each of 8×8 blocks is darker than its right neighbour, (N, 64) from (N, C, H, W).

    The grey image is averaged to 8×9 blocks. It does not change with brightness, contrast or size. dHash:
    Krawetz, Kind of Like That, 2013.

    Example:
        >>> image = np.arange(324.0).reshape(1, 1, 18, 18)
        >>> bool(difference_hash(image).all()), bool(difference_hash(-image).any())
        (True, False)
    """
    grid = _grey(images, 9)[:, np.linspace(0, 8, 8).round().astype(int)]
    found: NDArray[np.bool_] = grid[:, :, 1:] > grid[:, :, :-1]
    return found.reshape(len(images), -1)


def perceptual_hash(images: Array) -> NDArray[np.bool_]:
    """Return which of the 63 slowest waves of an image exceed their median, (N, 63) from (N, C, H, W).

    The waves are those of the discrete cosine transform of the grey image at 32×32. pHash: Zauner,
    Implementation and Benchmarking of Perceptual Image Hash Functions, 2010.

    Example:
        >>> image = np.random.default_rng(0).random((1, 3, 40, 40))
        >>> int((perceptual_hash(image) != perceptual_hash(0.5 * image + 0.1)).sum())
        0
    """
    from scipy.fft import dctn

    waves = dctn(_grey(images, _SIDE), axes=(1, 2))[:, :8, :8].reshape(len(images), -1)[:, 1:]
    found: NDArray[np.bool_] = waves > np.median(waves, axis=1, keepdims=True)
    return found


def _grey(images: Array, side: int) -> NDArray[np.float64]:
    """Return the mean of the colours at side × side, (N, side, side)."""
    channels = min(3, images.shape[1])
    if min(images.shape[2:]) < side:  # blocks as large as a pixel, each as often as it takes
        rows, columns = (np.linspace(0, size - 1, side).round().astype(int) for size in images.shape[2:])
        images = images[:, :channels][:, :, rows][:, :, :, columns]
    means = block_means(images[:, :channels], side)
    grey: NDArray[np.float64] = means.reshape(len(images), channels, side, side).mean(axis=1)
    return grey


def alike(subject: Subject) -> Array:
    """Return pairs of rows (m, 2) that show the same.

    Their hashes differ in at most 12 of 127 bits, and their 32×32 grey images, of mean 0 and length 1, are
    nearer than chance brings neighbours.
    """
    images = subject.dataset.inputs
    rows = drawn(len(subject.dataset), _MOST)
    taken = np.asarray(images)[rows]
    bits = np.concatenate([difference_hash(taken), perceptual_hash(taken)], axis=1)
    pictures = _grey(taken, _SIDE).reshape(len(rows), -1)
    pictures -= pictures.mean(axis=1, keepdims=True)
    length = np.linalg.norm(pictures, axis=1, keepdims=True)
    shown = np.flatnonzero(length[:, 0] > 0)  # blank images are alike, and show nothing
    rows, bits, pictures = rows[shown], bits[shown], (pictures / np.where(length > 0, length, 1.0))[shown]
    if len(rows) < 3 * NEIGHBOURS:
        return np.empty((0, 2), dtype=np.int64)
    pairs = _candidates(bits)
    if not len(pairs):
        return pairs
    asked = np.unique(pairs)
    distance = _to_nearest(pictures, asked)
    limit = dict(zip(asked.tolist(), _limits(distance), strict=True))
    between = np.linalg.norm(pictures[pairs[:, 0]] - pictures[pairs[:, 1]], axis=1)
    bound = np.array([min(limit[i], limit[j]) for i, j in pairs.tolist()])
    found: Array = rows[pairs[between < bound]]
    return found


def _candidates(bits: NDArray[np.bool_]) -> Array:
    """Return pairs (m, 2), i < j, whose hashes differ in few bits."""
    signs = np.where(bits, np.float32(1), np.float32(-1))
    found = []
    for start in range(0, len(signs), _CHUNK):
        agree = signs[start : start + _CHUNK] @ signs[start:].T
        i, j = np.nonzero(agree >= bits.shape[1] - 2 * _BITS)
        later = j > i
        found.append(np.stack([i[later], j[later]], axis=1) + start)
    return np.concatenate(found)


def _to_nearest(pictures: NDArray[np.float64], asked: Array) -> NDArray[np.float64]:
    """Return the distances to the ten nearest others, (len(asked), 10)."""
    found = np.empty((len(asked), NEIGHBOURS))
    for start in range(0, len(asked), _CHUNK):
        part = asked[start : start + _CHUNK]
        squares = np.maximum(0.0, 2.0 - 2.0 * (pictures[part] @ pictures.T))
        squares[np.arange(len(part)), part] = np.inf
        nearest = np.partition(squares, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS]
        found[start : start + len(part)] = np.sqrt(np.sort(nearest, axis=1))
    return found


def _limits(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return, for each image, the distance below which another is nearer than chance brings it."""
    close = nearer_than_chance(distance)
    limits: NDArray[np.float64] = np.where(close, distance, 0.0).max(axis=1) * (1 + 1e-9)
    return limits


def blank(subject: Subject) -> Iterator[Remark]:
    """Images of one value throughout."""
    images = _images(subject)
    if images is None:
        return
    flat = images.reshape(len(images), -1)
    rows = subject.sample[np.flatnonzero(flat.max(axis=1) == flat.min(axis=1))]
    if len(rows):
        yield Remark(
            "warning",
            f"{len(rows):,} of {len(images):,} images are blank: one value throughout",
            "look at them; drop those that failed to be taken or read",
            rows=tuple(rows),
            evidence={"blank": len(rows)},
        )


def mixed_scales(subject: Subject) -> Iterator[Remark]:
    """Images of values up to 1 among images of values up to 255."""
    images = _images(subject)
    if images is None or images.dtype.kind != "f":
        return
    peak = np.abs(images.reshape(len(images), -1)).max(axis=1)
    small = np.flatnonzero((peak <= 1.0) & (peak > 0))
    large = np.flatnonzero(peak > _SCALES)
    fewer = small if len(small) <= len(large) else large
    if len(fewer) and len(fewer) >= _SOME * len(images):
        yield Remark(
            "warning",
            f"images of two scales: {len(small):,} with values up to 1, {len(large):,} up to "
            f"{peak.max():.3g}",
            "bring all to one scale: divide those of 0 … 255 by 255",
            rows=tuple(subject.sample[fewer]),
            evidence={"small": len(small), "large": len(large), "share": share(len(fewer) / len(images))},
        )


def _images(subject: Subject) -> Array | None:
    inputs = subject.dataset.inputs
    if subject.dataset.kind != "images" or not isinstance(inputs, np.ndarray):
        return None
    return inputs[subject.sample]


CHECKS = (
    Check("blank-images", "no image is blank", blank, kinds=("images",)),
    Check("mixed-scales", "all images have one scale", mixed_scales, kinds=("images",)),
)
