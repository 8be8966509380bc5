"""Networks for other programs: what is written computes what the run does, or nothing is written."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import preceptor
from preceptor.errors import ConfigError, ExtraMissing, ModelError, UnknownName
from preceptor.run import _export


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> preceptor.Run:
    place = tmp_path_factory.mktemp("export") / "run"
    return preceptor.train(data="iris", epochs=2, out=place, settings={"training.watch": False})


def test_safetensors(run: preceptor.Run) -> None:
    made = preceptor.load(run.folder.path).export()  # type: ignore[union-attr]
    assert made.path.name == "model.safetensors"
    assert str(made).endswith("of the run, to the last bit")
    found = load_file(made.path)
    assert all(torch.equal(found[name], value) for name, value in run.model.state_dict().items())
    facts = json.loads(made.path.with_name("model.safetensors.json").read_text())
    assert (facts["task"], facts["inputs"]) == ("classification", [{"shape": [4], "dtype": "float32"}])
    assert facts["classes"] == list(run.task.classes)  # type: ignore[attr-defined]
    assert facts["preprocessing"]


def test_torch_export(run: preceptor.Run, tmp_path: Path) -> None:
    run.model.train()
    made = run.export(tmp_path / "net.pt2", to="torch-export")
    assert made.any_batch
    assert made.difference <= 1e-5 * made.largest
    assert all(module.training for module in run.model.modules())
    program = torch.export.load(made.path)
    assert program.example_inputs is None  # nothing is kept of the data
    x = torch.randn(5, 4)
    with torch.no_grad():
        assert torch.allclose(program.module()(x), run.model.eval()(x), atol=1e-6)


class Fixed(nn.Module):
    """Takes batches of four alone."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(16, 12)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x.reshape(16)).reshape(4, 3)


class Decides(nn.Module):
    """Asks for values."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :3] if float(x.sum()) > 0 else x[:, :3] + 1


def with_model(run: preceptor.Run, model: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run.predictor, "model", model)


def test_a_batch_of_one_size(run: preceptor.Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with_model(run, Fixed(), monkeypatch)
    assert "batches of one size" in str(run.export(tmp_path / "a.pt2", to="torch-export"))


def test_a_network_that_decides_by_values(
    run: preceptor.Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with_model(run, Decides(), monkeypatch)
    with pytest.raises(ModelError, match="cannot be exported"):
        run.export(tmp_path / "a.pt2", to="torch-export")
    assert list(tmp_path.iterdir()) == []


def test_random_inputs_where_the_data_were_given_in_code(tmp_path: Path) -> None:
    x, y = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32), np.arange(60) % 2
    given = preceptor.train(data=(x, y), epochs=1, out=tmp_path / "run", settings={"training.watch": False})
    made = preceptor.load(given.folder.path).export()  # type: ignore[union-attr]
    assert "drawn at random" in str(made)


# ONNX, against stand-ins: none of its packages is needed for these


class Session:
    """As `onnxruntime.InferenceSession` is called: it computes with weights that lie in the file."""

    def __init__(self, content: bytes, providers: list[str]) -> None:
        assert providers == ["CPUExecutionProvider"]
        self.off = float(content.decode())

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name="inputs")]

    def run(self, outputs: None, given: dict[str, Any]) -> list[Any]:
        return [Session.network(torch.from_numpy(given["inputs"])).numpy() + np.float32(self.off)]

    network: Any = None


@pytest.fixture
def onnx(run: preceptor.Run, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return a list whose last entry is by how much the exported network is off."""
    off = [0.0]
    runtime = ModuleType("onnxruntime")
    runtime.InferenceSession = Session  # type: ignore[attr-defined]
    for name, module in (("onnx", ModuleType("onnx")), ("onnxscript", ModuleType("onnxscript"))):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime)

    def made(network: nn.Module, args: Any, **options: Any) -> Any:
        assert options["dynamo"]
        assert options["input_names"] == ["inputs"]
        Session.network = network
        return SimpleNamespace(model_proto=SimpleNamespace(SerializeToString=lambda: repr(off[-1]).encode()))

    monkeypatch.setattr(torch.onnx, "export", made)
    return off


def test_onnx(run: preceptor.Run, onnx: list[Any], tmp_path: Path) -> None:
    onnx.append(1e-6)
    made = run.export(tmp_path / "a.onnx", to="onnx")
    assert (made.any_batch, made.path.read_text()) == (True, "1e-06")
    assert 0 < made.difference < 1e-5


def test_another_result_is_not_kept(run: preceptor.Run, onnx: list[Any], tmp_path: Path) -> None:
    for off in (0.1, float("nan")):
        onnx.append(off)
        with pytest.raises(ModelError, match="computes something else"):
            run.export(tmp_path / "a.onnx", to="onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package(run: preceptor.Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ExtraMissing, match=r"preceptor\[onnx\]"):
        run.export(tmp_path / "a.onnx", to="onnx")


def test_names_and_places(run: preceptor.Run) -> None:
    with pytest.raises(UnknownName, match="did you mean 'onnx'"):
        run.export(to="onx")
    with pytest.raises(ConfigError, match="no folder"):
        preceptor.train(data="iris", epochs=1, out=False, settings={"training.watch": False}).export()


def test_shapes_that_differ() -> None:
    with pytest.raises(ModelError, match="other shapes"):
        _export._difference([(torch.zeros(2, 3), torch.zeros(2, 4))])
    a = torch.tensor([float("inf"), 1.0])
    assert _export._difference([((a, {"x": a}), (a, [a.clone()]))])[0] == 0
