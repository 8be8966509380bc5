"""What the planted programs learn from: digits, a table, waves, letters, and what may be wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from sklearn.datasets import load_diabetes, load_digits
from torch import Tensor

from _planted_problem import Split

TRAIN = 1200  # of the 1,797 digits


@cache
def _pixels() -> tuple[Tensor, Tensor]:
    x, y = load_digits(return_X_y=True)
    return torch.tensor(x, dtype=torch.float32) / 16, torch.tensor(y)


def parted(x: Tensor, y: Tensor, seed: int, train: int) -> Split:
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    x, y = x[order], y[order]
    return Split(x[:train], y[:train], x[train:], y[train:])


def standardised(split: Split) -> Split:
    mean, std = split.x.mean(dim=0), split.x.std(dim=0)
    return split.map(lambda x: (x - mean) / (std + 0.1))


def digit_table(seed: int) -> Split:
    return standardised(parted(*_pixels(), seed, TRAIN))


def digit_images(seed: int) -> Split:
    return parted(*_pixels(), seed, TRAIN).map(lambda x: (x.reshape(-1, 1, 8, 8) - 0.3) / 0.38)


def digit_rows(seed: int) -> Split:
    return parted(*_pixels(), seed, TRAIN).map(lambda x: x.reshape(-1, 8, 8))


def digit_copies(seed: int) -> Split:
    x, _ = _pixels()
    return parted(x, x, seed, TRAIN)


def signed(data: Callable[[int], Split]) -> Callable[[int], Split]:
    """Is it a digit above four? Targets are 0.0 and 1.0 in a column."""

    def build(seed: int) -> Split:
        split = data(seed)
        split.y, split.val_y = ((y > 4).float().unsqueeze(1) for y in (split.y, split.val_y))
        return split

    return build


def blurred(data: Callable[[int], Split], count: int = 500) -> Callable[[int], Split]:
    """Fewer samples under strong noise: a task that cannot be learned to perfection."""

    def build(seed: int) -> Split:
        split = data(seed)
        noise = torch.Generator().manual_seed(seed)
        split = split.map(lambda x: x + 0.9 * x.std() * torch.randn(x.shape, generator=noise))
        split.x, split.y = split.x[:count], split.y[:count]
        return split

    return build


def coloured(seed: int) -> Split:
    """Digits in a colour of their own, channels last."""
    paint = torch.Generator().manual_seed(seed)

    def colour(x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1) * torch.rand(len(x), 1, 1, 3, generator=paint)

    return digit_images(seed).map(colour)


def diabetes_raw(seed: int) -> Split:
    """The table in its units: years, mg/dl, …"""
    x, _ = load_diabetes(return_X_y=True, scaled=False)
    split = diabetes(seed)
    raw = parted(torch.tensor(x, dtype=torch.float32), torch.zeros(len(x)), seed, 300)
    return Split(raw.x, split.y, raw.val_x, split.val_y)


def long_series(seed: int) -> Split:
    """Forty values of a wave, and the one that follows."""
    noise = torch.Generator().manual_seed(seed)
    phase = 6.28 * torch.rand(1000, 1, generator=noise)
    pace = 0.2 + 0.3 * torch.rand(1000, 1, generator=noise)
    wave = torch.sin(phase + pace * torch.arange(41.0)) + 0.05 * torch.randn(1000, 41, generator=noise)
    return parted(wave[:, :40].unsqueeze(2), wave[:, 40:], seed, 800)


def spiky(data: Callable[[int], Split], factor: float) -> Callable[[int], Split]:
    """One sample in a hundred comes from an instrument that fails: so many times its value."""

    def spoil(x: Tensor) -> Tensor:
        x = x.clone()
        x[::100] *= factor
        return x

    return lambda seed: data(seed).map(spoil)


def text(seed: int) -> Split:
    """Sixteen streams of letters from a chain that knows the last two; each sample is a stretch of one."""
    chain = torch.Generator().manual_seed(7)
    follows = torch.rand(12, 12, 12, generator=chain).pow(8)
    draw = torch.Generator().manual_seed(seed)
    letters = torch.randint(12, (16, 2), generator=draw)
    for _ in range(1215):
        share = follows[letters[:, -2], letters[:, -1]]
        letters = torch.cat([letters, torch.multinomial(share, 1, generator=draw)], dim=1)
    x, y = letters[:, :-1], letters[:, 1:]
    x, y = (part.reshape(16, 76, 16).transpose(0, 1).reshape(-1, 16) for part in (x, y))
    return Split(x[:1024], y[:1024], x[1024:], y[1024:])


def diabetes(seed: int) -> Split:
    x, y = load_diabetes(return_X_y=True)
    table = torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32).unsqueeze(1)
    split = standardised(parted(*table, seed, 300))
    mean, std = split.y.mean(), split.y.std()
    return Split(split.x, (split.y - mean) / std, split.val_x, (split.val_y - mean) / std)


def ink(seed: int) -> Split:
    """Images of digits; the target says where a digit's ink is: right or left, standardised."""
    x, _ = _pixels()
    images = x.reshape(-1, 1, 8, 8)
    across = torch.linspace(-1, 1, 8)
    centre = ((images * across).sum(dim=(1, 2, 3)) / images.sum(dim=(1, 2, 3))).unsqueeze(1)
    return parted((images - 0.3) / 0.38, (centre - centre.mean()) / centre.std(), seed, TRAIN)


def series(seed: int) -> Split:
    """Twelve values of a wave with noise, and the one that follows."""
    noise = torch.Generator().manual_seed(seed)
    phase = 6.28 * torch.rand(1500, 1, generator=noise)
    pace = 0.3 + 0.4 * torch.rand(1500, 1, generator=noise)
    wave = torch.sin(phase + pace * torch.arange(13.0)) + 0.1 * torch.randn(1500, 13, generator=noise)
    return parted(wave[:, :12].unsqueeze(2), wave[:, 12:], seed, 1100)
