"""Bags: the examples that one member of an ensemble learns from, drawn with replacement."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, IterableDataset

from preceptor.catalogue.averaging import Bagging
from preceptor.data import Part, Prepared
from preceptor.data._pixels import subset
from preceptor.errors import ConfigError
from preceptor.training.settings import DataSettings

__all__ = ["bag_rows", "bagged", "refuse_bags"]


def bag_rows(settings: DataSettings, count: int) -> NDArray[np.int64]:
    """Return which of so many examples are learned from: all of them, or those of the bag.

    Example:
        >>> bag_rows(DataSettings(), 3), len(bag_rows(DataSettings(bag=1, bag_share=0.5), 10))
        (array([0, 1, 2]), 5)
    """
    if settings.bag is None:
        return np.arange(count)
    rows: NDArray[np.int64] = Bagging(1, seed=settings.bag).rows(count)[0].numpy()
    return rows[: max(1, round(count * settings.bag_share))]


def bagged(prepared: Prepared, settings: DataSettings) -> Prepared:
    """Return prepared data whose training part is the bag; what was fitted on the whole part stays."""
    if settings.bag is None:
        return prepared
    train = prepared.train
    rows = bag_rows(settings, len(train.y))
    index = torch.from_numpy(rows)
    return replace(prepared, train=Part(subset(train.x, index), train.y[index], train.rows[rows]))


def refuse_bags(settings: DataSettings, data: object) -> None:
    """Refuse a bag of a stream.

    Raises:
        ConfigError: the data are a DataLoader or an IterableDataset, whose examples cannot be drawn.
    """
    if settings.bag is not None and isinstance(data, DataLoader | IterableDataset):
        raise ConfigError(
            "a stream of batches cannot be drawn from",
            expected="arrays, a file, a folder, or a Dataset with __getitem__",
            received=f"data.bag={settings.bag} beside {type(data).__name__}",
        )
