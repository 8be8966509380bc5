"""From whatever a user calls data to feeds."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, TensorDataset
from torch.utils.data import Dataset as TorchDataset

from preceptor.data import Prepared, load
from preceptor.errors import ConfigError, DataError
from preceptor.training import Experiment
from preceptor.training.feeds import Feeds
from preceptor.training.inputs import Inputs, make_feeds

X = np.random.default_rng(0).normal(5, 2, (60, 3)).astype(np.float32)
Y = np.arange(60) % 2


class Rows(TorchDataset[Any]):
    """A map-style data set of a user's own; each example holds its number."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return torch.full((2,), float(i)), i % 2


class Stream(IterableDataset[Any]):
    def __len__(self) -> int:
        return 12

    def __iter__(self) -> Iterator[Any]:
        return (Rows(12)[i] for i in range(12))


def make(
    data: Any, settings: dict[str, Any] | None = None, **inputs: Any
) -> tuple[Feeds, Prepared | None, Experiment]:
    return make_feeds(Experiment.of(settings or {}), Inputs(data, **inputs), torch.device("cpu"))


def rows_of(batches: Any) -> list[int]:
    return sorted(int(v) for x, _ in batches.epoch() for v in x[:, 0])


class TestInMemory:
    @pytest.mark.parametrize(
        ("data", "shape", "name"),
        [
            ("iris", (4,), "iris"),
            (load("digits"), (1, 8, 8), "digits"),
            ((X, Y), (3,), "data"),
            ((torch.from_numpy(X), torch.from_numpy(Y)), (3,), "data"),
            (TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)), (3,), "data"),
            ((X.tolist(), Y.tolist()), (3,), "data"),
        ],
    )
    def test_in_every_form(self, data: Any, shape: tuple[int, ...], name: str) -> None:
        feeds, prepared, experiment = make(data)
        assert prepared is not None
        assert feeds.signature.input_shape == shape
        assert (experiment.name, experiment.data.scale) == (name, "standard")
        assert abs(float(prepared.train.x.mean())) < 1e-5

    def test_a_file_and_a_table(self, tmp_path: Path) -> None:
        frame = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "y": np.where(Y, "yes", "no")})
        frame.to_csv(tmp_path / ".hidden.csv", index=False)
        for data, name in ((frame, "data"), (str(tmp_path / ".hidden.csv"), "hidden")):
            feeds, _, experiment = make(data, {"data.target": "y"})
            assert feeds.signature.classes == ("no", "yes")
            assert experiment.name == name

    @pytest.mark.parametrize(
        ("data", "own_model", "set_to", "scale"),
        [
            ((X, Y), True, "auto", "none"),
            ((X, Y), False, "auto", "standard"),
            ((X, Y), True, "standard", "standard"),
            ("iris", True, "auto", "standard"),
            ("iris", False, "none", "none"),
        ],
    )
    def test_arrays_for_a_model_of_ones_own_keep_their_scale(
        self, data: Any, own_model: bool, set_to: str, scale: str
    ) -> None:
        _, prepared, experiment = make(data, {"data.scale": set_to}, own_model=own_model)
        assert experiment.data.scale == scale
        assert prepared is not None
        assert (abs(float(prepared.train.x.mean())) < 1e-5) == (scale == "standard")

    @pytest.mark.parametrize(
        ("given", "text"),
        [
            ({"val": (X[:5], Y[:5])}, "59/5/11 (val as given"),
            ({"test": (X[:5], Y[:5])}, "59/11/5 (test as given"),
            ({"val": (X[:5], Y[:5]), "test": (X[:7], Y[:7])}, "70/5/7 (val and test as given"),
            (
                {"val": TensorDataset(torch.from_numpy(X[:5]), torch.from_numpy(Y[:5]))},
                "59/5/11 (val as given",
            ),
        ],
    )
    def test_validation_and_test_data_of_their_own(self, given: dict[str, Any], text: str) -> None:
        x, y = np.concatenate([X, X[:10]]), np.concatenate([Y, Y[:10]])
        feeds, prepared, _ = make((x, y), **given)
        assert prepared is not None
        assert prepared.split.text.startswith(text)
        if "val" in given:
            mean, deviation = prepared.train.x.mean(), prepared.train.x.std()
            assert feeds.val is not None
            assert abs(float(mean)) < 1e-5
            assert 0.9 < float(deviation) < 1.1

    @pytest.mark.parametrize(
        ("data", "val", "kind", "message"),
        [
            (
                (X, Y),
                (X[:, :2], Y),
                ConfigError,
                r"do not go with the training data[\s\S]*examples of one shape",
            ),
            ((torch.from_numpy(X), torch.from_numpy(Y)), (X[:, :2], Y), ConfigError, "do not go with"),
            ((X, Y), "iris", ConfigError, r"must be arrays[\s\S]*train: tuple, val: str"),
            ("iris", (X, Y), ConfigError, r"must be arrays[\s\S]*train: str, val: tuple"),
            ((X, Y), DataLoader(Rows(9)), ConfigError, r"must be arrays[\s\S]*val: DataLoader"),
            ((X, Y), (X[:5], Y[:6]), DataError, r"differ in length[\s\S]*val data[\s\S]*5 inputs, 6 targets"),
        ],
    )
    def test_of_another_form(self, data: Any, val: Any, kind: type[Exception], message: str) -> None:
        with pytest.raises(kind, match=message):
            make(data, val=val)

    def test_the_task_decides_how_targets_are_read(self) -> None:
        assert make((X, Y))[0].signature.target_kind == "categories"
        feeds, prepared, _ = make((X, Y), {"task": "regression"})
        assert feeds.signature.target_kind == "numbers"
        assert prepared is not None
        assert abs(float(prepared.train.y.mean())) < 1e-5
        with pytest.raises(ConfigError, match=r"unknown task[\s\S]*classification, regression, .* or auto"):
            make((X, Y), {"task": "clustering"})


class TestOwnDataSets:
    def test_are_split_without_overlap_in_an_order_of_their_own(self) -> None:
        feeds, prepared, experiment = make(Rows(40), {"data.val": 0.25, "data.test": 0.1})
        parts = [rows_of(batches) for batches in (feeds.train, feeds.val, feeds.test)]
        assert [len(part) for part in parts] == [26, 10, 4]
        assert sorted(chain(*parts)) == list(range(40))
        assert (
            rows_of(make(Rows(40), {"data.val": 0.25, "data.test": 0.1, "data.seed": 1})[0].val) != parts[1]
        )
        assert prepared is None
        assert (experiment.data.source, experiment.data.scale) == ("Rows", "none")

    def test_what_was_given_is_not_cut_off(self) -> None:
        feeds = make(Rows(40), val=Rows(7), test=DataLoader(Rows(9), batch_size=2))[0]
        assert [len(rows_of(b)) for b in (feeds.train, feeds.val, feeds.test)] == [40, 7, 9]
        feeds = make(Rows(40), {"data.val": 0, "data.test": 0})[0]
        assert (len(rows_of(feeds.train)), feeds.val, feeds.test) == (40, None, None)

    @pytest.mark.parametrize(
        ("settings", "size"),
        [
            ({}, 28),
            ({"training.batch_size": 8}, 8),
            ({"training.batch_size": "full"}, 28),
            ({"optimizer": "l-bfgs"}, 28),
            ({"optimizer": "online-sgd"}, 1),
        ],
    )
    def test_batch_sizes(self, settings: dict[str, Any], size: int) -> None:
        feeds = make(Rows(40), settings)[0]
        assert max(len(y) for _, y in feeds.train.epoch()) == size

    def test_a_stream(self) -> None:
        feeds, _, experiment = make(Stream(), {"training.batch_size": 5})
        assert [len(y) for _, y in feeds.train.epoch()] == [5, 5, 2]
        assert (feeds.val, feeds.test, experiment.data.source) == (None, None, "Stream")
        for settings in ({"training.batch_size": "full"}, {"optimizer": "l-bfgs"}):
            with pytest.raises(ConfigError, match="a stream has no full batch"):
                make(Stream(), settings)

    def test_without_a_length_or_without_examples(self) -> None:
        class Unsized(TorchDataset[Any]):
            def __getitem__(self, i: int) -> Any:
                return Rows(9)[i]

        with pytest.raises(DataError, match=r"has no length[\s\S]*__len__"):
            make(Unsized())
        with pytest.raises(DataError, match=r"no examples are left[\s\S]*0 examples"):
            make(Rows(0))
        with pytest.raises(DataError, match=r"no examples are left[\s\S]*val=0.5, test=0.5"):
            make(Rows(4), {"data.val": 0.5, "data.test": 0.5})


class TestLoaders:
    def test_have_their_own_batch_size(self) -> None:
        loader = DataLoader(Rows(40), batch_size=8)
        assert make(loader)[2].data.source == "DataLoader"
        assert make(loader, {"training.batch_size": 8})[0].train.batch_size == 8
        for size in (9, "full"):
            with pytest.raises(ConfigError, match=r"has its own batch size[\s\S]*the loader's 8"):
                make(loader, {"training.batch_size": size})

    def test_validation_data_take_their_batch_size(self) -> None:
        feeds = make(DataLoader(Rows(40), batch_size=8), val=Rows(20))[0]
        assert feeds.val is not None
        assert [len(y) for _, y in feeds.val.epoch()] == [8, 8, 4]
        with pytest.raises(ConfigError, match=r"form of the training data[\s\S]*received  tuple"):
            make(DataLoader(Rows(40)), val=(X, Y))
