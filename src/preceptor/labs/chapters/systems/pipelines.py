"""Parts that are trained together, or apart; and what one task lends to another."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from preceptor.catalogue import get
from preceptor.data import load
from preceptor.labs import Claim, Evidence, Figure, Setup, lab, more, told
from preceptor.run import train

_WAYS = ("joint, 4", "groups", "joint, 10", "digits")  # trained as one by 4 or 10 numbers, or apart


@lab(
    "systems",
    {
        "end-to-end": Claim(
            "With examples enough, training end to end beats stages that are trained apart by a subtask "
            "that people chose badly.",
            source="LeCun, Bottou, Bengio and Haffner, Gradient-Based Learning Applied to Document "
            "Recognition, 1998",
        ),
        "apart-with-few-examples": Claim(
            "With few examples of the whole a good subtask wins: stages that are trained apart, by the "
            "digits themselves, err less than the same stages end to end.",
            source="Glasmachers, Limits of End-to-End Learning, 2017",
            instead_of="End-to-end training is better, since no person defines the subtasks.",
        ),
    },
    data="the sum of two digits from their images; stage one codes each digit, stage two adds; apart: stage "
    "one learns which of four groups (0–2, 3–5, 6–8, 9) a digit is in, or which digit; 50 pairs with 600 "
    "steps of Adam in all, 4,000 with 2,000",
    rule="over five seeds, mean squared errors on 2,000 pairs of other images: at 4,000 pairs that of the "
    "groups exceeds that of the same network end to end by more than 0.3; at 50 pairs that of the network "
    "end to end exceeds that of the digits by more than 0.3",
)
def sum_of_two_digits(setup: Setup) -> Evidence:
    """Learn sums of digits in one go, and by way of subtasks."""
    few, many = 50, 4000
    found: dict[tuple[str, int], list[float]] = {}
    for seed in setup.seeds(5, 10):
        for pairs, ways in ((few, _WAYS), (many, _WAYS[:2])):
            for way in ways:
                found.setdefault((way, pairs), []).append(_error(way, pairs, seed))
    checks = {
        "end-to-end": [
            more(
                "error at 4,000 pairs, groups and end to end",
                found["groups", many],
                found["joint, 4", many],
                by=0.3,
            )
        ],
        "apart-with-few-examples": [
            more(
                "error at 50 pairs, end to end and digits",
                found["joint, 10", few],
                found["digits", few],
                by=0.3,
            )
        ],
    }
    figure = Figure(
        "Error of the sum of two digits",
        "",
        "mean squared error",
        {"": np.array(list(found.values())).T.tolist()},
        [f"{way}, {pairs:,}" for way, pairs in found],
        kind="bars",
        log="y",
    )
    note = "Both ways take as many steps; end to end they do not suffice for the lower error."
    return Evidence(checks, figure, note=note)


def _error(way: str, pairs: int, seed: int) -> float:
    torch.manual_seed(seed)
    data = load("digits")
    x, digit = torch.tensor(data.inputs).float().flatten(1) / 16, torch.tensor(data.targets).long()
    order = torch.randperm(len(x))
    rows, other = (
        part[torch.randint(len(part), (n, 2))] for part, n in ((order[:1200], pairs), (order[1200:], 2000))
    )
    apart, width = way in ("groups", "digits"), 4 if way in ("groups", "joint, 4") else 10
    first = get("mlp", (64,), width, kind="architecture", hidden=[64])
    second = get("mlp", (2 * width,), 1, kind="architecture", hidden=[32])
    subtask = digit // 3 if way == "groups" else digit

    def code(r: Tensor) -> Tensor:
        made = first(x[r])
        codes: Tensor = made.softmax(-1).flatten(1) if apart else made.flatten(1)
        return codes

    def total(r: Tensor) -> Tensor:
        return digit[r].sum(1, keepdim=True).float()

    steps = 600 if pairs < 1000 else 2000

    def learn(parts: list[nn.Module], loss: Any) -> None:
        optimizer = get("adam", [p for part in parts for p in part.parameters()], kind="optimizer", lr=5e-3)
        for _ in range(steps // 2 if apart else steps):
            r = rows[torch.randint(len(rows), (64,))]
            optimizer.zero_grad()
            loss(r).backward()
            optimizer.step()

    if apart:
        learn([first], lambda r: nn.functional.cross_entropy(first(x[r.flatten()]), subtask[r.flatten()]))
        learn([second], lambda r: nn.functional.mse_loss(second(code(r).detach()), total(r)))
    else:
        learn([first, second], lambda r: nn.functional.mse_loss(second(code(r)), total(r)))
    with torch.no_grad():
        return float(nn.functional.mse_loss(second(code(other)), total(other)))


@lab(
    "systems",
    {
        "transfer-pays": Claim(
            "A network that was trained on much helps a like task with little, the less there is the more.",
            source="Yosinski et al., How Transferable Are Features in Deep Neural Networks?, 2014",
        ),
        "unrelated-transfer": Claim(
            "From a task that has nothing in common with the new one there is no such gain.",
            source="Rosenstein et al., To Transfer or Not To Transfer, 2005",
        ),
    },
    data="digits 0 to 4 first (900 images), then 5 to 9 with 3 and 40 examples of each; an mlp of 64 and 32 "
    "units; unrelated: the first task's images with their pixels in another order and labels drawn at random",
    rule="over four seeds, accuracies on the other images of 5 to 9: from the first task more than from "
    "scratch at 3 each, and that gain exceeds the gain at 40 each; from the unrelated task less than from "
    "the first at 3 each",
)
def first_digits_then_others(setup: Setup) -> Evidence:
    """Start from another task's network, from an unrelated one's, and from scratch."""
    sizes = [3, 40]
    found: dict[str, list[list[float]]] = {
        "from scratch": [],
        "from digits 0–4": [],
        "from an unrelated task": [],
    }
    for seed in setup.seeds(4, 10):
        for name, scores in zip(found, _transferred(sizes, seed), strict=True):
            found[name].append(scores)
    scratch, first, unrelated = (np.array(rows) for rows in found.values())
    gain = first - scratch
    checks = {
        "transfer-pays": [
            more("accuracy with 3 of each, transferred and from scratch", first[:, 0], scratch[:, 0]),
            more("gain with 3 of each and with 40", gain[:, 0], gain[:, -1]),
        ],
        "unrelated-transfer": [
            more(
                "accuracy with 3 of each, from digits and from the unrelated task",
                first[:, 0],
                unrelated[:, 0],
            ),
            told("gain from the unrelated task", float((unrelated - scratch)[:, 0].mean())),
        ],
    }
    figure = Figure("Digits 5 to 9", "examples of each", "accuracy on others", found, sizes, log="x")
    note = (
        "Fine-tuned in all layers; the network is small, and so is what eight by eight pixels have in common."
    )
    return Evidence(checks, figure, note=note)


def _transferred(sizes: list[int], seed: int) -> list[list[float]]:
    data = load("digits")
    images, digit = (
        np.asarray(data.inputs).reshape(-1, 64).astype(np.float32),
        np.asarray(data.targets).astype(int),
    )
    draw = np.random.default_rng(seed)
    mixed, labels = images[:, draw.permutation(64)], draw.integers(5, size=len(digit))
    old = digit < 5
    quick: dict[str, Any] = {"out": False, "test": 0, "seed": seed, "settings": {"training.watch": False}}
    model = {"name": "mlp", "hidden": [64, 32]}
    sources: list[Any] = [
        None,
        train(model, (images[old], digit[old]), epochs=10, **quick),
        train(model, (mixed[old], labels[old]), epochs=10, **quick),
    ]
    each = [draw.permutation(np.flatnonzero(digit == d)) for d in range(5, 10)]
    held = np.concatenate([rows[60:] for rows in each])
    val = np.concatenate([rows[40:60] for rows in each])
    scores: list[list[float]] = []
    for source in sources:
        row = []
        for size in sizes:
            rows = np.concatenate([part[:size] for part in each])
            start: dict[str, Any] = {"model": model} if source is None else {"from_": source}
            run = train(
                data=(images[rows], digit[rows] - 5),
                val=(images[val], digit[val] - 5),
                epochs=25,
                lr=5e-3,
                batch_size=16,
                **start,
                **quick,
            )
            row.append(float((run.predict(images[held]) == digit[held] - 5).mean()))
        scores.append(row)
    return scores
