"""Training programs as people write them: each trains for a number of steps and knows of no watch.

Data are synthetic, from a fixed seed; every loop takes its batches from a shuffling DataLoader and reads
``loss.item()`` at every step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

__all__ = ["PROGRAMS", "between"]

Program = Callable[[int], float]

PROGRAMS: dict[str, Program] = {}
between: list[Callable[[], None]] = []
"""What a benchmark wants to be called between two steps."""


def program(function: Program) -> Program:
    PROGRAMS[function.__name__.replace("_", "-")] = function
    return function


def loader_of(*tensors: Tensor, batch_size: int = 64) -> DataLoader[Any]:
    return DataLoader(TensorDataset(*tensors), batch_size=batch_size, shuffle=True)


def batches(loader: Iterable[Any], steps: int) -> Iterator[Any]:
    """Go through the loader again and again until so many batches have been given."""
    given = 0
    while True:
        for batch in loader:
            if given == steps:
                return
            for call in between:
                call()
            yield batch
            given += 1


def labelled(examples: int, *shape: int, classes: int = 10) -> tuple[Tensor, Tensor]:
    """Return noise, and labels that a few of its features decide, so that there is something to learn."""
    x = torch.randn(examples, *shape)
    return x, (x.flatten(1)[:, :classes]).argmax(1)


@program
def tiny(steps: int) -> float:
    """MLP 32-32-4, batch 32: well below a millisecond a step."""
    torch.manual_seed(0)
    loader = loader_of(*labelled(2048, 32, classes=4), batch_size=32)
    model = nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 4))
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    total = 0.0
    for x, y in batches(loader, steps):
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total / steps


@program
def mlp(steps: int) -> float:
    """MLP 784-256-128-10, Adam, batch 64."""
    torch.manual_seed(0)
    loader = loader_of(*labelled(6400, 784))
    model = nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 256),
        nn.ReLU(),
        nn.Linear(256, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    total = 0.0
    for x, y in batches(loader, steps):
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total / steps


class LeNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(400, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(torch.relu(self.conv1(x)), 2)
        x = functional.max_pool2d(torch.relu(self.conv2(x)), 2)
        x = torch.relu(self.fc1(x.flatten(1)))
        return self.fc3(torch.relu(self.fc2(x)))


@program
def lenet(steps: int) -> float:
    """LeNet-5, SGD with momentum, batch 64; a validation pass every 200 steps."""
    torch.manual_seed(0)
    loader = loader_of(*labelled(3200, 1, 28, 28))
    val_x, val_y = labelled(256, 1, 28, 28)
    model = LeNet()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    total = 0.0
    for step, (x, y) in enumerate(batches(loader, steps), start=1):
        model.train()
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        total += loss.item()
        if step % 200 == 0:
            model.eval()
            with torch.no_grad():
                functional.cross_entropy(model(val_x), val_y).item()
    return total / steps


class Residual(nn.Module):
    def __init__(self, width: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.shortcut = nn.Sequential()
        if stride != 1 or width != out:
            self.shortcut = nn.Sequential(nn.Conv2d(width, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        out = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(out)) + self.shortcut(x))


def small_resnet(classes: int = 10) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        Residual(16, 16, 1),
        Residual(16, 32, 2),
        Residual(32, 64, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, classes),
    )


@program
def resnet(steps: int) -> float:
    """Residual network of 7 convolutions on 3×32×32, batch 64, one-cycle schedule."""
    torch.manual_seed(0)
    loader = loader_of(*labelled(640, 3, 32, 32))
    model = small_resnet()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=steps + 1)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    total = 0.0
    for x, y in batches(loader, steps):
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        scheduler.step()
        total += loss.item()
    return total / steps


class CharLSTM(nn.Module):
    def __init__(self, symbols: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, 32)
        self.lstm = nn.LSTM(32, 128, batch_first=True)
        self.head = nn.Linear(128, symbols)

    def forward(self, tokens: Tensor) -> Tensor:
        hidden, _ = self.lstm(self.embedding(tokens))
        return self.head(hidden)


def text(sequences: int, length: int, symbols: int) -> Tensor:
    """Return sequences in which each symbol follows its predecessor by a small random stride."""
    strides = torch.randint(1, 4, (sequences, length))
    return strides.cumsum(1) % symbols


@program
def char_lstm(steps: int) -> float:
    """LSTM of 128 units over 40 characters, batch 32, gradients clipped."""
    torch.manual_seed(0)
    loader = loader_of(text(640, 41, 64), batch_size=32)
    model = CharLSTM(64)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    criterion = nn.CrossEntropyLoss()
    total = 0.0
    for (tokens,) in batches(loader, steps):
        optimizer.zero_grad()
        logits = model(tokens[:, :-1])
        loss = criterion(logits.reshape(-1, 64), tokens[:, 1:].reshape(-1))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        total += loss.item()
    return total / steps


class SeriesGRU(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(4, 64, num_layers=2, batch_first=True, dropout=0.1)
        self.head = nn.Linear(64, 1)

    def forward(self, series: Tensor) -> Tensor:
        _, last = self.gru(series)
        return self.head(last[-1]).squeeze(1)


@program
def gru(steps: int) -> float:
    """Two-layer GRU of 64 units that forecasts a series from 30 values of 4 variables."""
    torch.manual_seed(0)
    series = torch.randn(1280, 30, 4).cumsum(1) / 5
    loader = loader_of(series, series[:, -5:, 0].mean(1))
    model = SeriesGRU()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    criterion = nn.MSELoss()
    total = 0.0
    for x, y in batches(loader, steps):
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total / steps


class TransformerLM(nn.Module):
    def __init__(self, symbols: int, length: int, width: int = 128) -> None:
        super().__init__()
        self.tokens = nn.Embedding(symbols, width)
        self.positions = nn.Parameter(torch.randn(length, width) * 0.02)
        layer = nn.TransformerEncoderLayer(
            width, 4, 4 * width, dropout=0.1, batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, symbols)

    def forward(self, tokens: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
        hidden = self.blocks(self.tokens(tokens) + self.positions, mask=mask, is_causal=True)
        return self.head(self.norm(hidden))


@program
def transformer(steps: int) -> float:
    """Language model of two transformer blocks of width 128 over 48 tokens, AdamW with warm-up."""
    torch.manual_seed(0)
    loader = loader_of(text(320, 49, 96), batch_size=16)
    model = TransformerLM(96, 48)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 50))
    total = 0.0
    for (tokens,) in batches(loader, steps):
        logits = model(tokens[:, :-1])
        loss = functional.cross_entropy(logits.transpose(1, 2), tokens[:, 1:])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        total += loss.item()
    return total / steps


@program
def autoencoder(steps: int) -> float:
    """Convolutional autoencoder on 1×28×28, batch 32."""
    torch.manual_seed(0)
    loader = loader_of(torch.rand(640, 1, 28, 28), batch_size=32)
    encoder = nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 8, 3, stride=2, padding=1),
        nn.ReLU(),
    )
    decoder = nn.Sequential(
        nn.ConvTranspose2d(8, 16, 2, stride=2),
        nn.ReLU(),
        nn.ConvTranspose2d(16, 1, 2, stride=2),
        nn.Sigmoid(),
    )
    model = nn.Sequential(encoder, decoder)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    criterion = nn.MSELoss()
    total = 0.0
    for (x,) in batches(loader, steps):
        loss = criterion(model(x), x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total / steps


class VAE(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Linear(784, 200)
        self.mean = nn.Linear(200, 10)
        self.log_variance = nn.Linear(200, 10)
        self.decode = nn.Sequential(nn.Linear(10, 200), nn.ReLU(), nn.Linear(200, 784), nn.Sigmoid())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        hidden = torch.relu(self.encode(x))
        mean, log_variance = self.mean(hidden), self.log_variance(hidden)
        z = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
        return self.decode(z), mean, log_variance


@program
def vae(steps: int) -> float:
    """Variational autoencoder 784-200-10-200-784, batch 64."""
    torch.manual_seed(0)
    loader = loader_of((torch.rand(3200, 784) > 0.7).float())
    model = VAE()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    total = 0.0
    for (x,) in batches(loader, steps):
        optimizer.zero_grad()
        image, mean, log_variance = model(x)
        reconstruction = functional.binary_cross_entropy(image, x, reduction="sum")
        divergence = -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp())
        loss = (reconstruction + divergence) / len(x)
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total / steps


@program
def gan(steps: int) -> float:
    """GAN on points of the plane: two networks, two optimizers."""
    torch.manual_seed(0)
    angle = 2 * torch.pi * torch.rand(4096)
    loader = loader_of(torch.stack([angle.cos(), angle.sin()], dim=1), batch_size=128)
    generator = nn.Sequential(
        nn.Linear(8, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2), nn.Linear(64, 2)
    )
    critic = nn.Sequential(
        nn.Linear(2, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1)
    )
    generator_optimizer = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    critic_optimizer = torch.optim.Adam(critic.parameters(), lr=2e-4, betas=(0.5, 0.999))
    criterion = nn.BCEWithLogitsLoss()
    ones, zeros = torch.ones(128, 1), torch.zeros(128, 1)
    total = 0.0
    for (real,) in batches(loader, steps):
        fake = generator(torch.randn(len(real), 8))
        critic_optimizer.zero_grad()
        critic_loss = criterion(critic(real), ones) + criterion(critic(fake.detach()), zeros)
        critic_loss.backward()
        critic_optimizer.step()

        generator_optimizer.zero_grad()
        generator_loss = criterion(critic(fake), ones)
        generator_loss.backward()
        generator_optimizer.step()
        total += critic_loss.item() + generator_loss.item()
    return total / steps


@program
def fine_tuning(steps: int) -> float:
    """A new head on a frozen convolutional backbone that stays in eval mode."""
    torch.manual_seed(0)
    loader = loader_of(*labelled(640, 3, 32, 32, classes=5), batch_size=32)
    model = small_resnet()
    for parameter in model.parameters():
        parameter.requires_grad = False
    model[-1] = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 5))
    optimizer = torch.optim.Adam((p for p in model.parameters() if p.requires_grad), lr=1e-3)
    criterion = nn.CrossEntropyLoss()
    model.eval()
    model[-1].train()
    total = 0.0
    for x, y in batches(loader, steps):
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total / steps
