"""Bags of the training part: drawn, resumable, refused for streams."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

import preceptor
from preceptor.errors import ConfigError
from preceptor.training.bags import bag_rows
from preceptor.training.settings import DataSettings

X = torch.randn(80, 4, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()
QUICK: dict[str, Any] = {"epochs": 1, "out": False}


def test_a_bag_is_drawn_with_replacement_by_its_seed() -> None:
    rows = bag_rows(DataSettings(bag=3), 4000)
    assert len(rows) == 4000
    assert len(set(rows.tolist())) / 4000 == pytest.approx(1 - np.exp(-1), abs=0.02)
    assert (rows == bag_rows(DataSettings(bag=3), 4000)).all()
    assert (rows != bag_rows(DataSettings(bag=4), 4000)).any()
    assert (rows[:400] == bag_rows(DataSettings(bag=3, bag_share=0.1), 4000)).all()


def test_preprocessing_is_that_of_the_whole_part() -> None:
    whole, bag = (preceptor.train("mlp", (X, Y), settings=s, **QUICK) for s in ({}, {"data.bag": 1}))
    assert whole.preprocessor is not None
    assert bag.preprocessor is not None
    assert bag.preprocessor.to_state() == whole.preprocessor.to_state()
    assert bag.prepared is not None
    assert whole.prepared is not None
    assert torch.equal(bag.prepared.val.x, whole.prepared.val.x)  # type: ignore[union-attr]
    drawn = bag.prepared.train
    assert max(Counter(drawn.rows.tolist()).values()) > 1
    at = {row: i for i, row in enumerate(whole.prepared.train.rows.tolist())}
    first = at[int(drawn.rows[0])]
    assert torch.equal(drawn.x[0], whole.prepared.train.x[first])  # type: ignore[index]


def test_a_data_set_of_one_s_own_is_drawn_from() -> None:
    asked: Counter[int] = Counter()

    class Pairs(Dataset[Any]):
        def __len__(self) -> int:
            return 60

        def __getitem__(self, index: int) -> Any:
            asked[index] += 1
            return X[index], Y[index]

    def net() -> torch.nn.Module:
        return torch.nn.Linear(4, 2)

    settings = {"data.bag": 2, "training.train_examples": 0, "training.watch": False}
    preceptor.train(net, Pairs(), val=0, test=0, settings=settings, **QUICK)
    assert 25 < len([row for row, times in asked.items() if times]) < 50


def test_a_stream_is_refused() -> None:
    loader: DataLoader[Any] = DataLoader(TensorDataset(X, Y), batch_size=8)
    with pytest.raises(ConfigError, match="cannot be drawn from"):
        preceptor.train(torch.nn.Linear(4, 2), loader, settings={"data.bag": 1}, **QUICK)
