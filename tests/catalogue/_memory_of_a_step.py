"""Prints the memory of training steps, in MiB, as foretold and as this process takes it."""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from preceptor.catalogue import get


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.a = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.b = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)])
        self.short = nn.Conv2d(inputs, outputs, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        inner = self.norms[0](self.a(x)).relu()
        return (self.norms[1](self.b(inner)) + self.short(x)).relu()


def convnet() -> nn.Module:
    layers: list[nn.Module] = []
    for inputs, outputs in ((3, 64), (64, 128), (128, 256)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
        layers += [nn.Conv2d(outputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(4096, 10))


def residual() -> nn.Module:
    blocks = [Block(16, 16), Block(16, 16), Block(16, 32, 2), Block(32, 32), Block(32, 64, 2), Block(64, 64)]
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)
    )


NETS = {
    "mlp": (lambda: get("mlp", (784,), 10, hidden=(4096, 4096)), (784,), 512),
    "convnet": (convnet, (3, 32, 32), 64),
    "residual": (residual, (3, 32, 32), 128),
}


def resident(what: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024


def steps(model: nn.Module, x: Tensor, count: int) -> None:
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    targets = torch.zeros(len(x), dtype=torch.long)
    for _ in range(count):
        optimizer.zero_grad()
        cross_entropy(model(x), targets).backward()
        optimizer.step()


def main() -> None:
    make, shape, batch = NETS[sys.argv[1]]
    model = make()
    memory = get("training-memory", model, shape, batch_size=batch)
    steps(
        nn.Sequential(Block(2, 2, 2), nn.Flatten(), nn.Linear(8, 2)), torch.zeros(2, 2, 4, 4), 1
    )  # libraries
    gc.collect()
    before = resident("VmRSS") - memory.parameters / 2**20
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
    x = torch.rand(batch, *shape)
    if x.ndim == 4:  # as a training on a CPU lays them out
        model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    steps(model, x, 3)
    print(json.dumps({"estimated": memory.peak / 2**20, "measured": resident("VmHWM") - before}))


if __name__ == "__main__":
    main()
