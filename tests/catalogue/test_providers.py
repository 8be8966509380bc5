"""Networks of other libraries by name, against modules that stand in for those libraries."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import preceptor
from preceptor.catalogue import entry
from preceptor.errors import ConfigError, ExtraMissing, ModelError, UnknownName

MEAN, STD = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]
CALLS: list[tuple[str, dict[str, Any]]] = []


class Net(nn.Module):
    """What a library's network looks like from without."""

    def __init__(self, classes: int, channels: int = 3) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(channels, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.fc = nn.Linear(4, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.features(x).flatten(1))


class Wrapped(Net):
    def forward(self, pixel_values: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(logits=super().forward(pixel_values))


def module(name: str, monkeypatch: pytest.MonkeyPatch, **content: Any) -> None:
    made = ModuleType(name)
    vars(made).update(content)
    monkeypatch.setitem(sys.modules, name, made)


@pytest.fixture(autouse=True)
def libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    CALLS.clear()

    def torchvision(name: str, weights: str | None, num_classes: int = 1000, **options: Any) -> nn.Module:
        CALLS.append((name, {"weights": weights, **options}))
        return Net(num_classes)

    def timm(name: str, pretrained: bool, num_classes: int, in_chans: int, **options: Any) -> nn.Module:
        CALLS.append((name, {"pretrained": pretrained, **options}))
        return Net(num_classes, in_chans)

    class Auto:
        @staticmethod
        def from_pretrained(name: str, num_labels: int, **options: Any) -> Any:
            CALLS.append((name, options))
            return Wrapped(num_labels)

        @staticmethod
        def from_config(config: Any) -> nn.Module:
            return Wrapped(config.fc.out_features)

    known = ["resnet18", "googlenet"]
    seen = SimpleNamespace(mean=MEAN, std=STD, image_mean=MEAN, image_std=STD)
    weights = SimpleNamespace(DEFAULT=SimpleNamespace(transforms=lambda: seen))
    processor = SimpleNamespace(from_pretrained=lambda name: seen)
    module("torchvision", monkeypatch)
    module(
        "torchvision.models",
        monkeypatch,
        get_model=torchvision,
        list_models=lambda: known,
        get_model_weights=lambda name: weights,
    )
    module(
        "timm",
        monkeypatch,
        create_model=timm,
        is_model=known.__contains__,
        list_models=lambda: known,
        get_pretrained_cfg=lambda name: seen,
    )
    module(
        "transformers",
        monkeypatch,
        AutoModelForImageClassification=Auto,
        AutoConfig=Auto,
        AutoImageProcessor=processor,
    )


@pytest.mark.parametrize("name", ["torchvision:resnet18", "timm:resnet18", "hf:google/vit", "HF:google/vit"])
def test_a_network_of_another_library(name: str) -> None:
    model = entry(name, "architecture").build((3, 8, 8), 5)
    assert model(torch.zeros(2, 3, 8, 8)).shape == (2, 5)
    wanted = CALLS[-1][1]
    assert wanted.get("weights") is None
    assert not wanted.get("pretrained"), "weights are downloaded only where that is asked for"


def test_pretrained_is_asked_for() -> None:
    for name, said in (
        ("torchvision:resnet18", {"weights": "DEFAULT"}),
        ("timm:resnet18", {"pretrained": True, "drop_rate": 0.1}),
        ("hf:google/vit", {"ignore_mismatched_sizes": True, "use_safetensors": True}),
    ):
        options = {"drop_rate": 0.1} if name.startswith("timm") else {}
        model = entry(name).build((3, 8, 8), 2, pretrained=True, **options)
        assert model(torch.zeros(1, 3, 8, 8)).shape == (1, 2)
        assert CALLS[-1][1] == said


def test_auxiliary_outputs_are_left_out() -> None:
    entry("torchvision:googlenet").build((3, 8, 8), 2)
    assert CALLS[-1][1]["aux_logits"] is False


@pytest.mark.slow
def test_a_training_by_such_a_name_is_written_and_read(tmp_path: Any) -> None:
    x = np.random.default_rng(0).integers(0, 255, (40, 3, 8, 8), dtype=np.uint8)
    data = (x, np.arange(40) % 3)
    run = preceptor.train(
        "torchvision:resnet18", data, epochs=1, out=tmp_path / "run", settings={"model.pretrained": True}
    )
    assert run.experiment.model.name == "torchvision:resnet18"
    assert CALLS[-1][1]["weights"] == "DEFAULT"
    again = preceptor.load(tmp_path / "run")
    assert CALLS[-1][1]["weights"] is None, "the weights are the run's own"
    assert (again.predict(x) == run.predict(x)).all()
    tuned = preceptor.train(
        data=(x, np.arange(40) % 2), from_=tmp_path / "run", freeze="all-but-head", epochs=1, out=False
    )
    assert torch.equal(tuned.model.features[0].weight, run.model.features[0].weight)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["torchvision:resnet18", "timm:resnet18", "hf:google/vit"])
@pytest.mark.parametrize("full", [255, 1])
def test_inputs_are_scaled_as_the_weights_know_them(name: str, full: int, tmp_path: Any) -> None:
    x = np.random.default_rng(0).integers(0, 256, (40, 3, 8, 8), dtype=np.uint8)
    given = x if full == 255 else (x / 255).astype(np.float32)
    run = preceptor.train(
        {"name": name, "pretrained": True}, (given, np.arange(40) % 2), epochs=1, out=tmp_path / "run"
    )
    part = run.part("train")
    mean, std = (np.array(values)[:, None, None] for values in (MEAN, STD))
    np.testing.assert_allclose(part.x.numpy(), (x[part.rows] / 255 - mean) / std, rtol=1e-4, atol=1e-4)
    own = preceptor.train(name, (given, np.arange(40) % 2), epochs=1, out=False)
    assert abs(own.part("train").x.mean()) < 1e-4
    assert preceptor.train(out=tmp_path / "run", resume=True, epochs=2, data=(given, np.arange(40) % 2)).state


@pytest.mark.parametrize(
    ("name", "extra"), [("torchvision:resnet18", "vision"), ("timm:resnet18", "vision"), ("hf:a/b", "hf")]
)
def test_a_library_that_is_not_installed(name: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for library in ("torchvision", "torchvision.models", "timm", "transformers"):
        monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ExtraMissing, match=rf"preceptor\[{extra}\]"):
        entry(name).build((3, 8, 8), 2)


@pytest.mark.parametrize(
    ("name", "shape", "options", "error", "said"),
    [
        ("torchvision:resnet19", (3, 8, 8), {}, UnknownName, "did you mean 'resnet18'"),
        ("timm:resnet19", (3, 8, 8), {}, UnknownName, "did you mean 'resnet18'"),
        ("torchvision:resnet18", (1, 8, 8), {}, ModelError, "three channels"),
        ("timm:resnet18", (9,), {}, ModelError, "is for images"),
        ("timm:resnet18", (3, 8, 8), {"pretrained": 1}, ConfigError, "true or false"),
        ("keras:resnet18", (3, 8, 8), {}, UnknownName, "unknown architecture"),
    ],
)
def test_what_cannot_be(
    name: str, shape: tuple[int, ...], options: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        entry(name, "architecture").build(shape, 2, **options)
