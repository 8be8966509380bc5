"""Mistakes that do not raise an error: what they cost, and what shows them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from preceptor.catalogue import get
from preceptor.data import load
from preceptor.labs import Check, Claim, Evidence, Figure, Setup, exact, lab, more, near, told
from preceptor.run import check, train

_KARPATHY = "Karpathy, A Recipe for Training Neural Networks, 2019"


@lab(
    "systems",
    {
        "double-softmax": Claim(
            "A loss that takes raw outputs must not be given probabilities: the second softmax keeps the "
            "loss from falling below a floor, and training is slower.",
            source=_KARPATHY,
        ),
    },
    data="digits, an mlp of 64 hidden units, six seeds of 10 epochs; cross-entropy of raw outputs and of "
    "softmax's",
    rule="the floor for ten classes is 1.4612, and no training loss lies below it; the loss is 1.50 ± 0.06 "
    "at the end; the accuracy on validation after the second epoch is lower by more than 0.02",
)
def softmax_twice(setup: Setup) -> Evidence:
    """Train with and without a softmax too many."""
    epochs = setup.size(10, 40)
    curves: dict[str, list[Any]] = {"raw outputs": [], "softmax twice": []}
    early: dict[str, list[float]] = {name: [] for name in curves}
    for seed in setup.seeds(6, 12):
        for name in curves:
            torch.manual_seed(seed)
            net = get("mlp", (64,), 10, kind="architecture", hidden=[64])
            model = (
                nn.Sequential(nn.Flatten(), net, nn.Softmax(1))
                if name == "softmax twice"
                else nn.Sequential(nn.Flatten(), net)
            )
            run = train(
                model,
                "digits",
                epochs=epochs,
                lr=3e-3,
                seed=seed,
                out=False,
                patience=epochs,
                settings={"training.watch": False},
            )
            curves[name].append([run.history[i, "train_loss"] for i in range(epochs)])
            early[name].append(sum(run.history[i, "val_accuracy"] for i in range(3)) / 3)
    twice = np.array(curves["softmax twice"])
    floor = float(
        nn.functional.cross_entropy(nn.functional.one_hot(torch.tensor(3), 10).double(), torch.tensor(3))
    )
    checks = [
        exact(
            "the loss of certain and right outputs beside ln(e + 9) − 1",
            abs(floor - math.log(math.e + 9) + 1),
            1e-12,
        ),
        near("that floor", [floor], 1.4612, 5e-5),
        exact("training losses below it", int((twice < floor - 1e-6).sum())),
        near("loss at the end", twice[:, -1], 1.50, 0.06),
        more("mean accuracy of the first three epochs", early["raw outputs"], early["softmax twice"]),
    ]
    figure = Figure(
        "A softmax too many",
        "epoch",
        "training loss",
        curves,
        list(range(1, epochs + 1)),
        log="y",
        levels={"floor 1.4612": floor},
    )
    return Evidence({"double-softmax": checks}, figure)


@lab(
    "systems",
    {
        "forgotten-zero-grad": Claim(
            "Without zeroing gradients every step follows the sum of all gradients so far, and training "
            "suffers.",
            source=_KARPATHY,
        ),
    },
    data="digits scaled to [0, 1], an mlp of 64 hidden units, SGD at 0.1 with batches of 64 over 300 steps",
    rule="over ten seeds the training accuracy without zeroing is lower by more than 0.05 on average",
)
def gradients_kept(setup: Setup) -> Evidence:
    """Train with gradients that are zeroed and with gradients that add up."""
    x, y = _digits()
    curves = {
        name: [_descent(x, y, seed, zero=zero) for seed in setup.seeds(10, 30)]
        for name, zero in (("zeroed", True), ("kept", False))
    }
    ends = {name: [curve[-1] for curve in rows] for name, rows in curves.items()}
    checks = [more("training accuracy, zeroed and kept", ends["zeroed"], ends["kept"], by=0.05)]
    figure = Figure(
        "Gradients zeroed or kept", "steps", "training accuracy", curves, list(range(30, 301, 30))
    )
    return Evidence({"forgotten-zero-grad": checks}, figure)


def _digits() -> tuple[Tensor, Tensor]:
    data = load("digits")
    return torch.tensor(data.inputs).float().flatten(1) / 16, torch.tensor(data.targets).long()


def _descent(x: Tensor, y: Tensor, seed: int, *, zero: bool) -> list[float]:
    torch.manual_seed(seed)
    net = get("mlp", (64,), 10, kind="architecture", hidden=[64])
    optimizer = get("sgd", net.parameters(), kind="optimizer", lr=0.1)
    found = []
    for step in range(1, 301):
        rows = torch.randint(len(x), (64,))
        if zero:
            optimizer.zero_grad()
        nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
        optimizer.step()
        if step % 30 == 0:
            with torch.no_grad():
                found.append(float((net(x).argmax(1) == y).float().mean()))
    return found


@lab(
    "systems",
    {
        "overfit-one-batch": Claim(
            "A network that is put together rightly learns a single batch by heart; one that does not has a "
            "fault, which is found before any long training.",
            source=_KARPATHY,
        ),
    },
    data="one batch of 32 digits; an mlp as it should be, and with outputs through a rectifier, with all "
    "weights zero, and with its narrow hidden layer cut from the gradient; beside them one with a softmax "
    "too many",
    rule="over three seeds the check of one batch passes for the right network, and fails for each that "
    "cannot learn; what the network with a softmax too many does is told",
)
def one_batch(setup: Setup) -> Evidence:
    """Let right and broken networks learn one batch by heart."""
    x, y = _digits()
    passed: dict[str, list[float]] = {}
    texts = []
    for seed in setup.seeds(3, 10):
        rows = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:32]
        for name, net in _variants(seed).items():
            found = check(
                net, nn.functional.cross_entropy, (x[rows], y[rows]), only=["one-batch"], seed=seed
            )[0]
            passed.setdefault(name, []).append(float(found.status == "passed"))
            texts.append({"network": name, "result": found.status, "seen": found.text})
    unsure = passed["softmax too many"]
    checks = [
        Check(
            f"{name}: passes {sum(values):.0f} of {len(values)}", all(v == (name == "right") for v in values)
        )
        for name, values in passed.items()
        if values is not unsure
    ]
    checks.append(told("softmax too many: passes", f"{sum(unsure):.0f} of {len(unsure)}"))
    figure = Figure(
        "Who learns one batch by heart",
        "",
        "share that passes",
        {"": np.array(list(passed.values())).T.tolist()},
        list(passed),
        kind="bars",
    )
    note = "Not every fault is seen so: with a softmax too many a batch can be learned by heart, only more "
    "slowly."
    return Evidence({"overfit-one-batch": checks}, figure, texts[: len(passed)], note)


class _Cut(nn.Module):
    """Its output has no gradient: what lies before is never trained."""

    def forward(self, x: Tensor) -> Tensor:
        return x.detach()


def _variants(seed: int) -> dict[str, nn.Module]:
    torch.manual_seed(seed)

    def mlp(*behind: nn.Module) -> nn.Sequential:
        return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10), *behind)

    zero = mlp()
    for p in zero.parameters():
        nn.init.zeros_(p)
    return {
        "right": mlp(),
        "rectified outputs": mlp(nn.ReLU()),
        "softmax too many": mlp(nn.Softmax(1)),
        "all weights zero": zero,
        "cut": nn.Sequential(nn.Linear(64, 4), nn.ReLU(), _Cut(), nn.Linear(4, 10)),
    }
