"""A network, a loss and loaders of one's own, trained by Preceptor's loop."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import preceptor


class Net(nn.Module):
    """Two branches whose outputs are added."""

    def __init__(self, width=16):
        super().__init__()
        self.straight = nn.Linear(4, 1)
        self.bent = nn.Sequential(nn.Linear(4, width), nn.Tanh(), nn.Linear(width, 1))

    def forward(self, x):
        """Return one number an example, (N, 1)."""
        return self.straight(x) + self.bent(x)


def robust(outputs, targets):
    """Return the mean loss: squared for small residuals, linear for large ones."""
    return nn.functional.smooth_l1_loss(outputs, targets)


generator = torch.Generator().manual_seed(0)
x = torch.randn(400, 4, generator=generator)
y = (x[:, :1] * x[:, 1:2]).sin() + x[:, 2:3]
train = DataLoader(TensorDataset(x[:300], y[:300]), batch_size=32, shuffle=True)
val = DataLoader(TensorDataset(x[300:], y[300:]), batch_size=100)

run = preceptor.train(Net, train, val=val, loss=robust, lr=0.01, epochs=15, seed=0, out=False)
print(f"loss on validation {run.history[0, 'val_loss']:.3f} → {run.history[-1, 'val_loss']:.3f}")
