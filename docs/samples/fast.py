"""A training that fails: its learning rate is far too high."""

import torch
from torch import nn

torch.manual_seed(0)
inputs = torch.randn(512, 8)
labels = inputs[:, :3].argmax(1)
model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 3))
optimizer = torch.optim.SGD(model.parameters(), lr=300.0)

for _ in range(10):
    for x, y in zip(inputs.split(32), labels.split(32), strict=True):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
    print(f"loss {loss.item():.3f}")
