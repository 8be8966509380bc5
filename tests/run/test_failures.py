"""What goes wrong after the start is told as clearly as what goes wrong before it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import preceptor
from preceptor.errors import ConfigError, DataError, ModelError, OutOfMemory, StorageError
from preceptor.training import RunFolder

from .conftest import QUICK, Points, net


@pytest.mark.parametrize("part", ["data", "val", "test"])
@pytest.mark.parametrize("label", [7, -1])
def test_a_label_out_of_range_that_comes_late(points: Points, part: str, label: int) -> None:
    x, y = points.tensors
    bad = torch.where(torch.arange(len(y)) == 200, label, y)
    loaders = {
        name: DataLoader(TensorDataset(x, bad if name == part else y), batch_size=30)
        for name in ("data", "val", "test")
    }
    with pytest.raises(ModelError, match=rf"labels are out of range\n  expected  0…2[\s\S]*{label}"):
        preceptor.train(net, **loaders, **QUICK).test()


def test_a_batch_of_another_shape_that_comes_late(points: Points) -> None:
    class Ragged(torch.utils.data.Dataset[tuple[Tensor, Tensor]]):
        def __len__(self) -> int:
            return 40

        def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
            return torch.zeros(6), torch.zeros(2 if i >= 20 else 1)

    with pytest.raises(ModelError, match=r"\(20, 2\)"):
        preceptor.train(lambda: net(1), DataLoader(Ragged(), batch_size=20), **QUICK)


class Greedy(nn.Linear):
    """Asks for more memory than there is, when it trains on more than ten examples."""

    def __init__(self) -> None:
        super().__init__(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        if self.training and len(x) > 10:
            torch.empty(10**15)
        return super().forward(x)


class Insatiable(Greedy):
    """Asks for it on any number of examples."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            torch.empty(10**15)
        return super().forward(x)


def test_a_step_that_does_not_fit_into_memory_is_taken_in_parts(points: Points, tmp_path: Path) -> None:
    given = {"data": (points.x, points.y), "epochs": 2, "batch_size": 40}
    told = r"a batch of 40 did not fit into memory: from step 1 on it is taken in parts of [12]0"
    with pytest.warns(UserWarning, match=told):
        run = preceptor.train(Greedy, **given, out=tmp_path / "run")
    whole = preceptor.train(lambda: nn.Linear(6, 3), **given, out=False)
    for name, value in whole.model.state_dict().items():
        torch.testing.assert_close(run.model.state_dict()[name], value)
    assert run.history[:, "micro_batch"] == [10, 10]
    loaded = preceptor.load(tmp_path / "run", model=Greedy)
    assert [note.rpartition("in ")[2].split(",")[0] for note in loaded.notes] == [
        "parts of 20",
        "parts of 10",
    ]
    assert "taken in parts of 10" in run.report().read_text(encoding="utf-8")


def test_a_step_that_does_not_fit_into_memory(points: Points, tmp_path: Path) -> None:
    given = {"model": Insatiable, "data": (points.x, points.y), "epochs": 1}
    with (
        pytest.warns(UserWarning, match="did not fit"),
        pytest.raises(OutOfMemory, match=r"batch_size=40, in parts of 1 on cpu") as caught,
    ):
        preceptor.train(**given, batch_size=40, out=tmp_path / "run")
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert RunFolder(tmp_path / "run").manifest["status"] == "failed"
    assert RunFolder(tmp_path / "run").state.is_file()


def test_a_model_that_does_not_fit_into_memory(points: Points) -> None:
    with pytest.raises(OutOfMemory, match="the model cannot be made"):
        preceptor.train(lambda: nn.Linear(10**9, 10**9), (points.x, points.y), **QUICK)
    with pytest.raises(OutOfMemory, match="the model 'mlp' cannot be built"):
        preceptor.train({"name": "mlp", "hidden": 10**15}, (points.x, points.y), **QUICK)


@pytest.mark.parametrize("where", ["x", "y"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite(points: Points, where: str, value: float) -> None:
    x, y = points.x.copy(), points.value.copy()
    (x if where == "x" else y)[7] = value
    with pytest.raises(DataError, match="NaN or infinite"):
        preceptor.train("mlp", (x, y), **QUICK)


def test_what_is_not_finite_in_a_loader_is_a_divergence(points: Points, tmp_path: Path) -> None:
    x, y = points.tensors
    run = preceptor.train(
        net, DataLoader(TensorDataset(x * torch.nan, y), batch_size=30), epochs=2, out=tmp_path / "run"
    )
    assert (run.status, len(run.history), run.best_epoch) == ("diverged", 0, None)
    assert preceptor.load(tmp_path / "run", model=net).status == "diverged"


def test_pairs_that_do_not_pair_up(points: Points) -> None:
    for data, message in (
        ((points.x, points.y[:-1]), "differ in length"),
        ((points.x[:0], points.y[:0]), "the data are empty"),
        ((points.x, points.y * 0), "only one class"),
        ((points.x, points.y, points.y), "no source of data"),
        (points.x, "no source of data"),
        (DataLoader(TensorDataset(*points.tensors[:1])), "does not yield pairs"),
        (DataLoader(TensorDataset(*(t[:0] for t in points.tensors))), "is empty"),
        ((points.x[:3], points.y[:3]), "part would be empty"),
    ):
        with pytest.raises(DataError, match=message):
            preceptor.train(net, data, **QUICK)


def test_a_folder_that_cannot_be_made(points: Points, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    with pytest.raises(StorageError, match="cannot make a run folder"):
        preceptor.train("mlp", (points.x, points.y), epochs=1, out=tmp_path / "file" / "run")
    with pytest.raises(ConfigError, match="is not empty"):
        preceptor.train("mlp", (points.x, points.y), epochs=1, out=tmp_path / "file")
    assert (tmp_path / "file").read_text() == "precious"


def test_a_run_that_is_refused_leaves_no_folder(
    points: Points, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for given in (
        {"lr": -1.0},
        {"model": "mpl"},
        {"loss": "mse"},
        {"device": "gpu"},
        {"epochs": 0},
        {"val": 1.5},
    ):
        with pytest.raises(preceptor.errors.PreceptorError):
            preceptor.train(**{"model": "mlp", "data": (points.x, points.y), **given})
    assert list(tmp_path.iterdir()) == []
