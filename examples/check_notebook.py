"""A network checked before training; the cells of a notebook, which show the result as a table."""

# %%
import torch
from torch import nn

import preceptor

x = torch.randn(300, 4, generator=torch.Generator().manual_seed(0))
y = x[:, :3].argmax(1)
net = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3), nn.Softmax(1))
checks = ["outputs-suit-loss", "shapes"]

# %% A softmax before a loss that applies its own: the check says so.
found = preceptor.check(net, nn.functional.cross_entropy, (x, y), only=checks)
print(found)

# %% Without it the checks pass.
repaired = preceptor.check(net[:-1], nn.functional.cross_entropy, (x, y), only=checks)
print(repaired)
