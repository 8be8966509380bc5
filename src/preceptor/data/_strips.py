"""Strips of handwritten digits: numbers to be transcribed, made of scikit-learn's images."""

from __future__ import annotations

import numpy as np

from preceptor.data._dataset import Array, Dataset, fingerprint
from preceptor.data._targets import NOTE

__all__ = ["digit_strips"]

_COUNTS = {"train": 3000, "val": 400, "test": 400}
_SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}
_HEIGHT, _WIDTH, _SHORTEST, _LONGEST, _GAP = 10, 64, 3, 5, 3
_SEED = 0


def digit_strips(name: str = "digit-strips") -> Dataset:
    """Return images of numbers of three to five handwritten digits, and the numbers as texts.

    The 1,797 digits of scikit-learn are divided first: no image of a digit occurs in two parts. A strip is
    10×64 pixels, its digits up to 3 pixels apart and up to 2 pixels off the top, at any place.

    Example:
        >>> data = digit_strips()
        >>> data.text, str(data.targets[0])
        ('3,800 images 10×64 · texts of 10 symbols', '48038')
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    draw = np.random.default_rng(_SEED)
    order = draw.permutation(len(digits.target))
    ends = np.cumsum([round(share * len(order)) for share in _SHARES.values()])[:-1]
    images, texts, parts = [], [], []
    for (part, count), rows in zip(_COUNTS.items(), np.split(order, ends), strict=True):
        for _ in range(count):
            chosen = draw.choice(rows, draw.integers(_SHORTEST, _LONGEST + 1))
            images.append(_strip(digits.images[chosen], draw))
            texts.append("".join(map(str, digits.target[chosen])))
            parts.append(part)
    inputs, targets = np.stack(images)[:, None], np.array(texts)
    return Dataset(
        name=name,
        kind="images",
        inputs=inputs,
        targets=targets,
        target_kind="texts",
        target_name=None,
        feature_names=(),
        classes=tuple("0123456789"),
        part=np.array(parts),
        notes=(f"{NOTE}texts, to be transcribed", "no image of a digit occurs in two parts"),
        origin=f"sklearn:{name}",
        fingerprint=fingerprint(inputs, targets),
    )


def _strip(digits: Array, draw: np.random.Generator) -> Array:
    strip = np.zeros((_HEIGHT, _WIDTH), np.uint8)
    gaps = draw.integers(0, _GAP + 1, len(digits))
    room = _WIDTH - 8 * len(digits) - int(gaps.sum())
    left = int(draw.integers(0, room + 1))
    for image, gap in zip(digits, gaps, strict=True):
        top = int(draw.integers(0, _HEIGHT - 8 + 1))
        strip[top : top + 8, left : left + 8] = image
        left += 8 + int(gap)
    return strip
