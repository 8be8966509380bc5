"""Layers against loops, other libraries, and each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d
from torch import nn

from preceptor.catalogue import get
from preceptor.errors import ConfigError, ModelError


def layer(name: str, *arguments: object, **options: object) -> nn.Module:
    torch.manual_seed(0)
    return get(name, *arguments, kind="layer", **options).double()


def image(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


class TestFullyConnected:
    def test_counts_and_computes(self):
        f = layer("dense", 7, 5, activation="tanh")
        x = image(3, 7)
        assert parameters(f) == 7 * 5 + 5
        w, b = f[0].weight.tolist(), f[0].bias.tolist()
        by_hand = [
            [np.tanh(b[j] + sum(w[j][i] * float(x[n, i]) for i in range(7))) for j in range(5)]
            for n in range(3)
        ]
        torch.testing.assert_close(f(x), torch.tensor(by_hand, dtype=torch.float64))

    def test_a_bias_before_a_normalization_is_left_out(self):
        names = [type(m).__name__ for m in layer("fc", 3, 4, activation="relu", normalization="batch-norm")]
        assert names == ["Linear", "BatchNorm", "ReLU"]
        assert layer("fc", 3, 4, normalization="batch-norm")[0].bias is None
        after = layer("fc", 3, 4, activation="relu", normalization="batch-norm", order="after")
        assert [type(m).__name__ for m in after] == ["Linear", "ReLU", "BatchNorm"]
        assert after[0].bias is not None

    def test_bottleneck_is_a_product_of_narrow_matrices(self):
        narrow = layer("linear-bottleneck", 100, 80, rank=5)
        assert parameters(narrow) == 5 * (100 + 80) + 80
        x = image(2, 100)
        torch.testing.assert_close(narrow(x), x @ (narrow[1].weight @ narrow[0].weight).T + narrow[1].bias)
        assert torch.linalg.matrix_rank(narrow[1].weight @ narrow[0].weight) == 5


class TestMLP:
    def test_matches_explicit_loops(self):
        torch.manual_seed(0)
        net = get("mlp", (4,), 2, hidden=[5, 3], activation="tanh").double()
        x = image(2, 4)
        for row, output in zip(x, net(x), strict=True):
            h = row.tolist()
            linears = [m for m in net if isinstance(m, nn.Linear)]
            for at, m in enumerate(linears):
                w, b = m.weight.tolist(), m.bias.tolist()
                a = [b[j] + sum(w[j][i] * h[i] for i in range(len(h))) for j in range(len(b))]
                h = a if at == len(linears) - 1 else [float(np.tanh(v)) for v in a]
            torch.testing.assert_close(output, torch.tensor(h, dtype=torch.float64))


class TestConvolution:
    @pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 0), (2, 1), (3, 2)])
    def test_matches_explicit_loops_with_one_bias_for_each_filter(self, stride: int, padding: int):
        conv = layer("conv2d", 2, 3, kernel=3, stride=stride, padding=padding)
        x = image(1, 2, 7, 6)
        padded = nn.functional.pad(x, [padding] * 4)[0]
        output = conv(x)[0]
        for o in range(3):
            for j in range(output.shape[1]):
                for k in range(output.shape[2]):
                    window = padded[:, j * stride : j * stride + 3, k * stride : k * stride + 3]
                    torch.testing.assert_close(
                        output[o, j, k], conv.bias[o] + (window * conv.weight[o]).sum()
                    )
        assert conv.bias.shape == (3,)
        assert parameters(conv) == (2 * 9 + 1) * 3

    def test_true_convolution_is_scipy_s(self):
        conv = layer("true-convolution", 1, 1, kernel=3, bias=False)
        x = image(1, 1, 6, 5)
        expected = convolve2d(x[0, 0], conv.weight[0, 0].detach(), mode="valid")
        torch.testing.assert_close(conv(x)[0, 0], torch.from_numpy(expected))
        plain = nn.functional.conv2d(x, conv.weight)
        assert not torch.allclose(plain, conv(x))
        torch.testing.assert_close(nn.functional.conv2d(x, conv.weight.flip(-1, -2)), conv(x))

    def test_strided_is_every_second_of_the_plain_one(self):
        for stride in (2, 3):
            strided, x = layer("strided-convolution", 2, 3, stride=stride), image(1, 2, 9, 8)
            plain = nn.functional.conv2d(x, strided.weight, strided.bias)
            torch.testing.assert_close(strided(x), plain[..., ::stride, ::stride])

    def test_valid_shrinks_and_same_keeps(self):
        x = image(1, 2, 9, 8)
        assert layer("valid-convolution", 2, 1, kernel=4)(x).shape == (1, 1, 6, 5)
        for kernel in (1, 2, 3, 4, 5):
            same = layer("same-convolution", 2, 3, kernel=kernel)
            assert same(x).shape == (1, 3, 9, 8)
            after, before = kernel // 2, (kernel - 1) // 2
            padded = nn.functional.pad(x, [before, after, before, after])
            torch.testing.assert_close(same(x), nn.functional.conv2d(padded, same.weight, same.bias))
        assert layer("same-convolution", 2, 3, stride=2)(x).shape == (1, 3, 5, 4)
        halved = (9 + 2 * ((3 - 1) // 2) - 3) // 2 + 1
        assert halved == 5  # (kernel − 1) / 2 does not keep the size under a stride

    def test_zero_padding_has_a_border_of_zeros(self):
        x = image(1, 1, 3, 3)
        y = layer("padding", padding=2)(x)
        assert torch.equal(y[..., 2:5, 2:5], x)
        assert (y != 0).sum() == 9

    def test_pointwise_is_linear_over_the_channels(self):
        conv, x = layer("1x1-convolution", 5, 3), image(2, 5, 4, 4)
        linear = nn.functional.linear(x.movedim(1, -1), conv.weight[:, :, 0, 0], conv.bias).movedim(-1, 1)
        torch.testing.assert_close(conv(x), linear)

    def test_dilated_equals_a_kernel_with_holes(self):
        conv, x = layer("dilated-convolution", 1, 1, dilation=2, padding="valid"), image(1, 1, 8, 8)
        holes = torch.zeros(1, 1, 5, 5, dtype=torch.float64)
        holes[..., ::2, ::2] = conv.weight.detach()
        torch.testing.assert_close(conv(x), nn.functional.conv2d(x, holes, conv.bias))

    def test_separable_has_fewer_parameters(self):
        separable = layer("depthwise-separable-convolution", 32, 64)
        assert parameters(separable) == 32 * 9 + 32 * 64
        assert parameters(separable) / (32 * 64 * 9) == pytest.approx(1 / 64 + 1 / 9)
        x = image(1, 32, 5, 5)
        full = torch.einsum("oc,cij->ocij", separable[1].weight[:, :, 0, 0], separable[0].weight[:, 0])
        torch.testing.assert_close(separable(x), nn.functional.conv2d(x, full, padding=1))
        assert layer("sepconv", 3, 4, kernel=4)(image(1, 3, 6, 6)).shape == (1, 4, 6, 6)


class TestCausality:
    @pytest.mark.parametrize(("delay", "first"), [(0, 1), (1, 0)])
    def test_no_output_sees_what_comes_later(self, delay: int, first: int):
        conv = layer("causal-convolution", 1, 1, kernel=3, dilation=2, delay=delay)
        x = image(1, 1, 12).requires_grad_()
        for t in range(12):
            (gradient,) = torch.autograd.grad(conv(x)[0, 0, t], x)
            assert (gradient[0, 0, t + first :] == 0).all()
            seen = [t - delay - 2 * m for m in range(3) if t - delay - 2 * m >= 0]
            assert (gradient[0, 0, seen] != 0).all()

    @pytest.mark.parametrize("mask", ["a", "b"])
    def test_masked_convolution_sees_what_is_above_and_to_the_left(self, mask: str):
        conv = layer("masked-convolution", 1, 1, kernel=5, mask=mask)
        x = image(1, 1, 7, 7).requires_grad_()
        (gradient,) = torch.autograd.grad(conv(x)[0, 0, 3, 3], x)
        seen = gradient[0, 0] != 0
        before = torch.zeros(7, 7, dtype=torch.bool)
        before[1:3, 1:6] = True
        before[3, 1:3] = True
        before[3, 3] = mask == "b"
        assert torch.equal(seen, before)

    def test_the_mask_holds_after_any_update(self):
        conv = layer("masked-convolution", 1, 1)
        nn.init.constant_(conv.weight, 1.0)
        x = torch.zeros(1, 1, 3, 3, dtype=torch.float64)
        x[0, 0, 1, 1] = 1.0
        assert conv(x)[0, 0, 1, 1] == conv.bias

    def test_an_even_mask_is_refused(self):
        with pytest.raises(ConfigError, match="no centre"):
            get("masked-convolution", 1, 1, kernel=4)


class TestFilters:
    def test_sums_and_answers(self):
        assert layer("sharpen").kernel.sum() == 1
        for shape in ("box", "gaussian"):
            assert layer("blur", shape=shape).kernel.sum() == pytest.approx(1)
        step = torch.zeros(1, 1, 6, 6, dtype=torch.float64)
        step[..., 3:, :] = 1
        for shape in ("sobel", "prewitt"):
            edge = layer("horizontal-edge", shape=shape)
            assert edge.kernel.sum() == 0
            answer = edge(step)[0, 0]
            assert (answer[2:4] != 0).all()
            assert (answer[[0, 1, 4, 5]] == 0).all()
            assert (edge(step.transpose(2, 3)) == 0).all()
            assert (layer("edge-filter", shape=shape, direction="vertical")(step) == 0).all()


class TestPooling:
    def test_average_divides_by_the_whole_window(self):
        x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]], dtype=torch.float64)
        assert layer("avgpool")(x).item() == 2.5
        assert x.sum() / 2 * 2 == 10  # what "sum / H · W" gives when it is read from the left

    def test_sizes_are_floored_and_channels_kept(self):
        x = image(2, 5, 7, 9)
        for name in ("maxpool", "avgpool"):
            assert layer(name)(x).shape == (2, 5, 3, 4)
            assert layer(name, kernel=3, stride=2)(x).shape == (2, 5, 3, 4)
        y = layer("maxpool", kernel=3, stride=2)(x)
        assert y[1, 4, 2, 3] == x[1, 4, 4:7, 6:9].max()

    def test_global_average_takes_any_size(self):
        gap = layer("global-average-pooling")
        for size in (1, 4, 9):
            x = image(2, 3, size, size + 1)
            torch.testing.assert_close(gap(x), x.flatten(2).mean(2))
        assert parameters(gap) == 0

    def test_fractional_pooling_is_random_in_training_and_an_average_at_test(self):
        pool, x = layer("fractional-max-pooling", ratio=0.7), image(2, 3, 20, 20)
        assert pool(x).shape == (2, 3, 14, 14)
        assert not torch.equal(pool(x), pool(x))
        pool.eval()
        assert torch.equal(pool(x), pool(x))
        one = layer("fractional-max-pooling", ratio=0.7, maps=1).eval()
        values = one(x)
        assert torch.isin(values, x).all()
        assert not torch.isin(pool(x), x).all()


class TestUpsampling:
    def test_nearest_repeats(self):
        x = image(1, 1, 2, 2)
        y = layer("nearest-upsampling", factor=3)(x)
        assert torch.equal(y, x.repeat_interleave(3, 2).repeat_interleave(3, 3))

    def test_bilinear_keeps_a_ramp(self):
        ramp = torch.arange(6.0, dtype=torch.float64).expand(1, 1, 6, 6)
        corners = layer("bilinear-upsampling", align_corners=True)(ramp)
        torch.testing.assert_close(corners[0, 0, 0], torch.linspace(0, 5, 12, dtype=torch.float64))
        plain = layer("bilinear-upsampling")(ramp)[0, 0, 0]
        expected = (torch.arange(12, dtype=torch.float64) + 0.5) / 2 - 0.5
        torch.testing.assert_close(plain[1:-1], expected[1:-1])
        assert plain[0] == 0 != expected[0]

    def test_bicubic_keeps_a_parabola_and_overshoots_steps(self):
        at = torch.arange(10.0, dtype=torch.float64)
        expected = ((torch.arange(20, dtype=torch.float64) + 0.5) / 2 - 0.5).square()
        parabola = at.square().expand(1, 1, 10, 10)
        torch.testing.assert_close(layer("bicubic-upsampling")(parabola)[0, 0, 5][4:-4], expected[4:-4])
        torch_s = layer("bicubic-upsampling", weights="torch")
        torch.testing.assert_close(torch_s(parabola), nn.Upsample(scale_factor=2, mode="bicubic")(parabola))
        assert (torch_s(parabola)[0, 0, 5][4:-4] - expected[4:-4]).abs().max() > 0.05
        step = (at > 4).double().expand(1, 1, 10, 10)
        assert layer("bicubic-upsampling")(step).max() > 1.01

    def test_unpooling_returns_the_maxima_to_their_places(self):
        x = image(2, 3, 6, 6)
        pooled, places = nn.functional.max_pool2d(x, 2, return_indices=True)
        back = layer("max-unpooling")(pooled, places)
        assert torch.equal(back[back != 0], x[back != 0])
        assert torch.equal(nn.functional.max_pool2d(back.abs(), 2), pooled.abs())

    @pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (3, 2, 1), (4, 2, 1), (3, 1, 0)])
    def test_transposed_is_insertion_and_flipped_convolution(self, kernel: int, stride: int, padding: int):
        up = layer("up-convolution", 3, 2, kernel=kernel, stride=stride, padding=padding, bias=False)
        x = image(1, 3, 5, 5)
        wide = layer("zero-insertion", factor=stride)(x)
        wide = wide[..., : wide.shape[2] - stride + 1, : wide.shape[3] - stride + 1]
        flipped = up.weight.transpose(0, 1).flip(-1, -2)
        torch.testing.assert_close(
            up(x), nn.functional.conv2d(nn.functional.pad(wide, [kernel - 1 - padding] * 4), flipped)
        )

    def test_transposed_is_the_adjoint(self):
        up = layer("transposed-convolution", 3, 2, kernel=3, stride=2, padding=1, bias=False)
        u = image(1, 2, 9, 9)
        v = image(1, 3, 5, 5)
        down = nn.functional.conv2d(u, up.weight, stride=2, padding=1)
        torch.testing.assert_close((down * v).sum(), (u * up(v)).sum())

    def test_uneven_overlap_shows_as_a_checkerboard(self):
        def unevenness(kernel: int) -> float:
            up = layer("transposed-convolution", 1, 1, kernel=kernel, stride=2, bias=False)
            nn.init.ones_(up.weight)
            middle = up(torch.ones(1, 1, 8, 8, dtype=torch.float64))[..., 4:-4, 4:-4]
            return (middle.max() - middle.min()).item()

        assert unevenness(4) == 0
        assert unevenness(3) > 0


class TestSkips:
    def test_a_zero_branch_is_the_identity_and_the_gradient_is_one_plus_the_branch_s(self):
        branch = nn.Linear(3, 3).double()
        skip = get("skip-connection", branch)
        x = image(3)
        jacobian = torch.autograd.functional.jacobian(skip, x)
        torch.testing.assert_close(jacobian, torch.eye(3, dtype=torch.float64) + branch.weight.detach())
        nn.init.zeros_(branch.weight)
        nn.init.zeros_(branch.bias)
        assert torch.equal(skip(x), x)

    def test_shapes_that_differ_are_refused(self):
        with pytest.raises(ModelError, match="cannot be added"):
            get("skip-connection", nn.Linear(3, 2))(torch.zeros(1, 3))

    def test_concatenation_adds_channels_and_crops_the_centre(self):
        join = get("concatenating-skip", nn.Conv2d(2, 5, 3).double())
        x = image(1, 2, 8, 8)
        y = join(x)
        assert y.shape == (1, 7, 6, 6)
        assert torch.equal(y[:, :2], x[..., 1:7, 1:7])

    def test_inception_counts(self):
        block = get("inception", 192, kind="layer")
        assert parameters(block) == 163_696
        assert block(torch.zeros(1, 192, 4, 4)).shape == (1, 256, 4, 4)
        with pytest.raises(ConfigError, match="three is not usable"):
            get("inception", 3, kind="layer", three=128)
