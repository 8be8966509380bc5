"""A loop of one's own, watched: what is seen, what it means, and a report."""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import preceptor

torch.manual_seed(0)
inputs, labels = (torch.from_numpy(array) for array in load_digits(return_X_y=True))
inputs = inputs.float() / 16
train = DataLoader(TensorDataset(inputs[:1400], labels[:1400]), batch_size=64, shuffle=True)

model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)

with preceptor.watch() as watch:  # nothing is passed in: models and losses are met where they are used
    for _ in range(5):
        model.train()
        for x, y in train:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            held_out = nn.functional.cross_entropy(model(inputs[1400:]), labels[1400:])

print(f"{watch.steps.train} steps, last loss {watch.record.signal('loss', phase='train').last:.3f}")
print(f"loss on held-out examples {held_out.item():.3f}")
for finding in watch.findings():
    print(finding.cause, finding.severity, finding.remedy)
watch.report("plain_loop.html")
