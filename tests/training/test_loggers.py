"""Writers for TensorBoard and MLflow, against stand-ins with those packages' documented calls."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import preceptor
from preceptor.errors import ExtraMissing, UnknownName
from preceptor.training.loggers import with_named


class Writer:
    """As `torch.utils.tensorboard.SummaryWriter` is called."""

    made: list[Writer] = []

    def __init__(self, log_dir: str, purge_step: int | None = None) -> None:
        self.log_dir, self.purge_step = log_dir, purge_step
        self.scalars: dict[str, dict[int, float]] = {}
        self.texts: dict[str, str] = {}
        self.closed = False
        Writer.made.append(self)

    def add_scalar(self, tag: str, value: float, global_step: int) -> None:
        assert not self.closed
        self.scalars.setdefault(tag, {})[global_step] = value

    def add_text(self, tag: str, text: str, global_step: int) -> None:
        self.texts[tag] = text

    def close(self) -> None:
        self.closed = True


class Tracker(ModuleType):
    """As the module mlflow is called."""

    def __init__(self) -> None:
        super().__init__("mlflow")
        self.active: Any = None
        self.calls: list[tuple[str, Any]] = []
        self.params: dict[str, str] = {}
        self.metrics: dict[int, dict[str, float]] = {}

    def active_run(self) -> Any:
        return self.active

    def start_run(self, run_name: str) -> None:
        assert self.active is None
        self.active = SimpleNamespace(info=run_name)
        self.calls.append(("start", run_name))

    def end_run(self, status: str) -> None:
        self.active = None
        self.calls.append(("end", status))

    def log_params(self, params: dict[str, str]) -> None:
        assert len(params) <= 100
        self.params |= params

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        self.metrics[step] = metrics

    def log_metric(self, name: str, value: float) -> None:
        self.calls.append((name, value))

    def log_artifact(self, path: str) -> None:
        self.calls.append(("artifact", Path(path).name))

    def set_experiment(self, name: str) -> None:
        self.calls.append(("experiment", name))

    def set_tracking_uri(self, uri: str) -> None:
        self.calls.append(("uri", uri))


@pytest.fixture
def tensorboard(monkeypatch: pytest.MonkeyPatch) -> list[Writer]:
    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tensorboard", ModuleType("tensorboard"))
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    Writer.made = []
    return Writer.made


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> Tracker:
    tracker = Tracker()
    monkeypatch.setitem(sys.modules, "mlflow", tracker)
    return tracker


def train(**given: Any) -> preceptor.Run:
    settings = {"training.watch": False, **given.pop("settings", {})}
    return preceptor.train(data="iris", settings=settings, **given)


def test_tensorboard(tensorboard: list[Writer], tmp_path: Path) -> None:
    run = train(epochs=2, out=tmp_path / "run", callbacks=[preceptor.TensorBoard(every=2)])
    (writer,) = tensorboard
    assert (writer.log_dir, writer.purge_step) == (str(tmp_path / "run/tensorboard"), None)
    assert writer.closed
    steps = run.state.step  # type: ignore[union-attr]
    assert writer.scalars["loss/val"] == dict(zip([steps // 2, steps], run.history["val_loss"], strict=True))
    assert {"loss/train", "loss/train_running", "accuracy/val", "lr", "seconds"} <= set(writer.scalars)
    assert list(writer.scalars["loss/train_step"]) == list(range(2, steps + 1, 2))
    assert "epochs = 2" in writer.texts["settings"]
    train(epochs=3, resume=tmp_path / "run", callbacks=["tensorboard"])
    again = tensorboard[1]
    assert (again.purge_step, list(again.scalars["loss/val"]), again.texts) == (steps, [3 * steps // 2], {})


def test_tensorboard_elsewhere(tensorboard: list[Writer], tmp_path: Path) -> None:
    class Fails(preceptor.Callback):
        def on_epoch_end(self, state: Any) -> None:
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        train(epochs=2, out=False, callbacks=[preceptor.TensorBoard(tmp_path / "x", every=0), Fails()])
    assert (tensorboard[0].log_dir, tensorboard[0].closed) == (str(tmp_path / "x"), True)
    assert "loss/train_step" not in tensorboard[0].scalars


def test_mlflow(mlflow: Tracker, tmp_path: Path) -> None:
    run = train(epochs=2, out=tmp_path / "run", callbacks=[preceptor.MLflow("flowers", "file:x")])
    assert mlflow.calls == [
        ("uri", "file:x"),
        ("experiment", "flowers"),
        ("start", "run"),
        ("best_epoch", run.best_epoch),
        ("artifact", "experiment.toml"),
        ("end", "FINISHED"),
    ]
    assert set(mlflow.params) == set(run.experiment.flat())
    assert mlflow.params["training.epochs"] == "2"
    assert mlflow.metrics[2]["val_loss"] == run.history[-1, "val_loss"]
    assert "epoch" not in mlflow.metrics[2]


def test_a_run_of_mlflow_that_is_active_stays_open(mlflow: Tracker) -> None:
    mlflow.active = SimpleNamespace()
    train(epochs=1, out=False, callbacks="mlflow")
    assert [name for name, _ in mlflow.calls] == ["best_epoch"]
    assert mlflow.active is not None


def test_how_a_run_of_mlflow_ends(mlflow: Tracker) -> None:
    train(epochs=1, out=False, optimizer="sgd", lr=1e30, callbacks=["mlflow"])
    assert mlflow.calls[-1] == ("end", "FAILED")


def test_a_package_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tensorboard", "mlflow"):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(ExtraMissing, match=rf"needs the package '{name}'[\s\S]*preceptor\[{name}\]"):
            with_named([name])


def test_a_misspelt_name() -> None:
    with pytest.raises(UnknownName, match="did you mean 'tensorboard'"):
        with_named(["tensorbord"])
