"""The data sets that scikit-learn brings with it."""

from __future__ import annotations

import numpy as np

from preceptor.data._assemble import assemble
from preceptor.data._dataset import Dataset
from preceptor.data._grammar import grammar_sentences, grammar_trees
from preceptor.data._strips import digit_strips

__all__ = ["BUILT_IN", "read_built_in"]

BUILT_IN = (
    "breast-cancer",
    "diabetes",
    "digit-strips",
    "digits",
    "grammar-sentences",
    "grammar-trees",
    "iris",
    "wine",
)


def read_built_in(key: str, *, name: str | None = None) -> Dataset:
    """Return one of the built-in sets.

    ``digits`` are 1,797 images of 1×8×8 with grey levels 0 … 16; ``iris`` (150×4), ``wine`` (178×13) and
    ``breast-cancer`` (569×30) are vectors with classes; ``diabetes`` (442×10) are vectors with numbers to
    predict. Diabetes comes in its original units, not as scikit-learn scales it by default, because that
    scaling was computed from all rows, those of the test set included. ``digit-strips`` are made of the
    digits:
    3,800 images 10×64 of numbers of three to five digits, and the numbers as texts. ``grammar-sentences``
    are 3,000 sentences with a part of speech for each word, ``grammar-trees`` the same with a tree over each.

    Example:
        >>> read_built_in("diabetes").text
        '442 rows × 10 columns · numbers to predict'
    """
    from sklearn import datasets

    if key == "digit-strips":
        return digit_strips(name or key)
    if key == "grammar-sentences":
        return grammar_sentences(name or key)
    if key == "grammar-trees":
        return grammar_trees(name or key)
    if key == "digits":
        digits = datasets.load_digits()
        images = digits.images[:, None].astype(np.uint8)
        return assemble(
            name=name or key, origin=f"sklearn:{key}", kind="images", inputs=images, targets=digits.target
        )
    if key == "diabetes":
        bunch = datasets.load_diabetes(scaled=False)
        names: tuple[str, ...] = ()
    else:
        bunch = getattr(datasets, "load_" + key.replace("-", "_"))()
        names = tuple(str(label) for label in bunch.target_names)
    return assemble(
        name=name or key,
        origin=f"sklearn:{key}",
        kind="vectors",
        inputs=bunch.data,
        targets=bunch.target,
        names=names,
        feature_names=tuple(str(feature) for feature in bunch.feature_names),
    )
