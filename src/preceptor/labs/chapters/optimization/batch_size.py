"""How many steps, and how much time, a training takes with batches of different sizes."""

from __future__ import annotations

import time

import torch
from torch import Tensor, nn

from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, above, lab
from preceptor.labs.chapters._digits import digits

_BATCHES = (2, 8, 32, 128, 512, 1797)
_RATES = (0.1, 0.3, 1.0)
_GOAL = 0.1  # training loss


def _steps(batch: int, rates: int, seeds: int, most: int, generator: torch.Generator) -> Tensor:
    """Return the steps of each rate and seed to the goal, all trained at once by batched products."""
    x, y = digits()
    count, hidden = rates * seeds, 32
    weights = [
        (torch.randn(count, *shape, generator=generator) * (2 / shape[0]) ** 0.5).requires_grad_()
        for shape in ((64, hidden), (hidden, 10))
    ]
    lr = torch.tensor(_RATES[:rates]).repeat_interleave(seeds)[:, None, None]
    found, every = torch.full((count,), float(most)), max(1, min(20, batch // 4, 2000 // batch))
    for step in range(1, most + 1):
        rows = torch.randint(len(x), (count, batch), generator=generator)
        z = torch.bmm(torch.relu(torch.bmm(x[rows], weights[0])), weights[1])
        loss = nn.functional.cross_entropy(z.flatten(0, 1), y[rows].flatten(), reduction="sum") / batch
        slopes = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            for w, slope_ in zip(weights, slopes, strict=True):
                w -= lr * slope_
            if step % every == 0 or step < 20:
                found = torch.where((_losses(x, y, weights) < _GOAL) & (found == most), float(step), found)
                if bool((found < most).reshape(rates, seeds).all(1).any()):
                    break
    return found.reshape(rates, seeds)


def _losses(x: Tensor, y: Tensor, weights: list[Tensor]) -> Tensor:
    z = torch.relu(x[:600] @ weights[0]) @ weights[1]
    each = nn.functional.cross_entropy(z.flatten(0, 1), y[:600].repeat(len(z)), reduction="none")
    return each.reshape(len(z), -1).mean(1)


def _seconds(batch: int, repeats: int) -> float:
    """Return the shortest time of one step of one network."""
    x, y = digits()
    net = get("mlp", (64,), 10, hidden=[32], kind="architecture")
    optimizer = get("sgd", kind="optimizer", lr=0.1)(net.parameters())
    spent = []
    for _ in range(repeats):
        rows = torch.randint(len(x), (batch,))
        began = time.thread_time()
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
        optimizer.step()
        spent.append(time.thread_time() - began)
    return min(spent)


@lab(
    "optimization",
    {
        "batch-size-diminishing-returns": Claim(
            "Larger batches save steps in proportion at first, then ever fewer: beyond some size they cost "
            "examples and save nothing.",
            source="Shallue et al., Measuring the Effects of Data Parallelism on Neural Network Training, "
            "2019",
        ),
        "batch-size-interior-optimum": Claim(
            "The batch that is fastest to a loss is neither the smallest nor the largest: a step has a "
            "cost of its own, "
            "beside that of its examples.",
            source="Goodfellow, Bengio and Courville, Deep Learning, 2016, section 8.1.3",
        ),
    },
    data="digits, an MLP of one hidden layer of 32 ReLU units, SGD, each batch size at that of three rates "
    "with which all "
    "starts are first at a training loss of 0.1",
    rule="from 2 to 32 examples steps fall by more than a factor 4, from 512 to all 1,797 by less than "
    "1.5; steps times "
    "the shortest time of a step on this machine: the ends take a quarter more than the least, at least",
)
def batch_size(setup: Setup) -> Evidence:
    """Count steps to a training loss, by batch size."""
    generator = torch.Generator().manual_seed(setup.seeds(1)[0])
    seeds = setup.size(6, 20)
    by_batch = [_steps(batch, len(_RATES), seeds, setup.size(4000, 20_000), generator) for batch in _BATCHES]
    best = [found[int(found.mean(1).argmin())].tolist() for found in by_batch]
    steps = [list(row) for row in zip(*best, strict=True)]
    dear = [_seconds(batch, 60) for batch in _BATCHES]
    seconds = [[n * cost for n, cost in zip(row, dear, strict=True)] for row in steps]
    middle = min(range(len(_BATCHES)), key=lambda i: sum(row[i] for row in seconds))
    checks = {
        "batch-size-diminishing-returns": [
            above("steps with 2 examples over those with 32", [row[0] / row[2] for row in steps], 4.0),
            above(
                "steps with all examples over those with 512", [row[-1] / row[-2] for row in steps], 1 / 1.5
            ),
        ],
        "batch-size-interior-optimum": [
            above("time with 2 examples over the least", [row[0] / row[middle] for row in seconds], 1.25),
            above("time with all examples over the least", [row[-1] / row[middle] for row in seconds], 1.25),
        ],
    }
    rows = []
    for i, batch in enumerate(_BATCHES):
        mean = sum(row[i] for row in steps) / seeds
        rows.append(
            {
                "batch": batch,
                "steps": round(mean),
                "examples": round(mean * batch),
                "ms a step": 1e3 * dear[i],
            }
        )
    figure = Figure(
        "Steps to a training loss of 0.1", "batch size", "steps", {"steps": steps}, _BATCHES, log="xy"
    )
    return Evidence(checks, figure, rows)
