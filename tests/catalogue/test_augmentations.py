"""Augmentations: identities, exact movements, and what evaluation sees."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from preceptor.catalogue import get
from preceptor.catalogue.augmentations import Augmentation, Pipeline
from preceptor.catalogue.augmentations.geometry import affine, distort
from preceptor.errors import ConfigError, DataError, ModelError


def images(n: int = 3, c: int = 2, h: int = 7, w: int = 7) -> torch.Tensor:
    return torch.randn(n, c, h, w, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def same(a: torch.Tensor, b: torch.Tensor) -> None:
    torch.testing.assert_close(a, b, atol=1e-9, rtol=0)


class TestGeometry:
    @pytest.mark.parametrize(("right", "down"), [(1, 0), (0, 2), (-2, 1), (-1, -3)])
    @pytest.mark.parametrize("size", [(7, 7), (6, 9)])
    def test_a_whole_shift_is_a_roll_with_zeros(self, right: int, down: int, size: tuple[int, int]):
        x = images(1, 1, *size)
        rolled = x.roll((down, right), (2, 3))
        rows, columns = torch.arange(size[0]), torch.arange(size[1])
        inside = ((rows - down >= 0) & (rows - down < size[0]))[:, None] & (
            (columns - right >= 0) & (columns - right < size[1])
        )
        same(affine(x, shift=torch.tensor([[right, down]])), rolled * inside)

    def test_turns(self):
        x = images()
        same(affine(x, degrees=360.0), x)
        for quarter in (1, 2, 3):
            same(affine(x, degrees=90.0 * quarter), x.rot90(quarter, (2, 3)))

    def test_a_turn_keeps_its_angle_on_images_that_are_not_square(self):
        x = torch.zeros(1, 1, 5, 9, dtype=torch.float64)
        x[..., 2, 6] = 1.0  # two pixels right of the centre
        turned = affine(x, degrees=90.0)
        assert turned[0, 0, 0, 4].item() == pytest.approx(1)

    def test_identities(self):
        x = images()
        for options in ({"scale": 1.0}, {"shear": 0.0}, {"shift": 0.0}):
            same(affine(x, **options), x)
        for name in ("rotation", "shearing"):
            same(get(name, degrees=0.0)(x), x)
        same(get("scaling", amount=0.0)(x), x)
        same(get("translation", pixels=0.0)(x), x)
        same(distort(x, 0.0), x)

    def test_scaling_enlarges_about_the_centre(self):
        x = torch.zeros(1, 1, 9, 9, dtype=torch.float64)
        x[..., 4, 6] = 1.0
        wide = affine(x, scale=torch.tensor([[2.0, 1.0]]))
        assert wide[0, 0, 4, 8].item() == pytest.approx(1)
        assert affine(x, scale=2.0)[0, 0, 4, 8].item() == pytest.approx(1)

    def test_shear_leans_vertical_lines(self):
        x = torch.zeros(1, 1, 9, 9, dtype=torch.float64)
        x[..., 4] = 1.0
        leaning = affine(x, shear=45.0)[0, 0]
        expected = torch.eye(9, dtype=torch.float64)
        assert torch.allclose(leaning, expected, atol=1e-9) or torch.allclose(
            leaning, expected.flip(0), atol=1e-9
        )

    def test_a_lens_bends_by_the_square_of_the_radius(self):
        x = images(1, 1, 9, 9)
        for strength in (-0.3, 0.2, 0.5):
            same(distort(x, strength)[..., 4, 4], x[..., 4, 4])
        ramp = (torch.arange(9, dtype=torch.float64) - 4).expand(1, 1, 9, 9)
        bent = distort(ramp, 0.1)[0, 0, 4]
        r = (torch.arange(9, dtype=torch.float64) - 4) * 2 / 9
        same(bent[1:-1], (4.5 * r * (1 + 0.1 * r**2))[1:-1])

    def test_flipping_twice_is_the_identity(self):
        x, flip = images(), get("horizontal-flip", p=1.0)
        assert torch.equal(flip(flip(x)), x)
        assert torch.equal(flip(x), x.flip(-1))
        torch.manual_seed(0)
        flipped = (get("horizontal-flip", p=0.3)(images(2000)) != images(2000)).flatten(1).any(1)
        assert flipped.double().mean().item() == pytest.approx(0.3, abs=0.03)

    def test_each_image_gets_a_draw_of_its_own_within_its_range(self):
        torch.manual_seed(0)
        x = torch.zeros(300, 1, 11, 11)
        x[..., 5, 5] = 1.0
        moved = get("translation", pixels=2)(x).flatten(1).argmax(1)
        places = {(int(i) // 11 - 5, int(i) % 11 - 5) for i in moved}
        assert places == {(a, b) for a in range(-2, 3) for b in range(-2, 3)}

    def test_other_than_images_are_refused(self):
        with pytest.raises(ModelError, match="is for images"):
            get("rotation")(torch.zeros(3, 4))


class TestCrops:
    def test_a_random_crop_is_a_window_of_its_image(self):
        x = torch.arange(3 * 49.0).reshape(3, 1, 7, 7)
        torch.manual_seed(0)
        cut = get("random-crop", 4)(x)
        for image, window in zip(x, cut, strict=True):
            windows = image[0].unfold(0, 4, 1).unfold(1, 4, 1).reshape(-1, 16)
            assert (windows == window.reshape(1, -1)).all(1).any()
        assert torch.equal(get("random-crop", 3).eval()(x), x[..., 2:5, 2:5])

    def test_padding_lets_windows_reach_beyond_the_image(self):
        torch.manual_seed(0)
        cut = get("random-crop", 7, padding=2)(torch.ones(200, 1, 7, 7))
        assert cut.shape == (200, 1, 7, 7)
        assert (cut.flatten(1) == 0).any(1).double().mean() > 0.8

    def test_resized_crops_of_a_flat_image_are_flat(self):
        torch.manual_seed(0)
        flat = torch.full((4, 2, 9, 12), 3.0)
        crop = get("random-resized-crop", 5)
        for y in (crop.train()(flat), crop.eval()(flat)):
            torch.testing.assert_close(y, torch.full((4, 2, 5, 5), 3.0))
        x = images(2, 1, 8, 8)
        same(get("random-resized-crop", 8).eval()(x), x)

    @pytest.mark.parametrize("crops", [5, 10])
    def test_fixed_crops_average_as_many_passes(self, crops: int):
        x, torch_seed = images(4, 1, 6, 6), 0
        torch.manual_seed(torch_seed)
        model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).double().eval()
        pipeline = Pipeline(get("fixed-crops", 4, crops=crops))
        windows = [x[..., a : a + 4, b : b + 4] for a, b in ((0, 0), (0, 2), (2, 0), (2, 2), (1, 1))]
        if crops == 10:
            windows += [window.flip(-1) for window in windows]
        expected = sum(model(window) for window in windows) / crops
        same(pipeline.outputs(model, x), expected)
        assert torch.equal(pipeline.outputs(model, x), pipeline.outputs(model, x))
        assert pipeline.outputs(model.train(), x).shape == (4, 3)
        of = Pipeline(get("fixed-crops", 4, crops=crops, of="probabilities"))
        probabilities = sum(model(window).softmax(1) for window in windows) / crops
        same(of.outputs(model.eval(), x).softmax(1), probabilities)

    def test_what_does_not_fit_is_refused(self):
        for name in ("random-crop", "fixed-crops"):
            with pytest.raises(ModelError, match="too small"):
                get(name, 9)(images())
        with pytest.raises(ConfigError, match="5 or 10"):
            get("fixed-crops", 4, crops=7)


class TestValues:
    def test_brightness_and_contrast_of_one_change_nothing(self):
        same(get("brightness-contrast", brightness=0, contrast=0)(images()), images())
        torch.manual_seed(0)
        x = images()
        y = get("brightness-contrast", brightness=0.5, contrast=0)(x)
        ratio = (y / x).flatten(1)
        same(ratio, ratio[:, :1].expand_as(ratio))
        y = get("brightness-contrast", brightness=0, contrast=0.5)(x)
        same(y.mean((1, 2, 3)), x.mean((1, 2, 3)))

    @pytest.mark.parametrize(("form", "power"), [("alexnet", 2), ("variance", 1)])
    def test_colours_move_along_their_principal_directions(self, form: str, power: int):
        mixing = torch.tensor([[2.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.5, 0.2, 0.1]], dtype=torch.float64)
        x = torch.einsum("dc,nchw->ndhw", mixing, images(50, 3))
        jitter = get("pca-colour", std=0.3, form=form)
        jitter.fit(x)
        pixels = x.transpose(0, 1).flatten(1)
        values, vectors = torch.linalg.eigh(torch.cov(pixels, correction=0))
        torch.manual_seed(0)
        many = torch.zeros(20_000, 3, 1, 1, dtype=torch.float64)
        shifts = jitter(many)[:, :, 0, 0] @ vectors
        torch.testing.assert_close(shifts.var(0), 0.09 * values**power, rtol=0.05, atol=1e-6)
        y = jitter(x)
        same((y - x)[:, :, :1, :1].expand_as(x), y - x)
        flat = torch.zeros(4, 2, 3, 3, dtype=torch.float64)
        flat[:, 0] = images(4, 1, 3, 3)[:, 0]
        jitter.fit(flat)
        assert (jitter(flat)[:, 1] == 0).all()  # no shift beyond the span of the colours

    def test_colours_must_have_been_seen(self):
        with pytest.raises(ModelError, match="seen no colours"):
            get("pca-colour")(images())

    def test_generated_examples_are_counted(self):
        more = get("aug-model", lambda k: (torch.ones(k, 2), torch.ones(k, dtype=torch.long)), share=0.25)
        for _ in range(3):
            x, y = more.examples(torch.zeros(9, 2), torch.zeros(9, dtype=torch.long))
            assert (len(x), int(y.sum())) == (12, 3)
        assert more.generated_share == 0.25
        with pytest.raises(DataError, match="not usable"):
            get("generated-examples", lambda k: torch.ones(k)).examples(torch.zeros(9, 2), torch.zeros(9))


class TestPipeline:
    def test_the_model_s_mode_decides(self):
        model = nn.Flatten()
        pipeline = Pipeline(get("additive-noise"), get("horizontal-flip"))
        x = images().float()
        torch.manual_seed(0)
        assert not torch.equal(pipeline.outputs(model.train(), x), x.flatten(1))
        assert torch.equal(pipeline.outputs(model.eval(), x), x.flatten(1))

    def test_shapes_are_known(self):
        assert Pipeline(get("random-crop", 4), get("fixed-crops", 3)).shape((2, 7, 7)) == (2, 3, 3)
        assert Pipeline(get("fixed-crops", 4), get("fixed-crops", 3)).views == 25

    def test_steps_are_fitted_one_behind_the_other(self):
        class Halved(Augmentation):
            def fixed(self, x: torch.Tensor) -> torch.Tensor:
                return x / 2

        jitter = get("pca-colour")
        Pipeline(Halved(), jitter).fit(images(5, 3))
        direct = get("pca-colour")
        direct.fit(images(5, 3))
        same(jitter.values, direct.values / 4)


def test_lens_distortion_is_that_of_the_drawn_strength():
    x = images(4)
    lens = get("lens-distortion", strength=0.3).train()
    torch.manual_seed(0)
    bent = lens(x)
    torch.manual_seed(0)
    strength = -0.3 + 0.6 * torch.rand(4, dtype=torch.float64)
    same(bent, distort(x, strength))
    same(bent[..., 3, 3], x[..., 3, 3])  # the centre stays
    same(lens.eval()(x), x)
