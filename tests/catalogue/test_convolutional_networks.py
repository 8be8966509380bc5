"""The classic convolutional networks: parameters as published, sizes, refusals, and torchvision's outputs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from preceptor.catalogue import entry, get
from preceptor.errors import ConfigError, ModelError

PHOTOGRAPH, LARGER, SMALL = (3, 224, 224), (3, 299, 299), (3, 32, 32)


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def on_meta(name: str, inputs: tuple[int, ...], outputs: int, **options: object) -> nn.Module:
    with torch.device("meta"):
        return get(name, inputs, outputs, kind="architecture", **options).eval()


@pytest.mark.parametrize(
    ("name", "inputs", "outputs", "options", "expected"),
    [
        ("lenet-5-original", (1, 32, 32), 10, {}, 60_000),
        ("lenet-5-original", (1, 28, 28), 10, {}, 60_000),
        ("alexnet", PHOTOGRAPH, 1000, {}, 61_100_840),
        ("alexnet-two-groups", PHOTOGRAPH, 1000, {}, 60_965_224),
        ("alexnet-ungrouped", PHOTOGRAPH, 1000, {}, 62_378_344),
        ("vgg-11", PHOTOGRAPH, 1000, {}, 132_863_336),
        ("vgg-13", PHOTOGRAPH, 1000, {}, 133_047_848),
        ("vgg-16", PHOTOGRAPH, 1000, {}, 138_357_544),
        ("vgg-19", PHOTOGRAPH, 1000, {}, 143_667_240),
        ("vgg-11-bn", PHOTOGRAPH, 1000, {}, 132_868_840),
        ("vgg-13-bn", PHOTOGRAPH, 1000, {}, 133_053_736),
        ("vgg-16-bn", PHOTOGRAPH, 1000, {}, 138_365_992),
        ("vgg-19-bn", PHOTOGRAPH, 1000, {}, 143_678_248),
        ("nin-cifar", SMALL, 10, {}, 966_986),
        ("nin-imagenet", PHOTOGRAPH, 1000, {}, 7_595_176),
        ("googlenet", PHOTOGRAPH, 1000, {}, 6_998_552),
        ("googlenet", PHOTOGRAPH, 1000, {"auxiliary": True}, 13_378_280),
        ("inception-v3", LARGER, 1000, {}, 23_834_568),
        ("inception-v3", LARGER, 1000, {"auxiliary": True}, 27_161_264),
        ("squeezenet-1.0", PHOTOGRAPH, 1000, {}, 1_248_424),
        ("squeezenet-1.1", PHOTOGRAPH, 1000, {}, 1_235_496),
        ("xception", LARGER, 1000, {}, 22_855_952),
        ("maxout-mlp", (1, 28, 28), 10, {}, 785 * 1200 + 241 * 1200 + 2410),
        ("maxout-mnist", (1, 28, 28), 10, {}, 65 * 96 + 3073 * 96 + 1201 * 96 + 2170),
        ("maxout-cifar", SMALL, 10, {}, 193 * 192 + 6145 * 384 + 4801 * 384 + 4801 * 2500 + 5010),
        ("convnet", (1, 28, 28), 10, {}, 320 + 9248 + 18496 + 36928 + 3137 * 128 + 1290),
        ("convnet", SMALL, 4, {"channels": 8, "convolutions": 1, "hidden": ()}, 28 * 8 + 2049 * 4),
    ],
)
def test_parameters_are_as_published(
    name: str, inputs: tuple[int, ...], outputs: int, options: dict[str, object], expected: int
):
    model = on_meta(name, inputs, outputs, **options)
    assert parameters(model) == expected
    assert model(torch.empty(2, *inputs, device="meta")).shape == (2, outputs)


def test_googlenet_without_its_classifier():
    model = on_meta("googlenet", PHOTOGRAPH, 1000)
    assert parameters(model) - parameters(model[-1]) == 5_973_552


@pytest.mark.parametrize(
    ("name", "inputs", "layers"),
    [
        ("lenet-5", (1, 28, 28), 5),
        ("alexnet", PHOTOGRAPH, 8),
        ("alexnet-two-groups", PHOTOGRAPH, 8),
        ("vgg-11", PHOTOGRAPH, 11),
        ("vgg-13-bn", PHOTOGRAPH, 13),
        ("vgg-16", PHOTOGRAPH, 16),
        ("vgg-19", PHOTOGRAPH, 19),
        ("googlenet", PHOTOGRAPH, 22),
        ("squeezenet-1.0", PHOTOGRAPH, 18),
        ("nin-imagenet", PHOTOGRAPH, 12),
    ],
)
def test_layers_are_as_many_as_is_said_of_them(name: str, inputs: tuple[int, ...], layers: int):
    assert get("weight-depth", on_meta(name, inputs, 10), inputs) == layers


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("alexnet-original", "alexnet-two-groups"),
        ("cnn", "convnet"),
        ("handfeat", "hand-designed-features"),
        ("inception-v1", "googlenet"),
        ("inceptionv3", "inception-v3"),
        ("lenet-1998", "lenet-5-original"),
        ("maxout-network", "maxout-mlp"),
        ("network-in-network", "nin-cifar"),
        ("nin", "nin-cifar"),
        ("squeezenet1_0", "squeezenet-1.0"),
        ("squeezenet1_1", "squeezenet-1.1"),
        ("vgg", "vgg-16"),
        ("vgg16", "vgg-16"),
        ("vgg19_bn", "vgg-19-bn"),
    ],
)
def test_usual_names_find_them(alias: str, name: str):
    assert entry(alias, "architecture").name == name


@pytest.mark.parametrize(
    ("name", "smallest"),
    [
        ("alexnet", 63),
        ("alexnet-two-groups", 63),
        ("alexnet-ungrouped", 63),
        ("convnet", 4),
        ("googlenet", 31),
        ("inception-v3", 75),
        ("lenet-5-original", 28),
        ("maxout-cifar", 8),
        ("maxout-mnist", 16),
        ("nin-cifar", 4),
        ("nin-imagenet", 39),
        ("squeezenet-1.0", 21),
        ("squeezenet-1.1", 17),
        ("vgg-11", 32),
        ("vgg-19-bn", 32),
        ("xception", 7),
    ],
)
def test_images_too_small_are_refused_and_the_smallest_are_not(name: str, smallest: int):
    for inputs in ((3, smallest, smallest - 1), (smallest, smallest), (9,)):
        with pytest.raises(ModelError, match=f"H and W of at least {smallest}") as caught:
            get(name, inputs, 2, kind="architecture")
        assert ("larger images" in str(caught.value)) == (len(inputs) == 3)
    model = on_meta(name, (2, smallest, smallest + 9), 3)
    assert model(torch.empty(1, 2, smallest, smallest + 9, device="meta")).shape == (1, 3)
    assert f"H and W at least {smallest}" in entry(name, "architecture").shapes or name == "convnet"


@pytest.mark.parametrize(
    "name", ["alexnet-two-groups", "googlenet", "nin-cifar", "squeezenet-1.1", "vgg-13", "xception"]
)
def test_width_scales_all_channels(name: str):
    inputs = (3, 64, 64)
    whole, half = (on_meta(name, inputs, 10, width=w) for w in (1.0, 0.5))
    assert [2 * size for size in half.sizes[:-1]] == list(whole.sizes[:-1])
    assert half.sizes[-1] == whole.sizes[-1] == 10
    for width in (0.0, -1, "wide", None, float("inf")):
        with pytest.raises(ConfigError, match="width is not usable"):
            get(name, inputs, 10, width=width)


@pytest.mark.parametrize(
    ("options", "kinds"),
    [
        (
            {"channels": [4, 8], "convolutions": [1, 2], "hidden": [16], "dropout": 0.5},
            "Conv2d ReLU MaxPool2d Conv2d ReLU Conv2d ReLU MaxPool2d Flatten Linear ReLU Dropout Linear",
        ),
        (
            {"channels": 4, "convolutions": 1, "hidden": [], "normalization": "bn", "activation": "elu"},
            "Conv2d BatchNorm2d ELU MaxPool2d Flatten Linear",
        ),
        (
            {"channels": 4, "convolutions": 1, "hidden": 8, "activation": "maxout", "pooling": "average"},
            "Conv2d Maxout AvgPool2d Flatten Linear Maxout Linear",
        ),
    ],
)
def test_convnet_is_built_from_its_pattern(options: dict[str, object], kinds: str):
    model = get("convnet", (3, 8, 9), 5, **options)
    assert [type(layer).__name__ for layer in model] == kinds.split()
    assert model(torch.zeros(2, 3, 8, 9)).shape == (2, 5)
    assert (model[0].bias is None) == ("normalization" in options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"convolutions": [1, 2, 3]}, "one for each of the 2 stages"),
        ({"channels": [8, 0]}, "channels is not usable"),
        ({"channels": "many"}, "channels is not usable"),
        ({"kernel": 4}, "an odd number"),
        ({"pooling": "min"}, "'max' or 'average'"),
        ({"dropout": 1.0}, "dropout is not usable"),
    ],
)
def test_convnet_says_what_it_cannot_be(options: dict[str, object], message: str):
    with pytest.raises(ConfigError, match=message):
        get("convnet", (3, 8, 8), 5, **options)


def test_he_is_the_start_and_init_changes_it():
    torch.manual_seed(0)
    kernels = [m for m in get("vgg-11", SMALL, 10, width=0.5).modules() if isinstance(m, nn.Conv2d)]
    assert kernels[-1].weight.std().item() == pytest.approx((2 / (9 * 256)) ** 0.5, rel=0.02)
    assert all((layer.bias == 0).all() for layer in kernels)
    zero = get("squeezenet", SMALL, 10, width=0.125, init="zeros")
    assert all((p == 0).all() for p in zero.parameters())


def test_alexnet_damps_responses_as_the_paper_says():
    model = get("alexnet-two-groups", (3, 64, 64), 10, width=0.1)
    norms = [layer for layer in model if isinstance(layer, nn.LocalResponseNorm)]
    x = torch.rand(1, 10, 1, 1)
    paper = [
        x[0, c] / (2 + 1e-4 * x[0, max(0, c - 2) : c + 3].square().sum()) ** 0.75 for c in range(x.shape[1])
    ]
    for norm in norms:
        torch.testing.assert_close(norm(x), torch.stack(paper)[None])
    assert len(norms) == 2
    assert [layer.groups for layer in model if isinstance(layer, nn.Conv2d)] == [1, 2, 1, 2, 2]


@pytest.mark.parametrize("name", ["nin-cifar", "squeezenet-1.0"])
def test_outputs_that_are_means_of_maps_can_have_either_sign(name: str):
    def last(outputs: int, **options: str) -> list[str]:
        return [type(layer).__name__ for layer in list(get(name, SMALL, outputs, width=0.1, **options))[-4:]]

    rectified, linear = "Conv2d ReLU AdaptiveAvgPool2d Flatten", "Conv2d AdaptiveAvgPool2d Flatten"
    assert " ".join(last(7)) == rectified
    for found in (last(1), last(7, end="linear")):
        assert " ".join(found).endswith(linear)
    assert " ".join(last(1, end="rectified")) == rectified
    with pytest.raises(ConfigError, match="'auto' or 'rectified' or 'linear'"):
        get(name, SMALL, 7, end="round")


def test_a_fire_module_joins_two_views_of_few_channels():
    torch.manual_seed(0)
    layer, x = get("fire-module", 6, squeeze=2, expand=3), torch.randn(2, 6, 5, 5)
    squeeze, small, large = (m for m in layer.modules() if isinstance(m, nn.Conv2d))
    s = torch.einsum("oc,nchw->nohw", squeeze.weight[..., 0, 0], x) + squeeze.bias[:, None, None]
    views = [
        nn.functional.conv2d(s.relu(), m.weight, m.bias, padding=m.kernel_size[0] // 2)
        for m in (small, large)
    ]
    torch.testing.assert_close(layer(x), torch.cat(views, 1).relu())
    with pytest.raises(ConfigError, match="squeeze is not usable"):
        get("fire-module", 6, squeeze=0)


def test_networks_of_torch_s_layers_alone_can_be_ejected():
    for name in ("convnet", "alexnet", "alexnet-two-groups", "vgg-11", "vgg-11-bn", "nin-cifar"):
        model = on_meta(name, (3, 64, 64), 10)
        assert all(type(layer).__module__.startswith("torch.nn.") for layer in model), name


def _torchvision(name: str, options: dict[str, object]) -> nn.Module:
    models = pytest.importorskip("torchvision.models", exc_type=(ImportError, RuntimeError))
    made: nn.Module = getattr(models, name)(weights=None, **options)
    return made


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "theirs", "options"),
    [
        ("alexnet", "alexnet", {}),
        ("vgg-11", "vgg11", {}),
        ("vgg-13-bn", "vgg13_bn", {}),
        ("squeezenet-1.0", "squeezenet1_0", {}),
        ("squeezenet-1.1", "squeezenet1_1", {}),
        ("inception-v3", "inception_v3", {"aux_logits": False, "init_weights": False}),
    ],
)
def test_outputs_equal_torchvision_s_under_copied_weights(name: str, theirs: str, options: dict[str, object]):
    torch.manual_seed(0)
    other = _torchvision(theirs, options).eval()
    side = 299 if name == "inception-v3" else 224
    model = get(name, (3, side, side), 1000, init=None).eval()
    tensors = list(other.state_dict().values())
    model.load_state_dict(dict(zip(model.state_dict(), tensors, strict=True)))
    x = torch.randn(1, 3, side, side)
    with torch.no_grad():
        torch.testing.assert_close(model(x), other(x), rtol=1e-4, atol=1e-5)
