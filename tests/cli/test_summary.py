"""``preceptor summary`` and ``catalogue --counts`` and ``--chart``: networks in numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

import preceptor
from preceptor.catalogue import entry, find, get
from preceptor.catalogue.inspections.architectures import counts_of, published_input
from preceptor.errors import ConfigError, ModelError, UnknownName

from .conftest import Cli

OWN = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, width=3, start=None):
        super().__init__()
        self.layer = nn.Linear(4, width)
        if start is not None:
            self.scale = float(torch.full((1,), start).item())  # asks for a value

    def forward(self, x):
        return self.layer(x)
"""


class TestSummary:
    def test_a_name(self, cli: Cli) -> None:
        done = cli("summary", "lenet-5", "--input", "1,28,28", "--batch-size", 64)
        assert done.code == 0, done.err
        assert done.lines[0].split() == [
            "layer", "type", "output", "parameters", "activations", "operations", "field", "depth",
        ]  # fmt: skip
        assert "parameters  61,706" in done.lines
        assert "with batches of 64" in done.out

    def test_what_it_was_published_for(self, cli: Cli) -> None:
        found = json.loads(cli("summary", "squeezenet-1.1", "--level", 1, "--json", "-").out)
        assert found["input"] == [[3, 224, 224]]
        assert found["parameters"] == 1_235_496
        assert all("." not in layer["name"] for layer in found["layers"])
        small = json.loads(cli("summary", "squeezenet-1.1", "--input", "3x64x64", "--json", "-").out)
        assert small["layers"][-1]["output"] == [10]

    def test_options_and_a_file(self, cli: Cli) -> None:
        done = cli(
            "summary", "mlp", "--input", 20, "--outputs", 4, "--set", "hidden=[8]",
            "--set", "model.dropout=0.5", "--optimizer", "sgd", "--json", "found.json",
        )  # fmt: skip
        assert "sgd's state 0 B" in done.out
        found = json.loads(Path("found.json").read_text(encoding="utf-8"))
        assert found["parameters"] == 20 * 8 + 8 + 8 * 4 + 4
        assert [layer["type"] for layer in found["layers"]] == ["Linear", "ReLU", "Dropout", "Linear"]

    @pytest.mark.parametrize("more", [(), ("--set", "start=2.0")])
    def test_ones_own(self, cli: Cli, more: tuple[str, ...]) -> None:
        Path("own.py").write_text(OWN, encoding="utf-8")
        done = cli("summary", "own.py:Net", "--input", "4", "--set", "width=5", *more)
        assert "parameters  25" in done.lines

    def test_a_run(self, cli: Cli) -> None:
        run = preceptor.train("mlp", "iris", epochs=1, batch_size=16, out="here", optimizer="momentum")
        done = cli("summary", "here")
        assert f"parameters  {sum(p.numel() for p in run.model.parameters()):,}" in done.lines
        assert "with batches of 16" in done.out
        assert "momentum's state" in done.out
        again = preceptor.summary(run)
        assert (again.input, again.optimizer, again.batch_size) == (((4,),), "momentum", 16)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("mlp",), "the shape of the inputs is not known"),
            (("lenet-5", "--input", "1,wide,28"), "--input is not usable"),
            (("lenet-5", "--input", "1,8,8"), "lenet-5 does not suit"),
            (("lenet-55", "--input", "1,28,28"), "did you mean 'lenet-5'"),
            (("mlp", "--input", "4", "--batch-size", "0"), "batch_size"),
            (("mlp", "--input", "4", "--level", "0"), "level"),
            (("mlp", "--input", "4", "--set", "hiden=3"), "did you mean 'hidden'"),
            (("own.py:Net", "--input", "5"), "cannot be followed"),
            (("own.py:Net", "--input", "4", "--outputs", "3"), "outputs are for networks by name"),
        ],
    )
    def test_what_does_not_fit(self, cli: Cli, arguments: tuple[str, ...], message: str) -> None:
        Path("own.py").write_text(OWN, encoding="utf-8")
        done = cli("summary", *arguments)
        assert done.code == 2
        assert message in done.err

    def test_objects(self) -> None:
        assert preceptor.summary(nn.Linear(3, 2), torch.rand(7, 3)).parameters == 8
        assert preceptor.summary(lambda: nn.Linear(3, 2), (3,)).operations == 12
        with pytest.raises(ModelError, match=r"not a torch\.nn\.Module"):
            preceptor.summary(lambda: 3, (3,))
        with pytest.raises(UnknownName):
            preceptor.summary(nn.Linear(3, 2), (3,), optimizer="adma")
        with pytest.raises(ConfigError, match="not known"):
            preceptor.summary(nn.Linear(3, 2))


class TestCounts:
    """Published sizes: parameters, and twice the multiplications with additions that papers count."""

    @pytest.mark.parametrize(
        ("name", "parameters", "multiply_adds", "depth"),
        [
            ("alexnet-two-groups", 60_965_224, 0.72e9, 8),
            ("vgg-16", 138_357_544, 15.5e9, 16),
            ("vgg-19", 143_667_240, 19.6e9, 19),
            ("googlenet", 6_998_552, 1.58e9, 22),
            ("resnet-152", 60_192_808, 11.5e9, 152),
            ("lenet-5", 61_706, 416_520, 5),
        ],
    )
    def test_of_known_networks(self, name: str, parameters: int, multiply_adds: float, depth: int) -> None:
        counts = counts_of(entry(name))
        assert counts.parameters == parameters
        assert counts.operations / 2 == pytest.approx(multiply_adds, rel=0.02)
        with torch.device("meta"):
            model = get(name, counts.input, counts.outputs)
        assert get("weight-depth", model, counts.input) == depth

    def test_networks_for_photographs_have_an_input(self) -> None:
        known = {e.name: published_input(e) for e in find(kind="architecture")}
        assert known["resnet-50"] == ((3, 224, 224), 1000)
        assert known["u-net"] == ((1, 572, 572), 2)
        assert known["mlp"] is None
        with pytest.raises(ConfigError, match="not published for one input"):
            counts_of(entry("mlp"))

    def test_a_table(self, cli: Cli) -> None:
        done = cli("catalogue", "lenet*", "--counts")
        assert done.lines[0].split() == [
            "name",
            "input",
            "outputs",
            "parameters",
            "operations",
            "activations",
        ]
        assert {line.split()[0] for line in done.lines[1:]} == {"lenet-5", "lenet-5-original"}

    def test_a_chart(self, cli: Cli) -> None:
        done = cli("catalogue", "lenet*", "--chart", "size.svg")
        assert done.code == 0, done.err
        drawn = Path("size.svg").read_text(encoding="utf-8")
        assert drawn.startswith("<?xml")
        seen = get("architecture-chart", names=("lenet-5", "lenet-5-original"))
        assert seen["parameters"] == {"lenet-5": 61_706, "lenet-5-original": 60_000}

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("mlp", "--counts"), "nothing to compare"),
            (("lenet*", "--chart", "size.doc"), "--chart is not usable"),
            (("lenet*", "--chart", "nowhere/size.svg"), "--chart cannot be written"),
        ],
    )
    def test_what_cannot_be_drawn(self, cli: Cli, arguments: tuple[str, ...], message: str) -> None:
        done = cli("catalogue", *arguments)
        assert done.code == 2
        assert message in done.err
