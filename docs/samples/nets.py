"""A network of one's own, to be named on the command line as ``nets.py:Net``."""

from __future__ import annotations

from torch import Tensor, nn


class Net(nn.Module):
    """Two layers for images of 8×8 and ten classes; ``width`` is an option that --set can give."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))

    def forward(self, x: Tensor) -> Tensor:
        """Return one raw output for each class, (N, 10)."""
        out: Tensor = self.layers(x)
        return out
