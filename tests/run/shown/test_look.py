"""`Run.look`: the pictures are of the weights, the examples and the augmentation that a training has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import preceptor
from preceptor.errors import ConfigError, DataError
from preceptor.report.looks import stretched
from preceptor.run.shown.look import WHAT

RNG = np.random.default_rng(0)
Y = np.arange(60) % 3
X = RNG.integers(0, 60, (60, 3, 12, 12), dtype=np.uint8)
X[np.arange(60), Y, 3:9, 3:9] = 220  # the class is the colour of a square
QUIET: dict[str, Any] = {"out": False, "settings": {"training.watch": False}}


class Net(nn.Module):
    def __init__(self, channels: int = 3, outputs: int = 3) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.ReLU()
        )
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.head(self.features(x))
        return made


@pytest.fixture(scope="module")
def run() -> preceptor.Run:
    settings = {"training.watch": False, "data.scale": "standard"}
    return preceptor.train(Net, (X, Y), epochs=2, out=False, settings=settings, augmentations="standard")


def one(run: preceptor.Run, what: str, **options: Any) -> Any:
    (found,) = run.look(what, **options)
    return found


@pytest.mark.slow
def test_everything_can_be_seen(run: preceptor.Run, tmp_path: Path) -> None:
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    state, mode = torch.get_rng_state(), run.model.training
    looks = run.look(out=tmp_path, examples=3)
    assert [found.key for found in looks] == list(WHAT)
    shown = {found.key for found in looks if found.rows}
    assert shown >= set(WHAT) - {"confusions"}
    assert {path.stem for path in tmp_path.iterdir()} == shown
    assert torch.equal(torch.get_rng_state(), state)
    assert run.model.training == mode
    for name, value in run.model.state_dict().items():
        assert torch.equal(value, before[name])
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in run.model.parameters())


def test_the_filters_are_the_weights(run: preceptor.Run) -> None:
    page = one(run, "filters").rows[0].pictures[0].pixels
    weights = run.model.features[0].weight.detach().permute(0, 2, 3, 1).numpy()
    for i, weight in enumerate(weights):
        top, left = i // 2 * 4, i % 2 * 4
        np.testing.assert_array_equal(page[top : top + 3, left : left + 3], stretched(weight))


def test_the_maps_are_the_outputs(run: preceptor.Run) -> None:
    found = one(run, "maps")
    assert [row.label for row in found.rows[1:]] == [
        "layer features.0: 4 of 4 maps of 10×10", "layer features.3: 6 of 6 maps of 8×8",
    ]  # fmt: skip
    shown = found.rows[0].pictures[0].pixels
    (index,) = np.flatnonzero((shown.transpose(2, 0, 1) == X).all((1, 2, 3)))
    assert run.preprocessor is not None
    seen = run.model.eval().features[0](run.preprocessor.inputs(X[index : index + 1]))[0].detach()
    for i in range(4):
        part = found.rows[1].pictures[0].pixels[:10, 11 * i : 11 * i + 10]
        np.testing.assert_array_equal(part, stretched(seen[i]))


def test_explained_examples_are_those_of_validation(run: preceptor.Run) -> None:
    found = one(run, "saliency", examples=4)
    assert len(found.rows) == 4
    assert run.prepared is not None
    held_out = X[run.prepared.split.val]
    for row in found.rows:
        assert [shown.caption for shown in row.pictures[1:]] == [
            "gradient",
            "SmoothGrad",
            "integrated",
            "Grad-CAM",
        ]
        image = row.pictures[0].pixels.transpose(2, 0, 1)
        assert (held_out == image).all((1, 2, 3)).any()
    assert "layer features.4" in found.lead


def test_augmented_versions_differ_and_keep_the_colours_of_the_data(run: preceptor.Run) -> None:
    rows = one(run, "augmentation").rows
    assert len(rows) == 3
    for row in rows:
        original, *versions = (shown.pixels for shown in row.pictures)
        assert len(versions) == 8
        assert len({v.tobytes() for v in versions}) > 1
        assert all(220 in v for v in versions)
        assert 220 in original
    assert (
        one(run, "augmentation").rows[0].pictures[1].pixels.tobytes() == rows[0].pictures[1].pixels.tobytes()
    )


def test_the_report_holds_the_looks(run: preceptor.Run, tmp_path: Path) -> None:
    text = run.report(tmp_path / "report.html").read_text()
    for heading in (
        "What the network sees",
        "Class by class",
        "First-layer filters",
        "Feature maps",
        "Augmentation",
    ):
        assert heading in text
    assert "SmoothGrad" not in text  # many passes are for those who ask
    assert len(text) < 500_000


def test_unknown_looks_are_named(run: preceptor.Run) -> None:
    with pytest.raises(ConfigError, match=r"no such look(.|\n)*did you mean 'filters'"):
        run.look("filter")


def test_networks_without_convolutions() -> None:
    run = preceptor.train("mlp", (X, Y), epochs=1, **QUIET)
    looks = {found.key: found for found in run.look()}
    assert looks["maps"].rows == ()
    assert looks["maps"].lead == "Nothing to see: the model has no convolution."
    assert looks["augmentation"].lead == "Nothing to see: images are trained on as they are."
    captions = [shown.caption for shown in looks["saliency"].rows[0].pictures[1:]]
    assert captions == ["gradient", "SmoothGrad", "integrated"]
    linear = next(m for m in run.model.modules() if isinstance(m, nn.Linear))
    first = linear.weight[0].detach().reshape(3, 12, 12).permute(1, 2, 0)
    np.testing.assert_array_equal(looks["filters"].rows[0].pictures[0].pixels[:12, :12], stretched(first))


def test_other_inputs_get_a_sentence(tmp_path: Path) -> None:
    run = preceptor.train("mlp", "iris", epochs=1, **QUIET)
    (found,) = run.look(out=tmp_path)
    assert found.lead == "The model takes inputs of shape 4: only images (C×H×W) can be looked at."
    assert list(tmp_path.iterdir()) == []
    assert "What the network sees" not in run.report(tmp_path / "r.html").read_text()


def test_two_classes_with_one_output() -> None:
    two = Y < 2
    run = preceptor.train(Net(outputs=1), (X[two], Y[two]), epochs=1, loss="binary-cross-entropy", **QUIET)
    assert run.task.outputs == 1
    found = one(run, "saliency", examples=4)
    assert len(found.rows) == 4
    assert "layer features.4" in found.lead


def test_a_number_from_an_image() -> None:
    run = preceptor.train(Net(outputs=1), (X, Y + 0.5), epochs=1, **QUIET)
    looks = {found.key: found for found in run.look(examples=2)}
    assert len(looks["saliency"].rows) == 2
    assert looks["classes"].rows == ()
    assert len(looks["examples"].rows) == 2


def test_loaders_of_ones_own() -> None:
    data = TensorDataset(torch.from_numpy(X).float() / 255, torch.from_numpy(Y))
    run = preceptor.train(Net(), DataLoader(data, batch_size=20), epochs=1, out=False)
    looks = {found.key: found for found in run.look(examples=2)}
    assert len(looks["saliency"].rows) == 2
    assert looks["classes"].rows == ()
    np.testing.assert_array_equal(looks["saliency"].rows[0].pictures[0].pixels, X[0].transpose(1, 2, 0))


def test_a_model_that_cannot_be_explained() -> None:
    class Cut(Net):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x if x.requires_grad is False else x.detach())

    run = preceptor.train(Net(), (X, Y), epochs=1, **QUIET)
    run.predictor.model = Cut()
    found = one(run, "saliency")
    assert found.rows == ()
    assert found.lead.startswith("Nothing to see: ")


def test_a_run_that_was_loaded(tmp_path: Path) -> None:
    for i, (x, y) in enumerate(zip(X, Y, strict=True)):
        (tmp_path / "set" / f"c{y}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.repeat(np.repeat(x.transpose(1, 2, 0), 6, 0), 6, 1)).save(
            tmp_path / "set" / f"c{y}" / f"{i}.png"
        )
    made = preceptor.train(
        "mlp", str(tmp_path / "set"), epochs=1, out=tmp_path / "run", augmentations="standard",
        settings={"training.watch": False},
    )  # fmt: skip
    assert made.prepared is not None
    assert made.prepared.dataset.shape == (3, 72, 72)
    loaded = preceptor.load(tmp_path / "run")
    for now, before in zip(
        loaded.look("augmentation", "saliency"), made.look("augmentation", "saliency"), strict=True
    ):
        assert now.lead == before.lead
        for row, other in zip(now.rows, before.rows, strict=True):
            for shown, same in zip(row.pictures, other.pictures, strict=True):
                np.testing.assert_array_equal(shown.pixels, same.pixels)


def test_a_loaded_run_whose_data_are_gone(tmp_path: Path) -> None:
    preceptor.train("mlp", (X, Y), epochs=1, out=tmp_path / "run", settings={"training.watch": False})
    with pytest.raises(DataError, match="given in code"):
        preceptor.load(tmp_path / "run").look()
