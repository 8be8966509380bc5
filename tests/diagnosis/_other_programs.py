"""Healthy programs in the styles of other people's examples, each small enough for a test."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import torch
import torch.nn as nn
import torch.nn.functional as F  # noqa: N812 as in the examples
from sklearn.datasets import load_diabetes, load_digits
from torch import Tensor, optim
from torch.utils.data import DataLoader, TensorDataset

PROGRAMS: dict[str, Callable[[], object]] = {}


def program(function: Callable[[], object]) -> Callable[[], object]:
    PROGRAMS[function.__name__] = function
    return function


@cache
def digits() -> tuple[Tensor, Tensor]:
    x, y = load_digits(return_X_y=True)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(5))
    return (torch.tensor(x, dtype=torch.float32) / 16)[order], torch.tensor(y)[order]


def images() -> tuple[DataLoader, DataLoader]:
    x, y = digits()
    x = (x.view(-1, 1, 8, 8) - 0.305) / 0.376
    train = DataLoader(TensorDataset(x[:1200], y[:1200]), batch_size=32, shuffle=True)
    return train, DataLoader(TensorDataset(x[1200:], y[1200:]), batch_size=300)


@cache
def stream(length: int = 9000, symbols: int = 16) -> Tensor:
    """Symbols of a chain: each depends on the one before."""
    generator = torch.Generator().manual_seed(3)
    table = torch.rand(symbols, symbols, generator=generator).pow(8)
    found = [0]
    for _ in range(length - 1):
        share = table[found[-1]]
        found.append(int(torch.multinomial(share, 1, generator=generator)))
    return torch.tensor(found)


# ---------------------------------------------------------------------------------- images, two functions


class ConvNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, 1, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, 1)
        self.dropout1 = nn.Dropout(0.25)
        self.dropout2 = nn.Dropout(0.5)
        self.fc1 = nn.Linear(288, 64)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv1(x))
        x = F.relu(self.conv2(x))
        x = self.dropout1(F.max_pool2d(x, 2))
        x = F.relu(self.fc1(torch.flatten(x, 1)))
        return F.log_softmax(self.fc2(self.dropout2(x)), dim=1)


def train_epoch(model: nn.Module, loader: DataLoader, optimizer: optim.Optimizer) -> None:
    model.train()
    for data, target in loader:
        optimizer.zero_grad()
        output = model(data)
        loss = F.nll_loss(output, target)
        loss.backward()
        optimizer.step()


def test_epoch(model: nn.Module, loader: DataLoader) -> float:
    model.eval()
    test_loss, correct = 0.0, 0
    with torch.no_grad():
        for data, target in loader:
            output = model(data)
            test_loss += F.nll_loss(output, target, reduction="sum").item()
            pred = output.argmax(dim=1, keepdim=True)
            correct += pred.eq(target.view_as(pred)).sum().item()
    return correct / len(loader.dataset)


@program
def images_by_step_decay() -> float:
    train_loader, test_loader = images()
    model = ConvNet()
    optimizer = optim.Adadelta(model.parameters(), lr=1.0)
    scheduler = optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.8)
    for _ in range(10):
        train_epoch(model, train_loader, optimizer)
        accuracy = test_epoch(model, test_loader)
        scheduler.step()
    return accuracy


# ---------------------------------------------------------------------------------- language, hand-made SGD


class WordModel(nn.Module):
    def __init__(self, tokens: int) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.1)
        self.encoder = nn.Embedding(tokens, 32)
        self.rnn = nn.LSTM(32, 48)
        self.decoder = nn.Linear(48, tokens)
        nn.init.uniform_(self.encoder.weight, -0.1, 0.1)
        nn.init.zeros_(self.decoder.bias)
        nn.init.uniform_(self.decoder.weight, -0.1, 0.1)

    def forward(self, text: Tensor, hidden: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        output, hidden = self.rnn(self.drop(self.encoder(text)), hidden)
        decoded = self.decoder(self.drop(output)).view(-1, self.decoder.out_features)
        return F.log_softmax(decoded, dim=1), hidden

    def init_hidden(self, size: int) -> tuple[Tensor, Tensor]:
        weight = next(self.parameters())
        return weight.new_zeros(1, size, 48), weight.new_zeros(1, size, 48)


def batchify(data: Tensor, size: int) -> Tensor:
    rows = len(data) // size
    return data[: rows * size].view(size, -1).t().contiguous()


@program
def words_by_truncated_backpropagation() -> float:
    text, tokens, bptt = stream(), 16, 20
    train_data, val_data = batchify(text[:8000], 16), batchify(text[8000:], 8)
    model, criterion = WordModel(tokens), nn.NLLLoss()
    lr, best = 5.0, math.inf
    for _ in range(10):
        model.train()
        hidden = model.init_hidden(16)
        for i in range(0, len(train_data) - 1, bptt):
            length = min(bptt, len(train_data) - 1 - i)
            data, targets = train_data[i : i + length], train_data[i + 1 : i + 1 + length].view(-1)
            model.zero_grad()
            hidden = tuple(h.detach() for h in hidden)
            output, hidden = model(data, hidden)
            loss = criterion(output, targets)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
            for p in model.parameters():
                p.data.add_(p.grad, alpha=-lr)
        model.eval()
        with torch.no_grad():
            output, _ = model(val_data[:-1], model.init_hidden(8))
            val_loss = criterion(output, val_data[1:].view(-1)).item()
        if val_loss < best:
            best = val_loss
        else:
            lr /= 4.0
    return best


# ---------------------------------------------------------------------------------- variational autoencoder


class VAE(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(64, 100)
        self.fc21 = nn.Linear(100, 8)
        self.fc22 = nn.Linear(100, 8)
        self.fc3 = nn.Linear(8, 100)
        self.fc4 = nn.Linear(100, 64)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h1 = F.relu(self.fc1(x))
        return self.fc21(h1), self.fc22(h1)

    def reparameterize(self, mu: Tensor, logvar: Tensor) -> Tensor:
        std = torch.exp(0.5 * logvar)
        return mu + torch.randn_like(std) * std

    def decode(self, z: Tensor) -> Tensor:
        return torch.sigmoid(self.fc4(F.relu(self.fc3(z))))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mu, logvar = self.encode(x.view(-1, 64))
        return self.decode(self.reparameterize(mu, logvar)), mu, logvar


def vae_loss(recon_x: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    bce = F.binary_cross_entropy(recon_x, x.view(-1, 64), reduction="sum")
    kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return bce + kld


@program
def variational_autoencoder() -> float:
    x, y = digits()
    train_loader = DataLoader(TensorDataset(x[:1400], y[:1400]), batch_size=64, shuffle=True)
    test_loader = DataLoader(TensorDataset(x[1400:], y[1400:]), batch_size=64)
    model = VAE()
    optimizer = optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(25):
        model.train()
        for data, _ in train_loader:
            optimizer.zero_grad()
            recon_batch, mu, logvar = model(data)
            loss = vae_loss(recon_batch, data, mu, logvar)
            loss.backward()
            optimizer.step()
        model.eval()
        test_loss = 0.0
        with torch.no_grad():
            for data, _ in test_loader:
                test_loss += vae_loss(*(lambda out, x=data: (out[0], x, *out[1:]))(model(data))).item()
    return test_loss


# ---------------------------------------------------------------------------------- two nets in a game


def weights_init(module: nn.Module) -> None:
    if "Conv" in type(module).__name__:
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif "BatchNorm" in type(module).__name__:
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


@program
def adversarial_nets() -> float:
    x, y = digits()
    data = TensorDataset(x.view(-1, 1, 8, 8) * 2 - 1, y)
    loader = DataLoader(data, batch_size=64, shuffle=True, drop_last=True)
    generator = nn.Sequential(
        nn.ConvTranspose2d(16, 32, 4, 1, 0, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(True),
        nn.ConvTranspose2d(32, 1, 4, 2, 1, bias=False),
        nn.Tanh(),
    ).apply(weights_init)
    critic = nn.Sequential(
        nn.Conv2d(1, 16, 4, 2, 1, bias=False),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(16, 1, 4, 1, 0, bias=False),
        nn.Sigmoid(),
        nn.Flatten(0),
    ).apply(weights_init)
    criterion = nn.BCELoss()
    optimizer_d = optim.Adam(critic.parameters(), lr=2e-4, betas=(0.5, 0.999))
    optimizer_g = optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    fixed_noise = torch.randn(16, 16, 1, 1)
    for _ in range(8):
        for real, _ in loader:
            critic.zero_grad()
            label = torch.full((len(real),), 1.0)
            real_error = criterion(critic(real), label)
            real_error.backward()
            fake = generator(torch.randn(len(real), 16, 1, 1))
            label.fill_(0.0)
            fake_error = criterion(critic(fake.detach()), label)
            fake_error.backward()
            optimizer_d.step()
            generator.zero_grad()
            label.fill_(1.0)
            generator_error = criterion(critic(fake), label)
            generator_error.backward()
            optimizer_g.step()
    generator(fixed_noise).detach()
    return generator_error.item()


# ---------------------------------------------------------------------------------- pairs


class Siamese(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.branch = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32))
        self.fc = nn.Sequential(nn.Linear(64, 64), nn.ReLU(inplace=True), nn.Linear(64, 1))
        self.sigmoid = nn.Sigmoid()

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        pair = torch.cat((self.branch(first), self.branch(second)), 1)
        return self.sigmoid(self.fc(pair))


def pairs(x: Tensor, y: Tensor, seed: int) -> TensorDataset:
    generator = torch.Generator().manual_seed(seed)
    few = (y < 4).nonzero().flatten()
    left = few[torch.randint(len(few), (2400,), generator=generator)]
    right = few[torch.randint(len(few), (2400,), generator=generator)]
    alike = torch.arange(2400) % 2 == 0
    for i in alike.nonzero().flatten().tolist():
        same = few[y[few] == y[left[i]]]
        right[i] = same[torch.randint(len(same), (1,), generator=generator)]
    return TensorDataset(x[left], x[right], (y[left] == y[right]).float())


@program
def siamese_pairs() -> float:
    x, y = digits()
    train_loader = DataLoader(pairs(x[:1200], y[:1200], 0), batch_size=64, shuffle=True)
    test_loader = DataLoader(pairs(x[1200:], y[1200:], 1), batch_size=500)
    model, criterion = Siamese(), nn.BCELoss()
    optimizer = optim.Adadelta(model.parameters(), lr=1.0)
    scheduler = optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.8)
    for _ in range(12):
        model.train()
        for first, second, targets in train_loader:
            optimizer.zero_grad()
            loss = criterion(model(first, second).squeeze(), targets)
            loss.backward()
            optimizer.step()
        model.eval()
        correct = 0.0
        with torch.no_grad():
            for first, second, targets in test_loader:
                outputs = model(first, second).squeeze()
                criterion(outputs, targets).sum().item()
                correct += torch.where(outputs > 0.5, 1, 0).eq(targets).sum().item()
        scheduler.step()
    return correct / 2400


# ---------------------------------------------------------------------------------- no optimizer


@program
def polynomial_by_hand() -> float:
    torch.manual_seed(2)
    weight, bias = torch.randn(4, 1) * 5, torch.randn(1) * 5
    fc = nn.Linear(4, 1)
    for _ in range(1500):
        x = torch.randn(32).unsqueeze(1)
        batch_x = torch.cat([x**i for i in range(1, 5)], 1)
        batch_y = batch_x.mm(weight) + bias
        fc.zero_grad()
        output = F.smooth_l1_loss(fc(batch_x), batch_y)
        loss = output.item()
        output.backward()
        for param in fc.parameters():
            param.data.add_(-0.1 * param.grad)
        if loss < 1e-3:
            break
    return loss


# ---------------------------------------------------------------------------------- larger images


@program
def super_resolution() -> float:
    x, _ = digits()
    large = x.view(-1, 1, 8, 8)
    small = F.avg_pool2d(large, 2)
    train_loader = DataLoader(TensorDataset(small[:1400], large[:1400]), batch_size=32, shuffle=True)
    test_loader = DataLoader(TensorDataset(small[1400:], large[1400:]), batch_size=100)
    relu = nn.ReLU()
    model = nn.Sequential(
        nn.Conv2d(1, 16, 5, 1, 2), relu, nn.Conv2d(16, 16, 3, 1, 1), relu, nn.Conv2d(16, 8, 3, 1, 1), relu,
        nn.Conv2d(8, 4, 3, 1, 1), nn.PixelShuffle(2),
    )  # fmt: skip
    for layer in (0, 2, 4):
        nn.init.orthogonal_(model[layer].weight, nn.init.calculate_gain("relu"))
    criterion = nn.MSELoss()
    optimizer = optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(12):
        for data, target in train_loader:
            optimizer.zero_grad()
            loss = criterion(model(data), target)
            loss.backward()
            optimizer.step()
        psnr = 0.0
        with torch.no_grad():
            for data, target in test_loader:
                psnr += 10 * math.log10(1 / criterion(model(data), target).item())
    return psnr / len(test_loader)


# ---------------------------------------------------------------------------------- sequences by L-BFGS


class Sequence(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm1 = nn.LSTMCell(1, 16)
        self.linear = nn.Linear(16, 1)

    def forward(self, waves: Tensor) -> Tensor:
        outputs = []
        h_t = torch.zeros(len(waves), 16, dtype=torch.double)
        c_t = torch.zeros(len(waves), 16, dtype=torch.double)
        for value in waves.split(1, dim=1):
            h_t, c_t = self.lstm1(value, (h_t, c_t))
            outputs.append(self.linear(h_t))
        return torch.cat(outputs, dim=1)


@program
def waves_by_lbfgs() -> float:
    shift = torch.arange(24, dtype=torch.double).unsqueeze(1) * 0.7
    waves = torch.sin((torch.arange(40, dtype=torch.double) + shift) / 3)
    seq = Sequence().double()
    criterion = nn.MSELoss()
    optimizer = optim.LBFGS(seq.parameters(), lr=0.8)
    for _ in range(6):

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = criterion(seq(waves[3:, :-1]), waves[3:, 1:])
            loss.backward()
            return loss

        optimizer.step(closure)
        with torch.no_grad():
            loss = criterion(seq(waves[:3, :-1]), waves[:3, 1:])
    return loss.item()


# ---------------------------------------------------------------------------------- reward


@program
def policy_gradient() -> float:
    """A row of states with a reward at its right end."""
    torch.manual_seed(1)
    policy = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 2), nn.Softmax(dim=-1))
    optimizer = optim.Adam(policy.parameters(), lr=1e-2)
    running = 0.0
    for _ in range(150):
        place, log_probs, rewards = 0.0, [], []
        for t in range(10):
            probs = policy(torch.tensor([[place / 5, t / 10]]))
            action = torch.distributions.Categorical(probs)
            choice = action.sample()
            log_probs.append(action.log_prob(choice))
            place += 1.0 if choice.item() else -1.0
            rewards.append(place / 10)
        returns, value = [], 0.0
        for reward in reversed(rewards):
            value = reward + 0.9 * value
            returns.insert(0, value)
        scaled = torch.tensor(returns)
        scaled = (scaled - scaled.mean()) / (scaled.std() + 1e-6)
        policy_loss = [-log_prob * r for log_prob, r in zip(log_probs, scaled, strict=True)]
        optimizer.zero_grad()
        loss = torch.cat(policy_loss).sum()
        loss.backward()
        optimizer.step()
        running = 0.05 * sum(rewards) + 0.95 * running
    return running


# ---------------------------------------------------------------------------------- one graph, all at once


@program
def graph_in_one_batch() -> float:
    torch.manual_seed(4)
    count, kinds = 300, 4
    labels = torch.randint(kinds, (count,))
    alike = labels.unsqueeze(0) == labels.unsqueeze(1)
    edges = (torch.rand(count, count) < torch.where(alike, 0.08, 0.01)).float()
    edges = ((edges + edges.t()) > 0).float() + torch.eye(count)
    degree = edges.sum(1).pow(-0.5)
    adjacency = degree.unsqueeze(1) * edges * degree.unsqueeze(0)
    x = F.one_hot(labels, kinds).float() * 0.5 + torch.randn(count, kinds)
    idx_train, idx_val, idx_test = torch.arange(120), torch.arange(120, 200), torch.arange(200, 300)

    class GCN(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(kinds, 32)
            self.second = nn.Linear(32, kinds)

        def forward(self, x: Tensor, adj: Tensor) -> Tensor:
            x = F.relu(adj @ self.first(x))
            x = F.dropout(x, 0.5, training=self.training)
            return F.log_softmax(adj @ self.second(x), dim=1)

    model = GCN()
    optimizer = optim.Adam(model.parameters(), lr=0.01, weight_decay=5e-4)
    for _ in range(200):
        model.train()
        optimizer.zero_grad()
        output = model(x, adjacency)
        loss_train = F.nll_loss(output[idx_train], labels[idx_train])
        loss_train.backward()
        optimizer.step()
        model.eval()
        with torch.no_grad():
            output = model(x, adjacency)
            F.nll_loss(output[idx_val], labels[idx_val]).item()
    model.eval()
    with torch.no_grad():
        return (model(x, adjacency)[idx_test].argmax(1) == labels[idx_test]).float().mean().item()


# ---------------------------------------------------------------------------------- a small GPT


class Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.c_attn = nn.Linear(width, 3 * width)
        self.c_proj = nn.Linear(width, width)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.heads = heads

    def forward(self, x: Tensor) -> Tensor:
        B, T, C = x.size()
        q, k, v = self.c_attn(self.ln_1(x)).split(C, dim=2)
        q, k, v = (part.view(B, T, self.heads, C // self.heads).transpose(1, 2) for part in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.c_proj(y.transpose(1, 2).contiguous().view(B, T, C))
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    def __init__(self, vocab: int, block: int, width: int = 32) -> None:
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocab, width), nn.Embedding(block, width)
        self.h = nn.ModuleList(Block(width, 2) for _ in range(2))
        self.ln_f, self.lm_head = nn.LayerNorm(width), nn.Linear(width, vocab, bias=False)
        self.wte.weight = self.lm_head.weight
        self.apply(self._init)

    def _init(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)

    def forward(self, idx: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        x = self.wte(idx) + self.wpe(torch.arange(idx.size(1)))
        for block in self.h:
            x = block(x)
        logits = self.lm_head(self.ln_f(x))
        return logits, F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1), ignore_index=-1)


def get_lr(it: int, most: int) -> float:
    if it < 30:
        return 5e-3 * (it + 1) / 31
    return 5e-4 + 0.5 * (1 + math.cos(math.pi * (it - 30) / (most - 30))) * 4.5e-3


@program
def small_gpt() -> float:
    data, block, most = stream(), 16, 300
    parts = {"train": data[:8000], "val": data[8000:]}

    def get_batch(split: str) -> tuple[Tensor, Tensor]:
        part = parts[split]
        ix = torch.randint(len(part) - block, (16,))
        x = torch.stack([part[i : i + block] for i in ix])
        return x, torch.stack([part[i + 1 : i + 1 + block] for i in ix])

    @torch.no_grad()
    def estimate_loss() -> dict[str, float]:
        out = {}
        model.eval()
        for split in parts:
            losses = torch.zeros(5)
            for k in range(5):
                losses[k] = model(*get_batch(split))[1].item()
            out[split] = losses.mean().item()
        model.train()
        return out

    model = GPT(16, block)
    decayed = [p for p in model.parameters() if p.dim() >= 2]
    others = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimizer = optim.AdamW(groups, lr=5e-3, betas=(0.9, 0.95))
    X, Y = get_batch("train")
    for it in range(most):
        for group in optimizer.param_groups:
            group["lr"] = get_lr(it, most)
        if it % 100 == 0:
            losses = estimate_loss()
        for _ in range(2):
            _, loss = model(X, Y)
            loss = loss / 2
            X, Y = get_batch("train")
            loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return min(losses["val"], estimate_loss()["val"])


# ---------------------------------------------------------------------------------- an estimator


class NeuralRegressor:
    """fit and predict, as scikit-learn has them."""

    def __init__(self, hidden: int = 16, max_iter: int = 60, batch_size: int = 32) -> None:
        self.hidden, self.max_iter, self.batch_size = hidden, max_iter, batch_size

    def fit(self, X: object, y: object) -> NeuralRegressor:
        X, y = torch.as_tensor(X, dtype=torch.float32), torch.as_tensor(y, dtype=torch.float32)
        self.mean_, self.scale_ = y.mean(), y.std()
        target = ((y - self.mean_) / self.scale_).reshape(-1, 1)
        held = max(1, len(X) // 10)
        self.net_ = nn.Sequential(nn.Linear(X.shape[1], self.hidden), nn.Tanh(), nn.Linear(self.hidden, 1))
        optimizer = optim.Adam(self.net_.parameters(), lr=1e-2, weight_decay=1e-2)
        best, self.state_, patience = math.inf, None, 0
        for _ in range(self.max_iter):
            order = torch.randperm(len(X) - held) + held
            for index in order.split(self.batch_size):
                optimizer.zero_grad()
                F.mse_loss(self.net_(X[index]), target[index]).backward()
                optimizer.step()
            with torch.no_grad():
                loss = F.mse_loss(self.net_(X[:held]), target[:held]).item()
            patience = 0 if loss < best else patience + 1
            if loss < best:
                best, self.state_ = loss, {k: v.clone() for k, v in self.net_.state_dict().items()}
            if patience > 10:
                break
        self.net_.load_state_dict(self.state_)
        return self

    def predict(self, X: object) -> Tensor:
        with torch.no_grad():
            output = self.net_(torch.as_tensor(X, dtype=torch.float32))
        return output.flatten() * self.scale_ + self.mean_


@program
def an_estimator() -> float:
    X, y = load_diabetes(return_X_y=True)
    X = X / X.std(axis=0)
    model = NeuralRegressor().fit(X[:350], y[:350])
    return float(((model.predict(X[350:]) - torch.tensor(y[350:])) ** 2).mean())
