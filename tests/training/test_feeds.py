"""Batches for each purpose, from tensors in memory and from a user's own loaders."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    TensorDataset,
)
from torch.utils.data import Dataset as TorchDataset

from preceptor.data import Part, generators, load, prepare
from preceptor.data.batches import Batches, TensorBatches
from preceptor.errors import DataError
from preceptor.training.feeds import Feeds, feeds_from_loaders, feeds_from_prepared, in_order

CPU = torch.device("cpu")
X, Y = torch.randn(30, 4), torch.arange(30) % 3
DATA = TensorDataset(X, Y)


def seen(batches: Batches | None) -> list[int]:
    """Return the rows of X that a pass shows, in order."""
    assert batches is not None
    x = torch.cat([x for x, _ in batches.epoch()])
    return [int((row == X).all(1).nonzero()) for row in x]


def from_loaders(train: Any, val: Any = None, test: Any = None, train_examples: int | str = "auto") -> Feeds:
    return feeds_from_loaders(train, val, test, train_examples=train_examples, device=CPU)


class TestInOrder:
    def part(self, *shape: int) -> Part:
        return Part(torch.zeros(shape), torch.zeros(shape[0], dtype=torch.long), np.arange(shape[0]))

    @pytest.mark.parametrize(
        ("shape", "asked", "size"),
        [
            ((3000, 4), 32, 1024),
            ((3000, 4), 2000, 2000),
            ((3000, 1, 28, 28), 32, 256),
            ((20, 3, 512, 512), 4, 4),
            ((20, 3, 512, 512), 1, 2),
            ((10, 4), 32, 10),
        ],
    )
    def test_batches_are_larger_than_in_training_but_bounded(
        self, shape: tuple[int, ...], asked: int, size: int
    ) -> None:
        batches = in_order(self.part(*shape), batch_size=asked, device=CPU)
        assert isinstance(batches, TensorBatches)
        assert (batches.batch_size, batches.shuffle) == (size, False)

    def test_nothing_gives_nothing(self) -> None:
        assert in_order(None, batch_size=4, device=CPU) is None
        assert in_order(self.part(0, 4), batch_size=4, device=CPU) is None


class TestFromPrepared:
    @pytest.fixture
    def iris(self) -> Any:
        return prepare(load("iris"))

    def feeds(self, data: Any, **changes: Any) -> Feeds:
        return feeds_from_prepared(
            data, **{"batch_size": 16, "train_examples": "auto", "device": CPU, "seed": 0, **changes}
        )

    def test_what_is_known_of_the_examples(self, iris: Any) -> None:
        feeds = self.feeds(iris)
        assert (feeds.signature.input_shape, feeds.signature.target_kind, feeds.signature.dims) == (
            (4,),
            "categories",
            1,
        )
        assert feeds.signature.classes == ("setosa", "versicolor", "virginica")
        assert feeds.examples == len(iris.train.y)
        assert len(feeds.sample[1]) == 4
        assert feeds.preprocessor is iris.preprocessor

    @pytest.mark.parametrize(("wanted", "count"), [("auto", 104), (10, 10), (1, 1), (9999, 104)])
    def test_the_probe_is_spread_over_the_training_examples(
        self, iris: Any, wanted: int | str, count: int
    ) -> None:
        probe = self.feeds(iris, train_examples=wanted).probe
        assert probe is not None
        x = torch.cat([x for x, _ in probe.epoch()])
        rows = torch.linspace(0, 103, count).round().long()
        assert len(iris.train.y) == 104
        assert torch.equal(x, iris.train.x[rows])

    def test_parts_that_are_not_wanted(self) -> None:
        feeds = self.feeds(prepare(load("iris"), val=0, test=0), train_examples=0)
        assert (feeds.probe, feeds.val, feeds.test) == (None, None, None)

    def test_the_seed_orders_the_examples_and_nothing_else_does(self, iris: Any) -> None:
        orders = []
        for seed, noise in ((0, 1), (0, 2), (1, 1)):
            torch.manual_seed(noise)
            orders.append(torch.cat([y for _, y in self.feeds(iris, seed=seed).train.epoch()]).tolist())
        assert orders[0] == orders[1] != orders[2]


class TestFromLoaders:
    def test_they_are_used_as_they_are(self) -> None:
        train, val = DataLoader(DATA, batch_size=7, shuffle=True), DataLoader(DATA, batch_size=3)
        feeds = from_loaders(train, val)
        assert sorted(seen(feeds.train)) == list(range(30))
        assert seen(feeds.val) == list(range(30))
        assert feeds.test is None
        assert (feeds.train.batch_size, len(feeds.train), feeds.examples) == (7, 5, 30)
        assert (feeds.signature.input_shape, feeds.signature.classes) == ((4,), ())

    def test_the_sample_disturbs_no_generator(self) -> None:
        own = torch.Generator().manual_seed(1)
        before = generators.capture()["torch"]
        from_loaders(DataLoader(DATA, batch_size=7, shuffle=True, generator=own))
        assert torch.equal(generators.capture()["torch"], before)
        assert torch.equal(own.get_state(), torch.Generator().manual_seed(1).get_state())

    @pytest.mark.parametrize(("wanted", "rows"), [("auto", list(range(30))), (4, [0, 10, 19, 29])])
    def test_the_probe_is_fixed_though_the_loader_shuffles(self, wanted: int | str, rows: list[int]) -> None:
        feeds = from_loaders(DataLoader(DATA, batch_size=7, shuffle=True), train_examples=wanted)
        assert seen(feeds.probe) == seen(feeds.probe) == rows

    @pytest.mark.parametrize("batched", [False, True])
    def test_the_probe_keeps_to_the_part_that_a_sampler_draws(self, batched: bool) -> None:
        """Two loaders over one data set, each with rows of its own: a common way to hold examples out."""
        sampler = SubsetRandomSampler([2, 3, 5, 7, 11])
        train = (
            DataLoader(DATA, batch_sampler=BatchSampler(sampler, 2, False))
            if batched
            else DataLoader(DATA, batch_size=2, sampler=sampler)
        )
        feeds = from_loaders(train)
        assert seen(feeds.probe) == [2, 3, 5, 7, 11]
        assert feeds.examples == 5

    def test_a_batch_sampler(self) -> None:
        feeds = from_loaders(DataLoader(DATA, batch_sampler=BatchSampler(SequentialSampler(DATA), 7, True)))
        assert (feeds.train.batch_size, len(feeds.train)) == (7, 4)
        assert seen(feeds.probe) == list(range(30))

    def test_a_data_set_whose_items_are_batches(self) -> None:
        class Whole(TorchDataset[Any]):
            def __len__(self) -> int:
                return 3

            def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
                return X[10 * i : 10 * i + 10], Y[10 * i : 10 * i + 10]

        feeds = from_loaders(DataLoader(Whole(), batch_size=None))
        assert seen(feeds.train) == seen(feeds.probe) == list(range(30))

    def test_a_stream_has_no_probe(self) -> None:
        class Stream(IterableDataset[Any]):
            def __len__(self) -> int:
                return 30

            def __iter__(self) -> Iterator[Any]:
                return zip(X, Y, strict=True)

        feeds = from_loaders(DataLoader(Stream(), batch_size=7))
        assert (feeds.probe, feeds.examples) == (None, None)
        assert seen(feeds.train) == list(range(30))

    def test_a_data_set_that_only_its_sampler_can_count(self) -> None:
        class Unsized(TorchDataset[Any]):
            def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
                return X[i], Y[i]

        class Few(Sampler[int]):
            def __len__(self) -> int:
                return 4

            def __iter__(self) -> Iterator[int]:
                return iter([1, 4, 9, 16])

        feeds = from_loaders(DataLoader(Unsized(), batch_size=2, sampler=Few()))
        assert (feeds.probe, feeds.examples, seen(feeds.train)) == (None, None, [1, 4, 9, 16])

    def test_several_inputs(self) -> None:
        loader = DataLoader(DATA, batch_size=5, collate_fn=lambda items: (
            {"a": torch.stack([x for x, _ in items]), "b": [torch.zeros(len(items))]},
            torch.stack([y for _, y in items]),
        ))  # fmt: skip
        feeds = from_loaders(loader)
        assert feeds.signature.input_shape is None
        assert feeds.sample[0].keys() == {"a", "b"}
        assert feeds.probe is not None
        assert len(list(feeds.probe.epoch())) == 6

    @pytest.mark.parametrize(
        ("y", "kind", "dims"),
        [(Y, "categories", 1), (Y > 0, "categories", 1), (Y.float(), "numbers", 1), (X, "numbers", 4)],
    )
    def test_the_kind_of_targets(self, y: Tensor, kind: str, dims: int) -> None:
        signature = from_loaders(DataLoader(TensorDataset(X, y), batch_size=5)).signature
        assert (signature.target_kind, signature.dims) == (kind, dims)

    def test_what_cannot_be_used(self) -> None:
        good = DataLoader(DATA, batch_size=5)
        empty = DataLoader(TensorDataset(X[:0], Y[:0]), batch_size=5)
        pairs = DataLoader(TensorDataset(X, Y, Y), batch_size=5)
        tuples = DataLoader(list(zip(X, zip(Y, Y, strict=True), strict=True)), batch_size=5)  # type: ignore[arg-type]
        for loaders, message in (
            ((empty,), "the training DataLoader is empty"),
            ((good, empty), "there are no validation examples"),
            ((good, good, empty), "there are no test examples"),
            ((pairs,), r"does not yield pairs[\s\S]*length 3"),
            ((tuples,), r"targets are not a tensor[\s\S]*one tensor of targets"),
        ):
            with pytest.raises(DataError, match=message):
                from_loaders(*loaders)
