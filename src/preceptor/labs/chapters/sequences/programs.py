"""Recurrence as a program: sums of any length, and still inputs that are looked at again."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, above, exact, lab, more, told
from preceptor.labs.chapters.sequences._fitting import fit
from preceptor.run import train

_LONGEST = 50


@lab(
    "sequences",
    {
        "learned-programs": Claim(
            "A recurrent network learns a procedure, not a table: trained to add numbers of up to ten bits "
            "it adds those of fifty, and a feed-forward network does not.",
            source="Karpathy, The Unreasonable Effectiveness of Recurrent Neural Networks, 2015",
            instead_of="Training recurrent nets is optimization over programs.",
        ),
    },
    data="sums of two random binary numbers, lowest bit first, 1 to 10 bits in training; a GRU of 16 units "
    "and an mlp of 128, 600 steps of Adam with batches of 64",
    rule="over three seeds the GRU gets more than 0.9 of 500 sums of 50 bits wholly right, and the mlp none",
)
def adding_binary_numbers(setup: Setup) -> Evidence:
    """Train on short sums, and test on long ones."""
    lengths = [5, 10, 20, 30, 40, 50]
    whole: dict[str, list[list[float]]] = {"gru": [], "mlp": []}
    for seed in setup.seeds(3, 10):
        for name, rows in whole.items():
            rows.append(_sums(name, seed, lengths, setup.size(600, 2000)))
    checks = [
        above("sums of 50 bits that the gru gets right", [row[-1] for row in whole["gru"]], 0.9),
        exact("sums of 50 bits that the mlp gets right", max(row[-1] for row in whole["mlp"])),
        told(
            "sums of 10 bits that the mlp gets right", sum(row[1] for row in whole["mlp"]) / len(whole["mlp"])
        ),
    ]
    figure = Figure("Sums that are wholly right", "bits", "share", whole, lengths)
    return Evidence({"learned-programs": checks}, figure)


def _sums(name: str, seed: int, lengths: list[int], steps: int) -> list[float]:
    torch.manual_seed(seed)
    numbers = torch.Generator().manual_seed(seed)
    recurrent = name == "gru"
    model: nn.Module = (
        get("gru", (10, 2), 1, kind="architecture", hidden=16, per_step=True)
        if recurrent
        else get("mlp", (2 * _LONGEST,), _LONGEST, kind="architecture", hidden=[128])
    )

    def answered(bits: int, examples: int) -> tuple[Tensor, Tensor]:
        x, y = _numbers(bits, examples, numbers)
        if recurrent:
            return model(x)[..., 0], y
        padded = nn.functional.pad(x, (0, 0, 0, _LONGEST - bits))
        return model(padded.flatten(1))[:, :bits], y

    def loss(_: int) -> Tensor:
        logits, y = answered(int(torch.randint(1, 11, (), generator=numbers)), 64)
        return nn.functional.binary_cross_entropy_with_logits(logits, y)

    fit(model, loss, steps, 1e-2 if recurrent else 3e-3)
    shares = []
    with torch.no_grad():
        for bits in lengths:
            logits, y = answered(bits, 500)
            shares.append(float(((logits > 0) == (y > 0.5)).all(1).float().mean()))
    return shares


def _numbers(bits: int, examples: int, numbers: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return pairs of bits, lowest first, (N, bits, 2), and the bits of the sum without the last carry."""
    x = torch.randint(2, (examples, bits, 2), generator=numbers)
    carry, y = torch.zeros(examples, dtype=torch.int64), []
    for t in range(bits):
        total = x[:, t].sum(1) + carry
        y.append(total % 2)
        carry = total // 2
    return x.float(), torch.stack(y, 1).float()


@lab(
    "sequences",
    {
        "recurrence-on-static-inputs": Claim(
            "Inputs without an order can be processed recurrently: looked at several times by the same "
            "units, they are classified at least as well as at one look.",
            source="Liang and Hu, Recurrent Convolutional Neural Network for Object Recognition, 2015",
        ),
    },
    data="digits, 32 recurrent units that are given the whole image 1, 2, 3 and 5 times; 8 epochs, 40 % "
    "held out",
    rule="over five seeds the accuracy with five looks is not lower than with one by more than 0.01",
)
def looking_again(setup: Setup) -> Evidence:
    """Give a recurrent network the same image several times."""
    looks = [1, 2, 3, 5]
    scores = [[_looked(steps, seed, setup.size(8, 30)) for steps in looks] for seed in setup.seeds(5, 10)]
    checks = [
        more(
            "accuracy with five looks and with one",
            [row[-1] for row in scores],
            [row[0] for row in scores],
            by=-0.01,
        )
    ]
    figure = Figure(
        "Accuracy by how often the image is looked at", "looks", "validation accuracy", {"": scores}, looks
    )
    return Evidence({"recurrence-on-static-inputs": checks}, figure)


def _looked(steps: int, seed: int, epochs: int) -> float:
    settings = {"training.watch": False, "model.steps": steps, "model.hidden": 32}
    run = train(
        "static-rnn",
        "digits",
        epochs=epochs,
        lr=5e-3,
        val=0.4,
        test=0,
        seed=seed,
        out=False,
        settings=settings,
    )
    return run.evaluate("val").metrics["accuracy"]
