"""Residual networks by name: published sizes, shapes, stems, options, and what they compute."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from preceptor.catalogue import entry, get
from preceptor.catalogue.architectures import ResNet
from preceptor.catalogue.layers import BottleneckBlock, PreActivationBlock
from preceptor.catalogue.layers.skip import Residual
from preceptor.errors import ConfigError, ModelError

PHOTOGRAPHS, SMALL = ((3, 224, 224), 1000), ((3, 32, 32), 10)


def parameters(name: str, shape: tuple[int, ...], outputs: int, **options: object) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in get(name, shape, outputs, **options).parameters())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet-18", 11_689_512),
        ("resnet-34", 21_797_672),
        ("resnet-50", 25_557_032),
        ("resnet-101", 44_549_160),
        ("resnet-152", 60_192_808),
        ("preact-resnet-50", 25_549_352),
        ("wide-resnet-50-2", 68_883_240),
        ("wide-resnet-101-2", 126_886_696),
        ("resnext-50-32x4d", 25_028_904),
        ("resnext-101-32x8d", 88_791_336),
    ],
)
def test_networks_for_photographs_have_the_published_size(name: str, expected: int):
    assert parameters(name, *PHOTOGRAPHS) == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet-20", 269_722),
        ("resnet-32", 464_154),
        ("resnet-44", 658_586),
        ("resnet-56", 853_018),
        ("resnet-110", 1_727_962),
        ("resnet-1202", 19_421_274),
        ("stochastic-depth-resnet", 1_727_962),
        ("preact-resnet-164", 1_703_258),
        ("preact-resnet-1001", 10_327_706),
        ("wrn-28-10", 36_479_194),
        ("wrn-40-4", 8_949_210),
        ("wrn-16-8", 10_961_370),
    ],
)
def test_networks_for_small_images_have_the_published_size(name: str, expected: int):
    assert parameters(name, *SMALL) == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "first"), [("preact-resnet-101", 44_549_160), ("preact-resnet-152", 60_192_808)]
)
def test_pre_activation_costs_the_same_number_less_at_any_depth(name: str, first: int):
    """No normalisation in the stem nor in shortcuts, in blocks one of the input, and one at the end."""
    shortcuts, blocks = 2 * (256 + 512 + 1024 + 2048), 2 * (2048 - 64)
    assert parameters(name, *PHOTOGRAPHS) == first - 128 - shortcuts - blocks + 2 * 2048
    assert parameters("preact-resnet-18", *PHOTOGRAPHS) == 11_689_512 - 128 - 2 * 896 - 2 * 448 + 1024


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["resnet-18", "resnet-50", "resnext-50-32x4d", "wide-resnet-50-2", "preact-resnet-50", "densenet-121"],
)
def test_the_stem_is_small_for_images_below_64_pixels_unless_said_otherwise(name: str):
    def stem(shape: tuple[int, ...], **options: object) -> tuple[int, ...]:
        with torch.device("meta"):
            net = get(name, shape, 10, **options)
            maps = net.stem(torch.zeros(1, *shape, device="meta"))
        return tuple(maps.shape[2:])

    assert stem((3, 32, 32)) == (32, 32)
    assert stem((1, 63, 100)) == (63, 100)
    assert stem((3, 64, 64)) == (16, 16)
    assert stem((3, 224, 224)) == (56, 56)
    assert stem((3, 64, 64), stem="small") == (64, 64)
    assert stem((3, 32, 32), stem="large") == (8, 8)
    with pytest.raises(ConfigError, match="'auto' or 'small' or 'large'"):
        stem((3, 32, 32), stem="tiny")


def test_stages_halve_the_maps_and_double_the_channels():
    net = get("resnet-50", (3, 64, 64), 10, width=0.25).eval()
    h, seen = torch.zeros(1, 3, 64, 64), []
    for name, part in net.named_children():
        h = part(h)
        if name.startswith("st"):
            seen.append(tuple(h.shape[1:]))
    assert seen == [(16, 16, 16), (64, 16, 16), (128, 8, 8), (256, 4, 4), (512, 2, 2)]
    assert net.sizes == (16, 64, 128, 256, 512, 10)


@pytest.mark.parametrize("depth", [8, 20, 56])
def test_depth_counts_the_layers_with_weights_but_not_the_shortcuts(depth: int):
    net = get("resnet-cifar", *SMALL, depth=depth, width=0.25)
    assert sum(isinstance(m, (nn.Conv2d, nn.Linear)) for m in net.modules()) == depth
    deep = get("preact-resnet-164", *SMALL, depth=29, width=0.25)
    assert (
        sum(isinstance(m, (nn.Conv2d, nn.Linear)) for m in deep.modules()) == 29 + 3
    )  # and three projections


@pytest.mark.parametrize(
    ("name", "depth", "expected"),
    [("resnet-20", 21, "6n \\+ 2"), ("preact-resnet-164", 21, "9n \\+ 2"), ("wrn-28-10", 27, "6n \\+ 4"),
     ("resnet-20", 2, "8, 14"), ("stochastic-depth-resnet", 100, "6n \\+ 2")],
)  # fmt: skip
def test_other_depths_are_refused(name: str, depth: int, expected: str):
    with pytest.raises(ConfigError, match=expected):
        get(name, *SMALL, depth=depth)


@pytest.mark.parametrize(
    "name", ["resnet-18", "resnet-20", "preact-resnet-50", "preact-resnet-164", "wrn-16-8"]
)
def test_what_is_no_image_is_refused(name: str):
    for shape in ((784,), (28, 28)):
        with pytest.raises(ModelError, match="images"):
            get(name, shape, 10)


def test_unusable_options_are_refused():
    for options, message in (
        ({"width": 0}, "width"),
        ({"width": "wide"}, "width"),
        ({"blocks": []}, "blocks"),
        ({"blocks": "3463"}, "blocks"),
        ({"form": "round"}, "'basic' or 'bottleneck'"),
        ({"groups": 0}, "groups"),
        ({"form": "basic", "groups": 2}, "groups are for bottlenecks"),
        ({"shortcut": "none"}, "shortcut"),
    ):
        with pytest.raises(ConfigError, match=message):
            get("resnet-50", (3, 32, 32), 10, **options)
    with pytest.raises(ModelError, match="one output for each channel"):
        get("resnet-18", *SMALL, width=0.1, activation=get("maxout", pieces=2))


def test_weights_start_by_he_and_other_parts_as_blocks_have_them():
    torch.manual_seed(0)
    net = get("resnet-18", *SMALL)
    weight = net.stage2[1].branch[0].weight
    assert weight.std().item() == pytest.approx((2 / (9 * 128)) ** 0.5, rel=0.02)
    assert (net.classifier.bias == 0).all()
    assert (get("resnet-20", *SMALL, init="zeros").stem[0].weight == 0).all()


def test_zero_init_starts_every_block_as_its_shortcut():
    torch.manual_seed(0)
    net = get("resnet-20", *SMALL, zero_init=True)
    x = torch.randn(4, 16, 8, 8).relu()
    for block in net.stage1:
        assert torch.equal(block.train()(x), x)
    assert not any((block.branch[-1].weight == 0).any() for block in get("resnet-20", *SMALL).stage1)


def test_activations_are_modules_that_an_option_names():
    net = get("resnet-20", *SMALL, width=0.25, activation="elu")
    assert sum(isinstance(m, nn.ELU) for m in net.modules()) == 19
    assert not any(isinstance(m, nn.ReLU) for m in net.modules())
    assert sum(isinstance(m, nn.ReLU) for m in get("wrn-16-8", *SMALL, widen=1).modules()) == 13


def test_the_identity_path_of_pre_activation_is_clean():
    net = get("preact-resnet-164", *SMALL, depth=29, width=0.25).eval()
    blocks = [m for m in net.modules() if isinstance(m, PreActivationBlock)]
    assert sum(isinstance(block.shortcut, nn.Identity) for block in blocks) == len(blocks) - 3
    for block in blocks:
        nn.init.zeros_(block.branch[-1].weight)
    x = torch.randn(2, 64 // 4, 4, 4)
    assert torch.equal(net.stage1[1:](x), x)  # negative numbers as well


def test_wide_networks_drop_out_between_the_convolutions_of_a_block():
    net = get("wrn-16-8", *SMALL, widen=0.5, dropout=0.3)
    for block in (block for stage in (net.stage1, net.stage2, net.stage3) for block in stage):
        kinds = [type(layer).__name__ for layer in block.branch]
        assert kinds == ["Conv2d", "BatchNorm2d", "ReLU", "Dropout", "Conv2d"]
    assert not any(isinstance(m, nn.Dropout) for m in get("wrn-16-8", *SMALL, widen=0.5).modules())


def test_a_grouped_bottleneck_is_the_sum_of_parallel_paths():
    """Path g: its slice of the first two convolutions and normalisations, and its columns of the last one."""
    torch.manual_seed(0)
    groups, inner = 4, 8
    block = BottleneckBlock(6, 12, inner=inner, groups=groups).double().eval()
    for norm in (m for m in block.modules() if isinstance(m, nn.BatchNorm2d)):
        for values in (norm.weight, norm.bias, norm.running_mean):
            nn.init.normal_(values)
        nn.init.uniform_(norm.running_var, 0.5, 2.0)
    reduce, norm1, _, transform, norm2, _, expand, norm3 = block.branch

    def normalised(norm: nn.BatchNorm2d, z: torch.Tensor, own: slice) -> torch.Tensor:
        mean, variance, scale, shift = (
            v[own].reshape(-1, 1, 1) for v in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
        )
        return scale * (z - mean) / (variance + norm.eps).sqrt() + shift

    x = torch.randn(2, 6, 5, 5, dtype=torch.float64)
    total = 0
    for g in range(groups):
        own = slice(g * inner // groups, (g + 1) * inner // groups)
        h = normalised(norm1, torch.einsum("oc,nchw->nohw", reduce.weight[own, :, 0, 0], x), own).relu()
        h = normalised(norm2, nn.functional.conv2d(h, transform.weight[own], padding=1), own).relu()
        total = total + torch.einsum("oc,nchw->nohw", expand.weight[:, own, 0, 0], h)
    expected = (block.shortcut(x) + normalised(norm3, total, slice(None))).relu()
    torch.testing.assert_close(block(x), expected, rtol=0, atol=1e-12)


def test_resnext_has_its_groups_and_widths():
    with torch.device("meta"):
        net = get("resnext-50-32x4d", *PHOTOGRAPHS)
    middle = [stage[0].branch[3] for stage in (net.stage1, net.stage2, net.stage3, net.stage4)]
    assert [(conv.groups, conv.out_channels) for conv in middle] == [
        (32, 128),
        (32, 256),
        (32, 512),
        (32, 1024),
    ]


class TestStochasticDepth:
    def test_survival_falls_linearly_and_three_quarters_of_the_blocks_are_active(self):
        net = get("stochastic-depth-resnet", *SMALL, width=0.25)
        survivals = [m.survival for m in net.modules() if isinstance(m, Residual)]
        assert len(survivals) == 54
        assert survivals == pytest.approx([1 - n / 54 * 0.5 for n in range(1, 55)])
        assert sum(survivals) == pytest.approx((3 * 54 - 1) / 4)

    @pytest.mark.slow
    def test_blocks_are_left_out_in_training_alone(self):
        torch.manual_seed(0)
        net = get("stochastic-depth-resnet", (3, 4, 4), 10, depth=38, width=0.25)
        active: list[int] = []
        for block in (m for m in net.modules() if isinstance(m, Residual)):
            block.branch.register_forward_hook(lambda *_: active.append(1))
        x = torch.zeros(2, 3, 4, 4)
        for _ in range(100):
            net.train()(x)
        assert len(active) / 100 == pytest.approx((3 * 18 - 1) / 4, abs=0.6)
        active.clear()
        net.eval()(x)
        assert len(active) == 18

    def test_the_whole_network_is_scaled_at_test(self):
        torch.manual_seed(0)
        net = get("stochastic-depth-resnet", (3, 4, 4), 10, depth=20, width=0.25).eval()
        plain = get("resnet-20", (3, 4, 4), 10, width=0.25).eval()
        plain.load_state_dict(net.state_dict())
        x = torch.randn(2, 3, 4, 4)
        h, at = plain.stem(x), 0
        for stage in (plain.stage1, plain.stage2, plain.stage3):
            for block in stage:
                at += 1
                h = (block.shortcut(h) + (1 - at / 9 * 0.5) * block.branch(h)).relu()
        torch.testing.assert_close(net(x), plain.classifier(h.mean((2, 3))))


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("resnet18", "resnet-18"),
        ("resnet", "resnet-50"),
        ("resnet_cifar", "resnet-20"),
        ("resnet-v2-50", "preact-resnet-50"),
        ("preact-resnet", "preact-resnet-164"),
        ("wrn", "wrn-28-10"),
        ("wide_resnet", "wrn-28-10"),
        ("wide-resnet50-2", "wide-resnet-50-2"),
        ("resnext", "resnext-50-32x4d"),
        ("resnext50-32x4d", "resnext-50-32x4d"),
        ("sdnet", "stochastic-depth-resnet"),
    ],
)
def test_usual_names(alias: str, name: str):
    assert entry(alias, "architecture").name == name


def test_a_network_is_copied_whole():
    net = ResNet((3, 16, 16), 4, blocks=(1, 1), form="basic", width=0.1)
    x = torch.randn(2, 3, 16, 16)
    assert torch.equal(copy.deepcopy(net).eval()(x), net.eval()(x))
