"""The usual augmentation: which parts act, by size, channels and options."""

from __future__ import annotations

import pytest
import torch

from preceptor.catalogue import get
from preceptor.errors import ModelError


def standard(**options):
    return get("standard", kind="augmentation", **options)


def ramp(h: int = 16, w: int = 16, c: int = 1, n: int = 64) -> torch.Tensor:
    return torch.arange(1.0, w + 1).expand(n, c, h, w).clone()


def test_small_images_move_by_at_most_an_eighth_of_their_side():
    torch.manual_seed(0)
    x = ramp()
    y = standard(mirror=False)(x)
    shifts = [row[row > 0] - x[0, 0, 8][row > 0] for row in y[:, 0, 8]]
    assert {int(shift.unique()) for shift in shifts} == set(range(-2, 3))
    assert y.shape == x.shape


def test_half_of_the_images_are_mirrored():
    torch.manual_seed(0)
    y = standard()(ramp(n=400))
    falling = (y[:, 0, 8, 6] > y[:, 0, 8, 9]).float().mean()
    assert 0.4 < float(falling) < 0.6
    rising = standard(mirror=False)(ramp(n=50))
    assert bool((rising[:, 0, 8, 6] < rising[:, 0, 8, 9]).all())


def test_small_images_keep_their_colours():
    torch.manual_seed(0)
    y = standard()(torch.full((8, 3, 16, 16), 2.0))
    assert sorted(y.unique().tolist()) == [0.0, 2.0]


@pytest.mark.parametrize("channels", [1, 3])
def test_large_images_change_in_light(channels: int):
    torch.manual_seed(0)
    x = torch.rand(6, channels, 70, 80)
    augment = standard()
    augment.fit(x)
    y = augment(x)
    assert y.shape == x.shape
    assert len({round(float(image.std()), 4) for image in y}) == 6
    flat = standard(colour=False)(torch.ones(2, channels, 70, 80))
    torch.testing.assert_close(flat, torch.ones_like(flat))


def test_evaluation_sees_the_images_as_they_are():
    x = torch.rand(2, 3, 70, 66)
    assert torch.equal(standard().eval()(x), x)


def test_windows_need_not_be_square():
    torch.manual_seed(0)
    x = torch.rand(4, 2, 12, 20)
    assert get("random-crop", [8, 16])(x).shape == (4, 2, 8, 16)
    assert get("random-resized-crop", (6, 10))(x).shape == (4, 2, 6, 10)
    assert torch.equal(get("random-crop", [8, 16]).eval()(x), x[..., 2:10, 2:18])
    torch.testing.assert_close(get("random-resized-crop", (12, 20)).eval()(x), x)


def test_other_inputs_are_refused():
    with pytest.raises(ModelError, match="standard is for images"):
        standard()(torch.zeros(2, 8))
