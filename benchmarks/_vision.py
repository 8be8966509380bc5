"""The networks that training on images is compared on, and two others for what half precision is worth."""

from __future__ import annotations

from torch import Tensor, nn

from _workloads import WORKLOADS, Workload

__all__ = ["NETS", "VISION"]


class _LastStep(nn.Module):
    """An LSTM that is asked at the end of a sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.cells, self.last = nn.LSTM(64, 256, batch_first=True), nn.Linear(256, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.cells(x)[0][:, -1])


def _residual() -> list[nn.Module]:
    from preceptor.catalogue import get

    return [get("resnet-20", (3, 32, 32), 10)]


def _vgg() -> list[nn.Module]:
    layers: list[nn.Module] = []
    for before, width in ((3, 32), (32, 64), (64, 128)):
        layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()]
        layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return [*layers, nn.Flatten(), nn.Linear(128 * 16, 256), nn.ReLU(), nn.Linear(256, 10)]


def _wide() -> list[nn.Module]:
    return [nn.Linear(784, 2048), nn.ReLU(), nn.Linear(2048, 2048), nn.ReLU(), nn.Linear(2048, 10)]


_PIXELS = (3, 32, 32)
VISION = {
    w.name: w
    for w in (
        WORKLOADS["lenet"],
        Workload("resnet-20", _residual, _PIXELS, 10, batch=64, steps=16, convolutional=True),
        Workload("vgg", _vgg, _PIXELS, 10, batch=64, steps=16, convolutional=True),
    )
}
NETS = VISION | {
    w.name: w
    for w in (
        Workload("wide-mlp", _wide, (784,), 10, batch=512, steps=8),
        Workload("lstm", lambda: [_LastStep()], (50, 64), 10, batch=64, steps=12),
    )
}
