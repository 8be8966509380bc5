"""A training script with a mistake, which knows nothing of Preceptor: preceptor run unmodified_script.py."""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
inputs, labels = (torch.from_numpy(array) for array in load_digits(return_X_y=True))
loader = DataLoader(TensorDataset(inputs.float() / 16, labels), batch_size=64, shuffle=True)

model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

for epoch in range(3):
    for x, y in loader:
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()  # where is zero_grad?
        optimizer.step()
    print(f"epoch {epoch + 1}: loss {loss.item():.3f}")
