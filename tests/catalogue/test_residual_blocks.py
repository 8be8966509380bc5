"""Residual blocks: their sizes, their identity path, and whole layers that are left out."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from preceptor.catalogue import get
from preceptor.catalogue.layers import BasicBlock, BottleneckBlock, PreActivationBlock
from preceptor.errors import ModelError


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def resnet(
    block: type[nn.Module], counts: tuple[int, ...], widths: tuple[int, ...], **options: object
) -> int:
    """Count the parameters of a ResNet for ImageNet: its stem, its blocks and its classifier."""
    total = 3 * 64 * 49 + 128 + (widths[-1] + 1) * 1000
    before = 64
    for stage, (count, width) in enumerate(zip(counts, widths, strict=True)):
        for at in range(count):
            stride = 2 if stage and not at else 1
            with torch.device("meta"):
                total += parameters(block(before, width, stride, **options))
            before = width
    return total


@pytest.mark.parametrize(
    ("block", "counts", "widths", "expected"),
    [
        (BasicBlock, (2, 2, 2, 2), (64, 128, 256, 512), 11_689_512),
        (BasicBlock, (3, 4, 6, 3), (64, 128, 256, 512), 21_797_672),
        (BottleneckBlock, (3, 4, 6, 3), (256, 512, 1024, 2048), 25_557_032),
        (BottleneckBlock, (3, 4, 23, 3), (256, 512, 1024, 2048), 44_549_160),
    ],
)
def test_whole_networks_have_the_published_size(block, counts, widths, expected: int):
    assert resnet(block, counts, widths) == expected


def test_pre_activation_networks_have_the_published_size():
    widths = (256, 512, 1024, 2048)
    blocks = resnet(PreActivationBlock, (3, 4, 6, 3), widths, form="bottleneck")
    assert blocks - 128 + 2 * 2048 == 25_549_352  # no normalisation in the stem, one at the end


def test_cifar_network_with_padded_shortcuts():
    total, before = 3 * 16 * 9 + 32 + 650, 16
    for width in (16, 32, 64):
        for at in range(3):
            block = BasicBlock(before, width, 2 if width > before and not at else 1, "padding")
            total, before = total + parameters(block), width
    assert total == 269_722
    y = BasicBlock(4, 8, 2, "padding")(torch.randn(2, 4, 6, 6))
    assert y.shape == (2, 8, 3, 3)
    with pytest.raises(ModelError, match="fewer channels"):
        BasicBlock(8, 4, shortcut="padding")


def test_nothing_stands_in_the_way_of_the_identity():
    block = get("pre-activation-block", 4, 4).eval()
    for m in block.branch.modules():
        if isinstance(m, nn.Conv2d):
            nn.init.zeros_(m.weight)
    x = torch.randn(2, 4, 5, 5)
    assert torch.equal(block(x), x)
    assert (x < 0).any()
    assert (get("basic-block", 4, 4).eval()(x) >= 0).all()


class TestStochasticDepth:
    def model(self) -> nn.Sequential:
        torch.manual_seed(0)
        return nn.Sequential(*[get("residual-connection", nn.Linear(4, 4)) for _ in range(5)])

    def test_late_blocks_survive_less(self):
        model = self.model()
        depth = get("stochastic-depth", last=0.5).attach(model)
        assert depth.survivals == [0.9, 0.8, 0.7, 0.6, 0.5]
        assert [block.survival for block in model] == depth.survivals
        assert get("stochastic-depth", last=0.7, rule="uniform").attach(model).survivals == [0.7] * 5

    @pytest.mark.slow
    def test_the_expected_depth_is_the_sum_of_survivals(self):
        model = self.model().train()
        survivals = get("stochastic-depth").attach(model).survivals
        calls: list[int] = []
        for block in model:
            block.branch.register_forward_hook(lambda *_: calls.append(1))
        torch.manual_seed(1)
        for _ in range(2000):
            model(torch.zeros(1, 4))
        assert len(calls) / 2000 == pytest.approx(sum(survivals), abs=0.1)  # and no work for the others

    def test_the_test_output_is_scaled_and_complete(self):
        model = self.model().eval()
        x = torch.randn(3, 4)
        survivals = get("stochastic-depth").attach(model).survivals
        h = x
        for block, survival in zip(model, survivals, strict=True):
            h = h + survival * block.branch(h)
        torch.testing.assert_close(model(x), h)

    @pytest.mark.slow
    def test_the_mean_in_training_is_the_test_output_of_one_block(self):
        block = get("residual-connection", nn.Linear(4, 4), survival=0.3)
        x = torch.randn(2, 4)
        torch.manual_seed(0)
        mean = torch.stack([block.train()(x) for _ in range(4000)]).mean(0)
        torch.testing.assert_close(mean, block.eval()(x), atol=0.05, rtol=0)

    def test_a_model_without_blocks_is_refused(self):
        with pytest.raises(ModelError, match="no residual blocks"):
            get("stochastic-depth").attach(nn.Linear(2, 2))
