"""Densely connected networks: published sizes, connections, transitions, options."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from preceptor.catalogue import entry, get
from preceptor.errors import ConfigError, ModelError

SMALL = ((3, 32, 32), 10)


def parameters(name: str, shape: tuple[int, ...], outputs: int, **options: object) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in get(name, shape, outputs, **options).parameters())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("densenet-121", 7_978_856),
        ("densenet-161", 28_681_000),
        ("densenet-169", 14_149_480),
        ("densenet-201", 20_013_928),
    ],
)
def test_networks_for_photographs_have_the_published_size(name: str, expected: int):
    assert parameters(name, (3, 224, 224), 1000) == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("densenet-40", {}, 1_019_722),
        ("densenet-40", {"depth": 100}, 6_979_642),
        ("densenet-100", {}, 6_979_642),
        ("densenet-100", {"growth_rate": 24}, 27_249_082),
        ("densenet-bc-100", {}, 769_162),
        ("densenet-bc-250", {}, 15_324_406),
        ("densenet-bc-190", {}, 25_624_430),
    ],
)
def test_networks_for_small_images_have_the_published_size(name: str, options: dict[str, int], expected: int):
    assert parameters(name, *SMALL, **options) == expected


def test_every_layer_sees_all_earlier_maps_of_its_stage():
    torch.manual_seed(0)
    net = get("densenet-40", (3, 8, 8), 10, depth=13, growth_rate=2).eval()
    h = net.stem(torch.randn(2, 3, 8, 8))
    assert h.shape[1] == 16
    for at, layer in enumerate(net.stage1):
        after = layer(h)
        assert torch.equal(after[:, : 16 + 2 * at], h)
        assert torch.equal(after[:, 16 + 2 * at :], layer.branch(h))
        h = after
    assert net.sizes == (16, 22, 28, 34, 10)


@pytest.mark.slow
def test_depth_counts_the_layers_with_weights():
    for name in ("densenet-40", "densenet-bc-100"):
        net = get(name, *SMALL, depth=22, growth_rate=2)
        assert sum(isinstance(m, (nn.Conv2d, nn.Linear)) for m in net.modules()) == 22
    with torch.device("meta"):
        net = get("densenet-121", (3, 224, 224), 1000)
    assert sum(isinstance(m, (nn.Conv2d, nn.Linear)) for m in net.modules()) == 121


def test_compression_and_bottleneck_make_the_layers_smaller():
    net = get("densenet-bc-100", *SMALL, depth=22, growth_rate=4)
    transition = net.stage2[0][2]
    assert (transition.in_channels, transition.out_channels) == (8 + 3 * 4, 10)
    first = net.stage1[0].branch
    assert [m.out_channels for m in first if isinstance(m, nn.Conv2d)] == [16, 4]
    assert parameters("densenet-40", *SMALL, compression=0.5) < 1_019_722


def test_dropout_stands_behind_each_layer():
    net = get("densenet-40", *SMALL, depth=13, growth_rate=2, dropout=0.2)
    assert sum(isinstance(m, nn.Dropout) for m in net.modules()) == 9
    assert not any(isinstance(m, nn.Dropout) for m in get("densenet-40", *SMALL, depth=13).modules())


def test_unusable_options_and_examples_are_refused():
    for options, message in (
        ({"depth": 41}, "3n \\+ 4"),
        ({"depth": 25, "bottleneck": True}, "6n \\+ 4"),
        ({"growth_rate": 0}, "growth_rate"),
        ({"compression": 2}, "compression"),
        ({"dropout": 1}, "dropout"),
    ):
        with pytest.raises(ConfigError, match=message):
            get("densenet-40", *SMALL, **options)
    with pytest.raises(ModelError, match="H and W of at least 8"):
        get("densenet-121", (3, 7, 32), 10)
    with pytest.raises(ModelError, match="H and W of at least 32"):
        get("densenet-121", (3, 16, 16), 10, stem="large")
    with pytest.raises(ModelError, match="images"):
        get("densenet-40", (64,), 10)
    assert get("densenet-40", (1, 4, 5), 3, depth=7).eval()(torch.zeros(1, 1, 4, 5)).shape == (1, 3)


@pytest.mark.parametrize(
    ("alias", "name"),
    [("densenet", "densenet-40"), ("densenet121", "densenet-121"), ("densenet-bc", "densenet-bc-100"),
     ("densenet-40-12", "densenet-40"), ("densenet-bc-190-40", "densenet-bc-190")],
)  # fmt: skip
def test_usual_names(alias: str, name: str):
    assert entry(alias, "architecture").name == name
