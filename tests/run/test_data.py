"""`train` takes data in every form, and learns from each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import preceptor
from preceptor.errors import ConfigError, DataError, ModelError

from .conftest import LEARNS, QUICK, Points, net


class MapStyle(Dataset[Any]):
    def __init__(self, x: Any, y: Any) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> tuple[Any, Any]:
        return self.x[i], self.y[i]


class Stream(IterableDataset[Any]):
    def __init__(self, x: Any, y: Any) -> None:
        self.x, self.y = x, y

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return iter(zip(self.x, self.y, strict=True))


class CountedStream(Stream):
    def __len__(self) -> int:
        return len(self.x)


def frame(points: Points) -> pd.DataFrame:
    table = pd.DataFrame(points.x, columns=list("abcdef"))
    table["kind"] = np.array(["ant", "bee", "cow"])[points.y]
    return table


IN_MEMORY: dict[str, Callable[[Points], Any]] = {
    "arrays": lambda p: (p.x, p.y),
    "lists": lambda p: (p.x.tolist(), p.y.tolist()),
    "a list of two": lambda p: [p.x, p.y],
    "tensors": lambda p: p.tensors,
    "TensorDataset": lambda p: TensorDataset(*p.tensors),
    "text as targets": lambda p: (p.x, np.array(["ant", "bee", "cow"])[p.y]),
    "classes that do not begin at 0": lambda p: (p.x, p.y + 5),
    "one-hot targets": lambda p: (p.x, np.eye(3)[p.y]),
    "float64 and a column of targets": lambda p: (p.x.astype(np.float64), p.y[:, None]),
    "a DataFrame and targets": lambda p: (pd.DataFrame(p.x, columns=list("abcdef")), p.y),
}


@pytest.mark.slow
@pytest.mark.parametrize("form", IN_MEMORY)
@pytest.mark.parametrize("own_model", [False, True])
def test_in_memory(points: Points, form: str, own_model: bool) -> None:
    run = preceptor.train(net if own_model else "mlp", IN_MEMORY[form](points), **LEARNS)
    assert run.history[-1, "val_accuracy"] > 0.8
    assert run.prepared is not None
    assert run.prepared.split.text == "146/32/32 (stratified, seed 0)"
    assert run.test().n == 32


LOADED: dict[str, Callable[[Points], dict[str, Any]]] = {
    "Dataset": lambda p: {"data": MapStyle(*p.tensors)},
    "Dataset with validation": lambda p: {
        "data": MapStyle(*p.tensors), "val": MapStyle(*p.tensors), "test": MapStyle(*p.tensors)
    },
    "IterableDataset with a length": lambda p: {
        "data": CountedStream(*p.tensors), "val": MapStyle(*p.tensors), "test": CountedStream(*p.tensors)
    },
    "DataLoader": lambda p: {
        "data": DataLoader(MapStyle(*p.tensors), batch_size=20, shuffle=True),
        "val": DataLoader(MapStyle(*p.tensors), batch_size=50),
        "test": MapStyle(*p.tensors),
    },
    "DataLoader of a stream": lambda p: {
        "data": DataLoader(CountedStream(*p.tensors), batch_size=20),
        "val": DataLoader(TensorDataset(*p.tensors), batch_size=50),
        "test": DataLoader(TensorDataset(*p.tensors), batch_size=50),
    },
}  # fmt: skip


@pytest.mark.parametrize("form", LOADED)
def test_loaded(points: Points, form: str) -> None:
    run = preceptor.train(net, **LOADED[form](points), **LEARNS)
    assert run.prepared is None
    assert run.history[-1, "val_accuracy"] > 0.8
    assert run.evaluate("test").metrics["accuracy"] > 0.8
    assert run.evaluate("val").loss == pytest.approx(run.history[run.best_epoch - 1, "val_loss"], rel=1e-6)
    assert run.predict(torch.from_numpy(points.x[:5])).shape == (5,)


def test_a_dataset_is_cut_like_arrays(points: Points) -> None:
    run = preceptor.train(net, MapStyle(*points.tensors), val=0.2, test=0.1, **QUICK)
    assert run.feeds is not None
    counted = [
        sum(len(y) for _, y in part.epoch()) for part in (run.feeds.train, run.feeds.val, run.feeds.test)
    ]  # type: ignore[union-attr]
    assert counted == [147, 42, 21]
    seen = [
        x for part in (run.feeds.train, run.feeds.val, run.feeds.test) for b, _ in part.epoch() for x in b
    ]  # type: ignore[union-attr]
    assert len({tuple(x.tolist()) for x in seen}) == 210, "every example is in one part"


def test_a_stream_without_a_length_is_refused(points: Points) -> None:
    with pytest.raises(DataError, match=r"has no length[\s\S]*define __len__"):
        preceptor.train(net, Stream(*points.tensors), **QUICK)


def test_a_loader_of_numbers(points: Points) -> None:
    data = TensorDataset(torch.from_numpy(points.x), torch.from_numpy(points.value).float() - 100)
    loader = DataLoader(data, batch_size=30, shuffle=True)
    run = preceptor.train(lambda: net(1), loader, val=data, epochs=60, lr=0.03, out=False)
    assert run.task.name == "regression"
    assert run.evaluate("val").metrics["r2"] > 0.9


def test_a_loader_keeps_its_own_batch_size_and_cannot_be_cut(points: Points) -> None:
    loader = DataLoader(TensorDataset(*points.tensors), batch_size=30)
    assert preceptor.train(net, loader, batch_size=30, **QUICK).experiment.training.batch_size == 30
    with pytest.raises(ConfigError, match="a DataLoader has its own batch size"):
        preceptor.train(net, loader, batch_size=10, **QUICK)
    with pytest.raises(ConfigError, match="a stream of batches cannot be split"):
        preceptor.train(net, loader, val=0.2, **QUICK)
    with pytest.raises(ModelError, match="a model by name needs to know the classes"):
        preceptor.train("mlp", loader, **QUICK)
    assert "val_loss" not in preceptor.train(net, loader, val=0, **QUICK).history[0]


@pytest.mark.parametrize("form", ["arrays", "tensors", "TensorDataset"])
@pytest.mark.parametrize("with_test", [False, True])
def test_validation_and_test_of_their_own(points: Points, form: str, with_test: bool) -> None:
    x, y = (points.x, points.y) if form == "arrays" else points.tensors
    wrap = TensorDataset if form == "TensorDataset" else lambda *pair: pair
    parts = {"data": wrap(x[:150], y[:150]), "val": wrap(x[150:180], y[150:180])}
    if with_test:
        parts["test"] = wrap(x[180:], y[180:])
    run = preceptor.train("mlp", **parts, **LEARNS)
    assert run.prepared is not None
    assert run.prepared.val is not None
    assert run.prepared.val.rows.tolist() == list(range(150, 180))
    assert run.test().n == (30 if with_test else 23)
    assert run.history[-1, "val_accuracy"] > 0.8


@pytest.mark.parametrize("val", [0.3, 0])
def test_fractions(points: Points, val: float) -> None:
    run = preceptor.train("mlp", (points.x, points.y), val=val, test=0, **QUICK)
    assert ("val_loss" in run.history[0]) == bool(val)
    assert run.prepared is not None
    assert len(run.prepared.train.y) == 210 - 210 * val
    with pytest.raises(DataError, match="there are no test examples"):
        run.test()


def test_a_frame_with_a_target(points: Points) -> None:
    run = preceptor.train(data=frame(points), target="kind", **LEARNS)
    assert run.history[-1, "val_accuracy"] > 0.8
    assert set(run.predict(frame(points).drop(columns="kind"))) == {"ant", "bee", "cow"}


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".tsv", ".parquet"])
def test_tables(points: Points, tmp_path: Path, suffix: str) -> None:
    table, path = frame(points), tmp_path / f"animals{suffix}"
    if suffix == ".parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False, sep="\t" if suffix == ".tsv" else ",")
    for source in (path, str(path)):
        run = preceptor.train(data=source, target="kind", **LEARNS)
        assert run.experiment.name == "animals"
        assert run.history[-1, "val_accuracy"] > 0.8


def test_an_archive(points: Points, tmp_path: Path) -> None:
    np.savez(tmp_path / "points.npz", x=points.x, y=points.y)
    assert preceptor.train(data=tmp_path / "points.npz", **LEARNS).history[-1, "val_accuracy"] > 0.8
    np.savez(
        tmp_path / "parted.npz",
        x_train=points.x[:150],
        y_train=points.y[:150],
        x_test=points.x[150:],
        y_test=points.y[150:],
    )
    run = preceptor.train(data=tmp_path / "parted.npz", **LEARNS)
    assert run.test().n == 60


def test_a_folder_of_images(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    for label, level in (("dark", 60), ("light", 190)):
        (tmp_path / "shades" / label).mkdir(parents=True)
        for i in range(20):
            pixels = draw.normal(level, 20, size=(9, 8)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "shades" / label / f"{i}.png")
    run = preceptor.train(data=tmp_path / "shades", epochs=20, lr=0.01, out=False)
    assert run.task.name == "classification"
    assert run.test().metrics["accuracy"] == 1.0
    assert run.predict(tmp_path / "shades" / "light" / "3.png").tolist() == ["light"]


@pytest.mark.parametrize("name", ["digits", "iris", "wine", "breast-cancer", "diabetes", "breast_cancer"])
def test_built_in_sets(name: str) -> None:
    run = preceptor.train(data=name, **QUICK)
    assert run.experiment.data.source == name
    assert run.history[-1, "train_loss"] < run.history[0, "train_loss"]


def test_without_data() -> None:
    with pytest.raises(DataError, match="no data were given"):
        preceptor.train("mlp", **QUICK)
